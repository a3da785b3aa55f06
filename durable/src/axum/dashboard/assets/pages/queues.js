// Queues: what waits, what runs, and the limits, which can be changed in the whole fleet.

import { get, mayAct, post } from "../api.js";
import { meter } from "../chart.js";
import * as dialog from "../dialog.js";
import { h } from "../dom.js";
import { count, duration, time } from "../format.js";
import { button, head, limitsText, status, table } from "../parts.js";
import { link, toWorkflows } from "../router.js";

/** @type {import("../app.js").Open} */
export function open({ signal, redraw }) {
	/** @type {any[]} */
	let queues = [];
	const load = async () => {
		queues = await get("queues", {}, signal);
	};
	const again = async () => {
		await load();
		redraw();
	};
	return {
		title: "Queues",
		load,
		view: () =>
			h("div", null,
				head("Queues"),
				h("section.panel", null, table({
					caption: "Queues", rows: queues, key: it => it.name, empty: "No queue is declared.",
					columns: [
						{ title: "Queue", heads: true, cell: it => [h("a", { href: toWorkflows({ queue: it.name }) }, it.name), " ", it.paused && status("paused")] },
						{ title: "Waiting", class: "number", cell: it => number(it, it.depth, "ENQUEUED") },
						{ title: "Oldest waits", class: "number", cell: it => (it.depth ? h("span", null, duration(it.lag * 1000), h("div.small.muted", null, time(it.oldest))) : "–") },
						{ title: "Delayed", class: "number", cell: it => number(it, it.delayed, "DELAYED") },
						{ title: "Running", class: "number", cell: it => [it.limits.concurrency !== null && [meter(it.running, it.limits.concurrency), " "], number(it, it.running, "PENDING")] },
						{ title: "Limits", class: "wide", cell: it => [limitsText(it.limits), it.changed && h("div.small.muted", null, "changed at run time: the code has others")] },
						mayAct() && { title: "Actions", cell: it => h("div.row", null,
							it.paused ? button("Resume", () => resume(it.name, again), label("Resume", it)) : button("Pause", () => pause(it, again), label("Pause", it)),
							button("Limits …", () => limits(it, again), label("Change the limits of", it))) },
					].filter(it => it !== false),
				}))),
	};
}

/** A button of a row names the row, for screen readers. @param {string} verb */
const label = (verb, queue) => ({ "aria-label": `${verb} ${queue.name}` });

/** @param {number} value @param {string} word */
const number = (queue, value, word) =>
	value === 0 ? "0" : h("a", { href: link("workflows", { queue: queue.name, status: word }) }, count(value));

/** @param {() => Promise<void>} done */
function pause(queue, done) {
	dialog.open({
		title: `Pause the queue ${queue.name}?`, action: "Pause",
		accept: async () => {
			await post("queues/pause", { name: queue.name });
			dialog.toast(`The queue ${queue.name} is paused.`);
			await done();
		},
	}, h("p", null, `No process claims workflows from it until it is resumed. ${count(queue.running)} that run go on, and more can be enqueued.`));
}

/** @param {string} name @param {() => Promise<void>} done */
export async function resume(name, done) {
	try {
		await post("queues/resume", { name });
		dialog.toast(`The queue ${name} goes on.`);
	} catch (error) {
		dialog.toast(/** @type {Error} */ (error).message, "problem");
	}
	await done();
}

/** @param {() => Promise<void>} done */
function limits(queue, done) {
	const { limits: now } = queue;
	const whole = (name, title) =>
		dialog.field(title, h("input", { name, type: "number", min: 1, value: now[name] ?? "", placeholder: "no limit" }));
	const rate = (name, title) => [
		dialog.field(title, h("input", { name: `${name}.starts`, type: "number", min: 1, value: now[name]?.starts ?? "", placeholder: "no limit" })),
		dialog.field("in this many seconds", h("input", { name: `${name}.period`, type: "number", min: 0.001, step: "any", value: now[name]?.period ?? "" }))];
	dialog.open({
		title: `Limits of ${queue.name}`, action: "Change the limits",
		accept: async data => {
			await post("queues/limits", { name: queue.name, limits: read(data, now.partitioned) });
			dialog.toast(`The limits of ${queue.name} are changed.`);
			await done();
		},
	},
	h("p.muted", null, "They hold at once, in all processes, and until they are changed again. What runs goes on. An empty field is no limit."),
	h("div.fields", null,
		whole("concurrency", "At once in the whole fleet"), whole("worker_concurrency", "At once in one process"), rate("rate_limit", "Starts"),
		now.partitioned && [whole("partition_concurrency", "At once for a partition key"), rate("partition_rate_limit", "Starts for a partition key")]));
}

/** @param {FormData} data @param {boolean} partitioned */
function read(data, partitioned) {
	const whole = name => (data.get(name) ? Number(data.get(name)) : null);
	const rate = name => {
		const [starts, period] = [whole(`${name}.starts`), whole(`${name}.period`)];
		if ((starts === null) !== (period === null)) throw new Error("A rate has both: how many starts, and in how many seconds.");
		return starts === null ? null : { starts, period };
	};
	const limits = { concurrency: whole("concurrency"), worker_concurrency: whole("worker_concurrency"), rate_limit: rate("rate_limit") };
	return partitioned ? { ...limits, partition_concurrency: whole("partition_concurrency"), partition_rate_limit: rate("partition_rate_limit") } : limits;
}

// Queues: what waits, what runs, and the limits, which can be changed in the whole fleet.

import { get, mayAct, post } from "../api.js";
import { meter } from "../chart.js";
import * as dialog from "../dialog.js";
import { h } from "../dom.js";
import { counted, time } from "../format.js";
import { button, countLink, filterLink, head, limitsText, status, table } from "../parts.js";

const number = (queue, value, word) => countLink(value, { queue: queue.name, status: word });

/** The columns that the overview has, too. */
export const usualColumns = [
	{ title: "Queue", heads: true, cell: it => [filterLink("queue", it.name), " ", it.paused && status("paused")] },
	{ title: "Waiting", class: "number", cell: it => number(it, it.depth, "ENQUEUED") },
	{ title: "Running", class: "number", cell: it => [it.limits.concurrency !== null && [meter(it.running, it.limits.concurrency), " "], number(it, it.running, "PENDING")] },
	{ title: "Oldest", class: "nowrap", cell: it => time(it.oldest, "relative") },
];

/** @type {import("../app.js").Open} */
export function open({ signal, reload }) {
	/** @type {any[]} */
	let queues = [];
	return {
		title: "Queues",
		load: async () => {
			queues = await get("queues", {}, signal);
		},
		view: () =>
			h("div", null,
				head("Queues"),
				h("section.panel", null, table({
					caption: "Queues", rows: queues, empty: "No queue is declared.",
					columns: [
						...usualColumns,
						{ title: "Delayed", class: "number", cell: it => number(it, it.delayed, "DELAYED") },
						{ title: "Limits", class: "wide", cell: it => [limitsText(it.limits), it.changed && h("div.small.muted", null, "changed at run time: the code has others")] },
						// A button of a row names the row, for screen readers.
						mayAct() && { title: "Actions", class: "nowrap", cell: it => h("div.row", null,
							button(`${switchOf(it)} …`, () => toggle(it, reload), { "aria-label": `${switchOf(it)} ${it.name}` }),
							button("Limits …", () => limits(it, reload), { "aria-label": `Change the limits of ${it.name}` })) },
					].filter(it => it !== false),
				}))),
	};
}

const switchOf = queue => (queue.paused ? "Resume" : "Pause");

/** Pauses or resumes it. @param {any} queue @param {() => unknown} done */
function toggle(queue, done) {
	const { name, depth, running } = queue;
	const action = switchOf(queue);
	const effect = queue.paused
		? `Processes claim workflows from it again: ${counted(depth, "workflow", "wait")}.`
		: `No process claims workflows from it until it is resumed. ${counted(running, "workflow", "run")} and can end; more can be enqueued.`;
	dialog.confirm(`${action} the queue ${name}?`, action, effect, async () => {
		await post(`queues/${action.toLowerCase()}`, { name });
		done();
		return `The queue ${name} is ${action.toLowerCase()}d.`;
	});
}

/** @param {() => unknown} done */
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
			// Another person may have changed the other limits meanwhile.
			const text = it => JSON.stringify(it?.starts ? [it.starts, it.period] : it);
			const changed = Object.entries(read(data, now.partitioned)).filter(([name, it]) => text(it) !== text(now[name]));
			if (changed.length === 0) throw new Error("No limit is changed.");
			await post("queues/limits", { name: queue.name, limits: Object.fromEntries(changed) });
			dialog.toast(`The limits of ${queue.name} are changed.`);
			done();
		},
	},
	h("p.muted", null, "They take effect immediately, in all processes. What runs goes on. An empty field is no limit."),
	h("div.fields", null,
		whole("concurrency", "Running in the fleet"), whole("worker_concurrency", "Running in one process"), rate("rate_limit", "Starts"),
		now.partitioned && [whole("partition_concurrency", "Running of a partition key"), rate("partition_rate_limit", "Starts of a partition key")]));
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

// Overview: how things are, and what needs a person.

import { get, mayAct } from "../api.js";
import { bars } from "../chart.js";
import { h } from "../dom.js";
import { count, counted, time } from "../format.js";
import { head, note, panel, status, table, workflowLine, empty, MEANING } from "../parts.js";
import { link, toWorkflows } from "../router.js";
import { present } from "./executors.js";
import { usualColumns } from "./queues.js";

/** How many queues are shown, those first on which most wait. */
const BUSIEST = 8;

/** @type {import("../app.js").Open} */
export function open({ signal, redraw }) {
	let data = null;
	let isDay = false;
	const choose = day => () => {
		isDay = day;
		redraw();
	};
	const period = (label, day) =>
		h("button", { "aria-pressed": String(isDay === day), on: { click: choose(day) } }, label);
	return {
		title: "Overview",
		load: async () => {
			data = await get("overview", {}, signal);
		},
		view: () =>
			h("div", null,
				head("Overview", h("span.muted.small", null, "as of ", time(data.at, "clock"))),
				attention(data),
				h("h2.visually-hidden", null, "By status"),
				h("ul.tiles", null, data.statuses.map(tile)),
				h("section.panel", null,
					h("div.head", null, h("h2", null, "Ended"), h("span.grow", null), period("Last hour", false), period("Last day", true)),
					isDay ? bars("Last day", data.day) : bars("Last hour", data.hour)),
				h("div.columns", null,
					panel("Queues", queueTable(busiest(data.queues)), data.queues.length > BUSIEST && h("a", { href: link("queues") }, `All ${data.queues.length} queues`)),
					panel("Executors", present(data.executors)),
					panel("Failed in the last hour", lines(data.failed, "No workflow has failed."), more({ status: "ERROR" }, "All that failed")),
					panel("Parked", lines(data.parked, "No workflow is parked."), more({ status: "PARKED" }, "All that are parked")))),
	};
}

/** @param {{ status: string, count: number, capped: boolean }} it */
const tile = it =>
	h("li", { key: it.status },
		h("a", { href: toWorkflows({ status: it.status }) },
			h("span", null, status(it.status)),
			h("strong", null, count(it.count), it.capped && "+"),
			h("small.muted", null, MEANING[it.status])));

/** @param {string} none */
const lines = (items, none) => (items.length ? h("ul.lines", null, items.map(workflowLine)) : empty(none));

/** @param {Record<string, string>} query @param {string} text */
const more = (query, text) => h("a", { href: toWorkflows(query) }, text);

/** What a person should look at, with the remedy. */
function attention(data) {
	const [paused, gone] = [data.queues.filter(it => it.paused), data.executors.filter(it => it.state === "expired")];
	const living = data.executors.some(it => it.state === "live");
	const parked = data.statuses.find(it => it.status === "PARKED");
	const notes = [
		!living && note("problem", "No process of the application is running.", "launch the application."),
		data.unclaimed.map(it =>
			note("problem",
				[`${counted(it.workflows, "workflow", "wait")} for a process that has the function `, more({ name: it.name }, it.name), it.version && ` of ${it.version}`, it.queue ? ` and takes from the queue ${it.queue}.` : "."],
				"launch a program that has this function and takes from the queue; or move the workflows to another queue, or cancel them.")),
		parked?.count > 0 && note("warning", [more({ status: "PARKED" }, counted(parked.count, "workflow")), parked.capped && " or more", parked.count === 1 ? " is parked." : " are parked."],
			"read the reason of each below; then resume or cancel it."),
		paused.filter(it => it.depth > 0).map(it =>
			note("warning", [`The queue ${it.name} is paused, and ${counted(it.depth, "workflow", "wait")} on it.`], [h("a", { href: link("queues") }, "resume the queue"), mayAct() ? "." : ", with write access."])),
		gone.map(it =>
			note("warning", [`The lease of the executor ${it.name} has expired; it ran ${counted(it.running, "workflow")}.`],
				living ? "nothing: another process takes them over." : "launch the application.")),
	].flat();
	return h("section", { "aria-label": "Needs attention" }, notes);
}

const busiest = queues => [...queues].sort((a, b) => b.depth - a.depth || b.running - a.running || a.name.localeCompare(b.name)).slice(0, BUSIEST);

const queueTable = rows => table({ caption: "Queues", rows, columns: usualColumns, empty: "No queue is declared." });

// The columns of the table of workflows. The chosen ones are kept in this browser and the address.

import { h } from "./dom.js";
import { duration, time } from "./format.js";
import { filterLink, labelTags, ran, status, versionName, workflowLink, errorText } from "./parts.js";
import { storage } from "./router.js";

/** @typedef {{ name: string, title: string, fields: string[], class?: string, cell: (row: any) => import("./dom.js").Child }} Column */

/** @type {Column[]} */
const COLUMNS = [
	{ name: "id", title: "Id", fields: [], class: "wide", cell: it => workflowLink(it.id) },
	{ name: "status", title: "Status", fields: ["status"], cell: it => status(it.status) },
	{ name: "name", title: "Name", fields: ["name"], cell: it => filterLink("name", it.name) },
	{ name: "queue", title: "Queue", fields: ["queue"], cell: it => filterLink("queue", it.queue) },
	{ name: "created", title: "Created", fields: ["created_at"], class: "nowrap", cell: it => time(it.created_at, "relative") },
	{ name: "started", title: "Began", fields: ["started_at"], class: "nowrap", cell: it => time(it.started_at, "relative") },
	{ name: "completed", title: "Ended", fields: ["completed_at"], class: "nowrap", cell: it => time(it.completed_at, "relative") },
	{ name: "duration", title: "Ran for", fields: ["started_at", "completed_at", "status"], class: "number", cell: it => duration(ran(it)) },
	{ name: "reason", title: "Error or reason", fields: ["error", "reason"], class: "wide", cell: it => h("span.small.clamp", null, it.reason ?? errorText(it.error) ?? "") },
	{ name: "attempts", title: "Runs", fields: ["attempts", "recoveries"], class: "number", cell: it => h("span", { title: `${it.recoveries} after a crash` }, it.attempts) },
	{ name: "executor", title: "Executor", fields: ["executor"], cell: it => filterLink("executor", it.executor) },
	{ name: "version", title: "Version", fields: ["version"], cell: it => versionName(it.version) },
	{ name: "labels", title: "Labels", fields: ["labels"], cell: it => labelTags(it.labels) },
	{ name: "priority", title: "Priority", fields: ["priority"], class: "number", cell: it => it.priority },
	{ name: "partition", title: "Partition key", fields: ["partition_key"], cell: it => filterLink("partition", it.partition_key) },
	{ name: "deduplication", title: "Deduplication id", fields: ["deduplication_id"], cell: it => it.deduplication_id ?? "–" },
	{ name: "due", title: "Due", fields: ["due_at"], class: "nowrap", cell: it => time(it.due_at, "relative") },
	{ name: "deadline", title: "Deadline", fields: ["deadline"], class: "nowrap", cell: it => time(it.deadline, "relative") },
	{ name: "parent", title: "Parent", fields: ["parent"], cell: it => (it.parent ? workflowLink(it.parent) : "–") },
	{ name: "forked", title: "Fork of", fields: ["forked_from"], cell: it => (it.forked_from ? workflowLink(it.forked_from) : "–") },
	{ name: "user", title: "Started by", fields: ["started_by"], cell: it => filterLink("started-by", it.started_by) },
	{ name: "application", title: "Application", fields: ["application"], cell: it => it.application ?? "–" },
	{ name: "instance", title: "Instance", fields: ["instance"], cell: it => it.instance ?? "–" },
];

const USUAL = ["id", "status", "name", "queue", "created", "duration", "reason"];
const KEPT = "durable.columns";

/** The names of the columns that are shown. @param {URLSearchParams} query */
function chosenNames(query) {
	const names = (query.get("columns") ?? storage?.getItem(KEPT) ?? "").split(",").filter(name => COLUMNS.some(it => it.name === name));
	return names.length ? names : USUAL;
}

/** @param {URLSearchParams} query */
export function chosen(query) {
	const names = chosenNames(query);
	return COLUMNS.filter(it => names.includes(it.name));
}

/** What the API has to give for them. @param {URLSearchParams} query */
export const fields = query => [...new Set(["status", ...chosen(query).flatMap(it => it.fields)])].join(",");

/**
 * The list from which they are chosen.
 * @param {URLSearchParams} query
 * @param {(query: URLSearchParams) => void} change
 */
export function menu(query, change) {
	const names = chosenNames(query);
	const set = next => {
		const usual = next.join() === USUAL.join();
		storage?.setItem(KEPT, next.join(","));
		const changed = new URLSearchParams(query);
		if (usual) changed.delete("columns");
		else changed.set("columns", next.join(","));
		change(changed);
	};
	const toggle = name => () =>
		set(COLUMNS.map(it => it.name).filter(it => (it === name ? !names.includes(it) : names.includes(it))));
	return h("details.menu", null,
		h("summary", null, "Columns"),
		h("div", null,
			COLUMNS.filter(it => it.name !== "id").map(it =>
				h("label", null, h("input", { type: "checkbox", checked: names.includes(it.name), on: { change: toggle(it.name) } }), it.title)),
			h("button", { class: "link", on: { click: () => set(USUAL) } }, "Reset")));
}

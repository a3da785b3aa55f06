// Small parts that several pages show.

import { h, s } from "./dom.js";
import { count, duration, millis, now, time } from "./format.js";
import { toWorkflow, toWorkflows } from "./router.js";

/** @typedef {import("./dom.js").Child} Child */

export const STATUSES = ["ENQUEUED", "DELAYED", "PENDING", "SUCCESS", "ERROR", "CANCELLED", "PARKED"];

/** What each status means. @type {Record<string, string>} */
export const MEANING = {
	ENQUEUED: "waits on a queue",
	DELAYED: "waits for its time, then on a queue",
	PENDING: "runs, or waits inside",
	SUCCESS: "returned a value",
	ERROR: "returned an error or panicked",
	CANCELLED: "was cancelled",
	PARKED: "stopped until a person resumes it",
};

const [CHECK, CROSS, PAUSE, MARK] = ["M2 6l3 3 5-6", "M2.5 2.5l7 7m0-7l-7 7", "M4 2v8M8 2v8", "M6 1.5v5.5M6 9.3v1.2"];
/** A shape for each, so that the color is not needed. @type {Record<string, string>} */
const SHAPES = {
	success: CHECK, good: CHECK, live: CHECK, error: CROSS, dead: CROSS, parked: PAUSE, paused: PAUSE, warning: MARK, expired: MARK,
	pending: "M4 2l5 4-5 4z", enqueued: "M2 3h8M2 6h8M2 9h8", delayed: "M6 2v4l3 2", leaving: "M2 6h8M7 3l3 3-3 3",
};

/** A status or a state: a shape and a word. @param {string} word */
export function status(word) {
	const name = word.toLowerCase();
	const path = s("path", { d: SHAPES[name] ?? "M2 6h8", fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round" });
	const shape = s("svg", { width: 12, height: 12, viewBox: "0 0 12 12" }, path);
	return h("span", { class: `status ${name}`, title: MEANING[word] }, shape, word);
}

/** @param {string} id */
export const workflowLink = id => h("a", { href: toWorkflow(id), class: "mono" }, id);

/** A value, with a link to the workflows that have it. @param {string} name of the condition @param {string | null | undefined} value */
export const filterLink = (name, value) => (value ? h("a", { href: toWorkflows({ [name]: value }) }, value) : "–");

/** A number of workflows, with a link to them. @param {number} value @param {Record<string, string> | URLSearchParams} query */
export const countLink = (value, query) => (value === 0 ? "0" : h("a", { href: toWorkflows(query) }, count(value)));

/** @param {string | null | undefined} version */
export const versionName = version => h("span.mono", { title: version }, version?.slice(0, 12) ?? "–");

/** @param {string} heading @param {Child[]} content */
export const panel = (heading, ...content) => h("section.panel", null, h("h2", null, heading), content);

/** Names and values; entries without a value are left out. @param {([string, Child] | null | false | undefined)[]} entries */
export const facts = entries =>
	h("dl.facts", null,
		entries.map(it => it && it[1] !== null && it[1] !== undefined && it[1] !== "" && h("div", null, h("dt", null, it[0]), h("dd", null, it[1]))));

/** A problem, and what to do. @param {"warning" | "problem" | "good" | "info"} kind @param {Child} what @param {Child} [remedy] */
export const note = (kind, what, remedy) =>
	h("div", { class: `note ${kind}` }, h("p", null, what), remedy && h("p.remedy", null, "What to do: ", remedy));

/** @param {string} text */
export const empty = text => h("p.empty", null, text);

/** The top of a page. @param {Child} title @param {Child[]} more */
export const head = (title, ...more) => h("div.head", null, h("h1", { tabindex: -1 }, title), more);

/** @param {string} label @param {() => unknown} click @param {Record<string, any>} [more] */
export const button = (label, click, more) => h("button", { on: { click }, ...more }, label);

/**
 * A table.
 * @param {{ caption: string, columns: { title: Child, class?: string, cell: (row: any) => Child, heads?: boolean }[], rows: any[], key?: (row: any) => string, empty: string }} options
 */
export function table({ caption, columns, rows, key = it => it.name, empty: none }) {
	if (rows.length === 0) return empty(none);
	const cell = row => it =>
		h(it.heads ? "th" : "td", { class: it.class, scope: it.heads && "row" }, it.cell(row));
	return h("div.scroll", { tabindex: 0, role: "region", "aria-label": caption },
		h("table", null,
			h("caption.visually-hidden", null, caption),
			h("thead", null, h("tr", null, columns.map(it => h("th", { scope: "col", class: it.class }, it.title)))),
			h("tbody", null, rows.map(row => h("tr", { key: key(row) }, columns.map(cell(row)))))));
}

/** How long a workflow has run or ran. */
export function ran(it) {
	if (!it.started_at) return null;
	const end = it.completed_at ? millis(it.completed_at) : it.status === "PENDING" ? now() : NaN;
	return Number.isNaN(end) ? null : end - millis(it.started_at);
}

/** an object with `type` and `message`, as the API gives it */
export const errorText = error =>
	error === null || error === undefined ? null : typeof error === "object" && "message" in error ? String(error.message) : JSON.stringify(error);

/** A line of a list of workflows. */
export const workflowLine = it =>
	h("li", { key: it.id },
		h("div.row", null, status(it.status), workflowLink(it.id), h("span", null, it.name),
			h("span.muted.small", null, time(it.completed_at ?? it.started_at ?? it.created_at, "relative"))),
		h("div.small.muted", null, it.reason ?? errorText(it.error)));

/** Labels of a workflow, each a link to those that have it. @param {Record<string, string>} labels */
export const labelTags = labels =>
	h("span.row", null,
		Object.entries(labels ?? {}).map(([name, value]) => h("a.tag", { href: toWorkflows({ label: `${name}=${value}` }) }, `${name}=${value}`)));

/** of a queue */
export function limitsText(limits) {
	const rate = it => it && `${it.starts} starts per ${duration(it.period * 1000)}`;
	const parts = [
		limits.concurrency !== null && `${limits.concurrency} at once`,
		limits.worker_concurrency !== null && `${limits.worker_concurrency} at once in a process`,
		rate(limits.rate_limit),
		limits.partition_concurrency !== null && `${limits.partition_concurrency} at once for a partition key`,
		limits.partition_rate_limit && `${rate(limits.partition_rate_limit)} for a partition key`,
	].filter(Boolean);
	return parts.length ? parts.join(", ") : "none";
}

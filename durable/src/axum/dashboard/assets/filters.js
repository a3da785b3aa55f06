// The filter of the table: conditions in the address, with the names of the API.

import { settings } from "./api.js";
import { h } from "./dom.js";
import { time } from "./format.js";
import { STATUSES, status } from "./parts.js";

/** @typedef {{ name: string, title: string, kind: "text" | "one" | "time", hint?: string }} Field */

/** Every condition except the status. `text` may be given several times. @type {Field[]} */
const FIELDS = [
	{ name: "prefix", title: "Id begins with", kind: "one" },
	{ name: "id", title: "Id", kind: "text" },
	{ name: "name", title: "Name", kind: "text", hint: "the name of the function" },
	{ name: "queue", title: "Queue", kind: "text" },
	{ name: "label", title: "Label", kind: "text", hint: "name=value" },
	{ name: "error", title: "Error or reason contains", kind: "one" },
	{ name: "executor", title: "Executor", kind: "text" },
	{ name: "version", title: "Version", kind: "text" },
	{ name: "partition", title: "Partition key", kind: "text" },
	{ name: "parent", title: "Parent", kind: "text", hint: "the id of the workflow that started it" },
	{ name: "forked-from", title: "Fork of", kind: "text", hint: "the id of the other workflow" },
	{ name: "started-by", title: "Started by", kind: "text", hint: "a user" },
	{ name: "created-after", title: "Created after", kind: "time" },
	{ name: "created-before", title: "Created before", kind: "time" },
	{ name: "started-after", title: "Began after", kind: "time" },
	{ name: "started-before", title: "Began before", kind: "time" },
	{ name: "completed-after", title: "Ended after", kind: "time" },
	{ name: "completed-before", title: "Ended before", kind: "time" },
];

/** Whether a condition is given once. @param {string} name */
const isOne = name => FIELDS.some(it => it.name === name && it.kind !== "text");

const NAMES = new Set(["status", ...FIELDS.map(it => it.name)]);

/** Only the conditions. @param {URLSearchParams} query */
export function conditions(query) {
	return new URLSearchParams([...query].filter(([name, value]) => NAMES.has(name) && value !== ""));
}

/** The conditions for an action. @param {URLSearchParams} query @returns {Record<string, string | string[]>} */
export function asFilter(query) {
	const given = conditions(query);
	return Object.fromEntries([...new Set(given.keys())].map(name => [name, isOne(name) ? given.get(name) ?? "" : given.getAll(name)]));
}

/** @param {URLSearchParams} query @param {string} name @param {string} value @returns {URLSearchParams} */
const without = (query, name, value) =>
	new URLSearchParams([...query].filter(([it, its]) => it !== "after" && (it !== name || its !== value)));

/** @param {URLSearchParams} query @param {string} name @param {string} value @returns {URLSearchParams} */
function withCondition(query, name, value) {
	const others = without(query, name, value);
	if (isOne(name)) others.delete(name);
	others.append(name, value);
	return others;
}

let chosen = "prefix";

/**
 * The statuses, a condition to add, and those that hold.
 * @param {URLSearchParams} query
 * @param {(query: URLSearchParams) => void} change
 * @param {() => void} redraw
 */
export function bar(query, change, redraw) {
	const statuses = query.getAll("status");
	const toggle = word => () => change(statuses.includes(word) ? without(query, "status", word) : withCondition(query, "status", word));
	const field = FIELDS.find(it => it.name === chosen) ?? FIELDS[0];
	/** @param {SubmitEvent} event */
	const add = event => {
		event.preventDefault();
		const input = /** @type {any} */ (event.target).elements.value;
		const value = field.kind === "time" ? isoOf(input.value) : input.value.trim();
		if (!value) return;
		input.value = "";
		change(withCondition(query, field.name, value));
	};
	const choose = event => {
		chosen = event.target.value;
		redraw();
	};
	return h("section.stack", { "aria-label": "Filter" },
		h("div.row", { role: "group", "aria-label": "Status" },
			STATUSES.map(word => h("button", { class: "plain", "aria-pressed": String(statuses.includes(word)), on: { click: toggle(word) } }, status(word)))),
		h("form.row", { on: { submit: add } },
			h("select", { "aria-label": "Condition", value: chosen, on: { change: choose } }, FIELDS.filter(it => it.name !== "error" || !settings.redacted).map(it => h("option", { value: it.name }, it.title))),
			h("input", { key: field.kind, id: "filter-value", name: "value", "aria-label": field.title, type: field.kind === "time" ? "datetime-local" : "text", step: field.kind === "time" ? 1 : null, placeholder: field.hint, autocomplete: "off", spellcheck: "false" }),
			h("button", { type: "submit" }, "Add filter")),
		chips(query, change));
}

/** @param {string} local the value of a `datetime-local` */
function isoOf(local) {
	const at = new Date(local);
	return Number.isNaN(at.getTime()) ? "" : at.toISOString();
}

/** @param {URLSearchParams} query @param {(query: URLSearchParams) => void} change */
function chips(query, change) {
	const given = [...conditions(query)].filter(([name]) => name !== "status");
	if (given.length === 0) return null;
	const title = name => FIELDS.find(it => it.name === name)?.title ?? name;
	return h("ul.row.chips", { "aria-label": "Conditions" },
		given.map(([name, value]) => h("li.chip", { key: `${name} ${value}` },
			h("span", null, title(name), " ", /-(after|before)$/.test(name) ? time(value) : h("strong", null, value)),
			h("button", { "aria-label": `Remove ${title(name)} ${value}`, on: { click: () => change(without(query, name, value)) } }, "✕"))),
		h("li", null, h("button", { class: "link", on: { click: () => change(new URLSearchParams([...query].filter(([name]) => !NAMES.has(name) && name !== "after"))) } }, "Clear all")));
}

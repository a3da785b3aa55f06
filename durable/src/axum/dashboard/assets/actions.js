// What can be done with workflows, with one, with some, or with all that a filter selects.

import * as api from "./api.js";
import { follow } from "./bulk.js";
import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { count, counted } from "./format.js";
import { STATUSES, status, workflowLink } from "./parts.js";

/** @typedef {{ ids: string[] } | { filter: Record<string, string | string[]> }} Selection */
/**
 * @typedef {object} Action
 * @property {string} title
 * @property {string} done what has become of them
 * @property {string} path
 * @property {string} [explains]
 * @property {string[]} of the statuses that allow it
 * @property {boolean} [danger]
 * @property {() => import("./dom.js").Child} [options]
 * @property {(data: FormData, isOne: boolean) => object} [read]
 */

const WAITING = ["ENQUEUED", "DELAYED"];
const ENDED = ["SUCCESS", "ERROR", "CANCELLED"];
const number = (name, more) => h("input", { name, type: "number", required: true, ...more });

/** @type {Record<string, Action>} */
export const ACTIONS = {
	cancel: {
		title: "Cancel", done: "cancelled", path: "workflows/cancel", danger: true, of: [...WAITING, "PENDING", "PARKED"],
		explains: "Those that run stop at their next durable call; a step that runs is not undone.",
		options: () => h("label", null, h("input", { type: "checkbox", name: "children" }), "Also cancel child workflows"),
		read: data => ({ children: data.get("children") === "on" }),
	},
	resume: {
		title: "Resume", done: "resumed", path: "workflows/resume", of: ["PARKED", "CANCELLED", "ERROR"],
		explains: "They go on where they stopped. What led to a failure runs again; what succeeded does not.",
	},
	restart: {
		title: "Restart", done: "restarted", path: "workflows/restart", of: STATUSES,
		explains: "New workflows with the same arguments run from the beginning. The old ones stay as they are.",
	},
	fork: {
		title: "Fork", done: "forked", path: "workflows/fork", of: STATUSES,
		explains: "New workflows keep what is recorded before a call, and run anew from there. The old ones stay as they are.",
		options: () => [
			dialog.field("From", h("select", { name: "from" },
				h("option", { value: "failure" }, "the first call whose error led to the end"),
				h("option", { value: "last_step" }, "the last call with a record"),
				h("option", { value: "position" }, "a position"))),
			dialog.field("Position", h("input", { name: "position", type: "number", min: 1, value: 1 }), "for “a position”: counted from 1 in the body"),
		],
		read: data => ({ from: data.get("from") === "position" ? Number(data.get("position")) : data.get("from") }),
	},
	delete: {
		title: "Delete", done: "deleted", path: "workflows/delete", danger: true, of: [...ENDED, "PARKED"],
		explains: "Those that have ended or are parked are removed from the database, with all that they have started. This cannot be undone.",
	},
	labels: {
		title: "Label", done: "labelled", path: "workflows/labels", of: STATUSES,
		options: () => dialog.field("Labels", h("textarea", { name: "labels", required: true, placeholder: "tenant=acme" }), "one name=value on each line; without a value the label is removed"),
		read: data => ({ labels: Object.fromEntries(String(data.get("labels")).split("\n").filter(it => it.trim()).map(pair)) }),
	},
	priority: {
		title: "Priority", done: "changed", path: "workflows/priority", of: WAITING,
		options: () => dialog.field("Priority", number("priority", { step: 1, value: 0 }), "lower numbers go first"),
		read: data => ({ priority: Number(data.get("priority")) }),
	},
	delay: {
		title: "Delay", done: "delayed", path: "workflows/delay", of: WAITING,
		options: () => dialog.field("Seconds from now", number("seconds", { min: 0, step: "any", value: 60 })),
		read: data => ({ seconds: Number(data.get("seconds")) }),
	},
	queue: {
		title: "Move", done: "moved", path: "workflows/queue", of: WAITING,
		options: () => dialog.field("Queue", h("input", { name: "queue", required: true })),
		read: data => ({ queue: String(data.get("queue")) }),
	},
};

/** @param {string} line @returns {[string, string]} */
function pair(line) {
	const [name, value] = line.split(/=(.*)/s);
	return [name.trim(), (value ?? "").trim()];
}

/**
 * Shows what an action would change, and carries it out.
 * @param {string} name of the action
 * @param {Selection} selection
 * @param {() => void} done
 */
export async function ask(name, selection, done) {
	const action = ACTIONS[name];
	const isFilter = "filter" in selection;
	const preview = h("div.stack", { "aria-live": "polite" }, h("p.muted", null, "Counting …"));
	const speed = isFilter && dialog.field("Workflows per second", h("input", { name: "per_second", type: "number", min: 1, placeholder: "unlimited" }));
	const total = !isFilter ? counted(selection.ids.length, "workflow") : "all workflows that match";
	dialog.open({
		title: `${action.title} ${total}?`, action: action.title, danger: action.danger,
		accept: async data => {
			const options = action.read?.(data, !isFilter) ?? {};
			const perSecond = data.get("per_second") ? { per_second: Number(data.get("per_second")) } : {};
			const answer = await api.post(action.path, { ...selection, ...options, ...perSecond });
			if (answer.bulk) follow(action, answer, done);
			else report(action, answer);
			done();
		},
	}, action.explains && h("p", null, action.explains), preview, action.options?.(), speed);
	try {
		preview.replaceChildren(...(await previewed(action, selection)));
	} catch (error) {
		preview.replaceChildren(h("p", null, String(/** @type {Error} */ (error).message)));
	}
}

/** What the action selects, and how much of that it can change. @param {Action} action @param {Selection} selection */
async function previewed(action, selection) {
	const filters = "filter" in selection ? [selection.filter] : parts(selection.ids).map(id => ({ id }));
	const [some, ...counted_] = await Promise.all([
		api.get("workflows", { ...filters[0], limit: 5, columns: "status,name", "oldest-first": true }),
		...filters.map(it => api.get("workflows/count", { ...it, group: "status" }))]);
	/** @type {Map<string, number>} */
	const counts = new Map();
	for (const it of counted_.flatMap(it => it.groups)) counts.set(it.value, (counts.get(it.value) ?? 0) + it.count);
	const sum = groups => groups.reduce((sum, [, it]) => sum + it, 0);
	const groups = [...counts];
	const [total, changed] = [sum(groups), sum(groups.filter(([it]) => action.of.includes(it)))];
	return [
		h("p", null, h("strong", null, counted(changed, "workflow"), counted_.some(it => it.capped) && " or more"), ` would be ${action.done}`,
			total > changed && `, and ${count(total - changed)} cannot be, because of the status`, "."),
		h("div.row", null, groups.map(([word, it]) => h("span", null, status(word), " ", count(it)))),
		h("ul.small", null, some.items.map(it => h("li", null, h("span.mono", null, it.id), ` ${it.name}`)),
			total > some.items.length && h("li.muted", null, `and ${count(total - some.items.length)} more`)),
	];
}

/** An address has room for so many ids. @param {string[]} ids @returns {string[][]} */
const parts = ids => Array.from({ length: Math.ceil(ids.length / 50) }, (_, at) => ids.slice(at * 50, at * 50 + 50));

/** @param {Action} action @param {{ done: number, refused: number, results: { id: string, done: boolean, new: string | null, message: string | null }[] }} answer */
function report(action, { done, refused, results }) {
	const made = results.filter(it => it.new).slice(0, 5);
	if (done > 0) {
		dialog.toast([`${counted(done, "workflow")} ${action.done}.`, made.length > 0 && [" New: ", made.map(it => [workflowLink(String(it.new)), " "])]]);
	}
	const reasons = new Set(results.filter(it => !it.done).map(it => it.message));
	if (refused > 0) dialog.toast(h("span", null, `${counted(refused, "workflow")} refused: `, [...reasons].slice(0, 3).join("; ")), "problem");
}

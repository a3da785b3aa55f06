// JSON that folds, with its size and a button that copies it.

import { digits } from "./api.js";
import { h } from "./dom.js";
import { size } from "./format.js";
import { toast } from "./dialog.js";

const OPEN_TO = 3;
const MOST_ITEMS = 200;

/** Any JSON value. */
export function json(value) {
	if (value === undefined) return h("p.muted", null, "none");
	const text = JSON.stringify(value);
	const copy = () => copyText(JSON.stringify(value, null, 2));
	// Another value is another element; what the person has unfolded stays while it is the same.
	return h("div", { key: text, still: true },
		h("div.json", text.length > 600 && { tabindex: 0, role: "group", "aria-label": "JSON" }, node(value, 0)),
		text.length > 100 && h("div.row.small.muted", null, size(new Blob([text]).size), h("button.link", { on: { click: copy } }, "Copy")));
}

/** @param {string} text */
export async function copyText(text) {
	try {
		await navigator.clipboard.writeText(text);
		toast("Copied.");
	} catch {
		toast("This browser does not let a page copy here: it asks for https or localhost.", "problem");
	}
}

/** @param {number} depth @param {string | null} [name] of a member @returns {HTMLElement} */
function node(value, depth, name = null) {
	const key = name !== null && h("span.key", null, `${JSON.stringify(name)}: `);
	const leaf = (kind, text) => h("div", null, key, h(`span.${kind}`, null, text));
	if (typeof value === "number" || digits(value)) return leaf("number", digits(value) ?? String(value));
	if (typeof value === "string") return leaf("text", JSON.stringify(value));
	if (value === null || typeof value === "boolean") return leaf("word", String(value));
	const isList = Array.isArray(value);
	const entries = Object.entries(value);
	if (entries.length === 0) return leaf("word", isList ? "[]" : "{}");
	const body = h("div");
	const fill = from => {
		for (const [its, it] of entries.slice(from, from + MOST_ITEMS)) body.append(node(it, depth + 1, isList ? null : its));
		const rest = entries.length - from - MOST_ITEMS;
		if (rest <= 0) return;
		const more = h("button.link", { on: { click: () => (more.remove(), fill(from + MOST_ITEMS)) } }, `${rest} more`);
		body.append(more);
	};
	const details = h("details", null, h("summary", null, key, h("span.muted", null, isList ? `[ ${entries.length} ]` : `{ ${entries.length} }`)), body);
	// What is folded costs nothing until it is unfolded.
	if (depth < OPEN_TO && entries.length <= 50) {
		details.open = true;
		fill(0);
	} else {
		details.addEventListener("toggle", () => fill(0), { once: true });
	}
	return details;
}

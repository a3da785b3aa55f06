// Shortcuts. They are off while something is typed.

import { h } from "./dom.js";
import { open } from "./dialog.js";

/** @typedef {{ key: string, means: string, act: () => void }} Shortcut */

/** @type {Shortcut[]} */
let general = [];
/** @type {Shortcut[]} */
let ofPage = [];
let before = "";

/** @param {Shortcut[]} shortcuts */
export function start(shortcuts) {
	general = [...shortcuts, { key: "?", means: "Show these shortcuts", act: help }];
	document.addEventListener("keydown", press);
}

/** Those of the page that is shown. @param {Shortcut[]} shortcuts */
export function setPage(shortcuts) {
	ofPage = shortcuts;
}

/** @param {KeyboardEvent} event */
function press(event) {
	const target = /** @type {HTMLElement} */ (event.target);
	const isTyping = target.closest("input:not([type=checkbox]), textarea, select") || document.querySelector("dialog[open]");
	if (isTyping || event.ctrlKey || event.metaKey || event.altKey || event.key === "Shift") return;
	const found = [...ofPage, ...general].find(it => it.key === `${before} ${event.key}` || it.key === event.key);
	before = event.key;
	if (!found) return;
	event.preventDefault();
	before = "";
	found.act();
}

function help() {
	const line = it =>
		h("tr", null, h("th", { scope: "row" }, it.key.split(" ").map(key => [h("kbd", null, key), " "])), h("td", null, it.means));
	open({ title: "Keyboard shortcuts" },
		h("table", null,
			h("caption.visually-hidden", null, "Keyboard shortcuts"),
			h("thead", null, h("tr", null, h("th", { scope: "col" }, "Key"), h("th", { scope: "col" }, "What it does"))),
			h("tbody", null, [...ofPage, ...general].map(line))));
}

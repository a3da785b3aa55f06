// Dialogs that ask before something is changed, and short notes of what has happened.

import { h } from "./dom.js";

/** @typedef {import("./dom.js").Child} Child */

/** A note that screen readers read out. @param {Child} text @param {"good" | "problem"} [kind] */
export function toast(text, kind = "good") {
	const note = h("div", { class: `note ${kind}` }, h("p", null, text));
	const close = h("button.link.small", { on: { click: () => note.remove() } }, "Dismiss");
	note.append(close);
	document.getElementById("toasts")?.append(note);
	if (kind === "good") setTimeout(() => note.remove(), 8000);
}

/**
 * Opens a dialog. `accept` runs when its button is pressed; the dialog closes when that has succeeded, and shows
 * the error otherwise.
 * @param {{ title: string, action?: string, danger?: boolean, accept?: (data: FormData) => Promise<unknown> | unknown }} options
 * @param {...Child} content
 */
export function open({ title, action, danger, accept }, ...content) {
	const problem = h("div", { role: "alert" });
	const submit = action && h("button", { class: danger ? "primary danger" : "primary", type: "submit" }, action);
	const close = () => dialog.close();
	/** @param {SubmitEvent} event */
	const send = async event => {
		event.preventDefault();
		problem.replaceChildren();
		submit.disabled = true;
		try {
			await accept?.(new FormData(/** @type {HTMLFormElement} */ (event.target)));
			close();
		} catch (error) {
			problem.replaceChildren(h("div.note.problem", null, String(/** @type {any} */ (error)?.message ?? error)));
			submit.disabled = false;
		}
	};
	const dialog = h("dialog", { "aria-labelledby": "dialog-title", on: { close: () => dialog.remove() } },
		h("h2", { id: "dialog-title" }, title),
		h("form.stack", { on: { submit: send } },
			content,
			problem,
			h("div.row.end", null,
				h("button", { on: { click: close } }, accept ? "Back" : "Close"), submit)));
	document.body.append(dialog);
	dialog.showModal();
	return dialog;
}

/**
 * Asks before one thing is done.
 * @param {string} title @param {string} action @param {string} effect what it would change
 * @param {() => Promise<Child>} act gives the note of what has happened
 */
export const confirm = (title, action, effect, act) =>
	open({ title, action, accept: async () => toast(await act()) }, h("p", null, effect));

/** A labelled control. @param {string} label @param {Child} control @param {Child} [hint] */
export const field = (label, control, hint) =>
	h("label.field", null, h("span", null, label), control, hint && h("small.muted", null, hint));

// A fork of one workflow, from any of its calls, with other arguments or other results.

import * as api from "./api.js";
import * as dialog from "./dialog.js";
import { h } from "./dom.js";
import { toWorkflow } from "./router.js";

/**
 * @param {any} workflow with its payloads
 * @param {{ from?: number, outputs?: Record<string, any> }} [given] where it begins, and which results are to be changed
 */
export function forkDialog(workflow, { from = 1, outputs = {} } = {}) {
	// What a person edits is sent in full, with the numbers that were rounded.
	const isReadOnly = api.hasRounded;
	if (isReadOnly) outputs = {};
	const args = !isReadOnly && workflow.input && typeof workflow.input === "object" && !Array.isArray(workflow.input) ? Object.entries(workflow.input) : [];
	const area = (name, label, value) =>
		dialog.field(label, h("textarea", { name, class: "short", spellcheck: "false" }, pretty(value)));
	dialog.open({
		title: `Fork ${workflow.id}`, action: "Fork",
		accept: async data => {
			const body = {
				ids: [workflow.id], from: Number(data.get("from")),
				...changed("arguments", args, "argument", data), ...changed("outputs", Object.entries(outputs), "output", data),
				...text(data, "id"), ...text(data, "queue"), ...text(data, "version"),
			};
			const { results: [result] } = await api.post("workflows/fork", body);
			if (!result.done) throw new Error(result.message ?? "It was refused.");
			dialog.toast(["Forked as ", result.new, "."]);
			location.assign(toWorkflow(result.new));
		},
	},
	h("p", null, "A new workflow keeps what is recorded before the position, and runs anew from there. This one stays as it is, with its unreceived messages."),
	dialog.field("From position", h("input", { name: "from", type: "number", min: 1, required: true, value: from }), "it and all calls behind it run again"),
	isReadOnly && h("p", null, "This browser rounds integers of more than 15 digits, so values cannot be edited in it. A newer one can."),
	args.map(([name, value]) => area(`argument ${name}`, `Argument ${name}`, value)),
	Object.entries(outputs).map(([position, value]) => area(`output ${position}`, `Result at position ${position}`, value)),
	h("details", null, h("summary", null, "More"),
		h("div.fields", null,
			dialog.field("Id", h("input", { name: "id", placeholder: "a new one" })),
			dialog.field("Queue", h("input", { name: "queue", placeholder: workflow.queue ?? "none" })),
			dialog.field("Version", h("input", { name: "version", placeholder: "the present one" })))));
}

const pretty = value => JSON.stringify(value ?? null, null, 2);

/** Only what the person has changed is sent: what the host hides stays what it is. @param {string} field @param {[string, any][]} entries @param {string} prefix @param {FormData} data */
function changed(field, entries, prefix, data) {
	/** @type {Record<string, any>} */
	const found = {};
	for (const [name, value] of entries) {
		const next = api.parseField(data.get(`${prefix} ${name}`), `The ${prefix} ${name}`);
		if (JSON.stringify(next) !== JSON.stringify(value ?? null)) found[name] = next;
	}
	return Object.keys(found).length ? { [field]: found } : {};
}

/** @param {FormData} data @param {string} name */
const text = (data, name) => (data.get(name) ? { [name]: String(data.get(name)) } : {});

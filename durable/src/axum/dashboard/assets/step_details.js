// The record of one call: what it returned, why attempts failed, and a fork from there.

import { mayAct } from "./api.js";
import { h } from "./dom.js";
import { time } from "./format.js";
import { forkDialog } from "./fork.js";
import { json } from "./json_view.js";
import { button, errorText, facts, workflowLink } from "./parts.js";

/**
 * @param {import("./timeline_rows.js").Row} row
 * @param {any} workflow that it is a call of
 * @param {any} record with its payload, once that is read
 */
export function stepDetails(row, workflow, record) {
	const step = record ?? row.step;
	if (!step) return h("div");
	const number = Number(step.position.split("/")[0]);
	return h("div.stack", null,
		facts([
			["Position", h("span.mono", null, step.position)], ["Kind", step.kind], ["Name", step.name], ["Attempts", step.attempts],
			["Began", time(step.started_at)], ["Recorded", time(step.completed_at)],
			step.child && ["Started", workflowLink(step.child)],
			row.replayed && ["Replayed", "by the present run: its body did not run again"],
		]),
		step.failures.length > 0 && h("div", null,
			h("h3", null, "Attempts that failed"),
			h("ol", null, step.failures.map(it => h("li.bad", null, typeof it === "string" ? it : JSON.stringify(it))))),
		step.error
			? h("div", null, h("h3", null, "Error"), h("p.bad", null, errorText(step.error)), json(step.error))
			: h("div", null, h("h3", null, "Output"), record ? json(record.output) : h("p.muted", null, "Loading …")),
		mayAct() && workflow && record && h("div.row", null,
			button("Fork from here …", () => forkDialog(workflow, { from: number })),
			button("Fork behind it with another result …", () => forkDialog(workflow, { from: number + 1, outputs: { [step.position]: step.output ?? null } }))));
}

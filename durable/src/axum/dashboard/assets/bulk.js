// The progress of an action on all workflows that a filter selects. A workflow of its own carries it out, so it goes
// on when the page is closed.

import * as api from "./api.js";
import * as dialog from "./dialog.js";
import { h, mount } from "./dom.js";
import { count, counted } from "./format.js";
import { status, workflowLink } from "./parts.js";

const ENDED = ["SUCCESS", "ERROR", "CANCELLED", "PARKED"];
const PAUSE = 500;

/**
 * @param {{ title: string, done: string }} action
 * @param {{ bulk: string, matched: number, capped: boolean }} started
 * @param {() => void} changed is called while it goes on
 */
export async function follow(action, started, changed) {
	const { bulk: id, matched: total, capped } = started;
	/** @type {any} */
	let progress = { status: "ENQUEUED", report: null, reason: null };
	const stop = async () => {
		try {
			await api.post("workflows/cancel", { ids: [id] });
		} catch (error) {
			dialog.toast(/** @type {Error} */ (error).message, "problem");
		}
	};
	const view = () => {
		const { report, reason } = progress;
		const seen = report ? report.changed + report.unchanged + report.refused : 0;
		const isOver = ENDED.includes(progress.status);
		return h("div.stack", null,
			h("progress", { max: Math.max(total, seen, 1), "data-seen": seen, value: isOver && progress.status === "SUCCESS" ? Math.max(total, seen, 1) : seen, "aria-label": `${action.title}: progress` }),
			h("p", { role: "status" },
				isOver ? (progress.status === "SUCCESS" ? "Done: " : "Stopped: ") : `${count(seen)} of ${count(total)}${capped ? " or more" : ""}: `,
				report ? `${counted(report.changed, "workflow")} ${action.done}, ${count(report.unchanged)} were so already, ${count(report.refused)} refused.` : "it begins."),
			reason && h("p", null, reason),
			report && Object.keys(report.reasons ?? {}).length > 0 && h("ul.small", null,
				Object.entries(report.reasons).slice(0, 5).map(([text, it]) => h("li", null, `${count(/** @type {number} */ (it))}: ${text}`))),
			h("p.small.muted", null, "It is carried out by the workflow ", workflowLink(id), " ", status(progress.status), isOver ? "." : ", and goes on when this is closed."),
			!isOver && h("button", { class: "danger", on: { click: stop } }, "Stop it"));
	};
	const root = h("div.bulk-progress", null);
	const redraw = mount(root, view);
	redraw();
	const shown = dialog.open({ title: `${action.title} all that match` }, root);
	let failures = 0;
	while (shown.isConnected && !ENDED.includes(progress.status)) {
		await new Promise(wake => setTimeout(wake, PAUSE));
		try {
			progress = await api.get("bulk", { id });
			failures = 0;
		} catch (error) {
			failures += 1;
			if (failures > 20) return dialog.toast(/** @type {Error} */ (error).message, "problem");
		}
		redraw();
	}
	changed();
}

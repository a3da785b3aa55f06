// The progress of an action on all workflows that a filter selects. A workflow of its own carries it out, so it goes
// on when the page is closed.

import * as api from "./api.js";
import * as dialog from "./dialog.js";
import { h, mount } from "./dom.js";
import { count, counted } from "./format.js";
import { status, workflowLink } from "./parts.js";

const PAUSE = 1000;

/**
 * @param {{ title: string, done: string }} action
 * @param {{ bulk: string, matched: number, capped: boolean }} started
 * @param {() => void} changed is called while it goes on
 */
export async function follow(action, started, changed) {
	const { bulk: id, matched: total, capped } = started;
	/** @type {any} */
	let progress = { status: "ENQUEUED", report: null, reason: null };
	/** What has failed: nothing behind an open dialog can be read. @type {Record<string, string>} */
	const failures = {};
	const attempt = async (what, call) => {
		try {
			await call();
			failures[what] = "";
		} catch (error) {
			failures[what] = /** @type {Error} */ (error).message;
		}
		redraw();
	};
	const read = async () => {
		progress = await api.get("bulk", { id });
	};
	const stop = () => attempt("stop", () => api.post("workflows/cancel", { ids: [id] }));
	const hasEnded = () => !["ENQUEUED", "DELAYED", "PENDING"].includes(progress.status);
	const view = () => {
		const { report, reason } = progress;
		const seen = report ? report.changed + report.unchanged + report.refused : 0;
		const isOver = hasEnded();
		const max = Math.max(total, seen, 1);
		return h("div.stack", null,
			h("progress", { max, value: progress.status === "SUCCESS" ? max : seen, "aria-label": `${action.title}: progress` }),
			h("p", { role: "status" },
				isOver ? (progress.status === "SUCCESS" ? "Done: " : "Stopped: ") : `${count(seen)} of ${count(total)}${capped ? " or more" : ""}: `,
				report ? `${counted(report.changed, "workflow")} ${action.done}, ${count(report.unchanged)} unchanged, ${count(report.refused)} refused.` : "it begins."),
			reason && h("p", null, reason),
			report && Object.keys(report.reasons ?? {}).length > 0 && h("ul.small", null,
				Object.entries(report.reasons).slice(0, 5).map(([text, it]) => h("li", null, `${count(/** @type {number} */ (it))}: ${text}`))),
			h("p.small.muted", null, "It is carried out by the workflow ", workflowLink(id), " ", status(progress.status), isOver ? "." : ", and goes on when this is closed."),
			h("div", { role: "alert" }, Object.values(failures).map(it => it && h("p.bad", null, it))),
			!isOver && h("button", { class: "danger", on: { click: stop } }, "Stop it"));
	};
	const root = h("div");
	const redraw = mount(root, view);
	redraw();
	const shown = dialog.open({ title: `${action.title} all that match` }, root);
	while (shown.isConnected && !hasEnded()) {
		await new Promise(wake => setTimeout(wake, PAUSE));
		if (!document.hidden) await attempt("read", read);
	}
	changed();
}

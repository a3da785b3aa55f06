// Schedules: the next ticks, and starting workflows beside them.

import { get, mayAct, post } from "../api.js";
import * as dialog from "../dialog.js";
import { h } from "../dom.js";
import { counted, time } from "../format.js";
import { button, head, status, table, workflowLink } from "../parts.js";
import { toWorkflows } from "../router.js";

/** @type {import("../app.js").Open} */
export function open({ signal, redraw }) {
	/** @type {any[]} */
	let schedules = [];
	const load = async () => {
		schedules = await get("schedules", {}, signal);
	};
	/** @param {string} path @param {(answer: any) => import("../dom.js").Child} text */
	const act = async (path, schedule, text) => {
		try {
			const answer = await post(`schedules/${path}`, { name: schedule.name });
			dialog.toast(text(answer));
		} catch (error) {
			dialog.toast(/** @type {Error} */ (error).message, "problem");
		}
		await load();
		redraw();
	};
	const actions = it =>
		h("div.row", null,
			button("Trigger", () => act("trigger", it, ({ id }) => ["Started ", workflowLink(id)]), { "aria-label": `Trigger ${it.name}` }),
			button("Backfill …", () => backfill(it), { "aria-label": `Backfill ${it.name}` }),
			it.paused
				? button("Resume", () => act("resume", it, () => `The schedule ${it.name} goes on from its next tick.`), { "aria-label": `Resume ${it.name}` })
				: button("Pause", () => act("pause", it, () => `The schedule ${it.name} is paused.`), { "aria-label": `Pause ${it.name}` }));
	return {
		title: "Schedules",
		load,
		view: () =>
			h("div", null,
				head("Schedules"),
				h("section.panel", null, table({
					caption: "Schedules", rows: schedules, key: it => it.name, empty: "No schedule is declared.",
					columns: [
						{ title: "Schedule", heads: true, cell: it => [it.name, " ", it.paused && status("paused")] },
						{ title: "Workflow", cell: it => h("a", { href: toWorkflows({ name: it.workflow }) }, it.workflow, it.instance && ` of ${it.instance}`) },
						{ title: "Expression", cell: it => [h("code.nowrap", null, it.cron), h("div.small.muted", null, it.timezone, it.in_code ? "" : ", made at run time")] },
						{ title: "Last tick", cell: it => time(it.last_tick, "relative") },
						{ title: "Next ticks", class: "wide", cell: ticks },
						mayAct() && { title: "Actions", cell: actions },
					].filter(it => it !== false),
				}))),
	};
}

function ticks(schedule) {
	const [next, ...rest] = schedule.next_ticks;
	if (!next) return schedule.paused ? "none while it is paused" : "none";
	return [time(next), " (", time(next, "relative"), ")", rest.length > 0 && h("details.small", null, h("summary", null, `${rest.length} more`), rest.map(it => h("div", null, time(it))))];
}

function backfill(schedule) {
	const day = 86400000;
	const local = at => new Date(at - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
	dialog.open({
		title: `Backfill ${schedule.name}`, action: "Start the ticks",
		accept: async data => {
			const [from, to] = ["from", "to"].map(name => new Date(String(data.get(name))));
			if (Number.isNaN(+from) || Number.isNaN(+to)) throw new Error("Both times are needed.");
			const { started } = await post("schedules/backfill", { name: schedule.name, from: from.toISOString(), to: to.toISOString() });
			dialog.toast(`${counted(started, "workflow")} started.`);
		},
	},
	h("p.muted", null, "Starts a workflow for each tick in this stretch of time that none was started for. Times are in the zone of this browser."),
	h("div.fields", null,
		dialog.field("From", h("input", { name: "from", type: "datetime-local", required: true, value: local(Date.now() - day) })),
		dialog.field("Until", h("input", { name: "to", type: "datetime-local", required: true, value: local(Date.now()) }))));
}

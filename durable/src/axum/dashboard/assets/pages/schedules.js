// Schedules: the next ticks, and starting workflows beside them.

import { get, mayAct, post } from "../api.js";
import * as dialog from "../dialog.js";
import { h } from "../dom.js";
import { counted, time, timeBoth } from "../format.js";
import { button, head, status, table, workflowLink } from "../parts.js";
import { toWorkflows } from "../router.js";

/** @type {import("../app.js").Open} */
export function open({ signal, reload }) {
	/** @type {any[]} */
	let schedules = [];
	/** @param {string} action @param {any} schedule @param {string} effect @param {(answer: any) => import("../dom.js").Child} done */
	const act = (action, { name }, effect, done) =>
		button(`${action} …`, () => dialog.confirm(`${action} the schedule ${name}?`, action, effect, async () => {
			const answer = await post(`schedules/${action.toLowerCase()}`, { name });
			reload();
			return done(answer);
		}), { "aria-label": `${action} ${name}` });
	const actions = it =>
		h("div.row", null,
			act("Trigger", it, `A workflow ${it.workflow} starts now, beside those of the ticks.`, ({ id }) => ["Started ", workflowLink(id)]),
			button("Backfill …", () => backfill(it), { "aria-label": `Backfill ${it.name}` }),
			it.paused
				? act("Resume", it, "Workflows start from its next tick on.", () => `The schedule ${it.name} is resumed.`)
				: act("Pause", it, "Its ticks start no workflow until it is resumed. Those that run go on.", () => `The schedule ${it.name} is paused.`));
	return {
		title: "Schedules",
		load: async () => {
			schedules = await get("schedules", {}, signal);
		},
		view: () =>
			h("div", null,
				head("Schedules"),
				h("section.panel", null, table({
					caption: "Schedules", rows: schedules, empty: "No schedule is declared.",
					columns: [
						{ title: "Schedule", heads: true, cell: it => [it.name, " ", it.paused && status("paused")] },
						{ title: "Workflow", cell: it => h("a", { href: toWorkflows({ name: it.workflow }) }, it.workflow, it.instance && ` of ${it.instance}`) },
						{ title: "Expression", cell: it => [h("code.nowrap", null, it.cron), h("div.small.muted", null, it.timezone, it.in_code ? "" : ", made at run time")] },
						{ title: "Last tick", cell: it => time(it.last_tick, "relative") },
						{ title: "Next ticks", class: "wide", cell: ticks },
						mayAct() && { title: "Actions", class: "nowrap", cell: actions },
					].filter(it => it !== false),
				}))),
	};
}

function ticks(schedule) {
	const [next, ...rest] = schedule.next_ticks;
	if (!next) return schedule.paused ? "none while it is paused" : "none";
	return [timeBoth(next), rest.length > 0 && h("details.small", null, h("summary", null, `${rest.length} more`), rest.map(it => h("div", null, time(it))))];
}

function backfill(schedule) {
	const day = 86400000;
	const local = at => new Date(at - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16);
	dialog.open({
		title: `Backfill ${schedule.name}`, action: "Start the ticks",
		accept: async data => {
			const [from, to] = ["from", "to"].map(name => new Date(String(data.get(name))).toISOString());
			const { started } = await post("schedules/backfill", { name: schedule.name, from, to });
			dialog.toast(`${counted(started, "workflow")} started.`);
		},
	},
	h("p.muted", null, "Starts a workflow for each tick in this range that has no workflow yet. Times are in the zone of this browser."),
	h("div.fields", null,
		dialog.field("From", h("input", { name: "from", type: "datetime-local", required: true, value: local(Date.now() - day) })),
		dialog.field("Until", h("input", { name: "to", type: "datetime-local", required: true, value: local(Date.now()) }))));
}

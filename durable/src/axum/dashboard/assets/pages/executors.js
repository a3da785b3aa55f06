// Executors: the launches of programs that run, or ran, the workflows.

import { get } from "../api.js";
import { h } from "../dom.js";
import { count, time } from "../format.js";
import { head, status, table } from "../parts.js";
import { toWorkflows } from "../router.js";

/** What each state means. @type {Record<string, string>} */
const STATES = {
	live: "its heartbeat came in time",
	leaving: "it shuts down, and takes nothing new",
	expired: "its lease has expired; another one takes its workflows over",
	dead: "its workflows were taken over, or it ended",
};

/** @type {import("../app.js").Open} */
export function open({ signal }) {
	/** @type {any[]} */
	let executors = [];
	return {
		title: "Executors",
		load: async () => {
			executors = await get("executors", {}, signal);
		},
		view: () =>
			h("div", null,
				head("Executors"),
				h("p.muted", null, "An executor is a launched process of the application. It holds a lease, which its heartbeat extends."),
				h("section.panel", null, table({
					caption: "Executors", rows: executors, key: it => it.name + it.started_at, empty: "No executor is known.",
					columns: [
						{ title: "Executor", heads: true, class: "wide", cell: it => it.name },
						{ title: "State", cell: it => [status(it.state), h("div.small.muted", null, STATES[it.state])] },
						{ title: "Host", cell: it => it.host },
						{ title: "Version", cell: it => h("span.mono", null, it.version ?? "–") },
						{ title: "Running", class: "number", cell: it => h("a", { href: toWorkflows({ executor: it.name, status: "PENDING" }) }, count(it.running)) },
						{ title: "Launched", cell: it => time(it.started_at) },
						{ title: "Lease", class: "nowrap", cell: it => time(it.lease_until, "relative") },
					],
				}))),
	};
}

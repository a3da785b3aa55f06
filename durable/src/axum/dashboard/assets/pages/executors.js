// Executors: the launches of programs that run, or ran, the workflows.

import { get } from "../api.js";
import { h } from "../dom.js";
import { time } from "../format.js";
import { countLink, head, status, table, versionName } from "../parts.js";

/** What each state means. @type {Record<string, string>} */
const STATES = {
	live: "its heartbeat came in time",
	leaving: "it shuts down, and takes nothing new",
	expired: "its lease has expired; another one takes its workflows over",
	dead: "its workflows were taken over, or it ended",
};

const name = { title: "Executor", heads: true, cell: it => it.name };
const others = [
	{ title: "Version", cell: it => versionName(it.version) },
	{ title: "Running", class: "number", cell: it => countLink(it.running, { executor: it.name, status: "PENDING" }) },
	{ title: "Lease", class: "nowrap", cell: it => time(it.lease_until, "relative") },
];

/** Those that have not ended, for the overview. */
export const present = executors => executorTable(executors.filter(it => it.state !== "dead"), [name, { title: "State", cell: it => status(it.state) }, ...others]);

const executorTable = (rows, columns) =>
	table({ caption: "Executors", rows, columns, key: it => it.name + it.started_at, empty: "No executor is known." });

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
				h("section.panel", null, executorTable(executors, [
					name,
					{ title: "State", cell: it => [status(it.state), h("div.small.muted", null, STATES[it.state])] },
					{ title: "Host", cell: it => it.host },
					{ title: "Launched", cell: it => time(it.started_at) },
					...others,
				]))),
	};
}

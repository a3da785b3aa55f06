// What is in flight of each version, and when its last process can go.

import { get } from "../api.js";
import { h } from "../dom.js";
import { count, time } from "../format.js";
import { countLink, head, status, table } from "../parts.js";

/** @type {import("../app.js").Open} */
export function open({ signal }) {
	/** @type {any[]} */
	let versions = [];
	return {
		title: "Versions",
		load: async () => {
			versions = await get("versions", {}, signal);
		},
		view: () =>
			h("div", null,
				head("Versions"),
				h("p.muted", null, "A deploy drains a version: once nothing of it is in flight, its last process can go."),
				h("section.panel", null, table({
					caption: "Versions", rows: versions, key: it => it.version ?? "", empty: "Nothing is in flight, and no process runs.",
					columns: [
						{ title: "Version", heads: true, class: "wide", cell: it => h("span.mono", null, it.version ?? "without a version") },
						{ title: "In flight", class: "number", cell: it => number(it, it.in_flight, ["PENDING", "ENQUEUED", "DELAYED"]) },
						{ title: "Pending", class: "number", cell: it => number(it, it.pending, ["PENDING"]) },
						{ title: "Enqueued", class: "number", cell: it => number(it, it.enqueued, ["ENQUEUED"]) },
						{ title: "Delayed", class: "number", cell: it => number(it, it.delayed, ["DELAYED"]) },
						{ title: "Parked", class: "number", cell: it => number(it, it.parked, ["PARKED"]) },
						{ title: "Oldest", cell: it => time(it.oldest, "relative") },
						{ title: "Executors", class: "number", cell: it => count(it.executors) },
						{ title: "Drain", class: "wide", cell: drain },
					],
				}))),
	};
}

/** @param {any} row @param {number} value @param {string[]} statuses */
const number = ({ version }, value, statuses) =>
	version ? countLink(value, new URLSearchParams([["version", version], ...statuses.map(word => ["status", word])])) : count(value);

function drain(it) {
	if (it.in_flight === 0 && it.parked > 0) return [status("warning"), " parked work may need it"];
	if (it.in_flight === 0) return [status("good"), it.executors ? " drained: its processes can be stopped" : " drained"];
	if (it.executors > 0) return "in use";
	return [status("warning"), " in flight without a process of this version: others run it, unless the version policy is `Pin`"];
}

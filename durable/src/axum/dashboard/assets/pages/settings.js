// Settings: what this dashboard is connected to, and what it lets the person do.

import { address, get, settings } from "../api.js";
import { h } from "../dom.js";
import { facts, head, panel } from "../parts.js";

/** @type {import("../app.js").Open} */
export function open({ signal }) {
	return {
		title: "Settings",
		load: async news => {
			if (!news || news.all) Object.assign(settings, await get("settings", {}, signal));
		},
		view: () =>
			h("div", null,
				head("Settings"),
				panel("Database", facts([
					["Application", settings.application ?? "none: a client without an engine serves this"],
					["Database", h("span.mono", null, settings.database)],
					["Schema", settings.schema_version],
					["Changes by other processes", settings.notifications === "listen" ? "as notifications" : "by polling"],
					["Library", settings.library_version],
				])),
				panel("Access", facts([
					["Actions", settings.access === "read_only" ? "none: the host allows reading only" : "all"],
					["User", settings.user ?? "the host names none"],
					["Payloads", settings.redacted ? "the host hides parts of them" : "shown in full"],
					["Live updates", `looked for every ${settings.live_seconds} s while a page is open`],
				])),
				panel("JSON API",
					h("p", null, "All that is shown here is also an answer of the API: ", h("a", { href: address("openapi.json").href }, "its description (OpenAPI)"), "."))),
	};
}

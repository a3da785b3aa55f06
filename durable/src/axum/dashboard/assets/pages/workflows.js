// A live table with every filter in the address, and actions on some or all that match.

import { ACTIONS, ask } from "../actions.js";
import { get, mayAct } from "../api.js";
import * as columns from "../columns.js";
import { h } from "../dom.js";
import * as filters from "../filters.js";
import { count, counted } from "../format.js";
import { empty, head } from "../parts.js";
import { pushAddress, toWorkflows } from "../router.js";

/** How often the number of all that match is counted while things change. */
const COUNT_EACH = 10000;

/** @type {import("../app.js").Open} */
export function open({ query: given, signal, redraw, reload }) {
	let query = new URLSearchParams([...given].map(([name, value]) => [name, name === "status" ? value.toUpperCase() : value]));
	/** @type {{ items: any[], next: string | null }} */
	let shown = { items: [], next: null };
	/** @type {{ total: number, capped: boolean } | null} */
	let counted_ = null;
	let countedAt = 0;
	/** @type {Set<string>} */
	const chosen = new Set();
	let isAll = false;
	/** The cursors of the pages before this one. @type {(string | null)[]} */
	const before = [];

	const load = async () => {
		const given = query;
		const list = new URLSearchParams([...filters.conditions(given), ["columns", columns.fields(given)]]);
		for (const name of ["after", "oldest-first", "limit"]) if (given.get(name)) list.set(name, given.get(name) ?? "");
		const isDue = Date.now() - countedAt > COUNT_EACH;
		if (isDue) countedAt = Date.now();
		const counting = isDue ? get("workflows/count", filters.conditions(given), signal) : null;
		counting?.then(it => given === query && ((counted_ = it), redraw()), () => {});
		const page = await get("workflows", list, signal);
		if (given === query) shown = page;
	};
	/** Shows another part of the table, and names it in the address. @param {URLSearchParams} next */
	const change = next => {
		const isOther = filters.conditions(next).toString() !== filters.conditions(query).toString();
		query = next;
		pushAddress(toWorkflows(query));
		if (isOther) {
			[isAll, counted_, countedAt, before.length] = [false, null, 0, 0];
			shown = { items: [], next: null };
			chosen.clear();
		}
		redraw();
		reload();
	};
	const done = () => {
		[isAll, countedAt] = [false, 0];
		chosen.clear();
		reload();
	};
	const act = name => () => ask(name, isAll ? { filter: filters.asFilter(query) } : { ids: [...chosen] }, done);
	const turn = after => {
		const next = new URLSearchParams(query);
		if (after) next.set("after", after);
		else next.delete("after");
		change(next);
	};
	const view = () => {
		const hasConditions = filters.conditions(query).size > 0;
		const total = counted_ && `${counted(counted_.total, "workflow")}${counted_.capped ? " or more" : ""}`;
		return h("div", null,
			head("Workflows", h("span.muted", { "aria-live": "polite" }, total), h("span.grow", null),
				h("select", { "aria-label": "Order", value: query.get("oldest-first") ? "old" : "new", on: { change: event => {
					const next = new URLSearchParams([...query].filter(([name]) => name !== "after" && name !== "oldest-first"));
					if (event.target.value === "old") next.set("oldest-first", "true");
					change(next);
				} } }, h("option", { value: "new" }, "Newest first"), h("option", { value: "old" }, "Oldest first")),
				columns.menu(query, change)),
			h("div.panel", null, filters.bar(query, change, redraw)),
			h("div.panel", null, shown.items.length ? list() : empty(hasConditions ? "No workflow matches." : "There is no workflow yet."), paging()),
			mayAct() && (chosen.size > 0 || isAll) && bulkBar(hasConditions, total));
	};
	const list = () => {
		const all = shown.items.every(it => chosen.has(it.id));
		const toggle = id => () => {
			isAll = false;
			if (!chosen.delete(id)) chosen.add(id);
			redraw();
		};
		const togglePage = () => {
			isAll = false;
			for (const { id } of shown.items) all ? chosen.delete(id) : chosen.add(id);
			redraw();
		};
		const box = (label, checked, change) =>
			h("input", { type: "checkbox", "aria-label": label, checked, on: { change } });
		const parts = columns.chosen(query);
		return h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Workflows" },
			h("table", { id: "workflows" },
				h("caption.visually-hidden", null, "Workflows"),
				h("thead", null, h("tr", null, mayAct() && h("th", { scope: "col" }, box("Select this page", all, togglePage)),
					parts.map(it => h("th", { scope: "col", class: it.class }, it.title)))),
				h("tbody", null, shown.items.map(row => h("tr", { key: row.id, "data-id": row.id, class: chosen.has(row.id) || isAll ? "chosen" : null },
					mayAct() && h("td", null, box(`Select ${row.id}`, chosen.has(row.id) || isAll, toggle(row.id))),
					parts.map(it => (it.name === "id" ? h("th", { scope: "row", class: it.class }, it.cell(row)) : h("td", { class: it.class }, it.cell(row)))))))));
	};
	const paging = () => {
		const after = query.get("after");
		if (!after && !shown.next) return null;
		return h("nav.row", { "aria-label": "Pages of the table" },
			h("button", { disabled: !after, on: { click: () => ((before.length = 0), turn(null)) } }, "First"),
			h("button", { disabled: !before.length, on: { click: () => turn(before.pop() ?? null) } }, "Back"),
			h("button", { disabled: !shown.next, on: { click: () => (before.push(after), turn(shown.next)) } }, "Next"));
	};
	const bulkBar = (hasConditions, total) =>
		h("section.panel.bulk-bar.stack", { "aria-label": "Actions on the selected workflows" },
			h("div.row", null,
				h("strong", { role: "status" }, isAll ? ["All that match", total && `: ${total}`] : `${count(chosen.size)} selected`),
				!isAll && h("button", { disabled: !hasConditions, title: hasConditions ? null : "Add a filter first", on: { click: () => ((isAll = true), redraw()) } }, "Select all that match"),
				h("button", { class: "link", on: { click: () => ((isAll = false), chosen.clear(), redraw()) } }, "Select none")),
			h("div.row", null, Object.entries(ACTIONS).map(([name, it]) =>
				h("button", { class: it.danger ? "danger" : null, on: { click: act(name) } }, `${it.title} …`))));
	const focusFilter = () => document.getElementById("filter-value")?.focus();
	/** The focus on the next or the previous row. @param {number} step */
	const move = step => () => {
		const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll("#workflows tbody th a")]);
		const at = links.findIndex(it => it.closest("tr")?.contains(document.activeElement));
		links[at < 0 ? 0 : Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
	};
	const select = () => {
		const row = /** @type {HTMLElement | null} */ (document.activeElement?.closest("#workflows tr[data-id]"));
		/** @type {HTMLElement | null | undefined} */ (row?.querySelector("input"))?.click();
	};
	return {
		title: "Workflows",
		view,
		load,
		shortcuts: [
			{ key: "/", means: "Type a filter", act: focusFilter },
			{ key: "j", means: "Next workflow", act: move(1) },
			{ key: "k", means: "Previous workflow", act: move(-1) },
			...(mayAct() ? [
				{ key: "x", means: "Toggle the selection of this workflow", act: select },
				{ key: "c", means: "Cancel the selected workflows", act: () => (chosen.size > 0 || isAll) && act("cancel")() },
			] : []),
		],
	};
}

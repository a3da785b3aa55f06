// The timeline of a workflow: a table whose last column is drawn, so that it also reads as text.

import { h, s } from "./dom.js";
import { duration, millis, now } from "./format.js";
import { swatch } from "./chart.js";
import { status, workflowLink } from "./parts.js";
import { isOver, rowsOf, spanOf, ticks } from "./timeline_rows.js";

/** @typedef {import("./timeline_rows.js").Row} Row */
/**
 * @typedef {object} TimelineState
 * @property {Set<string>} opened keys of rows whose record is shown
 * @property {Set<string>} folded keys of rows whose branches are hidden
 * @property {Map<string, { workflow: any, steps: any[] } | null>} children that are unfolded; null while they are loaded
 * @property {Map<string, any>} known rows of the list of children, by id
 * @property {number} zoom
 * @property {number} most rows that are shown
 */

/** @returns {TimelineState} */
export const newState = () => ({ opened: new Set(), folded: new Set(), children: new Map(), known: new Map(), zoom: 1, most: 200 });

const LEGEND = [["run", "step"], ["retried", "step with retries"], ["failed", "failed"], ["wait", "waits"], ["sleep", "sleeps"], ["queued", "waits in a queue"], ["replayed", "replayed by the present run"]];

/**
 * @param {{ workflow: any, steps: any[], messages: any[], state: TimelineState, redraw: () => void,
 *   unfold: (id: string) => void, details: (row: Row) => Node, opened: (row: Row) => void }} options
 */
export function timeline({ workflow, steps, messages, state, redraw, unfold, details, opened }) {
	const at = now();
	const all = withChildren(rowsOf(workflow, steps, messages, at, 0), state, at);
	const rows = all.filter(row => !isHidden(row, state));
	const span = spanOf(all, workflow, at);
	const percent = time => Math.min(100, Math.max(0, ((time - span.from) / (span.to - span.from)) * 100));
	const replayedTo = workflow.attempts > 1 && workflow.started_at ? percent(millis(workflow.started_at)) : 0;
	const scene = { percent, span, at, replayedTo, isStill: isOver(workflow), state, redraw, unfold, opened };
	const zoom = factor => () => {
		state.zoom = Math.min(64, Math.max(1, state.zoom * factor));
		redraw();
	};
	const shown = rows.slice(0, state.most);
	const used = new Set(all.flatMap(row => row.bars.map(it => it.kind)));
	return h("div", null,
		h("div.row", null,
			h("div.legend", { "aria-hidden": "true" }, LEGEND.filter(([kind]) => (kind === "replayed" ? replayedTo > 0 : used.has(kind))).map(([kind, word]) => h("span", null, swatch(`bar ${kind}`), word))),
			h("span.grow", null),
			h("button", { "aria-label": "Zoom out", disabled: state.zoom === 1, on: { click: zoom(0.5) } }, "−"),
			h("button", { "aria-label": "Zoom in", disabled: state.zoom === 64, on: { click: zoom(2) } }, "+")),
		patterns(),
		h("div.scroll", { tabindex: 0, role: "region", "aria-label": "Timeline" },
			h("table.timeline", { style: { "--zoom": state.zoom } },
				h("caption.visually-hidden", null, `Timeline of ${workflow.id}: its calls in their order, with when they began and how long they took`),
				h("thead", null, h("tr", null,
					h("th", { scope: "col" }, "Call"), h("th", { scope: "col", class: "number" }, "Began"), h("th", { scope: "col", class: "number" }, "Took"),
					h("th", { scope: "col", class: "drawn" }, h("span.visually-hidden", null, "Drawn"), axis(span, state.zoom)))),
				h("tbody", null, shown.map(row => [line(row, scene), state.opened.has(row.key) && h("tr", { key: `${row.key} details`, class: "details" }, h("td", { colspan: 4 }, details(row)))])))),
		rows.length > shown.length && h("button", { on: { click: () => ((state.most += 500), redraw()) } }, `Show more of ${rows.length} rows`));
}

/** Puts the rows of unfolded children behind the calls that started them. @param {Row[]} rows @param {TimelineState} state @param {number} at @param {string[]} [above] @returns {Row[]} */
function withChildren(rows, state, at, above = []) {
	return rows.flatMap(row => {
		if (!row.child) return [row];
		const child = state.children.get(row.child);
		const known = child?.workflow ?? state.known.get(row.child);
		const drawn = known ? { ...row, bars: rowsOf(known, child?.steps ?? [], [], at, 0)[0].bars, open: !isOver(known), words: "" } : row;
		// A call can attach to a workflow that is above it.
		if (!child || above.includes(row.child)) return [drawn];
		return [drawn, ...withChildren(rowsOf(child.workflow, child.steps, [], at, row.depth).slice(1), state, at, [...above, row.child])];
	});
}

/** @param {Row} row @param {TimelineState} state */
function isHidden(row, state) {
	const parts = row.position.split("/");
	return parts.some((_, at) => at > 0 && state.folded.has(`${row.workflow} ${parts.slice(0, at).join("/")}`));
}

/** @param {{ from: number, to: number }} span @param {number} zoom */
function axis(span, zoom) {
	const whole = span.to - span.from;
	return s("svg", { class: "axis-line" }, ticks(whole, 5 * zoom).map(tick => {
		const x = (tick / whole) * 100;
		return [s("line", { x1: `${x}%`, x2: `${x}%`, y1: "70%", y2: "100%" }), s("text", { x: `${x}%`, y: "60%", "text-anchor": x > 92 ? "end" : x < 4 ? "start" : "middle" }, tick === 0 ? "0" : `+${duration(tick)}`)];
	}));
}

/** @param {Row} row */
function line(row, { percent, span, at, replayedTo, isStill, state, redraw, unfold, opened }) {
	const began = row.bars.length ? row.bars[0].from : NaN;
	const ended = row.bars.length ? row.bars[row.bars.length - 1].to : NaN;
	const isUnfolded = row.child ? state.children.has(row.child) : !state.folded.has(row.key);
	const fold = () => {
		if (row.child) unfold(row.child);
		else if (!state.folded.delete(row.key)) state.folded.add(row.key);
		redraw();
	};
	const show = () => {
		if (!state.opened.delete(row.key)) {
			state.opened.add(row.key);
			opened(row);
		}
		redraw();
	};
	const label = [row.kind !== "workflow" && h("span.tag", null, row.kind), " ", row.name];
	const known = row.child ? state.known.get(row.child) : null;
	const bar = it => {
		const [x, end] = [percent(it.from), percent(it.to)];
		return s("rect", { class: `bar ${it.kind}`, x: `${x}%`, y: 5, height: 12, rx: 2, width: `${Math.max(end - x, 0)}%` });
	};
	return h("tr", { key: row.key, class: [row.replayed && "replayed", row.step?.error && "failed", row.position === "" && "whole"].filter(Boolean).join(" ") || null },
		h("th", { scope: "row" },
			h("div.call", { style: { "--depth": row.depth } },
				row.parent && row.position !== "" ? h("button", { class: "fold", "aria-expanded": String(isUnfolded), "aria-label": `${row.child ? "Child" : "Branches of"} ${row.position}`, on: { click: fold } }, isUnfolded ? "▾" : "▸") : h("span.fold", null),
				row.position && h("span.position.muted", null, row.position),
				row.step ? h("button", { class: "link", "aria-expanded": String(state.opened.has(row.key)), on: { click: show } }, label) : h("span", null, label),
				known && status(known.status),
				row.child && h("span.small", null, workflowLink(row.child)),
				row.words && h("span", { class: row.step?.error ? "small bad" : "small muted" }, row.words),
				row.replayed && h("span.small.muted", null, "replayed"))),
		h("td.number.small", null, Number.isNaN(began) ? "–" : `+${duration(began - span.from)}`),
		h("td.number.small", null, Number.isNaN(ended) ? "–" : duration(ended - began), row.open && !isStill && " …"),
		h("td.drawn", null,
			s("svg", null,
				replayedTo > 0 && s("rect", { class: "replayed-part", x: 0, width: `${replayedTo}%`, y: 0, height: "100%" }),
				row.bars.map(bar),
				// What took no time is a dot.
				row.bars.map(it => percent(it.to) - percent(it.from) < 0.3 && s("circle", { class: `bar ${it.kind}`, cx: `${percent(it.from)}%`, cy: 11, r: 4 })),
				row.marks.map(it => s("circle", { class: "mark", cx: `${percent(it.at)}%`, cy: 11, r: 4 }, s("title", null, it.title))),
				!isStill && s("line", { class: "now", x1: `${percent(at)}%`, x2: `${percent(at)}%`, y1: 0, y2: "100%" }))));
}

/** Hatches for what waits: they differ from what runs without colors, too. */
const patterns = () =>
	s("svg", { class: "patterns", width: 0, height: 0 }, s("defs", null,
		["wait", "sleep", "queued", "retried"].map((kind, at) =>
			s("pattern", { id: `hatch-${kind}`, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: `rotate(${at % 2 ? 45 : 135})` },
				s("rect", { class: `hatch ${kind}`, width: 6, height: 6 }), s("line", { class: `hatch ${kind}`, x1: 0, y1: 0, x2: 0, y2: 6, "stroke-width": kind === "retried" ? 3 : 4 })))));

// The streams of a workflow, with what is written to them as it comes.

import { get } from "./api.js";
import { h } from "./dom.js";
import { counted, time } from "./format.js";
import { json } from "./json_view.js";
import { panel } from "./parts.js";

const PAGE = 100;
/** So many items are kept of all streams together; older ones go. */
const MOST = 1000;

/** @typedef {{ items: any[], next: number, dropped: number, more: boolean }} Streams */

/** @returns {Streams} */
export const newStreams = () => ({ items: [], next: 0, dropped: 0, more: false });

/** Reads what was written since the last time. @param {Streams} streams @param {string} id @param {AbortSignal} signal */
export async function readStreams(streams, id, signal) {
	const offset = streams.next;
	const page = await get("workflow/streams", { id, offset, limit: PAGE }, signal);
	if (signal.aborted || streams.next !== offset || page.next <= offset) return; // the items are here already
	streams.items.push(...page.items);
	streams.next = page.next;
	streams.more = page.items.length === PAGE;
	const excess = Math.max(0, streams.items.length - MOST);
	streams.items.splice(0, excess);
	streams.dropped += excess;
}

/** @param {Streams} streams @param {any} workflow @param {() => unknown} more */
export function streamsPanel(streams, workflow, more) {
	if (streams.items.length === 0) return null;
	const names = [...new Set(streams.items.map(it => it.stream))];
	const list = name => {
		const items = streams.items.filter(it => it.stream === name);
		const isOver = items.some(it => it.end);
		return h("section", { key: name },
			h("h3", null, name, h("span.muted.small", null, ` ${counted(items.length, "item")}${isOver ? ", closed" : workflow.completed_at ? "" : ", open"}`)),
			h("div.scroll.tail", { tabindex: 0, role: "log", "aria-label": `Stream ${name}` },
				h("ol.lines", null, items.map((it, at) => h("li", { key: `${name} ${at}`, class: "row" },
					h("span.muted.small", null, time(it.written_at, "clock")), it.end ? h("em", null, "end of the stream") : h("div.grow", null, json(it.value)))))));
	};
	return panel("Streams", streams.dropped > 0 && h("p.muted.small", null, `${counted(streams.dropped, "older item")} not shown.`), names.map(list),
		streams.more && h("button", { on: { click: more } }, "Read on"));
}

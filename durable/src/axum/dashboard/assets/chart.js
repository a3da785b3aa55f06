// Bars over time: what ended well, and what failed.

import { h, s } from "./dom.js";
import { count, counted, millis } from "./format.js";
import { toWorkflows } from "./router.js";

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });

/**
 * @param {string} label
 * @param {{ from: string, until: string, success: number, error: number, cancelled: number, capped: boolean }[]} buckets
 */
export function bars(label, buckets) {
	const total = it => it.success + it.error + it.cancelled;
	const most = Math.max(1, ...buckets.map(total));
	const width = 100 / Math.max(1, buckets.length);
	const sum = key => buckets.reduce((all, it) => all + it[key], 0);
	const more = buckets.some(it => it.capped) ? "+" : "";
	const rect = (at, from, value, kind) => {
		const height = Math.max(1.5, (value / most) * 96); // one of a thousand is seen, too
		return value > 0 && s("rect", {
			class: kind, x: `${at * width + width * 0.1}%`, width: `${width * 0.8}%`, y: `${100 - (from / most) * 96 - height}%`, height: `${height}%`,
		});
	};
	const bar = (it, at) =>
		s("g", { key: it.from },
			s("title", null, `${clock.format(millis(it.from))}: ${count(it.success)} succeeded, ${count(it.error)} failed, ${count(it.cancelled)} cancelled`),
			s("rect", { x: `${at * width}%`, width: `${width}%`, y: 0, height: "100%", fill: "transparent" }),
			rect(at, it.error, it.success + it.cancelled, "ok"),
			rect(at, 0, it.error, "failed"));
	const [failed, succeeded, cancelled] = [sum("error"), sum("success"), sum("cancelled")];
	const words = `${counted(succeeded, "workflow")}${more} succeeded, ${count(failed)} failed, ${count(cancelled)} cancelled`;
	const from = buckets[0]?.from;
	return h("figure", null,
		s("svg", { class: "chart", role: "img", "aria-label": `${label}: ${words}` },
			[0.5, 1].map(part => s("line", { class: "grid", x1: 0, x2: "100%", y1: `${100 - part * 96}%`, y2: `${100 - part * 96}%` })),
			buckets.map(bar)),
		h("div.axis", null,
			h("span", null, from ? clock.format(millis(from)) : ""), h("span", null, `highest bar ${count(most)}${more}`), h("span", null, "now")),
		h("figcaption.legend", null,
			h("span", null, swatch("ok"), `${count(succeeded + cancelled)}${more} succeeded or cancelled`),
			h("span", null, swatch("failed"), from ? h("a", { href: toWorkflows({ status: "ERROR", "completed-after": from }) }, `${count(failed)}${more} failed`) : "0 failed")));
}

/** @param {string} kind */
export const swatch = kind =>
	s("svg", { class: "swatch", width: 12, height: 12 }, s("rect", { class: kind, width: 12, height: 12, rx: 2 }));

/** How much of a limit is used. @param {number} used @param {number} limit */
export const meter = (used, limit) =>
	s("svg", { class: "meter", role: "img", "aria-label": `${used} of ${limit}` },
		s("rect", { class: "back", width: "100%", height: "100%", rx: 4 }),
		s("rect", { class: "ok", width: `${Math.min(100, (used / Math.max(1, limit)) * 100)}%`, height: "100%", rx: 4 }));

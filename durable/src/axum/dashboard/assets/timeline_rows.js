// The rows of a timeline, from records: what ran, waited and slept, and when.

import { isNever, millis } from "./format.js";

/** @typedef {{ from: number, to: number, kind: string }} Bar Times in milliseconds; the kind is a class. */
/**
 * A row. `step` is its record; null for a workflow, and for a call that has none yet. `workflow` is the id of the workflow
 * that it belongs to, `child` of the one that it has started. `words` are shown beside its name. `replayed`: its record is
 * from an earlier run. `open`: it has not ended. `parent`: there are rows below it, which can be folded.
 * @typedef {{ key: string, depth: number, position: string, kind: string, name: string, words: string, bars: Bar[],
 *   marks: { at: number, title: string }[], step: any, workflow: string, child: string | null, replayed: boolean,
 *   open: boolean, parent: boolean }} Row
 */

/** What the calls wait for, by the kind of their records. */
const WAITS = new Set(["recv", "get_event", "read_stream", "result", "wait_first", "select"]);

const WHAT = /** @type {Record<string, string>} */ ({
	recv: "a message", get_event: "an event", read_stream: "a stream item", result: "a workflow", wait_first: "the first of several", select: "the first of several",
});

/** @param {string} position */
const depthOf = position => position.split("/").length - 1;

/** `2/1` of `2/1/3`. @param {string} position */
export const parentOf = position => position.split("/").slice(0, -1).join("/");

/** Whether it stands still: one that is parked does until a person resumes it. */
export const isOver = workflow => Boolean(workflow.completed_at) || workflow.status === "PARKED";

/** Until when it is drawn. @param {number} now */
function endOf(workflow, steps, now) {
	if (workflow.completed_at) return millis(workflow.completed_at);
	return isOver(workflow) ? Math.max(millis(workflow.started_at ?? workflow.created_at), ...steps.map(it => millis(it.completed_at))) : now;
}

/** @param {string} a @param {string} b */
function comparePositions(a, b) {
	const [left, right] = [a.split("/").map(Number), b.split("/").map(Number)];
	for (let at = 0; at < Math.max(left.length, right.length); at += 1) {
		const difference = (left[at] ?? -1) - (right[at] ?? -1);
		if (difference) return difference;
	}
	return 0;
}

/**
 * The rows of one workflow, without those of its children.
 * @param {any} workflow
 * @param {any[]} steps
 * @param {any[]} messages
 * @param {number} now
 * @param {number} depth
 * @returns {Row[]}
 */
export function rowsOf(workflow, steps, messages, now, depth) {
	const base = { workflow: workflow.id, child: null, replayed: false, open: false, parent: false, step: null, words: "" };
	const replayedBefore = workflow.attempts > 1 && workflow.started_at ? millis(workflow.started_at) : -Infinity;
	const end = endOf(workflow, steps, now);
	const byPosition = new Map(steps.map(it => [it.position, it]));
	/** @type {Row[]} */
	const rows = [];
	for (const step of steps) {
		if (step.kind === "deadline") {
			const of = parentOf(step.position);
			if (!byPosition.has(of)) rows.push({ ...base, ...waitRow(workflow, step, of, end), depth: depth + 1 + depthOf(of) });
			continue;
		}
		const limit = byPosition.get(`${step.position}/1`);
		const waitedFrom = WAITS.has(step.kind) && limit?.kind === "deadline" ? limit.started_at : null;
		rows.push({
			...base,
			key: `${workflow.id} ${step.position}`, depth: depth + 1 + depthOf(step.position), position: step.position, kind: step.kind, name: nameOf(step),
			step, child: step.kind === "workflow" ? step.child : null, marks: [], ...stepBars(step, waitedFrom, end),
			words: wordsOf(step), replayed: millis(step.completed_at) < replayedBefore,
		});
	}
	rows.sort((a, b) => comparePositions(a.position, b.position));
	for (const [at, row] of rows.entries()) row.parent = Boolean(row.child) || (rows[at + 1]?.position ?? "").startsWith(`${row.position}/`);
	return [{ ...base, ...headRow(workflow, messages, end), depth, parent: depth > 0 }, ...rows];
}

/** A name that only repeats the kind is left out. */
const nameOf = step => (step.name === step.kind ? "" : step.name);

function wordsOf(step) {
	const failures = step.attempts > 1 ? `${step.attempts} attempts` : "";
	const nothing = step.kind === "recv" && step.output === null && !step.error ? "no message came" : "";
	return [step.error && "failed", failures, nothing].filter(Boolean).join(", ");
}

/** @param {string | null} waitedFrom @param {number} end of the workflow @returns {{ bars: Bar[], open: boolean }} */
function stepBars(step, waitedFrom, end) {
	const [from, to] = [millis(waitedFrom ?? step.started_at), millis(step.completed_at)];
	if (step.kind === "sleep") {
		const wake = Math.max(to, millis(step.output) || to);
		return { bars: [{ from, to: Math.min(wake, end), kind: "sleep" }], open: wake > end };
	}
	const kind = WAITS.has(step.kind) ? "wait" : step.error ? "failed" : step.attempts > 1 ? "retried" : "run";
	return { bars: [{ from, to, kind: WAITS.has(step.kind) && step.error ? "failed" : kind }], open: false };
}

/** A wait that has not ended: only its deadline has a record. @param {string} position @param {number} end */
function waitRow(workflow, limit, position, end) {
	const isOpen = workflow.status === "PENDING";
	return {
		key: `${workflow.id} ${position}`, position, kind: limit.name, name: "", marks: [], open: isOpen,
		words: isOpen ? `waits for ${WHAT[limit.name] ?? "something"}${isNever(limit.output) ? "" : ", with a deadline"}` : "had not ended",
		bars: [{ from: millis(limit.started_at), to: end, kind: "wait" }],
	};
}

/** @param {number} end */
function headRow(workflow, messages, end) {
	const [created, started] = [millis(workflow.created_at), millis(workflow.started_at)];
	const due = millis(workflow.due_at);
	const begun = Number.isNaN(started) ? end : started;
	/** @type {Bar[]} */
	const bars = [];
	if (due > created) bars.push({ from: created, to: Math.min(due, begun), kind: "sleep" });
	const queued = Math.max(created, Math.min(due || created, begun));
	if (begun > queued) bars.push({ from: queued, to: begun, kind: workflow.attempts > 1 ? "earlier" : "queued" });
	if (!Number.isNaN(started)) bars.push({ from: started, to: end, kind: workflow.status === "ERROR" ? "failed-run" : "body" });
	return {
		key: workflow.id, position: "", kind: "workflow", name: workflow.name, bars, open: !isOver(workflow),
		marks: messages.map(it => ({ at: millis(it.sent_at), title: `message on ${it.topic}${it.received_at ? "" : ", not received"}` })),
	};
}

/** From when until when the timeline goes. @param {Row[]} rows @param {number} now */
export function spanOf(rows, workflow, now) {
	const times = rows.flatMap(row => row.bars.flatMap(it => [it.from, it.to])).filter(it => !Number.isNaN(it));
	const from = Math.min(millis(workflow.created_at), ...times);
	const isStill = isOver(workflow);
	const length = Math.max(1, Math.max(isStill ? from : now, ...times) - from);
	return { from, to: from + length * (isStill ? 1 : 1.03) };
}

const STEPS = [...[1, 10, 100, 1000].flatMap(it => [it, it * 2, it * 5]), ...[10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800, 2592000].map(it => it * 1000)];

/** Round times for an axis. @param {number} length in milliseconds @param {number} most */
export function ticks(length, most) {
	const step = STEPS.find(it => length / it <= most) ?? STEPS[STEPS.length - 1] * Math.ceil(length / STEPS[STEPS.length - 1] / most);
	return Array.from({ length: Math.floor(length / step) + 1 }, (_, at) => at * step);
}

// Why a workflow waits, failed or is parked, in words, and what to do about it.

import { h } from "./dom.js";
import { count, counted, duration, isNever, millis, now, timeBoth } from "./format.js";
import { note, workflowLink, limitsText, errorText } from "./parts.js";
import { link, toWorkflows } from "./router.js";
import { parentOf } from "./timeline_rows.js";

/**
 * What is known about a workflow and its surroundings.
 * @typedef {object} Known
 * @property {any} workflow
 * @property {any[]} steps
 * @property {any[]} messages
 * @property {any[]} children
 * @property {any} queue
 * @property {any} executor
 * @property {any[]} unclaimed
 */

/** A workflow of which nothing was recorded for so long may hang. */
const QUIET = 5000;

/** @param {Known} known @returns {Node[]} */
export function why(known) {
	const { workflow } = known;
	switch (workflow.status) {
		case "ENQUEUED": return enqueued(known);
		case "DELAYED": return [note("info", ["It is delayed until ", timeBoth(workflow.due_at), "."], "wait; or change the delay, or cancel it.")];
		case "PENDING": return pending(known);
		case "PARKED": return [note("warning", ["It is parked: ", h("strong", null, workflow.reason ?? "without a reason"), "."],
			"mend what the reason names, then press Resume; or fork it from before that call; or cancel it.")];
		case "ERROR": return [failed(known)];
		case "CANCELLED": return [note("info", ["It was cancelled: ", workflow.reason ?? "without a reason", "."], "Resume lets it go on where it stopped.")];
		default: return [];
	}
}

/** @param {Known} known */
function failed({ workflow, steps }) {
	const step = [...steps].reverse().find(it => it.error);
	return note("problem", ["It failed: ", h("strong", null, errorText(workflow.error) ?? "without a message"),
		step && [". The last call that failed is ", h("a", { href: link(["workflows", workflow.id], { step: step.position }) }, `${step.name} at ${step.position}`), step.attempts > 1 && `, after ${step.attempts} attempts`], "."],
	"once the cause is mended, Resume runs the failed call again and keeps what succeeded; Fork makes a new workflow, with other arguments if you like.");
}

/** @param {Known} known */
function enqueued({ workflow, queue, unclaimed }) {
	const waits = duration(now() - millis(workflow.created_at));
	const untaken = unclaimed.find(it => ["name", "queue", "version"].every(of => (it[of] ?? null) === (workflow[of] ?? null)));
	/** @param {string} remedy */
	const atQueues = remedy => [remedy, " on the page of ", h("a", { href: link("queues") }, "the queues")];
	if (!queue) return [note("warning", [`It waits on the queue ${workflow.queue}, which no program has declared, for ${waits}.`], "launch a program with this queue, or move it to another one.")];
	const notes = [];
	if (queue.paused) notes.push(note("warning", [`The queue ${queue.name} is paused: nothing is taken from it. This has waited for ${waits}.`], [atQueues("resume the queue"), "."]));
	if (untaken) notes.push(note("problem", `No living process takes ${workflow.name} ${workflow.version ?? ""} from the queue ${queue.name}.`, "launch a program that has it, move this to another queue, or cancel it."));
	if (notes.length) return notes;
	const { limits } = queue;
	const running = h("a", { href: toWorkflows({ queue: queue.name, status: "PENDING" }) }, counted(queue.running, "workflow", "run"));
	const waiting = counted(queue.depth, "workflow", "wait");
	if (limits.concurrency !== null && queue.running >= limits.concurrency) {
		return [note("warning", [`The queue ${queue.name} lets ${limits.concurrency} run at once, and `, running, `. This has waited for ${waits}; ${waiting}.`], [atQueues("wait, look at what runs, or raise the limit"), "."])];
	}
	const rate = limits.rate_limit ?? limits.partition_rate_limit;
	if (rate) {
		return [note("warning", [`The queue ${queue.name} starts at most ${rate.starts} in ${duration(rate.period * 1000)}${limits.rate_limit ? "" : " for a partition key"}, and ${waiting}. This has waited for ${waits}.`], [atQueues("wait, or raise the rate"), "."])];
	}
	if (workflow.partition_key) {
		return [note("info", [`Workflows with the partition key ${workflow.partition_key} run one after the other. `, h("a", { href: toWorkflows(new URLSearchParams([["partition", workflow.partition_key], ["queue", queue.name], ["status", "PENDING"], ["status", "ENQUEUED"]])) }, "Those with this key"), "."], "wait, or look at the one that runs.")];
	}
	return [note("info", `It waits for its turn on the queue ${queue.name} for ${waits}; ${waiting}, ${counted(queue.running, "workflow", "run")}. Limits: ${limitsText(limits)}.`,
		[atQueues("wait; raise the limits"), ", or launch more processes, if it takes too long."])];
}

/** @param {Known} known @returns {Node[]} */
function pending(known) {
	const { workflow, executor } = known;
	if (!workflow.executor) return [note("warning", `No process runs it: it waits for a process that has the function ${workflow.name}.`, "launch a program that has it.")];
	if (executor && executor.state !== "live") {
		const words = executor.state === "leaving" ? "shuts down" : "has died";
		return [note("warning", `The executor ${executor.name} ran it and ${words}; another one takes it over.`, executor.state === "leaving" ? "wait." : "wait; if nothing happens, launch a program that has this function.")];
	}
	const now = activities(known);
	return [...now, ...recorded(known, now.length > 0)];
}

/** What it does now, if this process runs it. @param {Known} known @returns {Node[]} */
function activities({ workflow }) {
	return (workflow.activities ?? []).map(it => note(it.error ? "warning" : "info",
		["Now: ", h("strong", null, it.what), it.until && [it.error ? "; the next begins " : ", until ", timeBoth(it.until)], it.error && [". The last one: ", h("strong", null, it.error)], "."],
		it.error && "mend the cause before the attempts are used up; then Resume runs it again. To try it at once, Cancel and Resume it."));
}

/** What its records show. @param {Known} known @param {boolean} isKnown what it does now @returns {Node[]} */
function recorded({ workflow, steps, messages, children }, isKnown) {
	const positions = new Set(steps.map(it => it.position));
	const limits = steps.filter(it => it.kind === "deadline" && !positions.has(parentOf(it.position)));
	const sleeps = steps.filter(it => it.kind === "sleep" && millis(it.output) > now());
	const waiting = messages.filter(it => !it.received_at);
	const notes = limits.map(it => {
		const until = !isNever(it.output) ? [", until ", timeBoth(it.output)] : "";
		const waits = duration(now() - millis(it.started_at));
		if (it.name !== "recv") return note("info", [`It waits in ${it.name} at position ${parentOf(it.position)} for ${waits}`, until, "."]);
		const topics = [...new Set(waiting.map(its => its.topic))];
		return note("warning", [`It waits for a message at position ${parentOf(it.position)} for ${waits}`, until, ". ",
			topics.length ? `Unreceived: ${counted(waiting.length, "message")} on ${topics.join(", ")}.` : "None has come."],
		"look at what was to send it: the program's log, or the messages below for a misspelled topic.");
	});
	if (!isKnown) notes.push(...sleeps.map(it => note("info", ["It sleeps until ", timeBoth(it.output), "."])));
	const running = children.filter(it => !it.completed_at);
	if (running.length) {
		const some = running.slice(0, 3).map(it => [" ", workflowLink(it.id), ` (${it.status})`]);
		notes.push(note("info", [running.length === 1 ? "A child of it has not ended:" : `${count(running.length)} children of it have not ended, such as`, some, "."], "open it: what it waits for, this may wait for."));
	}
	if (notes.length || isKnown) return notes;
	const last = steps.reduce((latest, it) => Math.max(latest, millis(it.completed_at)), millis(workflow.started_at));
	const quiet = now() - last;
	if (quiet < QUIET) return [];
	return [note("info", [`It runs in ${workflow.executor}. Nothing was recorded for ${duration(quiet)}: a step runs, or waits to be tried again, or the body waits for something without a deadline.`],
		"read the log of that process for this id: with `durable=debug` each failed attempt is a line.")];
}

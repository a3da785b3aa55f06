// One workflow: why it is where it is, its timeline, and all that belongs to it.

import { ACTIONS, ask } from "../actions.js";
import { address, ApiError, get, mayAct } from "../api.js";
import { h } from "../dom.js";
import { count, duration, time, timeBoth, millis, now } from "../format.js";
import { forkDialog } from "../fork.js";
import { copyText, json } from "../json_view.js";
import { button, empty, errorText, facts, filterLink, head, labelTags, panel, ran, status, table, workflowLine, workflowLink } from "../parts.js";
import { link, pushAddress, toWorkflows } from "../router.js";
import { stepDetails } from "../step_details.js";
import { newStreams, readStreams, streamsPanel } from "../streams.js";
import { newState, timeline } from "../timeline.js";
import { why } from "../why.js";

/** At most this many records are read; a workflow with more shows the first. */
const MOST_STEPS = 5000;
const CHILD_FIELDS = "name,status,created_at,started_at,completed_at,due_at,attempts,reason,error";

/** @type {import("../app.js").Open} */
export function open({ path, query, signal, redraw, reload }) {
	const id = path.slice(1).join("/");
	let data = null;
	const state = newState();
	const streams = newStreams();
	if (query.get("step")) state.opened.add(`${id} ${query.get("step")}`);

	/** Whether news are about what is shown. */
	const concerns = news =>
		news.all || (news.queues && ["ENQUEUED", "DELAYED"].includes(data.workflow.status)) ||
		news.workflows.some(it => it.id === id || it.parent === id || it.forked_from === id || state.children.has(it.id));
	const load = async news => {
		if (news && !concerns(news)) return;
		const workflow = await get("workflow", { id }, signal);
		const [steps, events, messages, children, forks, around] = await Promise.all([
			allSteps(id, signal), get("workflow/events", { id }, signal), get("workflow/messages", { id }, signal),
			get("workflows", { parent: id, limit: 500, columns: CHILD_FIELDS, "oldest-first": true }, signal),
			get("workflows", { "forked-from": id, limit: 20, columns: CHILD_FIELDS }, signal),
			surroundings(workflow, signal), readStreams(streams, id, signal),
		]);
		for (const it of children.items) state.known.set(it.id, it);
		await Promise.all([...state.children.keys()].map(readChild));
		data = { workflow, steps, events: events.items, messages: messages.items, children: children.items, forks: forks.items, ...around };
	};
	const readChild = async child => {
		if (state.children.get(child)?.workflow.completed_at) return; // it does not change any more
		try {
			const [workflow, steps] = await Promise.all([get("workflow", { id: child }, signal), allSteps(child, signal)]);
			const children = await get("workflows", { parent: child, limit: 500, columns: CHILD_FIELDS }, signal);
			for (const it of children.items) state.known.set(it.id, it);
			state.known.set(child, workflow);
			if (state.children.has(child)) state.children.set(child, { workflow, steps: steps.items }); // it may be folded meanwhile
		} catch (error) {
			if (!(error instanceof ApiError)) throw error;
			state.children.delete(child); // such as a deleted one
		}
	};
	const unfold = async child => {
		if (state.children.delete(child)) return;
		state.children.set(child, null);
		await readChild(child);
		redraw();
	};
	const done = async () => {
		const failure = await reload();
		if (failure instanceof ApiError && failure.status === 404) location.assign(link("workflows"));
	};
	/** Each record is read once, when it is opened, and again after a failed call has run again. */
	const records = new Map();
	const recordOf = row => {
		const key = `${row.key} ${row.step?.completed_at}`;
		if (row.step && !records.has(key)) readRecord(key, row);
		return records.get(key);
	};
	const readRecord = async (key, { workflow, position }) => {
		records.set(key, null);
		try {
			records.set(key, await get("workflow/step", { id: workflow, position }, signal));
			redraw();
		} catch {
			records.delete(key); // the next view tries again
		}
	};
	/** From the call that failed, so that what succeeded does not run again. */
	const fork = () => forkDialog(data.workflow, { from: data.workflow.status === "ERROR" && parseInt(data.steps.items.findLast(it => it.error)?.position) || 1 });
	/** The address names the call that was opened last. */
	const opened = row => row.workflow === id && pushAddress(link(["workflows", id], { step: row.position }));
	const show = row => {
		const of = row.workflow === id ? data.workflow : state.children.get(row.workflow)?.workflow;
		return stepDetails(row, of, recordOf(row));
	};
	const view = () => {
		const { workflow, steps, messages } = data;
		return h("div", null,
			head([h("span.muted.small", null, "Workflow "), h("span.mono", null, workflow.id)], status(workflow.status), h("span", null, workflow.name)),
			mayAct() && actions(workflow, done, fork),
			h("section", { "aria-label": "Why" }, why({ ...data, steps: steps.items })),
			h("section.panel", null, summary(workflow)),
			h("section.panel", null,
				h("h2", null, "Timeline ", h("span.muted.small", null, steps.total > steps.items.length ? `the first ${count(steps.items.length)} of ${count(steps.total)} records` : "")),
				timeline({ workflow, steps: steps.items, messages, state, redraw, unfold, details: show, opened })),
			h("div.columns", null,
				panel("Input", json(workflow.input)),
				workflow.error ? panel("Error", errorPanel(workflow.error)) : panel("Output", workflow.status === "SUCCESS" ? json(workflow.output) : empty("It has not returned."))),
			h("div.columns", null,
				panel("Events", eventTable(data.events)),
				panel("Messages", messageTable(messages))),
			streamsPanel(streams, workflow, reload),
			data.children.length > 0 && panel(`Children (${count(data.children.length)}${data.children.length === 500 ? " or more" : ""})`,
				h("ul.lines", null, data.children.slice(0, 20).map(workflowLine)), h("a", { href: toWorkflows({ parent: id }) }, "As a table")),
			data.forks.length > 0 && panel("Forks", h("ul.lines", null, data.forks.map(workflowLine))));
	};
	return {
		title: id, watch: id, load, view, moves: () => data?.workflow.status === "PENDING",
		shortcuts: [
			...(mayAct() ? [
				{ key: "c", means: "Cancel this workflow", act: () => ask("cancel", { ids: [id] }, done) },
				{ key: "r", means: "Resume this workflow", act: () => ask("resume", { ids: [id] }, done) },
				{ key: "f", means: "Fork this workflow", act: () => data && fork() },
			] : []),
			{ key: "y", means: "Copy the link to this page", act: () => copyText(location.href) },
		],
	};
}

/** @param {string} id @param {AbortSignal} signal */
async function allSteps(id, signal) {
	const first = await get("workflow/steps", { id, limit: 1000 }, signal);
	const items = [...first.items];
	let { next } = first;
	while (next && items.length < MOST_STEPS) {
		const page = await get("workflow/steps", { id, limit: 1000, after: next }, signal);
		items.push(...page.items);
		next = page.next;
	}
	return { items, total: first.total };
}

/** What decides when it goes on. @param {AbortSignal} signal */
async function surroundings(workflow, signal) {
	if (workflow.completed_at) return { unclaimed: [] };
	const { queues, executors, unclaimed } = await get("overview", {}, signal);
	const named = executors.filter(it => it.name === workflow.executor);
	return { queue: queues.find(it => it.name === workflow.queue), executor: named.find(it => it.state === "live") ?? named[0], unclaimed };
}

/** @param {() => void} done @param {() => void} fork */
function actions(workflow, done, fork) {
	const fits = Object.entries(ACTIONS).filter(([name, it]) => it.of.includes(workflow.status) && name !== "fork");
	return h("div.row.panel", { role: "group", "aria-label": "Actions" },
		fits.map(([name, it]) => h("button", { key: name, class: it.danger ? "danger" : null, on: { click: () => ask(name, { ids: [workflow.id] }, done) } }, `${it.title} …`)),
		button("Fork …", fork, { key: "fork" }));
}

const summary = it =>
	h("div.stack", null,
		facts([
			["Created", time(it.created_at)],
			it.due_at && ["Due", time(it.due_at)],
			["Present run began", time(it.started_at)],
			it.started_at && it.attempts <= 1 && it.queue && ["Waited in the queue", duration(millis(it.started_at) - Math.max(millis(it.created_at), millis(it.due_at) || 0))],
			it.completed_at && ["Ended", time(it.completed_at)],
			["Ran for", duration(ran(it))],
			["Runs", `${it.attempts}${it.recoveries ? `, ${it.recoveries} after a crash` : ""}`],
			it.queue && ["Queue", filterLink("queue", it.queue)],
			it.queue && ["Priority", it.priority],
			it.partition_key && ["Partition key", it.partition_key],
			it.deduplication_id && ["Deduplication id", it.deduplication_id],
			it.executor && ["Executor", filterLink("executor", it.executor)],
			it.version && ["Version", h("a.mono", { href: toWorkflows({ version: it.version }) }, it.version)],
			it.application && ["Application", it.application],
			it.started_by && ["Started by", filterLink("started-by", it.started_by)],
			it.instance && ["Instance", it.instance],
			it.deadline && ["Deadline", (millis(it.deadline) > now() ? timeBoth : time)(it.deadline)],
			it.parent && ["Parent", workflowLink(it.parent)],
			it.forked_from && ["Fork of", workflowLink(it.forked_from)],
			it.trace_context && ["Trace id", traceId(it.trace_context)],
			Object.keys(it.labels ?? {}).length > 0 && ["Labels", labelTags(it.labels)],
		]),
		h("div.row.small", null,
			h("button", { class: "link", on: { click: () => copyText(location.href) } }, "Copy the link"),
			h("a", { href: address("workflow", { id: it.id }).href }, "Raw JSON"),
			h("a", { href: address("workflow/export", { id: it.id }).href, download: `${it.id}.json` }, "Export with its history")));

/** The second part of `00-TRACE-SPAN-01`. @param {string} context */
function traceId(context) {
	const [, trace] = context.split("-");
	return [h("span.mono", null, trace ?? context), " ", h("button", { class: "link small", on: { click: () => copyText(trace ?? context) } }, "Copy")];
}

function errorPanel(error) {
	const { type, sources } = error;
	return h("div.stack", null,
		h("p.bad", null, h("strong", null, errorText(error))),
		Array.isArray(sources) && sources.length > 0 && h("ol", null, sources.map(it => h("li", null, `caused by: ${it}`))),
		type && h("p.small.muted", null, "Type ", h("code", null, type)),
		h("details", null, h("summary", null, "As JSON"), json(error)));
}

const eventTable = events =>
	table({
		caption: "Events", rows: events, empty: "It has set no event.",
		columns: [
			{ title: "Event", heads: true, cell: it => it.name },
			{ title: "Value", class: "wide", cell: it => json(it.value) },
			{ title: "Set", class: "nowrap", cell: it => time(it.set_at, "relative") },
			{ title: "At", cell: it => h("span.mono", null, it.position) },
		],
	});

const messageTable = messages =>
	table({
		caption: "Messages", rows: messages, key: it => `${it.topic} ${it.sent_at}`, empty: "No message was sent to it.",
		columns: [
			{ title: "Topic", heads: true, cell: it => it.topic },
			{ title: "Message", class: "wide", cell: it => json(it.payload) },
			{ title: "Sent", class: "nowrap", cell: it => time(it.sent_at, "relative") },
			{ title: "Received", class: "nowrap", cell: it => (it.received_at ? time(it.received_at, "relative") : "not yet") },
		],
	});

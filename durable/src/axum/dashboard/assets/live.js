// Changes as they happen: one connection of server-sent events, open only while the tab is seen.

import { address } from "./api.js";

/** @typedef {"live" | "connecting" | "paused"} LiveState */
/** Which workflows have changed, if one is watched; with `all` it may be anything. @typedef {{ workflows: any[], all: boolean, queues: boolean }} News */
/** @typedef {{ watch?: string, changed: (news: News) => void }} Listener */

/** Changes that come together are shown together. */
const GATHER = 250;
const RETRY = 3000;

/** @type {EventSource | null} */
let source = null;
/** @type {Listener | null} */
let listener = null;
let isPaused = false;
/** @type {LiveState} */
let state = "paused";
/** @type {(state: LiveState) => void} */
let show = () => {};
/** @type {News | null} */
let gathered = null;
let retry = 0;

/** @param {(state: LiveState) => void} shown is called with each new state */
export function start(shown) {
	show = shown;
	document.addEventListener("visibilitychange", connect);
	addEventListener("pagehide", close);
}

/** What the page that is shown wants to know. @param {Listener} next */
export function listen(next) {
	const isOther = next.watch !== listener?.watch;
	listener = next;
	gathered = null;
	if (isOther || !source) connect();
}

/** Pauses, or goes on. */
export function toggle() {
	isPaused = !isPaused;
	connect();
}

function close() {
	clearTimeout(retry);
	source?.close();
	source = null;
}

/** @param {LiveState} next */
function become(next) {
	if (state !== next) show(next);
	state = next;
}

function connect() {
	close();
	if (isPaused || document.hidden || !listener) {
		become("paused");
		return;
	}
	become("connecting");
	const { watch } = listener;
	const opened = new EventSource(address("live", watch ? { watch, columns: "parent,forked_from" } : { limit: 0 }));
	source = opened;
	opened.addEventListener("hello", () => {
		become("live");
		tell({ all: true });
	});
	opened.addEventListener("changes", event => {
		const { workflows, queues } = JSON.parse(event.data);
		tell({ workflows, queues });
	});
	opened.addEventListener("watched", () => tell({ all: true }));
	opened.addEventListener("bye", again);
	opened.addEventListener("error", () => {
		become("connecting");
		// The browser tries again by itself, unless the server has refused.
		if (opened.readyState === EventSource.CLOSED) again();
	});
}

function again() {
	close();
	if (!isPaused && !document.hidden) become("connecting");
	retry = setTimeout(connect, RETRY);
}

/** @param {Partial<News>} news */
function tell({ workflows = [], all = false, queues = false }) {
	if (!gathered) {
		gathered = { workflows: [], all: false, queues: false };
		setTimeout(() => {
			const news = gathered;
			gathered = null;
			if (news) listener?.changed(news);
		}, GATHER);
	}
	gathered.workflows.push(...workflows);
	gathered.all ||= all;
	gathered.queues ||= queues || all;
}

// The frame around the pages: links, which page is open, live updates, colors, shortcuts.

import { ApiError, get, settings } from "./api.js";
import { h, s, mount } from "./dom.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import { head, note } from "./parts.js";
import { current, link } from "./router.js";
import * as executors from "./pages/executors.js";
import * as overview from "./pages/overview.js";
import * as queues from "./pages/queues.js";
import * as schedules from "./pages/schedules.js";
import * as settingsPage from "./pages/settings.js";
import * as versions from "./pages/versions.js";
import * as workflow from "./pages/workflow.js";
import * as workflows from "./pages/workflows.js";

/**
 * What a page gets. `view` gives what is shown, `redraw` shows it anew, `load` reads what it shows and is called again
 * when something has changed.
 * @typedef {object} PageContext
 * @property {string[]} path
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal ends what the page has begun, once another page is shown
 * @property {() => void} redraw
 */
/**
 * @typedef {object} OpenPage
 * @property {string} title
 * @property {() => Node} view
 * @property {(news?: { workflows: any[], all: boolean, queues: boolean }) => Promise<void>} load
 * @property {string} [watch] the id of a workflow
 * @property {() => boolean} [moves] whether what is shown moves with the clock
 * @property {keys.Shortcut[]} [shortcuts]
 */
/** @typedef {(page: PageContext) => OpenPage} Open */

const PAGES = [
	{ name: "overview", title: "Overview", key: "o", open: overview.open },
	{ name: "workflows", title: "Workflows", key: "w", open: workflows.open },
	{ name: "queues", title: "Queues", key: "q", open: queues.open },
	{ name: "schedules", title: "Schedules", key: "s", open: schedules.open },
	{ name: "executors", title: "Executors", key: "e", open: executors.open },
	{ name: "versions", title: "Versions", key: "v", open: versions.open },
	{ name: "settings", title: "Settings", key: "t", open: settingsPage.open },
];

/** @type {live.LiveState} */
let liveState = "paused";
let isFirst = true;
let left = new AbortController();

/** Opens the page that the address names. */
async function open() {
	left.abort();
	for (const it of document.querySelectorAll("dialog")) it.close();
	left = new AbortController();
	const { signal } = left;
	const { path, query } = current();
	const name = path[0] ?? "overview";
	const known = PAGES.find(it => it.name === name) ?? PAGES[0];
	drawSide(known.name);
	const main = /** @type {HTMLElement} */ (document.querySelector("main"));
	let failure = /** @type {Error | null} */ (null);
	let isLoaded = false;
	/** @type {() => void} */
	let redraw = () => {};
	const context = { path, query, signal, redraw: () => signal.aborted || redraw() };
	/** @type {OpenPage} */
	const page = known.name === "workflows" && path.length > 1 ? workflow.open(context) : known.open(context);
	const view = () =>
		h("div", { "aria-busy": String(!isLoaded) },
			failure && h("div", { role: "alert" }, note("problem", failure.message)),
			isLoaded ? page.view() : [head(page.title), !failure && h("p.muted", null, "Loading …")]);
	main.replaceChildren();
	redraw = mount(main, view);
	/** @param {{ workflows: any[], all: boolean, queues: boolean }} [news] */
	const load = async news => {
		try {
			await page.load(news);
			[failure, isLoaded] = [null, true];
		} catch (error) {
			if (signal.aborted) return;
			if (!(error instanceof ApiError)) console.error(error);
			failure = /** @type {Error} */ (error);
		}
		if (!signal.aborted) redraw();
	};
	document.title = `${page.title} · durable`;
	keys.setPage(page.shortcuts ?? []);
	redraw();
	await load();
	if (signal.aborted) return;
	document.title = `${page.title} · durable`;
	// A new page begins at its top, for the eye and for the keyboard.
	if (!isFirst) {
		scrollTo(0, 0);
		/** @type {HTMLElement | null} */ (main.querySelector("h1"))?.focus();
	}
	isFirst = false;
	live.listen({ watch: page.watch, changed: oneAtATime(load) });
	// Times such as "3 min ago" go on without news.
	let seconds = 0;
	const clock = setInterval(() => {
		seconds += 1;
		if (!document.hidden && (page.moves?.() || seconds % 10 === 0)) context.redraw();
	}, 1000);
	signal.addEventListener("abort", () => clearInterval(clock));
}

/** While one load runs, at most one more waits: a slow server is not asked more often than it answers. @param {(news: any) => Promise<void>} load */
function oneAtATime(load) {
	let running = false;
	let waiting = null;
	return async function changed(news) {
		if (running) {
			waiting = waiting ? { workflows: [...waiting.workflows, ...news.workflows], all: waiting.all || news.all, queues: waiting.queues || news.queues } : news;
			return;
		}
		running = true;
		await load(news);
		running = false;
		const next = waiting;
		waiting = null;
		if (next) changed(next);
	};
}

const logo = () =>
	s("svg", { width: 22, height: 22, viewBox: "0 0 22 22" },
		s("path", { d: "M2 5h9M6 11h10M11 17h9", stroke: "currentColor", "stroke-width": 4, "stroke-linecap": "round" }));

/** @type {Record<live.LiveState, [string, string]>} */
const LIVE = { live: ["Live", "good"], connecting: ["Connecting", "warning"], paused: ["Paused", "paused"] };

let side = () => {};
let openName = "overview";

/** @param {string} [name] of the page */
function drawSide(name = openName) {
	openName = name;
	side();
}

function sideView() {
	const [word, kind] = LIVE[liveState];
	const theme = document.documentElement.dataset.theme ?? "system";
	return h("div.side", null,
		h("a.brand", { href: link("overview") }, logo(), "durable", settings.application && h("span.muted", null, settings.application)),
		h("nav", { "aria-label": "Pages" },
			h("ul", null, PAGES.map(it => h("li", null, h("a", { href: link(it.name), "aria-current": it.name === openName && "page" }, it.title))))),
		h("div.foot", null,
			settings.access === "read_only" && h("span.tag", null, "read only"),
			h("button", { class: "live", "aria-pressed": String(liveState !== "paused"), title: "Show changes as they happen (l)", on: { click: live.toggle } },
				"Updates", h("span", { class: `status ${kind}` }, word)),
			h("label", null, "Colors",
				h("select", { value: theme, on: { change: event => setTheme(event.target.value) } },
					h("option", { value: "system" }, "as the system"), h("option", { value: "light" }, "light"), h("option", { value: "dark" }, "dark")))));
}

/** @param {string} theme */
function setTheme(theme) {
	if (theme === "system") {
		delete document.documentElement.dataset.theme;
		localStorage.removeItem("durable.theme");
	} else {
		document.documentElement.dataset.theme = theme;
		localStorage.setItem("durable.theme", theme);
	}
	drawSide();
}

async function start() {
	const theme = localStorage.getItem("durable.theme");
	if (theme) document.documentElement.dataset.theme = theme;
	const shell = h("div.shell", null, h("header", { id: "side" }), h("main", { id: "main", tabindex: -1 }));
	const skip = h("a.skip", { href: "#main", on: { click: event => {
		event.preventDefault(); // the part behind `#` is the page
		document.getElementById("main")?.focus();
	} } }, "Skip to the page");
	document.body.replaceChildren(skip, shell, h("div", { id: "toasts", class: "toasts", "aria-live": "polite" }));
	side = mount(/** @type {Element} */ (document.getElementById("side")), sideView);
	side();
	live.start(state => {
		liveState = state;
		drawSide();
	});
	const go = name => () => location.assign(link(name));
	keys.start([
		...PAGES.map(it => ({ key: `g ${it.key}`, means: `Go to ${it.title}`, act: go(it.name) })),
		{ key: "l", means: "Pause live updates, or go on", act: live.toggle },
		{ key: "d", means: "Change between dark and light", act: () => setTheme(isDark() ? "light" : "dark") },
	]);
	await loadSettings();
	addEventListener("hashchange", open);
	await open();
}

/** Everything depends on them: what the person may do, the name of a header. */
async function loadSettings() {
	const main = document.getElementById("main");
	for (;;) {
		try {
			Object.assign(settings, await get("settings"));
			drawSide();
			return;
		} catch (error) {
			main?.replaceChildren(h("div", { role: "alert" }, head("durable"), note("problem", /** @type {Error} */ (error).message)));
			await new Promise(wake => setTimeout(wake, 2000));
		}
	}
}

const isDark = () => {
	const { theme } = document.documentElement.dataset;
	return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

start();

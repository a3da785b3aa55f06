// The frame around the pages: links, which page is open, live updates, colors, shortcuts.

import { ApiError, get, settings } from "./api.js";
import { h, s, mount } from "./dom.js";
import * as keys from "./keys.js";
import * as live from "./live.js";
import { head, note } from "./parts.js";
import { current, link, storage } from "./router.js";
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
 * @property {() => Promise<Error | null>} reload loads at once, after something was done
 */
/**
 * @typedef {object} OpenPage
 * @property {string} title
 * @property {() => Node} view
 * @property {(news?: live.News) => Promise<void>} load
 * @property {string} [watch] the id of a workflow
 * @property {() => boolean} [moves] whether what is shown moves with the clock
 * @property {keys.Shortcut[]} [shortcuts]
 */
/** @typedef {(page: PageContext) => OpenPage} Open */

const PAGES = Object.entries({ overview, workflows, queues, schedules, executors, versions, settings: settingsPage }).map(([name, { open }]) => ({
	name, open, title: name[0].toUpperCase() + name.slice(1), key: name === "settings" ? "t" : name[0], // `s` is of the schedules
}));

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
	const load = async news => {
		try {
			await page.load(failure ? undefined : news); // what failed is read in full
			[failure, isLoaded] = [null, true];
		} catch (error) {
			if (signal.aborted) return null;
			if (!(error instanceof ApiError)) console.error(error);
			failure = /** @type {Error} */ (error);
		}
		if (!signal.aborted) redraw();
		return failure;
	};
	const { reload, changed } = oneAtATime(load);
	const context = { path, query, signal, reload, redraw: () => signal.aborted || redraw() };
	/** @type {OpenPage} */
	const page = known.name === "workflows" && path.length > 1 ? workflow.open(context) : known.open(context);
	const view = () =>
		h("div", { "aria-busy": String(!isLoaded) },
			failure && h("div", { role: "alert" }, note("problem", failure.message)),
			isLoaded ? page.view() : [head(page.title), !failure && h("p.muted", null, "Loading …")]);
	main.replaceChildren();
	redraw = mount(main, view);
	document.title = `${page.title} · durable`;
	keys.setPage(page.shortcuts ?? []);
	redraw();
	live.listen({ watch: page.watch, changed });
	await reload();
	if (signal.aborted) return;
	// A new page begins at its top, for the eye and for the keyboard.
	if (!isFirst) {
		scrollTo(0, 0);
		/** @type {HTMLElement | null} */ (main.querySelector("h1"))?.focus();
	}
	isFirst = false;
	// Times such as "3 min ago" go on without news.
	let seconds = 0;
	const clock = setInterval(() => {
		seconds += 1;
		if (!document.hidden && (page.moves?.() || seconds % 10 === 0)) context.redraw();
		// No news are of failed attempts, or of the records of children.
		if (seconds % 10 === 0 && page.moves?.() && liveState === "live") changed({ workflows: [], all: true, queues: true });
	}, 1000);
	signal.addEventListener("abort", () => clearInterval(clock));
}

/**
 * One load after the other, so that no late answer replaces a newer one. News wait ten times as long as the last load
 * took, so that a slow server has time for others; what a person does waits for a load that runs at most.
 * @param {(news?: live.News) => Promise<Error | null>} load
 */
function oneAtATime(load) {
	/** @type {Promise<any>} */
	let last = Promise.resolve();
	/** @type {Promise<Error | null> | null} */
	let next = null;
	/** @type {live.News | null} */
	let waiting = null;
	let restsUntil = 0;
	/** @param {live.News} [news] */
	const run = news => {
		const turn = last.then(() => {
			if (!news) next = null;
			const begun = performance.now();
			return load(news).finally(() => {
				const now = performance.now();
				restsUntil = now + Math.min(30_000, 10 * (now - begun));
			});
		});
		last = turn.catch(() => {}); // a view that fails does not end live updates
		return turn;
	};
	const reload = () => (next ??= run());
	/** @param {live.News} news */
	const changed = async news => {
		if (waiting) {
			waiting.workflows.push(...news.workflows);
			waiting.all ||= news.all;
			waiting.queues ||= news.queues;
			return;
		}
		waiting = news;
		await last;
		await new Promise(wake => setTimeout(wake, restsUntil - performance.now()));
		waiting = null;
		await run(news);
	};
	return { reload, changed };
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
	const { theme } = document.documentElement.dataset;
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
	document.documentElement.dataset.theme = theme;
	storage?.setItem("durable.theme", theme);
	drawSide();
}

async function start() {
	document.documentElement.dataset.theme = storage?.getItem("durable.theme") ?? "system";
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
		{ key: "l", means: "Pause or resume live updates", act: live.toggle },
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
	return theme !== "system" ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

start();

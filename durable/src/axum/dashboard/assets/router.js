// Which page is shown: `#/workflows?status=ERROR`. All of it is behind the `#`, so that the dashboard works
// under any path of any server, and a link names what is on the screen. And what this browser keeps of choices.

/** @typedef {{ path: string[], query: URLSearchParams }} Route */

/** @returns {Route} */
export function current() {
	const [path, query] = location.hash.replace(/^#/, "").split(/\?(.*)/s);
	const parts = path.split("/").filter(Boolean);
	return { path: parts.map(decode), query: new URLSearchParams(query ?? "") };
}

/** @param {string} text */
function decode(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

/**
 * A link to a page: `link("workflows", { status: "ERROR" })`, `link(["workflows", id])`.
 * @param {string | string[]} path
 * @param {Record<string, string> | URLSearchParams} [query]
 */
export function link(path, query) {
	const text = new URLSearchParams(query ?? {}).toString();
	return `#/${[path].flat().map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

/** Changes the address without opening the page anew; `back` returns to the old one. @param {string} hash */
export function pushAddress(hash) {
	if (location.hash !== hash) history.pushState(null, "", hash);
}

/** @param {string} id of a workflow */
export const toWorkflow = id => link(["workflows", id]);

/** @param {Record<string, string> | URLSearchParams} query */
export const toWorkflows = query => link("workflows", query);

/** What this browser keeps of choices; null if it refuses to. */
export const storage = (() => {
	try {
		return localStorage;
	} catch {
		return null;
	}
})();

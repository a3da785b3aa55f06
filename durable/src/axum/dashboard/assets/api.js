// Calls of the JSON API, which `openapi.json` describes.

import { setClock } from "./format.js";

/** @typedef {Record<string, string | number | boolean | string[] | null | undefined>} Params */

// This file is `MOUNT/assets/HASH/api.js`, wherever the host has mounted the dashboard.
const base = new URL("../../api/v1/", import.meta.url);

/** What `GET settings` has answered. @type {Record<string, any>} */
export const settings = {};

/** Whether the person may change something. */
export const mayAct = () => settings.access === "full";

export class ApiError extends Error {
	/** @param {number} status @param {string} message */
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

/** @param {string} path @param {Params | URLSearchParams} [params] */
export function address(path, params = {}) {
	const url = new URL(path, base);
	const entries = params instanceof URLSearchParams ? [...params] : Object.entries(params);
	for (const [name, value] of entries) {
		if (value === null || value === undefined || value === false) continue;
		for (const it of [value].flat()) url.searchParams.append(name, String(it));
	}
	return url;
}

/** @param {string} path @param {Params | URLSearchParams} [params] @param {AbortSignal} [signal] */
export const get = (path, params, signal) => call(address(path, params), { signal });

/** @param {string} path @param {object} body */
export const post = (path, body) =>
	call(address(path), {
		method: "POST",
		headers: { "content-type": "application/json", [settings.csrf_header]: "1" },
		body: JSON.stringify(body),
	});

/** @param {URL} url @param {RequestInit} init */
async function call(url, init) {
	let response;
	try {
		response = await fetch(url, { credentials: "same-origin", ...init });
	} catch (error) {
		if (/** @type {Error} */ (error).name === "AbortError") throw error;
		throw new ApiError(0, "Cannot reach the server; retrying.");
	}
	noteClock(Date.parse(response.headers.get("date") ?? ""));
	const text = await response.text();
	let answer;
	try {
		answer = parse(text);
	} catch {
		throw new ApiError(response.status, `The server answered ${response.status} without JSON.`);
	}
	if (!response.ok) throw new ApiError(response.status, answer?.error?.message ?? `The server answered ${response.status}.`);
	return answer;
}

/** The clock of this device may be wrong; that of the server counts. @param {number} server */
function noteClock(server) {
	const difference = server - Date.now();
	if (!Number.isNaN(difference)) setClock(Math.abs(difference) > 2000 ? difference : 0); // the header has whole seconds
}

/** Whether this browser has rounded an integer, so that a value sent back would not be that of the database. */
export let hasRounded = false;

/**
 * JSON, in which a number that JavaScript would round keeps its digits, so that what is shown, edited and sent back
 * is what the database has.
 * @param {string} text
 * @returns {any}
 */
export function parse(text) {
	const raw = /** @type {any} */ (JSON).rawJSON;
	const mayBeLarge = /\d{16}/.test(text);
	hasRounded ||= mayBeLarge && !raw;
	if (!mayBeLarge || !raw) return JSON.parse(text);
	/** @type {any} */
	const keepDigits = (_key, value, context) =>
		typeof value === "number" && /^-?\d{16,}$/.test(context?.source ?? "") && !Number.isSafeInteger(value) ? raw(context.source) : value;
	return JSON.parse(text, keepDigits);
}

/** The JSON of a field, or an error that names it. @param {FormDataEntryValue | null} text @param {string} name */
export function parseField(text, name) {
	try {
		const value = parse(String(text));
		if (hasRounded) throw new Error("this browser rounds integers of more than 15 digits");
		return value;
	} catch (error) {
		throw new Error(`${name}: ${/** @type {Error} */ (error).message}`);
	}
}

/** The digits of such a number; null for other values. @returns {string | null} */
export const digits = value => (/** @type {any} */ (JSON).isRawJSON?.(value) ? value.rawJSON : null);

// Times, durations and numbers as a person reads them.

import { h } from "./dom.js";

const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const number = new Intl.NumberFormat();

/** @param {number | null | undefined} value */
export const count = value => (value === null || value === undefined ? "–" : number.format(value));

/** `1 workflow waits`, `2 workflows wait`. @param {number} value @param {string} noun @param {string} [verb] */
export const counted = (value, noun, verb) =>
	`${count(value)} ${noun}${value === 1 ? "" : "s"}${verb ? ` ${verb}${value === 1 ? "s" : ""}` : ""}`;

/** How far the server's clock is ahead of this one, in milliseconds. */
let ahead = 0;

/** @param {number} milliseconds */
export function setClock(milliseconds) {
	ahead = milliseconds;
}

/** The time of the server, in milliseconds. */
export const now = () => Date.now() + ahead;

/** `350 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `5 d 3 h`. @param {number | null | undefined} milliseconds */
export function duration(milliseconds) {
	if (milliseconds === null || milliseconds === undefined || Number.isNaN(milliseconds)) return "–";
	const ms = Math.max(0, milliseconds);
	if (ms < 1) return "0 ms";
	if (ms < 1000) return `${Math.round(ms)} ms`;
	const seconds = ms / 1000;
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	if (seconds < 60) return `${Math.round(seconds)} s`;
	const whole = Math.round(seconds);
	const [days, hours] = [Math.floor(whole / 86400), Math.floor(whole / 3600) % 24];
	const [minutes, rest] = [Math.floor(whole / 60) % 60, whole % 60];
	if (days > 0) return hours ? `${days} d ${hours} h` : `${days} d`;
	if (hours > 0) return minutes ? `${hours} h ${minutes} min` : `${hours} h`;
	return rest ? `${minutes} min ${rest} s` : `${minutes} min`;
}

/** How long ago, or until when. @param {number} milliseconds */
function relative(milliseconds) {
	const difference = milliseconds - now();
	if (Math.abs(difference) < 1000) return "now";
	const [first, unit] = duration(Math.abs(difference)).split(" "); // roughly
	return difference < 0 ? `${first} ${unit} ago` : `in ${first} ${unit}`;
}

/** @param {string | null | undefined} text RFC 3339 */
export const millis = text => (text ? Date.parse(text) : NaN);

/**
 * A time in the zone of this browser, with UTC when pointed at.
 * @param {string | null | undefined} text RFC 3339
 * @param {"relative" | "full" | "clock"} [style]
 */
export function time(text, style = "full") {
	const at = millis(text);
	if (!text || Number.isNaN(at)) return "–";
	const shown = style === "relative" ? relative(at) : style === "clock" ? clock.format(at) : date.format(at);
	const utc = `${new Date(at).toISOString()} (UTC)`;
	return h("time", { datetime: text, title: style === "relative" ? `${date.format(at)}, ${utc}` : utc }, shown);
}

/** A time, and how far it is from now. @param {string} text RFC 3339 */
export const timeBoth = text => [time(text), " (", time(text, "relative"), ")"];

/** A deadline that is never reached is none. @param {string | null | undefined} text RFC 3339 */
export const isNever = text => !(millis(text) < 64e12); // in the year 3998

/** @param {number} bytes */
export const size = bytes => (bytes < 1024 ? `${bytes} B` : bytes < 1048576 ? `${(bytes / 1024).toFixed(1)} kB` : `${(bytes / 1048576).toFixed(1)} MB`);

// Elements from plain calls, and `morph`, which brings a page up to date without losing focus, scroll or
// what is open. Text becomes text nodes: no data is ever read as HTML.

/** @typedef {Node | string | number | null | undefined | false | any[]} Child */
/** @typedef {Element & { _on?: Record<string, (event: any) => void>, _key?: string, _still?: boolean, _value?: string | boolean }} Live */

const SVG = "http://www.w3.org/2000/svg";

/** Calls the handler that the element has now: `morph` gives it that of the newest view. @param {Event} event */
function dispatch(event) {
	const element = /** @type {Live} */ (event.currentTarget);
	element._on?.[event.type]?.(event);
}

/**
 * @param {Live} element
 * @param {Record<string, any>} props
 * @param {Child[]} children
 */
function fill(element, props, children) {
	for (const [name, value] of Object.entries(props)) {
		if (value === null || value === undefined || value === false) continue;
		if (name === "on") {
			element._on = value;
			for (const type of Object.keys(value)) element.addEventListener(type, dispatch);
		} else if (name === "key") {
			element._key = String(value);
		} else if (name === "still") {
			element._still = true;
		} else if (name === "style") {
			// Set through the object model: the content security policy refuses style attributes.
			const style = /** @type {any} */ (element).style;
			for (const [property, it] of Object.entries(value)) style.setProperty(property, String(it));
		} else if (name === "value" || name === "checked") {
			element._value = value;
			/** @type {any} */ (element)[name] = value;
		} else {
			element.setAttribute(name, value === true ? "" : String(value));
		}
	}
	append(element, children);
	// A `select` knows its options only now.
	if (element.tagName === "SELECT" && element._value !== undefined) /** @type {any} */ (element).value = element._value;
	return element;
}

/** @param {Element} element @param {Child[]} children */
function append(element, children) {
	for (const child of children) {
		if (child === null || child === undefined || child === false) continue;
		if (Array.isArray(child)) append(element, child);
		else element.append(child instanceof Node ? child : String(child));
	}
}

/**
 * An HTML element: `h("p.small.muted", { id: "x" }, "text")`. `on` has handlers by event, `key` names it among its siblings, `style` has CSS properties.
 * With `still` it is never changed: its `key` has all that it shows, and the person unfolds parts of it.
 * @param {string} tag
 * @param {Record<string, any> | null | false} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function h(tag, props, ...children) {
	const [name, ...classes] = tag.split(".");
	const element = document.createElement(name);
	if (classes.length) element.className = classes.join(" ");
	if (name === "button") element.setAttribute("type", "button"); // and not the one that sends a form
	return fill(element, props || {}, children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Record<string, any> | null} [props]
 * @param {...Child} children
 * @returns {any}
 */
export function s(tag, props, ...children) {
	if (tag === "svg" && !props?.role) props = { ...props, "aria-hidden": "true" }; // the text beside it means the same
	return fill(document.createElementNS(SVG, tag), props ?? {}, children);
}

/** Changes `old` in place so that it equals `next`, or replaces it. @param {Node} old @param {Node} next */
function morph(old, next) {
	if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || keyOf(old) !== keyOf(next)) {
		old.parentNode?.replaceChild(next, old);
		return next;
	}
	if (!(old instanceof Element) || !(next instanceof Element)) {
		if (old.nodeValue !== next.nodeValue) old.nodeValue = next.nodeValue;
		return old;
	}
	if (/** @type {Live} */ (next)._still) return old;
	morphAttributes(old, next);
	morphHandlers(old, next);
	morphChildren(old, next);
	morphValue(old, next);
	return old;
}

/** @param {Node} node */
const keyOf = node => /** @type {Live} */ (node)._key;

/** The person opens and closes these; a new view does not. @param {Element} element @param {string} name */
const isOfPerson = (element, name) =>
	name === "style" || (name === "open" && (element.tagName === "DETAILS" || element.tagName === "DIALOG"));

/** @param {Element} old @param {Element} next */
function morphAttributes(old, next) {
	for (const { name, value } of next.attributes) {
		if (!isOfPerson(old, name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
	}
	for (const { name } of [...old.attributes]) {
		if (!isOfPerson(old, name) && !next.hasAttribute(name)) old.removeAttribute(name);
	}
	const [was, is] = [/** @type {any} */ (old).style, /** @type {any} */ (next).style];
	if (was.cssText !== is.cssText) was.cssText = is.cssText;
}

/** @param {Live} old @param {Live} next */
function morphHandlers(old, next) {
	for (const type of Object.keys(next._on ?? {})) {
		if (!old._on?.[type]) old.addEventListener(type, dispatch);
	}
	old._on = next._on;
}

/** What is being typed is kept until the view has another value. @param {Live} old @param {Live} next */
function morphValue(old, next) {
	if (next._value === undefined) return;
	const isChoice = typeof next._value === "boolean" || old.tagName === "SELECT";
	if (old._value === next._value && !isChoice) return;
	old._value = next._value;
	const name = typeof next._value === "boolean" ? "checked" : "value";
	/** @type {any} */ (old)[name] = next._value;
}

/** @param {Element} old @param {Element} next */
function morphChildren(old, next) {
	// What has gone goes first: moving what comes behind it would lose the focus and the scroll.
	const kept = new Set([...next.childNodes].map(keyOf));
	for (const child of [...old.childNodes]) if (keyOf(child) !== undefined && !kept.has(keyOf(child))) child.remove();
	const keyed = Map.groupBy(old.childNodes, keyOf); // several may have one key
	let at = old.firstChild;
	for (const wanted of [...next.childNodes]) {
		const key = keyOf(wanted);
		const found = key === undefined ? null : keyed.get(key)?.shift();
		if (found && found !== at) old.insertBefore(found, at);
		if (found) {
			morph(found, wanted);
			at = found.nextSibling;
		} else if (at && key === undefined && keyOf(at) === undefined) {
			at = morph(at, wanted).nextSibling;
		} else {
			old.insertBefore(wanted, at);
		}
	}
	while (at) {
		const rest = at;
		at = at.nextSibling;
		rest.remove();
	}
}

/** Shows what `view` returns in `root`; what it gives back shows it anew. @param {Element} root @param {() => Node} view */
export function mount(root, view) {
	return () => {
		if (root.firstChild) morph(root.firstChild, view());
		else root.append(view());
	};
}

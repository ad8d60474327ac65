// Elements from plain values. Text is always text: names come from manifests of strangers.

export const find = (id) => document.getElementById(id);

/** An element with properties, data, listeners (`onclick`) and children; strings become text nodes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
}

/** A number as short as it can be read. */
export function short(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return Math.abs(value) < 1e15 ? count(value) : value.toExponential(2);
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

export const count = (value) => value.toLocaleString("en").replaceAll(",", "\u202f");

/** The end of a URI: what tells images apart. */
export function nameOf(uri) {
  return uri.split(/[\\/]/).filter(Boolean).slice(-1)[0] ?? uri;
}

/** Calls `work` once a burst of calls has ended. */
export function settled(work, milliseconds) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), milliseconds);
  };
}

// What is shown, and the link that shows it again: the state lies in the address, behind the #.

export const DEFAULTS = {
  filters: [], sql: "", sort: "", descending: true, offset: 0,
  mode: "normalised", color: "turbo", opacity: 0.5, size: 200, boxes: false,
  charts: [], scatter: null, open: null,
};

export const state = { ...structuredClone(DEFAULTS) };
const listeners = new Set();

/** Called with the names of what has changed. */
export function onChange(listener) {
  listeners.add(listener);
}

/** Changes what is shown; whatever chooses other rows goes back to the first page. */
export function change(changes, { keepPage = false } = {}) {
  const choosing = ["filters", "sql", "sort", "descending"].some((name) => name in changes);
  if (choosing && !keepPage && !("offset" in changes)) changes = { ...changes, offset: 0 };
  Object.assign(state, changes);
  write();
  for (const listener of listeners) listener(new Set(Object.keys(changes)));
}

/** The rows that are asked for. */
export const view = () => ({ filters: state.filters, sql: state.sql, sort: state.sort, descending: state.descending });

/** Puts a filter in the place of the one on the same column, axes or tag; null takes it away. */
export function setFilter(key, filter) {
  const kept = state.filters.filter((each) => keyOf(each) !== key);
  change({ filters: filter ? [...kept, filter] : kept });
}

export function keyOf(filter) {
  if (filter.lasso) return `lasso ${filter.lasso.join(" ")}`;
  if ("tag" in filter) return "tag";
  if (filter.images) return "images";
  return `column ${filter.column}`;
}

export const filterOn = (key) => state.filters.find((each) => keyOf(each) === key);

/** Whether a filter of a link has the form that the page writes; what it asks for, the server checks. */
function isFilter(filter) {
  if (!filter || typeof filter !== "object") return false;
  if ("lasso" in filter) return [filter.lasso, filter.points].every(Array.isArray) && filter.points.every(Array.isArray);
  if ("tag" in filter) return filter.tag === null || typeof filter.tag === "string";
  if ("images" in filter) return Array.isArray(filter.images);
  return typeof filter.column === "string" && (!("is" in filter) || Array.isArray(filter.is));
}

let ours = "";

function write() {
  const changed = Object.fromEntries(Object.entries(state).filter(
    ([name, value]) => JSON.stringify(value) !== JSON.stringify(DEFAULTS[name])));
  ours = Object.keys(changed).length ? `#${encodeURIComponent(JSON.stringify(changed))}` : "";
  history.replaceState(null, "", `/${ours}`);
}

/** Takes the state from the address; what is not understood counts as not said. The token leaves the address. */
export function readAddress() {
  let said = {};
  try {
    said = JSON.parse(decodeURIComponent(location.hash.slice(1)) || "{}");
  } catch { /* a damaged link shows everything */ }
  Object.assign(state, structuredClone(DEFAULTS));
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = said?.[name];
    if (value === undefined) continue;
    const alike = usual === null ? value === null || typeof value === "object"
      : typeof value === typeof usual && Array.isArray(value) === Array.isArray(usual);
    if (alike) state[name] = value;
  }
  if (!state.filters.every(isFilter)) state.filters = [];
  if (!state.charts.every((each) => typeof each === "string")) state.charts = [];
  state.size = Math.min(Math.max(state.size, 120), 420);
  state.offset = Math.max(Math.floor(state.offset), 0);
  write();
}

addEventListener("hashchange", () => {
  if (location.hash === ours) return;
  readAddress();
  for (const listener of listeners) listener(new Set(Object.keys(DEFAULTS)));
});

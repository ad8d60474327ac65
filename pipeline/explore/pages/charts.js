// Histograms of columns: drag over one, or click a value, and it filters.

import { ask } from "./api.js";
import { count, fill, find, make, short } from "./dom.js";
import { change, filterOn, setFilter, state, view } from "./state.js";

const BINS = 40, WIDTH = 240, HEIGHT = 56;
const USUAL = ["target_probability", "border_lift", "effective_area", "gt_lift", "status", "is_correct", "brightness"];
const everything = new Map(); // column -> counts without any filter
let columns;
let usual;

export function startCharts(about) {
  columns = new Map(about.columns.map((column) => [column.name, column]));
  const extra = [about.moved.distance, about.moved.fate, ...about.slices.map((slice) => slice.column)].filter(Boolean);
  usual = [...extra, ...USUAL].filter((name) => columns.get(name)?.distinct > 1).slice(0, 8);
  const select = find("add-chart");
  fill(select, make("option", { value: "" }, "add a column …"), ...optionGroups(about.columns));
  select.addEventListener("change", () => { addChart(select.value); select.value = ""; });
}

/** <optgroup>s of columns, for a select. */
export function optionGroups(list, kinds = ["number", "text", "truth"]) {
  const groups = new Map();
  for (const column of list) {
    if (!kinds.includes(column.kind) || !column.known) continue;
    if (!groups.has(column.group)) groups.set(column.group, make("optgroup", { label: column.group }));
    groups.get(column.group).append(make("option", { value: column.name, title: column.meaning }, column.name));
  }
  return [...groups.values()];
}

const shown = () => (state.charts.length ? state.charts : usual).filter((name) => columns.has(name));

export function addChart(name) {
  if (columns.has(name)) change({ charts: [name, ...shown().filter((each) => each !== name)] });
}

export async function loadCharts() {
  const names = shown();
  const unknown = names.filter((name) => !everything.has(name));
  const [all, now] = await Promise.all([
    unknown.length ? ask("charts", { view: {}, columns: unknown }, "all charts") : { charts: {} },
    ask("charts", { view: view(), columns: names }),
  ]);
  if (all === undefined || now === undefined) return;
  for (const [name, counts] of Object.entries(all.charts)) everything.set(name, counts);
  if (names.some((name) => !everything.has(name))) return;
  fill(find("charts"), names.map((name) => chart(columns.get(name), everything.get(name), now.charts[name])));
}

function chart(column, all, now) {
  const filter = filterOn(`column ${column.name}`);
  const isBinned = column.kind === "number" && column.low !== null;
  const close = make("button", { class: "icon small", title: "Remove the chart", onclick: () => {
    const others = shown().filter((name) => name !== column.name);
    change({ charts: others.length ? others : usual.filter((name) => name !== column.name) });
  } }, "✕");
  const sort = make("button", { class: "icon small", title: "Sort by it", onclick: () => change({ sort: column.name, descending: state.sort === column.name ? !state.descending : true }) }, "⇅");
  const clear = filter ? make("button", { class: "icon small", title: "Take the filter away", onclick: () => setFilter(`column ${column.name}`, null) }, "⟲") : null;
  const box = make("div", { class: filter ? "chart filtered" : "chart" },
    make("h3", { title: column.meaning }, make("span", {}, column.name), clear, sort, close),
    isBinned ? histogram(column, all, now, filter) : values(column, all, now, filter));
  box.dataset.column = column.name;
  return box;
}

const SVG = "http://www.w3.org/2000/svg";

function svg(tag, facts, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(facts)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function histogram(column, all, now, filter) {
  const width = (column.high - column.low) / BINS || 1;
  const most = Math.max(1, ...all.map(([, n]) => n));
  const bars = (counts, kind) => counts.map(([bin, n]) => {
    const tall = n ? Math.max(1, HEIGHT * Math.sqrt(n / most)) : 0; // square roots: few are seen beside many
    return svg("rect", { class: kind, x: (bin * WIDTH) / BINS, y: HEIGHT - tall, width: WIDTH / BINS - 0.5, height: tall });
  });
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "histogram" }, ...bars(all, "all"), ...bars(now, "now"));
  const at = (value) => ((value - column.low) / (width * BINS)) * WIDTH;
  const brush = svg("rect", { class: "brush", y: 0, height: HEIGHT, x: 0, width: 0 });
  const showBrush = (from, to) => {
    brush.setAttribute("x", from);
    brush.setAttribute("width", Math.max(0, to - from));
  };
  if (filter && ("from" in filter || "to" in filter)) {
    showBrush(Math.max(0, at(filter.from ?? column.low)), Math.min(WIDTH, at(filter.to ?? column.high)));
  }
  picture.append(brush);
  const place = (event) => {
    const edges = picture.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - edges.left) / edges.width, 0), 1);
  };
  let start = null;
  picture.addEventListener("pointerdown", (event) => {
    start = place(event);
    picture.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  picture.addEventListener("pointermove", (event) => {
    if (start === null) return;
    const ends = [start, place(event)].sort((a, b) => a - b);
    showBrush(ends[0] * WIDTH, ends[1] * WIDTH);
  });
  picture.addEventListener("pointerup", (event) => {
    if (start === null) return;
    const [from, to] = [start, place(event)].sort((a, b) => a - b);
    start = null;
    if (to - from < 0.01) { setFilter(`column ${column.name}`, null); return; }
    const span = column.high - column.low;
    // At an end the brush means all that lies beyond, too: the last bins hold the tails.
    setRange(column, from < 0.005 ? null : column.low + from * span, to > 0.995 ? null : column.low + to * span);
  });
  const ends = ["from", "to"].map((end) => make("input", {
    type: "number", step: "any", value: filter?.[end] ?? "", placeholder: short(end === "from" ? column.least : column.most),
    "aria-label": `${column.name} ${end}`,
    onchange: (event) => {
      const other = end === "from" ? filter?.to : filter?.from;
      const value = event.target.value === "" ? null : Number(event.target.value);
      setRange(column, end === "from" ? value : other ?? null, end === "from" ? other ?? null : value);
    },
  }));
  return make("div", {}, picture, make("div", { class: "ends" }, ...ends));
}

function setRange(column, from, to) {
  const round = (value) => (value === null ? null : Number(value.toPrecision(6)));
  const filter = from === null && to === null ? null : { column: column.name, from: round(from), to: round(to) };
  setFilter(`column ${column.name}`, filter);
}

function values(column, all, now, filter) {
  const counts = new Map(now);
  const listed = new Map([...all, ...now]);
  const most = Math.max(1, ...all.map(([, n]) => n));
  const picked = filter?.is ?? [];
  const toggle = (value) => {
    const next = picked.includes(value) ? picked.filter((each) => each !== value) : [...picked, value];
    setFilter(`column ${column.name}`, next.length ? { column: column.name, is: next } : null);
  };
  const lines = [...new Set([...listed.keys(), ...picked])].map((value) => {
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * (counts.get(value) ?? 0)) / most}%`;
    return make("button", { class: picked.includes(value) ? "value picked" : "value", "aria-pressed": String(picked.includes(value)), onclick: () => toggle(value) },
      bar, make("span", { class: "text" }, value === null ? "none" : value === "" ? "(empty)" : value), make("span", { class: "number" }, count(counts.get(value) ?? 0)));
  });
  const search = column.kind === "text" && column.distinct > 12 ? make("input", {
    type: "search", placeholder: "contains …", value: filter?.has ?? "", "aria-label": `${column.name} contains`,
    onchange: (event) => setFilter(`column ${column.name}`, event.target.value ? { column: column.name, has: event.target.value } : null),
  }) : null;
  return make("div", { class: "values" }, ...lines, search);
}

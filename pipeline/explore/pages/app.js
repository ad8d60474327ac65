// The page: what each control changes, and what is asked anew when something has changed.

import { ask, get } from "./api.js";
import { addChart, loadCharts, optionGroups, startCharts } from "./charts.js";
import { count, fill, find, make, settled, short } from "./dom.js";
import { drawGrid, loadGrid, startGrid, turn } from "./grid.js";
import { colorNames, setTables } from "./heatmap.js";
import { drawLightbox, forgetImage, showLightbox, startLightbox } from "./lightbox.js";
import { startNeighbours } from "./neighbours.js";
import { redrawTags, showChosen, startMarks } from "./marks.js";
import { loadScatter, startScatter } from "./scatter.js";
import { change, DEFAULTS, keyOf, onChange, readAddress, setFilter, state, view } from "./state.js";

const KEYS = [["/", "SQL condition"], ["f", "filters"], ["n, p", "next page, page before"], ["arrows", "from picture to picture"],
  ["Enter", "open"], ["x", "choose"], ["o", "map on and off"], ["m", "normalised, raw, signed"], ["b", "boxes"], ["s", "scatter"], ["t", "tag"], ["Esc", "close"]];
let about;

function problem(error) {
  const box = find("problem");
  box.hidden = !error;
  box.textContent = error ? error.message : "";
}

/** Does some work; what goes wrong is said at the top of the page. */
async function report(work) {
  try {
    await work();
    problem(null);
  } catch (error) {
    problem(error);
  }
}

async function start() {
  readAddress();
  about = await get("/api/about");
  setTables(about.colors);
  document.title = `${about.run} · beam-gradcam explore`;
  fill(find("title"), about.before === null ? about.run : `${about.before} → ${about.run}`);
  find("title").title = `${about.output}\n${about.model}\n${about.method} at ${about.layer}`;
  startControls();
  startGrid(about, showChosen);
  startCharts(about);
  startScatter(about);
  startLightbox(about);
  startNeighbours();
  startMarks(about, report, () => { forgetImage(); refresh(new Set(["filters"])); });
  fillEntries();
  onChange(refresh);
  refresh(new Set(Object.keys(DEFAULTS)));
}

let latest = 0;
const loadSettled = settled(async (number) => {
  await report(() => Promise.all([loadGrid(), loadCharts(), loadClasses(), loadScatter()]));
  if (number === latest) document.body.dataset.state = "ready";
}, 60);

function load() {
  document.body.dataset.state = "loading";
  loadSettled(++latest);
}

function refresh(changed) {
  const has = (...names) => names.some((name) => changed.has(name));
  showControls();
  if (has("filters", "sql", "sort", "descending", "offset")) {
    showChips();
    redrawTags();
    load();
  } else {
    if (has("charts")) report(loadCharts);
    if (has("scatter")) report(loadScatter);
    if (has("mode", "color", "size")) drawGrid();
  }
  if (has("open")) report(showLightbox);
  else if (has("mode", "color")) drawLightbox();
}

function startControls() {
  fill(find("sort"), make("option", { value: "" }, "at random"), ...optionGroups(about.columns));
  fill(find("color"), colorNames().map((name) => make("option", { value: name }, name)));
  const on = (id, event, work) => find(id).addEventListener(event, work);
  on("sort", "change", (event) => change({ sort: event.target.value, descending: true }));
  on("way", "click", () => change({ descending: !state.descending }));
  on("mode", "change", (event) => change({ mode: event.target.value }));
  on("color", "change", (event) => change({ color: event.target.value }));
  on("opacity", "input", (event) => change({ opacity: Number(event.target.value) }));
  on("size", "input", (event) => change({ size: Number(event.target.value) }));
  on("boxes", "change", (event) => change({ boxes: event.target.checked }));
  on("sql-form", "submit", (event) => { event.preventDefault(); change({ sql: find("sql").value.trim() }); });
  on("sql", "search", () => { if (find("sql").value === "" && state.sql) change({ sql: "" }); });
  on("open-side", "click", toggleSide);
  on("help", "click", showKeys);
  on("theme", "click", () => setTheme(document.documentElement.dataset.theme === "dark" || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches) ? "light" : "dark"));
  on("link", "click", async () => {
    await navigator.clipboard.writeText(location.href);
    find("link").textContent = "Copied";
    setTimeout(() => { find("link").textContent = "Link"; }, 1500);
  });
  on("class-search", "input", settled(drawClasses, 100));
  addEventListener("keydown", keyPressed);
  const kept = localStorage.getItem("theme");
  if (kept) setTheme(kept);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  localStorage.setItem("theme", theme);
  if (state.scatter) report(loadScatter);
}

function showControls() {
  find("sort").value = state.sort;
  find("way").textContent = state.descending ? "↓" : "↑";
  find("mode").value = state.mode;
  find("color").value = state.color;
  find("opacity").value = state.opacity;
  find("size").value = state.size;
  find("boxes").checked = state.boxes;
  if (document.activeElement !== find("sql")) find("sql").value = state.sql;
  document.body.classList.toggle("with-boxes", state.boxes);
  document.body.style.setProperty("--opacity", state.opacity);
}

function showChips() {
  const chips = state.filters.map((filter) => make("button", {
    class: "chip", title: "Take it away", onclick: () => setFilter(keyOf(filter), null),
  }, said(filter), " ✕"));
  if (state.sql) chips.push(make("button", { class: "chip sql", title: "Take it away", onclick: () => change({ sql: "" }) }, state.sql, " ✕"));
  if (chips.length > 1) chips.push(make("button", { class: "quiet", onclick: () => change({ filters: [], sql: "" }) }, "all away"));
  fill(find("chips"), chips);
}

function said(filter) {
  const not = filter.not ? "not " : "";
  if (filter.lasso) return `${not}inside a line over ${filter.lasso.join(" and ")}`;
  if ("tag" in filter) return not + (filter.tag === null ? "without a tag" : `tagged ${filter.tag}`);
  if (filter.images) return `${not}${count(filter.images.length)} images`;
  if (filter.is) return `${not}${filter.column} is ${filter.is.map((value) => nameFor(filter.column, value)).join(" or ")}`;
  if ("has" in filter) return `${not}${filter.column} contains ${filter.has}`;
  if ((filter.from ?? null) === null) return `${not}${filter.column} ≤ ${short(filter.to)}`;
  if ((filter.to ?? null) === null) return `${not}${filter.column} ≥ ${short(filter.from)}`;
  return `${not}${filter.column} ${short(filter.from)} to ${short(filter.to)}`;
}

const nameFor = (column, value) => {
  if (value === null) return "none";
  const found = column === "target_index" ? classes.find((each) => String(each.target_index) === String(value)) : null;
  return found?.name ?? String(value);
};

let classes = [];

async function loadClasses() {
  const answer = await ask("classes", { view: view() });
  if (answer === undefined) return;
  ({ classes } = answer);
  drawClasses();
  showChips();
}

function drawClasses() {
  const wanted = find("class-search").value.trim().toLowerCase();
  const most = Math.max(1, ...classes.map((each) => each.rows));
  const picked = state.filters.find((filter) => filter.column === "target_index")?.is ?? [];
  const found = classes.filter((each) => (each.name ?? String(each.target_index)).toLowerCase().includes(wanted)).slice(0, 60);
  fill(find("classes"), found.map((each) => {
    const isPicked = picked.some((value) => String(value) === String(each.target_index));
    const bar = make("span", { class: "bar" });
    bar.style.width = `${(100 * each.rows) / most}%`;
    const right = each.correct === null ? "" : ` ${Math.round(100 * each.correct)} %`;
    return make("button", {
      class: isPicked ? "value picked" : "value", title: `${count(each.rows)} maps${right ? `,${right} right` : ""}; border ${short(each.border)}`,
      onclick: () => setFilter("column target_index", isPicked ? null : { column: "target_index", is: [each.target_index] }),
    }, bar, make("span", { class: "text" }, each.name ?? `class ${each.target_index}`), make("span", { class: "number" }, count(each.rows), make("small", {}, right)));
  }), found.length ? null : make("p", { class: "soft" }, "none"));
}

function fillEntries() {
  const compare = about.moved.distance ? [
    { title: "Maps that moved most", text: `Jensen-Shannon distance to run ${about.before}`, view: { sort: about.moved.distance, descending: true } },
    { title: "Another class than before", text: "", view: { filters: [{ column: about.moved.fate, is: ["changed class"] }] } },
  ] : [];
  const ranks = about.columns.find((column) => column.name === "target_rank");
  const begin = (entry) => change({ filters: [], sql: "", sort: "", descending: true, ...(entry.view ?? {}) });
  fill(find("entries"),
    make("button", { class: "entry", onclick: () => begin({}) }, "Everything, at random"),
    ranks?.most > 1 ? make("button", { class: "entry", onclick: () => begin({ view: { filters: [{ column: "target_rank", from: null, to: 1 }] } }) }, "Only the likeliest class") : null,
    [...compare, ...about.entries].map((entry) => make("button", { class: `entry ${entry.kind ?? ""}`, title: entry.text, disabled: entry.view === null, onclick: () => begin(entry) },
      entry.title, entry.rows === undefined ? null : make("span", { class: "number" }, count(entry.rows)))),
    about.slices.map((slice) => (slice.sql
      ? make("button", { class: "entry", title: "A slice of the config", onclick: () => begin({ view: { sql: slice.sql } }) }, `Where ${slice.sql}`)
      : make("button", { class: "entry", title: "A chart of the column", onclick: () => addChart(slice.column) }, `By ${slice.column}`))));
}

function toggleSide() {
  const open = document.body.classList.toggle("side-open");
  find("open-side").setAttribute("aria-expanded", String(open));
}

function showKeys() {
  const box = find("keys");
  fill(box, make("header", {}, make("h2", {}, "Keys"), make("button", { class: "icon", onclick: () => box.close() }, "✕")),
    make("dl", {}, KEYS.map(([key, what]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, what)])));
  box.showModal();
}

let opacityBefore = DEFAULTS.opacity;

function keyPressed(event) {
  const typing = event.target.matches?.("input:not([type=range]):not([type=checkbox]), textarea, select");
  if (event.key === "Escape" && typing) { event.target.blur(); return; }
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const modes = ["normalised", "raw", "signed"];
  const works = {
    "/": () => find("sql").focus(), "?": showKeys, f: toggleSide, n: () => turn(1), p: () => turn(-1),
    m: () => change({ mode: modes[(modes.indexOf(state.mode) + 1) % 3] }),
    b: () => change({ boxes: !state.boxes }), s: () => find("open-scatter").click(), t: () => find("tag").focus(),
    o: () => {
      if (state.opacity > 0) opacityBefore = state.opacity;
      change({ opacity: state.opacity > 0 ? 0 : opacityBefore });
    },
  };
  const work = works[event.key];
  if (!work || (find("lightbox").open && !["o", "m", "b"].includes(event.key))) return;
  event.preventDefault();
  work();
}

start().catch(problem);

// The page of pictures, and which of them are chosen.

import { ask } from "./api.js";
import { count, fill, find, make, nameOf, short } from "./dom.js";
import { picture, scaleOf } from "./picture.js";
import { change, state, view } from "./state.js";

export const PAGE = 48;
export const chosen = new Map(); // image_id -> row
let rows = [];
let total = 0;
let about;
let whenChosen = () => {};

export function startGrid(facts, onChosen) {
  about = facts;
  whenChosen = onChosen;
  find("previous").addEventListener("click", () => turn(-1));
  find("next").addEventListener("click", () => turn(1));
}

export const shownRows = () => rows;
export const totalRows = () => total;

export function turn(pages) {
  const offset = state.offset + pages * PAGE;
  if (offset >= 0 && offset < Math.max(total, 1)) change({ offset });
}

export async function loadGrid() {
  const columns = [state.sort, ...Object.values(about.moved)].filter(Boolean);
  const answer = await ask("rows", { view: view(), offset: state.offset, limit: PAGE, columns: [...new Set(columns)] });
  if (answer === undefined) return;
  ({ rows, total } = answer);
  if (!rows.length && total && state.offset) { change({ offset: 0 }); return; }
  drawGrid();
  const last = state.offset + rows.length;
  find("place").textContent = total ? `${count(state.offset + 1)} to ${count(last)} of ${count(total)}` : "no row is left; take a filter away";
  find("previous").disabled = state.offset === 0;
  find("next").disabled = last >= total;
  find("counts").textContent = total === about.rows ? `${count(total)} rows, ${count(about.images)} images` : `${count(total)} of ${count(about.rows)} rows`;
}

export function drawGrid() {
  const scale = scaleOf(rows);
  const grid = find("grid");
  grid.style.setProperty("--side", `${state.size}px`);
  grid.classList.toggle("pairs", about.before !== null);
  fill(grid, rows.map((row, place) => card(row, place, scale)));
}

function card(row, place, scale) {
  const pictures = about.before === null
    ? [picture(row, { side: state.size, scale })]
    : [row.before ? picture(row.before, { side: state.size, scale, table: "before" }) : make("div", { class: "photo lost" }, "not in the other run"),
       picture(row, { side: state.size, scale, against: row.before })];
  const figure = make("figure", {
    tabIndex: 0, class: chosen.has(row.image_id) ? "card chosen" : "card", title: row.uri,
    onclick: (event) => (event.shiftKey || event.ctrlKey || event.metaKey ? choose(row) : open(row)),
    onkeydown: (event) => keyOnCard(event, row, place),
  }, make("input", {
    type: "checkbox", class: "pick", checked: chosen.has(row.image_id), title: "Choose (x)", "aria-label": `choose ${nameOf(row.uri)}`,
    onclick: (event) => { event.stopPropagation(); choose(row, event.target.checked); },
  }), make("div", { class: "pictures" }, pictures), make("figcaption", {}, caption(row)));
  figure.dataset.image = row.image_id;
  return figure;
}

function caption(row) {
  const explained = row.target_name ?? (row.target_index === null ? row.status : `class ${row.target_index}`);
  const lines = [make("div", { class: "first" }, make("b", {}, explained), make("span", { class: "number" }, row.target_probability === null ? short(row.predicted_value ?? "") : row.target_probability.toFixed(2)))];
  const label = row.label_name ?? (row.label_index === null ? null : `class ${row.label_index}`);
  if (row.outcome === "FP" || row.outcome === "FN") lines.push(make("div", { class: "wrong" }, row.outcome === "FP" ? "found, not true" : "true, not found"));
  else if (typeof row.label_value === "number") lines.push(make("div", { class: "soft" }, `is ${short(row.label_value)}`));
  else if (row.is_correct === false) lines.push(make("div", { class: "wrong" }, `is ${label}`));
  else if (row.status !== "OK") lines.push(make("div", { class: "wrong" }, row.status));
  if (row.before && row.before.target_index !== row.target_index) {
    lines.push(make("div", { class: "wrong" }, `was ${row.before.target_name ?? `class ${row.before.target_index}`}`));
  }
  const distance = about.moved.distance && row[about.moved.distance];
  if (typeof distance === "number") lines.push(make("div", { class: "soft" }, `moved ${distance.toFixed(3)}`));
  if (state.sort && state.sort !== about.moved.distance && state.sort in row) lines.push(make("div", { class: "soft" }, `${state.sort} ${short(row[state.sort])}`));
  return lines;
}

export function open(row) {
  change({ open: { image: row.image_id, target: row.target_index } });
}

export function choose(row, on = !chosen.has(row.image_id)) {
  if (on) chosen.set(row.image_id, row);
  else chosen.delete(row.image_id);
  showChoice();
}

export function choosePage() {
  for (const row of rows) chosen.set(row.image_id, row);
  showChoice();
}

export function chooseNone() {
  chosen.clear();
  showChoice();
}

function showChoice() {
  for (const figure of find("grid").children) {
    const is = chosen.has(figure.dataset.image);
    figure.classList.toggle("chosen", is);
    figure.querySelector(".pick").checked = is;
  }
  document.body.classList.toggle("some-chosen", chosen.size > 0);
  whenChosen();
}

function keyOnCard(event, row, place) {
  const cards = [...find("grid").children];
  const across = cards.filter((card) => card.offsetTop === cards[0].offsetTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: across, ArrowUp: -across };
  if (event.key in steps) cards[place + steps[event.key]]?.focus();
  else if (event.key === "Enter") open(row);
  else if (event.key === "x" || event.key === " ") choose(row);
  else return;
  event.preventDefault();
}

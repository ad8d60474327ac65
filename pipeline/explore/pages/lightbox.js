// One image: its classes, its numbers, its boxes, its tags.

import { get } from "./api.js";
import { fill, find, make, nameOf, short } from "./dom.js";
import { shownRows } from "./grid.js";
import { picture, scaleOf } from "./picture.js";
import { change, state } from "./state.js";
import { addChart } from "./charts.js";

const SMALL = new Set(["uri", "image_id", "content_sha256", "fingerprint", "run_id", "error_message", "content_version", "overlay_uri"]);
let about;
let image = null; // what the server has said of it
let extras = []; // more panels: functions of (image, row), each gives an element or null

export function startLightbox(facts) {
  about = facts;
  const box = find("lightbox");
  box.addEventListener("close", () => { if (state.open) change({ open: null }); });
  box.addEventListener("click", (event) => { if (event.target === box) box.close(); });
  box.addEventListener("keydown", (event) => {
    if (event.target.matches("input, textarea, select")) return;
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
      step(event.key === "ArrowRight" ? 1 : -1);
      event.preventDefault();
    }
  });
}

export const addPanel = (panel) => extras.push(panel);

export async function showLightbox() {
  const box = find("lightbox");
  if (!state.open || typeof state.open.image !== "string") {
    image = null;
    if (box.open) box.close();
    return;
  }
  if (image?.id !== state.open.image) {
    const answer = await get(`/api/image/${encodeURIComponent(state.open.image)}`);
    if (state.open === null) return;
    image = { id: state.open.image, ...answer };
  }
  drawLightbox();
  if (!box.open) box.showModal();
}

export function forgetImage() {
  image = null;
}

export function drawLightbox() {
  if (!image || !state.open) return;
  const row = image.rows.find((each) => each.target_index === state.open.target) ?? image.rows[0];
  const box = find("lightbox");
  fill(box,
    make("header", {},
      make("h2", { title: row.uri }, nameOf(row.uri)),
      make("button", { class: "icon", title: "The one before (←)", onclick: () => step(-1) }, "←"),
      make("button", { class: "icon", title: "The next (→)", onclick: () => step(1) }, "→"),
      make("button", { class: "icon", title: "Close (Esc)", onclick: () => box.close() }, "✕")),
    make("div", { class: "halves" },
      make("div", { class: "stage" }, stage(row), classList(row)),
      make("div", { class: "facts" }, tagList(), ...extras.map((panel) => panel(image, row)), numbers(row))));
}

function stage(row) {
  const narrow = innerWidth < 820;
  const pairs = about.before !== null;
  const room = narrow ? innerWidth - 32 : Math.min(innerWidth * 0.94, 1500) - 420;
  const side = pairs && !narrow ? room / 2 - 8 : room;
  const scale = scaleOf([row]);
  const options = { side, height: Math.max(220, innerHeight * (narrow ? 0.5 : 0.72)), size: "large", scale };
  const own = make("figure", {}, picture(row, { ...options, against: row.before }), make("figcaption", {}, pairs ? `run ${about.run}` : nothingFor(row)));
  if (!pairs) return make("div", { class: "photos" }, own);
  const other = row.before
    ? make("figure", {}, picture(row.before, { ...options, table: "before" }),
        make("figcaption", {}, `run ${about.before}: ${row.before.target_name ?? row.before.target_index ?? row.before.status}`))
    : make("p", { class: "soft" }, "not in the other run");
  return make("div", { class: "photos" }, other, own);
}

const nothingFor = (row) => (row.status === "ZERO" ? "no positive evidence for this class" : "");

function classList(shown) {
  return make("div", { class: "classes" }, image.rows.map((row) =>
    make("button", {
      class: row === shown ? "tab current" : "tab", "aria-pressed": String(row === shown),
      onclick: () => change({ open: { image: image.id, target: row.target_index } }),
    }, row.target_name ?? (row.target_index === null ? row.status : `class ${row.target_index}`), " ",
    make("span", { class: "number" }, row.target_probability === null ? "" : row.target_probability.toFixed(3)),
    make("small", {}, row.target_index === row.label_index ? " label" : ""))));
}

function tagList() {
  if (!image.tags.length) return null;
  return make("section", {}, make("h3", {}, "Tags"), make("ul", {}, image.tags.map((tag) =>
    make("li", {}, make("b", {}, tag.tag), tag.note ? ` ${tag.note}` : ""))));
}

function numbers(row) {
  const groups = new Map();
  for (const column of about.columns) {
    if (row[column.name] === null || row[column.name] === undefined) continue;
    if (!groups.has(column.group)) groups.set(column.group, []);
    groups.get(column.group).push(column);
  }
  const label = row.label_name ?? null;
  return make("div", {}, row.error_message ? make("p", { class: "wrong" }, row.error_message) : null,
    [...groups].map(([group, columns]) => make("details", { open: !group.startsWith("Identity") },
      make("summary", {}, group),
      make("dl", {}, columns.map((column) => [
        make("dt", {}, make("button", { class: "name", title: `${column.meaning}\nClick for a chart`, onclick: () => addChart(column.name) }, column.name)),
        make("dd", { class: SMALL.has(column.name) ? "long" : "number" },
          column.name === "label_index" && label ? `${row.label_index} ${label}` : short(row[column.name])),
      ])))));
}

function step(by) {
  const rows = shownRows();
  const at = rows.findIndex((row) => row.image_id === state.open.image && row.target_index === state.open.target);
  const next = rows[at + by];
  if (at >= 0 && next) change({ open: { image: next.image_id, target: next.target_index } });
}

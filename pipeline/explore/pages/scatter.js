// Two columns against each other: a line drawn around points chooses their rows, a click opens one.

import { ask, post } from "./api.js";
import { count, fill, find, make, short } from "./dom.js";
import { optionGroups } from "./charts.js";
import { change, filterOn, setFilter, state, view } from "./state.js";

const HEIGHT = 320, EDGE = { left: 54, right: 12, top: 10, bottom: 30 };
const PALETTE = ["#2f7ed8", "#d9603b", "#2e9d5f", "#9467bd", "#c49a00", "#17a2b8", "#e377c2", "#7f7f7f"];
let columns;
let points = [];
let drawn = null; // the outline while it is drawn, in pixels

export function startScatter(about) {
  columns = new Map(about.columns.map((column) => [column.name, column]));
  for (const axis of ["x", "y"]) fill(find(`scatter-${axis}`), optionGroups(about.columns, ["number"]));
  fill(find("scatter-color"), make("option", { value: "" }, "none"), ...optionGroups(about.columns));
  const has = (name) => columns.get(name)?.known;
  const usual = { x: ["emb_x", "target_probability", "entropy"].find(has), y: ["emb_y", "border_lift", "effective_area"].find(has), color: has("is_correct") ? "is_correct" : "" };
  find("open-scatter").addEventListener("click", () => change({ scatter: state.scatter ? null : usual }));
  for (const what of ["x", "y", "color"]) {
    find(`scatter-${what}`).addEventListener("change", (event) => change({ scatter: { ...state.scatter, [what]: event.target.value } }));
  }
  const plot = find("plot");
  plot.addEventListener("pointerdown", (event) => {
    drawn = [at(event)];
    plot.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  plot.addEventListener("pointermove", (event) => {
    if (!drawn) return;
    drawn.push(at(event));
    drawPoints();
  });
  plot.addEventListener("pointerup", () => {
    const outline = drawn;
    drawn = null;
    if (!outline) return;
    if (outline.length < 3 || reachOf(outline) < 6) openNear(outline[0]);
    else lasso(outline);
  });
  plot.addEventListener("keydown", (event) => { if (event.key === "Delete") lasso(null); });
  new ResizeObserver(() => { if (state.scatter) drawPoints(); }).observe(plot);
}

const axes = () => [state.scatter.x, state.scatter.y];

function isDrawable() {
  const { scatter } = state;
  return scatter && [scatter.x, scatter.y].every((name) => columns.get(name)?.kind === "number") && (!scatter.color || columns.has(scatter.color));
}

export async function loadScatter() {
  const isOpen = isDrawable();
  find("scatter").hidden = !isOpen;
  find("open-scatter").setAttribute("aria-expanded", String(Boolean(isOpen)));
  if (!isOpen) return;
  for (const what of ["x", "y", "color"]) find(`scatter-${what}`).value = state.scatter[what] ?? "";
  const answer = await ask("points", { view: view(), x: state.scatter.x, y: state.scatter.y, color: state.scatter.color || null });
  if (answer === undefined || !state.scatter) return;
  ({ points } = answer);
  const sampled = points.length < answer.total ? `, ${count(points.length)} of ${count(answer.total)} drawn` : "";
  find("scatter-note").textContent = `draw around points to choose them, click one to open it${sampled}`;
  drawPoints();
}

/** Data <-> pixels of the plot. */
function scales() {
  const plot = find("plot");
  const wide = plot.clientWidth, [x, y] = axes().map((name) => columns.get(name));
  const span = (column) => [column.low, column.high > column.low ? column.high : column.low + 1];
  const [x0, x1] = span(x), [y0, y1] = span(y);
  const across = wide - EDGE.left - EDGE.right, down = HEIGHT - EDGE.top - EDGE.bottom;
  return {
    wide, x0, x1, y0, y1,
    toPixel: ([u, v]) => [EDGE.left + ((u - x0) / (x1 - x0)) * across, EDGE.top + (1 - (v - y0) / (y1 - y0)) * down],
    toData: ([u, v]) => [x0 + ((u - EDGE.left) / across) * (x1 - x0), y0 + (1 - (v - EDGE.top) / down) * (y1 - y0)],
  };
}

function colorOf() {
  const name = state.scatter.color;
  const plain = () => PALETTE[0];
  if (!name) { fill(find("legend")); return plain; }
  const column = columns.get(name);
  if (column.kind === "number" && column.distinct > 8 && column.low !== null) {
    fill(find("legend"), make("span", { class: "ramp" }), make("span", {}, `${name}: ${short(column.low)} to ${short(column.high)}`));
    const span = column.high - column.low || 1;
    return (value) => (value === null ? "#8888" : `hsl(${240 - 240 * Math.min(Math.max((value - column.low) / span, 0), 1)} 75% 50%)`);
  }
  const counts = new Map();
  for (const point of points) counts.set(point[3], (counts.get(point[3]) ?? 0) + 1);
  const values = [...counts.entries()].sort((a, b) => b[1] - a[1]).map(([value]) => value);
  const colors = new Map(values.slice(0, PALETTE.length).map((value, place) => [value, PALETTE[place]]));
  fill(find("legend"), [...colors].map(([value, color]) => {
    const dot = make("span", { class: "dot" });
    dot.style.background = color;
    return make("span", {}, dot, value === null ? "none" : String(value));
  }), values.length > colors.size ? make("span", { class: "soft" }, `and ${values.length - colors.size} more`) : null);
  return (value) => colors.get(value) ?? "#8888";
}

function drawPoints() {
  const plot = find("plot");
  const ratio = devicePixelRatio || 1;
  const { wide, x0, x1, y0, y1, toPixel } = scales();
  if (!wide) return;
  plot.width = wide * ratio;
  plot.height = HEIGHT * ratio;
  const context = plot.getContext("2d");
  context.scale(ratio, ratio);
  const style = getComputedStyle(document.body);
  const ink = style.getPropertyValue("--soft"), line = style.getPropertyValue("--line");
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = ink;
  context.strokeStyle = line;
  for (let tick = 0; tick <= 4; tick++) {
    const u = x0 + ((x1 - x0) * tick) / 4, v = y0 + ((y1 - y0) * tick) / 4;
    const [left, top] = toPixel([u, v]);
    context.beginPath();
    context.moveTo(EDGE.left, top); context.lineTo(wide - EDGE.right, top);
    context.moveTo(left, EDGE.top); context.lineTo(left, HEIGHT - EDGE.bottom);
    context.stroke();
    context.textAlign = "right"; context.fillText(short(v), EDGE.left - 6, top + 4);
    context.textAlign = tick === 4 ? "right" : "center"; context.fillText(short(u), left, HEIGHT - EDGE.bottom + 16);
  }
  const color = colorOf();
  context.globalAlpha = points.length > 3000 ? 0.35 : 0.65;
  const radius = points.length > 3000 ? 1.5 : 2.5;
  const inside = (value, low, high) => Math.min(Math.max(value, low), high);
  for (const [, u, v, shade] of points) {
    const [left, top] = toPixel([inside(u, x0, x1), inside(v, y0, y1)]);
    context.fillStyle = color(shade);
    context.fillRect(left - radius, top - radius, 2 * radius, 2 * radius);
  }
  context.globalAlpha = 1;
  const filter = filterOn(`lasso ${axes().join(" ")}`);
  const outline = drawn ?? filter?.points.map(toPixel);
  if (outline?.length) {
    context.strokeStyle = style.getPropertyValue("--accent");
    context.lineWidth = 1.5;
    context.beginPath();
    outline.forEach(([left, top], place) => (place ? context.lineTo(left, top) : context.moveTo(left, top)));
    if (!drawn) context.closePath();
    context.stroke();
  }
}

function at(event) {
  const edges = find("plot").getBoundingClientRect();
  return [event.clientX - edges.left, event.clientY - edges.top];
}

function reachOf(outline) {
  const sides = [0, 1].map((axis) => outline.map((point) => point[axis])).map((values) => Math.max(...values) - Math.min(...values));
  return Math.max(...sides);
}

function lasso(outline) {
  const key = `lasso ${axes().join(" ")}`;
  if (!outline) { setFilter(key, null); return; }
  const most = 40;
  const step = Math.max(1, outline.length / most);
  const kept = Array.from({ length: Math.min(outline.length, most) }, (_, place) => outline[Math.floor(place * step)]);
  const { toData } = scales();
  const round = (value) => Number(value.toPrecision(5));
  setFilter(key, { lasso: axes(), points: kept.map(toData).map((point) => point.map(round)) });
}

async function openNear([left, top]) {
  const { toPixel } = scales();
  let best = null, least = 12 ** 2;
  for (const point of points) {
    const [u, v] = toPixel([point[1], point[2]]);
    const far = (u - left) ** 2 + (v - top) ** 2;
    if (far < least) [best, least] = [point, far];
  }
  if (best === null) return;
  const row = await post("rows", { place: best[0] });
  change({ open: { image: row.image_id, target: row.target_index } });
}

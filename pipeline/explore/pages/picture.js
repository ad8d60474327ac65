// A photo with its map over it, and boxes.

import { photo } from "./api.js";
import { make } from "./dom.js";
import { difference, draw, levels, mapOf, reach } from "./heatmap.js";
import { state } from "./state.js";

/** The largest score of the maps of some rows, for the raw mode: one scale for all that are seen together. */
export function scaleOf(rows) {
  return Math.max(0, ...rows.flatMap((row) => [row, row.before]).map((row) => row?.cam_max ?? 0));
}

/** A photo of at most `side` pixels, its map drawn over it by the browser. */
export function picture(row, { side, height = side, size = "small", scale = 0, table = "statistics", against = null }) {
  const wide = row.width ?? 4, high = row.height ?? 3;
  const fit = Math.min(side / wide, height / high);
  const holder = make("div", { class: "photo" });
  holder.style.width = `${Math.max(1, Math.round(wide * fit))}px`;
  holder.style.aspectRatio = `${wide} / ${high}`;
  if (!row.width) return make("div", { class: "photo lost" }, row.error_message ?? row.status);
  const image = make("img", { alt: "", loading: "lazy", decoding: "async", draggable: false });
  image.addEventListener("error", () => explain(image, holder), { once: true });
  image.src = photo(table, row.image_id, size);
  const canvas = make("canvas", { class: "heat", width: Math.max(1, Math.round(wide * fit)), height: Math.max(1, Math.round(high * fit)) });
  holder.append(image, canvas);
  paint(canvas, row, scale, against);
  holder.append(...boxesOf(row));
  return holder;
}

function paint(canvas, row, scale, against) {
  let map = mapOf(row);
  if (!map || !map.frame) return;
  const moved = state.mode === "signed" && against ? difference(mapOf(against), map) : null;
  if (moved) {
    const most = reach(moved);
    draw(canvas, moved, "signed", (value) => (value / most + 1) / 2);
    return;
  }
  if (row.status === "ZERO" && state.mode !== "signed") return;
  draw(canvas, map, state.mode === "signed" ? "signed" : state.color, levels(state.mode, map, scale));
}

/** Instead of a picture, why there is none. */
async function explain(image, holder) {
  let why = "the server does not answer any more";
  try {
    const answer = await fetch(image.src);
    why = answer.ok ? "the browser cannot show it" : (await answer.json()).error;
  } catch { /* then that is what there is to say */ }
  holder.classList.add("lost");
  holder.replaceChildren(make("span", {}, why));
}

function boxesOf(row) {
  const boxes = [];
  if (typeof row.box_x0 === "number") boxes.push(["of-map", [row.box_x0, row.box_y0, row.box_x1, row.box_y1], "box of the map"]);
  const flat = row.gt_boxes ?? [];
  for (let at = 0; at + 3 < flat.length; at += 4) boxes.push(["of-truth", flat.slice(at, at + 4), "box of the manifest"]);
  return boxes.map(([kind, [x0, y0, x1, y1], title]) => {
    const box = make("div", { class: `box ${kind}`, title });
    const percent = (value, whole) => `${(100 * value) / whole}%`;
    Object.assign(box.style, {
      left: percent(x0, row.width), top: percent(y0, row.height),
      width: percent(x1 - x0, row.width), height: percent(y1 - y0, row.height),
    });
    return box;
  });
}

// The photos that are most like one, as a panel of the lightbox.

import { photo } from "./api.js";
import { make, nameOf } from "./dom.js";
import { addPanel } from "./lightbox.js";
import { change } from "./state.js";

export function startNeighbours() {
  addPanel((image) => {
    if (!image.neighbours?.length) return null;
    const copies = image.neighbours.filter((near) => near.distance === null);
    const others = image.neighbours.filter((near) => near.distance !== null);
    return make("section", { class: "neighbours" }, part("The same picture", copies), part("Most similar", others));
  });
}

function part(title, found) {
  if (!found.length) return null;
  return [make("h3", {}, title), make("div", { class: "near" }, found.map(one))];
}

function one(near) {
  const predicted = near.predicted_name ?? (near.predicted_index === null ? "" : `class ${near.predicted_index}`);
  const isWrong = near.label_index !== null && near.label_index !== near.predicted_index;
  const label = near.label_name ?? near.label_index;
  const far = near.distance === null ? "" : near.distance.toFixed(2);
  return make("button", {
    class: "neighbour", title: [near.uri, far && `distance ${far} (1 − cosine)`].filter(Boolean).join("\n"),
    onclick: () => change({ open: { image: near.image_id, target: near.target_index } }),
  },
  make("img", { alt: nameOf(near.uri), loading: "lazy", src: photo("statistics", near.image_id, "small") }),
  make("span", {}, predicted), make("small", { class: isWrong ? "wrong" : "number" }, isWrong ? `labelled ${label}` : far));
}

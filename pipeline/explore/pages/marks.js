// Tags on what is chosen, and exports.

import { download, post } from "./api.js";
import { chooseNone, choosePage, chosen, totalRows } from "./grid.js";
import { count, fill, find, make } from "./dom.js";
import { filterOn, setFilter, view } from "./state.js";

const MOST = 10000; // images that are named one by one
let report;

export function startMarks(about, onProblem, onTagged) {
  report = onProblem;
  find("choose-page").addEventListener("click", choosePage);
  find("choose-none").addEventListener("click", chooseNone);
  find("tag-form").addEventListener("submit", (event) => { event.preventDefault(); mark(false, onTagged); });
  find("untag").addEventListener("click", () => mark(true, onTagged));
  find("export").addEventListener("change", async (event) => {
    const format = event.target.value;
    event.target.value = "";
    if (!format) return;
    await report(() => download({ format, view: chosen.size ? chosenView() : view() }));
  });
  showTags(about.tags);
  showChosen();
}

const chosenView = () => ({ filters: [{ images: [...chosen.keys()].slice(0, MOST) }] });

export function showChosen() {
  const some = chosen.size > 0;
  find("selected").textContent = some ? `${count(chosen.size)} chosen` : "Shift and click to choose";
  find("choose-none").hidden = !some;
}

async function mark(remove, onTagged) {
  const tag = find("tag").value.trim(), note = find("note").value.trim();
  const all = find("tag-scope").value === "all";
  await report(async () => {
    if (!tag) throw new Error("name the tag first");
    if (!all && !chosen.size) throw new Error("choose images first (Shift and click, or x), or mark all of the view");
    const question = { view: all ? view() : chosenView(), tag, note: note || null, remove };
    if (all && totalRows() > 1000 && !confirm(`${remove ? "Untag" : "Tag"} the images of ${count(totalRows())} rows?`)) return;
    const answer = await post("tag", question);
    showTags(answer.tags);
    find("note").value = "";
    onTagged();
  });
}

function showTags(tags) {
  fill(find("tag-names"), tags.map(({ tag }) => make("option", { value: tag })));
  const now = () => filterOn("tag");
  const line = (tag, text, images) => make("button", {
    class: now()?.tag === tag && now() ? "value picked" : "value",
    onclick: () => setFilter("tag", now() && now().tag === tag ? null : { tag }),
  }, make("span", { class: "text" }, text), make("span", { class: "number" }, images === null ? "" : count(images)));
  fill(find("tags"), tags.length ? tags.map(({ tag, images }) => line(tag, tag, images)) : make("p", { class: "soft" }, "none yet"),
    tags.length ? line(null, "without any", null) : null);
  lastTags = tags;
}

let lastTags = [];
export const redrawTags = () => showTags(lastTags);

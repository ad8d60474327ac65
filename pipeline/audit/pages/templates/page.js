"use strict";
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.dataset.key === undefined) return;
    head.tabIndex = 0;
    const sort = () => {
      const falling = head.getAttribute("aria-sort") !== "descending" && head.dataset.key !== "text"
        || head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value;
      const compare = head.dataset.key === "text"
        ? (a, b) => value(a).localeCompare(value(b))
        : (a, b) => Number(value(a)) - Number(value(b));
      const known = rows.filter((row) => value(row) !== "");
      const unknown = rows.filter((row) => value(row) === "");
      known.sort((a, b) => (falling ? compare(b, a) : compare(a, b)));
      body.append(...known, ...unknown);
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
  const search = document.querySelector(`input[data-table="${table.id}"]`);
  if (search) search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    for (const row of rows) row.hidden = !row.cells[0].dataset.value.toLowerCase().includes(wanted);
  });
}

// Sorts each table by a click on a heading, and filters the rows of all tables. The page reads well without it.
"use strict";
(() => {
  const form = document.querySelector(".filters");
  const field = document.getElementById("filter");
  const selects = [...form.querySelectorAll("select")];
  const shown = document.getElementById("shown");
  const tables = [...document.querySelectorAll("table.sortable")];

  // A cell's figure, a cell's word, or null: rows without either stay at the end, whichever way the table is sorted.
  const valueOf = (row, column) => {
    const text = row.cells[column]?.dataset.value;
    if (text === undefined) return null;
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  };

  const compare = (one, other) =>
    typeof one === "number" && typeof other === "number"
      ? one - other
      : String(one).localeCompare(String(other), "en", { numeric: true });

  const sort = (table, heading) => {
    const ascending = heading.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, heading.cellIndex) }));
    rows.sort((one, other) => {
      if (one.value === null || other.value === null) return (one.value === null) - (other.value === null);
      return ascending ? compare(one.value, other.value) : compare(other.value, one.value);
    });
    body.append(...rows.map((entry) => entry.row));
  };

  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of document.querySelectorAll("table.sortable tbody tr")) {
      const text = [row.dataset.device, row.dataset.bundle, row.dataset.engine, row.textContent].join(" ").toLowerCase();
      row.hidden =
        !words.every((word) => text.includes(word)) ||
        selects.some((select) => select.value && row.dataset[select.dataset.field] !== select.value);
    }
    const rows = tables.length ? [...tables[0].tBodies[0].rows] : [];
    shown.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} rows`;
  };

  for (const table of tables) {
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      const order = document.createElement("span");
      order.className = "order";
      order.setAttribute("aria-hidden", "true");
      button.append(order, ...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading));
      heading.append(button);
      heading.setAttribute("aria-sort", "none");
    }
  }
  form.addEventListener("submit", (event) => event.preventDefault());
  field.addEventListener("input", filter);
  for (const select of selects) select.addEventListener("change", filter);
  form.hidden = false;
  filter();
})();

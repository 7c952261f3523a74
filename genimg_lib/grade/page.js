const table = document.querySelector("table");
const body = table.tBodies[0];
const rows = () => [...body.rows];
const value = (row, i) => row.cells[i].dataset.value ?? row.cells[i].textContent;
table.tHead.addEventListener("click", (event) => {
  const head = event.target.closest("th");
  if (!head) return;
  const up = head.getAttribute("aria-sort") === "descending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const i = head.cellIndex, turn = up ? 1 : -1;
  const compare = (a, b) => i ? value(a, i) - value(b, i) : -value(a, i).localeCompare(value(b, i));
  body.append(...rows().sort((a, b) => turn * compare(a, b)));
});
document.querySelector("input").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const row of rows()) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
});

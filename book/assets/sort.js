/* The table of questions: a click on the head of a column sorts its rows, a second click turns the order round. */
for (const table of document.querySelectorAll(".questions table")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const text = (row, column) => row.cells[column].textContent.trim();
  const first = [...body.rows];
  first.forEach((row, place) => { row.dataset.place = place; });
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => {
        const words = text(row, column);
        if (/^[\d.]+$/.test(words)) return Number(words);
        if (/^[●○]+$/.test(words)) return words.replaceAll("○", "").length;
        return head.dataset.column === "topic" ? Number(row.dataset.place) : words.toLowerCase();
      };
      const turn = down ? -1 : 1;
      const order = (a, b) => {
        const [x, y] = [key(a), key(b)];
        return (x < y ? -turn : x > y ? turn : 0) || a.dataset.place - b.dataset.place;
      };
      body.append(...[...body.rows].sort(order));
    });
    if (column === 1) head.dataset.column = "topic";
  });
}

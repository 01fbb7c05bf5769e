// Starts the page: drawings, theme, sorting, and what changes on paper.

const redraws = [];
for (const node of document.querySelectorAll("[data-drawing]")) {
  const drawing = DATA.drawings[node.dataset.drawing];
  if (drawing) redraws.push(mount(node, drawing));
}
const redraw = () => redraws.forEach((draw) => draw());

// A file that was opened from a disk may have no storage.
const storage = {
  get() { try { return localStorage.getItem("headprint-theme"); } catch { return null; } },
  set(value) { try { localStorage.setItem("headprint-theme", value); } catch { /* the choice lasts until the page is closed */ } },
};
const button = document.getElementById("theme");
function showTheme() {
  button.textContent = isDark() ? "Light" : "Dark";
  redraw();
}
const kept = storage.get();
if (kept) document.documentElement.dataset.theme = kept;
button.addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  storage.set(theme);
  showTheme();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", showTheme);
showTheme();

let width = innerWidth;
let timer = null;
addEventListener("resize", () => {
  if (innerWidth === width || state.printing) return;
  width = innerWidth;
  clearTimeout(timer);
  timer = setTimeout(redraw, 120);
});
addEventListener("scroll", () => tip.hide(), { passive: true });
addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hide(); });

for (const table of document.querySelectorAll("table.sortable")) {
  const headers = [...table.tHead.rows[0].cells];
  headers.forEach((header, column) => header.querySelector("button").addEventListener("click", () => {
    const descending = header.getAttribute("aria-sort") === "ascending";
    headers.forEach((other) => other.removeAttribute("aria-sort"));
    header.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const body = table.tBodies[0];
    const value = (row) => {
      const cell = row.cells[column];
      return cell.dataset.sort === undefined ? cell.textContent : Number(cell.dataset.sort);
    };
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (typeof x !== typeof y) return typeof x === "number" ? -1 : 1; // what has no number comes last
      const order = typeof x === "number" ? x - y : x.localeCompare(y);
      return descending ? -order : order;
    };
    body.append(...[...body.rows].sort(compare));
  }));
}

const opened = [];
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details:not([open])")) { details.open = true; opened.push(details); }
  state.printing = true;
  redraw();
});
addEventListener("afterprint", () => {
  for (const details of opened.splice(0)) details.open = false;
  state.printing = false;
  redraw();
});

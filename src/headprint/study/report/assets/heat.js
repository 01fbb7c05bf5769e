// Heat maps: layers × heads, and tasks × tasks. Read by pointer, or focused and read with the arrow keys.

/* Returns a panel. options: title, matrix (null: no attention there), scale {high, diverging}, width, rows and columns
   (labels; numbers without), read(i, j) -> text of a cell, write: whether numbers are written into the cells. */
function heatMap(options) {
  const { matrix, scale } = options;
  const [rows, columns] = [matrix.length, matrix[0].length];
  const named = Boolean(options.rows);
  const left = named ? Math.min(110, 12 + 7 * Math.max(...options.rows.map((name) => name.length))) : 30;
  const below = named ? left * 0.8 : 30;
  const cell = Math.max(3, Math.min(named ? 46 : 34, Math.floor((options.width - left - 2) / columns)));
  const [width, height] = [left + columns * cell + 2, rows * cell + below];
  const read = options.read || ((i, j) => `layer ${i}, head ${j}: ${matrix[i][j] === null ? "no attention" : say(matrix[i][j])}`);
  const cells = svg("g", { "shape-rendering": "crispEdges" });
  const drawing = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application",
    "aria-roledescription": "heat map", "aria-label": `${options.title}: ${rows} rows, ${columns} columns; arrow keys read cells`,
  }, cells);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) {
    const value = matrix[i][j];
    const rgb = value === null ? null : colourAt(scale, value);
    cells.append(svg("rect", {
      x: left + j * cell, y: i * cell, width: cell, height: cell, fill: rgb && css(rgb), class: rgb ? null : "empty",
      ...hovering(() => read(i, j)),
    }));
    if (options.write && rgb && cell >= (state.printing ? 21 : 30) && !(options.rows === options.columns && i === j)) {
      drawing.append(svg("text", {
        x: left + (j + 0.5) * cell, y: (i + 0.5) * cell + 4, "text-anchor": "middle", "pointer-events": "none",
        style: `fill:${inkOn(rgb)};font-size:${cell >= 38 ? 11 : cell >= 30 ? 10 : 8}px`,
      }, value.toFixed(2).replace("0.", ".").replace("-", "−")));
    }
  }
  axis(drawing, options, { rows, columns, cell, left });
  const cursor = svg("rect", { class: "cursor", width: cell, height: cell, visibility: "hidden" });
  drawing.append(cursor);
  let [at, beside] = [0, 0];
  function move(event) {
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!steps) return;
    event.preventDefault();
    at = Math.min(rows - 1, Math.max(0, at + steps[0]));
    beside = Math.min(columns - 1, Math.max(0, beside + steps[1]));
    point();
  }
  function point() {
    fill(cursor, { x: left + beside * cell, y: at * cell, visibility: "visible" }, []);
    const box = cursor.getBoundingClientRect();
    tip.show(read(at, beside), box.right, box.bottom);
  }
  fill(drawing, {
    onkeydown: move, onfocus: () => { if (drawing.matches(":focus-visible")) point(); },
    onblur: () => { cursor.setAttribute("visibility", "hidden"); tip.hide(); },
  }, []);
  return el("div", { class: "panel" }, options.title ? el("h4", {}, options.title) : null, drawing);
}

function axis(drawing, options, { rows, columns, cell, left }) {
  const every = (count) => [1, 2, 4, 5, 8, 10, 16, 20].find((n) => n * cell >= 16 && count / n <= 24) || 32;
  if (options.rows) {
    options.rows.forEach((name, i) => drawing.append(
      svg("text", { x: left - 5, y: (i + 0.5) * cell + 4, "text-anchor": "end", class: "tick" }, clipped(name, 16))));
    options.columns.forEach((name, j) => drawing.append(svg("text", {
      x: 0, y: 0, "text-anchor": "end", class: "tick",
      transform: `translate(${left + (j + 0.5) * cell + 4} ${rows * cell + 10}) rotate(-45)`,
    }, clipped(name, 16))));
    return;
  }
  for (let i = 0; i < rows; i += every(rows)) drawing.append(
    svg("text", { x: left - 5, y: (i + 0.5) * cell + 4, "text-anchor": "end", class: "tick" }, i));
  for (let j = 0; j < columns; j += every(columns)) drawing.append(
    svg("text", { x: left + (j + 0.5) * cell, y: rows * cell + 13, "text-anchor": "middle", class: "tick" }, j));
  drawing.append(
    svg("text", { x: left + (columns * cell) / 2, y: rows * cell + 27, "text-anchor": "middle", class: "tick" }, "head"),
    svg("text", { class: "tick", "text-anchor": "middle", transform: `translate(9 ${(rows * cell) / 2}) rotate(-90)` }, "layer"));
}
const clipped = (name, most) => (name.length > most ? `${name.slice(0, most - 1)}…` : name);

/* Colour bars with their ends (and 0) named: [scale, label] each. */
const colourBars = (...bars) => el("div", { class: "bars" }, ...bars.map(([scale, label]) => colourBar(scale, label)));
function colourBar(scale, label) {
  const [width, steps] = [160, 40];
  const bar = svg("svg", { width: width + 2, height: 28, viewBox: `0 0 ${width + 2} 28`, "aria-hidden": "true" });
  const low = scale.diverging ? -scale.high : 0;
  for (let k = 0; k < steps; k++) {
    const value = low + ((k + 0.5) / steps) * (scale.high - low);
    bar.append(svg("rect", {
      x: 1 + (k * width) / steps, y: 0, width: width / steps + 0.5, height: 10, fill: css(colourAt(scale, value)),
    }));
  }
  const ends = scale.diverging ? [[1, low, "start"], [width / 2, 0, "middle"], [width, scale.high, "end"]]
    : [[1, 0, "start"], [width, scale.high, "end"]];
  for (const [x, value, anchor] of ends) bar.append(svg("text", { x, y: 24, class: "tick", "text-anchor": anchor }, say(value)));
  return el("div", { class: "legend" }, el("span", {}, bar, label));
}

// Points with intervals, and lines with bands. Series differ in colour and in shape or dashes.

const SERIES = 8;
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const colour = (index) => `var(--s${index % SERIES})`;

function mark(index, x, y, size = 4.5) {
  const paint = { fill: colour(index) };
  const polygon = (...points) => svg("polygon", { ...paint, points: points.map(([a, b]) => `${x + a * size},${y + b * size}`).join(" ") });
  switch (index % 6) {
    case 0: return svg("circle", { ...paint, cx: x, cy: y, r: size });
    case 1: return polygon([0, -1.25], [1.25, 0], [0, 1.25], [-1.25, 0]);
    case 2: return polygon([-0.9, -0.9], [0.9, -0.9], [0.9, 0.9], [-0.9, 0.9]);
    case 3: return polygon([0, -1.15], [1.1, 0.9], [-1.1, 0.9]);
    case 4: return polygon([0, 1.15], [1.1, -0.9], [-1.1, -0.9]);
    default: return svg("circle", { cx: x, cy: y, r: size - 0.8, fill: "none", stroke: colour(index), "stroke-width": 2 });
  }
}

function legend(names, dashed) {
  const sign = (index) => svg("svg", { width: 22, height: 12, viewBox: "0 0 22 12", "aria-hidden": "true" },
    dashed ? svg("line", { x1: 0, x2: 22, y1: 6, y2: 6, stroke: colour(index), "stroke-width": 2, "stroke-dasharray": DASHES[Math.floor(index / SERIES) % 4] }) : null,
    mark(index, 11, 6, 4));
  return el("div", { class: "legend" }, ...names.map((name, index) => el("span", {}, sign(index), name)));
}

/* One line per row, one point with its interval per series. */
function dots(panel, { width, joined }) {
  const { rows, series, percent } = panel;
  const marked = new Set(panel.marked);
  const longest = Math.max(...rows.map((name) => name.length)) + (marked.size ? 2 : 0);
  const left = Math.min(width * 0.45, 14 + 7.3 * longest);
  const most = Math.floor((left - 10) / 7.1);
  const [right, top, below] = [14, 4, 24];
  const high = joined || series.length === 1 ? 24 : Math.max(22, 9 * series.length + 8);
  const height = top + rows.length * high + below;
  const ends = series.flatMap((each) => each.points.flatMap((point) => (point ? point.filter((x) => x !== null) : [])));
  const [floor, ceiling] = panel.limits ?? [-Infinity, Infinity];
  const clip = (x) => Math.min(ceiling, Math.max(floor, x));
  let [least, greatest] = [Math.min(...ends.map(clip)), Math.max(...ends.map(clip))];
  if (percent) [least, greatest] = [Math.max(0, least), Math.min(1, greatest)];
  const room = (greatest - least || Math.abs(greatest) || 1) * 0.04;
  [least, greatest] = [least - room, greatest + room];
  const x = (value) => left + ((value - least) / (greatest - least)) * (width - left - right);
  const inside = (value) => Math.min(width - right, Math.max(left, x(value)));
  const drawing = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${panel.title} of ${rows.length} rows by ${series.map((each) => each.name).join(", ")}; the numbers are in the table`,
  });
  for (const tick of niceTicks(least, greatest, (width - left) / 55)) {
    drawing.append(svg("line", { class: tick === 0 ? "zero" : "grid", x1: x(tick), x2: x(tick), y1: top, y2: height - below }),
      svg("text", { class: "tick", x: x(tick), y: height - 8, "text-anchor": "middle" }, sayTick(tick, percent) + (percent ? " %" : "")));
  }
  if (panel.reference !== null) drawing.append(
    svg("line", { class: "reference", x1: inside(panel.reference), x2: inside(panel.reference), y1: top, y2: height - below }));
  rows.forEach((name, i) => {
    const middle = top + (i + 0.5) * high;
    if (i && !joined && series.length > 1) drawing.append(svg("line", { class: "grid", x1: 0, x2: width - right, y1: middle - high / 2, y2: middle - high / 2 }));
    const label = (marked.has(name) ? "● " : "") + name;
    drawing.append(svg("text", { x: left - 8, y: middle + 4, "text-anchor": "end", ...hovering(label), style: marked.has(name) ? "font-weight:600" : null }, clipped(label, most)));
    const known = series.map((each) => each.points[i]).filter(Boolean).map((point) => inside(point[0]));
    if (joined && known.length > 1) drawing.append(svg("line", { class: "join", x1: Math.min(...known), x2: Math.max(...known), y1: middle, y2: middle }));
    series.forEach((each, k) => {
      const point = each.points[i];
      if (!point) return;
      const y = joined || series.length === 1 ? middle : middle + (k - (series.length - 1) / 2) * 9;
      if (point[1] !== null) drawing.append(svg("line", { x1: inside(point[1]), x2: inside(point[2]), y1: y, y2: y, stroke: colour(k), "stroke-width": 1.6 }));
      drawing.append(mark(k, inside(point[0]), y),
        svg("circle", { class: "hit", cx: inside(point[0]), cy: y, r: 9, ...hovering(`${name}, ${each.name}\n${panel.title}: ${sayInterval(point, percent)}`) }));
    });
  });
  return el("div", { class: "panel" }, el("h4", {}, panel.title), drawing);
}

/* Series along steps (or numbers of heads), on a logarithmic axis; bands are drawn for few series, or for the one in focus. */
function lines(panel, { width, xlabel, focus }) {
  const { series, percent } = panel;
  const [left, right, top, below] = [52, 12, 8, 38];
  const height = Math.round(Math.min(300, Math.max(170, width * 0.62)));
  const banded = (k) => focus === k || (focus === null && series.length <= 4);
  const shown = series.flatMap((each, k) => each.points.flatMap((p) => (p ? (banded(k) && p[1] !== null ? p : [p[0]]) : [])));
  const places = series.flatMap((each) => each.x);
  if (!shown.length) return el("div", { class: "panel" }, el("h4", {}, panel.title), el("p", { class: "note" }, "no numbers"));
  let [least, greatest] = [Math.min(...shown), Math.max(...shown)];
  const room = (greatest - least || Math.abs(greatest) || 1) * 0.06;
  [least, greatest] = [least - room, greatest + room];
  const shift = xlabel === "step" ? 1 : 0;
  const along = (value) => Math.log2(value + shift);
  const [first, last] = [along(xlabel === "step" ? 0 : Math.min(...places)), along(Math.max(...places))];
  const x = (value) => left + ((along(value) - first) / (last - first || 1)) * (width - left - right);
  const y = (value) => top + ((greatest - value) / (greatest - least)) * (height - top - below);
  const drawing = svg("svg", {
    width, height, viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${panel.title} along ${xlabel}, of ${series.map((each) => each.name).join(", ")}; the numbers are in the table`,
  });
  for (const tick of niceTicks(least, greatest, height / 50)) drawing.append(
    svg("line", { class: tick === 0 ? "zero" : "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
    svg("text", { class: "tick", x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, sayTick(tick, percent) + (percent ? " %" : "")));
  let before = -Infinity;
  for (const tick of [...(shift ? [0] : []), ...Array.from({ length: 24 }, (_, k) => 2 ** k)]) {
    if (tick > Math.max(...places) || x(tick) < left - 1 || x(tick) - before < 26) continue;
    before = x(tick);
    drawing.append(svg("text", { class: "tick", x: x(tick), y: height - 20, "text-anchor": "middle" }, tick));
  }
  drawing.append(svg("text", { class: "tick", x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, xlabel));
  series.forEach((each, k) => {
    const known = each.x.map((at, i) => [at, each.points[i]]).filter(([, point]) => point);
    const group = svg("g", { class: focus !== null && focus !== k ? "dim" : null });
    const bounded = known.filter(([, point]) => point[1] !== null);
    if (banded(k) && bounded.length) group.append(svg("polygon", {
      fill: colour(k), opacity: 0.18,
      points: [...bounded.map(([at, p]) => `${x(at)},${y(p[2])}`), ...bounded.reverse().map(([at, p]) => `${x(at)},${y(p[1])}`)].join(" "),
    }));
    group.append(svg("polyline", {
      fill: "none", stroke: colour(k), "stroke-width": focus === k ? 3 : 1.8, "stroke-dasharray": DASHES[Math.floor(k / SERIES) % 4],
      points: known.map(([at, point]) => `${x(at)},${y(point[0])}`).join(" "),
    }));
    const few = known.length <= 16;
    for (const [at, point] of known) {
      if (few) group.append(mark(k, x(at), y(point[0]), 3.4));
      group.append(svg("circle", { class: "hit", cx: x(at), cy: y(point[0]), r: few ? 8 : 4, ...hovering(`${each.name}, ${xlabel} ${at}\n${sayInterval(point, percent)}`) }));
    }
    drawing.append(group);
  });
  return el("div", { class: "panel" }, el("h4", {}, panel.title), drawing);
}

// From a drawing's data to its panels. Each kind draws the plots of one panel into a node of some width.

/* The width of panels beside each other, as many as fit; on paper they may be smaller. */
function widths(count, width, least) {
  const smallest = state.printing ? Math.min(least, 300) * 0.8 : least;
  const columns = Math.max(1, Math.min(count, Math.floor((width + 24) / (smallest + 24))));
  return Math.floor((width - 24 * (columns - 1)) / columns);
}

/* The scale of each map of a panel: maps whose scales are equal share one range. */
function ranges(maps) {
  const shared = new Map();
  for (const { values, scale } of maps) {
    const key = JSON.stringify(scale);
    const high = scale.limit ?? (scale.trimmed ? nearlyLargest(values) : largest(values));
    shared.set(key, { ...scale, high: Math.max(high, shared.get(key)?.high ?? 0) });
  }
  return (scale) => shared.get(JSON.stringify(scale));
}
/* Changes as shares of what they are changes of. */
function asRate(map, maps) {
  const base = maps.find(({ title }) => title === map.rate_of);
  if (!base) return map;
  const label = `${map.title.toLowerCase()} / ${base.title.toLowerCase()} (the largest 5 % go beyond the colors)`;
  return {
    ...map, title: `${map.title} / ${base.title.toLowerCase()}`, scale: { label, diverging: true, trimmed: true },
    values: combine(map.values, base.values, (change, x) => (x === 0 ? null : change / x)),
  };
}
const minus = (a, b) => combine(a, b, (x, y) => x - y);

const KINDS = {
  heat(node, { plots, columns }, width, settings) {
    const maps = settings.rates ? plots.map((map) => asRate(map, plots)) : plots;
    const range = ranges(maps);
    const labels = (maps[0].columns ?? maps[0].labels)?.length;
    const least = labels ? Math.min(width, 110 + 32 * labels) : maps.length > 3 && !columns ? 156 : 236;
    const widest = labels ? 110 + 46 * labels : maps.length > 3 && !columns ? 300 : Infinity;
    const each = Math.min(widths(columns ?? maps.length, width, least), widest);
    const panels = maps.map((map) => heatMap({
      title: map.title, matrix: map.values, scale: range(map.scale), width: each, rows: map.labels, columns: map.columns ?? map.labels,
      write: Boolean(map.labels), read: map.labels && ((i, j) => `${map.labels[i]} and ${(map.columns ?? map.labels)[j]}: ` +
        sayInterval(map.values[i][j] === null ? null : [map.values[i][j], (i !== j && map.low?.[i][j]) ?? null, (i !== j && map.high?.[i][j]) ?? null])),
    }));
    const scales = [...new Set(maps.map((map) => range(map.scale)))];
    node.append(el("div", { class: "panels" }, ...panels), colourBars(...scales.map((scale) => [scale, scale.label])));
  },

  dots(node, { plots, columns }, width) {
    const each = widths(columns ?? plots.length, width, 340);
    const names = plots[0].series.map((series) => series.name);
    if (names.length > 1) node.append(legend(names));
    node.append(el("div", { class: "panels" }, ...plots.map((plot) => dots(plot, { width: Math.min(each, 760), joined: plot.joined }))));
  },

  lines(node, { plots }, width, settings) {
    const each = widths(plots.length, width, plots.length > 4 ? 240 : 400);
    const names = [...new Set(plots.flatMap((plot) => plot.series.map((series) => series.name)))];
    const focus = names.includes(settings.focus) ? settings.focus : null;
    const key = legend(names, true);
    if (names.length > 1) key.querySelectorAll("span").forEach((span, index) => {
      const button = el("button", { type: "button", "aria-pressed": String(focus === names[index]), title: "Show this one with its interval" }, ...span.childNodes);
      button.addEventListener("click", () => settings.set("focus", focus === names[index] ? null : names[index]));
      span.replaceWith(button);
    });
    node.append(key, el("div", { class: "panels" }, ...plots.map((plot) => {
      const at = plot.series.findIndex((series) => series.name === focus);
      return lines(plot, { width: each, xlabel: plot.xlabel, focus: at < 0 ? null : at });
    })));
  },

  /* The matrix at one step of training, and its change since the first; on paper the changes of all steps. */
  frames(node, { plots: [{ title, steps, values, scale, readings }] }, width, settings) {
    const changes = values.map((matrix) => minus(matrix, values[0]));
    const since = `change since step ${steps[0]}`;
    const levels = { ...scale, high: largest(...values) };
    const changed = { label: since, high: largest(...changes), diverging: true };
    const bars = () => colourBars([levels, levels.label], [changed, changed.label]);
    if (state.printing) {
      node.append(el("div", { class: "panels" }, ...changes.map((matrix, k) =>
        heatMap({ title: `Step ${steps[k]}`, matrix, scale: changed, width: 150 }))), colourBars([changed, since]));
      return;
    }
    const place = Math.min(settings.place ?? steps.length - 1, steps.length - 1);
    const reading = el("output", { class: "reading" });
    const maps = el("div", { class: "panels" });
    const each = Math.min(340, widths(2, width, 250));
    function draw(k) {
      reading.textContent = [`step ${steps[k]} of ${steps.at(-1)}`,
        ...Object.entries(readings).map(([name, numbers]) => `${name} ${say(numbers[k])}`)].join(" · ");
      maps.replaceChildren(heatMap({ title: `${title} at step ${steps[k]}`, matrix: values[k], scale: levels, width: each }),
        heatMap({ title: since[0].toUpperCase() + since.slice(1), matrix: changes[k], scale: changed, width: each }));
    }
    const range = el("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: place, "aria-label": "Step of training" });
    const name = () => range.setAttribute("aria-valuetext", `step ${steps[range.value]}`);
    range.addEventListener("input", () => { settings.place = Number(range.value); name(); draw(settings.place); });
    name();
    draw(place);
    node.append(el("div", { class: "controls" }, el("label", {}, "Step", range), reading), maps, bars());
  },
};

/* Puts a drawing into its node: choosers, the chosen panel, and on paper the panels of every value of some choosers. */
function mount(node, { choosers, panels }) {
  const settings = { rates: false, focus: null, set(name, value) { settings[name] = value; draw(); } };
  const chosen = [...panels[0].at];
  // The choice that was just made stands; choosers that no longer fit it take the first value that does.
  const fits = (panel, upto) => chosen.every((value, k) => k >= upto || panel.at[k] === value);
  const valuesOf = (k) => [...new Set(panels.filter((each) => fits(each, k)).map((each) => each.at[k]))];
  function current() {
    for (let upto = choosers.length; upto > 0; upto--) {
      const found = panels.find((panel) => fits(panel, upto));
      if (found) { chosen.splice(0, chosen.length, ...found.at); return found; }
    }
    return panels[0];
  }
  function controls(panel) {
    const parts = choosers.map(({ label }, k) => {
      const values = valuesOf(k);
      if (values.length < 2) return null;
      const select = el("select", {}, ...values.map((value) => el("option", { value, selected: value === panel.at[k] }, value)));
      select.addEventListener("change", () => { chosen[k] = values[select.selectedIndex]; draw(k); });
      return el("label", {}, label, select);
    });
    if (panel.plots.some((plot) => plot.rate_of)) {
      const box = el("input", { type: "checkbox", checked: settings.rates });
      box.addEventListener("change", () => settings.set("rates", box.checked));
      parts.push(el("label", {}, box, "changes as rates"));
    }
    return parts.some(Boolean) ? el("div", { class: "controls" }, ...parts) : null;
  }
  function draw(focused = null) {
    const width = Math.min(state.printing ? 680 : Infinity, node.clientWidth || 680);
    const panel = current();
    const bar = controls(panel);
    node.replaceChildren();
    if (bar && !state.printing) node.append(bar);
    if (state.printing && title(panel)) node.append(el("h4", {}, title(panel)));
    KINDS[panel.plots[0].kind](node, panel, width, settings);
    if (state.printing) for (const other of others(panel)) {
      const block = el("div", { class: "print-only" }, el("h4", {}, title(other)));
      node.append(block);
      KINDS[other.plots[0].kind](block, other, width, settings);
    }
    if (focused !== null && bar) bar.querySelectorAll("select")[choosers.slice(0, focused).filter((_, k) => valuesOf(k).length > 1).length]?.focus();
  }
  const varies = choosers.map((_, k) => new Set(panels.map((each) => each.at[k])).size > 1);
  const title = (panel) => choosers.map(({ label }, k) => varies[k] && `${label}: ${panel.at[k]}`).filter(Boolean).join(" · ");
  const others = (panel) => panels.filter((each) => each !== panel &&
    each.at.every((value, k) => choosers[k].paper === "all" || value === panel.at[k]));
  draw();
  return () => draw();
}

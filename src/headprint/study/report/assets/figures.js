// From a drawing's data to its panels. Each kind draws one variant into a node of some width.

/* The width of panels beside each other, as many as fit; on paper they may be smaller. */
function widths(count, width, least) {
  const smallest = state.printing ? Math.min(least, 300) * 0.8 : least;
  const columns = Math.max(1, Math.min(count, Math.floor((width + 24) / (smallest + 24))));
  return Math.floor((width - 24 * (columns - 1)) / columns);
}

const KINDS = {
  /* Before, after, change (or change rate) of one task. */
  change(node, variant, width, settings) {
    const after = combine(variant.before, variant.change, (a, b) => a + b);
    const relative = settings.relative && combine(variant.change, variant.before, (c, b) => (b === 0 ? null : c / b));
    const change = relative || variant.change;
    const levels = { high: largest(variant.before, after), diverging: false };
    const changes = { high: relative ? nearlyLargest(change) : largest(change), diverging: true };
    const each = widths(3, width, 250);
    node.append(el("div", { class: "panels" },
      heatMap({ title: "Before", matrix: variant.before, scale: levels, width: each }),
      heatMap({ title: "After", matrix: after, scale: levels, width: each }),
      heatMap({ title: relative ? "Change rate ΔAP / AP" : "Change ΔAP", matrix: change, scale: changes, width: each })),
      colourBars([levels, "level (nats)"], [changes, relative ? "change rate (the largest 5 % go beyond the colours)" : "change (nats)"]));
  },

  /* Task × task correlations. */
  matrices(node, variant, width) {
    const scale = { high: 1, diverging: true };
    const least = Math.min(width, 110 + 32 * variant.tasks.length);
    const each = Math.min(widths(variant.panels.length, width, least), 110 + 46 * variant.tasks.length);
    const panels = variant.panels.map((panel) => heatMap({
      title: panel.title, matrix: panel.value, scale, width: each, rows: variant.tasks, columns: variant.tasks, write: true,
      read: (i, j) => `${variant.tasks[i]} and ${variant.tasks[j]}: ` +
        sayInterval(panel.value[i][j] === null ? null : [panel.value[i][j], panel.low && i !== j ? panel.low[i][j] : null, panel.high && i !== j ? panel.high[i][j] : null]),
    }));
    node.append(el("div", { class: "panels" }, ...panels), colourBars([scale, "correlation over heads"]));
  },

  /* Weighted changes of basic tasks, their sum, and the complex task's change. */
  equation(node, variant, width) {
    const { parts, weights, maps, target, fitted } = variant;
    const terms = [...parts.map((task) => [`${say(weights[task])} × ${task}`, maps[task]]),
      ["fit", fitted], [`${target}${variant.r2 === null ? "" : ` (R² ${variant.r2.toFixed(2)})`}`, maps[target]]];
    const scale = { high: largest(...terms.map(([, matrix]) => matrix)), diverging: true };
    const each = Math.min(300, widths(terms.length, width, 180) - 24);
    const operators = ["", ...parts.slice(1).map(() => "+ "), "= ", "≈ "];
    const panels = terms.map(([title, matrix], i) => heatMap({ title: operators[i] + title, matrix, scale, width: each }));
    node.append(el("div", { class: "panels" }, ...panels), colourBars([scale, "change ΔAP (nats)"]));
  },

  dots(node, variant, width) {
    const each = widths(variant.columns ?? variant.panels.length, width, 340);
    const names = variant.panels[0].series.map((series) => series.name);
    if (names.length > 1) node.append(legend(names));
    node.append(el("div", { class: "panels" }, ...variant.panels.map((panel) =>
      dots(panel, { width: Math.min(each, 760), joined: variant.joined }))));
  },

  lines(node, variant, width, settings) {
    const each = widths(variant.panels.length, width, variant.small ? 240 : 400);
    const names = [...new Set(variant.panels.flatMap((panel) => panel.series.map((series) => series.name)))];
    const focus = names.includes(settings.focus) ? settings.focus : null;
    const key = legend(names, true);
    if (names.length > 1) key.querySelectorAll("span").forEach((span, index) => {
      const button = el("button", { type: "button", "aria-pressed": String(focus === names[index]), title: "Show this one with its interval" }, ...span.childNodes);
      button.addEventListener("click", () => settings.set("focus", focus === names[index] ? null : names[index]));
      span.replaceWith(button);
    });
    node.append(key, el("div", { class: "panels" }, ...variant.panels.map((panel) => {
      const at = panel.series.findIndex((series) => series.name === focus);
      return lines(panel, { width: each, xlabel: variant.xlabel, focus: at < 0 ? null : at });
    })));
  },

  /* The pattern at one step of training, and its change since the first; on paper all steps. */
  slider(node, variant, width, settings) {
    const { steps, patterns } = variant;
    const levels = { high: largest(...patterns), diverging: false };
    const changes = patterns.map((pattern) => combine(pattern, patterns[0], (a, b) => a - b));
    const changed = { high: largest(...changes), diverging: true };
    if (state.printing) {
      node.append(el("div", { class: "panels" }, ...changes.map((matrix, k) =>
        heatMap({ title: `Change at step ${steps[k]}`, matrix, scale: changed, width: 150 }))), colourBars([changed, "change since step 0"]));
      return;
    }
    const place = Math.min(settings.place ?? steps.length - 1, steps.length - 1);
    const reading = el("output", { class: "reading" });
    const maps = el("div", { class: "panels" });
    const each = Math.min(340, widths(2, width, 250));
    function draw(k) {
      const facts = [`step ${steps[k]} of ${steps.at(-1)}`, ...[["correlation", "correlation"], ["mse", "MSE"], ["gini", "Gini"]]
        .filter(([name]) => variant[name] && variant[name].length).map(([name, label]) => `${label} ${say(variant[name][k])}`)];
      reading.textContent = facts.join(" · ");
      maps.replaceChildren(heatMap({ title: `Pattern at step ${steps[k]}`, matrix: patterns[k], scale: levels, width: each }),
        heatMap({ title: "Change since step 0", matrix: changes[k], scale: changed, width: each }));
    }
    const range = el("input", { type: "range", min: 0, max: steps.length - 1, step: 1, value: place, "aria-label": "Step of training" });
    const name = () => range.setAttribute("aria-valuetext", `step ${steps[range.value]}`);
    range.addEventListener("input", () => { settings.place = Number(range.value); name(); draw(settings.place); });
    name();
    draw(place);
    node.append(el("div", { class: "controls" }, el("label", {}, "Step", range), reading), maps,
      colourBars([levels, "level (nats)"], [changed, "change (nats)"]));
  },

  /* One task's maps of two runs: before, after and change of each, on the same scales. */
  runs(node, variant, width) {
    const both = variant.maps.map(({ before, change }) => ({ before, change, after: combine(before, change, (a, b) => a + b) }));
    const levels = { high: largest(...both.flatMap(({ before, after }) => [before, after])), diverging: false };
    const changes = { high: largest(...both.map(({ change }) => change)), diverging: true };
    const each = widths(3, width, 220);
    both.forEach((maps, run) => node.append(el("h4", {}, variant.names[run]), el("div", { class: "panels" },
      heatMap({ title: "Before", matrix: maps.before, scale: levels, width: each }),
      heatMap({ title: "After", matrix: maps.after, scale: levels, width: each }),
      heatMap({ title: "Change", matrix: maps.change, scale: changes, width: each }))));
    node.append(colourBars([levels, "level (nats)"], [changes, "change (nats)"]));
  },
};

/* Puts a drawing into its node: choosers, the chosen variant, and on paper the others of its `expand`. */
function mount(node, drawing) {
  const { keys, variants } = drawing;
  const settings = { relative: false, focus: null, set(name, value) { settings[name] = value; draw(); } };
  const chosen = [...variants[0].at];
  // The choice that was just made stands; keys that no longer fit it take the first value that does.
  const fits = (variant, upto) => chosen.every((value, k) => k >= upto || variant.at[k] === value);
  function current() {
    for (let upto = keys.length; upto > 0; upto--) {
      const found = variants.find((variant) => fits(variant, upto));
      if (found) { chosen.splice(0, chosen.length, ...found.at); return found; }
    }
    return variants[0];
  }
  function controls(variant) {
    const parts = keys.map(([, label], k) => {
      const values = [...new Set(variants.filter((each) => fits(each, k)).map((each) => each.at[k]))];
      if (values.length < 2) return null;
      const select = el("select", {}, ...values.map((value) => el("option", { value, selected: value === variant.at[k] }, String(value))));
      select.addEventListener("change", () => { chosen[k] = values[select.selectedIndex]; draw(k); });
      return el("label", {}, label, select);
    });
    if (drawing.kind === "change") {
      const box = el("input", { type: "checkbox", checked: settings.relative });
      box.addEventListener("change", () => settings.set("relative", box.checked));
      parts.push(el("label", {}, box, "change as a rate, ΔAP / AP"));
    }
    return parts.some(Boolean) ? el("div", { class: "controls" }, ...parts) : null;
  }
  function draw(focused = null) {
    const width = Math.min(state.printing ? 680 : Infinity, node.clientWidth || 680);
    const variant = current();
    const panel = controls(variant);
    node.replaceChildren();
    if (panel && !state.printing) node.append(panel);
    if (state.printing && title(variant)) node.append(el("h4", {}, title(variant)));
    KINDS[drawing.kind](node, variant, width, settings);
    if (state.printing && drawing.expand) for (const other of others(variant)) {
      const block = el("div", { class: "print-only" }, el("h4", {}, title(other)));
      node.append(block);
      KINDS[drawing.kind](block, other, width, settings);
    }
    if (focused !== null && panel) panel.querySelectorAll("select")[panelIndex(variant, focused)]?.focus();
  }
  const panelIndex = (variant, k) => keys.slice(0, k).filter((_, i) =>
    new Set(variants.filter((each) => fits(each, i)).map((each) => each.at[i])).size > 1).length;
  const varies = keys.map((_, k) => new Set(variants.map((each) => each.at[k])).size > 1);
  const title = (variant) => keys.map(([, label], k) => varies[k] && `${label}: ${variant.at[k]}`).filter(Boolean).join(" · ");
  function others(variant) {
    const k = keys.findIndex(([key]) => key === drawing.expand);
    return variants.filter((each) => each !== variant && each.at.every((value, i) => i === k || value === variant.at[i]));
  }
  draw();
  return () => draw();
}

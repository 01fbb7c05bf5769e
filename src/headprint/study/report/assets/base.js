"use strict";
// Elements, numbers, colours and the tooltip: what every drawing uses. Texts go in as text, never as markup.

const DATA = JSON.parse(document.getElementById("data").textContent);
const SVG_NAMESPACE = "http://www.w3.org/2000/svg";
const state = { printing: false };

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}
const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG_NAMESPACE, tag), attributes, children);

function say(value, percent) {
  if (value === null || value === undefined) return "–";
  const x = percent ? 100 * value : value;
  const size = Math.abs(x);
  let text;
  if (percent) text = x.toFixed(1);
  else if (Number.isInteger(x) && size < 1e6) text = String(x);
  else if (size !== 0 && (size < 1e-3 || size >= 1e5)) text = x.toExponential(2);
  else text = x.toPrecision(size >= 1000 ? 4 : 3);
  return text.replace("e+", "e").replace(/-/g, "−") + (percent ? " %" : "");
}
function sayInterval(point, percent) {
  if (!point) return "–";
  const [value, low, high] = point;
  return low === null || low === undefined ? say(value, percent)
    : `${say(value, percent)} [${say(low, percent)}, ${say(high, percent)}]`;
}

function isDark() {
  if (state.printing) return false;
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// Viridis for levels. For changes blue to red around white, or around near-black on a dark page: 0 is the background.
const RAMPS = {
  level: ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"],
  changeLight: ["053061", "2a71b2", "6bacd1", "c2ddec", "f7f6f6", "fbccb4", "e48066", "ba2832", "67001f"],
  changeDark: ["b3d9ff", "6db1ec", "3a7fbd", "24496b", "23272c", "6b3a26", "b5613a", "ea9264", "ffd3b8"],
};
const RGB = Object.fromEntries(Object.entries(RAMPS).map(([name, ramp]) =>
  [name, ramp.map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)))]));

function colourAt(scale, value) {
  const ramp = RGB[scale.diverging ? (isDark() ? "changeDark" : "changeLight") : "level"];
  const low = scale.diverging ? -scale.high : 0;
  const share = scale.high > 0 ? Math.min(1, Math.max(0, (value - low) / (scale.high - low))) : scale.diverging ? 0.5 : 0;
  const place = share * (ramp.length - 1);
  const first = Math.min(Math.floor(place), ramp.length - 2);
  return ramp[first].map((a, i) => Math.round(a + (ramp[first + 1][i] - a) * (place - first)));
}
const css = (rgb) => `rgb(${rgb.join(" ")})`;
const inkOn = ([r, g, b]) => (0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#000" : "#fff");

function largest(...matrices) {
  let high = 0;
  for (const matrix of matrices) for (const row of matrix || []) for (const x of row) if (x !== null) high = Math.max(high, Math.abs(x));
  return high;
}
/* The size that all but the largest twentieth stay below: rates of heads that did next to nothing before are huge. */
function nearlyLargest(matrix) {
  const sizes = matrix.flat().filter((x) => x !== null).map(Math.abs).sort((a, b) => a - b);
  return sizes.length ? sizes[Math.floor(0.95 * (sizes.length - 1))] : 0;
}
const combine = (a, b, how) => a.map((row, i) => row.map((x, j) => (x === null || b[i][j] === null ? null : how(x, b[i][j]))));

const tip = {
  node: document.getElementById("tip"),
  show(text, x, y) {
    this.node.textContent = text;
    this.node.hidden = false;
    const box = this.node.getBoundingClientRect();
    this.node.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
    this.node.style.top = `${y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18}px`;
  },
  hide() { this.node.hidden = true; },
};
const hovering = (text) => ({
  onpointerenter: (event) => tip.show(typeof text === "function" ? text() : text, event.clientX, event.clientY),
  onpointermove: (event) => tip.show(typeof text === "function" ? text() : text, event.clientX, event.clientY),
  onpointerleave: () => tip.hide(),
});

function niceTicks(low, high, count) {
  const span = high - low || 1;
  const raw = span / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const ticks = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + step * 1e-9; x += step) ticks.push(Math.abs(x) < step * 1e-9 ? 0 : x);
  return ticks;
}
function sayTick(x, percent) {
  if (percent) return `${Math.round(100 * x)}`;
  if (x !== 0 && Math.abs(x) < 1e-3) return x.toExponential(0).replace("-", "−");
  return String(Number(x.toPrecision(3))).replace("-", "−");
}

// The fixed parts of the page of memory_page.h: style and frame before the plan, the script that
// draws it after.
#pragma once

namespace repose {

inline constexpr const char* memory_page_head = R"html(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Memory plan</title>
<style>
  :root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #d5dae2; --back: #fff; --edge: #fff; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #3a4252; --back: #14181f; --edge: #14181f; }
  }
  body { margin: 1.5rem; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--back); }
  h1 { font-size: 1.2rem; margin: 0 0 .8rem; }
  .controls { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin-bottom: .8rem; }
  .controls label { display: grid; grid-template-columns: auto 12rem 6rem; gap: .6rem; align-items: center; }
  .controls input[type=number] { width: 6rem; font: inherit; }
  .figures { display: flex; flex-wrap: wrap; gap: .3rem 2rem; color: var(--soft); margin-bottom: .6rem; }
  .figures b { color: var(--ink); font-variant-numeric: tabular-nums; }
  .plot { display: grid; grid-template-columns: auto 1fr; grid-template-rows: 62vh auto; gap: .3rem .5rem; }
  svg { display: block; width: 100%; height: 100%; box-sizing: border-box; border: 1px solid var(--line);
        border-radius: 4px; }
  .axis { position: relative; color: var(--soft); font-size: .8rem; font-variant-numeric: tabular-nums; }
  .axis span { position: absolute; white-space: nowrap; }
  #bytes { width: 4.6rem; }
  #bytes span { right: 0; transform: translateY(50%); }
  #steps { grid-column: 2; height: 1.2rem; }
  #steps span { transform: translateX(-50%); }
  rect.block { stroke: var(--edge); stroke-width: 1; vector-effect: non-scaling-stroke; }
  rect.block.shown { stroke: var(--ink); stroke-width: 2; }
  #told { min-height: 3.2em; color: var(--soft); margin-top: .5rem; overflow-wrap: anywhere; }
  #told b { color: var(--ink); }
  .empty { color: var(--soft); }
</style>
<h1 id="title"></h1>
<div class="controls" id="controls"></div>
<div class="figures" id="figures"></div>
<div class="plot">
  <div class="axis" id="bytes"></div>
  <svg id="plan" preserveAspectRatio="none" role="img" aria-label="Blocks of memory over time"></svg>
  <div class="axis" id="steps"></div>
</div>
<div id="told"></div>
<script>
const floorDiv = (a, b) => Math.floor(a / b);
const floorMod = (a, b) => a - b * Math.floor(a / b);
)html";

inline constexpr const char* memory_page_tail = R"html(
const svgSpace = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);
const values = plan.symbols.map((s) => snapped(s, s.initial ?? Math.min(s.upper ?? 64, Math.max(s.lower, 64))));

// The value that a symbol may have next to `wanted`.
function snapped(symbol, wanted) {
  const low = Math.ceil(symbol.lower / symbol.divisor) * symbol.divisor;
  const near = Math.round(wanted / symbol.divisor) * symbol.divisor;
  const high = symbol.upper ?? Number.MAX_SAFE_INTEGER;
  return Math.min(Math.max(near, low), Math.floor(high / symbol.divisor) * symbol.divisor);
}

// Offsets and the peak of a placement: each block above the ends of those below it.
function placed(placement, bytes) {
  const offsets = bytes.map(() => 0);
  let peak = 0;
  for (const i of placement.order) {
    for (const j of placement.below[i]) offsets[i] = Math.max(offsets[i], offsets[j] + bytes[j]);
    peak = Math.max(peak, offsets[i] + bytes[i]);
  }
  return { offsets, peak };
}

// The best placement of a region, as a call chooses it: the first with the smallest peak.
function chosen(region, bytes) {
  let best = null;
  region.placements.forEach((placement, number) => {
    const result = placed(placement, bytes);
    if (best === null || result.peak < best.peak) best = { ...result, number };
  });
  return best ?? { offsets: [], peak: 0, number: 0 };
}

// The largest sum of bytes that live at the same position.
function lowerBound(region, bytes) {
  const sums = new Array(plan.steps.length + 1).fill(0);
  region.blocks.forEach((block, i) => {
    for (const [first, last] of block.live) {
      for (let at = first; at <= last; ++at) sums[at] = (sums[at] ?? 0) + bytes[i];
    }
  });
  return Math.max(0, ...sums);
}

const counted = (n) => n.toLocaleString("en-US");
const color = (i) => `hsl(${(i * 137.5) % 360} 55% 58%)`;

const hint = "Each rectangle is a block of memory, from the step that writes it to the last that reads it; " +
  "point at one to see its size, its place and the kernels.";
const stepName = (at) => plan.kernels[at] ? `step ${at} (${plan.kernels[at]})` : `step ${at} ${plan.steps[at] || ""}`.trim();

// Round numbers up to `most`, of which there are a few.
function ticks(most) {
  let step = 10 ** Math.floor(Math.log10(Math.max(1, most / 5)));
  for (const factor of [1, 2, 5, 10]) {
    if (most / (step * factor) <= 6) { step *= factor; break; }
  }
  step = Math.max(1, step);
  const list = [];
  for (let v = 0; v <= most; v += step) list.push(v);
  return list;
}

function shortBytes(n) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (n >= size) return `${+(n / size).toPrecision(4)} ${unit}`;
  }
  return `${n} B`;
}

function drawAxes(bytes, steps) {
  const label = (text, side, part) => {
    const span = document.createElement("span");
    span.textContent = text;
    span.style[side] = `${part * 100}%`;
    return span;
  };
  find("bytes").replaceChildren(...(bytes > 0 ? ticks(bytes) : []).map((n) => label(shortBytes(n), "bottom", n / bytes)));
  find("steps").replaceChildren(...ticks(steps).map((n) => label(n === 0 ? "step 0" : n, "left", n / steps)));
}

function tell(block, bytes, offset) {
  const first = block.live[0][0], last = block.live[block.live.length - 1][1];
  find("told").replaceChildren();
  const name = document.createElement("b");
  name.textContent = block.name;
  find("told").append(name, ` ${counted(bytes)} bytes = ${block.bytes}, at ${counted(offset)}; ` +
    `from ${stepName(first)} to ${stepName(last)}`);
}

function draw() {
  const svg = find("plan"), width = Math.max(1, plan.steps.length);
  svg.replaceChildren();
  let base = 0, bound = 0;
  const numbers = [];
  const drawn = [];
  plan.regions.forEach((region, r) => {
    const bytes = sizes[r].map((size) => size(values));
    const best = chosen(region, bytes);
    numbers.push(`${best.number + 1} of ${region.placements.length}`);
    bound += lowerBound(region, bytes);
    region.blocks.forEach((block, i) => {
      if (bytes[i] > 0) drawn.push({ block, color: color(drawn.length), bytes: bytes[i],
                                     offset: best.offsets[i], y: base + best.offsets[i] });
    });
    base += best.peak;
  });
  svg.setAttribute("viewBox", `0 0 ${width} ${Math.max(1, base)}`);
  drawAxes(base, width);
  for (const d of drawn) {
    for (const [first, last] of d.block.live) {
      const rect = document.createElementNS(svgSpace, "rect");
      const box = { x: first, width: last - first + 1, y: base - d.y - d.bytes, height: d.bytes };
      for (const [key, value] of Object.entries(box)) rect.setAttribute(key, value);
      rect.setAttribute("class", "block");
      rect.setAttribute("fill", d.color);
      const title = document.createElementNS(svgSpace, "title");
      title.textContent = `${d.block.name}: ${counted(d.bytes)} bytes`;
      rect.append(title);
      rect.addEventListener("mouseenter", () => { rect.classList.add("shown"); tell(d.block, d.bytes, d.offset); });
      rect.addEventListener("mouseleave", () => { rect.classList.remove("shown"); find("told").textContent = hint; });
      svg.append(rect);
    }
  }
  const figures = [["peak", base, "bytes"], ["lower bound", bound, "bytes"]];
  const shown = figures.map(([name, value, unit]) => {
    const span = document.createElement("span"), bold = document.createElement("b");
    bold.id = name.replace(" ", "-");
    bold.textContent = counted(value);
    span.append(`${name} `, bold, ` ${unit}`);
    return span;
  });
  for (const text of [`placement ${numbers.join(", ") || "none"}`,
                      `${drawn.length} blocks over ${width} steps`]) {
    const span = document.createElement("span");
    span.textContent = text;
    shown.push(span);
  }
  find("figures").replaceChildren(...shown);
  if (base === 0) {
    find("told").textContent = "The arena is empty: inputs, weights and results need nothing else.";
    find("told").className = "empty";
  } else {
    find("told").textContent = hint;
    find("told").className = "";
  }
}

function control(symbol, i) {
  const label = document.createElement("label");
  const slider = document.createElement("input"), number = document.createElement("input");
  slider.type = "range";
  number.type = "number";
  for (const input of [slider, number]) {
    input.min = Math.ceil(symbol.lower / symbol.divisor) * symbol.divisor;
    input.step = symbol.divisor;
    if (symbol.upper !== undefined) input.max = symbol.upper;
  }
  slider.max = symbol.upper ?? Math.max(1024, 2 * values[i]);
  slider.setAttribute("aria-label", symbol.name);
  number.setAttribute("aria-label", `${symbol.name}, exactly`);
  const show = () => { slider.value = values[i]; number.value = values[i]; };
  const take = (input) => { values[i] = snapped(symbol, Number(input.value) || 0); show(); draw(); };
  slider.addEventListener("input", () => take(slider));
  number.addEventListener("change", () => take(number));
  label.append(symbol.name, slider, number);
  find("controls").append(label);
  show();
}

for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
  const i = plan.symbols.findIndex((s) => s.name === name);
  if (i >= 0 && Number.isFinite(Number(value))) values[i] = snapped(plan.symbols[i], Number(value));
}
find("title").textContent = `Memory of ${plan.function} in ${plan.model}`;
document.title = find("title").textContent;
plan.symbols.forEach(control);
draw();
</script>
</html>
)html";

}  // namespace repose

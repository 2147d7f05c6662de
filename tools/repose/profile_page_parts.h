// The fixed parts of the page of `repose profile --html`: style and frame before the profile, the
// script that draws it after.
#pragma once

namespace repose::cli {

inline constexpr const char* profile_page_head = R"html(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Profile</title>
<style>
  :root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #d5dae2; --faint: #eef1f5; --back: #fff;
          --flops: #3565c4; --bytes: #1f8a5b; --roof: #b4542a; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #3a4252; --faint: #1d232d; --back: #14181f;
            --flops: #7da2f0; --bytes: #5cc795; --roof: #e08a5f; }
  }
  body { margin: 1.5rem auto; padding: 0 1.5rem; max-width: 1240px; font: 15px/1.45 system-ui, sans-serif;
         color: var(--ink); background: var(--back); }
  h1 { font-size: 1.25rem; margin: 0; }
  h2 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
  p { margin: .2rem 0 0; color: var(--soft); }
  .figures { display: flex; flex-wrap: wrap; gap: .3rem 2.2rem; margin-top: .7rem; color: var(--soft); }
  .figures b { color: var(--ink); font-variant-numeric: tabular-nums; }
  svg { display: block; width: 100%; height: auto; }
  svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
  svg text.name, svg text.roofname { paint-order: stroke; stroke: var(--back); stroke-width: 3px; }
  svg text.name { fill: var(--ink); }
  .grid { stroke: var(--line); stroke-width: 1; }
  .roof { stroke: var(--roof); stroke-width: 2; fill: none; }
  svg text.roofname { fill: var(--roof); }
  .flops { fill: var(--flops); } .bytes { fill: var(--bytes); }
  circle { fill-opacity: .55; stroke: var(--back); stroke-width: 1; }
  circle.shown { fill-opacity: 1; stroke: var(--ink); stroke-width: 2; }
  table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
  th { text-align: right; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line);
       padding: .25rem .6rem; white-space: nowrap; cursor: pointer; }
  th.left, td.left { text-align: left; }
  td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--faint); vertical-align: top;
       white-space: nowrap; }
  td.kernel { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 17rem; }
  td.bar { width: 20%; min-width: 8rem; }
  tr.shown td { background: var(--faint); }
  .track { position: relative; height: 1.1rem; background: var(--faint); border-radius: 3px; overflow: hidden; }
  .track div { position: absolute; inset: 0 auto 0 0; border-radius: 3px; }
  .track .rest { background: var(--line); }
  .track .least.flops { background: var(--flops); } .track .least.bytes { background: var(--bytes); }
  .operators { color: var(--soft); font-size: .87em; }
  details summary { cursor: pointer; color: var(--soft); font-size: .87em; }
  details div { color: var(--soft); font-size: .85em; overflow-wrap: anywhere; }
  .key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; vertical-align: -1px; margin: 0 .3em 0 .9em; }
</style>
<h1 id="title"></h1>
<p id="machine"></p>
<div class="figures" id="figures"></div>
<h2>Roofline</h2>
<p>Each circle is a kernel, its area the share of the time. The line is what this machine can do at most with as many
operations for each byte that has to be moved; a kernel above it works on what the caches hold. Point at a circle to
find its kernel.</p>
<svg id="roofline" role="img" aria-label="Speed of each kernel beside the machine's limit"></svg>
<h2>Kernels</h2>
<p>The bar is the time of a call; its coloured part is the least that the machine needs, for
<span class="key" style="background: var(--flops); margin-left: .1em"></span>operations or
<span class="key" style="background: var(--bytes); margin-left: .1em"></span>memory.</p>
<table><thead id="head"></thead><tbody id="kernels"></tbody></table>
<script>
)html";

inline constexpr const char* profile_page_tail = R"html(
const svgSpace = "http://www.w3.org/2000/svg";
const find = (id) => document.getElementById(id);
const { gflops: peak, read_gbps: bandwidth } = profile.machine;
const bytesOf = (k) => k.read_bytes + k.written_bytes;

function number(x) {
  if (x === 0) return "0";
  const digits = x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 3;
  return x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function counted(x) {
  for (const [unit, size] of [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
    if (x >= size) return `${number(x / size)} ${unit}`;
  }
  return `${number(x)} `;
}

function element(name, attributes = {}, text = "") {
  const made = document.createElementNS(svgSpace, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

function html(name, className = "", ...inside) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

const rows = new Map(), circles = new Map();

function show(kernel, shown) {
  rows.get(kernel)?.classList.toggle("shown", shown);
  circles.get(kernel)?.classList.toggle("shown", shown);
}

// Powers of ten between two numbers.
function decades(low, high) {
  const list = [];
  for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) list.push(10 ** e);
  return list;
}

function drawRoofline() {
  const svg = find("roofline"), width = 1160, height = 430;
  const box = { left: 62, right: width - 16, top: 14, bottom: height - 44 };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const dots = profile.kernels.filter((k) => k.flops > 0 && bytesOf(k) > 0 && k.ms > 0)
    .map((k) => ({ k, x: k.flops / bytesOf(k), y: k.gflops }));
  const ridge = peak / bandwidth;
  const xs = decades(Math.min(ridge / 20, ...dots.map((d) => d.x)), Math.max(ridge * 20, ...dots.map((d) => d.x)));
  const ys = decades(Math.min(peak / 100, ...dots.map((d) => d.y)), Math.max(peak * 1.3, ...dots.map((d) => d.y)));
  const scale = (list, from, to) => {
    const low = Math.log10(list[0]), high = Math.log10(list[list.length - 1]);
    return (v) => from + (Math.log10(v) - low) / (high - low) * (to - from);
  };
  const x = scale(xs, box.left, box.right), y = scale(ys, box.bottom, box.top);
  for (const v of xs) {
    svg.append(element("line", { class: "grid", x1: x(v), x2: x(v), y1: box.top, y2: box.bottom }),
               element("text", { x: x(v), y: box.bottom + 17, "text-anchor": "middle" }, String(+v.toPrecision(3))));
  }
  for (const v of ys) {
    svg.append(element("line", { class: "grid", x1: box.left, x2: box.right, y1: y(v), y2: y(v) }),
               element("text", { x: box.left - 7, y: y(v) + 4, "text-anchor": "end" }, String(+v.toPrecision(3))));
  }
  svg.append(element("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" },
                     "operations for each byte"),
             element("text", { transform: `translate(13 ${(box.top + box.bottom) / 2}) rotate(-90)`,
                               "text-anchor": "middle" }, "GFLOP/s"));
  const lowest = Math.max(xs[0], ys[0] / bandwidth);
  svg.append(element("path", { class: "roof", d: `M${x(lowest)} ${y(lowest * bandwidth)} L${x(ridge)} ${y(peak)} ` +
                                                  `L${box.right} ${y(peak)}` }),
             element("text", { class: "roofname", x: box.right - 6, y: y(peak) - 7, "text-anchor": "end" },
                     `${number(peak)} GFLOP/s`));
  const middle = lowest ** .75 * ridge ** .25;
  const angle = Math.atan2(y(peak) - y(lowest * bandwidth), x(ridge) - x(lowest)) * 180 / Math.PI;
  svg.append(element("text", { class: "roofname", "text-anchor": "middle",
                               transform: `translate(${x(middle) - 5} ${y(middle * bandwidth) - 8}) rotate(${angle})` },
                     `${number(bandwidth)} GB/s`));
  const placed = [];
  for (const { k, x: at, y: speed } of dots) {
    const radius = 4 + 26 * Math.sqrt(k.share);
    const circle = element("circle", { class: k.bound, cx: x(at), cy: y(speed), r: radius });
    circle.append(element("title", {}, `${k.kernel}\n${number(k.ms)} ms, ${number(k.gflops)} GFLOP/s, ` +
                                       `${number(k.of_limit * 100)} % of the limit`));
    circle.addEventListener("mouseenter", () => show(k.kernel, true));
    circle.addEventListener("mouseleave", () => show(k.kernel, false));
    circles.set(k.kernel, circle);
    svg.append(circle);
  }
  // Names of the longest kernels, as far as there is room for them.
  for (const { k, x: at, y: speed } of dots.slice(0, 12)) {
    const name = k.kernel.length > 34 ? k.kernel.slice(0, 33) + "…" : k.kernel;
    const radius = 4 + 26 * Math.sqrt(k.share), length = 6.4 * name.length;
    const left = x(at) + radius + 4 + length > box.right;
    const start = left ? x(at) - radius - 4 - length : x(at) + radius + 4;
    const room = { x1: start, x2: start + length, y1: y(speed) - 7, y2: y(speed) + 7 };
    const clashes = placed.some((p) => p.x1 < room.x2 && room.x1 < p.x2 && p.y1 < room.y2 && room.y1 < p.y2);
    if (clashes || room.x1 < box.left) continue;
    placed.push(room);
    svg.append(element("text", { class: "name", x: left ? x(at) - radius - 4 : start, y: y(speed) + 4,
                                 "text-anchor": left ? "end" : "start" }, name));
  }
}

const columns = [["ms", (k) => k.ms], ["share", (k) => k.share], ["runs", (k) => k.runs],
                 ["GFLOP/s", (k) => k.gflops], ["GB/s", (k) => k.gbps], ["of limit", (k) => k.of_limit]];
let sortedBy = columns[0][1];

function drawTable() {
  const longest = Math.max(...profile.kernels.map((k) => k.ms), 1e-9);
  const body = find("kernels");
  body.replaceChildren();
  for (const k of [...profile.kernels].sort((a, b) => sortedBy(b) - sortedBy(a))) {
    const least = Math.min(k.of_limit, 1) * k.ms / longest * 100;
    const rest = html("div", "rest"), bar = html("div", `least ${k.bound}`);
    rest.style.width = `${k.ms / longest * 100}%`;
    bar.style.width = `${least}%`;
    const name = html("td", "kernel", html("div", "", k.kernel), html("div", "operators", k.operators));
    const places = profile.places.filter((p) => p.kernel === k.kernel);
    const more = html("details", "", html("summary", "", places.length === 1 ? "1 place" : `${places.length} places`));
    for (const p of places) more.append(html("div", "", `${number(p.ms)} ms: ${p.nodes.join(", ") || "no node"}`));
    name.append(more);
    const row = html("tr", "", html("td", "", number(k.ms)), html("td", "", `${(k.share * 100).toFixed(1)} %`),
                     html("td", "", String(k.runs)), html("td", "", number(k.gflops)), html("td", "", number(k.gbps)),
                     html("td", "", `${(k.of_limit * 100).toFixed(0)} %`),
                     html("td", "bar", html("div", "track", rest, bar)), name);
    row.title = `${counted(k.flops)}FLOP, ${counted(k.read_bytes)}B read, ${counted(k.written_bytes)}B written`;
    row.addEventListener("mouseenter", () => show(k.kernel, true));
    row.addEventListener("mouseleave", () => show(k.kernel, false));
    rows.set(k.kernel, row);
    body.append(row);
  }
}

const head = html("tr");
for (const [name, value] of columns) {
  const cell = html("th", "", name);
  cell.title = "sort";
  cell.addEventListener("click", () => { sortedBy = value; drawTable(); });
  head.append(cell);
}
head.append(html("th", "left", ""), html("th", "left", "kernel and operators"));
find("head").append(head);

const threads = `${profile.threads} thread${profile.threads === 1 ? "" : "s"}`;
find("title").textContent = `${profile.model}: ${[profile.function, profile.sizes, threads].filter(Boolean).join(", ")}`;
document.title = find("title").textContent;
find("machine").textContent = [profile.machine.cpu, profile.machine.flags.join(" "), profile.machine.system]
  .filter(Boolean).join(" · ");
const sum = (f) => profile.kernels.reduce((total, k) => total + f(k), 0);
const flops = sum((k) => k.flops), least = sum((k) => Math.min(k.of_limit, 1) * k.ms);
for (const [id, name, text] of [
  ["call", "a call", `${number(profile.ms)} ms`], ["least", "the machine needs at least", `${number(least)} ms`],
  ["speed", "on average", `${number(profile.ms > 0 ? flops / profile.ms / 1e6 : 0)} GFLOP/s`],
  ["between", "between kernels", `${number(profile.between_ms)} ms`],
  ["runs", "runs", `${sum((k) => k.runs)} of ${profile.kernels.length} kernels`]]) {
  const bold = html("b", "", text);
  bold.id = id;
  find("figures").append(html("span", "", `${name} `, bold));
}
drawRoofline();
drawTable();
</script>
</html>
)html";

}  // namespace repose::cli

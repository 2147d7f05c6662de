// The fixed parts of the page of `repose bench --html`: style and frame before the figures, the
// script that draws them after.
#pragma once

namespace repose::cli {

inline constexpr const char* bench_page_head = R"html(<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Benchmark</title>
<style>
  :root { color-scheme: light dark; --ink: #1c2330; --soft: #667085; --line: #d5dae2; --faint: #eef1f5; --back: #fff;
          --own: #3565c4; --other: #b9c2d0; --least: #1d3f86; }
  @media (prefers-color-scheme: dark) {
    :root { --ink: #e6e9ef; --soft: #98a2b3; --line: #3a4252; --faint: #1d232d; --back: #14181f;
            --own: #7da2f0; --other: #4a5468; --least: #c3d4fb; }
  }
  body { margin: 1.5rem auto; padding: 0 1.5rem; max-width: 1240px; font: 15px/1.45 system-ui, sans-serif;
         color: var(--ink); background: var(--back); }
  h1 { font-size: 1.25rem; margin: 0; }
  h2 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
  p { margin: .2rem 0 0; color: var(--soft); }
  .figures { display: flex; flex-wrap: wrap; gap: .3rem 2.2rem; margin-top: .7rem; color: var(--soft); }
  .figures b { color: var(--ink); font-variant-numeric: tabular-nums; }
  .scroll { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  table.wide { width: 100%; }
  th { text-align: right; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--line);
       padding: .25rem .5rem; vertical-align: bottom; }
  td { text-align: right; padding: .25rem .5rem; border-bottom: 1px solid var(--faint); white-space: nowrap; }
  .left { text-align: left; }
  td.bars { width: 55%; min-width: 14rem; }
  .track { height: .8rem; margin: .12rem 0; position: relative; }
  .track div { position: absolute; inset: 0 auto 0 0; border-radius: 2px; }
  .own { background: var(--own); } .other { background: var(--other); } .least { background: var(--least); }
  .key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; vertical-align: -1px; margin: 0 .35em 0 1em; }
  .key:first-child { margin-left: 0; }
</style>
<h1 id="title"></h1>
<p id="machine"></p>
<div class="figures" id="figures"></div>
<h2>Time of a call</h2>
<p id="keys"></p>
<table class="wide"><tbody id="bars"></tbody></table>
<h2>All figures</h2>
<div class="scroll"><table><thead id="head"></thead><tbody id="rows"></tbody></table></div>
<p id="notes"></p>
<script>
)html";

inline constexpr const char* bench_page_tail = R"html(
const find = (id) => document.getElementById(id);

function number(x) {
  if (x === 0) return "0";
  const digits = x >= 100 ? 0 : x >= 10 ? 1 : x >= 1 ? 2 : 3;
  return x.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}
const percent = (x) => `${(x * 100).toFixed(0)} %`;
const megabytes = (x) => x < 0 ? "data" : number(x / 1e6);

function html(name, className = "", ...inside) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...inside);
  return made;
}

function figure(name, value) {
  find("figures").append(html("span", "", `${name} `, html("b", "", value)));
}

const threadsOf = (r) => `${r.threads} thread${r.threads === 1 ? "" : "s"}`;
find("title").textContent = `${bench.model}: ${bench.function}`;
document.title = find("title").textContent;
find("machine").textContent = [bench.machine.cpu, bench.machine.flags.join(" "), bench.machine.system, bench.compiler,
                               `${bench.date} UTC`].filter(Boolean).join(" · ");
if (bench.compile_seconds) figure("compiled in", `${number(bench.compile_seconds)} s`);
figure("loaded in", `${number(bench.load_ms)} ms`);
figure("artifact", `${megabytes(bench.artifact_bytes)} MB`);
for (const l of bench.limits) {
  figure(`limit, ${threadsOf(l)}`, `${number(l.gflops)} GFLOP/s, ${number(l.read_gbps)} GB/s`);
}

const rows = bench.rows, has = (key) => rows.some((r) => r[key] !== undefined);
const key = (name, text) => [html("span", `key ${name}`), text];
find("keys").append(...key("own", "Repose"), ...(has("of_limit") ? key("least", "of that, what the machine needs at least") : []),
                    ...(has("reference") ? key("other", bench.reference) : []));
const longest = Math.max(...rows.map((r) => Math.max(r.median_ms, r.reference?.median_ms ?? 0)), 1e-9);
const width = (ms) => `${Math.max(ms / longest * 100, .15)}%`;
function track(...bars) {
  const made = html("div", "track");
  for (const [name, ms] of bars) {
    const bar = html("div", name);
    bar.style.width = width(ms);
    made.append(bar);
  }
  return made;
}
for (const r of rows) {
  const bars = html("td", "bars", track(["own", r.median_ms],
    ...(r.of_limit === undefined ? [] : [["least", Math.min(r.of_limit, 1) * r.median_ms]])));
  if (r.reference) bars.append(track(["other", r.reference.median_ms]));
  find("bars").append(html("tr", "", html("td", "left", threadsOf(r)), html("td", "left", r.sizes),
                           html("td", "", `${number(r.median_ms)} ms`),
                           html("td", "", r.ratio === undefined ? "" : `× ${r.ratio.toFixed(2)}`), bars));
}

const columns = [
  ["threads", (r) => r.threads], ["sizes", (r) => r.sizes || "–", "left"], ["median ms", (r) => number(r.median_ms)],
  ["p90", (r) => number(r.p90_ms)], ["p99", (r) => number(r.p99_ms)], ["least", (r) => number(r.least_ms)],
  ["first", (r) => number(r.first_ms)], ["calls", (r) => r.calls],
  ...(has("gflops") ? [["GFLOP/s", (r) => number(r.gflops ?? 0)], ["GB/s", (r) => number(r.gbps ?? 0)],
                       ["of limit", (r) => percent(r.of_limit ?? 0)]] : []),
  ["arena MB", (r) => megabytes(r.arena_bytes)], ["resident MB", (r) => megabytes(r.resident_bytes)],
  ...(has("reference") ? [[`${bench.reference} ms`, (r) => number(r.reference.median_ms)],
                          ["ratio", (r) => r.ratio.toFixed(2)]] : []),
  ...(has("baseline_ms") ? [["baseline ms", (r) => r.baseline_ms === undefined ? "–" : number(r.baseline_ms)],
                            ["change", (r) => r.change === undefined ? "–" : `${(r.change * 100).toFixed(1)} %`]] : []),
];
find("head").append(html("tr", "", ...columns.map(([name, , side]) => html("th", side ?? "", name))));
for (const r of rows) {
  find("rows").append(html("tr", "", ...columns.map(([, value, side]) => html("td", side ?? "", String(value(r))))));
}
find("notes").textContent = bench.notes.join(" · ");
</script>
</html>
)html";

}  // namespace repose::cli

#!/usr/bin/env python3
"""How fast compiled models run beside ONNX Runtime: one artifact for all shapes of a model.

    speed.py [--repose PATH] [--threads 1,2] [--seconds S] [--results FOLDER] [CASE…]

A case is a part of the name of a model (all without). `repose bench` measures each; the table has
ONNX Runtime's time ÷ that of Repose, and what is asked for at least. Where every case ran, the
figures are kept in bench/results, as Markdown and as JSON, in files that are named after the CPU.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "models"))
import make  # noqa: E402  (models/make.py)

TOKENS = ["input_ids=rand(0,500)"]
TEXT = [*TOKENS, "attention_mask=ones"]

# model: (how inputs are filled, {shape: the ratio asked for at least})
CASES = {
    "minilm": (TEXT, {"batch=1,seq=16": 1.4, "batch=1,seq=128": 1.2, "batch=8,seq=128": 1.2,
                      "batch=3,seq=77": 1.2, "batch=1,seq=384": 1.3}),
    "bert_base": (TEXT, {"batch=1,seq=128": 1.15}),
    "resnet50": ([], {"batch=1,height=224,width=224": 1.1, "batch=4,height=224,width=224": 1.1,
                      "batch=1,height=256,width=320": 1.1}),
    "mobilenet_v2": ([], {"batch=1,height=224,width=224": 1.3}),
    "llama_160m": (TOKENS, {"batch=1,new=128,past=0": 1.2, "batch=1,new=1,past=128": 1.8,
                            "batch=1,new=1,past=1024": 1.8}),
    "ocr_det": ([], {"batch=1,height=640,width=640": 1.2}),
    "ocr_rec": ([], {"batch=1,height=48,width=320": 1.2}),
}
ASKED_MEAN = 1.3
IDLE = 0.85  # the part of its best at which a machine is taken to be busy with something else
NARROW = 0.9  # what is asked for on a machine with registers of 256 bits, as a part


def measure(options, name):
    """What `repose bench` says of a model at its shapes."""
    path = make.make(name, options.models)
    fills, shapes = CASES[name]
    command = [str(options.repose), "bench", str(path), "--vs", "onnxruntime", "--json", "--threads",
               options.threads, "--seconds", str(options.seconds), "--shapes", *shapes]
    for fill in fills:
        command += ["--input", fill]
    environment = {**os.environ, "REPOSE_PYTHON": sys.executable}
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, env=environment)
    if done.returncode:
        sys.exit(f"`{' '.join(command)}` failed with exit code {done.returncode}")
    return json.loads(done.stdout)


def rows_of(report):
    """The rows of a model, each with what is asked for."""
    asked = {shape.replace(",", ", "): ratio for shape, ratio in CASES[report["model"]][1].items()}
    part = 1 if "avx512f" in report["machine"]["flags"] else NARROW
    return [{"model": report["model"], **row, "asked": asked[row["sizes"]] * part} for row in report["rows"]]


def mean(rows):
    return math.exp(sum(math.log(row["ratio"]) for row in rows) / len(rows))


TITLES = ["model", "sizes", "threads", "Repose ms", "ONNX Runtime ms", "ratio", "asked", "GFLOP/s", "GB/s",
          "of limit", "first ms", "resident MB"]


def cells_of(row):
    met = "" if row["ratio"] >= row["asked"] else " (missed)"
    return [row["model"], row["sizes"], str(row["threads"]), f"{row['median_ms']:.2f}",
            f"{row['reference']['median_ms']:.2f}", f"{row['ratio']:.2f}", f"{row['asked']:.2f}{met}",
            *([f"{row['gflops']:.0f}", f"{row['gbps']:.1f}", f"{row['of_limit']:.0%}"] if "gflops" in row
              else ["", "", ""]),
            f"{row['first_ms']:.2f}", f"{row['resident_bytes'] / 1e6:.0f}"]


def text_of(cells):
    widths = [12, 33, 7, 10, 15, 6, 14, 8, 6, 8, 9, 11]
    return "  ".join(cell.ljust(w) if i < 2 else cell.rjust(w) for i, (cell, w) in enumerate(zip(cells, widths)))


def markdown(reports, rows):
    first = reports[0]
    machine = first["machine"]
    lines = [f"# Speed on {machine['cpu'] or 'an unknown CPU'}", "",
             f"`./dev bench speed`, {first['date']} UTC: {first['compiler']} beside {first['reference']}, rounds of "
             "calls in turns with a rest of 50 ms before each, times are medians. One artifact for all shapes of a "
             "model. Ratio: the time of ONNX Runtime ÷ that of Repose.", "",
             f"{machine['cpus']} CPUs ({' '.join(machine['flags'])}), {machine['memory_gb']:.0f} GB, "
             f"{machine['system']}.", ""]
    lines += [f"- {line}" for line in limit_lines(reports)]
    lines += ["", "| " + " | ".join(TITLES) + " |", "|---|---|" + "--:|" * (len(TITLES) - 2)]
    lines += ["| " + " | ".join(cells_of(row)) + " |" for row in rows]
    lines += [""]
    for threads in sorted({row["threads"] for row in rows}):
        own = [row for row in rows if row["threads"] == threads]
        lines.append(f"- {mean_text(threads, own)}")
    lines += ["", "| model | compiled in s | loaded in ms | artifact MB |", "|---|--:|--:|--:|"]
    lines += [f"| {r['model']} | {r['compile_seconds']:.2f} | {r['load_ms']:.2f} | {r['artifact_bytes'] / 1e6:.1f} |"
              for r in reports]
    return "\n".join(lines) + "\n"


def mean_text(threads, rows):
    asked = ASKED_MEAN * (rows[0]["asked"] / CASES[rows[0]["model"]][1][rows[0]["sizes"].replace(", ", ",")])
    value = mean(rows)
    return (f"{threads} thread{'s' * (threads != 1)}: geometric mean {value:.2f}, asked {asked:.2f}"
            + ("" if value >= asked else " (missed)"))


def limit_lines(reports):
    """What the machine can do, measured before each model; and whether it was busy otherwise."""
    lines = []
    for number, limit in enumerate(reports[0]["limits"]):
        text, busy = [], False
        for key, unit in ("gflops", "GFLOP/s of float32"), ("read_gbps", "GB/s read"):
            values = [r["limits"][number][key] for r in reports]
            low, high = min(values), max(values)
            busy = busy or low < IDLE * high
            text.append(f"{low:.0f} to {high:.0f} {unit}")
        lines.append(f"limit with {limit['threads']} thread{'s' * (limit['threads'] != 1)}: {', '.join(text)}"
                     + (" (it was not always the same: the machine was busy otherwise)" if busy else ""))
    return lines


def keep(folder, reports, rows):
    machine = reports[0]["machine"]
    level = "avx512" if "avx512f" in machine["flags"] else "avx2" if "avx2" in machine["flags"] else "sse"
    name = re.sub(r"[^a-z0-9]+", "-", f"{machine['cpu']} {level} {machine['cpus']} cpus".lower()).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(markdown(reports, rows))
    (folder / f"{name}.json").write_text(json.dumps(reports, indent=1) + "\n")
    print(f"kept in {folder / name}.md and .json")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repose", type=Path, default=ROOT / "build/release/bin/repose")
    parser.add_argument("--models", type=Path, default=ROOT / "build/models", help="folder of the models")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each shape and side")
    parser.add_argument("--results", type=Path, default=ROOT / "bench/results", help="where figures are kept")
    options = parser.parse_args()
    names = [n for n in CASES if any(part in n for part in options.cases or CASES)]
    if not names:
        parser.error(f"no such case; there are: {', '.join(CASES)}")
    reports, rows = [], []
    print(text_of(TITLES))
    for name in names:
        reports.append(measure(options, name))
        rows += rows_of(reports[-1])
        for row in rows_of(reports[-1]):
            print(text_of(cells_of(row)), flush=True)
    for threads in sorted({row["threads"] for row in rows}):
        print(mean_text(threads, [row for row in rows if row["threads"] == threads]))
    for line in limit_lines(reports):
        print(line)
    if len(names) == len(CASES):
        keep(options.results, reports, rows)


if __name__ == "__main__":
    main()

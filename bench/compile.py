#!/usr/bin/env python3
"""What compiling costs where sizes are made of sizes: chains of steps, and models that compute sizes in the graph.

    compile.py [--repose PATH] [--lengths N,…] [--long] [--limit SECONDS] [--json FILE] [NAME…]

NAME is a chain or a model, or a part of its name.

Each chain is compiled at several lengths, each model once, in processes of their own: seconds of CPU time, peak
resident memory, size of the library. Of a chain also the time per step, and at its longest length that time over the
one at the length before: 1 where compiling takes time in proportion to the steps. A process that runs for longer than
the limit is ended. Fails where a model doesn't compile for another reason.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

CHAINS = ["reshapes", "reshapes_4d", "slices", "crops", "same", "same_computed", "wheres", "adds", "scalars"]
MODELS = ["swin", "segformer", "detr", "feature_pyramid", "efficientdet", "shufflenet", "mobilevit",
          "detector", "wavlm"]
LENGTHS, LONG = [10, 30, 100], 1000


def chosen(parts, lengths):
    """[(chain or model, steps or None)]"""
    wanted = [name for name in CHAINS + MODELS if not parts or any(part in name for part in parts)]
    return [(name, steps) for name in wanted for steps in (lengths if name in CHAINS else [None])]


def numbers(text):
    return [int(number) for number in text.split(",")]


def file_of(name, steps):
    return f"{name}_{steps}" if steps else name


def make_models(folder, names):
    """In a process of its own: a child's peak memory is at least what its parent has."""
    subprocess.run([sys.executable, str(ROOT / "models/make.py"), str(folder), *names], check=True,
                   stdout=subprocess.DEVNULL)


def run_measured(command, limit):
    """(exit code or None where the limit ended it, its messages, what the process used)."""
    over = threading.Event()
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=messages)

        def end():
            over.set()
            process.kill()

        timer = threading.Timer(limit, end)
        timer.start()
        # It is left to be waited for until the timer can no longer end another process of its number.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        timer.cancel()
        timer.join()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        messages.seek(0)
        text = messages.read().decode(errors="replace").strip()
    # A process that ended just before the timer did is what it is.
    killed = over.is_set() and process.returncode == -9
    return None if killed else process.returncode, text, used


def measure(options, model, steps, name):
    """One row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "model.so"
        command = [options.repose, "compile", str(model), "-o", str(library)]
        code, text, used = run_measured(command, options.limit)
        row = {"name": name, "steps": steps, "limit_seconds": options.limit,
               "outcome": {None: "over the limit", 0: "compiled"}.get(code, "failed"),
               "cpu_seconds": round(used.ru_utime + used.ru_stime, 3),
               "peak_mb": round(used.ru_maxrss / 1024, 1)}
        if code == 0:
            row["library_bytes"] = library.stat().st_size
            if steps:
                row["ms_per_step"] = round(row["cpu_seconds"] / steps * 1e3, 3)
        elif code is not None:
            row |= {"exit_code": code, "message": text.splitlines()[0] if text else ""}
    return row


def add_ratio(options, rows):
    """To the last row of a chain: how much more a step takes than at the length before."""
    last, before = rows[-1], rows[-2] if len(rows) > 1 else {}
    if last["name"] == before.get("name") and "ms_per_step" in last and "ms_per_step" in before:
        if last["steps"] == options.lengths[-1]:
            last["ratio"] = round(last["ms_per_step"] / before["ms_per_step"], 2)


def text_of(row):
    start = f"{row['name']:<17}{row['steps'] or '':>6}"
    if row["outcome"] == "over the limit":
        return f"{start}   over {row['limit_seconds']:g} s"
    if row["outcome"] == "failed":
        return f"{start}   failed, exit code {row['exit_code']}: {row['message']}"
    per_step = f"{row['ms_per_step']:>10.2f}" if row["steps"] else ""
    ratio = f"{row['ratio']:>8.2f}" if "ratio" in row else ""
    return (f"{start}{row['cpu_seconds']:>9.2f}{row['peak_mb']:>10.1f}"
            f"{row['library_bytes'] / 1e3:>9.1f}{per_step}{ratio}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CHAINS + MODELS))
    parser.add_argument("--repose", default=str(ROOT / "build/release/bin/repose"))
    parser.add_argument("--models", type=Path, default=ROOT / "build/models", help="folder of the models")
    parser.add_argument("--lengths", type=numbers, default=LENGTHS, metavar="N,…", help="steps of the chains")
    parser.add_argument("--long", action="store_true", help=f"chains of {LONG} steps too")
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="for each compilation")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the rows there too")
    options = parser.parse_args()
    options.lengths = sorted({*options.lengths, *([LONG] if options.long else [])})
    cases = chosen(options.names, options.lengths)
    if not cases:
        parser.error(f"no such chain or model; there are: {', '.join(CHAINS + MODELS)}")
    make_models(options.models, [file_of(*case) for case in cases])
    print(f"{'':<17}{'steps':>6}{'CPU s':>9}{'peak MB':>10}{'.so kB':>9}{'ms/step':>10}{'ratio':>8}")
    rows = []
    for name, steps in cases:
        rows.append(measure(options, options.models / f"{file_of(name, steps)}.onnx", steps, name))
        add_ratio(options, rows)
        print(text_of(rows[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 1 if any(row["outcome"] == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Times compiled models beside ONNX Runtime, and prints each figure next to the one asked for.

    bench.py [--repose PATH] [--threads N] [--seconds S] [CASE…]     (a case, or a part of its name)

Both sides get the same inputs and as many threads, and take turns within one run, round by round,
so that what the machine does besides falls on both. Each rests before its round: idle threads wait
by spinning for a while, on the cores of the other side. Times are medians; the claim is their
ratio. Without cases: MiniLM, the figures of its library, and nothing large.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "python"))
import repose_c  # noqa: E402
import repose_cli  # noqa: E402
from reference import MODELS, Reference  # noqa: E402

# name → (model, values of its symbols)
CASES = {
    "minilm_1x16": ("minilm", {"batch": 1, "seq": 16}),
    "minilm_1x128": ("minilm", {"batch": 1, "seq": 128}),
    "minilm_8x128": ("minilm", {"batch": 8, "seq": 128}),
    "minilm_1x384": ("minilm", {"batch": 1, "seq": 384}),
    "bert_1x128": ("bert_base", {"batch": 1, "seq": 128}),
    "resnet50_224": ("resnet50", {"batch": 1, "height": 224, "width": 224}),
    "resnet50_b4": ("resnet50", {"batch": 4, "height": 224, "width": 224}),
    "mobilenet_224": ("mobilenet_v2", {"batch": 1, "height": 224, "width": 224}),
    "llama160_prefill128": ("llama_160m", {"batch": 1, "new": 128, "past": 0}),
    "llama160_decode_past128": ("llama_160m", {"batch": 1, "new": 1, "past": 128}),
    "llama160_decode_past1024": ("llama_160m", {"batch": 1, "new": 1, "past": 1024}),
    **{
        f"{layer}_{batch}x128": (layer, {"batch": batch, "steps": 128})
        for layer in ("lstm", "gru", "rnn")
        for batch in (1, 8)
    },
}

# What is asked for: the ratio to ONNX Runtime's time, seconds, milliseconds, bytes.
ASKED_RATIO = {"minilm_1x128": 3.0}
ASKED_COMPILE_SECONDS = 10.0
ASKED_LOAD_MILLISECONDS = 20.0
ASKED_RUNTIME_BYTES = 150_000

# A model of one kernel: its library is the runtime and next to nothing.
SMALLEST = """\
from onnx import TensorProto as T, helper as h, save
x, y = (h.make_tensor_value_info(n, T.FLOAT, ["n"]) for n in "xy")
graph = h.make_graph([h.make_node("Relu", ["x"], ["y"])], "relu", [x], [y])
import sys
save(h.make_model(graph, opset_imports=[h.make_opsetid("", 17)], ir_version=9), sys.argv[1])
"""

# Loads a library in a process of its own, and prints the milliseconds.
LOAD = """\
import sys, time
sys.path.insert(0, sys.argv[1])
import repose_c
start = time.perf_counter()
repose_c.Model(sys.argv[2])
print((time.perf_counter() - start) * 1e3)
"""


REST_SECONDS = 0.05  # until the threads of the other side, which wait for more by spinning, sleep
ROUND_SECONDS = 0.25


def timed(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def timed_round(run):
    """Seconds of one call after another, as a program makes them; the first brings the caches back."""
    time.sleep(REST_SECONDS)
    run()
    times, start = [], time.perf_counter()
    while len(times) < 3 or time.perf_counter() - start < ROUND_SECONDS:
        times.append(timed(run))
    return times


def in_turns(ours, theirs, seconds):
    """Median milliseconds of both, from rounds of calls in turns."""
    of_ours, of_theirs, start = [], [], time.perf_counter()
    while not of_ours or time.perf_counter() - start < seconds:
        of_ours += timed_round(ours)
        of_theirs += timed_round(theirs)
    return np.median(of_ours) * 1e3, np.median(of_theirs) * 1e3


def compile_timed(repose, model, library):
    """Compiles; gives the seconds."""
    start = time.perf_counter()
    done = repose_cli.compile_model(repose, model, library)
    if not done.ok:
        sys.exit(f"{done.text}\n`repose compile {model}` failed with exit code {done.code}")
    return time.perf_counter() - start


def verdict(value, asked, unit):
    missed = "" if value < asked else "  MISSED"
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
    return f"{shown} {unit}  (asked: under {asked:,} {unit}){missed}"


def bench_case(name, args, libraries):
    model_name, symbols = CASES[name]
    reference = Reference(model_name)
    if model_name not in libraries:
        libraries[model_name] = MODELS / f"{model_name}.so"
        seconds = compile_timed(args.repose, reference.path, libraries[model_name])
        print(f"  ({model_name} compiled in {seconds:.1f} s)")
    feeds, session = reference.feeds(symbols), reference.session(args.threads)
    with repose_c.Model(libraries[model_name], num_threads=args.threads) as model:
        ours, theirs = in_turns(
            lambda: model(feeds), lambda: session.run(None, feeds), args.seconds
        )
    ratio, asked = ours / theirs, ASKED_RATIO.get(name)
    note = f"ratio {ratio:.2f}" if asked is None else verdict(ratio, asked, "times")
    print(f"  {name:25} {ours:9.2f} ms   ONNX Runtime {theirs:9.2f} ms   {note}")


def bench_library(args):
    """The figures of MiniLM's library: time to compile and to load, size of the runtime."""
    reference, library = Reference("minilm"), MODELS / "minilm.so"
    seconds = compile_timed(args.repose, reference.path, library)
    print("  compiling MiniLM: " + verdict(seconds, ASKED_COMPILE_SECONDS, "s"))
    command = [sys.executable, "-c", LOAD, str(Path(repose_c.__file__).parent), str(library)]
    runs = [subprocess.run(command, capture_output=True, check=True) for _ in range(5)]
    load_ms = float(np.median([float(run.stdout) for run in runs]))
    print("  loading its .so: " + verdict(load_ms, ASKED_LOAD_MILLISECONDS, "ms"))
    with tempfile.TemporaryDirectory() as folder:
        model, small = Path(folder) / "relu.onnx", Path(folder) / "relu.so"
        subprocess.run([sys.executable, "-c", SMALLEST, str(model)], check=True)
        compile_timed(args.repose, model, small)
        size = small.stat().st_size
    print("  runtime (the .so of one kernel): " + verdict(size, ASKED_RUNTIME_BYTES, "bytes"))
    return {"minilm": library}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--repose", type=Path, default=repose_cli.default_repose())
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=5.0, help="for each case")
    args = parser.parse_args()
    names = [n for n in CASES if any(part in n for part in args.cases or ["minilm"])]
    if not names:
        parser.error(f"no such case; there are: {', '.join(CASES)}")
    print(f"bench, {args.threads} threads")
    libraries = {} if args.cases else bench_library(args)
    for name in names:
        bench_case(name, args, libraries)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Memory of a process that runs MiniLM at many random shapes, beside ONNX Runtime's, and what a call
costs besides its kernels.

    resident.py [--repose PATH] [--threads N] [--shapes N] [--seed N]

Each side has a process of its own, which sees the largest shape first and then the same random ones
(batch 1 to 8, length 1 to 256): a C program for Repose (resident.c, which is given the output's memory),
a Python one for ONNX Runtime. Printed: resident memory besides what the process had before, when loaded
and after the largest shape, and the most that it grew by from then on. Then, for MiniLM without rows (batch 0), where
kernels have nothing to do: the memory query (sizes, offsets, peak), and the whole call, at one shape
again and again, and at a new one each time; medians, with what Python adds.
"""
import argparse
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "python"))
import repose_c  # noqa: E402
import repose_cli  # noqa: E402

MOST_BATCH, MOST_SEQ, WIDTH = 8, 256, 384
ASKED_MICROSECONDS = 20


def random_shapes(count, seed):
    source = random.Random(seed)
    return [(source.randint(1, MOST_BATCH), source.randint(1, MOST_SEQ)) for _ in range(count)]


def resident_bytes():
    """Counted page by page: what /proc/self/statm says may be off by hundreds of pages."""
    rollup = Path("/proc/self/smaps_rollup").read_text()
    return int(rollup.split("Rss:")[1].split()[0]) * 1024


class Rooms:
    """Arrays of any of the shapes, in memory that is there from the beginning."""

    def __init__(self):
        tokens = MOST_BATCH * MOST_SEQ
        self.ids = np.random.default_rng(1).integers(0, 500, tokens)
        self.ones, self.zeros = np.ones(tokens, np.int64), np.zeros(tokens, np.int64)
        self.output = np.ones(tokens * WIDTH, np.float32)

    def feeds(self, batch, seq):
        rooms = {"input_ids": self.ids, "attention_mask": self.ones, "token_type_ids": self.zeros}
        return {name: room[: batch * seq].reshape(batch, seq) for name, room in rooms.items()}

    def result(self, batch, seq):
        return self.output[: batch * seq * WIDTH].reshape(batch, seq, WIDTH)


def onnxruntime_resident(path, threads, shapes):
    """What resident.c prints, of a Python process (this one) that runs ONNX Runtime."""
    rooms = Rooms()
    resident_bytes()
    before = resident_bytes()
    import onnxruntime  # this process alone pays for it

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = {value.name for value in session.get_inputs()}
    loaded, largest, most = resident_bytes(), 0, 0
    for batch, seq in shapes:
        feeds = rooms.feeds(batch, seq)
        session.run(None, {name: feeds[name] for name in names})
        most = max(most, resident_bytes())
        largest = largest or most
    print(before, loaded, largest, most)


def print_side(name, command, shapes):
    text = "".join(f"{batch} {seq}\n" for batch, seq in shapes)
    done = subprocess.run(command, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr}")
    before, loaded, largest, most = (int(word) / 2**20 for word in done.stdout.split())
    print(f"  {name:14} {loaded - before:8.1f} {largest - before:9.1f} {most - largest:+14.2f}",
          flush=True)


def median_microseconds(calls, rounds):
    times = []
    for _ in range(rounds):
        for call in calls:
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
    return float(np.median(times)) / 1e3


def print_entry(library, threads):
    rooms = Rooms()
    with repose_c.Model(library, num_threads=threads) as model:
        # The arena is that of the largest shape from the beginning on.
        model(rooms.feeds(MOST_BATCH, MOST_SEQ), [rooms.result(MOST_BATCH, MOST_SEQ)])
        lengths = random.Random(1).sample(range(1, MOST_SEQ + 1), 200)
        queries = [model.memory_query({"batch": 3, "seq": n}) for n in lengths]
        calls = [model.prepared(rooms.feeds(0, n), [rooms.result(0, n)]) for n in lengths]
        print("  microseconds, at the same shape and at a new one:")
        for name, list in (("memory query", queries), ("call without rows", calls)):
            same = median_microseconds(list[:1] * len(list), 20)
            new = median_microseconds(list, 20)
            missed = "" if max(same, new) < ASKED_MICROSECONDS else "  MISSED"
            print(f"    {name:20} {same:7.2f} {new:7.2f}  (asked: under {ASKED_MICROSECONDS}){missed}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repose", type=Path, default=repose_cli.default_repose())
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--shapes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--onnxruntime", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.onnxruntime:
        shapes = [tuple(map(int, line.split())) for line in sys.stdin]
        return onnxruntime_resident(args.onnxruntime, args.threads, shapes)
    from reference import MODELS, Reference

    model, library = Reference("minilm").path, MODELS / "minilm.so"
    done = repose_cli.compile_model(args.repose, model, library)
    if not done.ok:
        sys.exit(done.text)
    program = MODELS / "resident"
    subprocess.run(["cc", "-O1", "-I", ROOT / "include", ROOT / "bench" / "resident.c", "-o", program],
                   check=True)
    shapes = [(MOST_BATCH, MOST_SEQ), *random_shapes(args.shapes, args.seed)]
    threads = str(args.threads)
    print(f"resident memory in MiB, MiniLM, {args.shapes} random shapes, {args.threads} threads")
    print(f"  {'':14} {'loaded':>8} {'largest':>9} {'growth after':>14}")
    print_side("Repose", [program, library, threads], shapes)
    ours = [sys.executable, __file__, "--threads", threads, "--onnxruntime", model]
    print_side("ONNX Runtime", ours, shapes)
    return print_entry(library, args.threads)


if __name__ == "__main__":
    main()

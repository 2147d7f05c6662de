#!/usr/bin/env python3
"""The arena beside its lower bound, for the project's models at random dimensions.

    memory.py [--repose PATH] [--shapes N] [--seed N] [MODEL…]

The lower bound is the largest sum of the bytes that are live at one time, in the order of kernels
that the compiler chose, after aliasing, with each size aligned to 64 bytes: no plan of that order
can need less. Both come from `repose inspect --memory`. Nothing is timed.
"""
import argparse
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

BERT = {"batch": (1, 16), "seq": (1, 512)}
LLAMA = {"batch": (1, 8), "past": (0, 512), "new": (1, 256)}
VISION = {"batch": (1, 16), "height": (32, 320), "width": (32, 320)}
MODELS = {
    "minilm": BERT, "bert_base": BERT, "llama_160m": LLAMA, "resnet50": VISION,
    "mobilenet_v2": VISION, "bert_tiny": BERT, "llama_tiny": LLAMA, "resnet_tiny": VISION,
    "mobilenet_tiny": VISION,
}
TINY = [name for name in MODELS if name.endswith("_tiny")]


def random_shapes(ranges, count, seed):
    source = random.Random(seed)
    return [",".join(f"{name}={source.randint(*ends)}" for name, ends in ranges.items())
            for _ in range(count)]


def ratios(repose, model, shapes):
    command = [repose, "inspect", str(model), "--json", "--memory", *shapes]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    points = json.loads(out)[0]["points"]
    return [(p["arena_bytes"] / max(1, p["lower_bound"]), p["at"]) for p in points]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repose", default=str(ROOT / "build/release/bin/repose"))
    parser.add_argument("--shapes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", help="folder of the models; default: made in a temporary one")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    options = parser.parse_args()
    names = options.names or TINY + ["minilm"]
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or scratch
        subprocess.run([sys.executable, str(ROOT / "models/make.py"), folder, *names], check=True,
                       stdout=subprocess.DEVNULL)
        print(f"arena / lower bound at {options.shapes} random shapes\n")
        print(f"{'model':<16}{'mean':>9}{'largest':>9}  at")
        for name in names:
            shapes = random_shapes(MODELS[name], options.shapes, options.seed)
            found = ratios(options.repose, Path(folder) / f"{name}.onnx", shapes)
            mean = sum(r for r, _ in found) / len(found)
            worst, at = max(found)
            print(f"{name:<16}{mean:>9.4f}{worst:>9.4f}  {at}", flush=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""The arena beside its lower bound, for the project's models at random dimensions.

    memory.py [--repose PATH] [--shapes N] [--seed N] [--all | MODEL…]

The lower bound is the largest sum of the bytes that are live at one time, in the order of kernels
that the compiler chose, after aliasing, with each size aligned to 64 bytes: no plan of that order
can need less. Beside it the lower bound of the model's own order (`--disable order_bindings`): the
largest chosen / own over the shapes, which must not be above 1. All come from
`repose inspect --memory`. Then, of some models, the arena beside what Apache TVM plans at the shapes
of tvm_planned.json (written by tvm_memory.py, which says what the plans are): never more, and less by
60 % on the geometric mean of each plan that serves all shapes. Nothing is timed. Fails where a ratio
is over its limit.
"""
import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

MEAN_LIMIT, LARGEST_LIMIT = 1.02, 1.05  # of arena / lower bound
LEAST_SAVING = 0.6  # of TVM's bytes, on the geometric mean

# The values of each dimension that are drawn from.
BERT = {"batch": range(1, 17), "seq": range(1, 513)}
LLAMA = {"batch": range(1, 9), "past": range(0, 513), "new": range(1, 257)}
VISION = {"batch": range(1, 17), "height": range(32, 321), "width": range(32, 321)}
OCR_DET = {"batch": range(1, 9), "height": range(32, 961, 32), "width": range(32, 961, 32)}
# Fewer rows are refused: the network has a window of three after four halvings.
OCR_REC = {"batch": range(1, 17), "height": range(33, 65), "width": range(8, 641)}
MODELS = {
    "minilm": BERT, "bert_base": BERT, "llama_160m": LLAMA, "resnet50": VISION,
    "mobilenet_v2": VISION, "bert_tiny": BERT, "llama_tiny": LLAMA, "resnet_tiny": VISION,
    "mobilenet_tiny": VISION, "ocr_det": OCR_DET, "ocr_rec": OCR_REC,
}
DECLARED = {"ocr_det": "height=32..%32,width=32..%32", "ocr_rec": "height=33..64"}  # --dim
TINY = [name for name in MODELS if name.endswith("_tiny")]


def random_shapes(choices, count, seed):
    source = random.Random(seed)
    return [",".join(f"{name}={source.choice(values)}" for name, values in choices.items())
            for _ in range(count)]


def points(repose, model, shapes, options):
    command = [repose, "inspect", str(model), *options, "--json", "--memory", *shapes]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(out)[0]["points"]


def measure(options, name, model):
    """Prints the ratios of a model; gives whether they are within the limits."""
    shapes = random_shapes(MODELS[name], options.shapes, options.seed)
    dims = ["--dim", DECLARED[name]] if name in DECLARED else []
    chosen = points(options.repose, model, shapes, dims)
    own = points(options.repose, model, shapes, [*dims, "--disable", "order_bindings"])
    found = [(p["arena_bytes"] / max(1, p["lower_bound"]), p["at"]) for p in chosen]
    orders = [p["lower_bound"] / max(1, q["lower_bound"]) for p, q in zip(chosen, own)]
    mean = sum(r for r, _ in found) / len(found)
    worst, at = max(found)
    good = mean <= MEAN_LIMIT and worst <= LARGEST_LIMIT and max(orders) <= 1
    print(f"{name:<16}{mean:>8.4f}{worst:>9.4f}{sum(orders) / len(orders):>14.4f}"
          f"{max(orders):>9.4f}  {'ok' if good else 'OVER':<6}{at}", flush=True)
    return good


def measure_peer(options, names, folder):
    """The same of all shapes at which TVM's plan is known; whether Repose's is as small as asked."""
    recorded = json.loads((ROOT / "bench/tvm_planned.json").read_text())
    ratios = {}
    for name in recorded["models"].keys() & set(names):
        planned = recorded["models"][name]
        for point, peer in zip(points(options.repose, folder / f"{name}.onnx", list(planned), []),
                               planned.values()):
            for plan, size in peer.items():
                ratios.setdefault(plan, []).append(point["arena_bytes"] / size)
    if not ratios:
        return True
    mean = {plan: math.exp(sum(map(math.log, r)) / len(r)) for plan, r in ratios.items()}
    most = max(map(max, ratios.values()))
    good = most <= 1 and max(mean["free"], mean["bounded"]) <= 1 - LEAST_SAVING
    print(f"\narena / what Apache TVM {recorded['tvm']} plans, geometric mean of "
          f"{len(ratios['free'])} shapes: " + ", ".join(f"{p} {m:.3f}" for p, m in mean.items()) +
          f"; largest {most:.3f}  {'ok' if good else 'OVER'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repose", default=str(ROOT / "build/release/bin/repose"))
    parser.add_argument("--shapes", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", help="folder of the models; default: made in a temporary one")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    parser.add_argument("--all", action="store_true", help="the large models too")
    options = parser.parse_args()
    quick = [*TINY, "minilm", "ocr_det", "ocr_rec"]
    names = options.names or (list(MODELS) if options.all else quick)
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.models or scratch
        subprocess.run([sys.executable, str(ROOT / "models/make.py"), folder, *names], check=True,
                       stdout=subprocess.DEVNULL)
        print(f"at {options.shapes} random shapes: arena / lower bound, and lower bound of the "
              "chosen order / of the model's own\n")
        print(f"{'model':<16}{'mean':>8}{'largest':>9}{'order: mean':>14}{'largest':>9}")
        results = [measure(options, name, Path(folder) / f"{name}.onnx") for name in names]
        results.append(measure_peer(options, names, Path(folder)))
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

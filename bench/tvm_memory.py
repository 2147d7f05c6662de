#!/usr/bin/env python3
"""The arena of compiled models beside what the memory planner of Apache TVM plans for them.

    tvm_memory.py --models FOLDER [--repose PATH] [--save FILE] [MODEL…]

Runs in an environment with `apache-tvm` (bench/requirements-tvm.txt; `./dev bench tvm` makes it),
over models that models/make.py wrote. TVM imports a model with its dimensions as symbols, and runs
its own default pipeline for CPUs, with fusion, up to StaticPlanBlockMemory; its bytes are the sum
of the planned storages at a shape, of three plans:

    free     no bounds on the symbols: one plan for all shapes, as Repose makes
    bounded  `tir_var_upper_bound` as large as the shapes of the model below: one plan for them
    exact    `tir_var_upper_bound` equal to the shape: planned anew for each shape

Neither side counts the buffers of results, nor what kernels need inside. Nothing is timed. `--save`
writes TVM's bytes, which memory.py compares with (tvm_planned.json). Fails where Repose needs more than any of the three, or saves less than 60 % of `free` or `bounded` on the
geometric mean.
"""
import argparse
import json
import math
import subprocess
import sys
from pathlib import Path

import onnx
import tvm
from tvm import relax
from tvm.relax.backend.cpu_generic import pipeline
from tvm.relax.frontend.onnx import from_onnx

ROOT = Path(__file__).resolve().parents[1]

BERT = [{"batch": 1, "seq": 128}, {"batch": 8, "seq": 128}, {"batch": 8, "seq": 512}]
VISION = [{"batch": batch, "height": 224, "width": 224} for batch in (1, 4)]
MODELS = {"minilm": BERT, "bert_base": BERT, "resnet50": VISION, "mobilenet_v2": VISION}
PLANS = ("free", "bounded", "exact")
LEAST_SAVING = 0.6  # of the first two, on the geometric mean


def lowered(path):
    """The module just before its memory is planned."""
    module = from_onnx(onnx.load(path), keep_params_in_input=False)
    target = tvm.target.Target({"kind": "llvm", "mcpu": "x86-64-v3"})
    passes = [*pipeline.library_dispatch_passes(target), *pipeline.legalize_passes(target),
              *pipeline.dataflow_lower_passes(target)]
    with target:
        return tvm.transform.Sequential(passes)(module)


def planned(module):
    return relax.transform.StaticPlanBlockMemory()(module)["main"]


def storage_bytes(function, shape):
    """The sum of the storages that a planned function asks for, with these values of its symbols."""
    sizes = []

    def visit(node):
        if isinstance(node, relax.Call) and node.op == tvm.ir.Op.get("relax.memory.alloc_storage"):
            sizes.append(int(tvm.sym.Analyzer().simplify(node.args[0].values[0])))

    relax.analysis.post_order_visit(function.bind_symbolic_vars(shape), visit)
    return sum(sizes)


def tvm_bytes(path, shapes):
    """Of each shape: the bytes of the plans `free`, `bounded` and `exact`."""
    module = lowered(path)

    def bounded_by(bounds):
        copy = tvm.IRModule(module.functions)
        copy["main"] = copy["main"].with_attr("tir_var_upper_bound", bounds)
        return planned(copy)

    free = planned(module)
    largest = bounded_by({name: max(shape[name] for shape in shapes) for name in shapes[0]})
    return [[storage_bytes(plan, shape) for plan in (free, largest, bounded_by(shape))]
            for shape in shapes]


def text_of(shape):
    return ",".join(f"{name}={value}" for name, value in shape.items())


def repose_bytes(repose, path, shapes):
    command = [repose, "inspect", str(path), "--json", "--memory", *map(text_of, shapes)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [point["arena_bytes"] for point in json.loads(out)[0]["points"]]


def geometric_mean(ratios):
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", required=True, help="folder of the models")
    parser.add_argument("--repose", default=str(ROOT / "build/release/bin/repose"))
    parser.add_argument("--save", type=Path, help="where TVM's bytes go, as JSON")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=", ".join(MODELS))
    options = parser.parse_args()
    print("MB at a shape, and Repose's part of each plan of TVM\n")
    print(f"{'model':<14}{'shape':<28}{'Repose':>8}" +
          "".join(f"{plan:>9}" for plan in PLANS) + "   " + "".join(f"{p:>9}" for p in PLANS))
    ratios, saved = [], {}
    for name in options.names or MODELS:
        path = Path(options.models) / f"{name}.onnx"
        own = repose_bytes(options.repose, path, MODELS[name])
        peer = tvm_bytes(path, MODELS[name])
        for shape, ours, theirs in zip(MODELS[name], own, peer):
            ratios.append([ours / other for other in theirs])
            saved.setdefault(name, {})[text_of(shape)] = dict(zip(PLANS, theirs))
            print(f"{name:<14}{text_of(shape):<28}{ours / 1e6:>8.2f}" +
                  "".join(f"{other / 1e6:>9.2f}" for other in theirs) + "   " +
                  "".join(f"{ratio:>9.3f}" for ratio in ratios[-1]), flush=True)
    if options.save:
        options.save.write_text(json.dumps({"tvm": tvm.__version__, "models": saved}, indent=1) + "\n")
    savings = [1 - geometric_mean(column) for column in zip(*ratios)]
    print("\nsaved on the geometric mean: " +
          ", ".join(f"{100 * s:.1f} % of `{plan}`" for plan, s in zip(PLANS, savings)))
    return 0 if min(savings[:2]) >= LEAST_SAVING and max(map(max, ratios)) <= 1 else 1


if __name__ == "__main__":
    sys.exit(main())

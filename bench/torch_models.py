#!/usr/bin/env python3
"""`torch.compile(model, backend="repose", dynamic=True)` beside PyTorch's own backend, Inductor: how long the
first call takes, whether later sizes compile anything, what a call takes then.

    torch_models.py [--backends repose,inductor] [--seconds S] [MODEL…]

MODEL: a part of a name in CASES (all without). Each pair of model and backend runs in a process of its own,
with an empty cache of Inductor's, at 20 sizes, whose results are compared with eager PyTorch's. Ends with the
geometric mean of Inductor's time of a call ÷ that of Repose. Fails for a wrong result, and where Repose compiled
a graph again.

Runs in the environment of `./dev test torch`: `./dev bench torch`.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/python"))

SIZES = 20
TOLERANCE = 1e-4  # of the largest magnitude of a result
MINILM = "minilm"
# Of the zoo (tests/python/torch_zoo.py).
ZOO = ["text/Bert", "text/Roberta", "text/Electra", "text/Albert", "text/DistilBert", "text/GPT2", "text/Llama",
       "text/Qwen2", "text/Mistral", "text/Gemma", "image/ViT", "image/DeiT", "image/Dinov2", "image/ResNet",
       "image/ConvNext", "torchvision/resnet18", "torchvision/squeezenet1_1", "timm/mixer_s32_224",
       "layers/TransformerEncoder"]
CASES = [MINILM, *ZOO]


def sizes_of(count):
    """20 sizes of as many numbers. PyTorch makes a constant of a dimension that is 1, so none is."""
    for k in range(SIZES):
        yield [(2 + k,), (2 + k % 4, 5 + 3 * k), (2 + k % 3, 2 + k % 2, 2 + k % 5)][count - 1]


def minilm():
    """The shape of all-MiniLM-L6-v2, random weights."""
    import transformers
    from torch_zoo import Flat, masked

    config = transformers.BertConfig(hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                                     intermediate_size=1536)
    return Flat(transformers.BertModel(config), ["input_ids", "attention_mask"]), masked


def case_of(name):
    """A model, and what makes its inputs of a size."""
    if name == MINILM:
        return *minilm(), 2
    from torch_zoo import CASES as zoo
    return zoo[name].make(), zoo[name].inputs, len(zoo[name].sizes[0])


def error_of(wanted, got):
    """The largest difference, as a part of the largest magnitude."""
    return max((float((a - b).abs().max() / a.abs().max().clamp(min=1e-6)) for a, b in zip(wanted, got, strict=True)
                if a.is_floating_point() and a.numel()), default=0.0)


def time_of(call, seconds):
    """Seconds of a call: the first quartile of those that fit into the time."""
    times = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 4]


def measure(name, backend, seconds):
    """One model with one backend: what it prints as JSON."""
    import torch
    import repose.torch  # registers the backend where the package is not installed

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model, inputs, count = case_of(name)
    model = model.eval()
    chosen = repose.torch.backend if backend == "repose" else backend
    fast = torch.compile(model, backend=chosen, dynamic=True)
    sizes = list(sizes_of(count))
    stats = torch._dynamo.utils.counters["stats"]
    with torch.no_grad():
        first = inputs(*sizes[0])
        start = time.perf_counter()
        fast(*first)
        first_call = time.perf_counter() - start
        graphs = stats["unique_graphs"]
        error = 0.0
        for size in sizes:
            given = inputs(*size)
            error = max(error, error_of(model(*given), fast(*given)))
        calls = [time_of(lambda given=inputs(*size): fast(*given), seconds) for size in sizes[::7]]
    return {"first_call": first_call, "error": error, "calls": calls,
            "compiled_again": stats["unique_graphs"] - graphs}


def run(name, backend, seconds):
    """`measure` in a process of its own."""
    with tempfile.TemporaryDirectory() as cache:
        command = [sys.executable, __file__, "--measure", "--backends", backend, "--seconds", str(seconds), name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                              env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache})
    if done.returncode:
        sys.exit(f"{name} with {backend} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="repose,inductor")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each size that is timed")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.models[0], options.backends, options.seconds)))
        return 0
    chosen = [c for c in CASES if not options.models or any(part in c for part in options.models)]
    ratios, failed = [], 0
    for name in chosen:
        found = {b: run(name, b, options.seconds) for b in options.backends.split(",")}
        for backend, r in found.items():
            wrong = r["error"] > TOLERANCE or (backend == "repose" and r["compiled_again"] > 0)
            failed += wrong
            calls = ", ".join(f"{1000 * t:.2f}" for t in r["calls"])
            print(f"{'FAILED' if wrong else 'ok':6} {name:28} {backend:9} first call {r['first_call']:6.1f} s, then "
                  f"{calls} ms; compiled again: {r['compiled_again']}, error {r['error']:.1e}", flush=True)
        if len(found) == 2:
            mine, other = found["repose"], found["inductor"]
            ratios.append(geometric_mean([b / a for a, b in zip(mine["calls"], other["calls"])]))
            print(f"       {name:28} Inductor ÷ Repose: first call {other['first_call'] / mine['first_call']:.1f}, "
                  f"later {ratios[-1]:.2f}", flush=True)
    if ratios:
        print(f"geometric mean of {len(ratios)} models, Inductor's time of a call ÷ that of Repose: "
              f"{geometric_mean(ratios):.2f}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

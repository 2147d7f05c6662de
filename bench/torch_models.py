#!/usr/bin/env python3
"""`torch.compile(model, backend="repose", dynamic=True)` beside PyTorch's own backend, Inductor, and PyTorch itself:
how long the first call takes, the first of another size, whether later sizes compile anything, what a call takes then.

    torch_models.py [--backends repose,inductor] [--seconds S] [--json FILE] [MODEL…]

MODEL: a part of a name in CASES (all without). Each pair of model and backend runs its first calls in a process of its
own, with an empty cache of Inductor's, at 20 sizes, whose results are compared with eager PyTorch's. Then all run in
one process, in turns, at three of the sizes. Ends with a table and geometric means; times of calls are medians, and
the least in brackets. Fails for a wrong result, and where Repose compiled a graph again.

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


def compiled(name, backend):
    """A model, what makes its inputs, sizes of them, and the model as `backend` compiles it ("eager": not)."""
    import torch
    import repose.torch  # registers the backend where the package is not installed

    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    model, inputs, count = case_of(name)
    model = model.eval()
    chosen = repose.torch.backend if backend == "repose" else backend
    fast = model if backend == "eager" else torch.compile(model, backend=chosen, dynamic=True)
    return model, inputs, list(sizes_of(count)), fast


def first_calls(name, backend):
    """One model with one backend, from the first call on: what it prints as JSON."""
    import torch

    model, inputs, sizes, fast = compiled(name, backend)
    stats = torch._dynamo.utils.counters["stats"]
    times, error = [], 0.0
    with torch.no_grad():
        for size in sizes:
            given = inputs(*size)
            start = time.perf_counter()
            got = fast(*given)
            times.append(time.perf_counter() - start)
            error = max(error, error_of(model(*given), got))
            if len(times) == 1:
                graphs = stats["unique_graphs"]
    return {"first_call": times[0], "second_call": times[1], "error": error,
            "compiled_again": stats["unique_graphs"] - graphs}


def later_calls(name, backends, seconds):
    """Seconds of calls at three sizes, by backend: rounds in which each has its turn, with a rest before it, in which
    the threads of the others go to sleep."""
    import torch

    _, inputs, sizes, _ = compiled(name, "eager")
    models = {backend: compiled(name, backend)[3] for backend in backends}
    times = {backend: [[] for _ in sizes[::7]] for backend in backends}
    with torch.no_grad():
        for k, size in enumerate(sizes[::7]):
            given = inputs(*size)
            for fast in models.values():
                fast(*given)
                fast(*given)
            end = time.perf_counter() + seconds * len(backends)
            while len(times[backends[0]][k]) < 5 or time.perf_counter() < end:
                for backend, fast in models.items():
                    time.sleep(0.003)
                    fast(*given)
                    start = time.perf_counter()
                    fast(*given)
                    times[backend][k].append(time.perf_counter() - start)
    return times


def run(name, backends, cache, *arguments):
    """What this file measures in a process of its own."""
    command = [sys.executable, __file__, "--backends", backends, *arguments, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          env={**os.environ, "TORCHINDUCTOR_CACHE_DIR": cache})
    if done.returncode:
        sys.exit(f"{name} with {backends} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(name, backends, seconds):
    """Everything about one model, by backend."""
    with tempfile.TemporaryDirectory() as cache:
        found = {b: run(name, b, cache, "--measure", "first") for b in backends}
        later = run(name, ",".join(["eager", *backends]), cache, "--measure", "later", "--seconds", str(seconds))
    found["eager"] = {}
    for backend, times in later.items():
        found[backend]["median"] = [sorted(t)[len(t) // 2] for t in times]
        found[backend]["least"] = [min(t) for t in times]
    return found


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def ratio(other, mine):
    """Of two lists of times, the geometric mean of other ÷ mine."""
    return geometric_mean([b / a for a, b in zip(mine, other, strict=True)])


def line(name, found):
    cells = [f"{name:28}"]
    for backend, r in found.items():
        calls = ", ".join(f"{1000 * t:.2f} ({1000 * u:.2f})" for t, u in zip(r["median"], r["least"]))
        first = f"{r['first_call']:.1f} s, then {r['second_call']:.2f} s, " if "first_call" in r else ""
        cells.append(f"  {backend:9} {first}{calls} ms")
    return "\n".join(cells)


def summary(results):
    """Geometric means over the models of the others' times ÷ those of Repose."""
    lines = []
    for other in ("inductor", "eager"):
        both = [(r["repose"], r[other]) for r in results.values() if "repose" in r and other in r]
        if not both:
            continue
        parts = [f"a call {geometric_mean([ratio(b['median'], a['median']) for a, b in both]):.2f} "
                 f"(least {geometric_mean([ratio(b['least'], a['least']) for a, b in both]):.2f})"]
        for what in ("first_call", "second_call"):
            if what in both[0][1]:
                mean = geometric_mean([b[what] / a[what] for a, b in both])
                parts.append(f"{what.replace('_', ' ')} {mean:.2f}")
        lines.append(f"{other} ÷ repose, geometric mean of {len(both)} models: {', '.join(parts)}")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backends", default="repose,inductor")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each size that is timed, and each backend")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there")
    parser.add_argument("--measure", choices=("first", "later"), help=argparse.SUPPRESS)
    parser.add_argument("models", nargs="*")
    options = parser.parse_args()
    backends = options.backends.split(",")
    if options.measure:
        print(json.dumps(first_calls(options.models[0], backends[0]) if options.measure == "first" else
                         later_calls(options.models[0], backends, options.seconds)))
        return 0
    chosen = [c for c in CASES if not options.models or any(part in c for part in options.models)]
    if not chosen:
        parser.error(f"no model has {' or '.join(options.models)} in its name: there are {', '.join(CASES)}")
    results, failed = {}, 0
    for name in chosen:
        results[name] = found = measure(name, backends, options.seconds)
        print(line(name, found), flush=True)
        for backend in backends:
            error, again = found[backend]["error"], found[backend]["compiled_again"]
            if error > TOLERANCE or (backend == "repose" and again > 0):
                failed += 1
                print(f"  FAILED: {backend} is off by {error:.1e}, and compiled {again} graphs again", flush=True)
    print(summary(results))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

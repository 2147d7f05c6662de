#!/usr/bin/env python3
"""Compiles random ONNX graphs, runs each at several shapes, and compares with ONNX Runtime.

    random_graphs.py [--count N] [--first SEED] [--seconds S] [--keep FOLDER] [--parallel N]

A seed gives one graph (graph_maker.py) of the operators in graph_operators.py and graph_control.py, with
symbolic dimensions; it is compiled once. Sizes of 0 and 1 are among its shapes. Every eighth graph runs in the
interpreter too. What fails is written to FOLDER: SEED.onnx, with its inputs and results at each shape in
SEED.npz; `random_graphs.py --again SEED.onnx` compares it, or a smaller model of the same inputs, once more:
its exit code is 0 as long as the model is wrong, which is what `repose reduce --check` asks for.
"""
import argparse
import itertools
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import repose_cli
import workers
from graph_control import CONTROL
from graph_maker import SHAPES, Sample, apart, element_type, make_sample, session
from graph_operators import OPERATORS
from onnx import helper

sys.path.insert(0, str(repose_cli.ROOT / "build" / "release" / "python"))
INTERPRETED, MOST_STEPS = 8, 20_000_000


def problem(sample, interpreted):
    """What is wrong, as text; None if nothing is."""
    import repose

    warnings.simplefilter("ignore")
    names = [o.name for o in sample.model.graph.output]
    try:
        module = repose.read(sample.model)
        model = repose.compile(module, threads=1)
    except repose.CompileError as error:
        return f"refused: {error}"
    for at, (feeds, expected) in enumerate(zip(sample.feeds, sample.expected)):
        inputs = [feeds[i.name] for i in sample.model.graph.input]
        runs = [("native", lambda inputs=inputs: model(*inputs))]
        if interpreted:
            runs.append(("interpreted", lambda inputs=inputs: module.interpret(*inputs, max_steps=MOST_STEPS)))
        for how, run in runs:
            try:
                results = run()
            except repose.Error as error:
                return f"{how}, shape {at}: fails: {error}"
            results = results if isinstance(results, (tuple, list)) else [results]
            for name, result in zip(names, results, strict=True):
                why = apart(expected[name], np.asarray(result))
                if why:
                    return f"{how}, shape {at}: `{name}` is {why}"
    return None


def make(seed):
    return make_sample(seed, OPERATORS + CONTROL)


def keep(sample, path):
    """With the types of all values, and their contents: a smaller model may have any of them as an input."""
    path.parent.mkdir(parents=True, exist_ok=True)
    model = onnx.ModelProto()
    model.CopyFrom(sample.model)
    model.graph.value_info.extend(
        helper.make_tensor_value_info(name, element_type(a.dtype), [None] * a.ndim) for name, a in sample.inner[0].items())
    onnx.save(model, path)
    arrays = {f"{at}/{name}": a for at in range(SHAPES)
              for name, a in (sample.feeds[at] | sample.expected[at] | sample.inner[at]).items()}
    np.savez(path.with_suffix(".npz"), **arrays)


def work(job):
    """For a seed: {"seed", "nodes", "operators", "why"}; `only_make`: without compiling anything."""
    sample = make(job["seed"])
    answer = {"seed": job["seed"], "operators": sample.operators, "why": None}
    if sample.expected[0] and not job.get("only_make"):
        if job["keep"]:
            keep(sample, Path(job["keep"]) / f"{job['seed']}.onnx")
        answer["why"] = problem(sample, job["seed"] % INTERPRETED == 0)
        if job["keep"] and not answer["why"]:
            for suffix in (".onnx", ".npz"):
                (Path(job["keep"]) / f"{job['seed']}{suffix}").unlink()
    return answer


def run(args):
    """Runs seeds until there are enough, or the time is over; gives the exit code."""
    start, counts, failed, graphs, unmade = time.monotonic(), Counter(), [], 0, 0
    seeds = itertools.count(args.first)
    step = args.count if args.seconds is None else 200
    while graphs + unmade < args.count if args.seconds is None else time.monotonic() - start < args.seconds:
        jobs = [{"seed": seed, "keep": args.keep} for seed in itertools.islice(seeds, step)]
        answers = workers.run_jobs("random_graphs", jobs, args.parallel)
        for job, answer in zip(jobs, answers):
            if "crashed" in answer:
                made = workers.run_jobs("random_graphs", [job | {"only_make": True}], 1)[0]
                if "crashed" in made:  # ONNX Runtime, or what makes the graph
                    unmade += 1
                    print(f"  seed {job['seed']} could not be made: code {made['crashed']}", flush=True)
                    continue
                answer = made | {"why": f"crashes with code {answer['crashed']}"}
            graphs += 1
            counts.update(answer["operators"])
            if answer["why"]:
                failed.append(answer["seed"])
                print(f"FAILED seed {answer['seed']}: {answer['why']}", flush=True)
        if args.seconds is not None:
            print(f"  to seed {jobs[-1]['seed']}: {len(failed)} failed, {time.monotonic() - start:.0f} s", flush=True)
    if args.verbose:
        print(", ".join(f"{op} {n}" for op, n in counts.most_common()))
    print(f"random graphs: {graphs - len(failed)} passed at {SHAPES} shapes each, {len(failed)} failed, {unmade} that could "
          f"not be made, {sum(counts.values())} nodes of {len(counts)} operators, {time.monotonic() - start:.0f} s")
    return 1 if failed or unmade > graphs // 50 else 0


def again(path, inputs_of):
    """0 where the model is wrong still: at the kept inputs, against what ONNX Runtime gives now."""
    model, kept = onnx.load(path), np.load(inputs_of)
    feeds = [{i.name: kept[f"{at}/{i.name}"] for i in model.graph.input} for at in range(SHAPES)]
    names = [o.name for o in model.graph.output]
    try:
        call = session(model).run
        expected = [dict(zip(names, map(np.asarray, call(names, given)))) for given in feeds]
    except Exception as error:  # ONNX Runtime refuses what was made of the model
        print(f"ONNX Runtime: {error}")
        return 1
    why = problem(Sample(model, feeds, expected, []), False)
    print(why or "no difference")
    return 0 if why else 1


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000, help="graphs to make")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, help="go on with new seeds for so long")
    parser.add_argument("--keep", help="a folder for what fails")
    parser.add_argument("--parallel", type=int, default=os.cpu_count())
    parser.add_argument("--again", help="a model that was kept, or was reduced: 0 if it is wrong")
    parser.add_argument("--inputs", help="with --again: the inputs, if they aren't beside the model")
    parser.add_argument("-v", "--verbose", action="store_true", help="how often each operator occurs")
    args = parser.parse_args()
    if args.again:
        return again(args.again, args.inputs or Path(args.again).with_suffix(".npz"))
    return run(args)


if __name__ == "__main__":
    sys.exit(main())

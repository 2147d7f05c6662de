#!/usr/bin/env python3
"""Runs ONNX's operator tests natively: each case compiled by `repose compile`, run, compared.

    conformance.py [--repose PATH] [--op Conv] [--mode bake] [--every N] [--jobs N] [--peer ort] [-v]

Two modes: `bake` (shape-deciding operands are constants) and `symbolic` (and every extent above 1 a
symbol). Each case passes, or tests/onnx/unsupported.txt lists it with the reason: the compiler calls
it unsupported (exit code 3), or what it computes differs from what is expected, or it has values
that no artifact takes. A case that passes although it is listed is wrong too. Of random numbers the
dtype, the shape and the range have to be those that are expected; of a dropout in training how much
is kept, and what becomes of it.
"""
import argparse
import collections
import hashlib
import json
import os
import re
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import onnx_node_tests
import repose_cli
import workers

HERE = Path(__file__).parent
CASES = repose_cli.ROOT / "build" / "conformance"
MODES = ("bake", "symbolic")
LIST = repose_cli.ROOT / "tests" / "onnx" / "unsupported.txt"
STATUSES = {"unsupported": "unsupported", "differs": "failed", "skipped": None}
MOST_DIFFERENCES = 10
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}


def cases(mode):
    """The index of the cases of a mode, written first where they are missing or out of date."""
    folder = CASES / mode
    key = hashlib.sha256(Path(onnx_node_tests.__file__).read_bytes()).hexdigest()
    key += f" onnx {onnx.__version__} numpy {np.__version__}"
    stamp = folder / "stamp"
    if not stamp.exists() or stamp.read_text() != key:
        stamp.unlink(missing_ok=True)
        onnx_node_tests.write_cases(folder, baked=True, symbolic=mode == "symbolic")
        stamp.write_text(key)
    return json.loads((folder / "index.json").read_text())


def skipped_cases(mode):
    """The names of the cases that are not written."""
    lines = (CASES / mode / "skipped.txt").read_text().splitlines()
    return [line.split("\t")[0] for line in lines]


def read_list(path=LIST):
    """{"mode/case": (status, reason)}"""
    lines = path.read_text().splitlines()
    entries = [line.split(None, 2) for line in lines if line.strip() and line[0] != "#"]
    return {entry[0]: tuple([*entry[1:], "", ""][:2]) for entry in entries}


def listed_total(mode, path=LIST):
    """The number of cases of a mode that the list speaks of."""
    return int(re.search(rf"^# {mode}: (\d+) cases", path.read_text(), re.MULTILINE).group(1))


def check_list(listed):
    """What is wrong with the list itself."""
    wrong = [f"`{key}` is listed without a reason" for key, (_, why) in listed.items() if not why]
    wrong += [f"`{key}` is listed as `{status}`, expected one of {', '.join(STATUSES)}"
              for key, (status, _) in listed.items() if status not in STATUSES]
    differences = sum(status == "differs" for status, _ in listed.values())
    if differences > MOST_DIFFERENCES:
        wrong.append(f"{differences} cases differ, at most {MOST_DIFFERENCES} are allowed")
    return wrong


def blockers(case, why):
    """The operators of an unsupported case that its diagnostics name, or what they say instead."""
    named = set(re.findall(r"`([^`]+)`", why)) & set(case["ops"])
    if named:
        return sorted(named)
    kinds = re.findall(r"\[(unsupported-[a-z-]+)\]", why)
    return sorted({f"{'+'.join(case['ops'])} ({kind})" for kind in kinds or ["unsupported"]})


def run(index, mode, args):
    """[(case, status, why)]"""
    scratch = CASES / f"libraries-{os.getpid()}"
    scratch.mkdir(parents=True, exist_ok=True)
    jobs = [
        {
            "repose": None if args.peer else str(args.repose),
            "folder": str(CASES / mode / case["name"]),
            "library": str(scratch / f"{mode}-{case['name']}.so"),
            "rtol": case["rtol"],
            "atol": case["atol"],
            "random": bool(RANDOM & set(case["ops"])),
            "dropout": "Dropout" in case["ops"],
        }
        for case in index
    ]
    results = []
    for case, answer in zip(index, workers.run_jobs("conformance_case", jobs, args.jobs)):
        if "crashed" in answer:
            answer = {"status": "failed", "why": f"crashed: exit code {answer['crashed']}"}
        results.append((case, answer["status"], answer["why"]))
    for left in scratch.iterdir():
        left.unlink()
    scratch.rmdir()
    return results


def judge(results, mode, listed):
    """What is wrong with the results of a mode, one line each."""
    wrong = []
    for case, status, why in results:
        name = f"{mode}/{case['name']}"
        entry = listed.get(name) or listed.get(f"*/{case['name']}")
        expected = STATUSES.get(entry[0]) if entry else "passed"
        if status == expected:
            continue
        if status == "passed":
            wrong.append(f"{name}: passes, though it is listed as `{entry[0]}`")
        else:
            first = ((why or "").strip().splitlines() or ["no message"])[0]
            wrong.append(f"{name}: {status}: {first}")
    return wrong


def report(results, mode, verbose):
    counts = collections.Counter(status for _, status, _ in results)
    supported = counts["passed"] + counts["failed"]
    print(
        f"conformance {mode}: {counts['passed']} of {supported} supported cases pass "
        f"({supported} of {len(results)} are supported)"
    )
    if verbose:
        for case, status, why in results:
            print(f"  {status:11} {case['name']}: {why or ''}".rstrip())
    return counts


def report_blockers(results):
    count = collections.Counter()
    for case, status, why in results:
        if status == "unsupported":
            count.update(blockers(case, why))
    if count:
        print("in the way of unsupported cases:")
        print("  " + ", ".join(f"{name} {n}" for name, n in count.most_common()))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repose", type=Path, default=repose_cli.default_repose())
    parser.add_argument("--mode", choices=MODES, help="one of the two (default: both)")
    parser.add_argument("--op", help="only the cases with this operator")
    parser.add_argument("--case", help="only the cases with this in their names")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every Nth case only")
    parser.add_argument("--jobs", type=int, help="processes at once (default: one per CPU)")
    parser.add_argument("--peer", choices=["ort"], help="check the suite with ONNX Runtime instead")
    parser.add_argument("-v", "--verbose", action="store_true", help="the outcome of every case")
    args = parser.parse_args()
    start, listed = time.monotonic(), {} if args.peer else read_list()
    wrong, total = check_list(listed), collections.Counter()
    names = set()
    for mode in [args.mode] if args.mode else MODES:
        index = cases(mode)
        names |= {f"{kind}/{case['name']}" for case in index for kind in (mode, "*")}
        chosen = [
            case
            for case in index
            if (args.op is None or args.op in case["ops"])
            and (args.case is None or args.case in case["name"])
        ][:: args.every]
        results = run(chosen, mode, args)
        total += report(results, mode, args.verbose)
        wrong += judge(results, mode, listed)
        skipped = [f"*/{name}" for name in skipped_cases(mode)]
        wrong += [f"{name}: skipped, but not listed" for name in skipped if not args.peer
                  and listed.get(name, ("",))[0] != "skipped"]
        names |= set(skipped)
        if not args.peer and len(index) + len(skipped) != listed_total(mode):
            there = len(index) + len(skipped)
            wrong.append(f"the list speaks of {listed_total(mode)} cases in {mode}, there are {there}")
    report_blockers(results)
    if args.mode is None and not args.peer:
        wrong += [f"`{key}` is listed, but there is no such case" for key in listed.keys() - names]
    for line in wrong:
        print(f"FAILED {line}")
    print(
        f"conformance: {total['passed']} passed, {len(wrong)} failed, "
        f"{total['unsupported']} unsupported, {time.monotonic() - start:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Compares compiled models with ONNX Runtime: each is compiled once, and run at many dimensions.

    agree.py [--all] [--tiny] [--model NAME] [--repose PATH] [--peer ort] [--debug-memory] [-v]

At every listed shape: the same dtypes and shapes, floats within 1e-4 of the output's largest
magnitude, integers and booleans exact; at batch 0 the shape alone where ONNX Runtime itself
refuses. Besides, at some shapes: the same bits with 1, 2 and 3 threads, and row i of a batch equals
the same row alone. Without --all: the tiny models, MiniLM at a few shapes,
and the models whose sizes are computed in the graph.
"""
import argparse
import itertools
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import repose_c
import repose_cli
from reference import Reference, Unable, difference

TOLERANCE = 1e-4
BATCHES, LENGTHS = (1, 2, 3, 8), (1, 2, 7, 16, 127, 128)


def bert_shapes(batches=BATCHES, lengths=LENGTHS):
    grid = itertools.product((0, *batches), lengths)
    return [{"batch": batch, "seq": seq} for batch, seq in grid]


def llama_shapes():
    prefill = [(batch, 0, new) for batch, new in itertools.product((0, *BATCHES), LENGTHS)]
    pairs = [(0, 7), (7, 1), (128, 1), (5, 3)]
    decode = [(batch, past, new) for batch in (0, 1, 2) for past, new in pairs]
    every = dict.fromkeys(prefill + decode)
    return [{"batch": batch, "past": past, "new": new} for batch, past, new in every]


def vision_shapes():
    sizes = [(224, 224), (160, 192), (97, 131)]
    grid = itertools.product((0, 1, 2, 5), sizes)
    return [{"batch": batch, "height": h, "width": w} for batch, (h, w) in grid]


def image_shapes():
    """Multiples of strides and windows, and sizes that are none."""
    shapes = [(1, 32, 32), (2, 33, 50), (3, 64, 47), (1, 70, 100), (2, 96, 37), (5, 44, 61)]
    return [{"batch": batch, "height": h, "width": w} for batch, h, w in shapes]


def sound_shapes():
    return [{"batch": batch, "samples": n} for batch, n in [(1, 25), (2, 400), (3, 331), (1, 1600), (5, 90), (2, 46)]]


def ocr_det_shapes():
    sizes = [(32, 32), (64, 96), (160, 224), (320, 64)]
    grid = itertools.product((0, 1, 2, 3), sizes)
    return [{"batch": batch, "height": h, "width": w} for batch, (h, w) in grid]


def ocr_rec_shapes():
    sizes = [(33, 8), (48, 97), (48, 320), (64, 131)]
    grid = itertools.product((0, 1, 2, 3), sizes)
    return [{"batch": batch, "height": h, "width": w} for batch, (h, w) in grid]


@dataclass
class Suite:
    """A model's shapes, those of them at which bits are compared, and its ranges (--dim)."""

    model: str
    shapes: list
    same_bits: list
    dims: str = ""


BERT_BITS = [{"batch": 3, "seq": 7}, {"batch": 2, "seq": 127}]
LLAMA_BITS = [{"batch": 3, "past": 0, "new": 7}, {"batch": 2, "past": 128, "new": 1}]
VISION_BITS = [{"batch": 3, "height": 97, "width": 131}]
IMAGE_BITS = [{"batch": 3, "height": 45, "width": 61}]

# The models whose sizes are computed in the graph.
COMPUTED = ["swin", "segformer", "shufflenet", "mobilevit", "detr", "feature_pyramid", "efficientdet", "detector"]

QUICK = [
    Suite("bert_tiny", bert_shapes(), BERT_BITS),
    Suite("llama_tiny", llama_shapes(), LLAMA_BITS),
    Suite("resnet_tiny", vision_shapes(), VISION_BITS),
    Suite("mobilenet_tiny", vision_shapes(), VISION_BITS),
    Suite(
        "minilm",
        [
            {"batch": batch, "seq": seq}
            for batch, seq in [(0, 7), (1, 1), (1, 128), (2, 16), (3, 127), (8, 2)]
        ],
        [{"batch": 3, "seq": 16}],
    ),
    *(Suite(model, image_shapes(), IMAGE_BITS) for model in COMPUTED),
    Suite("wavlm", sound_shapes(), [{"batch": 3, "samples": 400}]),
]
OCR = [
    Suite(
        "ocr_det",
        ocr_det_shapes(),
        [{"batch": 3, "height": 64, "width": 96}],
        "height=32..%32,width=32..%32",
    ),
    Suite(
        "ocr_rec",
        ocr_rec_shapes(),
        [{"batch": 3, "height": 48, "width": 97}],
        "height=32..64",
    ),
]
LARGE = [
    Suite("minilm", bert_shapes(), BERT_BITS),
    Suite("bert_base", bert_shapes(), BERT_BITS),
    Suite("llama_160m", llama_shapes(), LLAMA_BITS),
    Suite("resnet50", vision_shapes(), VISION_BITS),
    Suite("mobilenet_v2", vision_shapes(), VISION_BITS),
]


def suites(with_large):
    quick = [suite for suite in QUICK if not (with_large and suite.model == "minilm")]
    return quick + OCR + (LARGE if with_large else [])


class PeerModel:
    """ONNX Runtime in Repose's place, to check the suite itself."""

    def __init__(self, reference, threads):
        self.session = reference.session(threads)

    def __call__(self, feeds):
        return self.session.run(None, feeds)

    def close(self):
        self.session = None


def text_of(symbols):
    return ", ".join(f"{name} {value}" for name, value in symbols.items())


def compare(reference, model, symbols):
    """What is wrong at these dimensions, as text, or None; and the largest relative difference."""
    feeds = reference.feeds(symbols)
    shapes = reference.output_shapes(symbols)
    try:
        expected = reference.run(feeds)
    except Unable as error:
        if symbols["batch"] != 0:
            return f"the reference refuses: {error}", 0.0
        expected = None
    try:
        actual = model(feeds)
    except (repose_c.Refused, OSError) as error:
        return f"refused: {error}", 0.0
    worst = 0.0
    for i, (name, _) in enumerate(reference.outputs):
        shape = expected[i].shape if expected and None in shapes[i] else shapes[i]
        if actual[i].shape != shape:
            return f"`{name}` has shape {actual[i].shape}, expected {shape}", worst
        if expected is None:
            continue
        want = expected[i]
        if actual[i].dtype != want.dtype:
            return f"`{name}` has dtype {actual[i].dtype}, expected {want.dtype}", worst
        if want.dtype.kind in "biu":
            if not np.array_equal(actual[i], want):
                return f"`{name}` differs", worst
            continue
        apart, largest = difference(want, actual[i])
        worst = max(worst, apart / largest if largest else apart)
        if apart > TOLERANCE * largest:
            return f"`{name}` differs by {apart:.2e}, its largest magnitude is {largest:.2e}", worst
    return None, worst


def same_bits(reference, models, symbols):
    """What differs between thread counts, and between a batch and its rows alone; one line each. An output
    whose first dimension isn't the batch has no rows."""
    feeds = reference.feeds(symbols, seed=2)
    whole = models[0](feeds)
    wrong = []
    for threads, model in enumerate(models[1:], 2):
        if any(a.tobytes() != b.tobytes() for a, b in zip(whole, model(feeds))):
            wrong.append(f"1 and {threads} threads give different bits")
    batched = [i for i, (_, dims) in enumerate(reference.outputs) if dims[0] == "batch"]
    for row in range(symbols["batch"]):
        alone = models[0]({name: array[row : row + 1].copy() for name, array in feeds.items()})
        if any(whole[i][row].tobytes() != alone[i][0].tobytes() for i in batched):
            wrong.append(f"row {row} of the batch and the same row alone have different bits")
    return wrong


class Count:
    passed = 0
    failed = 0

    def add(self, where, why):
        if why is None:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {where}: {why}")


def load(args, suite, reference, folder):
    """The model with 1, 2 and 3 threads; and seconds to compile."""
    if args.peer:
        return [PeerModel(reference, threads) for threads in (1, 2, 3)], 0.0
    library = Path(folder) / f"{reference.name}.so"
    start, options = time.monotonic(), ["--dim", suite.dims] if suite.dims else []
    if args.debug_memory:
        options = [*options, "--debug-memory"]
    done = repose_cli.compile_model(args.repose, reference.path, library, options)
    if not done.ok:
        raise RuntimeError(f"does not compile: exit {done.code}: {done.text.strip()}")
    seconds = time.monotonic() - start
    return [repose_c.Model(library, num_threads=threads) for threads in (1, 2, 3)], seconds


def run_suite(args, suite, count, folder):
    start, reference, worst = time.monotonic(), Reference(suite.model), 0.0
    try:
        models, compile_seconds = load(args, suite, reference, folder)
    except (RuntimeError, repose_c.Refused, OSError) as error:
        count.add(suite.model, str(error))
        return
    for symbols in suite.shapes:
        where = f"{suite.model} at {text_of(symbols)}"
        why, apart = compare(reference, models[1], symbols)
        worst = max(worst, apart)
        count.add(where, why)
        if args.verbose:
            print(f"  {where}: largest relative difference {apart:.1e}")
    for symbols in [] if args.peer else suite.same_bits:
        wrong = same_bits(reference, models, symbols)
        count.add(f"{suite.model} at {text_of(symbols)}", "; ".join(wrong) or None)
    for model in models:
        model.close()
    print(
        f"{suite.model}: {len(suite.shapes)} shapes, largest relative difference {worst:.1e}, "
        f"compiled in {compile_seconds:.1f} s, {time.monotonic() - start:.1f} s in all"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="the large models too")
    parser.add_argument("--tiny", action="store_true", help="the tiny models only")
    parser.add_argument("--model", help="this one only")
    parser.add_argument("--repose", type=Path, default=repose_cli.default_repose())
    parser.add_argument("--peer", choices=["ort"], help="check the suite with ONNX Runtime instead")
    parser.add_argument("--debug-memory", action="store_true",
                        help="dead memory is overwritten with NaN patterns")
    parser.add_argument("-v", "--verbose", action="store_true")
    args = parser.parse_args()
    start, count = time.monotonic(), Count()
    chosen = suites(args.all)
    if args.tiny:
        chosen = [suite for suite in QUICK if suite.model.endswith("_tiny")]
    if args.model:
        chosen = [s for s in (*suites(True), *QUICK) if s.model == args.model][:1]
        if not chosen:
            parser.error(f"no model `{args.model}`")
    with tempfile.TemporaryDirectory() as folder:
        for suite in chosen:
            run_suite(args, suite, count, folder)
    seconds = time.monotonic() - start
    print(f"agreement: {count.passed} passed, {count.failed} failed, {seconds:.0f} s")
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main())

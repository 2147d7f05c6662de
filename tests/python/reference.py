"""ONNX Runtime as the reference, and inputs for the project's models at any dimensions."""
import ast
import operator
import sys
from functools import cached_property

import numpy as np
import onnx
import onnxruntime
import repose_cli

sys.path.insert(0, str(repose_cli.ROOT / "models"))
import make  # noqa: E402  (models/make.py)

MODELS = repose_cli.ROOT / "build" / "models"


class Unable(Exception):
    """The reference refuses these dimensions."""


class Reference:
    """A model of models/ and its results in ONNX Runtime."""

    def __init__(self, name):
        self.name = name
        self.path = make.make(name, MODELS)
        self.graph = onnx.load(self.path, load_external_data=False).graph

    @cached_property
    def outputs(self):
        """[(name, [dimension: number or text])]"""
        return [(value.name, dims_of(value)) for value in self.graph.output]

    def session(self, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(
            str(self.path), options, providers=["CPUExecutionProvider"]
        )

    @cached_property
    def default_session(self):
        return self.session(0)

    def run(self, feeds):
        """The outputs as a list of arrays."""
        try:
            return self.default_session.run(None, feeds)
        except Exception as error:
            raise Unable(str(error)) from error

    def output_shapes(self, symbols):
        """The shapes that the model declares, at these values of its symbols; None for a dimension that
        the data decides."""
        return [tuple(extent(d, symbols) for d in dims) for _, dims in self.outputs]

    def feeds(self, symbols, seed=1):
        """Random inputs; attention masks with padded tails of different lengths."""
        rng = np.random.default_rng(seed)
        feeds = {}
        for value in self.graph.input:
            dims = [extent(d, symbols) for d in dims_of(value)]
            if "mask" in value.name:
                feeds[value.name] = padded_mask(*dims)
            elif self.name.startswith("ocr"):
                feeds[value.name] = glyphs(rng, *dims)
            elif value.type.tensor_type.elem_type == onnx.TensorProto.INT64:
                feeds[value.name] = rng.integers(0, 500, dims)
            else:
                feeds[value.name] = rng.standard_normal(dims, np.float32)
        return feeds


def dims_of(value):
    return [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param
        for dim in value.type.tensor_type.shape.dim
    ]


def extent(dim, symbols):
    """The value of a dimension: a number, a symbol, or sums and products of them. None where a symbol has
    no value."""
    operators = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}

    def value(node):
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return symbols[node.id]
        return operators[type(node.op)](value(node.left), value(node.right))

    try:
        return dim if isinstance(dim, int) else value(ast.parse(dim, mode="eval").body)
    except KeyError:
        return None


def padded_mask(batch, *sizes):
    """int64 (batch, *sizes): row i keeps its first size − i · max(1, size / 8) places, at least one, of each
    dimension."""
    mask = np.ones((batch, *sizes), np.int64)
    for axis, size in enumerate(sizes, 1):
        lengths = np.maximum(1, size - np.arange(batch) * max(1, size // 8))
        kept = np.arange(size)[None] < lengths[:, None]
        mask *= kept.reshape([batch, *(size if at == axis else 1 for at in range(1, mask.ndim))])
    return mask


def glyphs(rng, batch, channels, height, width):
    """float32 (batch, channels, height, width): black strokes on white, in lines, as text is."""
    image = np.ones((batch, 1, height, width), np.float32)
    for top in range(6, height - 18, 24):
        for left in range(4, width - 8, 10):
            ink = (rng.random((batch, 1, 4, 3)) < 0.6).repeat(3, axis=2).repeat(2, axis=3)
            image[:, :, top : top + 12, left : left + 6] -= 2 * ink
    return np.repeat(image, channels, axis=1)


def difference(expected, actual):
    """(largest absolute difference, expected's largest magnitude); infinity where one is not
    finite and the other not the same. Arrays of equal shape and a float dtype."""
    if expected.size == 0:
        return 0.0, 0.0
    with np.errstate(invalid="ignore"):
        apart = np.abs(expected.astype(np.float64) - actual.astype(np.float64))
    same = (expected == actual) | (np.isnan(expected) & np.isnan(actual))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    finite = np.abs(expected[np.isfinite(expected)])
    return float(apart.max()), float(finite.max()) if finite.size else 0.0

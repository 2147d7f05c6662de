"""Single ONNX operators, compiled once with symbolic dimensions, give what ONNX Runtime gives at every shape:
those whose own tests are few, or see one shape only."""
import tempfile
import unittest
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import repose_cli
from onnx import helper, numpy_helper
from onnx.numpy_helper import to_float8e8m0

RNG = np.random.default_rng(7)


def constant(values, dtype=np.float32):
    return np.asarray(values, dtype)


@dataclass
class Case:
    """Inputs: name → (dtype, dimensions) or an array, which becomes an initializer; "" is left out. Shapes:
    values of the symbols. Draws: name → function of (rng, shape) where normal numbers won't do."""

    op: str
    inputs: dict
    shapes: list
    attrs: dict = field(default_factory=dict)
    outputs: int = 1
    opset: int = 21
    domain: str = ""
    draws: dict = field(default_factory=dict)
    tolerance: float = 1e-5
    reference: object = None  # gives the results of arrays in ONNX Runtime's place

    def model(self):
        names = list(self.inputs)
        node_inputs = ["" if value is None else name for name, value in self.inputs.items()]
        results = [f"y{i}" for i in range(self.outputs)]
        node = helper.make_node(self.op, node_inputs, results, domain=self.domain, **self.attrs)
        constants = [numpy_helper.from_array(v, n) for n, v in self.inputs.items() if isinstance(v, np.ndarray)]
        inputs = [
            helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(np.dtype(v[0])), v[1])
            for n, v in self.inputs.items()
            if isinstance(v, tuple)
        ]
        outputs = [helper.make_empty_tensor_value_info(name) for name in results]
        graph = helper.make_graph([node], names[0] or "g", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            opsets.append(helper.make_opsetid(self.domain, 3 if self.domain == "ai.onnx.ml" else 1))
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)

    def feeds(self, symbols):
        feeds = {}
        for name, value in self.inputs.items():
            if not isinstance(value, tuple):
                continue
            dtype, dims = np.dtype(value[0]), value[1]
            shape = [symbols[d] if isinstance(d, str) else d for d in dims]
            if name in self.draws:
                feeds[name] = np.ascontiguousarray(self.draws[name](RNG, shape), dtype).reshape(shape)
            elif dtype.kind in "iu":
                low = max(np.iinfo(dtype).min, -100)
                feeds[name] = RNG.integers(low, 100, shape).astype(dtype)
            else:
                feeds[name] = RNG.standard_normal(shape).astype(dtype)
        return feeds


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def packed_attention(query, key, value):
    """Attention over (batch, length, heads, size), in float64."""
    q, k, v = (x.astype(np.float64).transpose(0, 2, 1, 3) for x in (query, key, value))
    y = softmax(q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1])) @ v
    return [y.transpose(0, 2, 1, 3).reshape(query.shape[0], query.shape[1], -1).astype(np.float32)]


def bounds(rng, shape):
    """Of slices, inside of a dimension and beyond both of its ends. (To ONNX Runtime an end of 2^63 - 1 is the beginning
    where steps go backward.)"""
    return rng.choice([-(2**63), -40, -2, 0, 1, 5, 30, 2**63 - 2], shape)


def positive(rng, shape):
    return rng.random(shape) + 0.1


MATRICES = [{"b": b, "m": m, "k": k, "n": n} for b, m, k, n in [(1, 1, 1, 1), (2, 3, 70, 5), (1, 40, 7, 33), (3, 2, 0, 4)]]
IMAGES = [{"n": n, "h": h, "w": w} for n, h, w in [(1, 5, 5), (2, 9, 14), (3, 16, 7)]]
ROWS = [{"n": n, "d": d} for n, d in [(1, 1), (3, 8), (2, 37)]]


def einsum(equation, *dims):
    names = "abcdefgh"
    inputs = {names[i]: (np.float32, list(d)) for i, d in enumerate(dims)}
    # ONNX Runtime crashes where an operand is empty.
    reference = lambda *arrays: [np.asarray(np.einsum(equation, *arrays, optimize=True))]  # noqa: E731
    return Case("Einsum", inputs, MATRICES, {"equation": equation}, tolerance=1e-4, reference=reference)


INT4_SCALES = positive(RNG, 6).astype(np.float32)
INT4_ZEROS = RNG.integers(-8, 8, 6).astype(ml_dtypes.int4)

CASES = {
    "matmul_integer": Case(
        "MatMulInteger", {"a": (np.uint8, ["b", "m", "k"]), "w": (np.int8, ["k", "n"]), "za": (np.uint8, [])}, MATRICES[:3],
        draws={"a": lambda rng, s: rng.integers(0, 60, s), "w": lambda rng, s: rng.integers(-60, 60, s)},
    ),
    "matmul_integer_both_zero_points": Case(
        "MatMulInteger",
        {"a": (np.uint8, ["m", "k"]), "w": (np.uint8, ["k", "n"]), "za": (np.uint8, []), "zb": (np.uint8, ["n"])}, MATRICES[:3],
    ),
    "qlinear_matmul": Case(
        "QLinearMatMul",
        {"a": (np.uint8, ["b", "m", "k"]), "sa": constant(0.02), "za": constant(113, np.uint8), "w": (np.int8, ["k", "n"]),
         "sw": constant(0.013), "zw": constant(0, np.int8), "sy": constant(0.11), "zy": constant(101, np.uint8)},
        MATRICES[:3], draws={"a": lambda rng, s: rng.integers(0, 60, s), "w": lambda rng, s: rng.integers(-60, 60, s)},
    ),
    "qlinear_conv": Case(
        "QLinearConv",
        {"x": (np.uint8, ["n", 4, "h", "w"]), "sx": constant(0.02), "zx": constant(7, np.uint8),
         "k": RNG.integers(-60, 60, (6, 2, 3, 3)).astype(np.int8), "sk": positive(RNG, 6).astype(np.float32) / 50,
         "zk": np.zeros(6, np.int8), "sy": constant(0.3), "zy": constant(101, np.uint8),
         "bias": RNG.integers(-100, 100, 6).astype(np.int32)},
        IMAGES, {"pads": [1, 0, 2, 1], "group": 2, "strides": [1, 2]},
        draws={"x": lambda rng, s: rng.integers(0, 60, s)},
    ),
    "quantize_axis": Case(
        "QuantizeLinear", {"x": (np.float32, ["n", 3, "d"]), "s": constant([0.1, 2, 0.03]), "z": constant([3, -4, 5], np.int8)},
        ROWS,
    ),
    "dequantize_blocks": Case(
        "DequantizeLinear",
        {"x": (np.int8, ["n", 10]), "s": (np.float32, ["n", 4]), "z": (np.int8, ["n", 4])}, ROWS, {"axis": 1, "block_size": 3},
    ),
    "dequantize_int32": Case("DequantizeLinear", {"x": (np.int32, ["n", "d"]), "s": constant(0.5)}, ROWS),
    "dynamic_quantize": Case("DynamicQuantizeLinear", {"x": (np.float32, ["n", "d"])}, ROWS, outputs=3),
    "einsum_product": einsum("bmk,kn->bmn", ["b", "m", "k"], ["k", "n"]),
    "einsum_ellipsis": einsum("...mk,...nk->...mn", ["b", "m", "k"], ["b", "n", "k"]),
    "einsum_implied": einsum("mk,kn", ["m", "k"], ["k", "n"]),
    "einsum_diagonal": einsum("mmb->bm", ["m", "m", "b"]),
    "einsum_trace": einsum("mm", ["m", "m"]),
    "einsum_outer": einsum("m,n->nm", ["m"], ["n"]),
    "einsum_sum": einsum("bmk->k", ["b", "m", "k"]),
    "einsum_chain": einsum("mk,kn,nb,b->m", ["m", "k"], ["k", "n"], ["n", "b"], ["b"]),
    "grid_sample_linear": Case(
        "GridSample", {"x": (np.float32, ["n", 2, "h", "w"]), "g": (np.float32, ["n", "w", "h", 2])}, IMAGES,
        {"mode": "linear", "padding_mode": "reflection"}, tolerance=1e-4,
    ),
    "grid_sample_cubic": Case(
        "GridSample", {"x": (np.float32, ["n", 2, "h", "w"]), "g": (np.float32, ["n", 3, 4, 2])}, IMAGES,
        {"mode": "cubic", "padding_mode": "border", "align_corners": 1}, tolerance=1e-4,
        draws={"g": lambda rng, s: rng.random(s) * 2 - 1},  # outside, ONNX Runtime departs from the standard
    ),
    "affine_grid": Case(
        "AffineGrid", {"t": (np.float32, [2, 2, 3]), "s": (np.int64, [4])}, IMAGES, {"align_corners": 1},
        draws={"s": lambda rng, s: [2, 3, rng.integers(2, 9), rng.integers(2, 9)]},
    ),
    "roi_align": Case(
        "RoiAlign",
        {"x": (np.float32, ["n", 3, "h", "w"]), "r": (np.float32, ["h", 4]), "i": (np.int64, ["h"])}, IMAGES,
        {"output_height": 3, "output_width": 2, "spatial_scale": 0.5, "sampling_ratio": 2},
        draws={"r": lambda rng, s: np.sort(rng.random(s) * 20, axis=1)[:, [0, 1, 2, 3]], "i": lambda rng, s: np.zeros(s)},
        tolerance=1e-4,
    ),
    "max_roi_pool": Case(
        "MaxRoiPool", {"x": (np.float32, ["n", 3, "h", "w"]), "r": (np.float32, ["h", 5])}, IMAGES,
        {"pooled_shape": [2, 3], "spatial_scale": 0.5},
        draws={"r": lambda rng, s: np.concatenate([np.zeros((s[0], 1)), np.sort(rng.integers(0, 25, (s[0], 4)), axis=1)], axis=1)},
    ),
    "cumsum_along_data": Case(
        "CumSum", {"x": (np.float32, ["n", "d"]), "a": (np.int64, [])}, ROWS, draws={"a": lambda rng, s: rng.integers(-2, 2)},
    ),
    "lp_pool": Case(
        "LpPool", {"x": (np.float32, ["n", 2, "h", "w"])}, IMAGES,
        {"kernel_shape": [3, 2], "p": 3, "pads": [1, 0, 1, 1], "strides": [2, 1]}, tolerance=1e-4,
    ),
    "max_pool_indices": Case(
        "MaxPool", {"x": (np.float32, ["n", 2, "h", "w"])}, IMAGES,
        {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "strides": [2, 1]}, outputs=2,
    ),
    "resize_antialias": Case(
        "Resize", {"x": (np.float32, ["n", 2, "h", "w"]), "roi": None, "s": constant([1, 1, 1.7, 2.2])}, IMAGES,
        {"mode": "linear", "antialias": 1}, tolerance=1e-4,
    ),
    "resize_crop_of_data": Case(
        "Resize", {"x": (np.float32, ["n", 2, "h", "w"]), "roi": (np.float32, [8]), "s": None, "to": constant([2, 2, 6, 1], np.int64)},
        [shape | {"n": 2} for shape in IMAGES],
        {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": -3.0},
        draws={"roi": lambda rng, s: [0, 0, *rng.uniform(-0.2, 0.4, 2), 1, 1, *rng.uniform(0.6, 1.3, 2)]}, tolerance=1e-4,
    ),
    "resize_crop_and_scales_of_data": Case(
        "Resize", {"x": (np.float32, ["n", 2, "h", "w"]), "roi": (np.float32, [8]), "s": (np.float32, [4])}, IMAGES,
        {"mode": "cubic", "coordinate_transformation_mode": "tf_crop_and_resize"},
        draws={"roi": lambda rng, s: [0, 0, *rng.uniform(0, 0.4, 2), 1, 1, *rng.uniform(0.6, 1, 2)],
               "s": lambda rng, s: [1, 1, 0.5 + 2 * rng.random(), 1.5]}, tolerance=1e-3,
    ),
    "resize_fine_crop": Case(
        "Resize",
        {"x": (np.float32, ["h", 3]), "roi": constant([0.123457, 0, 0.987653, 1]), "s": None, "to": constant([7, 3], np.int64)},
        [{"h": h} for h in (1, 2, 19)], {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize"},
        tolerance=1e-4,
    ),
    "resize_nearest_of_set_10": Case(
        "Resize", {"x": (np.float32, ["h", "w"]), "s": (np.float32, [2])}, [{"h": h, "w": w} for h, w in ((1, 1), (3, 8), (7, 2))] * 2,
        opset=10, draws={"s": lambda rng, s: rng.choice([0.5, 0.75, 1, 2, 3], s)},
    ),
    "resize_both_ways_of_set_10": Case(
        "Resize", {"x": (np.float32, ["h", "w"]), "s": constant([0.5, 1.7])}, [{"h": h, "w": w} for h, w in ((2, 1), (3, 8), (7, 2))],
        opset=10,
    ),
    "tile_of_set_1": Case(
        "Tile", {"x": (np.float32, ["n", "d"]), "count": (np.int64, [1]), "axis": constant([0], np.int64)}, ROWS, opset=1,
        draws={"count": lambda rng, s: rng.integers(0, 4, s)}, reference=lambda x, count: [np.tile(x, (count[0], 1))],
    ),
    "upsample_of_set_1": Case(
        "Upsample", {"x": (np.float32, ["n", 2, "h", "w"])}, IMAGES, {"height_scale": 2.0, "width_scale": 3.0, "mode": "nearest"},
        opset=1, reference=lambda x: [x.repeat(2, 2).repeat(3, 3)],
    ),
    "lp_pool_of_set_1": Case(
        "GlobalLpPool", {"x": (np.float32, ["n", 3, "d"])}, ROWS, {"p": 1.5}, opset=1,
        reference=lambda x: [((np.abs(x) ** 1.5).sum(2, keepdims=True) ** (1 / 1.5)).astype(np.float32)],
    ),
    "stft": Case(
        "STFT", {"x": (np.float32, ["n", "t", 1]), "step": constant(3, np.int64), "w": positive(RNG, 8).astype(np.float32)},
        [{"n": 1, "t": 8}, {"n": 2, "t": 33}], opset=17, tolerance=1e-4,
    ),
    "dft": Case("DFT", {"x": (np.float32, ["n", "d", 1])}, ROWS, {"onesided": 1, "axis": 1}, opset=17, tolerance=1e-4),
    "det": Case("Det", {"x": (np.float32, ["n", "d", "d"])}, [{"n": 1, "d": 1}, {"n": 3, "d": 4}], tolerance=1e-4),
    "reverse_sequence": Case(
        "ReverseSequence", {"x": (np.float32, ["d", "n", 3]), "l": (np.int64, ["n"])}, ROWS[1:],
        draws={"l": lambda rng, s: rng.integers(1, 9, s)},
    ),
    # A start that counts from the end to before the first element: that one, where there is any.
    "slice_backwards": Case(
        "Slice", {"x": (np.float32, ["n", "d"]), "b": constant([-2], np.int64), "e": constant([-1000], np.int64),
                  "a": constant([0], np.int64), "s": constant([-1], np.int64)},
        [*ROWS, {"n": 0, "d": 2}],
    ),
    "slice_backwards_from_data": Case(
        "Slice", {"x": (np.float32, ["n", "d"]), "b": (np.int64, [2]), "e": (np.int64, [2]), "a": constant([1, 0], np.int64),
                  "s": constant([-3, -1], np.int64)},
        [*ROWS, *ROWS, {"n": 0, "d": 2}], draws={"b": lambda rng, s: rng.integers(-9, 9, s), "e": lambda rng, s: rng.integers(-99, 2, s)},
    ),
    # No element of an empty row is its largest.
    "hardmax": Case("Hardmax", {"x": (np.float32, ["n", "d"])}, [*ROWS, {"n": 2, "d": 0}, {"n": 0, "d": 2}]),
    "lrn": Case("LRN", {"x": (np.float32, ["n", 5, "h", "w"])}, IMAGES, {"size": 3, "alpha": 0.1}),
    "lrn_of_any_number_of_channels": Case(
        "LRN", {"x": (np.float32, ["n", "c", "h", "w"])}, [shape | {"c": c} for shape in IMAGES for c in (0, 1, 6)],
        {"size": 4, "alpha": 0.1},
        reference=lambda x: [x / (1 + 0.1 / 4 * sum(
            np.pad(x * x, [(0, 0), (1, 2), (0, 0), (0, 0)])[:, k:k + x.shape[1]] for k in range(4))) ** 0.75],
    ),
    "nll": Case(
        "NegativeLogLikelihoodLoss", {"x": (np.float32, ["n", 5, "d"]), "t": (np.int64, ["n", "d"]), "w": (np.float32, [5])},
        ROWS, {"ignore_index": 2}, draws={"t": lambda rng, s: rng.integers(0, 5, s), "w": positive}, opset=13,
    ),
    "rotary": Case(
        "RotaryEmbedding", {"x": (np.float32, ["n", 4, "d", 6]), "c": (np.float32, [50, 3]), "s": (np.float32, [50, 3]),
                            "p": (np.int64, ["n", "d"])},
        ROWS, draws={"p": lambda rng, s: rng.integers(0, 50, s)}, opset=23,
    ),
    "attention_grouped": Case(
        "Attention", {"q": (np.float32, ["n", 6, "d", 8]), "k": (np.float32, ["n", 2, "d", 8]), "v": (np.float32, ["n", 2, "d", 5])},
        ROWS, {"is_causal": 1}, opset=23, tolerance=1e-4,
    ),
    "resize_scales_of_data": Case(
        "Resize", {"x": (np.float32, ["n", 2, "h", "w"]), "roi": None, "s": (np.float32, [4])}, IMAGES,
        {"mode": "linear"}, draws={"s": lambda rng, s: [1, 1, 0.3 + 2 * rng.random(), 1.5]}, tolerance=1e-4,
    ),
}


def microsoft(op, inputs, shapes, attrs=None, **more):
    return Case(op, inputs, shapes, attrs or {}, domain="com.microsoft", **more)


def ml(op, inputs, attrs, **more):
    return Case(op, inputs, ROWS, attrs, domain="ai.onnx.ml", **more)


WORDS = [{"n": n, "d": d} for n, d in [(1, 1), (2, 7), (3, 20)]]
FLOATS = np.float32
# Two trees: x0 <= 0 ? 1 : (x1 > 1 ? 2 : 3), and x2 < 0 ? -1 : 5; the second target gets half of it.
TREE_NODES = {
    "nodes_treeids": [0, 0, 0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 3, 4, 0, 1, 2],
    "nodes_featureids": [0, 0, 1, 0, 0, 2, 0, 0],
    "nodes_values": [0.0, 0, 1, 0, 0, 0, 0, 0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "BRANCH_GT", "LEAF", "LEAF", "BRANCH_LT", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 3, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 4, 0, 0, 2, 0, 0],
    "nodes_missing_value_tracks_true": [0] * 8,
}


def leaves(prefix, ids, weights):
    return {
        f"{prefix}_treeids": [0, 0, 0, 1, 1], f"{prefix}_nodeids": [1, 3, 4, 1, 2],
        f"{prefix}_ids": ids, f"{prefix}_weights": weights,
    }


CASES |= {
    "ms_dynamic_product": microsoft(
        "DynamicQuantizeMatMul",
        {"a": (FLOATS, ["n", "d", 16]), "w": RNG.integers(-60, 60, (16, 5)).astype(np.int8), "s": constant(0.02), "z": None,
         "b": (FLOATS, [5])},
        WORDS, tolerance=1e-3,
    ),
    # With several threads, ONNX Runtime quantises what each of them takes of the batch by its own range.
    "ms_dynamic_quantize_lstm": microsoft(
        "DynamicQuantizeLSTM",
        {"x": (FLOATS, ["d", "n", 6]), "w": RNG.integers(-60, 60, (2, 6, 16)).astype(np.int8),
         "r": RNG.integers(-60, 60, (2, 4, 16)).astype(np.int8), "b": (FLOATS, [2, 32]), "l": None, "h": None, "c": (FLOATS, [2, "n", 4]),
         "p": None, "ws": constant([0.01, 0.02]), "wz": constant([3, 0], np.int8), "rs": positive(RNG, (2, 16)).astype(FLOATS) / 50,
         "rz": constant(np.zeros((2, 16)), np.int8)},
        WORDS, {"hidden_size": 4, "direction": "bidirectional"}, outputs=3, tolerance=1e-2,
    ),
    "ms_product_to_float": microsoft(
        "MatMulIntegerToFloat",
        {"a": (np.uint8, ["n", 16]), "w": RNG.integers(-60, 60, (16, 5)).astype(np.int8), "s": constant(0.02), "t": positive(RNG, 5).astype(FLOATS),
         "z": constant(7, np.uint8)},
        WORDS, draws={"a": lambda rng, s: rng.integers(0, 60, s)},
    ),
    "ms_quantised_sum": microsoft(
        "QLinearAdd",
        {"a": (np.uint8, ["n", "d"]), "sa": constant(0.0213), "za": constant(7, np.uint8), "b": (np.uint8, ["d"]), "sb": constant(0.0317),
         "zb": constant(9, np.uint8), "sy": constant(0.0411), "zy": constant(3, np.uint8)},
        WORDS,
    ),
    "ms_quantised_sigmoid": microsoft(
        "QLinearSigmoid",
        {"a": (np.int8, ["n", "d"]), "sa": constant(0.02), "za": constant(7, np.int8), "sy": constant(1 / 256), "zy": constant(-128, np.int8)}, WORDS,
    ),
    "ms_bias_gelu": microsoft("BiasGelu", {"x": (FLOATS, ["n", "d"]), "b": (FLOATS, ["d"])}, WORDS),
    "ms_fast_gelu": microsoft("FastGelu", {"x": (FLOATS, ["n", "d"]), "b": (FLOATS, ["d"])}, WORDS),
    "ms_quick_gelu": microsoft("QuickGelu", {"x": (FLOATS, ["n", "d"])}, WORDS, {"alpha": 1.5}),
    "ms_skip_norm": microsoft(
        "SkipLayerNormalization",
        {"x": (FLOATS, ["n", "d", 8]), "s": (FLOATS, ["n", "d", 8]), "g": (FLOATS, [8]), "b": (FLOATS, [8]), "c": (FLOATS, [8])},
        WORDS, {"epsilon": 1e-5}, tolerance=1e-4,
    ),
    "ms_skip_rms_norm": microsoft(
        "SkipSimplifiedLayerNormalization",
        {"x": (FLOATS, ["n", "d", 8]), "s": (FLOATS, ["n", "d", 8]), "g": (FLOATS, [8])}, WORDS, {"epsilon": 1e-5}, tolerance=1e-4,
    ),
    "ms_embed_norm": microsoft(
        "EmbedLayerNormalization",
        {"i": (np.int32, ["n", "d"]), "t": (np.int32, ["n", "d"]), "w": (FLOATS, [99, 8]), "p": (FLOATS, [20, 8]),
         "s": (FLOATS, [2, 8]), "g": (FLOATS, [8]), "b": (FLOATS, [8]), "m": (np.int32, ["n", "d"])},
        WORDS, {"epsilon": 1e-5}, outputs=2, tolerance=1e-4,
        draws={"i": lambda rng, s: rng.integers(0, 99, s), "t": lambda rng, s: rng.integers(0, 2, s), "m": lambda rng, s: np.ones(s)},
    ),
    "ms_fused_matmul": microsoft(
        "FusedMatMul", {"a": (FLOATS, ["b", "k", "m"]), "w": (FLOATS, ["b", "n", "k"])}, MATRICES[:3],
        {"transA": 1, "transB": 1, "alpha": 0.5}, tolerance=1e-4,
    ),
    "ms_fused_conv": microsoft(
        "FusedConv", {"x": (FLOATS, ["n", 4, "h", "w"]), "k": (FLOATS, [6, 4, 3, 3]), "b": (FLOATS, [6])}, IMAGES,
        {"activation": "Relu", "pads": [1, 1, 1, 1]}, tolerance=1e-4,
    ),
    "ms_matmul_4_bits": microsoft(
        "MatMulNBits",
        {"a": (FLOATS, ["n", "d", 40]), "w": RNG.integers(0, 255, (12, 3, 8)).astype(np.uint8), "s": positive(RNG, 36).astype(FLOATS),
         "z": RNG.integers(0, 255, 24).astype(np.uint8)},
        WORDS, {"K": 40, "N": 12, "bits": 4, "block_size": 16}, tolerance=1e-4,
    ),
    "ms_attention": microsoft(
        "MultiHeadAttention",
        {"q": (FLOATS, ["n", "d", 32]), "k": (FLOATS, ["n", 9, 32]), "v": (FLOATS, ["n", 9, 32]), "b": (FLOATS, [96]),
         "m": (np.int32, ["n", 9])},
        WORDS, {"num_heads": 4}, draws={"m": lambda rng, s: np.arange(9)[None] < rng.integers(1, 9, (s[0], 1))}, tolerance=1e-4,
    ),
    "ms_attention_packed": microsoft(
        "MultiHeadAttention", {"q": (FLOATS, ["n", "d", 4, 3, 8])}, WORDS, {"num_heads": 4}, tolerance=1e-4,
        reference=lambda x: packed_attention(x[..., 0, :], x[..., 1, :], x[..., 2, :]),
    ),
    "ms_attention_packed_keys": microsoft(
        "MultiHeadAttention", {"q": (FLOATS, ["n", "d", 32]), "kv": (FLOATS, ["n", 9, 4, 2, 8])}, WORDS, {"num_heads": 4},
        tolerance=1e-4,
        reference=lambda q, kv: packed_attention(q.reshape(*q.shape[:2], 4, 8), kv[..., 0, :], kv[..., 1, :]),
    ),
    "ms_projected_attention": microsoft(
        "Attention",
        {"x": (FLOATS, ["n", "d", 16]), "w": RNG.standard_normal((16, 96)).astype(FLOATS), "b": (FLOATS, [96]),
         "m": (np.int32, ["n", "d"])},
        WORDS, {"num_heads": 4}, draws={"m": lambda rng, s: np.arange(s[1])[None] < rng.integers(1, s[1] + 1, (s[0], 1))}, tolerance=1e-4,
    ),
    "ms_projected_attention_past": microsoft(
        "Attention",
        {"x": (FLOATS, ["n", "d", 16]), "w": RNG.standard_normal((16, 96)).astype(FLOATS), "b": (FLOATS, [96]), "m": None,
         "p": (FLOATS, [2, "n", 4, 5, 8])},
        WORDS, {"num_heads": 4, "unidirectional": 1}, outputs=2, tolerance=1e-4,
    ),
    "ms_quantized_attention": microsoft(
        "QAttention",
        {"x": (np.uint8, ["n", "d", 16]), "w": RNG.integers(-60, 60, (16, 96)).astype(np.int8), "b": (FLOATS, [96]),
         "sx": constant(0.02), "sw": constant(0.01), "m": (np.int32, ["n"]), "zx": constant(7, np.uint8), "zw": constant(3, np.int8)},
        WORDS, {"num_heads": 4}, draws={"m": lambda rng, s: np.ones(s), "x": lambda rng, s: rng.integers(0, 60, s)}, tolerance=1e-4,
    ),
    "ms_rotary": microsoft(
        "RotaryEmbedding",
        {"x": (FLOATS, ["n", "d", 32]), "p": (np.int64, ["n", "d"]), "c": (FLOATS, [50, 4]), "s": (FLOATS, [50, 4])}, WORDS,
        draws={"p": lambda rng, s: rng.integers(0, 50, s)},
    ),
    "ms_grouped_attention": microsoft(
        "GroupQueryAttention",
        {"q": (FLOATS, ["n", 1, 64]), "k": (FLOATS, ["n", 1, 32]), "v": (FLOATS, ["n", 1, 32]), "pk": (FLOATS, ["n", 2, "d", 16]),
         "pv": (FLOATS, ["n", 2, "d", 16]), "l": (np.int32, ["n"]), "t": (np.int32, []), "c": (FLOATS, [50, 8]), "s": (FLOATS, [50, 8])},
        [{"n": 1, "d": 7}], {"num_heads": 4, "kv_num_heads": 2, "do_rotary": 1}, outputs=3,
        draws={"l": lambda rng, s: np.full(s, 7), "t": lambda rng, s: 8}, tolerance=1e-4,
    ),
    "ml_scaler": ml("Scaler", {"x": (FLOATS, ["n", 3])}, {"offset": [1.0, 2, 3], "scale": [0.5, 1, 2]}),
    "ml_normalizer": ml("Normalizer", {"x": (FLOATS, ["n", 3])}, {"norm": "L2"}),
    "ml_binarizer": ml("Binarizer", {"x": (FLOATS, ["n", "d"])}, {"threshold": 0.2}),
    "ml_imputer": ml("Imputer", {"x": (FLOATS, ["n", 3])}, {"imputed_value_floats": [1.0, 2, 3], "replaced_value_float": 0.0}),
    "ml_extractor": ml("ArrayFeatureExtractor", {"x": (FLOATS, ["n", 5]), "i": constant([3, 0], np.int64)}, {}),
    "ml_one_hot": ml(
        "OneHotEncoder", {"x": (np.int64, ["n", "d"])}, {"cats_int64s": [3, 5, -1], "zeros": 1},
        draws={"x": lambda rng, s: rng.integers(-2, 7, s)},
    ),
    "ml_labels": ml(
        "LabelEncoder", {"x": (np.int64, ["n", "d"])}, {"keys_int64s": [3, 5, -1], "values_floats": [0.5, 7, 9], "default_float": -2.5},
        draws={"x": lambda rng, s: rng.integers(-2, 7, s)},
    ),
    "ml_linear_regressor": ml("LinearRegressor", {"x": (FLOATS, ["n", 3])}, {"coefficients": [1.0, 2, 3, -1, 0, 1], "intercepts": [0.5, 1], "targets": 2}),
    "ml_linear_classifier": ml(
        "LinearClassifier", {"x": (FLOATS, ["n", 2])},
        {"coefficients": [1.0, 2, -1, 0.5, 0.3, -2], "intercepts": [0.5, 1, 0], "classlabels_ints": [4, 5, 9], "post_transform": "SOFTMAX"}, outputs=2,
    ),
    "ml_logistic": ml(
        "LinearClassifier", {"x": (FLOATS, ["n", 2])},
        {"coefficients": [-1.0, -2, 1, 2], "intercepts": [0.5, -0.5], "classlabels_ints": [0, 1], "post_transform": "LOGISTIC"}, outputs=2,
    ),
    "ml_svm_regressor": ml(
        "SVMRegressor", {"x": (FLOATS, ["n", 2])},
        {"kernel_type": "RBF", "kernel_params": [0.7, 0.0, 3.0], "support_vectors": [1.0, 0, 0, 1, 0.5, 0.5], "coefficients": [1.0, -2, 0.5],
         "rho": [0.25], "n_supports": 3},
    ),
    "ml_svm_classifier": ml(
        "SVMClassifier", {"x": (FLOATS, ["n", 2])},
        {"kernel_type": "RBF", "kernel_params": [0.7, 0.0, 3.0], "support_vectors": [1.0, 0, 0, 1, 0.5, 0.5, -1, -1],
         "vectors_per_class": [1, 2, 1], "coefficients": [1.0, -2, 0.5, 0.25, 0.75, 1, -1, -0.5], "rho": [0.1, -0.2, 0.3],
         "classlabels_ints": [2, 4, 8]}, outputs=2,
    ),
    "ml_tree_regressor": ml(
        "TreeEnsembleRegressor", {"x": (FLOATS, ["n", 3])},
        # Each row gives both targets something: otherwise ONNX Runtime leaves the base value out.
        TREE_NODES | leaves("target", [0, 0, 0, 1, 1], [1.0, 2, 3, -1, 5]) | {"n_targets": 2, "base_values": [0.5, 0.25]},
    ),
    # Threads store elements of one byte.
    "max_pool_indices_same": Case(
        "MaxPool", {"x": (np.float32, ["n", 2, "h", "w"])}, IMAGES,
        {"kernel_shape": [3, 2], "strides": [2, 3], "auto_pad": "SAME_UPPER"}, outputs=2,
    ),
    "max_pool_indices_same_column_major": Case(
        "MaxPool", {"x": (np.float32, ["n", 2, "h", "w"])}, IMAGES,
        {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER", "storage_order": 1}, outputs=2,
    ),
    "cast_to_uint2": Case(
        "Cast", {"x": (np.int32, ["n", 3])}, [{"n": n} for n in (0, 1, 5, 100_001)],
        {"to": onnx.TensorProto.UINT2}, opset=25, reference=lambda x: [x.astype(ml_dtypes.uint2)],
    ),
    "cast_to_int4": Case(
        "Cast", {"x": (np.int64, ["n"])}, [{"n": n} for n in (0, 1, 64, 100_001)],
        {"to": onnx.TensorProto.INT4}, opset=25, reference=lambda x: [x.astype(ml_dtypes.int4)],
    ),
    "transpose_int4": Case(
        "Transpose", {"x": (ml_dtypes.int4, ["n", 5, "m"])}, [{"n": n, "m": m} for n, m in ((1, 1), (3, 7), (40, 301))],
        {"perm": [2, 0, 1]}, draws={"x": lambda rng, s: rng.integers(-8, 8, s)},
        reference=lambda x: [np.ascontiguousarray(x.transpose(2, 0, 1))],
    ),
    "dequantize_int4": Case(
        "DequantizeLinear",
        {"x": (ml_dtypes.int4, ["n", 6]), "s": INT4_SCALES, "z": INT4_ZEROS}, [{"n": n} for n in (1, 7, 5001)],
        draws={"x": lambda rng, s: rng.integers(-8, 8, s)},
        reference=lambda x: [(x.astype(np.int32) - INT4_ZEROS.astype(np.int32)).astype(np.float32) * INT4_SCALES],
    ),
    "dequantize_int4_weights": Case(
        "DequantizeLinear",
        {"x": RNG.integers(-8, 8, (8, 6)).astype(ml_dtypes.int4), "s": (np.float32, [2, 6])}, [{}],
        {"axis": 0, "block_size": 4},
    ),
    "quantize_int4": Case(
        "QuantizeLinear", {"x": (np.float32, ["n", 7]), "s": constant(0.3), "z": constant(-2, ml_dtypes.int4)},
        [{"n": n} for n in (1, 7, 5001)],
        reference=lambda x: [np.clip(np.rint(x / np.float32(0.3)) - 2, -8, 7).astype(ml_dtypes.int4)],
    ),
    "quantize_float8": Case(
        "QuantizeLinear", {"x": (np.float32, ["n", 7]), "s": constant(0.001), "z": constant(0, ml_dtypes.float8_e4m3fn)},
        [{"n": n} for n in (1, 7, 501)],
        reference=lambda x: [np.clip(x / np.float32(0.001), -448, 448).astype(ml_dtypes.float8_e4m3fn)],
    ),
    "quantize_float8_no_saturation": Case(
        "QuantizeLinear", {"x": (np.float32, ["n", 7]), "s": constant(0.0001), "z": constant(0, ml_dtypes.float8_e5m2)},
        [{"n": n} for n in (1, 7, 501)], {"saturate": 0},
        reference=lambda x: [(x / np.float32(0.0001)).astype(ml_dtypes.float8_e5m2)],
    ),
    "cast_to_power_up": Case(
        "Cast", {"x": (np.float32, ["n"])}, [{"n": n} for n in (1, 70)], {"to": onnx.TensorProto.FLOAT8E8M0, "round_mode": "up"},
        opset=25, draws={"x": positive}, reference=lambda x: [to_float8e8m0(x, True, "up")],
    ),
    "cast_to_power_down": Case(
        "Cast", {"x": (np.float32, ["n"])}, [{"n": n} for n in (1, 70)], {"to": onnx.TensorProto.FLOAT8E8M0, "round_mode": "down"},
        opset=25, draws={"x": positive}, reference=lambda x: [to_float8e8m0(x, True, "down")],
    ),
    "cast_to_power_nearest": Case(
        "Cast", {"x": (np.float32, ["n"])}, [{"n": n} for n in (1, 70)], {"to": onnx.TensorProto.FLOAT8E8M0, "round_mode": "nearest"},
        opset=25, draws={"x": positive}, reference=lambda x: [to_float8e8m0(x, True, "nearest")],
    ),
    "reduce_sum_axes_as_data": Case(
        "ReduceSum", {"x": (np.float32, ["b", "m", "k"]), "axes": (np.int64, [2])}, MATRICES,
        draws={"axes": lambda rng, s: rng.permutation(3)[:2] - 3 * rng.integers(0, 2, 2)},
    ),
    "reduce_max_axes_as_data_dropped": Case(
        "ReduceMax", {"x": (np.float32, ["b", "m", "n"]), "axes": (np.int64, [2])}, MATRICES, {"keepdims": 0},
        draws={"axes": lambda rng, s: rng.permutation(3)[:2]},
    ),
    "reduce_log_sum_exp_axis_as_data": Case(
        "ReduceLogSumExp", {"x": (np.float32, ["b", "m", "n"]), "axes": (np.int64, [1])}, MATRICES, {"keepdims": 0},
        draws={"axes": lambda rng, s: rng.integers(-3, 3, 1)},
    ),
    "squeeze_axes_as_data": Case(
        "Squeeze", {"x": (np.float32, ["n", 1, "d", 1]), "axes": (np.int64, [1])}, ROWS,
        draws={"axes": lambda rng, s: rng.choice([1, 3, -1, -3], 1)},
    ),
    "unsqueeze_axes_as_data": Case(
        "Unsqueeze", {"x": (np.float32, ["n", "d"]), "axes": (np.int64, [2])}, ROWS,
        draws={"axes": lambda rng, s: rng.permutation(4)[:2] - 4 * rng.integers(0, 2)},
    ),
    "slice_steps_as_data": Case(
        "Slice",
        {"x": (np.float32, ["n", "d"]), "starts": (np.int64, [2]), "ends": (np.int64, [2]), "axes": constant([1, 0], np.int64),
         "steps": (np.int64, [2])}, ROWS * 3,
        draws={"starts": bounds, "ends": bounds, "steps": lambda rng, s: rng.choice([-3, -1, 1, 2, 2**62], s)},
    ),
    "slice_axes_as_data": Case(
        "Slice",
        {"x": (np.float32, ["n", "d", 4]), "starts": (np.int64, [2]), "ends": (np.int64, [2]), "axes": (np.int64, [2]),
         "steps": (np.int64, [2])}, ROWS * 3,
        draws={"starts": bounds, "ends": bounds, "steps": lambda rng, s: rng.choice([-2, 1, 3], s),
               "axes": lambda rng, s: rng.permutation(3)[:2] - 3 * rng.integers(0, 2)},
    ),
    "tf_idf": Case(
        "TfIdfVectorizer", {"x": (np.int64, ["b", "n"])}, [{"b": b, "n": n} for b, n in ((1, 1), (2, 9), (3, 70))],
        {"min_gram_length": 1, "max_gram_length": 3, "max_skip_count": 2, "mode": "TFIDF", "ngram_counts": [0, 3, 7],
         "ngram_indexes": [4, 0, 2, 1, 3, 5], "pool_int64s": [0, 1, 2, 0, 1, 2, 2, 1, 1, 0], "weights": [1.0, 2, 3, 0.5, 4, 5]},
        draws={"x": lambda rng, s: rng.integers(0, 3, s)},
    ),
    "ml_tree_classifier": ml(
        "TreeEnsembleClassifier", {"x": (FLOATS, ["n", 3])},
        TREE_NODES | leaves("class", [0, 1, 2, 0, 1], [1.0, 2, 3, -1, 5]) | {"classlabels_int64s": [3, 6, 7], "post_transform": "SOFTMAX"}, outputs=2,
    ),
    "ml_tree_of_two_classes": ml(
        "TreeEnsembleClassifier", {"x": (FLOATS, ["n", 3])},
        TREE_NODES | leaves("class", [0, 0, 0, 0, 0], [1.0, -2, 3, -1, 0.5]) | {"classlabels_int64s": [0, 1], "post_transform": "LOGISTIC"}, outputs=2,
    ),
}


def difference(want, have, tolerance):
    if want.dtype != have.dtype or want.shape != have.shape:
        return f"{have.dtype}{have.shape}, expected {want.dtype}{want.shape}"
    if want.dtype.isbuiltin != 1:  # types of few bits: exactly the same
        wrong = want.astype(np.float32) != have.astype(np.float32)
        return f"{wrong.sum()} of {want.size} differ" if wrong.any() else None
    if want.dtype.kind in "biu":
        wrong = np.abs(want.astype(np.int64) - have.astype(np.int64))
        # A quotient that is rounded may lie on either side of a half.
        if want.dtype.itemsize == 1 and (wrong > 0).sum() <= max(1, want.size // 50) and wrong.max(initial=0) <= 1:
            return None
        return f"{(wrong > 0).sum()} of {want.size} differ" if wrong.any() else None
    scale = max(1.0, float(np.abs(want[np.isfinite(want)]).max(initial=0)))
    if not np.allclose(have, want, rtol=0, atol=tolerance * scale, equal_nan=True):
        return f"differs by {np.nanmax(np.abs(want - have))}"
    return None


class Operators(unittest.TestCase):
    def check(self, case, folder):
        model = case.model()
        path, library = folder / "model.onnx", folder / "model.so"
        onnx.save(model, path)
        done = repose_cli.compile_model(repose_cli.default_repose(), path, library)
        self.assertTrue(done.ok, done.text)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = None
        if not case.reference:
            session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        for symbols in case.shapes:
            feeds = case.feeds(symbols)
            want = session.run(None, feeds) if session else case.reference(*feeds.values())
            have = repose_cli.run_model(library, list(feeds.values()))
            for i, (a, b) in enumerate(zip(want, have)):
                self.assertIsNone(difference(a, b, case.tolerance), f"output {i} at {symbols}")


def add_test(name, case):
    def test(self):
        with tempfile.TemporaryDirectory() as folder:
            self.check(case, Path(folder))

    setattr(Operators, f"test_{name}", test)


for case_name, one_case in CASES.items():
    add_test(case_name, one_case)

if __name__ == "__main__":
    unittest.main()

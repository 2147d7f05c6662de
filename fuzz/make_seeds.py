#!/usr/bin/env python3
"""Writes the ONNX seeds of the fuzzers (needs the package `onnx`):

    python fuzz/make_seeds.py
"""
from pathlib import Path

import onnx

FOLDER = Path(__file__).resolve().parent / "seeds"
HEAD = '<ir_version: 8, opset_import: ["" : 17]> '
MODELS = {
    "add": "g (float[n, 4] x, float[4] y) => (float[n, 4] z) { z = Add(x, y) }",
    "mlp": """g (float[batch, 3] x) => (float[batch, 2] y)
        <float[3, 2] w = {1, 2, 3, 4, 5, 6}, float[2] b = {0.5, -0.5}>
        { h = MatMul(x, w) s = Add(h, b) y = Softmax<axis = -1>(s) }""",
    "gemm": """g (float[m, 4] a, float[4, 2] b) => (float[m, 2] y)
        { y = Gemm<alpha = 0.5, transB = 0>(a, b) }""",
    "reshape": """g (float[b, s, 6] x) => (float[b, s, 2, 3] y)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[2] tail = {2, 3}>
        { t = Shape(x) b = Gather<axis = 0>(t, zero) s = Gather(t, one)
          to = Concat<axis = 0>(b, s, tail) y = Reshape(x, to) }""",
    "slice": """g (float[n, 8] x) => (float[n, k] y)
        <int64[1] begin = {-5}, int64[1] end = {9223372036854775807}, int64[1] axes = {1},
         int64[1] steps = {2}>
        { y = Slice(x, begin, end, axes, steps) }""",
    "conv": """g (float[n, 3, h, w] x) => (float[n, 2, oh, ow] y)
        <float[2, 3, 1, 1] k = {1, 2, 3, 4, 5, 6}>
        { c = Conv<kernel_shape = [1, 1], strides = [2, 2], pads = [0, 1, 0, 1]>(x, k)
          r = Relu(c) y = MaxPool<kernel_shape = [2, 2]>(r) }""",
    "norm": """g (float[n, 4] x) => (float[n, 4] y)
        <float[4] scale = {1, 1, 1, 1}, float[4] bias = {0, 0, 0, 0}>
        { y = LayerNormalization<axis = -1, epsilon = 0.00001>(x, scale, bias) }""",
    "mask": """g (float[b, s] x, int64[b, s] mask) => (float[b, s] y)
        <int64 zero = {0}, float low = {-10000}>
        { m = Equal(mask, zero) y = Where(m, low, x) }""",
    "expand": """g (float[1, n] x, int64[2] to) => (float[a, b] y) { y = Expand(x, to) }""",
    "range": """g (float[n] x) => (int64[k] y)
        <int64 zero = {0}, int64 one = {1}, int64[1] axes = {0}>
        { t = Shape(x) s = Squeeze(t, axes) y = Range(zero, s, one) }""",
    "split": """g (float[n, 6] x) => (float[n, 3] a, float[n, 3] b)
        { a, b = Split<axis = 1>(x) }""",
    "if": """g (bool c, float[n] x) => (float[n] y)
        { y = If (c) <then_branch = t () => (float[n] p) { p = Relu(x) },
                      else_branch = e () => (float[n] q) { q = Neg(x) }> }""",
    "pad": """g (float[n, 2] x) => (float[a, b] y)
        <int64[4] pads = {0, 1, 2, 1}, float value = {1.5}>
        { y = Pad<mode = "constant">(x, pads, value) }""",
    "reduce": """g (float[a, b, c] x) => (float[a, c] y)
        { y = ReduceMean<axes = [1], keepdims = 0>(x) }""",
    "cast": """g (int64[n] x) => (float[n] y)
        { c = Cast<to = 1>(x) t = Transpose<perm = [0]>(c) y = Sqrt(t) }""",
    "constant": """g (float[n] x) => (float[n] y)
        { c = Constant<value = float[1] {2}>() k = ConstantOfShape<value = float[1] {3}>(s)
          y = Mul(x, c) }""",
    "attention": """g (float[b, h, q, 4] x, float[b, h, k, 4] y) => (float[b, h, q, 4] z)
        { t = Transpose<perm = [0, 1, 3, 2]>(y) s = MatMul(x, t) p = Softmax<axis = 3>(s)
          z = MatMul(p, y) }""",
    "gather": """g (int64[b, s] ids) => (float[b, s, 2] y)
        <float[3, 2] table = {1, 2, 3, 4, 5, 6}> { y = Gather<axis = 0>(table, ids) }""",
    "unsupported": "g (float[n] x) => (float[n] y) { a = NoSuchOperator(x) y = Another(a) }",
    "cycle": "g (float[n] x) => (float[n] y) { a = Add(x, b) b = Relu(a) y = Neg(b) }",
    "missing": "g (float[n] x) => (float[n] y) { y = Add(x, nowhere) }",
    "scatter": """g (float[n, 3] x, int64[m, 2] i, float[m] u) => (float[n, 3] y)
        { y = ScatterND(x, i, u) }""",
}

for name, text in MODELS.items():
    model = onnx.parser.parse_model(HEAD + text)
    for folder in ("onnx_import", "onnx_reader"):
        # The reader needs to see each kind of field once; the importer, each kind of operator.
        if folder == "onnx_import" or name in ("mlp", "if", "constant", "pad"):
            (FOLDER / folder / f"{name}.onnx").write_bytes(model.SerializeToString())

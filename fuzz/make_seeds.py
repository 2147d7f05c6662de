#!/usr/bin/env python3
"""Writes the ONNX seeds of the fuzzers, 40 small models (needs the package `onnx`):

    python fuzz/make_seeds.py FOLDER
"""
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

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
        { c = Constant<value = float[1] {2}>() s = Shape(x)
          k = ConstantOfShape<value = float[1] {3}>(s) m = Mul(x, c) y = Add(m, k) }""",
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
    "loop": """g (int64 trips, bool go, float[n] x) => (float[n] y, float[t, n] rows)
        { y, rows = Loop (trips, go, x) <body = b (int64 i, bool c, float[n] h)
            => (bool d, float[n] h2, float[n] row) { d = Identity(c) h2 = Tanh(h) row = Neg(h2) }> }""",
    "scan": """g (float[n] s, float[t, n] x) => (float[n] y, float[t, n] rows)
        { y, rows = Scan <num_scan_inputs = 1, scan_input_directions = [1], body = b (float[n] p, float[n] r)
            => (float[n] q, float[n] o) { q = Add(p, r) o = Relu(q) }> (s, x) }""",
    "nested": """g (bool c, bool d, float[n] x) => (float[m] y)
        { y = If (c) <then_branch = t () => (float[m] p)
            { p = If (d) <then_branch = tt () => (float[n] u) { u = Exp(x) },
                          else_branch = te () => (float[k] v) { v = Concat<axis = 0>(x, x) }> },
                      else_branch = e () => (float[n] q) { q = Neg(x) }> }""",
    "lstm": """g (float[t, b, 2] x) => (float[t, 1, b, 1] y)
        <float[1, 4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[1, 4, 1] r = {1, 2, 3, 4}>
        { y, h, c = LSTM<hidden_size = 1>(x, w, r) }""",
    "gru": """g (float[t, b, 1] x, int32[b] lengths) => (float[1, b, 1] h)
        <float[1, 3, 1] w = {1, 2, 3}, float[1, 3, 1] r = {1, 2, 3}>
        { y, h = GRU<hidden_size = 1, direction = "reverse", linear_before_reset = 1>(x, w, r, , lengths) }""",
    "einsum": """g (float[b, m, k] x, float[b, n, k] y) => (float[b, m, n] z)
        { z = Einsum<equation = "...mk,...nk->...mn">(x, y) }""",
    "resize": """g (float[n, 1, h, w] x) => (float[n, 1, oh, ow] y) <float[4] scales = {1, 1, 2, 1.5}>
        { y = Resize<mode = "cubic", coordinate_transformation_mode = "align_corners">(x, , scales) }""",
    "topk": """g (float[n, m] x, int64[1] k) => (float[n, p] v, int64[n, p] i)
        { v, i = TopK<axis = -1, largest = 0>(x, k) }""",
    "pool": """g (float[n, 2, h, w] x) => (float[n, 2, oh, ow] y)
        { a = AveragePool<kernel_shape = [3, 3], auto_pad = "SAME_UPPER", strides = [2, 2]>(x)
          b = LRN<size = 3>(a) y = LpPool<kernel_shape = [1, 2], p = 3>(b) }""",
    "transposed": """g (float[n, 2, w] x) => (float[n, 1, o] y) <float[2, 1, 3] k = {1, 2, 3, 4, 5, 6}>
        { y = ConvTranspose<strides = [2], pads = [1, 0], output_padding = [1], dilations = [2]>(x, k) }""",
    "quantised": """g (uint8[n, 3] x) => (float[n, 2] y)
        <int8[3, 2] w = {1, -2, 3, -4, 5, -6}, uint8 zero = {7}, float scale = {0.5}>
        { p = MatMulInteger(x, w, zero) y = DequantizeLinear(p, scale) }""",
    "sorted": """g (float[n] x, bool[n] keep) => (float[u] y, int64[1, z] i)
        { c = Compress<axis = 0>(x, keep) y, f, v, k = Unique<sorted = 1>(c) i = NonZero(c) }""",
    "boxes": """g (float[b, n, 4] boxes, float[b, c, n] scores) => (int64[k, 3] y)
        <int64[1] most = {3}, float[1] overlap = {0.5}>
        { y = NonMaxSuppression(boxes, scores, most, overlap) }""",
    "sums": """g (float[past_plus, m] x) => (float[past_plus, m] y) <int64 axis = {0}, int64[1] axes = {1}>
        { c = CumSum<reverse = 1>(x, axis) s = ReduceSum<keepdims = 1>(c, axes) y = Div(c, s) }""",
}


def function_model():
    """A function of the model's own, with an attribute."""
    return onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[n] x) => (float[n] y) { y = own.scaled<factor = 2.0>(x) }
        <domain: "own", opset_import: ["" : 17]>
        scaled <factor: float = 1.0> (a) => (b) { f = Constant<value_float: float = @factor>() b = Mul(a, f) }""")


def packed_model():
    """Weights as files hold them: raw, typed, of four bits."""
    dense = helper.make_tensor("w", TensorProto.FLOAT, [2, 2], np.arange(4, dtype=np.float32).tobytes(), raw=True)
    small = helper.make_tensor("q", TensorProto.INT4, [2, 2], [1, -2, 3, -4])
    half = helper.make_tensor("h", TensorProto.FLOAT16, [2], [0.5, 2.0])
    nodes = [helper.make_node("Cast", ["q"], ["f"], to=TensorProto.FLOAT), helper.make_node("MatMul", ["x", "f"], ["a"]),
             helper.make_node("Cast", ["h"], ["hf"], to=TensorProto.FLOAT), helper.make_node("Add", ["a", "hf"], ["b"]),
             helper.make_node("MatMul", ["b", "w"], ["y"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [dense, small, half])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def sparse_model():
    sparse = helper.make_sparse_tensor(numpy_helper.from_array(np.array([3.0], np.float32), "s"),
                                       numpy_helper.from_array(np.array([1]), "indices"), [2])
    graph = helper.make_graph([helper.make_node("Add", ["x", "s"], ["y"])], "g",
                              [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])], [],
                              sparse_initializer=[sparse])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tree_model():
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1, nodes_treeids=[0, 0, 0],
        nodes_nodeids=[0, 1, 2], nodes_featureids=[1, 0, 0], nodes_values=[0.5, 0.0, 0.0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, -1.0])
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
                              [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: onnx.parser.parse_model(HEAD + text) for name, text in MODELS.items()}
    models |= {"function": function_model(), "packed": packed_model(), "sparse": sparse_model(), "tree": tree_model()}
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())
    print(f"{len(models)} seeds in {folder}")


if __name__ == "__main__":
    main()


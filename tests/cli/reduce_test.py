#!/usr/bin/env python3
"""`repose reduce`: the smallest model for which a command succeeds.

    REPOSE=build/release/bin/repose python tests/cli/reduce_test.py
"""
import os
import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from command_line import IO, MALFORMED, OK, REPOSE, USAGE, CommandLine, model_of

CHAIN = """g (float[n, 3] x, float[n, 3] y) => (float[n, 3] a, float[n, 3] b, float[n, 3] z)
    <float[3] w = {1, 2, 3}>
    { a = Relu(x) p = Add(x, w) q = Exp(p) r = LeakyRelu<alpha = 0.5>(q) s = Mul(r, y) b = Tanh(s) z = Neg(y) }"""


def has(*operators):
    """A check: the model has these operators, and Repose reads it."""
    return " && ".join([*(f"grep -q {op} {{}}" for op in operators), f"{REPOSE} opt {{}}"])


class Reduce(CommandLine):
    def reduced(self, model, check, *options):
        path = self.write("m.onnx", model)
        self.expect(OK, "reduce", path, "--check", check, "-o", "small.onnx", *options)
        return onnx.load(self.folder / "small.onnx")

    def operators(self, graph):
        return [node.op_type for node in graph.node]

    def test_one_node_stays(self):
        small = self.reduced(model_of(CHAIN), has("LeakyRelu"))
        self.assertEqual(self.operators(small.graph), ["LeakyRelu"])
        self.assertEqual(len(small.graph.node[0].attribute), 0)
        self.assertEqual([len(small.graph.input), len(small.graph.output), len(small.graph.initializer)], [1, 1, 0])
        # The symbol stays, the constant dimension is as small as it can be.
        x, = small.graph.input
        self.assertEqual([d.dim_param or d.dim_value for d in x.type.tensor_type.shape.dim], ["n", 1])
        self.assertIn("1 of 7 nodes", self.out)
        self.assertEqual(sorted(os.listdir(self.folder)), ["m.onnx", "small.onnx"])

    def test_what_the_check_needs_stays(self):
        """Two nodes that are far apart, and the weight of one of them."""
        small = self.reduced(model_of(CHAIN), has("Tanh", "Add"))
        self.assertEqual(sorted(self.operators(small.graph)), ["Add", "Tanh"])

    def test_values_of_known_types_become_inputs(self):
        nodes = [helper.make_node("Shape", ["x"], ["s"]), helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
                 helper.make_node("Softmax", ["f"], ["y"])]
        graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.INT64, ["n"])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                                  value_info=[helper.make_tensor_value_info("f", TensorProto.FLOAT, ["k"])])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        small = self.reduced(model.SerializeToString(), has("Softmax"))
        self.assertEqual(self.operators(small.graph), ["Softmax"])
        self.assertEqual([i.name for i in small.graph.input], ["f"])

    def test_a_branch_stands_in_for_an_if(self):
        text = """g (bool c, float[n] x) => (float[n] y)
            { h = Exp(x) y = If (c) <then_branch = t () => (float[n] p) { q = Sin(h) p = Erf(q) },
                                     else_branch = e () => (float[n] r) { r = Neg(x) }> }"""
        small = self.reduced(model_of(text), has("Erf"))
        self.assertEqual(self.operators(small.graph), ["Erf"])

    def test_nodes_of_a_body(self):
        text = """g (int64 t, bool go, float[n] x) => (float[n] y)
            { y = Loop (t, go, x) <body = b (int64 i, bool c, float[n] h) => (bool d, float[n] k)
                { d = Identity(c) p = Sin(h) q = Erf(p) k = Cos(q) }> }"""
        small = self.reduced(model_of(text), has("Loop", "Erf"))
        body = small.graph.node[0].attribute[0].g
        self.assertEqual(self.operators(body), ["Erf"])

    def test_weights_in_other_files(self):
        weight = numpy_helper.from_array(np.arange(300, dtype=np.float32), "w")
        graph = helper.make_graph([helper.make_node("Exp", ["x"], ["e"]), helper.make_node("Mul", ["e", "w"], ["y"])], "g",
                                  [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 300])],
                                  [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 300])], [weight])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, self.folder / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
        check = f"grep -q Mul {{}} && {REPOSE} compile {{}} -o m.so"
        self.expect(OK, "reduce", "m.onnx", "--check", check)
        small = onnx.load(self.folder / "m.reduced.onnx")
        self.assertEqual(self.operators(small.graph), ["Mul"])
        np.testing.assert_array_equal(numpy_helper.to_array(small.graph.initializer[0]), np.arange(300))

    def test_a_check_that_fails_or_hangs(self):
        path = self.write("m.onnx", model_of(CHAIN))
        self.expect(USAGE, "reduce", path, "--check", "exit 3", says="exits with 3")
        self.expect(USAGE, "reduce", path, "--check", "sleep 60;", "--timeout", "0.1", says="takes more than 0.1 s")
        self.assertEqual(os.listdir(self.folder), ["m.onnx"])

    def test_what_is_wrong_with_arguments(self):
        path = self.write("m.onnx", model_of(CHAIN))
        self.expect(USAGE, "reduce", path)
        self.expect(USAGE, "reduce", path, "--check", "")
        self.expect(USAGE, "reduce", path, "--check", "true", "-o", path, says="holds the model that is read")
        self.expect(IO, "reduce", "nowhere.onnx", "--check", "true", says="[cannot-read]")
        self.expect(IO, "reduce", path, "--check", "true", "-o", "no/folder/m.onnx", says="[cannot-write]")
        self.expect(MALFORMED, "reduce", self.write("bad.onnx", b"\x08\x08\x3a\x05abc"), "--check", "true")


if __name__ == "__main__":
    unittest.main(argv=None)

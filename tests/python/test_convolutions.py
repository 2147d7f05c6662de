"""Convolutions of every kind (by plain sums, by Winograd's products, depthwise, grouped, transposed) at sizes
where their last tiles are full, partial or missing give what ONNX Runtime gives."""
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import repose_c
import repose_cli
from onnx import TensorProto, helper, numpy_helper

# input channels, output channels, attributes, the kernel's extents
CONVOLUTIONS = [
    (3, 16, {"strides": [2, 2], "pads": [3, 3, 3, 3]}, (7, 7)),
    (8, 24, {}, (1, 1)),
    (8, 40, {"strides": [2, 1]}, (1, 1)),
    (5, 7, {"pads": [1, 0, 2, 1], "dilations": [2, 1]}, (3, 2)),
    (64, 64, {"pads": [1, 1, 1, 1]}, (3, 3)),
    (64, 66, {"pads": [2, 0, 1, 3]}, (3, 3)),
    (67, 64, {}, (3, 3)),
    (12, 12, {"group": 12, "pads": [1, 1, 1, 1]}, (3, 3)),
    (9, 9, {"group": 9, "pads": [2, 2, 2, 2], "strides": [2, 2]}, (5, 5)),
    (6, 12, {"group": 6, "pads": [0, 1, 2, 1], "dilations": [1, 2]}, (3, 3)),
    (8, 12, {"group": 4, "pads": [1, 1, 1, 1]}, (3, 3)),
]
TRANSPOSED = [
    (5, 6, {"strides": [2, 2]}, (2, 2)),
    (5, 24, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}, (3, 3)),
    (4, 5, {"strides": [3, 2], "pads": [0, 1, 2, 0]}, (4, 3)),
    (4, 5, {"pads": [1, 2, 1, 0]}, (3, 3)),
    (4, 5, {"strides": [4, 1], "pads": [1, 0, 0, 0]}, (2, 1)),
    (4, 6, {"strides": [2, 2], "group": 2, "dilations": [2, 1]}, (3, 3)),
]
SIZES = [(1, 1, 1), (2, 1, 5), (1, 4, 4), (3, 7, 6), (1, 13, 18), (0, 5, 5)]


def model_of(kind, channels, outputs, attributes, kernel, rng):
    """A convolution, its bias, a scale of channels, and an activation."""
    groups = attributes.get("group", 1)
    first, second = (outputs, channels) if kind == "Conv" else (channels, outputs)
    weight = rng.standard_normal((first, second // groups, *kernel)).astype(np.float32)
    constants = {"w": weight, "b": rng.standard_normal(outputs).astype(np.float32),
                 "s": rng.random((1, outputs, 1, 1)).astype(np.float32) + 0.5}
    nodes = [helper.make_node(kind, ["x", "w", "b"], ["c"], **attributes),
             helper.make_node("Mul", ["c", "s"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "convolution", [value("x", TensorProto.FLOAT, ["n", channels, "h", "w"])],
        [value("y", TensorProto.FLOAT, ["n", outputs, "p", "q"])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Convolutions(unittest.TestCase):
    def check(self, kind, channels, outputs, attributes, kernel):
        rng = np.random.default_rng(7)
        with tempfile.TemporaryDirectory() as folder:
            path, library = Path(folder) / "m.onnx", Path(folder) / "m.so"
            onnx.save(model_of(kind, channels, outputs, attributes, kernel, rng), path)
            done = repose_cli.compile_next(repose_cli.default_repose(), path, library)
            self.assertTrue(done.ok, done.text)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            reference = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
            models = [repose_c.Model(library, num_threads=threads) for threads in (1, 2)]
            ran = 0
            for size in SIZES:
                x = rng.standard_normal((size[0], channels, *size[1:])).astype(np.float32)
                try:
                    expected = reference.run(None, {"x": x})[0]
                except Exception:  # the window is larger than the image
                    continue
                got, again = (model({"x": x})[0] for model in models)
                self.assertEqual(expected.shape, got.shape)
                self.assertTrue(np.array_equal(got, again), "threads change bits")
                limit = 1e-5 * np.abs(expected).max(initial=1)
                self.assertLess(np.abs(expected - got).max(initial=0), limit, f"at {size}")
                # Rows of a batch are what they are alone.
                if size[0] > 1:
                    self.assertTrue(np.array_equal(models[0]({"x": x[1:2]})[0], got[1:2]))
                ran += 1
            self.assertGreater(ran, 1)

    def test_convolutions(self):
        for case in CONVOLUTIONS:
            with self.subTest(case):
                self.check("Conv", *case)

    def test_transposed(self):
        for case in TRANSPOSED:
            with self.subTest(case):
                self.check("ConvTranspose", *case)


if __name__ == "__main__":
    unittest.main()

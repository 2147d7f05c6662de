"""Where results depart from ONNX Runtime's, on purpose: the cases of docs/onnx.md. Each is what ONNX's reference
evaluator gives, or else what stands here; a case in which ONNX Runtime gives it too has lost its reason."""
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import repose_c
import repose_cli
from onnx.reference import ReferenceEvaluator

IMAGE = np.arange(1, 17, dtype=np.float32).reshape(1, 1, 4, 4)


class Departures(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "m.onnx"

    def model(self, graph):
        self.proto = onnx.parser.parse_model(f'<ir_version: 9, opset_import: ["": 18]> g {graph}')
        onnx.save(self.proto, self.path)

    def ours(self, feeds):
        library = self.path.with_suffix(".so")
        done = repose_cli.compile_model(repose_cli.default_repose(), self.path, library)
        self.assertTrue(done.ok, done.text)
        with repose_c.Model(library) as model:
            return model(feeds)[0]

    def peers(self, feeds):
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        return onnxruntime.InferenceSession(self.path, options).run(None, feeds)[0]

    def check_departs(self, graph, want=None, **feeds):
        self.model(graph)
        if want is None:
            want = ReferenceEvaluator(self.proto).run(None, feeds)[0]
        have, theirs = self.ours(feeds), self.peers(feeds)
        self.assertEqual(have.shape, want.shape)
        np.testing.assert_allclose(have, want, rtol=1e-5)
        self.assertFalse(theirs.shape == want.shape and np.allclose(theirs, want, equal_nan=True), theirs)

    def test_cubic_to_a_length_of_1(self):
        self.check_departs(
            """(float[a, b, c, d] x) => (float[p, q, r, s] y) <int64[4] to = {1, 1, 1, 3}> {
            y = Resize <mode = "cubic", coordinate_transformation_mode = "pytorch_half_pixel"> (x, , , to) }""", x=IMAGE)

    def test_corners_of_a_length_that_is_not_whole(self):
        self.check_departs(
            """(float[a, b, c, d] x) => (float[p, q, r, s] y) <float[4] by = {1.0, 1.0, 1.5, 1.5}> {
            y = Resize <mode = "linear", coordinate_transformation_mode = "align_corners"> (x, , by) }""",
            x=IMAGE[:, :, :3, :3].copy())

    def test_exponentials_of_integers(self):
        self.check_departs(
            "(int32[a, b] x) => (int32[p, q] y) { y = ReduceLogSumExp(x) }", want=np.array([[10]], np.int32),
            x=np.array([[9] + [8] * 7], np.int32))

    def test_mean_of_nothing(self):
        self.check_departs("(float[a, b] x) => (float[p, q] y) <int64[1] axes = {1}> { y = ReduceMean(x, axes) }",
                           want=np.full((2, 1), np.nan, np.float32), x=np.zeros((2, 0), np.float32))

    def test_rows_of_a_loop_without_iterations(self):
        self.check_departs(
            """(int64 n, float[a] x) => (y) { go = Constant <value = bool {1}> () y = Loop (n, go) <body = b
            (int64 i, bool on) => (bool on_again, row) { on_again = Identity(on) row = Neg(x) }> }""",
            want=np.zeros((0, 3), np.float32), n=np.array(0), x=np.zeros(3, np.float32))

    def test_computed_size_of_0(self):
        self.model("""(float[a, b] x, float[c] like) => (y) <int64[1] rest = {-1}> {
            size = Shape(like) to = Concat <axis = 0> (size, rest) y = Reshape(x, to) }""")
        feeds = {"x": np.zeros((2, 3), np.float32), "like": np.zeros(0, np.float32)}
        self.assertEqual(self.peers(feeds).shape, (2, 3))
        with self.assertRaisesRegex(Exception, "no such size where the other dimensions make 0 elements"):
            self.ours(feeds)
        self.assertEqual(self.ours({"x": np.zeros((0, 3), np.float32), "like": np.zeros(2, np.float32)}).shape, (2, 0))

    def test_windows_larger_than_the_image(self):
        self.model("(float[a, b, c, d] x) => (float[p, q, r, s] y) { y = MaxPool <kernel_shape = [3, 3]> (x) }")
        with self.assertRaisesRegex(Exception, "the window of 3 elements is larger than spatial dimension 0 of 2"):
            self.ours({"x": IMAGE[:, :, :2, :2].copy()})


if __name__ == "__main__":
    unittest.main()

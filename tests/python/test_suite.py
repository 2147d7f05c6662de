"""Unit tests of what the Python suites are made of, and of the project's tools."""
import subprocess
import sys
import unittest
from pathlib import Path

import agree
import conformance
import conformance_case
import dlpack
import ml_dtypes
import numpy as np
import onnx
import onnx_node_tests
import onnxruntime
import reference
import tvm_ffi
import workers

ROOT = Path(__file__).resolve().parents[2]


def work(job):
    """A job of test_workers: see workers.py."""
    import os

    if job == "crash":
        os.abort()
    return {"twice": job * 2}


class DlpackTest(unittest.TestCase):
    echo = staticmethod(tvm_ffi.convert(lambda *a: a[0] if len(a) == 1 else list(a)))

    def there_and_back(self, array):
        back = dlpack.imported(self.echo(dlpack.Exported(array)))
        self.assertEqual(back.dtype, array.dtype)
        self.assertEqual(back.shape, array.shape)
        self.assertTrue(np.array_equal(back.astype(np.float32), array.astype(np.float32)))

    def test_every_dtype(self):
        for dtype in dlpack.CODES:
            if dtype.kind != "c":
                self.there_and_back(np.array([[1, 2, 4], [8, 1, 2]]).astype(dtype))

    def test_strides_rank_0_and_no_elements(self):
        self.there_and_back(np.arange(12.0).reshape(3, 4).T)
        self.there_and_back(np.arange(24, dtype=np.int8)[::3])
        self.there_and_back(np.zeros((0, 3), np.int64))
        self.there_and_back(np.array(3, np.float32))

    def test_nothing_stays_alive(self):
        self.there_and_back(np.ones(5, np.float32))
        self.assertEqual(len(dlpack.Exported._alive), 0)


class WorkersTest(unittest.TestCase):
    def test_answers_come_in_order_and_a_crash_is_one_answer(self):
        jobs = [*range(20), "crash", *range(20, 40)]
        answers = workers.run_jobs("test_suite", jobs, parallel=2)
        self.assertEqual(answers[20], {"crashed": -6})
        del answers[20]
        self.assertEqual(answers, [{"twice": i * 2} for i in range(40)])

    def test_a_hanging_job_ends(self):
        answers = workers.run_jobs("time_sleeper", [60], parallel=1, timeout_seconds=3)
        self.assertEqual(answers, [{"crashed": -9}])


class ConformanceTest(unittest.TestCase):
    def differ(self, want, have, rtol=1e-3, atol=1e-7):
        return conformance_case.difference([np.asarray(want)], [np.asarray(have)], rtol, atol)

    def test_difference(self):
        self.assertIsNone(self.differ([1.0, np.nan, np.inf], [1.0005, np.nan, np.inf]))
        self.assertIn("1 of 2 elements", self.differ([1.0, 2.0], [1.0, 2.01]))
        self.assertIn("at [1]: 2.01, expected 2.0", self.differ([1.0, 2.0], [1.0, 2.01]))
        self.assertIn("expected", self.differ(np.inf, 1.0))
        self.assertIn("elements differ", self.differ([1000], [1001], rtol=0.1))
        self.assertIn("dtype", self.differ(np.float32(1), np.float64(1)))
        self.assertIn("shape", self.differ([1.0], [[1.0]]))
        near = np.array([1.0, 1.0078125]).astype(ml_dtypes.bfloat16)
        self.assertIsNone(self.differ(near[:1], near[1:]))
        self.assertIn("0 outputs", conformance_case.difference([np.ones(1)], [], 0, 0))

    def test_dropout(self):
        x = np.arange(1, 9, dtype=np.float32)
        mask = np.arange(8) % 2 == 0
        want = [np.where(mask, x * 2, 0), mask]
        differ = conformance_case.dropout_difference
        self.assertIsNone(differ(x, want, want))
        self.assertIsNone(differ(x, want, [np.where(mask, 0, x * 2), ~mask]))
        self.assertIn("neither", differ(x, want, [np.where(mask, x, 0), mask]))
        self.assertIn("kept", differ(x, want, [x * 2, np.ones(8, bool)]))

    def test_bits_of_other_dtypes_are_saved(self):
        for dtype in (ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.int4):
            array = np.ones(3, dtype)
            self.assertEqual(onnx_node_tests.as_saved(array).view(dtype).tolist(), array.tolist())

    def test_judge(self):
        results = [({"name": n}, s, "why") for n, s in (("a", "passed"), ("b", "failed"))]
        judge = conformance.judge
        self.assertEqual(judge(results, "bake", {}), ["bake/b: failed: why"])
        self.assertEqual(judge(results, "bake", {"bake/b": ("differs", "r")}), [])
        self.assertEqual(len(judge(results, "bake", {"*/b": ("unsupported", "r")})), 1)
        both = {"*/a": ("differs", "r"), "*/b": ("differs", "r")}
        self.assertEqual(len(judge(results, "bake", both)), 1)
        unknown = [({"name": "c"}, "unsupported", "why")]
        self.assertEqual(judge(unknown, "bake", {}), ["bake/c: unsupported: why"])

    def test_list(self):
        self.assertEqual(conformance.check_list(conformance.read_list()), [])
        bad = {"*/a": ("differs", ""), "*/b": ("odd", "r")}
        self.assertEqual(len(conformance.check_list(bad)), 2)
        many = {f"*/{i}": ("differs", "r") for i in range(11)}
        self.assertEqual(len(conformance.check_list(many)), 1)

    def test_blockers(self):
        case = {"ops": ["Loop", "Add"]}
        self.assertEqual(conformance.blockers(case, "error: `Loop` in `n`"), ["Loop"])
        unsure = conformance.blockers(case, "error: no [unsupported-dtype]")
        self.assertEqual(unsure, ["Loop+Add (unsupported-dtype)"])


class ReferenceTest(unittest.TestCase):
    def test_extent(self):
        self.assertEqual(reference.extent("past + new", {"past": 3, "new": 4}), 7)
        self.assertEqual(reference.extent(12, {}), 12)
        self.assertIsNone(reference.extent("kept + 1", {"batch": 2}))

    def test_masks_have_tails_of_different_lengths(self):
        self.assertEqual(reference.padded_mask(3, 16).sum(1).tolist(), [16, 14, 12])
        self.assertEqual(reference.padded_mask(8, 2).sum(1).min(), 1)
        self.assertEqual(reference.padded_mask(2, 16, 8).sum((1, 2)).tolist(), [16 * 8, 14 * 7])

    def test_difference(self):
        a = np.array([1.0, -4.0, np.inf], np.float32)
        self.assertEqual(reference.difference(a, a), (0.0, 4.0))
        self.assertEqual(reference.difference(a, np.array([1, -3, np.inf], "f"))[0], 1.0)
        self.assertEqual(reference.difference(a, np.array([1, np.nan, np.inf], "f"))[0], np.inf)

    def test_models_have_their_declared_shapes_in_the_reference(self):
        for name, symbols in [
            ("bert_tiny", {"batch": 2, "seq": 5}),
            ("llama_tiny", {"batch": 2, "past": 3, "new": 4}),
            ("resnet_tiny", {"batch": 2, "height": 33, "width": 40}),
            ("mobilenet_tiny", {"batch": 1, "height": 32, "width": 45}),
            *((name, {"batch": 2, "height": 33, "width": 45}) for name in agree.COMPUTED),
        ]:
            model = reference.Reference(name)
            shapes = [array.shape for array in model.run(model.feeds(symbols))]
            for shape, declared in zip(shapes, model.output_shapes(symbols), strict=True):
                known = tuple(None if d is None else n for n, d in zip(shape, declared, strict=True))
                self.assertEqual(known, declared, name)

    def test_shapes_of_the_suite(self):
        self.assertIn({"batch": 0, "seq": 128}, agree.bert_shapes())
        self.assertIn({"batch": 2, "past": 128, "new": 1}, agree.llama_shapes())
        self.assertEqual(len(agree.vision_shapes()), 12)


class ChainsTest(unittest.TestCase):
    def run_chain(self, name, count, **feeds):
        model = reference.make.chains.CHAINS[name](count).model()
        onnx.checker.check_model(model, full_check=True)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        feeds |= {v.name: feeds.get(v.name.split("_")[0]) for v in session.get_inputs()}
        return session.run(None, {v.name: feeds[v.name] for v in session.get_inputs()})[0]

    def test_steps(self):
        x = np.arange(24, dtype=np.float32).reshape(4, 6)
        self.assertEqual(self.run_chain("reshapes", 3, x=x, to=np.array([-1, 8])).shape, (3, 8))
        four = x.reshape(1, 2, 3, 4)
        to = np.array([0, 3, -1, 2])
        self.assertEqual(self.run_chain("reshapes_4d", 3, x=four, to=to).shape, (1, 3, 4, 2))
        bounds = {"from": np.array([1]), "to": np.array([9])}
        self.assertEqual(self.run_chain("slices", 3, x=x, **bounds).tolist(), x[3:].tolist())
        crop = self.run_chain("crops", 3, x=x, length=np.array([5]))
        self.assertEqual(crop.tolist(), x[:, :5].tolist())
        mask = np.array([[True] * 5 + [False]])
        chosen = self.run_chain("wheres", 3, x=x, mask=mask, other=0 * x)
        self.assertEqual(chosen.tolist(), (x * mask).tolist())
        self.assertEqual(self.run_chain("adds", 3, x=x, a=x).tolist(), (4 * x).tolist())
        self.assertEqual(self.run_chain("scalars", 3, x=x[:, :3]).shape, (6,))

    def test_both_paddings_are_one(self):
        image = np.random.default_rng(1).standard_normal((2, 2, 70, 45), np.float32)
        a, b = (self.run_chain(name, 4, x=image) for name in ("same", "same_computed"))
        self.assertEqual(a.shape, (2, 2, 5, 3))
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


class ToolsTest(unittest.TestCase):
    def test_check_layers(self):
        command = [sys.executable, str(ROOT / "tools" / "check_layers.py"), "--self-test"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    unittest.main()

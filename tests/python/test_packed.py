"""Packed functions from Python: repose.register."""
import sys
import unittest
from pathlib import Path

import numpy as np
import tvm_ffi

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "release" / "python"))
import repose  # noqa: E402

EVERY_KIND = """
@R.function(pure=False)
def main(x: R.Tensor(("n", 3), "float32")):
    n, k = T.int64(), T.int64()
    p = R.call_packed("{0}.positive", x, sinfo_args=[R.Tensor((k,), "float32")])
    d = R.call_dps_packed("{0}.twice", (x,), out_sinfo=R.Tensor((n, 3), "float32"))
    i = R.call_inplace_packed("{0}.add_one", d, inplace_indices=[0], sinfo_args=[R.Tensor((n, 3), "float32")])
    box: R.Any = R.call_packed("{0}.box", R.prim_value(n), R.str("text"), R.shape([n, 7]), sinfo_args=[R.Any])
    both = R.call_packed("{0}.unbox", box, (x, R.prim_value(T.float32(0.5))), sinfo_args=[R.Shape(ndim=2), R.Prim("int64")])
    return (p, d, i, both[0])
"""
FAILS = """
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    y = R.call_packed("{0}.wrong", x, sinfo_args=[R.Tensor((n,), "float32")])
    return y
"""


class Functions:
    def __init__(self, as_array):
        self.array = as_array
        self.kept = []
        self.boxes = []

    def positive(self, x):
        x = self.array(x)
        self.kept.append(x)
        return x[x > 0]

    def twice(self, x, out):
        self.array(out)[...] = 2 * self.array(x)

    def add_one(self, x):
        self.array(x)[...] += 1


def expected(x):
    n = len(x)
    return x[x > 0], 2 * x, 2 * x + 1, np.array([n, 7])


class Registered(unittest.TestCase):
    def setUp(self):
        self.functions = f = Functions(np.asarray)
        for name in ("positive", "twice", "add_one"):
            repose.register(f"host.{name}", getattr(f, name))
        repose.register("host.box", lambda n, text, shape: {"n": n, "text": text, "shape": shape})
        repose.register("host.unbox", self.unbox)

    def unbox(self, box, pair):
        self.assertEqual(box["text"], "text")
        self.assertEqual(np.asarray(pair[0]).shape, (box["n"], 3))
        self.assertEqual(pair[1], 0.5)
        return box["shape"], box["n"]

    def check(self, call):
        for n in (0, 1, 7):
            x = np.arange(n * 3, dtype=np.float32).reshape(n, 3) - 2
            for got, want in zip(call(x), expected(x)):
                np.testing.assert_array_equal(np.asarray(got), want)

    def test_models_call_them(self):
        model = repose.compile(repose.Module.from_text(EVERY_KIND.format("host")))

        def call(x):
            return model(x)

        self.check(call)
        # What is not to be written is a copy, which may be kept.
        np.testing.assert_array_equal(self.functions.kept[-1].ravel()[:3], [-2, -1, 0])

    def test_the_interpreter_calls_them(self):
        module = repose.Module.from_text(EVERY_KIND.format("host"))

        def call(x):
            p, d, i, shape = module.interpret(x)
            return p, d, i, np.array(shape)

        self.check(call)

    def test_errors_reach_the_caller(self):
        def raises(x):
            raise ValueError("not today")

        for function, text in (
                (raises, "`host.wrong`: ValueError: not today"),
                (lambda x: np.zeros(9, np.float32), "`y`: dimension 0 is 9, expected `n` = 2"),
                (lambda x: np.zeros(2, np.int64), "`y` has dtype int64, expected float32"),
                (lambda x: np.zeros((2, 1), np.float32), "`y` has rank 2, expected 1"),
                (lambda x: None, "`y` is None, expected"),
                (lambda: None, "`host.wrong`: TypeError"),
                (lambda x: (1, 2), "expected a tuple of 1")):
            repose.register("host.wrong", function)
            model = repose.compile(repose.Module.from_text(FAILS.format("host")))
            with self.assertRaises(repose.CallError) as caught:
                model(np.zeros(2, np.float32))
            self.assertIn(text, str(caught.exception))

    def test_what_is_missing_is_refused_at_load(self):
        with self.assertRaises(repose.Error) as caught:
            repose.compile(repose.Module.from_text(FAILS.format("nobody")))
        self.assertIn("packed functions that nothing provides: `nobody.wrong`",
                      str(caught.exception))
        with self.assertRaises(repose.CallError):
            repose.register("host.number", 3)
        with self.assertRaises(repose.CallError):
            repose.register("", print)
        repose.register("host.gone", print)
        repose.register("host.gone", None)
        with self.assertRaises(repose.Error):
            repose.compile(repose.Module.from_text(FAILS.replace("{0}.wrong", "host.gone")))


class GlobalFunctions(unittest.TestCase):
    """Those of TVM FFI, which are found where that library is in the process."""

    def setUp(self):
        self.functions = f = Functions(np.from_dlpack)
        tvm_ffi.register_global_func(
            "ffi_test.positive", lambda x: tvm_ffi.from_dlpack(f.positive(x)), override=True)
        for name, function in (("twice", f.twice), ("add_one", f.add_one), ("box", self.box),
                               ("unbox", self.unbox), ("wrong", self.wrong)):
            tvm_ffi.register_global_func(f"ffi_test.{name}", function, override=True)

    @staticmethod
    def box(n, text, shape):
        return tvm_ffi.convert({"n": n, "text": text, "shape": shape})

    @staticmethod
    def unbox(box, pair):
        assert pair[0].shape == (box["n"], 3) and pair[1] == 0.5 and box["text"] == "text"
        return tvm_ffi.convert((box["shape"], box["n"]))

    @staticmethod
    def wrong(_):
        raise ValueError("not today")

    def test_models_call_them(self):
        model = repose.compile(repose.Module.from_text(EVERY_KIND.format("ffi_test")))
        for n in (0, 1, 7):
            x = np.arange(n * 3, dtype=np.float32).reshape(n, 3) - 2
            for got, want in zip(model(x), expected(x)):
                np.testing.assert_array_equal(np.asarray(got), want)
        self.functions.kept.clear()  # of tensors whose memory was lent

    def test_errors_reach_the_caller(self):
        model = repose.compile(repose.Module.from_text(FAILS.format("ffi_test")))
        with self.assertRaises(repose.CallError) as caught:
            model(np.zeros(2, np.float32))
        self.assertIn("`ffi_test.wrong`: ValueError: not today", str(caught.exception))


if __name__ == "__main__":
    unittest.main()

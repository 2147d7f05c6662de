#!/usr/bin/env python3
"""What comes out of `repose compile`: made without any tool of the machine, the same bytes for the
same model, and right where dimensions are not known.

    REPOSE=build/release/bin/repose python tests/cli/artifact_test.py
"""
import itertools
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from command_line import OK, REPOSE, ROOT, UNSUPPORTED, CommandLine

sys.path.insert(0, str(ROOT / "tests/python"))
from repose_c import Model, Refused  # noqa: E402

MLP = """
@R.function
def main(x: R.Tensor(("n", 96), "float32")) -> R.Tensor(("n", 32), "float32"):
    n = T.int64()
    with R.dataflow():
        h = R.matmul(x, R.weight("w1", R.Tensor((96, 80), "float32")))
        a = R.nn.relu(R.add(h, R.weight("b1", R.Tensor((80,), "float32"))))
        y = R.nn.softmax(R.matmul(a, R.weight("w2", R.Tensor((80, 32), "float32"))))
        R.output(y)
    return y
"""

def mlp_weights():
    random = np.random.default_rng(1)
    shapes = {"w1": (96, 80), "b1": (80,), "w2": (80, 32)}
    return {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def safetensors(arrays):
    header, data = {}, b""
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def mlp(x, w1, b1, w2):
    s = np.maximum(x @ w1 + b1, 0) @ w2
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def libraries_of(program):
    """The paths of the shared libraries that a program needs, the loader included."""
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return re.findall(r"(/\S+) \(0x", listed)


class AloneInAFolder(CommandLine):
    """No compiler, linker, libc development files, /tmp, /proc or /dev: `repose` needs itself."""

    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("chroot needs root")
        libraries = libraries_of(REPOSE)
        if any("libasan" in path for path in libraries):
            self.skipTest("the address sanitizer needs /proc")
        self.root = self.folder / "root"
        for path in libraries:
            copy = self.root / path.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(os.path.realpath(path), copy)
        shutil.copy(REPOSE, self.root / "repose")
        # Where a compiler built with sanitizers reads that it can't look for leaks: it needs /proc.
        options = self.root / "proc" / "self" / "environ"
        options.parent.mkdir(parents=True)
        options.write_bytes(b"ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0\0")
        self.before = self.files()

    def files(self):
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*") if not p.is_dir()}

    def alone(self, *arguments):
        def enter():
            os.chroot(self.root)
            os.chdir("/")

        done = subprocess.run(["/repose", *arguments], capture_output=True, text=True, check=False,
                              timeout=120, env={}, preexec_fn=enter)
        self.assertEqual(done.returncode, OK, done.stdout + done.stderr)

    def test_text_with_weights(self):
        weights = mlp_weights()
        (self.root / "mlp.relax").write_text(MLP)
        (self.root / "mlp.safetensors").write_bytes(safetensors(weights))
        self.alone("compile", "/mlp.relax", "-o", "/mlp.so")
        made = self.files() - self.before
        self.assertEqual(made, {"mlp.relax", "mlp.safetensors", "mlp.so"})
        self.expect(OK, "compile", self.root / "mlp.relax", "-o", "here.so")
        same = (self.folder / "here.so").read_bytes() == (self.root / "mlp.so").read_bytes()
        self.assertTrue(same, "the bytes are those of a compilation outside")
        x = np.random.default_rng(2).standard_normal((5, 96), np.float32)
        with Model(self.root / "mlp.so") as model:
            (y,) = model([x])
        np.testing.assert_allclose(y, mlp(x, **weights), rtol=1e-4, atol=1e-6)

    def test_an_object(self):
        (self.root / "mlp.relax").write_text(MLP)
        (self.root / "mlp.safetensors").write_bytes(safetensors(mlp_weights()))
        self.alone("compile", "/mlp.relax", "--emit", "o", "-o", "/mlp.o")
        self.assertEqual((self.root / "mlp.o").read_bytes()[:4], b"\x7fELF")


class SameBytes(CommandLine):
    """An artifact depends on the model, the options and the target, and on nothing else."""

    def setUp(self):
        super().setUp()
        weights = mlp_weights()
        model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
            g (float[n, 96] x) => (float[n, 32] y) {
              h = MatMul(x, w1) s = Add(h, b1) a = Relu(s) z = MatMul(a, w2) y = Softmax(z) }""")
        model.graph.initializer.extend(
            numpy_helper.from_array(array, name) for name, array in weights.items())
        for name in ("one", "two/deeper"):
            (self.folder / name).mkdir(parents=True)
            (self.folder / name / "mlp.onnx").write_bytes(model.SerializeToString())

    def compiled(self, folder, model, output, *options, cpus=None):
        self.expect(OK, "compile", model, "-o", output, *options, cwd=self.folder / folder,
                    preexec_fn=cpus and (lambda: os.sched_setaffinity(0, cpus)))
        return (self.folder / folder / output).read_bytes()

    def check_same(self, name):
        every = os.sched_getaffinity(0)
        for emit in ("so", "o", "llvm", "asm"):
            with self.subTest(emit):
                options = ("--emit", emit)
                first = self.compiled("one", name, "a." + emit, *options, cpus=every)
                again = self.compiled("two/deeper", str(self.folder / "two/deeper" / name),
                                      str(self.folder / "other.name"), *options, cpus={min(every)})
                self.assertTrue(first == again, f"{emit}: the bytes differ")

    def test_paths_working_folder_and_cpus(self):
        self.check_same("mlp.onnx")

    def test_text(self):
        for name in ("one", "two/deeper"):
            (self.folder / name / "mlp.relax").write_text(MLP)
            (self.folder / name / "mlp.safetensors").write_bytes(safetensors(mlp_weights()))
        self.check_same("mlp.relax")

    def test_what_an_artifact_depends_on(self):
        first = self.compiled("one", "mlp.onnx", "a.so")
        self.assertNotEqual(self.compiled("one", "mlp.onnx", "b.so", "--dim", "n=1..8"), first)
        self.assertNotEqual(self.compiled("one", "mlp.onnx", "c.so", "--name", "other"), first)


class Broadcast(CommandLine):
    """One compiled function for every pair of dimensions, as numpy defines it: 0 against 1 is 0."""

    def compiled(self, rank):
        def tensor(names):
            return 'R.Tensor((%s,), "float32")' % ", ".join(f'"{n}"' for n in names)

        path = self.write("add.relax", f"""
@R.function
def main(x: {tensor("abc"[:rank])}, y: {tensor("def"[:rank])}):
    z = R.add(x, y)
    return z
""")
        self.expect(OK, "compile", path, "-o", "add.so")
        return Model(self.folder / "add.so")

    def check(self, model, left, right):
        size = int(np.prod(left))
        x = np.arange(size, dtype=np.float32).reshape(left)
        y = 100 * np.arange(1, np.prod(right) + 1, dtype=np.float32).reshape(right)
        try:
            expected = x + y
        except ValueError:  # numpy refuses
            axis = next(i for i, (a, b) in enumerate(zip(left, right)) if a != b and 1 not in (a, b))
            with self.assertRaises(Refused) as refused:
                model([x, y])
            text = str(refused.exception)
            self.assertIn("`add`", text)
            self.assertIn(f"dimension {axis}", text)
            self.assertIn(str(left[axis]), text)
            self.assertIn(str(right[axis]), text)
            return 0
        (result,) = model([x, y])
        self.assertEqual(result.shape, expected.shape)
        np.testing.assert_array_equal(result, expected)
        return 1

    def test_one_dimension(self):
        sizes = (0, 1, 2, 7, 64)
        with self.compiled(1) as model:
            done = [self.check(model, (m,), (k,)) for m in sizes for k in sizes]
        # Equal ones, and 1 against each of the others on both sides.
        self.assertEqual((sum(done), len(done)), (5 + 8, 25))

    def test_two_dimensions(self):
        shapes = list(itertools.product((0, 1, 3, 5), repeat=2))
        with self.compiled(2) as model:
            done = [self.check(model, x, y) for x in shapes for y in shapes]
        self.assertEqual((sum(done), len(done)), (10 * 10, 256))


class Flatten(CommandLine):
    """What Repose exists for: `flatten` of (m, 224) has the shape (m * 224,), costs nothing, and
    lives in the same bytes, for every m."""

    # The view of an intermediate, which lives on beside it.
    TEXT = """
@R.function
def main(b: R.Tensor(("m", 224), "float32")):
    m = T.int64()
    with R.dataflow():
        c = R.nn.softmax(b)
        a: R.Tensor((m * 224,), "float32") = R.flatten(c)
        y = R.cumsum(a, axis=0)
        z = R.sum(c, axis=[1])
        R.output(y, z)
    return (y, z)
"""

    def test_shape_kernels_and_bytes(self):
        path = self.write("flatten.relax", self.TEXT)
        self.expect(OK, "compile", path, "-o", "with.so", "--verify")
        self.expect(OK, "inspect", "with.so", "--json")
        (function,) = json.loads(self.out)["functions"]
        self.assertEqual([v["shape"] for v in function["outputs"]], [["m * 224"], ["m"]])
        # Softmax, cumulative sum, sum: flatten is none of them, and no other.
        self.assertEqual(len(function["kernels"]), 3, function["kernels"])
        with Model(self.folder / "with.so") as model:
            for m in (0, 1, 2, 7, 64, 1000):
                # Softmax's result and nothing besides, in both shapes.
                self.assertEqual(model.arena_bytes({"m": m}), m * 224 * 4)
                b = np.random.default_rng(m).standard_normal((m, 224), np.float32)
                y, z = model([b])
                self.assertEqual((y.shape, z.shape), ((m * 224,), (m,)))
                e = np.exp(b.astype(np.float64))
                c = e / e.sum(axis=1, keepdims=True) if m else e
                np.testing.assert_allclose(y, np.cumsum(c.reshape(-1)), rtol=1e-3, atol=1e-6)
                np.testing.assert_allclose(z, np.ones(m), rtol=1e-5)

    def test_alone(self):
        path = self.write("alone.relax", """
@R.function
def main(b: R.Tensor(("m", 224), "float32")):
    a = R.flatten(b)
    return a
""")
        self.expect(OK, "compile", path, "-o", "alone.so")
        self.expect(OK, "inspect", "alone.so", "--json")
        (function,) = json.loads(self.out)["functions"]
        self.assertEqual((function["kernels"], function["arena_bytes"]), ([], ["0"]))
        self.assertEqual(function["outputs"][0]["shape"], ["m * 224"])
        with Model(self.folder / "alone.so") as model:
            for m in (0, 1, 3):
                b = np.arange(m * 224, dtype=np.float32).reshape(m, 224)
                np.testing.assert_array_equal(model([b])[0], b.reshape(-1))


class Strides(CommandLine):
    """Parameters with declared strides: a cache with more room than it has entries."""

    def compiled(self, text):
        path = self.write("m.relax", text)
        self.expect(OK, "compile", path, "-o", "m.so", "--verify")
        self.expect(OK, "compare", path, "--verify")
        return Model(self.folder / "m.so")

    def test_constants(self):
        with self.compiled("""
@R.function
def main(cache: R.Tensor(("h", "past", 4), "float32", strides=[40, 4, 1]), new: R.Tensor(("h", 1, 4), "float32")):
    h, past = T.int64(), T.int64()
    a = R.concat((cache, new), axis=1)
    f = R.reshape(cache, R.shape([h * past, 4]))
    return (a, f)
""") as model:
            room = np.arange(120, dtype=np.float32).reshape(3, 10, 4)
            new = -np.ones((3, 1, 4), np.float32)
            for past in (0, 1, 2, 7, 10):
                cache = room[:, :past]
                a, f = model([cache, new])
                np.testing.assert_array_equal(a, np.concatenate([cache, new], axis=1))
                np.testing.assert_array_equal(f, cache.reshape(-1, 4))
            with self.assertRaisesRegex(Refused, r"input `cache`: strides are \(20, 4, 1\), expected "
                                                 r"\(40, 4, 1\)"):
                model([room.reshape(6, 5, 4)[:3, :3], new])

    CACHE = """
@R.function
def main(cache: R.Tensor(("past", 4), "float32", strides=["cap * 2", 1]), room: R.Tensor(("cap",), "float32")):
    past, cap = T.int64(), T.int64()
    y = R.multiply(cache, R.const(2.0, "float32"))
    z = R.sum(cache, axis=[1])
    return (y, z)
"""

    def test_expressions(self):
        with self.compiled(self.CACHE) as model:
            for past, cap in ((0, 4), (1, 4), (3, 2), (3, 8), (7, 5)):
                cache = np.random.default_rng(past).standard_normal((past, 2 * cap), np.float32)[:, :4]
                y, z = model([cache, np.zeros(cap, np.float32)])
                np.testing.assert_array_equal(y, cache * 2)
                np.testing.assert_allclose(z, cache.sum(axis=1), rtol=1e-5, atol=1e-6)
            wide = np.zeros((3, 12), np.float32)[:, :4]
            with self.assertRaisesRegex(Refused, "input `cache`: stride 0 is 12, expected `2 \\* cap` "
                                                 "= 10|input `cache`: stride 0 is 12, expected "
                                                 "`cap \\* 2` = 10"):
                model([wide, np.zeros(5, np.float32)])
            # Strides of one row, and of none, don't count.
            model([wide[:1], np.zeros(5, np.float32)])
            model([wide[:0], np.zeros(5, np.float32)])
            backwards = np.zeros((3, 8), np.float32)[::-1, :4]
            with self.assertRaisesRegex(Refused, "input `cache`: stride 0 is -8, expected at least 0"):
                model([backwards, np.zeros(4, np.float32)])

    def test_a_transposed_matrix(self):
        with self.compiled("""
@R.function
def main(a: R.Tensor(("m", "k"), "float32"), b: R.Tensor(("k", "n"), "float32", strides=[1, "k"])):
    y = R.matmul(a, b)
    return y
""") as model:
            random = np.random.default_rng(1)
            for m, k, n in ((1, 1, 1), (3, 5, 7), (16, 33, 20)):
                a = random.standard_normal((m, k), np.float32)
                b = random.standard_normal((n, k), np.float32)
                np.testing.assert_allclose(model([a, b.T])[0], a @ b.T, rtol=1e-4, atol=1e-5)

    def test_programs_that_know_the_strides(self):
        path = self.write("m.relax", """
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def f(x: T.Buffer(("n", 4), "float32", strides=["s", 1]), y: T.Buffer(("n", 4), "float32")):
        n, s = T.int64(), T.int64()
        for i, j in T.grid(n, 4):
            y[i, j] = x[i, j] * T.float32(2)
    @R.function
    def main(x: R.Tensor(("n", 4), "float32", strides=[8, 1])):
        n = T.int64()
        y = R.call_tir(Module.f, (x,), out_sinfo=R.Tensor((n, 4), "float32"))
        z = R.flatten(x)
        return (y, z)
""")
        self.expect(OK, "compile", path, "-o", "m.so", "--verify")
        with Model(self.folder / "m.so") as model:
            x = np.random.default_rng(1).standard_normal((5, 8), np.float32)[:, :4]
            y, z = model([x])
            np.testing.assert_array_equal(y, x * 2)
            np.testing.assert_array_equal(z, x.reshape(-1))

    def test_they_are_described(self):
        self.compiled(self.CACHE).close()
        self.expect(OK, "inspect", "m.so")
        self.assertRegex(self.out, r"cache: float32 \(past, 4\), strides \((2 \* cap|cap \* 2), 1\)")
        path = self.write("m.relax", self.CACHE)
        self.expect(OK, "opt", path)
        self.assertIn('strides=["cap * 2", 1]', self.out)

    def test_what_is_not_native(self):
        strided = 'R.Tensor(("n", 4), "float32", strides=[8, 1])'
        self.expect_malformed(f"""
@R.function
def main(x: {strided}):
    n = T.int64()
    return x
""", name="m.relax", code=UNSUPPORTED, says="the result of `main` has declared strides")

    def test_unbound_symbols(self):
        self.expect_malformed("""
@R.function
def main(x: R.Tensor(("n", 4), "float32", strides=["s", 1])):
    y = R.add(x, x)
    return y
""", name="m.relax", says="unknown name `s`")


class Donation(CommandLine):
    """`donate`: the caller may give an input's memory for an output."""

    def compiled(self, body, donate="{0: 1}"):
        path = self.write("m.relax", f"""
@R.function
def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor(("n", 4), "float32")):
    R.func_attr({{"donate": {donate}}})
{body}
""")
        self.expect(OK, "compile", path, "-o", "m.so", "--verify")
        return Model(self.folder / "m.so")

    # y is read by several kernels, the last of which makes the result that replaces it; and it is
    # a result itself.
    SUM = """
    a = R.add(x, y)
    b = R.cumsum(y, axis=0)
    c = R.add(R.add(a, b), R.sum(y))
    return (c, y)
"""

    def test_the_same_memory(self):
        with self.compiled(self.SUM) as model:
            for n in (0, 1, 3, 50):
                random = np.random.default_rng(n)
                x, y = (random.standard_normal((n, 4), np.float32) for _ in range(2))
                before = y.copy()
                expected = x + y + np.cumsum(y, axis=0) + y.sum()
                for memory in (np.empty_like(y), y):  # memory of its own, then that of y
                    other = np.empty_like(y)
                    model([x, y], [memory, other])
                    np.testing.assert_allclose(memory, expected, rtol=1e-4, atol=1e-5)
                    np.testing.assert_array_equal(other, before)

    def test_other_overlaps_stay_errors(self):
        with self.compiled(self.SUM) as model:
            x, y = np.ones((3, 4), np.float32), np.ones((3, 4), np.float32)
            other = np.empty_like(x)
            for outputs in ([x, other], [other, y], [y, y]):
                with self.assertRaisesRegex(Refused, "overlaps"):
                    model([x, y], outputs)
            with self.assertRaisesRegex(Refused, "overlaps input `x`"):
                model([y, y], [y, other])

    def test_it_is_described(self):
        self.compiled(self.SUM).close()
        self.expect(OK, "inspect", "m.so")
        self.assertIn("output_0: float32 (n, 4), may reuse y\n", self.out)
        self.expect(OK, "opt", "m.relax")
        self.assertIn('R.func_attr({"donate": {0: 1}})', self.out)

    def test_a_returned_parameter(self):
        with self.compiled("    return (y, x)\n") as model:  # its own memory: nothing moves
            x, y = np.ones((3, 4), np.float32), np.full((3, 4), 2, np.float32)
            other = np.empty_like(x)
            model([x, y], [y, other])
            np.testing.assert_array_equal(y, np.full((3, 4), 2))
            np.testing.assert_array_equal(other, np.ones((3, 4)))

    def test_an_exchange_is_refused(self):
        text = """
@R.function
def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor(("n", 4), "float32")):
    R.func_attr({"donate": {0: 0, 1: 1}})
    return (y, x)
"""
        self.expect_malformed(text, name="m.relax", code=UNSUPPORTED,
                              says="result 0 is input `y`, whose memory is donated to result 1")

    def test_bad_ones(self):
        body = "    return (R.add(x, y), R.sum(x))\n"
        for donate in ("{0: 2}", "{2: 0}", "{-1: 0}", "3", '{"y": 0}', "{0: 0, 1: 0}", "{1: 0}"):
            with self.subTest(donate):
                self.expect_malformed(f"""
@R.function
def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor(("n", 4), "float32")):
    R.func_attr({{"donate": {donate}}})
{body}""", name="m.relax", says=["`donate`", "[bad-attribute]"])


class WhatDataTells(CommandLine):
    """Bounds, counts and sizes that come as data, at their edges, as NumPy and ONNX define them."""

    LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max

    def compiled(self, text, says=(), code=OK):
        model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
        path = self.write("m.onnx", model.SerializeToString())
        self.expect(code, "compile", path, "-o", "m.so", says=says)
        return Model(self.folder / "m.so") if code == OK else None

    def refused(self, model, *inputs):
        with self.assertRaises(Refused) as refused:
            model(list(inputs))
        return str(refused.exception)

    def test_bounds_of_slices(self):
        bounds = (self.LEAST, self.LEAST + 1, -6, -4, -1, 0, 1, 3, 7, self.MOST - 1, self.MOST)
        for step in (1, 2, -1, -3, self.MOST, self.LEAST + 1):
            model = self.compiled(f"""g (float[n] x, int64[1] a, int64[1] b) => (float[k] y) {{
                axes = Constant<value = int64[1] {{0}}>()
                step = Constant<value = int64[1] {{{step}}}>()
                y = Slice(x, a, b, axes, step) }}""")
            with model:
                for n, a, b in itertools.product((0, 1, 4), bounds, bounds):
                    x = np.arange(n, dtype=np.float32)
                    (y,) = model([x, np.array([a]), np.array([b])])
                    np.testing.assert_array_equal(y, self.sliced(x, a, b, step),
                                                  f"{n} {a}:{b}:{step}")

    def sliced(self, x, a, b, step):
        """As ONNX has it: NumPy's, but a slice that goes backwards starts at the first element where
        its start lies before that."""
        return x[max(a, -len(x)) if step < 0 else a:b:step]

    def test_a_step_of_a_slice(self):
        with self.compiled("""g (float[n] x, int64[1] a, int64[1] b, int64[1] s) => (float[k] y) {
            axes = Constant<value = int64[1] {0}>()
            y = Slice(x, a, b, axes, s) }""") as model:
            for n, a, b, s in itertools.product((0, 1, 4), (-6, -1, 0, 3, self.MOST),
                                                (self.LEAST, -2, 0, 7), (1, -1, 2, -3, self.LEAST)):
                x = np.arange(n, dtype=np.float32)
                (y,) = model([x, np.array([a]), np.array([b]), np.array([s])])
                np.testing.assert_array_equal(y, self.sliced(x, a, b, s), f"{n} {a}:{b}:{s}")
            x = np.zeros(3, np.float32)
            self.assertIn("step", self.refused(model, x, *(np.array([v]) for v in (0, 2, 0))))

    def test_counts_of_float_ranges(self):
        with self.compiled("g (float a, float b, float d) => (float[k] y) { y = Range(a, b, d) }"
                           ) as model:
            for a, b, d in ((0, 0.3, 0.1), (0, 1, 0.1), (1, 0, -0.1), (0, 0.7, 0.1), (2, 1, 1)):
                a, b, d = (np.float32(v) for v in (a, b, d))
                count = max(0, int(np.ceil((float(b) - float(a)) / float(d))))
                (y,) = model([np.array(v) for v in (a, b, d)])
                np.testing.assert_allclose(y, a + d * np.arange(count, dtype=np.float32), 1e-6)

    def test_integer_ranges_either_way(self):
        for dtype in ("int64", "int32", "int16"):
            with self.compiled(f"g ({dtype} a, {dtype} b, {dtype} d) => ({dtype}[k] y) "
                               "{ y = Range(a, b, d) }") as model:
                for a, b, d in itertools.product((-3, 0, 5), (-4, 0, 6), (-7, -2, -1, 1, 2, 9)):
                    (y,) = model([np.array(v, dtype) for v in (a, b, d)])
                    self.assertEqual(y.dtype, np.dtype(dtype))
                    np.testing.assert_array_equal(y, np.arange(a, b, d, dtype))
                self.assertIn("`delta` is 0",
                              self.refused(model, *(np.array(v, dtype) for v in (0, 1, 0))))

    def test_depth_of_one_hot(self):
        with self.compiled("""g (int64[n] i, int64[1] depth) => (float[n, k] y) {
            values = Constant<value = float[2] {0, 1}>()
            y = OneHot(i, depth, values) }""") as model:
            i = np.array([0, 2, -1])
            (y,) = model([i, np.array([3])])
            np.testing.assert_array_equal(y, np.eye(3, dtype=np.float32)[i])
            self.assertIn("`depth` is -3, expected at least 0",
                          self.refused(model, i, np.array([-3])))

    def test_the_addend_of_a_gemm(self):
        with self.compiled("g (float[m, 3] a, float[3, n] b, float[r, s] c) => (float[m, n] y) "
                           "{ y = Gemm(a, b, c) }") as model:
            for m, n in itertools.product((0, 1, 2), (0, 1, 4)):
                a, b = np.ones((m, 3), np.float32), np.ones((3, n), np.float32)
                for r, s in itertools.product((0, 1, 2), (0, 1, 4)):
                    c = np.arange(r * s, dtype=np.float32).reshape(r, s)
                    if r in (1, m) and s in (1, n):
                        np.testing.assert_array_equal(model([a, b, c])[0], a @ b + c)
                    else:
                        self.assertIn("where the product has", self.refused(model, a, b, c))

    def test_failures_name_their_nodes(self):
        with self.compiled("""g (float[4, 2] t, int64[n] i, int64[n] j) => (float[n, 2] y) {
            [lookup] a = Gather(t, i)
            [other] b = Gather(t, j)
            [sum] c = Add(a, b)
            [act] y = Relu(c) }""") as model:
            t, good, bad = np.ones((4, 2), np.float32), np.array([1]), np.array([4])
            self.assertIn("(in node `lookup` (Gather", self.refused(model, t, bad, good))
            text = self.refused(model, t, good, bad)
            self.assertIn("(in node `other` (Gather", text)
            self.assertEqual(text.count("(in node"), 1)


if __name__ == "__main__":
    sys.exit(unittest.main())

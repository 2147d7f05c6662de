#!/usr/bin/env python3
"""The command line: its options, what they refuse, and that none is ignored.

    REPOSE=build/release/bin/repose python tests/cli/options_test.py
"""
import json
import sys
import unittest

import numpy as np

from command_line import MALFORMED, OK, REFUSED, TEXT, UNSUPPORTED, USAGE, Command, model_of

TWO = """
@I.ir_module
class Module:
    @R.function
    def f(x: R.Tensor(("n", 4), "float32")):
        n = T.int64()
        y = R.cumsum(R.nn.softmax(x), axis=0)
        return R.sum(y)
    @R.function
    def g(x: R.Tensor(("m", 8), "float32")):
        m = T.int64()
        y = R.cumsum(R.nn.softmax(x), axis=0)
        return R.sum(y)
"""


class Usage(Command):
    def test_no_command_and_unknown_ones(self):
        self.expect(USAGE)
        self.expect(USAGE, "translate", says=["no command `translate`", "`compile`", "[bad-usage]"])
        self.assertNotIn("compile-many", self.err)
        self.expect(USAGE, "compile")
        self.expect(USAGE, "compile", "x.relax", "--no-such-option")
        self.expect(USAGE, "compile", "x.relax", "--emit", "pdf")
        self.expect(OK, "--help")
        self.assertIn("compile", self.out)
        self.expect(OK, "version")
        self.assertRegex(self.out, r"\d+\.\d+")
        printed = self.out
        self.expect(OK, "--version")
        self.assertEqual(self.out, printed)

    def test_unknown_names(self):
        path = self.write("m.relax", TEXT)
        self.expect(USAGE, "compile", path, "-o", "m.so", "--disable", "no_such_pass",
                    says=["no_such_pass", "fold_constants", "[bad-usage]"])
        self.expect(USAGE, "compile", path, "-o", "m.so", "--disable", "legalize",
                    says="cannot be disabled")
        self.expect(USAGE, "compile", path, "-o", "m.so", "--print-after", "no_such_pass",
                    says="no_such_pass")
        self.expect(USAGE, "opt", path, "--passes", "legalize,no_such_pass", says="no_such_pass")
        self.assertNotEqual(self.repose("compile", path, "-o", "m.so", "--cpu", "z80"), OK)
        self.assertIn("z80", self.err)
        self.assertFalse((self.folder / "m.so").exists())

    def test_bad_dims(self):
        path = self.write("m.relax", TEXT)
        for dim in ("n", "n=", "=3", "n=1..2..3", "n=a..b", "n=1..4%0", "n=1..4%", "n=4..1",
                    "n=-3", "n=1,n=2", "n=9..5", "n=5%8", "n=9..15%8"):
            with self.subTest(dim):
                self.expect(USAGE, "compile", path, "-o", "m.so", "--dim", dim, says="dim")
        self.expect(USAGE, "compile", path, "-o", "m.so", "--dim", "nowhere=1..4", says="nowhere")

    def test_shapes_of_inputs_of_unknown_rank(self):
        path = self.write("m.onnx", model_of("g (float[] x, float[n] y) => (float[] z) { z = Add(x, y) }"))
        command = ("run", path, "-i", "x=2x3xf32:ones", "-i", "y=3xf32:ones")
        self.expect(UNSUPPORTED, *command, says=("input `x`", "--shape x=batch,3,h,w"))
        self.expect(OK, *command, "--shape", "x=batch,n")
        self.assertIn("z: float32 2x3 [2, 2, 2, 2, 2, 2]", self.out)
        self.expect(OK, *command, "--shape", "x=2,3")
        self.expect(OK, "run", path, "-i", "x=f32:ones", "-i", "y=3xf32:ones", "--shape", "x=")
        self.assertNotEqual(self.repose(*command, "--shape", "x=batch,4"), OK)
        for shape, says in (("x", "expected INPUT="), ("=3", "expected INPUT="), ("x=3,", "neither a size"), ("x=-1", "`-1`"),
                            ("y=3", "which has rank 1"), ("nowhere=3", "`nowhere`, which is no input")):
            with self.subTest(shape):
                self.expect(USAGE, *command, "--shape", shape, says=says)
        self.expect(USAGE, *command, "--shape", "x=n", "--shape", "x=m", says="given twice")
        self.expect(USAGE, "compile", self.write("m.relax", TEXT), "-o", "m.so", "--shape", "x=n", says="is text")

    def test_bad_inputs_of_run(self):
        library = self.compiled()
        good = ["--input", "x=2x4xf32", "--input", "y=4xf32:ones"]
        self.expect(OK, "run", library, *good)
        self.expect(USAGE, "run", library, says="is missing")
        self.expect(USAGE, "run", library, *good, "--input", "q=4xf32", says="no input `q`")
        for bad in ("x", "x=", "x=2x4", "x=2x4xf33", "x=2x4xf32:fancy", "x=2x4xf32:rand(1",
                    "x=2x4xf32:rand(3,1)", "x=-2x4xf32"):
            with self.subTest(bad):
                self.expect(USAGE, "run", library, "--input", bad, "--input", "y=4xf32",
                            says="[bad-usage]")
        self.expect(USAGE, "run", library, *good, "--function", "other", says="other")
        for shape in ("1000000000000x1000000000000", "9999999999999999x4"):
            self.expect(USAGE, "run", library, "--input", f"x={shape}xf32", "--input", "y=4xf32",
                        says="does not fit in memory")
        self.expect(USAGE, "run", library, *good, "--input", "x=3x4xf32",
                    says="input `x` is given twice")
        self.expect(USAGE, "compare", self.folder / "model.relax", "-i", "x=ones", "-i", "x=zeros",
                    says="input `x` is given twice")

    def test_numbers(self):
        library = self.compiled()
        path = self.folder / "model.relax"
        good = ["-i", "x=2x4xf32", "-i", "y=4xf32"]
        for threads in (-1, 4097, 100_000, "many"):
            self.expect(USAGE, "run", library, *good, "--threads", threads, says="--threads")
            self.expect(USAGE, "compare", path, "--threads", threads, says="--threads")
        self.expect(OK, "run", library, *good, "--threads", 0)
        self.expect(USAGE, "run", library, *good, "--repeat", -3, says="--repeat")
        self.expect(USAGE, "compare", path, "--seed", -1, says="--seed")
        self.expect(OK, "compare", path, "--seed", 2**64 - 1)

    def test_empty_texts(self):
        library = self.compiled()
        path = self.folder / "model.relax"
        for command in (("compile", path, "--name", ""), ("compile", path, "-o", ""),
                        ("compile", path, "--dump-ir", ""), ("inspect", path, "--why", ""),
                        ("inspect", path, "--html", ""), ("inspect", library, "--function", ""),
                        ("run", library, "-i", "x=1x4xf32", "-i", "y=4xf32", "--output", "")):
            with self.subTest(command):
                self.expect(USAGE, *command, says="expected some text")

    def test_bounds_of_random_numbers(self):
        library = self.compiled()
        for bounds in ("nan,5", "-inf,inf", "0,inf", "-1e308,1e308", "1,x", "1"):
            self.expect(USAGE, "run", library, "-i", f"x=2x4xf32:rand({bounds})", "-i", "y=4xf32",
                        says="finite numbers")
        self.expect(OK, "run", library, "-i", "x=2x4xf32:rand(-1e3, 2.5)", "-i", "y=4xf32")

    def drawn(self, dtype, bounds, code=OK, **options):
        """What `rand` with these bounds gives: as it is, by a model that returns a copy."""
        path = self.write("copy.relax", f"""
@R.function
def main(x: R.Tensor(("n",), "{dtype}")):
    n = T.int64()
    y = R.concat((x, x), axis=0)
    return y
""")
        self.expect(code, "run", path, "-i", f"x=64x{dtype}:rand({bounds})", "--output", "r", **options)
        return np.load(next((self.folder / "r").glob("*.npy"))) if code == OK else None

    def test_integers_are_drawn_as_integers(self):
        for low, high in ((2**53 + 1, 2**53 + 1), (2**63 - 3, 2**63 - 1), (-2**63, -2**63 + 1)):
            values = self.drawn("int64", f"{low},{high}")
            self.assertTrue(np.all((low <= values) & (values <= high)), values)
        values = self.drawn("uint64", f"{2**64 - 2},{2**64 - 1}")
        self.assertEqual(set(map(int, values)), {2**64 - 2, 2**64 - 1})
        self.assertIn("uint64 128 [184467440737095516", self.out)
        self.assertNotIn("-", self.out.split("[")[1])
        for dtype, bounds in (("int64", "0,0.5"), ("int64", f"0,{2**63}"), ("uint64", "-1,1")):
            self.drawn(dtype, bounds, USAGE, says="whole numbers")
        for dtype, bounds in (("uint8", "0,256"), ("int8", "-129,0"), ("uint32", "-1,0")):
            self.drawn(dtype, bounds, USAGE, says=f"is no {dtype}")


class Artifacts(Command):
    """Where an artifact stands for a model."""

    COMPILING = (("--cpu", "x86-64-v3"), ("--dim", "n=1..4"), ("--strict-dims",),
                 ("--time-passes",), ("--print-after", "legalize"), ("--debug-memory",),
                 ("--disable", "fuse_programs"), ("--verify",), ("--dump-ir", "d"), ("--trace",),
                 ("--schedule", "s.txt"))

    def test_options_that_come_too_late(self):
        library = self.compiled()
        for option in self.COMPILING:
            for command in (("run", library, "-i", "x=1x4xf32", "-i", "y=4xf32"),
                            ("inspect", library), ("inspect", library, "--memory")):
                with self.subTest((command[0], *option)):
                    self.expect(USAGE, *command, *option,
                                says=[f"{option[0]}: no effect", "compiled already"])
        path = self.folder / "model.relax"
        self.expect(OK, "compare", path, library, "--dim", "n=1..4")
        self.expect(USAGE, "compare", path, library, "--debug-memory", "--cpu", "host",
                    says="--cpu, --debug-memory: no effect")

    def test_commands_that_take_none(self):
        library = self.compiled()
        for command in ("compile", "opt", "compare"):
            self.expect(USAGE, command, library, says="is an artifact")

    def test_help(self):
        for command in ("run", "inspect"):
            self.expect(OK, command, "--help")
            self.assertIn("An artifact, an .onnx or .pt2 file, or IR text", self.out)
        self.expect(OK, "opt", "--help")
        self.assertNotIn("--disable", self.out)
        self.assertNotIn("--debug-memory", self.out)


class Passes(Command):
    def test_operations_limit(self):
        # Nothing of this needs memory: the sizes are the data's.
        path = self.write("m.onnx", model_of("""g (int64 n) => (float[] z)
            { zero = Constant<value = int64 {0}>() one = Constant<value = int64 {1}>()
              r = Range(zero, n, one) f = Cast<to = 1>(r) z = ReduceSum<keepdims = 0>(f) }"""))
        self.expect(OK, "compile", path, "-o", "m.so")
        limit = ("--operations-limit", "100000")
        np.save(self.folder / "few.npy", np.array(1000))
        np.save(self.folder / "many.npy", np.array(2**60))
        for what in (path, "m.so"):
            self.expect(OK, "run", what, "-i", "n=@few.npy", *limit)
            self.assertIn("499500", self.out)
            self.expect(REFUSED, "run", what, "-i", "n=@many.npy", *limit,
                        says=["more operations than the limit of 100000 (in node `"])
        self.expect(USAGE, "run", "m.so", "-i", "n=@few.npy", "--operations-limit", "-1")

    def test_folding_has_a_limit(self):
        # A constant of 10^13 elements, and a product of two large constants: neither is computed while compiling.
        path = self.write("m.onnx", model_of("""g (float[n] x) => (float[1] s, float[n] y)
            { shape = Constant<value = int64[2] {1, 10000000000000}>() c = ConstantOfShape(shape)
              s = ReduceSum<keepdims = 0>(c) t = Squeeze(s) y = Add(x, t) }""".replace("float[1] s", "float[] s")))
        self.expect(OK, "compile", path, "-o", "m.so")
        self.expect(REFUSED, "run", "m.so", "-i", "x=2xf32:ones", "--operations-limit", "1000000",
                    says="more operations than the limit")

    def test_times(self):
        path = self.write("m.relax", TEXT)
        for command in (("run", path, "-i", "x=1x4xf32", "-i", "y=4xf32"), ("inspect", path),
                        ("inspect", path, "--checks"), ("compare", path),
                        ("opt", path, "--passes", "legalize")):
            with self.subTest(command[0]):
                self.expect(OK, *command, "--time-passes", says=["ms  legalize", "ms  total\n"])

    def test_gradient(self):
        path = self.write("two.relax", TWO)
        passes = ("--passes", "gradient")
        self.expect(OK, "opt", path, *passes, "--gradient-of", "g")
        self.assertIn("def g_adjoint", self.out)
        self.assertNotIn("def f_adjoint", self.out)
        self.expect(OK, "opt", path, *passes, "--gradient-of", "f", "--gradient-in", "x")
        self.assertIn("x_grad", self.out)
        self.expect(MALFORMED, "opt", path, *passes, says="`main`")
        self.expect(MALFORMED, "opt", path, *passes, "--gradient-of", "f", "--gradient-in", "w",
                    says="`f` has no parameter `w`; it has x")
        self.expect(MALFORMED, "opt", path, *passes, "--gradient-of", "f", "--gradient-target", "1", says="result 1")

    def test_mixed_precision(self):
        path = self.write("product.relax", """
@R.function
def main(x: R.Tensor(("n", 4), "float32"), w: R.Tensor((4, 4), "float32")):
    y = R.exp(R.matmul(x, w))
    return y
""")
        passes = ("--passes", "to_mixed_precision")
        self.expect(OK, "opt", path, *passes, "--mixed-dtype", "bfloat16", "--mixed-follow", "exp")
        self.assertIn('dtype="bfloat16") = R.matmul', self.out)
        self.assertIn('dtype="bfloat16") = R.exp', self.out)
        self.expect(OK, "opt", path, *passes, "--mixed-never", "matmul")
        self.assertNotIn("float16", self.out)
        self.expect(USAGE, "opt", path, *passes, "--mixed-dtype", "half", says="`half`")
        self.expect(MALFORMED, "opt", path, *passes, "--mixed-dtype", "float64", says="float64")
        self.expect(MALFORMED, "opt", path, *passes, "--mixed-always", "nope", says="`nope`")

    def test_opt(self):
        path = self.write("m.relax", TEXT)
        passes = ("--passes", "legalize,fuse_programs")
        self.expect(OK, "opt", path, *passes)
        result = self.out
        self.expect(OK, "opt", path, *passes, "--print-after", "legalize", "--dump-ir", "dump")
        self.assertTrue(self.out.endswith(result))
        between = self.out[: -len(result)]
        self.assertIn("R.call_tir", between)
        self.assertEqual((self.folder / "dump/00_legalize.relax").read_text(), between)
        self.assertEqual((self.folder / "dump/01_fuse_programs.relax").read_text(), result)
        self.expect(USAGE, "opt", path, "--print-after", "no_such_pass", says="no_such_pass")
        self.expect(USAGE, "opt", path, "--disable", "legalize")


class Inspect(Command):
    def test_json(self):
        path = self.write("m.relax", TEXT)
        self.expect(OK, "inspect", path, "--why", "n", "--json")
        derivation = json.loads(self.out)
        self.assertIn("symbol `n`", derivation["text"])
        self.assertIn("input `x`", derivation["from"][0]["text"])
        self.expect(OK, "inspect", path, "--checks", "--json", "--dim", "n=1..4")
        self.assertIn({"place": "entry, dimension 0 of input `x`", "condition": "1 <= n and n <= 4",
                       "reason": "a declared range"}, json.loads(self.out))
        self.expect(USAGE, "inspect", path, "--why", "n", "--checks", "--json", says="one document")
        self.expect(USAGE, "inspect", path, "--html", "x.html", "--json", says="--json has no effect")
        self.assertFalse((self.folder / "x.html").exists())
        self.expect(OK, "inspect", path, "--html", "x.html", "--json", "--memory", "n=1")
        self.assertTrue((self.folder / "x.html").exists())
        self.assertEqual(json.loads(self.out)[0]["points"][0]["at"], "n=1")
        self.expect(USAGE, "inspect", path, "--why", "n", "--debug-memory",
                    says="--debug-memory: no effect")

    def test_one_function(self):
        path = self.write("m.relax", TWO)
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            for view in ((), ("--json",), ("--memory",), ("--memory", "m=3")):
                self.expect(USAGE, "inspect", what, "--function", "nope", *view,
                            says="no function `nope`")
            self.expect(OK, "inspect", what, "--function", "g", "--json")
            self.assertEqual([f["name"] for f in json.loads(self.out)["functions"]], ["g"])
            self.expect(OK, "inspect", what, "--function", "g", "--memory", "m=3")
            self.assertIn("function g\n", self.out)
            self.assertNotIn("function f\n", self.out)
            self.assertIn("at m=3", self.out)
            self.expect(USAGE, "inspect", what, "--memory", "m=3",
                        says=["is called `m`", "function `f`; --function"])
        self.expect(OK, "inspect", path, "--function", "g", "--memory", "m=3", "--html", "g.html")
        self.assertIn('"initial":3', (self.folder / "g.html").read_text())
        self.expect(USAGE, "inspect", path, "--function", "g", "--memory", "m=3,m=4",
                    says="`m` is given twice")

    def test_ranges_of_sums(self):
        text = """
@R.function
def main(x: R.Tensor(("past", 4), "float32"), y: R.Tensor(("new", 4), "float32")):
    a = R.concat((x, y), axis=0)
    return R.cumsum(R.nn.softmax(a), axis=0)
"""
        model = model_of("""g (float[past, 4] x, float[new, 4] y) => (float[n, 4] z)
            { a = Concat<axis = 0>(x, y) z = Softmax(a) }""")
        for name, contents in (("m.relax", text), ("m.onnx", model)):
            path = self.write(name, contents)
            dims = ("--dim", "past+new=2..16%2")
            self.expect(OK, "compile", path, "-o", "m.so", *dims)
            self.expect(REFUSED, "run", "m.so", "-i", "x=10x4xf32", "-i", "y=7x4xf32",
                        says="`past+new` is 17, which is outside of its declared range 2..16%2")
            for command in (("inspect", path, *dims), ("inspect", "m.so")):
                with self.subTest(command):
                    self.expect(OK, *command, "--json")
                    (function,) = json.loads(self.out)["functions"]
                    (condition,) = function["conditions"]
                    self.assertIn("16", condition)
                    self.expect(OK, *command)
                    self.assertIn(f"  conditions\n    {condition}\n", self.out)
                    self.expect(OK, *command, "--memory", "past=10,new=6")
                    for sizes in ("past=10,new=7", "past=0,new=0", "past=10,new=8"):
                        self.expect(USAGE, *command, "--memory", sizes, says="[bad-usage]")

    def test_other_names(self):
        path = self.write("m.onnx", model_of("""g (float[n, k] x, float[k2, 3] y) => (float[n, 3] z)
            { h = MatMul(x, y) z = Softmax(h) }"""))
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            self.expect(OK, "inspect", what)
            self.assertIn(" k: dimension 1 of x, 0.., also k2\n", self.out)
            self.expect(OK, "inspect", what, "--memory", "n=3,k2=9")
            self.expect(USAGE, "inspect", what, "--memory", "n=3,k2=9,k=9", says="is given twice")

    def test_names_that_are_one(self):
        text = """
@R.function
def main(x: R.Tensor(("a", 4), "float32"), y: R.Tensor(("b", "c"), "float32")):
    return R.add(R.sum(x), R.sum(y))
"""
        model = model_of("""g (float[a, 4] x, float[b, c] y) => (float[] z)
            { s = ReduceSum<keepdims = 0>(x) t = ReduceSum<keepdims = 0>(y) z = Add(s, t) }""")
        x, y = ("-i", "x=3x4xf32"), ("-i", "y=3x5xf32")
        for name, contents in (("m.relax", text), ("m.onnx", model)):
            path = self.write(name, contents)
            with self.subTest(name):
                self.expect(OK, "compile", path, "-o", "m.so", "--dim", "b=a,a=1..8")
                self.expect(OK, "run", "m.so", *x, *y)
                self.expect(REFUSED, "run", "m.so", *x, "-i", "y=2x5xf32", says=["3", "2"])
                self.expect(REFUSED, "run", "m.so", "-i", "x=9x4xf32", "-i", "y=9x5xf32", says="9")
                # By position, and of sums.
                self.expect(OK, "compile", path, "-o", "m.so", "--dim", "y_0=x_0", "--dim", "b+2=c")
                self.expect(OK, "run", "m.so", *x, *y)
                self.expect(REFUSED, "run", "m.so", *x, "-i", "y=2x4xf32")
                self.expect(REFUSED, "run", "m.so", *x, "-i", "y=3x6xf32")
                # In a circle nothing is left to say.
                self.expect(OK, "compile", path, "-o", "m.so", "--dim", "a=b,b=a")
                self.expect(OK, "run", "m.so", *x, *y)
                for dims in ("b=nope", "nope=b"):
                    self.expect(USAGE, "compile", path, "-o", "n.so", "--dim", dims,
                                says=["`nope`", "[bad-usage]"])
                self.expect(USAGE, "compile", path, "-o", "n.so", "--dim", "b=a,b=c",
                            says="`b` is given twice")
                self.assertFalse((self.folder / "n.so").exists())
        self.expect(OK, "inspect", self.folder / "m.onnx", "--dim", "b=a")
        self.assertIn(" a: dimension 0 of x, 0.., also b\n", self.out)
        self.expect(OK, "inspect", self.folder / "m.onnx", "--dim", "b=a", "--why", "a")
        self.assertIn("stands for `b` too, which `--dim` needs equal", self.out)

    def test_times(self):
        path = self.write("m.onnx", model_of("""g (float[n, 4] x) => (float[n, 4] z)
            { z = Softmax(x) }"""))
        self.expect(OK, "compile", path, "-o", "m.so", "--time-passes")
        for step in ("read_model", "fuse_programs", "generate_code", "total"):
            self.assertRegex(self.err, rf"\d ms  {step}\b")

    def test_conditions_as_people_say_them(self):
        model = """
@R.function
def main(x: R.Tensor(("n", "m"), "float32"), y: R.Tensor(("k",), "float32")):
    n, m, k = T.int64(), T.int64(), T.int64()
    %s
    return R.nn.relu(x)
"""
        for conditions, lines in (
                (["n == T.min(n, 512)"], ["n <= 512"]),
                (["3 <= n", "n <= 40"], ["3 <= n <= 40"]),
                (["T.max(n, 7) == n"], ["n >= 7"]),
                (["n // 4 * 4 == n", "n % 6 == 0"], ["n: a multiple of 12"]),
                (["1 <= n", "n % 8 == 0"], ["n: a multiple of 8 above 0"]),
                (["((n + 3) // 4 + 7) % 8 == 7 or (n + 3) // 4 == 1", "1 <= n"],
                 ["n: 1..4, 29..32, 61..64, … (every 32)"]),
                (["n == 5 or n == 9"], ["n: 5, 9"]),
                (["n == T.min(n, m)"], ["n <= m"]),
                (["n == m or n == 1 or m == 1"], ["n and m are equal, or one of them is 1"]),
                (["m == 1 or n + 2 == m"], ["m is n + 2 or 1"]),
                (["m == T.Select(n == 1, k, n) or m == 1 or T.Select(n == 1, k, n) == 1"],
                 ["m and the first of n, k that is not 1 are equal, or one of them is 1"]),
                (["n == m or m == 1"], ["m is n or 1"]),
                (["n == m or n == 2 or m == 1"], ["n == m or n == 2 or m == 1"]),
                (["n % 2 == 0", "m <= n", "1 <= m"], ["n: a multiple of 2", "m >= 1", "m <= n"])):
            with self.subTest(conditions):
                checks = "\n    ".join(f'R.check(R.prim_value({c}), message="no")' for c in conditions)
                path = self.write("m.relax", model % checks)
                self.expect(OK, "inspect", path)
                said = self.out.split("  conditions\n")[1].split("  arena bytes")[0].split("\n")
                self.assertEqual([line.strip() for line in said if line.strip()], lines)


if __name__ == "__main__":
    sys.exit(unittest.main())

#!/usr/bin/env python3
"""The command line: exit codes and messages, for good and bad input (files_test.py: files;
options_test.py: options).

    REPOSE=build/release/bin/repose python tests/cli/cli_test.py
"""
import json
import os
import random
import re
import sys
import unittest
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from command_line import (IO, MALFORMED, MISMATCH, OK, REFUSED, TEXT, UNSUPPORTED, USAGE, Command,
                          model_of)

INTEGERS = """
@R.function
def main(x: R.Tensor(("n",), "int64")) -> R.Tensor(("n",), "int64"):
    n = T.int64()
    y = R.add(x, x)
    return y
"""


def varint(n):
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(number, payload):
    """A length-delimited field of protobuf."""
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def nested_ifs(depth):
    """A model whose graph is `depth` nested `If`s, written from the inside out without recursion."""
    output = field(12, field(1, b"y"))
    parts = [output + field(1, field(1, b"x") + field(2, b"y") + field(4, b"Identity"))]
    length = len(parts[0])

    def before(data):
        nonlocal length
        parts.append(data)
        length += len(data)

    for _ in range(depth):  # graph { output, node { c, y, "If", attribute { name, type, graph } } }
        before(field(1, b"then_branch") + varint(20 << 3) + varint(5)
               + varint(6 << 3 | 2) + varint(length))
        before(field(1, b"c") + field(2, b"y") + field(4, b"If") + varint(5 << 3 | 2)
               + varint(length))
        before(output + varint(1 << 3 | 2) + varint(length))
    opset = field(8, varint(2 << 3) + varint(17))
    return varint(1 << 3) + varint(8) + opset + field(7, b"".join(reversed(parts)))


class Calls(Command):
    def test_what_the_model_refuses(self):
        library = self.compiled()
        self.expect(REFUSED, "run", library, "-i", "x=2x5xf32", "-i", "y=4xf32",
                    says=["`x`", "dimension 1 is 5, expected 4", "[call-refused]"])
        self.expect(REFUSED, "run", library, "-i", "x=2xf32", "-i", "y=4xf32", says="`x`")
        self.expect(REFUSED, "run", library, "-i", "x=2x4xi32", "-i", "y=4xf32", says="`x`")
        self.expect(REFUSED, "run", library, "-i", "x=2x4xf32", "-i", "y=4xf16", says="`y`")

    def test_ranges(self):
        library = self.compiled(TEXT, "--dim", "n=2..8%2")
        self.expect(OK, "run", library, "-i", "x=4x4xf32", "-i", "y=4xf32")
        for n in (0, 1, 3, 10):
            self.expect(REFUSED, "run", library, "-i", f"x={n}x4xf32", "-i", "y=4xf32", says="`x`")

    def test_ranges_of_sums(self):
        text = """
@R.function
def main(x: R.Tensor(("past", 4), "float32"), y: R.Tensor(("new", 4), "float32")):
    a = R.concat((x, y), axis=0)
    b = R.strided_slice(a, axes=[0], begin=[0], end=[16])
    return R.cumsum(R.nn.softmax(b), axis=0)
"""
        model = model_of("""g (float[past, 4] x, float[new, 4] y) => (float[n, 4] z)
            <int64[1] from = {0}, int64[1] to = {16}>
            { a = Concat<axis = 0>(x, y) b = Slice(a, from, to) z = Softmax(b) }""")
        for name, contents in (("m.relax", text), ("m.onnx", model)):
            with self.subTest(name):
                path = self.write(name, contents)
                self.expect(OK, "compile", path, "-o", "m.so", "--dim", "past+new=2..16")
                self.expect(OK, "run", "m.so", "-i", "x=10x4xf32", "-i", "y=6x4xf32")
                for sizes in (("10x4", "7x4"), ("0x4", "1x4")):
                    self.expect(REFUSED, "run", "m.so", "-i", f"x={sizes[0]}xf32", "-i",
                                f"y={sizes[1]}xf32", says="`past+new` is")
                self.expect(OK, "compile", path, "-o", "free.so")
                needs = []
                for library in ("m.so", "free.so"):
                    self.expect(OK, "inspect", library, "--json")
                    needs.append(json.loads(self.out)["functions"][0]["arena_bytes"])
                self.assertNotIn("T.min", str(needs[0]))  # the range has sharpened the formula
                if name == "m.relax":
                    self.assertIn("T.min", str(needs[1]))
                self.expect(USAGE, "compile", path, "-o", "m.so", "--dim", "past+other=2..16",
                            says="past+other")

    def test_integers_are_0_or_1_unless_bounded(self):
        library = self.compiled(INTEGERS)
        self.expect(OK, "run", library, "-i", "x=200xi64", "--output", "a")
        (result,) = (self.folder / "a").glob("*.npy")
        self.assertEqual(sorted(set(np.load(result))), [0, 2])
        self.expect(OK, "run", library, "-i", "x=200xi64:rand(5,7)", "--output", "b")
        (result,) = (self.folder / "b").glob("*.npy")
        self.assertEqual(sorted(set(np.load(result))), [10, 12, 14])

    def test_text_and_models_run_without_an_artifact(self):
        path = self.write("m.relax", TEXT)
        self.expect(OK, "run", path, "-i", "x=2x4xf32:ones", "-i", "y=4xf32:ones")
        self.assertIn("float32 2x4 [2, 2, 2, 2, 2, 2, …]", self.out)
        path = self.write("m.onnx", model_of("g (float[n] x) => (float[n] y) { y = Neg(x) }"))
        self.expect(OK, "run", path, "-i", "x=2xf32:ones")
        self.assertIn("y: float32 2 [-1, -1]", self.out)

    def test_inspect(self):
        library = self.compiled()
        self.expect(OK, "inspect", library)
        for part in ("x", "float32", "n"):
            self.assertIn(part, self.out)
        self.expect(OK, "inspect", library, "--json")
        facts = json.loads(self.out)
        function = facts["functions"][0]
        self.assertEqual([v["name"] for v in function["inputs"]], ["x", "y"])
        self.assertEqual(function["inputs"][0]["shape"], ["n", 4])
        self.assertEqual(function["operators"], {"add": 1, "nn.relu": 1})

    def test_inspect_memory(self):
        chain = TEXT.replace("w = R.nn.relu(z)", "v = R.sum(z, axis=[0])\n    w = R.add(z, v)")
        path = self.write("m.relax", chain)
        self.expect(OK, "inspect", path, "--memory", "--disable", "fuse_programs")
        self.assertEqual(self.out, "function main\n  arena bytes: 64\n")
        self.expect(OK, "inspect", path, "--disable", "fuse_programs", "--memory", "n=3", "n=8")
        self.assertIn("at n=8: 64 bytes, 1.0000 of the lower bound 64", self.out)
        library = self.compiled(chain, "--debug-memory", "--disable", "fuse_programs")
        self.expect(OK, "inspect", library, "--json", "--memory", "n=3")
        self.assertEqual(json.loads(self.out)[0]["points"][0]["arena_bytes"], 64)
        for wrong, text in {"n=x": "expected `name=size`", "k=3": "is called `k`",
                            "n=-1": "its range does not allow",
                            "n=1,num_threads=0": "its range does not allow"}.items():
            self.expect(USAGE, "inspect", path, "--memory", wrong)
            self.assertIn(text, self.err)

    def test_inspect_memory_as_one_maximum(self):
        # Sizes that none exceeds for all n and m; what stands twice has a name.
        path = self.write("m.onnx", model_of("""g (float[n, 3] x, float[m, 5] y) => (float[] z)
            { a = Softmax<axis = 0>(x) b = Softmax<axis = 0>(a) c = Softmax<axis = 0>(b)
              d = Softmax<axis = 0>(y) e = Softmax<axis = 0>(d) f = Softmax<axis = 0>(e)
              s = ReduceSum<keepdims = 0>(c) t = ReduceSum<keepdims = 0>(f) z = Add(s, t) }"""))
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            self.expect(OK, "inspect", what, "--memory")
            line, *where = self.out.splitlines()[1:]
            self.assertEqual(line.count("T.max("), 1, self.out)
            self.assertTrue(where, self.out)
            for i, definition in enumerate(where):
                self.assertTrue(definition.startswith(f"    where part_{i + 1} = "), self.out)
                self.assertGreater(line.count(f"part_{i + 1}"), 1, self.out)
            self.expect(OK, "inspect", what, "--memory", "--json")
            (function,) = json.loads(self.out)
            self.assertEqual([f"  arena bytes: {text}" for text in function["arena_bytes"]], [line])
            self.assertEqual([f"    where {s['name']} = {s['value']}" for s in function["sizes"]], where)

    def test_inspect_says_what_the_data_decides(self):
        # A Reshape to a shape that is an input: each dimension of the result has a name.
        path = self.write("m.onnx", model_of("""g (float[n, m, k] x, int64[4] to) => (float[] y)
            { y = Reshape(x, to) }"""))
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            self.expect(OK, "inspect", what)
            (shape,) = re.findall(r"y: float32 \((.*)\)", self.out)
            sizes = dict(re.findall(r"^    (\w+) = (.*)$", self.out.split("  sizes\n")[1], re.M))
            self.assertLessEqual(set(shape.split(", ")), set(sizes), self.out)
            for name in shape.split(", "):
                self.assertIn("m * n", sizes[name])

    def test_debug_memory_of_a_region_that_one_branch_opens(self):
        path = self.write("m.relax", """
@R.function
def main(p: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32"), t: R.Tensor((1,), "int64")):
    n, k = T.int64(), T.int64()
    if p:
        u = R.match_cast(R.tensor_to_shape(t), R.Shape([k]))
        y = R.cumsum(R.cumsum(R.full(R.shape([k]), R.const(1.0, "float32")), axis=0), axis=0)
        z = R.cumsum(y, axis=0)
    else:
        z = R.exp(x)
    w = R.cumsum(R.cumsum(z, axis=0), axis=0)
    return w
""")
        for choice, n in {"ones": 7, "zeros": 5}.items():
            self.expect(OK, "compare", path, "--dim", "n=5", "--debug-memory", "--input", f"p={choice}",
                        "--input", "t=rand(7,7)")
            self.assertIn(f"float32 ({n},)", self.out)

    def test_strict_dims_of_text(self):
        path = self.write("m.relax", """
@R.function
def main(x: R.Tensor(("n", "k"), "float32"), y: R.Tensor(("j", 4), "float32")):
    z = R.matmul(x, y)
    return z
""")
        self.expect(OK, "compile", path, "-o", "m.so")
        for command in (("compile", path, "-o", "n.so"), ("inspect", path), ("opt", path)):
            self.expect(MALFORMED, *command, "--strict-dims")
            self.assertIn("m.relax:4:5: error: the dimensions `j` and `k` have to be equal here, but",
                          self.err)
        self.expect(OK, "compile", self.write("same.relax", (self.folder / "m.relax").read_text()
                    .replace("j", "k")), "-o", "n.so", "--strict-dims")

    def test_inspect_memory_of_a_chain_through_flatten(self):
        chain = """
@R.function
def main(x: R.Tensor(("m", 224), "float32")):
    m = T.int64()
    d = R.tanh(R.nn.relu(R.flatten(R.exp(x))))
    return %s
"""
        own = self.write("own.relax", chain % "d")
        inner = self.write("inner.relax", chain % "R.sum(d)")
        for disabled in ((), ("--disable", "fuse_programs")):
            # The result's buffer serves, or one of the chain's own.
            self.expect(OK, "inspect", own, "--memory", "m=0", "m=5", *disabled)
            self.assertIn("arena bytes: 0\n", self.out)
            self.expect(OK, "inspect", inner, "--memory", "m=0", "m=5", *disabled)
            self.assertIn("arena bytes: m * 896\n", self.out)
            self.assertIn("at m=5: 4480 bytes", self.out)

    def test_strides_that_no_memory_can_hold(self):
        path = self.write("m.relax", f"""
@R.function
def main(x: R.Tensor((3, "n"), "float32", strides=[{2**62}, 1])):
    n = T.int64()
    y = R.exp(x)
    return y
""")
        self.expect(REFUSED, "run", path, "--input", "x=3x2xf32:ones")
        self.assertIn("input `x`: no memory for its elements with the strides", self.err)
        self.expect(OK, "run", path, "--input", "x=3x0xf32:ones")
        self.expect(OK, "compare", path)
        self.assertIn("n=2\n  skipped: input `x`: no memory for its elements with the strides",
                      self.out)
        self.assertIn("n=0\n  output_0: float32 (3, 0)", self.out)
        self.expect(REFUSED, "compare", path, "--dim", "n=2..4", says="nothing was compared")

    def test_inspect_memory_of_threads(self):
        path = self.write("m.relax", """
@R.function
def main(x: R.Tensor(("n", "m"), "float32")):
    y = R.nn.softmax(x)
    return y
""")
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            for threads in (1, 4):
                self.expect(OK, "inspect", what, "--memory", f"n=8,m=32,num_threads={threads}")
                self.assertIn("arena bytes: num_threads * ((m + 15) // 16) * 64\n", self.out)
                self.assertIn(f"at n=8,m=32,num_threads={threads}: {threads * 128} bytes", self.out)
            self.expect(OK, "inspect", what, "--memory", "n=8,m=32", env={"REPOSE_NUM_THREADS": "3"})
            self.assertIn("at n=8,m=32,num_threads=3: 384 bytes", self.out)

    def test_inspect_memory_that_the_data_decides(self):
        path = self.write("m.relax", """
@R.function
def main(x: R.Tensor(("n", 4), "float32"), count: R.Tensor((1,), "int64")):
    k = T.int64()
    s = R.match_cast(R.tensor_to_shape(count), R.Shape([k]))
    y = R.cumsum(R.broadcast_to(R.sum(x, axis=[0]), R.shape([k, 4])), axis=0)
    z = R.sum(y, axis=[0])
    return z
""")
        self.expect(OK, "compile", path, "-o", "m.so")
        for what in (path, "m.so"):
            self.expect(OK, "inspect", what, "--memory", "n=8")
            self.assertIn("at n=8: the data decides `k`, and nothing known before the call is an upper "
                          "bound", self.out)
            self.expect(OK, "inspect", what, "--json", "--memory", "n=8")
            (point,) = json.loads(self.out)[0]["points"]
            self.assertEqual(point["arena_bytes"], -1)
            self.assertIn("`k`", point["undecided"])

    def test_opt_prints_what_it_reads(self):
        path = self.write("m.relax", TEXT)
        self.expect(OK, "opt", path)
        again = self.write("again.relax", self.out)
        printed = self.out
        self.expect(OK, "opt", again)
        self.assertEqual(self.out, printed)
        self.expect(OK, "opt", path, "--passes", "legalize,fuse_programs")
        self.assertIn("R.call_tir", self.out)

    def test_opt_rewrites_by_rules(self):
        path = self.write("m.relax", """
@R.function
def main(x: R.Tensor(("n",), "float32")):
    return R.nn.relu(R.nn.relu(x))
""")
        rules = self.write("rules.relax", """
@R.function
def pattern(x: R.Tensor):
    return R.nn.relu(R.nn.relu(x))
@R.function
def replacement(x: R.Tensor):
    return R.nn.relu(x)
""")
        self.expect(OK, "opt", path, "--rewrite", rules, "--print-after", "rewrite")
        self.assertEqual(self.out.count("R.nn.relu("), 2)  # printed twice
        self.expect(MALFORMED, "opt", path, "--rewrite", path, says="neither a pattern nor a replacement")
        self.expect(IO, "opt", path, "--rewrite", "none.relax", says="none.relax")

    def test_what_compile_shows(self):
        path = self.write("m.relax", TEXT)
        self.expect(OK, "compile", path, "-o", "m.so", "--print-after", "legalize", "--time-passes",
                    "--dump-ir", "dump")
        self.assertIn("R.call_tir", self.out)
        self.assertIn("legalize", self.err)
        self.assertTrue(list((self.folder / "dump").glob("*legalize*")))
        for emit, part in (("llvm", "define "), ("asm", ".text")):
            self.expect(OK, "compile", path, "--emit", emit, "-o", "m.txt")
            self.assertIn(part, (self.folder / "m.txt").read_text())


class Compare(Command):
    def test_agreement(self):
        path = self.write("m.relax", TEXT)
        self.expect(OK, "compare", path)
        for part in ("n=0", "n=1", "n=2", "n=7", "largest difference"):
            self.assertIn(part, self.out)
        self.expect(OK, "compare", path, "--dim", "n=5")
        self.assertIn("n=5", self.out)
        self.assertNotIn("n=1", self.out)
        self.expect(OK, "compare", path, self.compiled(), "--input", "x=rand(-3,3)")
        self.expect(OK, "compare", self.compiled(), path)

    def test_mismatch(self):
        other = self.compiled(TEXT.replace("R.add", "R.subtract"))
        path = self.write("m.relax", TEXT)
        self.expect(MISMATCH, "compare", path, other,
                    says=["from the model", "from the interpreter", "[results-differ]", "n=1"])
        self.expect(OK, "compare", path, other, "--atol", "100")
        self.expect(OK, "compare", path, other, "--input", "y=zeros")

    def test_bad_usage(self):
        library = self.compiled()
        path = self.write("m.relax", TEXT)
        self.expect(USAGE, "compare", library, says="give the model")
        self.expect(USAGE, "compare", path, "--dim", "q=3", says="no dimension is called `q`")
        self.expect(USAGE, "compare", path, "--input", "q=rand", says="--input `q=rand`")
        self.expect(USAGE, "compare", path, "--rtol", "-1", says="--rtol")
        self.expect(USAGE, "compare", path, self.compiled(INTEGERS), says="not made from this model")
        self.expect(IO, "compare", path, "nowhere.so", says="nowhere.so")


class Text(Command):
    def test_errors_show_the_place(self):
        bad = TEXT.replace("R.add(x, y)", "R.add(x, q)").replace("R.nn.relu", "R.nn.reluu")
        self.expect_malformed(bad, name="m.relax", says=[
            "m.relax:5:", "unknown name `q`", "    z = R.add(x, q)\n", "^", "did you mean"])

    def test_a_result_with_a_name_of_its_own(self):
        path = self.write("m.relax", TEXT.replace('-> R.Tensor(("n", 4)', '-> R.Tensor(("k", 4)'))
        self.expect(OK, "compare", path)

    def test_a_result_that_may_differ_from_its_annotation(self):
        text = """
@R.function
def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor(("m", 4), "float32")) -> R.Tensor(("n", 4), "float32"):
    z = R.add(y, y)
    return z
"""
        path = self.write("m.relax", text)
        self.expect(OK, "compile", path, "-o", "m.so")
        self.expect(OK, "run", "m.so", "-i", "x=3x4xf32", "-i", "y=3x4xf32")
        for n, m in ((3, 2), (0, 5), (5, 0), (1, 100_000)):
            self.expect(REFUSED, "run", "m.so", "-i", f"x={n}x4xf32", "-i", f"y={m}x4xf32",
                        says=f"a dimension of its result is {m}, its annotation says `n` = {n}")
        self.expect(OK, "compare", path)
        self.expect_malformed(text.replace('-> R.Tensor(("n", 4)', '-> R.Tensor(("n", 5)'),
                              name="m.relax", says="its annotation says")

    def test_a_program_whose_buffers_may_differ(self):
        text = """
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def twice(a: T.Buffer(("n",), "float32"), b: T.Buffer(("n * 2",), "float32")):
        n = T.int64()
        for i in range(n * 2):
            b[i] = a[i // 2]
    @R.function
    def main(x: R.Tensor(("n",), "float32"), like: R.Tensor(("m",), "float32")):
        n, m = T.int64(), T.int64()
        y = R.call_tir(Module.twice, (x,), out_sinfo=R.Tensor((m,), "float32"))
        return y
"""
        path = self.write("m.relax", text)
        self.expect(OK, "compile", path, "-o", "m.so")
        self.expect(OK, "run", "m.so", "-i", "x=3xf32", "-i", "like=6xf32")
        for n, m in ((3, 5), (3, 0), (100_000, 7)):
            self.expect(REFUSED, "run", "m.so", "-i", f"x={n}xf32", "-i", f"like={m}xf32",
                        says=["`twice`", "`b`", str(m), str(2 * n)])

    def test_kinds_of_errors(self):
        for kind, old, new in (
            ("syntax", "R.add(x, y)", "R.add(x, y"),
            ("unknown-name", "R.add(x, y)", "R.add(x, q)"),
            ("wrong-arity", "R.add(x, y)", "R.add(x, y, y)"),
            ("bad-argument", "R.add(x, y)", "R.nn.pad(x, R.shape([1, 1]))"),
            ("bad-literal", "R.add(x, y)", 'R.const(300, "uint8")'),
            ("shape-mismatch", '((4,), "float32")', '((3,), "float32")'),
            ("unbound-symbol", '-> R.Tensor(("n", 4)', '-> R.Tensor(("k * 2", 4)'),
            ("impure-call", "    z =", '    R.print(x, format="{}")\n    z ='),
        ):
            with self.subTest(kind):
                self.expect_malformed(TEXT.replace(old, new, 1), name="m.relax", says=f"[{kind}]")

    def test_a_dtype_mismatch(self):
        bad = TEXT.replace('y: R.Tensor((4,), "float32")', 'y: R.Tensor((4,), "int32")')
        self.expect_malformed(bad, name="m.relax", says=["`add`", "int32"])

    def test_deep_nesting(self):
        for depth in (300, 100_000):
            calls = "R.nn.relu(" * depth + "x" + ")" * depth
            self.expect_malformed(TEXT.replace("R.add(x, y)", calls), name="m.relax",
                                  says="[nesting-too-deep]")
        ifs = "".join(" " * (i + 1) + "if c:\n" for i in range(3000))
        self.expect_malformed('@R.function\ndef main(c: R.Tensor((), "bool")):\n' + ifs,
                              name="m.relax", says="[nesting-too-deep]")
        ifs = "".join("    " * (i + 1) + "if c:\n" for i in range(300))
        self.expect_malformed('@R.function\ndef main(c: R.Tensor((), "bool")):\n' + ifs,
                              name="m.relax", says="[nesting-too-deep]")

    def test_sizes(self):
        for shape in ('("n", -4)', '("n", 99999999999999999999)'):
            self.expect_malformed(TEXT.replace('("n", 4)', shape, 1), name="m.relax")

    @staticmethod
    def functions(count, calls):
        """A module of functions, each of which calls the next one `calls` times in a row."""
        def function(name, callee, options=""):
            body = "".join(f"        x = Module.{callee}(x)\n" for _ in range(calls))
            if callee is None:
                body = "        x = R.nn.relu(x)\n"
            return (f"    @R.function{options}\n    def {name}(x: R.Tensor((2,), \"float32\")):\n"
                    f"{body}        return x\n")

        private = [function(f"f{i}", f"f{i + 1}" if i + 1 < count else None, "(private=True)")
                   for i in range(count)]
        return "@I.ir_module\nclass Module:\n" + function("main", "f0") + "".join(private)

    def test_nested_function_calls(self):
        path = self.write("chain.relax", self.functions(200, 1))
        self.expect(OK, "compile", path, "-o", "chain.so")
        self.expect_malformed(self.functions(100_000, 1), name="m.relax",
                              says="[nesting-too-deep]")

    def test_functions_that_call_each_other_twice(self):
        path = self.write("double.relax", self.functions(8, 2))
        self.expect(OK, "compile", path, "-o", "double.so")
        self.expect(OK, "run", "double.so", "-i", "x=2xf32:ones")
        self.assertIn("[1, 1]", self.out)
        self.expect_malformed(self.functions(60, 2), name="m.relax", timeout=20, says="[too-large]")

    def test_mutual_recursion(self):
        text = """
@I.ir_module
class Module:
    @R.function
    def main(x: R.Tensor((2,), "float32")) -> R.Tensor((2,), "float32"):
        y = Module.other(x)
        return y
    @R.function(private=True)
    def other(x: R.Tensor((2,), "float32")) -> R.Tensor((2,), "float32"):
        y = Module.main(x)
        return y
"""
        self.expect_malformed(text, name="m.relax", code=UNSUPPORTED, says="interpreter only")

    def test_what_native_code_does_not_do(self):
        text = """
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("m",), "float32")) -> R.Tensor(("m",), "float32"):
    m = T.int64()
    if c:
        y = main(c, x)
    else:
        y = R.add(x, x)
    return y
"""
        self.expect_malformed(text, name="m.relax", code=UNSUPPORTED, says="main")

    def test_the_whole_grammar(self):
        folder = Path(__file__).resolve().parent / "grammar"
        for name, canonical, others in (
            ("graph.relax",
             ["R.Object", 'R.Prim(value="pv")', "sinfo_args=", "out_sinfo=", "R.match_cast(", "R.output(",
              "R.assert_op(", "R.print(", "R.shape([", "I.vdevice(", "R.Callable(", "R.null_value()"],
             ["R.Any", "ty_args", "out_ty", "TypeVar", "import tvm", "check_well_formed"]),
            ("tensor.relax",
             ["T.block(", "T.alloc_buffer(", "T.block_attr(", "tir.noalias", "T.match_buffer(",
              "T.axis.scan(", "T.axis.opaque(", "T.axis.reduce(", "with T.init():", "T.where(",
              "T.vectorized(", "T.parallel(", "T.thread_binding(", "T.unroll(", "T.if_then_else(",
              "T.index_map(lambda", "while ", "assert ", "return 0", "T.call_extern("],
             ["sblock", "tirx", "s_tir", "T.let[", "meta_var", "T.serial", "remap",
              "T.fabs", "T.FloorDiv", "T.Div", "T.shift_left", "T.ceildiv"]),
        ):
            with self.subTest(name):
                self.expect(OK, "opt", folder / name)
                printed = self.out
                for part in canonical:
                    self.assertIn(part, printed)
                for part in others:
                    self.assertNotIn(part, printed)
                self.expect(OK, "opt", self.write(name, printed))
                self.assertEqual(self.out, printed)

    def test_loops(self):
        text = """
@R.function
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()

    @R.function
    def goes_on(v: R.Tensor((n,), "float32")) -> R.Tensor((), "bool"):
        return R.less(R.sum(v), R.const(9.0, "float32"))

    @R.function
    def twice(v: R.Tensor((n,), "float32")) -> R.Tensor((n,), "float32"):
        return R.add(v, v)

    y = R.while_loop(goes_on, twice, x)
    return y
"""
        path = self.write("loop.relax", text)
        self.expect(OK, "compile", path, "-o", "loop.so")
        self.expect(OK, "run", "loop.so", "-i", "x=3xf32:ones")
        called = text.replace("R.while_loop(goes_on, twice, x)", "twice(x)")
        self.expect(OK, "compile", self.write("called.relax", called), "-o", "called.so")
        recursive = called.replace("return R.add(v, v)", "return twice(v)")
        self.expect_malformed(recursive, name="m.relax", code=UNSUPPORTED, says="a call of a closure")
        self.expect(OK, "opt", path)
        self.assertIn("R.while_loop(goes_on, twice, x)", self.out)
        printed = self.out
        self.expect(OK, "opt", self.write("again.relax", printed))
        self.assertEqual(self.out, printed)


class Onnx(Command):
    GOOD = """g (float[batch, 3] x) => (float[batch, 2] y)
        <float[3, 2] w = {1, 2, 3, 4, 5, 6}> { h = MatMul(x, w) y = Relu(h) }"""

    def test_truncated_and_random_bytes(self):
        good = model_of(self.GOOD)
        self.assertEqual(self.repose("compile", self.write("good.onnx", good), "-o", "g.so"), OK,
                         self.err)
        generator = random.Random(1)
        for cut in sorted(generator.sample(range(len(good)), 8)):
            with self.subTest(cut=cut):
                path = self.write("cut.onnx", good[:cut])
                self.assertIn(self.repose("compile", path, "-o", "out.so"), (UNSUPPORTED, MALFORMED),
                              self.err)
                self.assertTrue(self.err)
        for size in (0, 1, 100, 10_000):
            with self.subTest(size=size):
                self.expect_malformed(generator.randbytes(size), says="error")

    def test_a_cycle(self):
        self.expect_malformed(model_of("""g (float[n] x) => (float[n] y)
            { a = Add(x, b) b = Relu(a) y = Neg(b) }"""), says="cycle")

    def test_a_missing_value(self):
        self.expect_malformed(model_of("g (float[n] x) => (float[n] y) { y = Add(x, nowhere) }"),
                              says=["nowhere", "[missing-value]"])

    def test_a_dtype_mismatch(self):
        self.expect_malformed(model_of(
            "g (float[n] x, int64[n] z) => (float[n] y) { y = Add(x, z) }"), says="int64")

    def test_unsupported_operators_are_listed_at_once(self):
        self.expect_malformed(model_of("""g (float[n] x) => (float[n] y)
            { [first] a = NoSuchOperator(x) [second] y = AnotherOne(a) }"""),
            code=UNSUPPORTED, says=["NoSuchOperator", "AnotherOne", "first", "second",
                                    "[unsupported-operator]"])

    def test_negative_and_huge_dimensions(self):
        for size in (-5, 2**62, 2**63 - 1):
            with self.subTest(size):
                graph = helper.make_graph(
                    [helper.make_node("Relu", ["x"], ["y"])], "g",
                    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, 8])],
                    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [size, 8])])
                self.expect_malformed(helper.make_model(graph).SerializeToString())

    def test_a_huge_expand(self):
        self.expect_malformed(model_of("""g (float[1] x) => (float[n] y)
            <int64[1] to = {1152921504606846976}> { y = Expand(x, to) }"""))
        # A constant: nothing large is made while the model is compiled.
        self.expect_malformed(model_of("""g (float[1] x) => (float[n] y)
            <float[1] one = {1}, int64[1] to = {1152921504606846976}>
            { e = Expand(one, to) y = Add(x, e) }"""))

    def test_deep_nesting(self):
        self.expect_malformed(nested_ifs(1000))
        self.expect_malformed(nested_ifs(100_000))

    def test_a_chain_of_100000_functions(self):
        opset = field(8, varint(2 << 3) + varint(17))
        own = field(8, field(1, b"own") + varint(2 << 3) + varint(1))

        def node(kind, domain):
            return field(1, b"x") + field(2, b"y") + field(4, kind) + field(7, domain)

        def function(i, body):
            return field(25, field(1, b"f%d" % i) + field(4, b"x") + field(5, b"y") + field(7, body)
                         + field(9, varint(2 << 3) + varint(17))
                         + field(9, field(1, b"own") + varint(2 << 3) + varint(1)) + field(10, b"own"))

        value = field(2, field(1, varint(1 << 3) + varint(1) + field(2, field(1, field(2, b"n")))))
        graph = (field(1, node(b"f0", b"own")) + field(2, b"g") + field(11, field(1, b"x") + value)
                 + field(12, field(1, b"y") + value))
        last = 100_000
        model = [varint(1 << 3) + varint(8), opset, own, field(7, graph)]
        model += [function(i, node(b"f%d" % (i + 1), b"own")) for i in range(last)]
        model.append(function(last, node(b"Relu", b"")))
        path = self.write("chain.onnx", b"".join(model))
        self.assertIn(self.repose("compile", path, "-o", "c.so"), (OK, UNSUPPORTED, MALFORMED),
                      self.err)

    def test_external_data_stays_in_the_folder(self):
        self.write("secret.bin", bytes(64))
        os.mkdir(self.folder / "inner")
        os.symlink("../secret.bin", self.folder / "inner/link.bin")
        os.symlink("/etc/hostname", self.folder / "inner/far.bin")
        os.symlink(self.folder, self.folder / "inner/up")
        os.mkfifo(self.folder / "inner/pipe")
        for location in ("../secret.bin", "/etc/hostname", "a/../../secret.bin", "missing.bin", "",
                         "link.bin", "far.bin", "up/secret.bin", "pipe", "."):
            with self.subTest(location):
                tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4],
                                     data_location=TensorProto.EXTERNAL)
                tensor.external_data.add(key="location", value=location)
                graph = helper.make_graph(
                    [helper.make_node("Add", ["x", "w"], ["y"])], "g",
                    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
                    [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])], [tensor])
                path = self.write("inner/m.onnx", helper.make_model(graph).SerializeToString())
                self.assertIn(self.repose("compile", path, "-o", "m.so"), (MALFORMED, IO), self.err)
                if location not in ("pipe", "."):
                    self.assertIn("`w`", self.err)
                self.assertFalse((self.folder / "m.so").exists())

    def test_names_that_are_no_identifiers(self):
        graph = helper.make_graph(
            [helper.make_node("Relu", ["/a/b.0"], ["?out"], name="/relu/node")], "g",
            [helper.make_tensor_value_info("/a/b.0", TensorProto.FLOAT, ["d.0", None])],
            [helper.make_tensor_value_info("?out", TensorProto.FLOAT, ["d.0", None])])
        path = self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
        self.expect(OK, "compile", path, "-o", "m.so", "--dim", "/a/b.0_1=1..8")
        self.expect(OK, "run", self.folder / "m.so", "-i", "/a/b.0=2x3xf32", "--output", "r")
        self.assertEqual(os.listdir(self.folder / "r"), ["?out.npy"])
        self.expect(REFUSED, "run", self.folder / "m.so", "-i", "/a/b.0=2x9xf32", says="`/a/b.0`")
        self.expect(OK, "compare", path)


if __name__ == "__main__":
    sys.exit(unittest.main())

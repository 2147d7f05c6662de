#!/usr/bin/env python3
"""The command line: the files that it reads and writes, and what it prints of them.

    REPOSE=build/release/bin/repose python tests/cli/files_test.py
"""
import json
import os
import subprocess
import sys
import unittest
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper

from command_line import INTERNAL, IO, MALFORMED, OK, REPOSE, TEXT, USAGE, Command



class Files(Command):
    def test_what_cannot_be_read(self):
        for command in ("compile", "run", "inspect", "opt", "compare"):
            with self.subTest(command):
                self.expect(IO, command, "nowhere.onnx", says=["nowhere.onnx", "[cannot-read]"])
                self.expect(IO, command, self.folder, says="[cannot-read]")
        library = self.compiled()
        for file in ("nowhere.npy", self.folder):
            self.expect(IO, "run", library, "--input", f"x=@{file}", "--input", "y=4xf32",
                        says=[str(file), "[cannot-read]"])

    def test_what_cannot_be_written(self):
        path = self.write("m.relax", TEXT)
        before = sorted(os.listdir(self.folder))
        for emit in ("so", "o", "llvm", "asm"):
            with self.subTest(emit):
                self.expect(IO, "compile", path, "--emit", emit, "-o", "no/such/folder/m.so",
                            says="[cannot-write]")
                self.expect(IO, "compile", path, "--emit", emit, "-o", "/proc/m.so",
                            says="[cannot-write]")
                self.expect(IO, "compile", path, "--emit", emit, "-o", self.folder,
                            says="[cannot-write]")
        self.assertEqual(sorted(os.listdir(self.folder)), before, "no half-written file stays")
        library = self.compiled()
        self.expect(IO, "run", library, "-i", "x=1x4xf32", "-i", "y=4xf32", "--output",
                    "/proc/nowhere", says="[cannot-write]")

    def test_a_failure_leaves_the_old_artifact(self):
        library = Path(self.compiled())
        before = library.read_bytes()
        bad = self.write("bad.relax", TEXT.replace("R.add", "R.nothing"))
        self.expect(MALFORMED, "compile", bad, "-o", library, says="nothing")
        self.assertEqual(library.read_bytes(), before)

    def test_the_same_input_gives_the_same_bytes(self):
        first = Path(self.compiled()).read_bytes()
        self.assertEqual(Path(self.compiled()).read_bytes(), first)

    def test_cache(self):
        path = self.write("m.onnx", self.model_with_weight(1.0))
        compiled = ("compile", path, "--cache", "kept")
        kept = lambda: sorted((self.folder / "kept").iterdir())
        self.expect(OK, *compiled, "-o", "a.so")
        [first] = kept()
        self.assertEqual(first.read_bytes(), (self.folder / "a.so").read_bytes())
        # What is taken from there is what lies there.
        first.write_bytes(b"something else")
        self.expect(OK, *compiled, "-o", "b.so")
        self.assertEqual((self.folder / "b.so").read_bytes(), b"something else")
        self.expect(OK, *compiled, "-o", "b.so", "--print-after", "legalize")  # nothing to show of it
        self.assertIn("def main", self.out)
        self.assertEqual((self.folder / "b.so").read_bytes(), (self.folder / "a.so").read_bytes())
        # Whatever an artifact depends on makes another.
        others = [["--dim", "n=1..7"], ["--cpu", "x86-64-v2"], ["--disable", "fuse_programs"], ["--debug-memory"],
                  ["--profile"], ["--emit", "o"], ["--emit", "asm"], ["--name", "other"]]
        for number, options in enumerate(others, 2):
            with self.subTest(options):
                self.expect(OK, *compiled, "-o", "c", *options)
                self.assertEqual(len(kept()), number)
        self.write("m.onnx", self.model_with_weight(2.0))
        self.expect(OK, *compiled, "-o", "d.so")
        self.assertEqual(len(kept()), len(others) + 2)
        self.assertNotEqual((self.folder / "d.so").read_bytes(), (self.folder / "a.so").read_bytes())
        self.expect(OK, "run", "d.so", "-i", "x=2xf32:ones")
        self.assertIn("[3, 3]", self.out)

    def model_with_weight(self, value):
        weight = helper.make_tensor("w", TensorProto.FLOAT, [1], [value])
        x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n"]) for n in "xy")
        graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weight])
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)],
                                 ir_version=8).SerializeToString()

    def test_cache_that_cannot_be(self):
        path = self.write("m.relax", TEXT)
        self.expect(IO, "compile", path, "-o", "m.so", "--cache", "/proc/kept", says=["--cache", "/proc/kept"])
        self.expect(IO, "compile", path, "-o", "m.so", "--cache", self.folder / "m.relax", says="--cache")
        self.expect(USAGE, "compile", path, "-o", "m.so", "--cache", "")
        self.assertFalse((self.folder / "m.so").exists())

    def test_what_is_no_artifact(self):
        path = self.write("m.so", b"\x7fELF" + bytes(100))
        for command in ("run", "inspect"):
            self.assertNotIn(self.repose(command, path), (OK, INTERNAL))
            self.assertTrue(self.err)
        library = Path(self.compiled())
        data = library.read_bytes()
        cut = self.write("cut.so", data[: len(data) // 2])
        self.assertEqual(self.repose("run", cut, "-i", "x=1x4xf32", "-i", "y=4xf32"), IO, self.err)

    def test_array_files(self):
        library = self.compiled()
        for name, data in {
            "empty.npy": b"",
            "text.npy": b"hello, this is no array",
            "cut.npy": b"\x93NUMPY\x01\x00\x76\x00{'descr'",
            "huge.npy": b"\x93NUMPY\x01\x00\xff\xff{'descr': '<f4', 'shape': (99999999999,)}",
        }.items():
            with self.subTest(name):
                self.write(name, data)
                self.expect(MALFORMED, "run", library, "-i", f"x=@{name}", "-i", "y=4xf32",
                            says="[bad-array-file]")

    def test_results_are_written(self):
        library = self.compiled()
        x = np.arange(12, dtype=np.float32).reshape(3, 4) - 6
        y = np.array([1, 2, 3, 4], np.float32)
        np.save(self.folder / "x.npy", x)
        np.save(self.folder / "y.npy", y)
        self.expect(OK, "run", library, "-i", "x=@x.npy", "-i", "y=@y.npy", "--output", "results")
        (written,) = (self.folder / "results").glob("*.npy")
        np.testing.assert_array_equal(np.load(written), np.maximum(x + y, 0))
        np.save(self.folder / "x.npy", np.asfortranarray(x))
        self.expect(OK, "run", library, "-i", "x=@x.npy", "-i", "y=@y.npy", "--output", "columns")
        (written,) = (self.folder / "columns").glob("*.npy")
        np.testing.assert_array_equal(np.load(written), np.maximum(x + y, 0))


class Outputs(Command):
    def test_what_is_no_regular_file_stays(self):
        path = self.write("m.relax", TEXT)
        os.mkfifo(self.folder / "pipe")
        os.symlink("pipe", self.folder / "link")
        for name in ("pipe", "link"):
            for emit in ("so", "o", "llvm"):
                self.expect(IO, "compile", path, "--emit", emit, "-o", name,
                            says=["it is no regular file", "[cannot-write]"])
            self.expect(IO, "inspect", path, "--html", name, says="it is no regular file")
        self.assertTrue((self.folder / "pipe").is_fifo())
        self.assertTrue((self.folder / "link").is_symlink())
        os.symlink("loop", self.folder / "loop")
        self.expect(IO, "compile", path, "-o", "loop", says="[cannot-write]")

    def test_a_link_is_followed(self):
        path = self.write("m.relax", TEXT)
        os.mkdir(self.folder / "inner")
        self.write("inner/old.so", "old")
        os.symlink("inner/old.so", self.folder / "link.so")
        os.symlink("inner/new.html", self.folder / "link.html")  # its target is made
        self.expect(OK, "compile", path, "-o", "link.so")
        self.expect(OK, "inspect", path, "--html", "link.html")
        for name in ("link.so", "link.html"):
            self.assertTrue((self.folder / name).is_symlink())
        self.assertEqual((self.folder / "inner/old.so").read_bytes()[:4], b"\x7fELF")
        self.assertIn(b"<html", (self.folder / "inner/new.html").read_bytes())
        self.assertEqual(sorted(os.listdir(self.folder / "inner")), ["new.html", "old.so"])

    def test_the_model_is_not_replaced(self):
        path = self.write("m.relax", TEXT)
        self.write("m.safetensors", (8).to_bytes(8, "little") + b"{}      ")
        os.symlink("m.relax", self.folder / "link")
        os.link(path, self.folder / "hard")
        for output in ("m.relax", "./m.relax", "link", "hard", "m.safetensors"):
            self.expect(USAGE, "compile", path, "-o", output, says="holds the model that is read")
            self.expect(USAGE, "inspect", path, "--html", output, says="[bad-usage]")
        self.expect(USAGE, "compile", self.write("text.s", TEXT), "--emit", "asm")
        self.assertEqual(Path(path).read_text(), TEXT)

    def test_results_whose_names_become_one(self):
        graph = helper.make_graph(
            [helper.make_node("Neg", ["x"], ["/a/b"]), helper.make_node("Abs", ["x"], ["_a_b"]),
             helper.make_node("Relu", ["x"], ["_a/b"]),
             helper.make_node("Identity", ["x"], ["_a_b_1"])], "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"])
             for name in ("/a/b", "_a_b", "_a/b", "_a_b_1")])
        path = self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
        x = np.array([-1.5, 2], np.float32)
        np.save(self.folder / "x.npy", x)
        self.expect(OK, "run", path, "-i", "x=@x.npy", "--output", "r")
        for name, expected in {"_a_b": -x, "_a_b_1": abs(x), "_a_b_2": np.maximum(x, 0),
                               "_a_b_1_1": x}.items():
            np.testing.assert_array_equal(np.load(self.folder / f"r/{name}.npy"), expected)
        self.assertIn("_a_b: float32 2 [1.5, 2] in _a_b_1.npy\n", self.out)

    def test_long_names(self):
        stem = "layer/" * 60
        names = [stem + end for end in ("first", "second", "third", "fourth")]
        graph = helper.make_graph(
            [helper.make_node("Add", names[:2], [names[2]]),
             helper.make_node("Sub", names[:2], [names[3]])], "g",
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in names[:2]],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in names[2:]])
        path = self.write("m.onnx", helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString())
        self.expect(OK, "compile", path, "-o", "m.so")
        self.expect(OK, "inspect", "m.so", "--json")
        (function,) = json.loads(self.out)["functions"]
        self.assertEqual([v["name"] for v in function["inputs"]], names[:2])
        self.assertEqual([v["name"] for v in function["outputs"]], names[2:])
        self.expect(OK, "run", "m.so", "-i", f"{names[0]}=3xf32:ones", "-i",
                    f"{names[1]}=3xf32:ones", "--output", "r")
        values = [np.load(f)[0] for f in sorted((self.folder / "r").iterdir())]
        self.assertEqual(sorted(values), [0, 2])
        self.expect(OK, "compare", path)

    def test_output_that_is_lost(self):
        path = self.write("m.relax", TEXT)
        library = self.compiled()
        for command in (("opt", path), ("inspect", library), ("inspect", path, "--memory", "n=1"),
                        ("inspect", path, "--why", "n"), ("compare", path), ("version",),
                        ("--help",), ("run", library, "-i", "x=1x4xf32", "-i", "y=4xf32"),
                        ("compile", path, "-o", "n.so", "--print-after", "legalize")):
            with self.subTest(command[0]), open("/dev/full", "wb") as full:
                done = subprocess.run([REPOSE, *command], stdout=full, stderr=subprocess.PIPE,
                                      cwd=self.folder, check=False, timeout=300)
                self.assertEqual(done.returncode, IO, done.stderr)
                self.assertIn(b"cannot write the output", done.stderr)
                self.assertIn(b"[cannot-write]", done.stderr)


    def test_file_names_that_are_no_text(self):
        name = os.fsdecode(b"strange-\xff.relax")
        Path(self.folder, name).write_text(TEXT)
        self.expect(OK, "compile", name, "-o", "m.so")
        self.expect(OK, "inspect", "m.so", "--json")
        self.assertEqual(json.loads(self.out)["source"], "strange-\ufffd.relax")
        self.expect(OK, "inspect", name, "--html", "m.html")


class Terminal(Command):
    """What a terminal would obey, or not show."""

    def lines(self, contents):
        path = self.write("m.relax", contents)
        self.expect(MALFORMED, "opt", path)
        return self.err.split("\n")

    def test_bytes_that_are_no_text(self):
        _, line, caret = self.lines(b"\xff\xfe\x00@R.function\n")[:3]
        self.assertEqual(line, r"  \xff\xfe\x00@R.function")
        self.assertEqual(caret, "          ^")  # under what is no name

    def test_control_characters(self):
        strange = TEXT.replace("R.add(x, y)", 'R.call_packed("\x1b[31m\x9bé", q)')
        lines = self.lines(strange)
        at = [i for i, line in enumerate(lines) if r"\x1b[31m\xc2\x9bé" in line][-1]
        self.assertEqual(lines[at + 1].index("^"), lines[at].index("q)"))
        self.assertNotIn("\x1b", self.err)
        self.assertIn("[unknown-name]", self.err)

    def test_the_path(self):
        self.expect(IO, "opt", "\x1b[2J.relax", says=r"`\x1b[2J.relax`")

if __name__ == "__main__":
    sys.exit(unittest.main())

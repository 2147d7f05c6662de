#!/usr/bin/env python3
"""`repose compile --tune`: what it measures and keeps, what later compiles make of that; what it refuses.

    REPOSE=build/release/bin/repose python tests/cli/tune_test.py
"""
import json
import unittest

from command_line import IO, OK, USAGE, Command, model_of

MODEL = model_of("""
agraph (float[n, 256] x, float[256, 512] w, float[512, 256] v) => (float[n, 256] y)
{
  a = MatMul (x, w)
  c = Relu (a)
  d = MatMul (c, v)
  y = Softmax (d)
}
""")
SHAPES = ["--tune-shapes", "n=33", "n=1"]


class Tune(Command):
    def setUp(self):
        super().setUp()
        self.model = self.write("model.onnx", MODEL)
        self.tuned = self.folder / "tuned.json"

    def programs(self):
        return json.loads(self.tuned.read_text())["programs"]

    def artifact(self, *options):
        self.expect(OK, "compile", self.model, "-o", "m.so", *options)
        return (self.folder / "m.so").read_bytes()

    def test_measures_once(self):
        first = self.artifact("--tune", "--tuned", self.tuned, *SHAPES)
        self.assertRegex(self.out, r"tuned: \d of 3 programs are faster with other numbers")
        programs = self.programs()
        self.assertEqual(len(programs), 3)
        for program in programs.values():
            self.assertGreater(program["usual_ms"], 0)
            self.assertGreater(program["ms"], 0)
            if f"  {program['program']}: " in self.out:
                self.assertLess(program["ms"], program["usual_ms"])
        self.assertEqual(self.artifact("--tune", "--tuned", self.tuned, *SHAPES), first)
        self.assertIn("tuned before: all 3 programs", self.out)
        self.assertEqual(self.programs(), programs)
        self.assertEqual(self.artifact("--tuned", self.tuned), first)

    def test_what_is_tuned_is_used(self):
        """Vectors of 128 bits and small caches: other loops, the same results."""
        self.artifact("--tune", "--tuned", self.tuned, *SHAPES)
        usual = self.artifact()
        self.assertEqual(self.out, "")
        programs = self.programs()
        for program in programs.values():
            program.update(vector_bits=128, l1_bytes=4096, l2_bytes=8192)
        self.tuned.write_text(json.dumps({"format": "repose tuning 1", "programs": programs}))
        changed = self.artifact("--tuned", self.tuned)
        self.assertNotEqual(changed, usual)
        cache = self.folder / "cache"
        for options, bytes_made in (((), usual), (("--tuned", self.tuned), changed)) * 2:
            self.assertEqual(self.artifact("--cache", cache, *options), bytes_made)
        self.expect(OK, "compare", self.model, "--tuned", self.tuned)

    def test_a_model_without_symbols(self):
        fixed = self.write("fixed.onnx", model_of("g (float[64, 64] x) => (float[64, 64] y) { y = MatMul (x, x) }"))
        self.expect(OK, "compile", fixed, "-o", "m.so", "--tune=1", "--tuned", self.tuned)
        self.assertIn("tuned: ", self.out)

    def test_refuses(self):
        def refused(code, text, *options):
            self.expect(code, "compile", self.model, "-o", "m.so", *options)
            self.assertIn(text, self.err)

        refused(USAGE, "expected --tuned FILE", "--tune")
        refused(USAGE, "expected a number of seconds above 0", "--tune=0", "--tuned", self.tuned)
        refused(USAGE, "--tune-shapes: no effect without --tune", *SHAPES)
        refused(USAGE, "not for --cpu", "--tune", "--tuned", self.tuned, "--cpu", "x86-64-v3")
        refused(USAGE, "--tune-shapes: no size for `n`; an example: n=1", "--tune", "--tuned", self.tuned)
        refused(USAGE, "holds the model that is read", "--tune", "--tuned", self.model, *SHAPES)
        self.assertFalse(self.tuned.exists())
        refused(IO, "cannot read", "--tuned", self.tuned)
        program = {"program": "p", "vector_bits": 512, "l1_bytes": 49152, "l2_bytes": 1 << 20, "usual_ms": 1, "ms": 1}
        for content, text in (("", "was not written by --tune"), ("{}", "was not written by --tune"),
                              (json.dumps({"format": "repose tuning 9", "programs": {}}), "its format is not"),
                              (self.with_program(program | {"vector_bits": 7}), "numbers of no machine"),
                              (self.with_program(program | {"l1_bytes": -1}), "numbers of no machine"),
                              (self.with_program({"program": "p"}), "was not written by --tune")):
            self.tuned.write_text(content)
            refused(USAGE, text, "--tuned", self.tuned)
            refused(USAGE, text, "--tune", "--tuned", self.tuned, *SHAPES)

    @staticmethod
    def with_program(program):
        return json.dumps({"format": "repose tuning 1", "programs": {"0" * 32: program}})


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""The command line: schedules that it prints and reads (docs/cli.md, "Schedules").

    REPOSE=build/release/bin/repose python tests/cli/schedules_test.py
"""
import sys
import unittest

from command_line import IO, MALFORMED, OK, USAGE, Command

COPY = """
@I.ir_module
class Module:
    @T.prim_func
    def double(A: T.Buffer(("n",), "float32"), B: T.Buffer(("n",), "float32")):
        n = T.int64()
        for i in range(n):
            with T.block("double"):
                v = T.axis.spatial(n, i)
                B[v] = A[v] * T.float32(2)

    @R.function
    def main(x: R.Tensor(("n",), "float32")):
        n = T.int64()
        cls = Module
        y = R.call_tir(cls.double, (x,), out_sinfo=R.Tensor((n,), "float32"))
        return y
"""

# Its fused program has two parameters of one name, as those of models often do.
PRODUCT = """
@R.function
def main(x: R.Tensor(("m", 3), "float32")):
    y = R.matmul(x, R.const([[1, 2], [3, 4], [5, 6]], "float32"))
    z = R.nn.relu(R.add(y, R.const([1, 2], "float32")))
    return z
"""

STEPS = """\
# what a person wrote
double:
    i_o, inner = split(i, 8, masked)   # tiles

    vectorize(inner)
parallel(i_o, 4)
"""

PASSES = ("--passes", "expose_symbols,schedule_programs")


class Schedules(Command):
    def setUp(self):
        super().setUp()
        self.model = self.write("m.relax", COPY)

    def refused(self, steps, says, code=MALFORMED):
        path = self.write("steps.txt", steps)
        self.expect(code, "opt", self.model, *PASSES, "--schedule", path, says=says)

    def test_written_steps_are_applied(self):
        path = self.write("steps.txt", STEPS)
        self.expect(OK, "opt", self.model, *PASSES, "--schedule", path)
        self.assertIn("T.parallel((n + 7) // 8", self.out)
        self.assertIn("T.vectorized(8)", self.out)
        self.assertNotIn("T.block", self.out)

    def test_trace_prints_what_can_be_read(self):
        path = self.write("steps.txt", STEPS)
        self.expect(OK, "opt", self.model, *PASSES, "--schedule", path, "--trace")
        printed = self.out
        self.assertEqual(printed, "double:\n    i_o, i_i = split(i, 8, masked)\n"
                                  "    vectorize(i_i)\n    parallel(i_o, 4)\n")
        again = self.write("again.txt", printed)
        self.expect(OK, "opt", self.model, *PASSES, "--schedule", again, "--trace")
        self.assertEqual(self.out, printed)
        self.expect(OK, "opt", self.model, *PASSES, "--trace")
        self.assertIn("double", self.out)

    def test_what_the_rules_did_can_be_applied(self):
        model = self.write("product.relax", PRODUCT)
        out = str(self.folder / "product.so")
        self.expect(OK, "compile", model, "-o", out, "--trace")
        steps = self.write("steps.txt", self.out)
        self.assertIn("reindex(", self.out)

        def programs(*options):
            self.expect(OK, "compile", model, "-o", out, "--print-after", "schedule_programs", *options)
            return [line for line in self.out.splitlines() if "in_place" not in line]

        self.assertEqual(programs(), programs("--schedule", steps))

    def test_a_scheduled_model_computes_the_same(self):
        path = self.write("steps.txt", STEPS)
        self.expect(OK, "run", self.model, "-i", "x=3xf32:ones", "--schedule", path)
        self.assertIn("[2, 2, 2]", self.out)
        self.expect(OK, "compare", self.model, "--schedule", path)
        self.expect(OK, "compile", self.model, "-o", "m.so", "--schedule", path, "--verify")

    def test_errors_have_places(self):
        self.refused("double:\n    i_o, i_i = split(j, 8, masked)\n",
                     ["steps.txt:2:22: error: there is no loop `j`, did you mean `i`?",
                      "      i_o, i_i = split(j, 8, masked)\n                       ^", "[unknown-name]"])
        self.refused("double:\n  parallel(i, 1)\n  vectorize(i)\n",
                     ["steps.txt:3:3: error: `i` is parallel already", "[illegal-schedule]"])
        self.refused("double:\nsplit(i, 8\n", ["steps.txt:2:11", "[syntax]"])
        self.refused("doubles:\n", ["steps.txt:1:1", "no tensor program `doubles`, did you mean `double`?"])
        self.refused("split(i, 8, masked)\n", ["steps.txt:1:1", "before the first line `name:`"])
        self.refused("double:\ndouble:\n", ["steps.txt:2:1", "a second schedule of `double`"])
        self.refused("double:\n  split(i, 8, masked)\n  parallel(i, 1)\nother:\n",
                     ["steps.txt:3:12: error: there is no loop `i`", "steps.txt:4:1"])

    def test_options_without_effect(self):
        path = self.write("steps.txt", STEPS)
        self.expect(USAGE, "opt", self.model, "--schedule", path, says="--schedule: no effect")
        self.expect(USAGE, "opt", self.model, "--trace", says="--trace: no effect")
        self.expect(USAGE, "compile", self.model, "-o", "m.so", "--disable", "schedule_programs",
                    "--schedule", path, says="--schedule: no effect")
        self.expect(IO, "opt", self.model, *PASSES, "--schedule", "nowhere.txt", says="nowhere.txt")
        self.expect(USAGE, "opt", self.model, *PASSES, "--schedule", "", says="expected some text")


if __name__ == "__main__":
    sys.exit(unittest.main())

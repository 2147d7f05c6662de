#!/usr/bin/env python3
"""`repose profile`: the table, JSON, the trace, the page in a browser without a window; what it refuses.

    REPOSE=build/release/bin/repose python tests/cli/profile_test.py
"""
import json
import re
import shutil
import subprocess
import unittest

from command_line import IO, OK, REFUSED, USAGE, Command, model_of

CHROMIUM = shutil.which("chromium")
LIMITS = ["--limits", "100,20"]

# A product with what follows it, twice, and a softmax.
MODEL = model_of("""
agraph (float[batch, 64] x, float[64, 64] v, float[64, 64] w) => (float[batch, 64] y)
{
  [first] a = MatMul (x, v)
  [gate] b = Relu (a)
  [second] c = MatMul (b, w)
  [last] d = Relu (c)
  [sum] y = Softmax <axis = -1> (d)
}
""")


class Profile(Command):
    def setUp(self):
        super().setUp()
        self.model = self.write("model.onnx", MODEL)

    def profiled(self, *options, shapes="batch=32"):
        self.expect(OK, "profile", self.model, "--shapes", shapes, *LIMITS, "--repeat", 5,
                    "--threads", 1, "--json", *options)
        return json.loads(self.out)

    def test_json_says_what_each_kernel_did(self):
        profile = self.profiled()
        self.assertEqual((profile["model"], profile["function"], profile["sizes"], profile["threads"],
                          profile["calls"]), ("model", "main", "batch=32", 1, 5))
        self.assertEqual(profile["machine"]["gflops"], 100)
        places = profile["places"]
        self.assertEqual(sum(k["runs"] for k in profile["kernels"]), len(places))
        nodes = [node for place in places for node in place["nodes"]]
        for name in ("first", "gate", "second", "last", "sum"):
            self.assertEqual(sum(f"`{name}`" in node for node in nodes), 1, nodes)
        [first] = [place for place in places if any("`first`" in node for node in place["nodes"])]
        self.assertEqual(first["flops"], 32 * 64 * (2 * 64 + 1))
        self.assertEqual(first["read_bytes"], 4 * (32 * 64 + 64 * 64))
        self.assertEqual(first["written_bytes"], 4 * 32 * 64)
        self.assertEqual(first["operators"], "MatMul, Relu")
        for k in places:
            seconds = k["ms"] / 1e3
            self.assertGreater(seconds, 0)
            least = max(k["flops"] / 100e9, (k["read_bytes"] + k["written_bytes"]) / 20e9)
            self.assertAlmostEqual(k["of_limit"], least / seconds, places=6)
            self.assertAlmostEqual(k["gflops"], k["flops"] / seconds / 1e9, places=6)
        in_kernels = sum(k["ms"] for k in profile["kernels"])
        self.assertLess(in_kernels, profile["ms"] * 1.5)
        times = [k["ms"] for k in profile["kernels"]]
        self.assertEqual(times, sorted(times, reverse=True))

    def test_sizes_change_the_work(self):
        small, large = self.profiled(shapes="batch=1"), self.profiled(shapes="batch=64")
        flops = [sum(k["flops"] for k in p["kernels"]) for p in (small, large)]
        self.assertEqual(flops[1], 64 * flops[0])

    def test_table(self):
        self.expect(OK, "profile", self.model, "--shapes", "batch=8", *LIMITS, "--repeat", 3,
                    "--threads", 2)
        self.assertRegex(self.out, r"model main, batch=8, 2 threads: \d+\.\d+ ms a call \(median of 3\)")
        self.assertIn("100.0 GFLOP/s of float32, reads 20.0 GB/s", self.out)
        self.assertRegex(self.out, r"\d+ % (flops|bytes)\s+\w*matmul\w*  MatMul, Relu")
        self.assertIn("between kernels", self.out)
        by_kernel = len(self.out.splitlines())
        self.expect(OK, "profile", self.model, "--shapes", "batch=8", *LIMITS, "--repeat", 3, "--places")
        self.assertGreaterEqual(len(self.out.splitlines()), by_kernel)

    def test_artifact(self):
        self.expect(OK, "compile", self.model, "-o", "with.so", "--profile")
        self.expect(OK, "profile", "with.so", "--shapes", "batch=4", *LIMITS, "--repeat", 2, "--json")
        self.assertEqual(json.loads(self.out)["calls"], 2)
        self.expect(USAGE, "profile", "with.so", "--shapes", "batch=4", "--cpu", "x86-64-v2",
                    says="compiled already")
        self.expect(OK, "compile", self.model, "-o", "without.so")
        self.expect(USAGE, "profile", "without.so", "--shapes", "batch=4",
                    says="`without.so` was compiled without --profile")

    def test_trace(self):
        self.profiled("--chrome-trace", "trace.json")
        trace = json.loads((self.folder / "trace.json").read_text())
        events = [e for e in trace["traceEvents"] if e["ph"] == "X"]
        call, kernels = events[0], events[1:]
        self.assertEqual(call["name"], "main")
        self.assertEqual(call["args"]["sizes"], "batch=32")
        end = 0
        for k in kernels:
            self.assertGreaterEqual(k["ts"], end)
            end = k["ts"] + k["dur"]
            self.assertIn("nodes", k["args"])
        self.assertGreater(len(kernels), 1)
        self.assertLessEqual(end, call["ts"] + call["dur"])

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_page(self):
        profile = self.profiled("--html", "page.html")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={self.folder}/profile", "--virtual-time-budget=2000",
                   "--dump-dom", f"file://{self.folder}/page.html"]
        page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        self.assertEqual(page.count("<circle"), sum(k["flops"] > 0 for k in profile["kernels"]))
        self.assertEqual(page.count('<td class="kernel">'), len(profile["kernels"]))
        self.assertIn("model: main, batch=32, 1 thread", page)
        self.assertNotRegex(page, r'(src|href)="http')
        self.assertEqual(len(re.findall(r'<b id="(?:call|least|speed|between|runs)">[^<]+<', page)), 5)

    def test_measures_the_machine(self):
        self.expect(OK, "profile", self.model, "--shapes", "batch=4", "--repeat", 1, "--threads", 1, "--json")
        machine = json.loads(self.out)["machine"]
        self.assertGreater(machine["gflops"], 0.1)
        self.assertGreater(machine["read_gbps"], 0.5)

    def test_bad_sizes(self):
        for shapes, says in (("", "batch=1"), ("seq=4", "no symbol `seq`; there are `batch`"),
                             ("batch", "expected NAME=SIZE"), ("batch=", "`batch=`, expected"),
                             ("batch=x", "`batch=x`, expected"), ("batch=-1", "expected NAME=SIZE"),
                             ("batch=1,batch=2", "`batch` is given twice"),
                             ("batch=5..3", "no size lies in that range"),
                             ("batch=1..4+0", "expected"), ("batch=0..4*2", "expected"),
                             ("batch=1..4", "4 shapes, expected one")):
            with self.subTest(shapes):
                given = ["--shapes", shapes] if shapes else []
                self.expect(USAGE, "profile", self.model, *given, *LIMITS, says=["--shapes", says])
        self.expect(REFUSED, "profile", self.model, "--dim", "batch=1..8", "--shapes", "batch=9", *LIMITS,
                    says="the model refuses batch=9")

    def test_bad_options(self):
        shapes = ["--shapes", "batch=2"]
        for limits in ("100", "0,20", "100,", "a,b", "100,-1"):
            self.expect(USAGE, "profile", self.model, *shapes, "--limits", limits, says="--limits")
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "-i", "q=rand", says="--input `q=rand`")
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "--json", "--places", says="--places")
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "--html", "p", "--chrome-trace", "p",
                    says="the same file")
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "--html", self.model, says="name another file")
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "--repeat", 0)
        self.expect(USAGE, "profile", self.model, *shapes, *LIMITS, "--function", "other", says="`other`")
        self.expect(IO, "profile", self.model, *shapes, *LIMITS, "--repeat", 1, "--html", "nowhere/p.html",
                    says="nowhere/p.html")
        self.expect(IO, "profile", "none.onnx", *shapes, says="none.onnx")


if __name__ == "__main__":
    unittest.main()

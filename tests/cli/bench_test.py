#!/usr/bin/env python3
"""`repose bench`: shapes and ranges, what it prints, another library, baselines; what it refuses.

    REPOSE=build/release/bin/repose python tests/cli/bench_test.py
"""
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

from command_line import IO, MISMATCH, OK, REFUSED, USAGE, Command, model_of

CHROMIUM = shutil.which("chromium")
QUICK = ["--limits", "100,20", "--repeat", 3]
ENVIRONMENT = {**os.environ, "REPOSE_PYTHON": sys.executable}

MODEL = model_of("""
agraph (float[batch, seq, 16] x, float[16, 16] w) => (float[batch, seq, 16] y)
{
  a = MatMul (x, w)
  y = Relu (a)
}
""")


class Bench(Command):
    def setUp(self):
        super().setUp()
        self.model = self.write("model.onnx", MODEL)

    def benched(self, *options, model=None):
        self.expect(OK, "bench", model or self.model, *QUICK, "--json", *options, env=ENVIRONMENT)
        return json.loads(self.out)

    def test_shapes_and_ranges(self):
        report = self.benched("--shapes", "batch=2,seq=1..9+4", "batch=1..4*2,seq=3", "--threads", "1,2")
        sizes = ["batch=2, seq=1", "batch=2, seq=5", "batch=2, seq=9",
                 "batch=1, seq=3", "batch=2, seq=3", "batch=4, seq=3"]
        self.assertEqual([(r["threads"], r["sizes"]) for r in report["rows"]],
                         [(threads, s) for threads in (1, 2) for s in sizes])
        self.assertEqual([limit["threads"] for limit in report["limits"]], [1, 2])
        for row in report["rows"]:
            batch, seq = map(int, re.findall(r"=(\d+)", row["sizes"]))
            self.assertEqual(row["flops"], batch * seq * 16 * (2 * 16 + 1))
            self.assertEqual(row["bytes"], 4 * (2 * batch * seq * 16 + 16 * 16))
            self.assertEqual(row["calls"], 3)
            self.assertLessEqual(row["least_ms"], row["median_ms"])
            self.assertLessEqual(row["median_ms"], row["p90_ms"])
            self.assertLessEqual(row["p90_ms"], row["p99_ms"])
            self.assertGreater(row["first_ms"], 0)
            self.assertAlmostEqual(row["gflops"], row["flops"] / row["median_ms"] / 1e6, places=6)
            least = max(row["flops"] / 100e9, row["bytes"] / 20e9)
            self.assertAlmostEqual(row["of_limit"], least / (row["median_ms"] / 1e3), places=6)
        self.assertGreater(report["compile_seconds"], 0)
        self.assertGreater(report["load_ms"], 0)
        self.assertEqual(report["model"], "model")

    def test_table_and_markdown(self):
        for option in ([], ["--markdown"]):
            self.expect(OK, "bench", self.model, *QUICK, "--shapes", "batch=1,seq=7", "--threads", 1, *option)
            self.assertIn("limit with 1 thread: 100.0 GFLOP/s of float32, reads 20.0 GB/s", self.out)
            self.assertRegex(self.out, r"compiled in \d+\.\d\d s, \d+\.\d MB, loaded in \d+\.\d+ ms")
            for title in ("median ms", "p90", "p99", "first", "GFLOP/s", "of limit", "arena MB", "resident MB"):
                self.assertIn(title, self.out)
        self.assertRegex(self.out, r"(?m)^\| 1 \| batch=1, seq=7 \| \d+\.\d+ \|")

    def test_seconds_decide_how_often(self):
        self.expect(OK, "bench", self.model, "--limits", "100,20", "--shapes", "batch=1,seq=1", "--json",
                    "--seconds", "0.2")
        self.assertGreater(json.loads(self.out)["rows"][0]["calls"], 3)

    def test_artifact(self):
        self.expect(OK, "compile", self.model, "-o", "model.so")
        report = self.benched("--shapes", "batch=1,seq=2", model="model.so")
        self.assertNotIn("flops", report["rows"][0])
        self.assertNotIn("compile_seconds", report)
        self.expect(USAGE, "bench", "model.so", *QUICK, "--shapes", "batch=1,seq=2", "--cpu", "x86-64-v2",
                    says="compiled already")

    def test_model_without_symbols(self):
        model = self.write("fixed.onnx", model_of("agraph (float[4] x) => (float[4] y) { y = Relu (x) }"))
        self.assertEqual([r["sizes"] for r in self.benched(model=model)["rows"]], [""])
        self.expect(USAGE, "bench", model, *QUICK, "--shapes", "n=3", says="all its sizes are known")

    def test_data_that_decides_has_no_figures(self):
        model = self.write("nonzero.onnx", model_of(
            "agraph (float[n] x) => (float[n] y, int64[1, k] at) { y = Relu (x) at = NonZero (x) z = Cast <to = 1> (at) }"))
        row = self.benched("--shapes", "n=9", model=model)["rows"][0]
        self.assertGreater(row["median_ms"], 0)

    def test_beside_onnxruntime(self):
        report = self.benched("--shapes", "batch=2,seq=8", "--vs", "onnxruntime")
        row = report["rows"][0]
        self.assertRegex(report["reference"], r"^onnxruntime \d")
        self.assertGreaterEqual(row["reference"]["calls"], 3)
        self.assertAlmostEqual(row["ratio"], row["reference"]["median_ms"] / row["median_ms"], places=6)
        self.assertLess(row["difference"], 1e-5)
        self.expect(OK, "compile", self.model, "-o", "model.so")
        self.expect(USAGE, "bench", "model.so", *QUICK, "--shapes", "batch=1,seq=2", "--vs", "onnxruntime",
                    says="name its ONNX model with --vs-model")
        report = self.benched("--shapes", "batch=1,seq=2", "--vs", "onnxruntime", "--vs-model", self.model,
                              model="model.so")
        self.assertLess(report["rows"][0]["difference"], 1e-5)

    def test_beside_openvino(self):
        arguments = ["--shapes", "batch=2,seq=8", "--vs", "openvino"]
        if importlib.util.find_spec("openvino") is None:
            self.expect(REFUSED, "bench", self.model, *QUICK, *arguments, says="No module named 'openvino'",
                        env=ENVIRONMENT)
            return
        report = self.benched(*arguments)
        self.assertRegex(report["reference"], r"^openvino \d")
        self.assertLess(report["rows"][0]["difference"], 1e-5)

    def test_results_that_differ_are_said(self):
        other = self.write("other.onnx", MODEL.replace(b"Relu", b"Tanh"))
        self.expect(OK, "bench", self.model, *QUICK, "--shapes", "batch=1,seq=2", "--vs", "onnxruntime",
                    "--vs-model", other, env=ENVIRONMENT)
        self.assertIn("results differ from those of onnxruntime", self.out)
        self.assertIn("geometric mean", self.out)

    def test_a_library_that_fails(self):
        shapes = ["--shapes", "batch=1,seq=2"]
        self.expect(REFUSED, "bench", self.model, *QUICK, *shapes, "--vs", "onnxruntime", "--vs-model",
                    self.write("none.onnx", "no model"), says="--vs: ", env=ENVIRONMENT)
        self.expect(IO, "bench", self.model, *QUICK, *shapes, "--vs", "onnxruntime", says="Python ended",
                    env={**os.environ, "REPOSE_PYTHON": "/bin/false"})
        self.expect(USAGE, "bench", self.model, *shapes, "--vs", "torch", says="--vs")
        self.expect(USAGE, "bench", self.model, *shapes, "--vs-model", self.model, says="without --vs")
        self.expect(IO, "bench", self.model, *shapes, "--vs", "onnxruntime", "--vs-model", "gone.onnx",
                    says="gone.onnx")

    def test_baseline(self):
        shapes = ["--shapes", "batch=1,seq=4", "batch=2,seq=4"]
        kept = self.benched(*shapes)
        for row, factor in zip(kept["rows"], (1e6, 1e-6)):  # one that is surely slower, one surely faster
            row["median_ms"] *= factor
        self.write("slow.json", json.dumps({**kept, "rows": kept["rows"][:1]}))
        self.write("fast.json", json.dumps({**kept, "rows": kept["rows"][1:]}))
        report = self.benched(*shapes, "--baseline", "slow.json", "--fail-if", "+5%")
        self.assertLess(report["rows"][0]["change"], 0)
        self.assertNotIn("change", report["rows"][1])
        self.expect(OK, "bench", self.model, *QUICK, *shapes, "--baseline", "fast.json")
        self.assertIn("baseline ms", self.out)
        self.expect(MISMATCH, "bench", self.model, *QUICK, *shapes, "--baseline", "fast.json", "--fail-if", "5%",
                    says=["batch=2, seq=4, ", "from the baseline's", "allowed: +5.0 %"])

    def test_bad_baselines(self):
        shapes = ["--shapes", "batch=1,seq=4"]
        run = ["bench", self.model, *QUICK, *shapes]
        kept = self.benched(*shapes)
        self.expect(IO, *run, "--baseline", "gone.json", says="gone.json")
        for contents, says in (("{", "expected what `repose bench --json` prints"),
                               ("{}", "expected what"), ("[1]", "expected what"),
                               (json.dumps({**kept, "model": "other"}), "not of `main` of `model`"),
                               (json.dumps({**kept, "rows": []}), "none of these sizes"),
                               (json.dumps({**kept, "rows": [{"sizes": "batch=1, seq=4"}]}), "no `median_ms`")):
            self.write("bad.json", contents)
            self.expect(USAGE, *run, "--baseline", "bad.json", says=["--baseline `bad.json`", says])
        self.expect(USAGE, *run, "--fail-if", "+5%", says="without --baseline")
        self.write("good.json", json.dumps(kept))
        for bad in ("5", "x%", "-3%", "%", "++5%"):
            self.expect(USAGE, *run, "--baseline", "good.json", "--fail-if", bad, says="--fail-if")

    def test_bad_options(self):
        shapes = ["--shapes", "batch=1,seq=4"]
        run = ["bench", self.model, *QUICK]
        self.expect(USAGE, *run, says=["no size for `batch`, `seq`", "an example: batch=1,seq=1"])
        self.expect(USAGE, *run, "--shapes", "batch=1", says="no size for `seq` in `batch=1`")
        self.expect(USAGE, *run, "--shapes", "batch=1,other=4", says=["no symbol `other`", "`batch`, `seq`"])
        self.expect(USAGE, *run, "--shapes", "batch=1,seq=9..3", says="no size lies in that range")
        self.expect(USAGE, *run, "--shapes", "batch=1..1000000,seq=1", says="more than 10000 sizes")
        self.expect(USAGE, *run, "--shapes", "batch=1..5000,seq=1..5000", says="more than 10000 combinations")
        self.expect(REFUSED, *run, "--dim", "seq=1..8", "--shapes", "batch=1,seq=4..12+4",
                    says="the model refuses batch=1, seq=12")
        self.expect(USAGE, *run, *shapes, "--json", "--markdown", says="give one")
        self.expect(USAGE, *run, *shapes, "--threads", "1,x")
        self.expect(USAGE, *run, *shapes, "--threads", "-1")
        self.expect(USAGE, *run, *shapes, "--seconds", "1")  # beside --repeat
        self.expect(USAGE, *run, *shapes, "-i", "x=fancy", says="fancy")
        self.expect(USAGE, *run, *shapes, "-i", "q=ones", says="--input `q=ones`")
        self.expect(USAGE, *run, *shapes, "--html", self.model, says="name another file")
        self.expect(IO, *run, *shapes, "--html", "nowhere/p.html", says="nowhere/p.html")
        self.expect(IO, "bench", "gone.onnx", *shapes, says="gone.onnx")

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_page(self):
        self.benched("--shapes", "batch=1..4*2,seq=3", "--threads", 1, "--html", "page.html")
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={self.folder}/profile", "--virtual-time-budget=2000",
                   "--dump-dom", f"file://{self.folder}/page.html"]
        page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        self.assertEqual(page.count('<td class="bars">'), 3)
        self.assertIn("model: main", page)
        self.assertNotRegex(page, r'(src|href)="http')


if __name__ == "__main__":
    unittest.main()

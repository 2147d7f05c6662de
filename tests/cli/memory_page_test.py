#!/usr/bin/env python3
"""The page that `repose inspect --html` writes, in a browser without a window.

    REPOSE=build/release/bin/repose python tests/cli/memory_page_test.py
"""
import json
import re
import shutil
import subprocess
import unittest

from command_line import IO, OK, USAGE, CommandLine

CHROMIUM = shutil.which("chromium")

# Two arrays of n elements beside one of 3 n; several orders of size, by the symbols.
MODEL = """
@R.function
def main(x: R.Tensor(("n", "m"), "float32"), w: R.Tensor(("m", "k"), "float32")):
    n, m, k = T.int64(), T.int64(), T.int64()
    R.func_attr({"tir_var_upper_bound": {"n": 512}, "tir_var_divisor": {"k": 8}})
    with R.dataflow():
        s = R.nn.softmax(R.matmul(x, w))
        t = R.permute_dims(s)
        u = R.matmul(t, x)
        v = R.cumsum(u, axis=0)
        y = R.matmul(s, v)
        R.output(y)
    return y
"""


class MemoryPage(CommandLine):
    def setUp(self):
        super().setUp()
        self.model = self.write("model.relax", MODEL)

    def figures(self, values):
        """{name: number} of the page at these values of the symbols."""
        address = f"file://{self.folder}/plan.html#" + "&".join(f"{k}={v}" for k, v in values.items())
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu",
                   f"--user-data-dir={self.folder}/profile", "--virtual-time-budget=2000",
                   "--dump-dom", address]
        page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
        found = re.findall(r'<b id="([a-z-]+)">([\d,]+)</b>', page)
        return {name: int(number.replace(",", "")) for name, number in found}, page

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_shows_what_the_plan_gives(self):
        self.expect(OK, "inspect", self.model, "--html", "plan.html")
        for n, m, k in [(1, 1, 8), (64, 3, 16), (0, 5, 8), (7, 64, 0), (512, 100, 40)]:
            self.expect(OK, "inspect", self.model, "--json", "--memory",
                        f"n={n},m={m},k={k},num_threads=3")
            [point] = json.loads(self.out)[0]["points"]
            figures, page = self.figures({"n": n, "m": m, "k": k, "num_threads": 3})
            self.assertEqual(figures["peak"], point["arena_bytes"], (n, m, k))
            self.assertEqual(figures["lower-bound"], point["lower_bound"], (n, m, k))
            self.assertEqual(page.count('class="block"') > 0, point["arena_bytes"] > 0)
        self.assertIn('aria-label="n"', page)
        self.assertIn("point at one", page)
        kernels = json.loads(re.search(r"const plan = (.*);", page)[1])["kernels"]
        self.assertEqual([k for k in kernels if k][:1], ["matmul"])
        self.assertRegex(page, r'id="bytes"><span[^>]*>0 B</span><span[^>]*>[\d.]+ [kM]?B</span>')
        self.assertRegex(page, r'id="steps"><span[^>]*>step 0</span>')
        self.assertNotRegex(page, r'(src|href)="http')

    @unittest.skipUnless(CHROMIUM, "chromium is not installed")
    def test_opens_where_the_memory_was_asked_for(self):
        at = "n=64,m=3,k=16,num_threads=2"
        self.expect(OK, "inspect", self.model, "--memory", at, "n=1,m=1,k=8", "--html", "plan.html")
        peak = int(re.search(rf"at {at}: (\d+) bytes", self.out)[1])
        self.assertGreater(peak, 0)
        self.assertEqual(self.figures({})[0]["peak"], peak)
        self.expect(USAGE, "inspect", self.model, "--memory", "n=x", "--html", "none.html")
        self.assertFalse((self.folder / "none.html").exists())

    def test_needs_the_model_and_a_place_to_write(self):
        self.expect(OK, "compile", self.model, "-o", "model.so")
        self.expect(USAGE, "inspect", "model.so", "--html", "plan.html", says="the model that it was made from")
        self.expect(IO, "inspect", self.model, "--html", "nowhere/plan.html", says="nowhere/plan.html")


if __name__ == "__main__":
    unittest.main()

"""What the tests of the command line share: a folder of their own, `repose` run in it, models."""
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import onnx

ROOT = Path(__file__).resolve().parents[2]
REPOSE = str(Path(os.environ.get("REPOSE", ROOT / "build/release/bin/repose")).resolve())
OK, MISMATCH, USAGE, UNSUPPORTED, MALFORMED, INTERNAL, IO, REFUSED = range(8)

TEXT = """
@R.function
def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor((4,), "float32")) -> R.Tensor(("n", 4), "float32"):
    n = T.int64()
    z = R.add(x, y)
    w = R.nn.relu(z)
    return w
"""


def model_of(text, opset=17):
    head = f'<ir_version: 8, opset_import: ["" : {opset}]> '
    return onnx.parser.parse_model(head + text).SerializeToString()


class CommandLine(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="repose-cli-"))

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def write(self, name, contents):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        return str(path)

    def repose(self, *arguments, timeout=300, **options):
        """Runs it in the test's folder, unless `options` (of subprocess.run) say otherwise."""
        done = subprocess.run([REPOSE, *map(str, arguments)], capture_output=True, check=False,
                              timeout=timeout, **{"cwd": self.folder, **options})
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")
        return done.returncode

    def expect(self, code, *arguments, says=(), **options):
        """Runs it; `says` are parts of what it prints on stderr."""
        got = self.repose(*arguments, **options)
        self.assertEqual(got, code, f"repose {' '.join(map(str, arguments))}\n{self.out}{self.err}")
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, self.err)

    def expect_malformed(self, model, says=(), code=MALFORMED, name="model.onnx", **options):
        path = self.write(name, model)
        before = sorted(os.listdir(self.folder))
        self.expect(code, "compile", path, "-o", self.folder / "out.so", says=says, **options)
        self.assertEqual(sorted(os.listdir(self.folder)), before, "no file stays")


class Command(CommandLine):
    def compiled(self, text=TEXT, *options):
        path = self.write("model.relax", text)
        self.expect(OK, "compile", path, "-o", "model.so", *options)
        return str(self.folder / "model.so")

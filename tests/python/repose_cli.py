"""Compiles and runs models the way a user does: the command line `repose`, and the artifact in
Python through `tvm_ffi.load_module`."""
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dlpack import Exported, imported

ROOT = Path(__file__).resolve().parents[2]

# Exit codes of the command line.
MISMATCH, USAGE, UNSUPPORTED, MALFORMED, INTERNAL, IO, REFUSED = range(1, 8)


def default_repose():
    """The compiler of the release build."""
    return ROOT / "build" / "release" / "bin" / "repose"


@dataclass
class Compiled:
    """The outcome of a compilation: exit code 0 and a library, or the code and the diagnostics.
    A compiler that crashed has a negative code (the signal), one that hung has the code -1."""

    code: int
    library: Path
    text: str = ""

    @property
    def ok(self):
        return self.code == 0


class CompileMany:
    """A compiler process that compiles one model after another: starting one costs more than a
    small model does. One that crashes is started again for the next model."""

    def __init__(self, repose):
        self.repose, self.process = str(repose), None
        self.errors = tempfile.TemporaryFile()

    def compile(self, model, library):
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen([self.repose, "compile-many"], text=True, errors="replace",
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=self.errors)
        try:
            self.process.stdin.write(f"{model}\t{library}\n")
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:  # it died
            return Compiled(self.process.wait(), library, f"the compiler crashed\n{self.last_words()}")
        code, text = answer.rstrip("\n").split("\t", 1)
        text = text.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
        return Compiled(int(code), library, text)

    def last_words(self, most_bytes=4000):
        """The end of what the process said on its standard error."""
        end = self.errors.seek(0, 2)
        self.errors.seek(max(0, end - most_bytes))
        return self.errors.read().decode(errors="replace")


_many = {}


def compile_next(repose, model, library):
    """The same as compile_model, by a process that stays for the next model."""
    if str(repose) not in _many:
        _many[str(repose)] = CompileMany(repose)
    return _many[str(repose)].compile(model, library)


def compile_model(repose, model, library, options=(), timeout_seconds=600):
    """repose compile MODEL -o LIBRARY OPTIONS…"""
    command = [str(repose), "compile", str(model), "-o", str(library), *options]
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        return Compiled(-1, library, f"the compiler ran for {timeout_seconds} s")
    return Compiled(done.returncode, library, done.stderr.decode(errors="replace"))


def run_model(library, arrays):
    """Calls `main` of an artifact with numpy arrays (in input order); gives the list of outputs."""
    import tvm_ffi

    main = tvm_ffi.load_module(str(library), keep_module_alive=False)["main"]
    result = main(*(Exported(array) for array in arrays))
    tensors = [result] if isinstance(result, tvm_ffi.Tensor) else list(result)
    return [imported(tensor) for tensor in tensors]

"""The Python package: compiling, loading, calling, asking, and what it says of wrong arguments."""
import gc
import subprocess
import sys
import tempfile
import threading
import types
import unittest
from array import array
from pathlib import Path
from unittest import mock

import numpy as np
import ml_dtypes
import onnx
import onnx.parser

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "release" / "python"))
import repose  # noqa: E402

LINEAR = """
<ir_version: 8, opset_import: ["" : 17]>
linear (float[n, 3] x, float[3, m] w) => (float[n, m] y) { p = MatMul(x, w)  y = Relu(p) }
"""
TWO = """
<ir_version: 8, opset_import: ["" : 17]>
two (float[n] x, float[n] y) => (float[n] plus, float[n] minus) { plus = Add(x, y)  minus = Sub(x, y) }
"""
TEXT = """
@R.function
def main(x: R.Tensor(("n", 2), "float32")):
    y = R.add(x, x)
    return y
"""


class Raw:
    """A tensor of a library that leaves results as they are."""

    __module__ = "raw"

    def __init__(self, x):
        self.x = x

    def __dlpack__(self, **options):
        return self.x.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.x.__dlpack_device__()


sys.modules["raw"] = types.ModuleType("raw")
sys.modules["raw"].from_dlpack = lambda tensor: tensor


def model(text):
    return onnx.parser.parse_model(text)


def text_of(call, *arguments, kind=repose.CallError, **named):
    """The text of the exception that the call raises."""
    try:
        call(*arguments, **named)
    except kind as error:
        return str(error)
    raise AssertionError(f"no {kind.__name__}")


class Memory:
    """An allocator: blocks by address, and what it was told wrong."""

    def __init__(self):
        self.blocks, self.wrong = {}, []

    def allocate(self, size, alignment):
        block = np.empty(size + alignment, np.uint8)
        address = -(-block.ctypes.data // alignment) * alignment
        self.blocks[address] = (block, size)
        return address

    def deallocate(self, address, size):
        if self.blocks.pop(address)[1] != size:
            self.wrong.append((address, size))


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.linear = repose.compile(model(LINEAR), dims={"n": "1..64", "m": (1, None)})
        cls.two = repose.compile(model(TWO))
        cls.double = repose.compile(repose.Module.from_text(TEXT), name="double")

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        rng = np.random.default_rng(1)
        self.x = rng.standard_normal((5, 3)).astype(np.float32)
        self.w = rng.standard_normal((3, 7)).astype(np.float32)
        self.want = np.maximum(self.x @ self.w, 0)

    # ---- Calls ---------------------------------------------------------------------------------

    def test_by_position_and_by_name(self):
        for got in (self.linear(self.x, self.w), self.linear(self.x, w=self.w),
                    self.linear(w=self.w, x=self.x), self.linear["main"](self.x, self.w)):
            self.assertIs(type(got), np.ndarray)
            np.testing.assert_allclose(got, self.want, rtol=1e-5, atol=1e-6)

    def test_every_size_from_one_artifact(self):
        for n in (1, 2, 17, 64):
            for m in (1, 9):
                x, w = np.ones((n, 3), np.float32), np.ones((3, m), np.float32)
                self.assertEqual(self.linear(x, w).shape, (n, m))

    def test_several_results_are_a_tuple(self):
        x, y = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
        plus, minus = self.two(x, y)
        np.testing.assert_array_equal(plus, x + y)
        np.testing.assert_array_equal(minus, x - y)

    def test_results_are_of_the_callers_kind_and_share_memory(self):
        x = np.ones((2, 2), np.float32)
        tensor = self.double(memoryview(x))  # no library of its own: numpy's
        self.assertIs(type(tensor), np.ndarray)

        class Other(Raw):
            __module__ = "nowhere"  # which has no from_dlpack

        self.assertIs(type(self.double(Other(x))), np.ndarray)
        result = self.double(x)
        self.assertFalse(result.flags.owndata)  # the model's memory
        result[0, 0] = 7  # which is the caller's now
        import tvm_ffi
        tensor = self.double(tvm_ffi.from_dlpack(x))
        self.assertIsInstance(tensor, tvm_ffi.Tensor)
        np.testing.assert_array_equal(np.from_dlpack(tensor), 2 * x)

    def test_own_tensors(self):
        x = np.ones((3, 2), np.float32)
        own = self.double(Raw(x))
        self.assertEqual((own.shape, own.dtype), ((3, 2), "float32"))
        self.assertEqual(repr(own), "<repose.Tensor float32 (3, 2)>")
        self.assertEqual(own.__dlpack_device__(), (1, 0))
        self.assertIs(type(self.double(own)), repose.Tensor)
        np.testing.assert_array_equal(np.from_dlpack(own), 2 * x)
        np.testing.assert_array_equal(np.asarray(own), 2 * x)
        with self.assertRaises(BufferError):
            own.__dlpack__(copy=True)
        with self.assertRaises(BufferError):
            own.__dlpack__(dl_device=(2, 0))
        # A capsule that nobody takes frees its tensor; what was taken outlives it.
        for version in (None, (0, 8), (1, 0)):
            own.__dlpack__(max_version=version)
        view = np.from_dlpack(own)
        del own
        gc.collect()
        np.testing.assert_array_equal(view, 2 * x)


    def test_out(self):
        y = np.empty((5, 7), np.float32)
        self.assertIs(self.linear(self.x, self.w, out=y), y)
        np.testing.assert_allclose(y, self.want, rtol=1e-5, atol=1e-6)
        a, b = np.arange(4, dtype=np.float32), np.ones(4, np.float32)
        for out in ([y4(), None], (y4(), None), {"plus": y4()}):
            plus, minus = self.two(a, b, out=out)
            self.assertIs(plus, out["plus"] if isinstance(out, dict) else out[0])
            np.testing.assert_array_equal(plus, a + b)
            np.testing.assert_array_equal(minus, a - b)
        self.assertIsInstance(self.linear(self.x, self.w, out=None), np.ndarray)

    def test_buffers_of_the_standard_library(self):
        x = array("f", [1, 2, 3, 4])
        plus, _ = self.two(x, x)
        np.testing.assert_array_equal(plus, [2, 4, 6, 8])
        read_only = memoryview(bytes(x)).cast("f")
        plus, _ = self.two(read_only, x)
        np.testing.assert_array_equal(plus, [2, 4, 6, 8])

    def test_dtypes(self):
        for dtype in ("float16", "float32", "float64", "bfloat16", "int8", "int16", "int32", "int64", "uint8",
                      "uint16", "uint32", "uint64", "bool"):
            with self.subTest(dtype):
                text = TEXT.replace("float32", dtype).replace("R.add(x, x)", "R.flatten(x)")
                module = repose.Module.from_text(text)
                kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
                x = np.array([[0, 1], [1, 0]]).astype(kind)
                compiled = repose.compile(module)
                self.assertEqual(compiled.inputs[0].dtype, dtype)
                for got in (compiled(x), module.interpret(x)):
                    self.assertEqual(got.dtype, kind)
                    np.testing.assert_array_equal(got, x.ravel())

    def test_scalars_and_no_elements(self):
        text = TEXT.replace('("n", 2)', "()")
        self.assertEqual(repose.compile(repose.Module.from_text(text))(np.float32(3)), 6)
        self.assertEqual(self.double(np.empty((0, 2), np.float32)).shape, (0, 2))

    # ---- Wrong arguments -----------------------------------------------------------------------

    def test_wrong_arguments_are_named(self):
        x, w, call = self.x, self.w, self.linear
        y = np.empty((5, 7), np.float32)
        read_only = y.copy()
        read_only.flags.writeable = False
        other_order = x.astype(">f4")
        for what, (arguments, named, said) in {
            "dtype": ((x.astype(np.float64), w), {}, ("`x`", "float64", "float32")),
            "rank": ((x[0], w), {}, ("`x`", "1", "2")),
            "size": ((x[:, :2], w), {}, ("`x`", "2", "3")),
            "range": ((np.ones((65, 3), np.float32), w), {}, ("65", "64")),
            "strides": ((np.asfortranarray(x), w), {}, ("`x`", "stride")),
            "no tensor": (([[1.0]], w), {}, ("`x`", "`list`", "__dlpack__")),
            "None": ((None, w), {}, ("`x`", "`NoneType`")),
            "text": ((np.array(["a"]), w), {}, ("`x`",)),
            "byte order": ((other_order, w), {}, ("`x`", "byte order")),
            "odd strides": ((np.zeros((5, 3), [("a", "<f4"), ("b", "i1")])["a"], w), {}, ("`x`", "5 bytes")),
            "too few": ((x,), {}, ("`w`",)),
            "too many": ((x, w, w), {}, ("2", "3")),
            "twice": ((x, w), {"x": x}, ("`x`", "by position and by name")),
            "unknown name": ((x,), {"v": w}, ("`v`", "`x`, `w`")),
            "read-only output": ((x, w), {"out": read_only}, ("`y`", "read-only")),
            "size of output": ((x, w), {"out": y[:4]}, ("`y`", "4", "5")),
            "dtype of output": ((x, w), {"out": y.astype(np.int32)}, ("`y`", "int32", "float32")),
            "output is none": ((x, w), {"out": 3}, ("`y`", "`int`")),
            "count of outputs": ((x, w), {"out": [y, y]}, ("out", "2", "1")),
            "name of output": ((x, w), {"out": {"z": y}}, ("out", "`z`")),
        }.items():
            with self.subTest(what):
                text = text_of(call, *arguments, **named)
                for part in said:
                    self.assertIn(part, text)
        self.assertIn("sequence", text_of(self.two, x[:, 0].copy(), x[:, 0].copy(), out=y))
        with self.assertRaises(ValueError):  # what Python's own functions raise
            call(x[0], w)

    def test_kinds_of_errors(self):
        with self.assertRaises(repose.CallError) as caught:
            self.linear(np.ones((65, 3), np.float32), self.w)
        self.assertEqual(caught.exception.kind, "refused")
        with self.assertRaises(repose.CallError) as caught:
            self.linear(self.x)
        self.assertEqual(caught.exception.kind, "bad-argument")

    def test_devices(self):
        class Elsewhere(Raw):
            device = "cuda:1"

            def __dlpack_device__(self):
                return (2, 1)

        text = text_of(self.linear, Elsewhere(self.x), self.w)
        for part in ("`x`", "cuda:1", "CPU"):
            self.assertIn(part, text)

    def test_what_dlpack_does_wrong(self):
        class Bad(Raw):
            def __init__(self, answer):
                self.answer = answer

            def __dlpack__(self, **options):
                if isinstance(self.answer, BaseException):
                    raise self.answer
                return self.answer

            def __dlpack_device__(self):
                return (1, 0)

        for answer, said in ((BufferError("needs a gradient"), "needs a gradient"), (5, "capsule"),
                             (TypeError("no such argument"), "no such argument")):
            self.assertIn(said, text_of(self.linear, Bad(answer), self.w))
        with self.assertRaises(KeyboardInterrupt):  # which is no answer
            self.linear(Bad(KeyboardInterrupt()), self.w)

    # ---- Questions -----------------------------------------------------------------------------

    def test_interface(self):
        self.assertEqual(self.linear.inputs, (("x", "float32", ("n", 3)), ("w", "float32", (3, "m"))))
        self.assertEqual(self.linear.outputs, (("y", "float32", ("n", "m")),))
        self.assertEqual(str(self.linear.inputs[0]), "x: float32[n, 3]")
        self.assertEqual(self.linear.symbols["n"], ("n", 1, 64, 1))
        self.assertIsNone(self.linear.symbols["m"].upper)
        self.assertEqual(self.linear.functions, ("main",))
        self.assertEqual(repr(self.linear), "<repose.Model model: main(x: float32[n, 3], w: float32[3, m]) -> "
                                            "y: float32[n, m]>")
        self.assertEqual(self.double.name, "double")
        self.assertGreater(self.double.threads, 0)
        with self.assertRaisesRegex(KeyError, "`encode`.*`main`"):
            self.linear["encode"]

    def test_several_functions(self):
        text = TEXT.replace("main", "twice") + TEXT.replace("main", "square").replace("R.add", "R.multiply")
        both = repose.compile(repose.Module.from_text(text))
        x = np.full((1, 2), 3, np.float32)
        self.assertEqual(sorted(both.functions), ["square", "twice"])
        np.testing.assert_array_equal(both["twice"](x), [[6, 6]])
        np.testing.assert_array_equal(both["square"](x=x), [[9, 9]])
        self.assertEqual(both["square"].outputs[0].shape, ("n", 2))
        self.assertIn("square", repr(both))
        for ask in (lambda: both(x), lambda: both.inputs, lambda: both.memory(n=1), lambda: both.why("n")):
            self.assertIn('model["twice"]', text_of(ask))

    def test_memory(self):
        memory = self.linear.memory(n=5, m=7)
        self.assertEqual(memory.output_shapes, {"y": (5, 7)})
        self.assertGreaterEqual(memory.arena_bytes, 0)
        self.assertIn("`m`", text_of(self.linear.memory, n=5))
        self.assertIn("`k`", text_of(self.linear.memory, n=5, m=1, k=1))
        self.assertIn("64", text_of(self.linear.memory, n=65, m=1))
        self.assertIn("`str`", text_of(self.linear.memory, n="5", m=1))
        self.assertIn("`int`", text_of(self.linear.memory, n=1 << 70, m=1))

    def test_why(self):
        derivation = self.linear.why("y:0")
        self.assertIn("n", derivation.text)
        self.assertIn("MatMul", str(derivation))
        self.assertEqual(str(derivation).splitlines()[0], derivation.text)
        self.assertIn("z", text_of(self.linear.why, "z:0", kind=repose.CompileError))
        path = self.folder / "m.so"
        self.linear.save(path)
        self.assertIn("compile", text_of(repose.load(path).why, "y:0"))

    # ---- Files ---------------------------------------------------------------------------------

    def test_save_and_load(self):
        path = self.folder / "linear.so"
        self.linear.save(path)
        loaded = repose.load(str(path), threads=1, max_contexts=2, when_busy="grow", memory_limit=1 << 30)
        path.unlink()
        again = self.folder / "again.so"
        loaded.save(again)  # of the file that was loaded
        for m in (loaded, repose.load(again)):
            np.testing.assert_array_equal(m(self.x, self.w), self.linear(self.x, self.w))
        self.assertEqual(loaded.threads, 1)
        with self.assertRaises(repose.CompileError) as caught:
            loaded.save(self.folder / "none" / "m.so")
        self.assertIn("none", str(caught.exception))

    def test_what_is_no_artifact(self):
        path = self.folder / "m.so"
        path.write_bytes(b"nothing")
        for p, said in ((path, "m.so"), (self.folder / "none.so", "none.so"), ("", "path"),
                        (self.folder, str(self.folder))):
            self.assertIn(said, text_of(repose.load, p, kind=repose.LoadError))
        self.assertIn("sometimes", text_of(repose.load, path, when_busy="sometimes"))
        with self.assertRaises(TypeError):
            repose.load(3)
        self.linear.save(path)
        path.write_bytes(path.read_bytes()[:5000])
        self.assertIn("cut off", text_of(repose.load, path, kind=repose.LoadError))
        self.linear.save(path)
        self.assertIn("thread", text_of(repose.load, path, threads=-1))

    def test_artifact_of_another_cpu(self):
        strange = ROOT / "build/release/tests/runtime/strange_model.so"  # the runtime's tests have it
        if not strange.exists():
            self.skipTest(f"{strange.name} is not built")
        text = text_of(repose.load, strange, kind=repose.LoadError)
        for said in ("compiled for x86-64", "lacks `warp-drive`"):
            self.assertIn(said, text)

    def test_allocator(self):
        deep = LINEAR.replace("y = Relu(p)", "t = Transpose(p)  y = MatMul(p, t)").replace("[n, m] y", "[n, n] y")
        path = self.folder / "m.so"
        repose.compile(model(deep)).save(path)
        memory = Memory()
        loaded = repose.load(path, allocator=memory)
        y = loaded(self.x, self.w)
        np.testing.assert_allclose(y, (self.x @ self.w) @ (self.x @ self.w).T, rtol=1e-5)
        self.assertTrue(any(at <= y.ctypes.data < at + size for at, (_, size) in memory.blocks.items()))
        self.assertEqual(memory.wrong, [])
        view = y[1:]
        del loaded, y
        gc.collect()
        view += 1  # the result keeps the model, and so the allocator
        self.assertEqual(len(memory.blocks), 2)
        del view
        gc.collect()
        self.assertEqual((memory.blocks, memory.wrong), ({}, []))

    def test_wrong_allocators(self):
        path = self.folder / "m.so"
        self.double.save(path)
        with self.assertRaisesRegex(TypeError, "`int` has no `allocate`"):
            repose.load(path, allocator=3)

        class Empty(Memory):
            def allocate(self, size, alignment):
                return None

        class Wrong(Memory):
            def allocate(self, size, alignment):
                return "here"

        class Raises(Memory):
            def allocate(self, size, alignment):
                raise ValueError("no more")

        x = np.ones((3, 2), np.float32)
        for allocator, reported in ((Empty(), None), (Wrong(), TypeError), (Raises(), ValueError)):
            said = []
            with mock.patch.object(sys, "unraisablehook", lambda e: said.append(e.exc_type)):
                with self.assertRaises(repose.OutOfMemoryError):
                    repose.load(path, allocator=allocator)(x)
            self.assertEqual(said, [reported] if reported else [])

    def test_free_threaded_python_is_refused(self):
        program = f"""
import sys, sysconfig; sys.path.insert(0, {str(ROOT / "build/release/python")!r})
sysconfig.get_config_vars()["Py_GIL_DISABLED"] = 1
import repose
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("ImportError: repose needs Python's interpreter lock", done.stderr)

    def test_limits(self):
        deep = LINEAR.replace("y = Relu(p)", "t = Transpose(p)  y = MatMul(p, t)").replace("[n, m] y", "[n, n] y")
        repose.compile(model(deep)).save(self.folder / "m.so")
        with self.assertRaises(MemoryError) as caught:
            repose.load(self.folder / "m.so", memory_limit=1)(self.x, self.w)
        self.assertIn("memory", str(caught.exception))
        self.assertEqual(caught.exception.kind, "out-of-memory")
        self.assertIn("operations", text_of(repose.load(self.folder / "m.so", operations_limit=1), self.x, self.w))

    # ---- Compiling -----------------------------------------------------------------------------

    def test_sources(self):
        proto = model(LINEAR)
        path = self.folder / "linear.onnx"
        onnx.save(proto, path)
        (self.folder / "double.relax").write_text(TEXT)
        want = self.linear(self.x, self.w)
        for source in (path, str(path), proto, repose.read(path)):
            np.testing.assert_array_equal(repose.compile(source)(self.x, self.w), want)
        self.assertEqual(repose.compile(path).name, "linear")
        twice = repose.compile(self.folder / "double.relax", cpu="x86-64-v2", disable=["fuse_programs"])
        np.testing.assert_array_equal(twice(np.ones((1, 2), np.float32)), [[2, 2]])

    def test_dims(self):
        proto = model(LINEAR)
        self.assertEqual(repose.compile(proto, dims={"n": 4}).inputs[0].shape, (4, 3))
        for dims, upper in (({"n": "2..8%2"}, 8), ({"n": (2, 8)}, 8), ({"n": (None, 8)}, 8),
                            ({"x_0": "..8"}, 8)):
            with self.subTest(dims):
                self.assertEqual(repose.compile(proto, dims=dims).symbols["n"].upper, upper)
        one = repose.compile(proto, dims={"m": "n"})
        self.assertIn("5", text_of(one, self.x, self.w))
        for dims, said in (({"k": 3}, "`k`"), ({"n": "8..4"}, "n=8..4"), ({"n": "1..x"}, "n=1..x"), ({"": 1}, "=1")):
            self.assertIn(said, text_of(repose.compile, proto, dims=dims, kind=repose.CompileError))
        with self.assertRaisesRegex(TypeError, "`n` is a `float`"):
            repose.compile(proto, dims={"n": 1.5})
        with self.assertRaisesRegex(TypeError, "Module"):
            repose.compile(repose.Module.from_text(TEXT), dims={"n": 1})

    def test_shapes(self):
        """Inputs whose rank the model doesn't say."""
        proto = model(LINEAR)
        proto.graph.input[0].type.tensor_type.ClearField("shape")
        for shape in (("n", 3), "n,3", ["n", "k"]):
            with self.subTest(shape):
                one = repose.compile(proto, shapes={"x": shape})
                self.assertEqual(len(one.inputs[0].shape), 2)
                np.testing.assert_array_equal(one(self.x, self.w), self.linear(self.x, self.w))
        for shapes, said in (({"z": (1, 2)}, "`z`"), ({"x": ("n", -3)}, "`-3`"), ({"x": "n,3.5"}, "`3.5`")):
            self.assertIn(said, text_of(repose.read, proto, shapes=shapes, kind=repose.CompileError))
        for shape in (3, (1.5,)):
            with self.assertRaisesRegex(TypeError, "shapes: `x`"):
                repose.read(proto, shapes={"x": shape})
        with self.assertRaisesRegex(TypeError, "shapes"):
            repose.compile(repose.Module.from_text(TEXT), shapes={"x": (1, 2)})

    def test_errors_have_kinds_and_diagnostics(self):
        text = LINEAR.replace("Relu(p)", "Mystery(p)")
        with self.assertRaises(repose.CompileError) as caught:
            repose.compile(model(text))
        error = caught.exception
        self.assertEqual(error.kind, "unsupported-operator")
        self.assertIn("Mystery", str(error))
        self.assertEqual(error.diagnostics[0].kind, error.kind)
        self.assertIn("Mystery", error.diagnostics[0].text)
        with self.assertRaises(repose.CompileError) as caught:
            repose.Module.from_text(TEXT.replace("R.add", "R.addd"), name="mine.py")
        self.assertEqual((caught.exception.diagnostics[0].file, caught.exception.diagnostics[0].line), ("mine.py", 4))
        for source, said in ((self.folder / "none.onnx", "none.onnx"), (self.folder, str(self.folder))):
            self.assertIn(said, text_of(repose.compile, source, kind=repose.CompileError))
        self.assertIn("z80", text_of(repose.compile, model(LINEAR), cpu="z80", kind=repose.CompileError))
        self.assertIn("magic", text_of(repose.compile, model(LINEAR), disable=["magic"], kind=repose.CompileError))
        with self.assertRaisesRegex(TypeError, "`int`"):
            repose.compile(3)

    # ---- Modules -------------------------------------------------------------------------------

    def test_text_of_modules(self):
        module = repose.Module.from_text(TEXT)
        self.assertEqual(repose.Module.from_text(module.script()), module)
        self.assertEqual(str(module), module.script())
        self.assertEqual(module.functions, ["main"])
        self.assertEqual(repr(module), "<repose.Module: main>")
        self.assertNotEqual(module, repose.Module.from_text(TEXT.replace("add", "multiply")))
        self.assertFalse(module == 3)
        module.verify()

    def test_interpret(self):
        x = np.arange(6, dtype=np.float32).reshape(3, 2)
        module = repose.Module.from_text(TEXT)
        np.testing.assert_array_equal(module.interpret(x), 2 * x)
        np.testing.assert_array_equal(module.interpret(np.asfortranarray(x)), 2 * x)
        self.assertIn("`nope`", text_of(module.interpret, x, function="nope", kind=repose.CompileError))
        self.assertIn("float64", text_of(module.interpret, x.astype(float), kind=repose.CompileError))
        self.assertIn("`int`", text_of(module.interpret, 3))
        same = repose.Module.from_text(TEXT.replace("R.add(x, x)", "x"))
        got = same.interpret(x)
        got[0, 0] = 9  # the caller's own
        self.assertEqual(x[0, 0], 0)

    def test_passes(self):
        self.assertIn("legalize", repose.passes())
        module = repose.Module.from_text(TEXT)
        lowered = module.run_passes("legalize", "fuse_programs")
        self.assertIn("R.call_tir", lowered.script())
        x = np.ones((3, 2), np.float32)
        np.testing.assert_array_equal(lowered.interpret(x), 2 * x)
        self.assertIn("magic", text_of(module.run_passes, "magic", kind=repose.CompileError))
        self.assertIn("`int`", text_of(module.run_passes, 3))

    def test_gradient(self):
        text = """
@R.function
def loss(x: R.Tensor(("n", 3), "float32"), w: R.Tensor((3,), "float32")):
    y = R.sum(R.matmul(x, w))
    return y
"""
        module = repose.Module.from_text(text)
        x, w = np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(3, np.float32)
        both = repose.transform.Gradient("loss")(module)
        y, in_x, in_w = repose.build(both)["loss_adjoint"](x, w)
        self.assertEqual(float(y), 15)
        np.testing.assert_array_equal(in_x, np.ones((2, 3)))
        np.testing.assert_array_equal(in_w, x.sum(0))
        one = repose.transform.Gradient("loss", require_grads=module["loss"].params[1])(module)
        self.assertEqual(len(one.interpret(x, w, function="loss_adjoint")[1]), 1)
        refused = repose.transform.Gradient("main")
        self.assertIn("`main`", text_of(refused, module, kind=repose.CompileError))

    def test_checkpoints_save_memory(self):
        layers = 12
        body = "".join(f"""
        c{i} = R.grad.start_checkpoint(x{i})
        a{i} = R.sin(R.matmul(c{i}, w))
        b{i} = R.exp(R.sin(R.matmul(a{i}, w)))
        x{i + 1} = R.grad.end_checkpoint(b{i})""" for i in range(layers))
        text = f"""
@R.function
def main(x0: R.Tensor(("n", 16), "float32"), w: R.Tensor((16, 16), "float32")):
    with R.dataflow():{body}
        y = R.sum(x{layers})
        R.output(y)
    return y
"""
        plain = text.replace("R.grad.start_checkpoint", "").replace("R.grad.end_checkpoint", "")
        x, w = np.ones((5, 16), np.float32), np.full((16, 16), 0.01, np.float32)
        bytes_of, results = [], []
        for one in (plain, text):
            module = repose.transform.Gradient("main")(repose.Module.from_text(one))
            function = repose.build(module)["main_adjoint"]
            bytes_of.append(function.memory(n=1000).arena_bytes)
            results.append([np.asarray(r) for r in function(x, w)])
        self.assertLess(bytes_of[1], 0.7 * bytes_of[0])
        for kept, again in zip(*results):
            np.testing.assert_allclose(kept, again, rtol=1e-5)

    def test_mixed_precision(self):
        text = """
@R.function
def main(x: R.Tensor(("n", 8), "float32"), w: R.Tensor((8, 8), "float32")):
    y = R.nn.relu(R.matmul(x, w))
    return y
"""
        module = repose.Module.from_text(text)
        x, w = (np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32) for _ in range(2))
        for dtype, near in (("float16", 1e-2), ("bfloat16", 1e-1)):
            narrow = repose.transform.ToMixedPrecision(dtype)(module)
            self.assertIn(f'dtype="{dtype}") = R.nn.relu', narrow.script())
            np.testing.assert_allclose(repose.build(narrow)(x, w), np.maximum(x @ w, 0), atol=near)
        wide = repose.transform.ToMixedPrecision(never=["matmul"])(module)
        self.assertNotIn("float16", wide.script())
        self.assertIn("`half`", text_of(repose.transform.ToMixedPrecision("half"), module))

    def test_rewrite(self):
        rules = repose.Module.from_text("""
@R.function
def pattern(x: R.Tensor(("n",), "float32")):
    y = R.nn.relu(R.nn.relu(x))
    return y
@R.function
def replacement(x: R.Tensor(("n",), "float32")):
    y = R.nn.relu(x)
    return y
""")
        module = repose.Module.from_text("""
@R.function
def main(x: R.Tensor(("n",), "float32")):
    y = R.nn.relu(R.nn.relu(R.nn.relu(x)))
    return y
""")
        once = repose.transform.rewrite(rules)(module)
        self.assertEqual(once.script().count("relu"), 1)
        for n in (0, 1, 5):
            x = np.arange(n, dtype=np.float32) - 2
            np.testing.assert_array_equal(repose.build(once)(x), np.maximum(x, 0))
        self.assertIn("pattern", text_of(repose.transform.rewrite(module), module, kind=repose.CompileError))
        with self.assertRaises(TypeError):
            repose.transform.rewrite("rules.relax")(module)

    def test_bind_params_and_sizes(self):
        module = repose.Module.from_text("""
@R.function
def main(x: R.Tensor(("n", "k"), "float32"), w: R.Tensor(("k", "m"), "float32")):
    y = R.matmul(x, w)
    return y
""")
        w = np.arange(6, dtype=np.float32).reshape(3, 2)
        bound = repose.transform.BindParams("main", {"w": w})(module)
        self.assertEqual([p.name for p in bound["main"].params], ["x"])
        for n in (0, 1, 4):
            x = np.ones((n, 3), np.float32)
            np.testing.assert_array_equal(repose.build(bound)(x), x @ w)
        for params, said in (({"v": w}, "`v`"), ({"w": w[0]}, "`w`"), ({"w": w.astype(np.int64)}, "`w`")):
            self.assertIn(said, text_of(repose.transform.BindParams("main", params), module, kind=repose.CompileError))
        self.assertIn("`f`", text_of(repose.transform.BindParams("f", {"w": w}), module, kind=repose.CompileError))
        self.assertIn("`int`", text_of(repose.transform.BindParams("main", {3: w}), module))

        sized = repose.transform.BindSymbolicVars({"n": 2, "w_1": 5})(module)
        self.assertEqual([repose.build(sized).inputs[i].shape for i in (0, 1)], [(2, "k"), ("k", 5)])
        x, wide = np.ones((2, 3), np.float32), np.ones((3, 5), np.float32)
        np.testing.assert_array_equal(sized.interpret(x, wide), x @ wide)
        self.assertIn("3", text_of(repose.build(sized), np.ones((3, 3), np.float32), wide))
        refused = repose.transform.BindSymbolicVars({"q": 2})
        self.assertIn("`q`", text_of(refused, module, kind=repose.CompileError))
        self.assertIn("`n`", text_of(repose.transform.BindSymbolicVars({"n": -1}), module, kind=repose.CompileError))

    def test_convert_layout(self):
        module = repose.Module.from_text("""
@R.function
def main(x: R.Tensor(("n", 2, "h", "h"), "float32"), w: R.Tensor((3, 2, 3, 3), "float32")):
    y = R.nn.max_pool2d(R.nn.conv2d(x, w, padding=[1, 1, 1, 1]), pool_size=[2, 2], strides=[2, 2])
    return y
""")
        x, w = (np.random.default_rng(0).standard_normal(s).astype(np.float32) for s in ((1, 2, 6, 6), (3, 2, 3, 3)))
        want = module.interpret(x, w)
        for layouts, said, unsaid in ((None, "NHWC", None), ({"nn.conv2d": ["NHWC", "OHWI"]}, "OHWI", None),
                                      ({"nn.max_pool2d": ["NHWC"]}, "NHWC", "OHWI")):
            with self.subTest(layouts):
                changed = repose.transform.ConvertLayout(layouts)(module)
                self.assertIn(said, changed.script())
                self.assertNotIn(unsaid or "NDHWC", changed.script())
                np.testing.assert_allclose(repose.build(changed)(x, w), want, atol=1e-5)
        for layouts, kind, said in (({"nn.relu": ["NHWC"]}, repose.CompileError, "nn.relu"),
                                    ({"nn.conv2d": ["NXYZ"]}, repose.CompileError, "NXYZ"),
                                    ({"nn.conv2d": []}, repose.CallError, "0 layouts")):
            self.assertIn(said, text_of(repose.transform.ConvertLayout(layouts), module, kind=kind))

    # ---- Threads, and the end ------------------------------------------------------------------

    def test_calls_at_once(self):
        self.linear.save(self.folder / "m.so")
        want, failures = self.linear(self.x, self.w), []

        def work():
            try:
                for i in range(200):
                    np.testing.assert_array_equal(self.linear(self.x, self.w), want)
                    if i % 20 == 0:
                        np.testing.assert_array_equal(repose.load(self.folder / "m.so")(self.x, self.w), want)
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])

    def test_models_come_and_go_beside_calls(self):
        """Threads call one model while others compile, load and drop others."""
        self.double.save(self.folder / "m.so")
        want, failures, done = self.linear(self.x, self.w), [], threading.Event()
        ones = np.ones((3, 2), np.float32)

        def call():
            while not done.is_set():
                np.testing.assert_array_equal(self.linear(self.x, self.w), want)

        def load():
            for _ in range(100):
                y = repose.load(self.folder / "m.so", threads=1)(ones)
                np.testing.assert_array_equal(y, ones * 2)

        def compile_one():
            for _ in range(5):
                np.testing.assert_array_equal(repose.compile(repose.Module.from_text(TEXT))(ones), ones * 2)

        def run(work):
            try:
                work()
            except Exception as error:
                failures.append(error)

        callers = [threading.Thread(target=run, args=(call,)) for _ in range(3)]
        others = [threading.Thread(target=run, args=(work,)) for work in (load, load, load, compile_one, compile_one)]
        for thread in callers + others:
            thread.start()
        for thread in others:
            thread.join()
        done.set()
        for thread in callers:
            thread.join()
        self.assertEqual(failures, [])

    def test_references_are_given_back(self):
        x, w = self.x, self.w
        y = np.empty((5, 7), np.float32)
        counts = [sys.getrefcount(o) for o in (x, w, y, None, self.linear)]
        for _ in range(50_000):  # 100,000 calls
            self.linear(x, w)
            self.linear(x, w=w, out=y)
        for _ in range(100):
            text_of(self.linear, x, x)
            text_of(self.linear, x, [1])
        after = [sys.getrefcount(o) for o in (x, w, y, None, self.linear)]
        for before, now in zip(counts, after):
            self.assertLess(abs(now - before), 50)

    def test_memory_of_results_is_given_back(self):
        big = np.ones((1 << 16, 2), np.float32)

        def resident():
            return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

        for _ in range(20):
            self.double(big)
        before = resident()
        for _ in range(500):
            self.double(big)
        self.assertLess(resident() - before, 32 << 20)

    def test_results_outlive_their_model(self):
        fresh = repose.compile(repose.Module.from_text(TEXT))
        y = fresh(np.ones((1000, 2), np.float32))
        del fresh
        gc.collect()
        np.testing.assert_array_equal(y, np.full((1000, 2), 2, np.float32))

    def test_the_interpreter_may_end_with_live_models(self):
        program = f"""
import sys; sys.path.insert(0, {str(ROOT / "build/release/python")!r})
import numpy as np, repose
model = repose.compile(repose.Module.from_text({TEXT!r}))
y = model(np.ones((3, 2), np.float32))

class Memory:
    blocks = {{}}
    def allocate(self, size, alignment):
        block = np.empty(size + alignment, np.uint8)
        address = -(-block.ctypes.data // alignment) * alignment
        self.blocks[address] = block
        return address
    def deallocate(self, address, size):
        del self.blocks[address]

other = repose.compile(repose.Module.from_text({TEXT!r}), allocator=Memory())
z = other(y)
sys.modules["kept"] = (model, y, other, z)
print(y.sum())
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "12.0\n", ""))


def y4():
    return np.empty(4, np.float32)


if __name__ == "__main__":
    unittest.main()

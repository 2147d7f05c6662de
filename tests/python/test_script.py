"""Scripts in Python source, the builder, tensor expressions, passes and schedules of the package."""
import contextlib
import io
import sys
import unittest
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "build" / "release" / "python"))
sys.path.insert(0, str(ROOT / "tools"))
import make_op_stub  # noqa: E402
import repose  # noqa: E402
from repose import op, relax, te, tir, transform  # noqa: E402
from repose.script import ir as I, relax as R, tir as T  # noqa: E402

HIDDEN = 8
DTYPE = "float32"
WEIGHT = np.arange(16, dtype=np.float32).reshape(2, 8)
m, n = T.int64(), T.int64()


def ones(*shape):
    return np.ones(shape, np.float32)


def ramp(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 7 - 1


def error_of(make, kind=repose.CompileError):
    try:
        make()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


class Cases(unittest.TestCase):
    def runs(self, module, want, *arguments, native=True, function="main"):
        """The function gives this, under the interpreter and as native code."""
        got = [module.interpret(*arguments, function=function)]
        if native:
            got.append(repose.build(module)[function](*arguments))
        for result in got:
            results = result if isinstance(result, tuple) else (result,)
            wants = want if isinstance(want, tuple) else (want,)
            self.assertEqual(len(results), len(wants))
            for one, other in zip(results, wants):
                np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


class Scripts(Cases):
    def test_module_of_both_levels(self):
        @I.ir_module
        class Dense:
            @T.prim_func
            def bias(x: T.Buffer(("m", 2), "float32"), y: T.Buffer(("m", 2), "float32")):
                m = T.int64()
                for i, j in T.grid(m, 2):
                    with T.block("bias"):
                        vi, vj = T.axis.remap("SS", [i, j])
                        y[vi, vj] = x[vi, vj] + T.float32(1)

            @R.function
            def main(x: R.Tensor(("m", 3), "float32"), w: R.Tensor((3, 2), "float32")):
                m = T.int64()
                cls = Dense
                with R.dataflow():
                    product = R.matmul(x, w)
                    y = R.call_tir(cls.bias, (product,), out_sinfo=R.Tensor((m, 2), "float32"))
                    R.output(y)
                return y

        self.assertEqual(Dense.functions, ["bias", "main"])
        self.assertIsInstance(Dense["bias"], tir.PrimFunc)
        self.assertIsInstance(Dense["main"], relax.Function)
        self.assertIn("main", Dense)
        self.assertIn("`bias`", str(error_of(lambda: Dense["other"], KeyError)))
        self.assertIn("def bias", Dense["bias"].script("bias"))
        for rows in (1, 5):
            x, w = ramp(rows, 3), ramp(3, 2)
            self.runs(Dense, x @ w + 1, x, w)

    def test_function_alone(self):
        @R.function
        def scale(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
            return R.multiply(x, R.const(2.0, "float32"))

        self.assertIsInstance(scale, relax.Function)
        np.testing.assert_array_equal(repose.build(scale)(ones(3)), [2, 2, 2])

    def test_decorators_with_arguments(self):
        @I.ir_module
        class Private:
            @R.function(private=True)
            def helper(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
                return R.exp(x)

            @R.function(pure=True)
            def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
                return Private.helper(x)

        self.assertTrue(Private["helper"].is_private)
        self.runs(Private, np.exp(ones(2)), ones(2))

    def test_names_of_the_scope(self):
        offset, axes, scale = -3, [0, 1], 0.5

        class Config:
            hidden = 8

        @I.ir_module
        class Captured:
            @R.function
            def main(x: R.Tensor((2, HIDDEN), DTYPE)) -> R.Tensor((2, Config.hidden), DTYPE):
                w = R.const(WEIGHT)
                y = R.permute_dims(R.permute_dims(x, axes=[1, 0]), axes=[1, 0])
                s = R.sum(w, axis=axes, keepdims=True)
                t = R.multiply(R.add(y, w), R.const(scale, DTYPE))
                return R.add(R.multiply(t, R.const(offset, DTYPE)), s)

        x = ramp(2, 8)
        self.runs(Captured, (x + WEIGHT) * 0.5 * -3 + WEIGHT.sum(), x)

    def test_names_of_the_script_come_first(self):
        x = 3  # hidden by the parameter

        @R.function
        def f(x: R.Tensor(("n",), "float32")):
            m = R.add(x, x)
            return m

        self.assertEqual(x, 3)
        np.testing.assert_array_equal(repose.build(f)(ones(2)), [2, 2])

    def test_symbols_of_the_scope(self):
        @R.function
        def f(x: R.Tensor((m, n), "float32")):
            return R.reshape(x, (m * n,))

        self.assertEqual(str(f.params[0].type), 'R.Tensor((m, n), dtype="float32")')
        np.testing.assert_array_equal(repose.build(f)(ones(2, 3)), ones(6))

    def test_what_cannot_be_captured(self):
        table, thing = {"a": 1}, object()
        expression = repose.dim("k") * 2

        def dictionary():
            @R.function
            def f(x: R.Tensor(("n",), "float32")):
                return R.add(x, R.const(table, "float32"))

        def anything():
            @R.function
            def f(x: R.Tensor(("n",), "float32")):
                return R.sum(x, axis=thing)

        def array():
            @R.function
            def f(x: R.Tensor(("n",), "float32")):
                return R.add(x, WEIGHT)

        def symbolic():
            @R.function
            def f(x: R.Tensor(("n",), "float32")):
                return R.reshape(x, (expression,))

        for make, said in ((dictionary, "`table` is a `dict`"), (anything, "`thing` is a `object`"),
                           (array, "`R.const(WEIGHT)`"), (symbolic, "`expression` is `k * 2`")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(make)))

    def test_errors_stand_in_the_users_file(self):
        def wrong():
            @I.ir_module
            class Wrong:
                @R.function
                def main(x: R.Tensor(("n",), "float32")):
                    y = R.addd(x, x)
                    return y

        error = error_of(wrong).diagnostics[0]
        line = Path(__file__).read_text().splitlines()[error.line - 1]
        self.assertEqual(error.file, __file__)
        self.assertIn("R.addd(x, x)", line)
        self.assertEqual(line[error.column - 1:error.column + 5], "R.addd")
        text = str(error_of(wrong))
        caret = text.splitlines()
        self.assertTrue(any("R.addd" in part for part in caret))

    def test_source_that_is_not_there(self):
        space = {"R": R}
        code = "@R.function\ndef f(x: R.Tensor((2,), 'float32')):\n    return x\n"
        self.assertIn("from_text", str(error_of(lambda: exec(code, space))))

    def test_text_and_colours(self):
        @R.function
        def f(x: R.Tensor(("n",), "float32")):
            return R.nn.relu(x)

        module = repose.Module.from_functions({"main": f})
        self.assertEqual(repose.Module.from_text(module.script()), module)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            module.show()
        self.assertEqual(out.getvalue(), module.script())
        page = module._repr_html_()
        self.assertIn("<pre", page)
        self.assertIn('<span style="color:#0033b3">def</span>', page)
        self.assertIn("&quot;float32&quot;", page)

    def test_types_in_scripts(self):
        @I.ir_module
        class Types:
            @R.function
            def main(x: R.Tensor(("n", 2), "float32"), s: R.Shape(["k"]), p: R.Prim("int64"),
                     t: R.Tuple(R.Tensor(("n",), "float32"), R.Tensor((), "int32"))):
                n = T.int64()
                k = T.int64()
                return R.strided_slice(x, R.shape([0]), R.shape([1]), axes=[0])

        kinds = [p.type.kind for p in Types["main"].params]
        self.assertEqual(kinds, ["tensor", "shape", "prim", "tuple"])

    def test_branches_and_loops(self):
        @I.ir_module
        class Control:
            @R.function
            def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
                if c:
                    y = R.exp(x)
                else:
                    y = R.negative(x)
                return y

        x = ramp(3)
        self.runs(Control, np.exp(x), np.array(True), x)
        self.runs(Control, -x, np.array(False), x)

    def test_match_cast_and_data_dependent_sizes(self):
        @I.ir_module
        class Found:
            @R.function
            def main(x: R.Tensor(("n",), "float32")):
                k = T.int64()
                where = R.nonzero(x)
                cast = R.match_cast(where, R.Tensor((1, k), "int64"))
                return R.reshape(cast, (k,))

        self.runs(Found, np.array([0, 2]), np.array([1, 0, 5], np.float32))

    def test_programs(self):
        @T.prim_func
        def matmul(A: T.Buffer((16, 16), "float32"), B: T.Buffer((16, 16), "float32"),
                   C: T.Buffer((16, 16), "float32")):
            T.func_attr({"global_symbol": "matmul", "tir.noalias": True})
            for i, j, k in T.grid(16, 16, 16):
                with T.block("C"):
                    vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                    with T.init():
                        C[vi, vj] = T.float32(0)
                    C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]

        self.assertIsInstance(matmul, tir.PrimFunc)
        self.assertEqual(matmul.params, ["A", "B", "C"])
        bb = relax.BlockBuilder()
        a, b = (relax.Var(name, R.Tensor((16, 16), "float32")) for name in "ab")
        with bb.function("main", [a, b]):
            callee = bb.add_func(matmul, "matmul")
            bb.emit_func_output(bb.emit(R.call_tir(callee, (a, b), out_sinfo=R.Tensor((16, 16), "float32"))))
        x, y = ramp(16, 16), ramp(16, 16)
        self.runs(bb.get(), x @ y, x, y)

    def test_a_buffer_of_a_size_of_the_scope(self):
        size = 6

        @T.prim_func
        def f(A: T.Buffer((size,), DTYPE), B: T.Buffer((size,), DTYPE)):
            for i in range(size):
                with T.block("B"):
                    v = T.axis.spatial(size, i)
                    B[v] = A[v] + T.float32(size)

        self.assertIn("range(6)", f.script())


class Notebooks(Cases):
    def test_a_model(self):
        @R.function
        def f(x: R.Tensor(("n", 4), "float32")):
            return R.matmul(R.nn.relu(x), R.matmul(R.permute_dims(x), x))

        model = repose.build(f)
        page = model._repr_html_()
        for part in ("<table>", "float32", "n, 4", "<iframe", "&lt;svg", "n: from 0"):
            self.assertIn(part, page)


class Structure(Cases):
    def test_equal_up_to_names(self):
        @R.function
        def f(x: R.Tensor(("n",), "float32")):
            a = R.exp(x)
            b = R.add(a, x)
            return b

        @R.function
        def g(y: R.Tensor(("k",), "float32")):
            first = R.exp(y)
            second = R.add(first, y)
            return second

        @R.function
        def h(y: R.Tensor(("k",), "float32")):
            first = R.exp(y)
            second = R.add(first, first)
            return second

        one, two, three = (repose.Module.from_functions({"main": f}) for f in (f, g, h))
        self.assertEqual(f, g)
        self.assertEqual(hash(f), hash(g))
        self.assertNotEqual(f, h)
        repose.ir.assert_structural_equal(one, two)
        text = str(error_of(lambda: repose.ir.assert_structural_equal(one, three), AssertionError))
        self.assertIn("`main` differs in line", text)
        self.assertIn("R.add(a, x)", text)
        self.assertIn("R.add(first, first)", text)
        other = repose.Module.from_functions({"other": f})
        self.assertIn("`main`", str(error_of(lambda: repose.ir.assert_structural_equal(one, other), AssertionError)))


class Symbols(unittest.TestCase):
    def test_arithmetic(self):
        m, n = repose.dim("m"), repose.dim("n")
        self.assertEqual(str(m * 224 + 1), "m * 224 + 1")
        self.assertEqual(m * 2 + m, 3 * m)
        self.assertNotEqual(m, n)
        self.assertNotEqual(m, repose.dim("m"))
        self.assertEqual((m + 7) // 8 * 8 - 1, -1 + 8 * ((7 + m) // 8))
        self.assertEqual(m ** 2, m * m)
        self.assertEqual(len({m, n, m * 1}), 2)
        self.assertEqual(str(tir.max(m, 1)), "T.max(m, 1)")
        self.assertEqual((m < n).dtype, "bool")
        self.assertEqual((-m) + m, 0)
        self.assertFalse(m == "m")
        with self.assertRaisesRegex(TypeError, "`m < n`"):
            bool(m < n)
        self.assertTrue(m * 0 == 0)
        for make, said in ((lambda: m / 2, "`//`"), (lambda: m + 0.5, "float"), (lambda: m & True, "bool"),
                           (lambda: m ** 100, "64"), (lambda: tir.exp(m), "`index`"),
                           (lambda: tir.exp(m, m), "takes 1"), (lambda: m.astype("flot"), "`flot`")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(make, repose.CallError)))

    def test_types(self):
        m = repose.dim("m")
        tensor = R.Tensor((m, m * 2 + m, 4), "float32")
        self.assertEqual(str(tensor), 'R.Tensor((m, "m * 3", 4), dtype="float32")')
        self.assertEqual((tensor.kind, tensor.dtype, tensor.ndim), ("tensor", "float32", 3))
        self.assertEqual(tensor.shape, (m, 3 * m, 4))
        self.assertEqual(tensor, R.Tensor([m, 3 * m, 4], "float32"))
        self.assertEqual(R.Tensor(ndim=2, dtype="int8").ndim, 2)
        self.assertIsNone(R.Tensor(ndim=2).shape)
        self.assertEqual(R.Tuple(tensor, R.Shape([m])).fields, [tensor, R.Shape([m])])
        self.assertEqual(R.Prim(value=m).dtype, "index")
        self.assertEqual(R.Callable([tensor], tensor).kind, "function")
        for make, said in ((lambda: R.Tensor((m,), "float31"), "float31"), (lambda: R.Tensor(3), "tuple"),
                           (lambda: R.Tensor((m,), "float32", ndim=2), "ndim"),
                           (lambda: R.Tuple(3), "expected a type"), (lambda: R.Tensor((1.5,)), "float")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(make, repose.CallError)))
        with self.assertRaisesRegex(TypeError, "repose.dim"):
            relax.Var("x", R.Tensor(("m",), "float32"))


class Building(Cases):
    def test_mlp(self):
        bb = relax.BlockBuilder()
        batch = repose.dim("batch")
        x = relax.Var("x", R.Tensor((batch, 8), "float32"))
        w = relax.const(WEIGHT.T.copy(), name="w")
        with bb.function("main", [x]):
            with bb.dataflow():
                hidden = bb.emit(op.matmul(x, w))
                self.assertEqual(hidden.shape, (batch, 2))
                self.assertEqual((hidden.dtype, hidden.ndim), ("float32", 2))
                out = bb.emit_output(op.nn.relu(hidden))
            bb.emit_func_output(out)
        module = bb.get()
        for rows in (1, 3):
            self.runs(module, np.maximum(ramp(rows, 8) @ WEIGHT.T, 0), ramp(rows, 8))

    def test_operators_of_python(self):
        bb = relax.BlockBuilder()
        k = repose.dim("k")
        x, y = (relax.Var(name, R.Tensor((k, k), "float32")) for name in "xy")
        with bb.function("main", [x, y]):
            z = bb.emit(-x @ y + x * y - x / y)
            bb.emit_func_output(bb.emit(2.0 * z - 1.0))
        a, b = ramp(2, 2), ones(2, 2) * 3
        self.runs(bb.get(), 2 * (-a @ b + a * b - a / b) - 1, a, b)

    def test_emit_te(self):
        def scaled_sum(a, b, factor, axis=0):
            r = te.reduce_axis((0, a.shape[axis]), name="r")
            return te.compute((b.shape[0],), lambda i: te.sum(a[r, i] * b[i] * factor, axis=r), name="scaled_sum")

        bb = relax.BlockBuilder()
        rows, columns = repose.dim("rows"), repose.dim("columns")
        a = relax.Var("a", R.Tensor((rows, columns), "float32"))
        b = relax.Var("b", R.Tensor((columns,), "float32"))
        with bb.function("main", [a, b]):
            with bb.dataflow():
                out = bb.emit_output(bb.emit_te(scaled_sum, a, b, te.const(2.0), axis=0))
            bb.emit_func_output(out)
        module = bb.get()
        self.assertIn("scaled_sum", module.functions)
        for shape in ((1, 1), (3, 4)):
            x, y = ramp(*shape), ramp(shape[1])
            self.runs(module, (x * y * 2).sum(axis=0), x, y)

    def test_emit_te_of_several_results_and_lists(self):
        def both(tensors):
            a, b = tensors
            return (te.compute(a.shape, lambda *i: a(*i) + b(*i), name="plus"),
                    te.compute(a.shape, lambda *i: tir.max(a(*i), b(*i)), name="larger"))

        bb = relax.BlockBuilder()
        k = repose.dim("k")
        a, b = (relax.Var(name, R.Tensor((k,), "float32")) for name in "ab")
        with bb.function("main", [a, b]):
            pair = bb.emit_te(both, [a, b])
            bb.emit_func_output((pair[0], pair[1]))
        x, y = ramp(3), ones(3)
        self.runs(bb.get(), (x + y, np.maximum(x, y)), x, y)

    def test_match_cast(self):
        bb = relax.BlockBuilder()
        k, found = repose.dim("k"), repose.dim("found")
        x = relax.Var("x", R.Tensor((k,), "float32"))
        with bb.function("main", [x]):
            where = bb.match_cast(op.nonzero(x), R.Tensor((1, found), "int64"))
            bb.emit_func_output(bb.emit(op.reshape(where, (found,))))
        self.runs(bb.get(), np.array([1, 2]), np.array([0, 3, 4], np.float32))

    def test_functions_call_functions(self):
        bb = relax.BlockBuilder()
        k = repose.dim("k")
        x, y = (relax.Var(name, R.Tensor((k,), "float32")) for name in "xy")
        with bb.function("twice", [x], private=True):
            twice = bb.emit_func_output(bb.emit(op.add(x, x)))
        with bb.function("main", [y]):
            bb.emit_func_output(bb.emit(twice(y)))
        module = bb.get()
        self.assertTrue(module["twice"].is_private)
        self.runs(module, ramp(3) * 2, ramp(3))

    def test_branches(self):
        bb = relax.BlockBuilder()
        k = repose.dim("k")
        c = relax.Var("c", R.Tensor((), "bool"))
        x = relax.Var("x", R.Tensor((k,), "float32"))
        with bb.function("main", [c, x]):
            with bb.if_(c) as branch:
                branch.then(bb.emit(op.exp(x)))
                branch.otherwise(bb.emit(op.negative(x)))
            bb.emit_func_output(branch.value)
        self.runs(bb.get(), -ramp(2), np.array(False), ramp(2))

    def test_declared_ranges(self):
        bb = relax.BlockBuilder()
        k = repose.dim("k")
        x = relax.Var("x", R.Tensor((k,), "float32"))
        with bb.function("main", [x], {"tir_var_upper_bound": {"k": 4}, "tir_var_divisor": {"k": 2}}):
            bb.emit_func_output(bb.emit(op.exp(x)))
        model = repose.build(bb.get())
        self.assertEqual(model.symbols["k"], ("k", 0, 4, 2))
        self.assertIn("6", str(error_of(lambda: model(ones(6)), repose.CallError)))

    def test_arguments_of_operators(self):
        bb = relax.BlockBuilder()
        k = repose.dim("k")
        x = relax.Var("x", R.Tensor((k, 4), "float32"))
        with bb.function("main", [x]):
            joined = bb.emit(op.concat((x, x), axis=0))
            self.assertEqual(joined.shape, (2 * k, 4))
            flat = bb.emit(op.reshape(joined, (8 * k,)))
            whole = bb.emit(op.astype(flat, "int32"))
            self.assertEqual(whole.dtype, "int32")
            self.assertEqual(bb.emit(op.full((k, 2), relax.const(1.0), dtype="float32")).shape, (k, 2))
            self.assertEqual(bb.emit(op.sum(x, axis=1, keepdims=True)).shape, (k, 1))
            self.assertEqual(bb.emit(op.sum(x, [1], True)).shape, (k, 1))
            parts = bb.emit(op.split(x, 2, axis=1))
            self.assertEqual(len(parts.type.fields), 2)
            first, second = parts
            self.assertEqual(bb.emit(op.add(first, second)).shape, (k, 2))
            bb.emit_func_output(whole)
        self.runs(bb.get(), np.concatenate([ramp(2, 4), ramp(2, 4)]).ravel().astype(np.int32), ramp(2, 4))

    def test_what_is_refused(self):
        k = repose.dim("k")
        x = relax.Var("x", R.Tensor((k, 4), "float32"))
        y = relax.Var("y", R.Tensor((5, 3), "float32"))

        def inside(make):
            def run():
                bb = relax.BlockBuilder()
                with bb.function("main", [x, y]):
                    bb.emit_func_output(bb.emit(make(bb)))
            return run

        for make, said in (
                (lambda bb: op.matmul(x, y), "matmul"),
                (lambda bb: op.add(x), "missing"),
                (lambda bb: op.add(x, y, 3), "takes 2"),
                (lambda bb: op.sum(x, axs=1), "`axs`"),
                (lambda bb: op.add(x, "a"), "`str`"),
                (lambda bb: op.exp(op.matmul(x, y) * 2), "no tensor"), (lambda bb: op.exp(2), "no tensor"),
                (lambda bb: bb.emit_te(lambda a: 3, x), "te.Tensor"),
                (lambda bb: op.reshape(x, (1.5,)), "float"),
                (lambda bb: x[0], "tuple"),
                (lambda bb: bb.emit_output(x), "dataflow")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(inside(make), repose.Error)))
        error = error_of(inside(lambda bb: op.matmul(x, y)))
        self.assertEqual(error.diagnostics[0].file, __file__)
        self.assertIn("bb.emit(make(bb))", Path(__file__).read_text().splitlines()[error.diagnostics[0].line - 1])
        bb = relax.BlockBuilder()
        self.assertIn("outside of a function", str(error_of(lambda: bb.emit(x), repose.CallError)))

        def no_result():
            with relax.BlockBuilder().function("main", [x]):
                pass

        self.assertIn("emit_func_output", str(error_of(no_result)))
        with self.assertRaisesRegex(AttributeError, "addd"):
            R.addd

    def test_the_stub_is_up_to_date(self):
        for path, text in make_op_stub.made().items():
            self.assertEqual(path.read_text(), text, "tools/make_op_stub.py writes it")

    def test_every_operator_is_documented(self):
        for name, doc, *_ in repose._repose._operators():
            function = op
            for part in name.split("."):
                function = getattr(function, part)
            self.assertEqual(function.__doc__, doc)
            self.assertTrue(callable(function))
        self.assertIn("axis", str(op.sum.__signature__))
        self.assertIs(R.nn.relu, op.nn.relu)


class Expressions(Cases):
    def program(self, tensors, want, *arguments):
        """The program of these computes this."""
        f = te.create_prim_func(tensors)
        bb = relax.BlockBuilder()
        inputs = [relax.Var(t.name, R.Tensor(t.shape, t.dtype)) for t in tensors[:len(arguments)]]
        result = tensors[-1]
        with bb.function("main", inputs):
            callee = bb.add_func(f, "program")
            call = R.call_tir(callee, tuple(inputs), out_sinfo=R.Tensor(result.shape, result.dtype))
            bb.emit_func_output(bb.emit(call))
        self.runs(bb.get(), want, *arguments)

    def test_vector_addition(self):
        k = te.var("k")
        a, b = te.placeholder((k,), name="A"), te.placeholder((k,), name="B")
        c = te.compute(a.shape, lambda i: a[i] + b[i], name="C")
        self.assertEqual((c.shape, c.dtype, c.ndim, c.name), ((k,), "float32", 1, "C"))
        self.program([a, b, c], ramp(5) + 1, ramp(5), ones(5))

    def test_matrix_product(self):
        m, k, n = (te.var(name) for name in "mkn")
        a, b = te.placeholder((m, k), name="A"), te.placeholder((k, n), name="B")
        r = te.reduce_axis((0, k), name="r")
        c = te.compute((m, n), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="C")
        self.program([a, b, c], ramp(2, 3) @ ramp(3, 4), ramp(2, 3), ramp(3, 4))

    def test_softmax(self):
        m, n = te.var("m"), te.var("n")
        a = te.placeholder((m, n), name="A")
        k, j = te.reduce_axis((0, n), name="k"), te.reduce_axis((0, n), name="j")
        largest = te.compute((m,), lambda i: te.max(a[i, k], axis=k), name="largest")
        e = te.compute((m, n), lambda i, c: te.exp(a[i, c] - largest[i]), name="e")
        total = te.compute((m,), lambda i: te.sum(e[i, j], axis=j), name="total")
        out = te.compute((m, n), lambda i, c: e[i, c] / total[i], name="out")
        x = ramp(3, 5)
        want = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        self.program([a, out], want, x)

    def test_convolution_with_padding(self):
        n = te.var("n")
        a, w = te.placeholder((n,), name="A"), te.placeholder((3,), name="W")
        padded = te.compute((n + 2,), lambda i: te.if_then_else(
            tir.And(i >= 1, i < n + 1), a[i - 1], te.const(0.0)), name="padded")
        r = te.reduce_axis(3, name="r")
        out = te.compute((n,), lambda i: te.sum(padded[i + r] * w[r], axis=r), name="out")
        x, k = ramp(6), ramp(3)
        self.program([a, w, out], np.correlate(x, k, mode="same"), x, k)

    def test_two_axes_and_a_range_that_begins_later(self):
        m, n = te.var("m"), te.var("n")
        a = te.placeholder((m, n), name="A")
        i, j = te.reduce_axis((0, m), name="i"), te.reduce_axis((1, n), name="j")
        self.program([a, te.compute((), lambda: te.sum(a[i, j], axis=[i, j]), name="s")],
                     ramp(3, 4)[:, 1:].sum(), ramp(3, 4))

    def test_other_reductions_and_functions(self):
        n = te.var("n")
        a = te.placeholder((n,), name="A")
        k = te.reduce_axis((0, n), name="k")
        x = ramp(4)
        for reduction, want in ((te.prod, x.prod()), (te.min, x.min()), (te.max, x.max())):
            self.assertEqual(reduction(a[k], axis=k).dtype, "float32")
            self.program([a, te.compute((), lambda: reduction(a[k], axis=k), name="r")], want, x)
        for make, want in ((te.tanh, np.tanh(x)), (te.sigmoid, 1 / (1 + np.exp(-x))), (te.floor, np.floor(x)),
                           (lambda v: tir.Select(v > 0, v, te.const(0.0)), np.maximum(x, 0)),
                           (lambda v: v.astype("int32").astype("float32"), np.trunc(x)),
                           (lambda v: te.power(te.abs(v), v), np.abs(x) ** x)):
            self.program([a, te.compute((n,), lambda i: make(a[i]), name="f")], want, x)

    def test_transposition_and_indices(self):
        m, n = te.var("m"), te.var("n")
        a = te.placeholder((m, n), name="A")
        self.program([a, te.compute((n, m), lambda i, j: a[j, i], name="t")], ramp(2, 3).T, ramp(2, 3))
        at = te.placeholder((m,), "int32", name="at")
        b = te.placeholder((n,), name="B")
        self.program([b, at, te.compute((m,), lambda i: b[at[i]], name="gathered")],
                     ramp(4)[[3, 0]], ramp(4), np.array([3, 0], np.int32))
        self.program([te.compute((4,), lambda i: i.astype("float32") * 2.0, name="r")], 2 * np.arange(4))

    def test_what_is_refused(self):
        n = te.var("n")
        a, b = te.placeholder((n,), name="A"), te.placeholder((n,), "int32", name="B")
        k = te.reduce_axis((0, n), name="k")
        for make, said in (
                (lambda: te.compute((n,), lambda i: a[i, i], name="c"), "2 indices"),
                (lambda: te.compute((n,), lambda i: a[i] + b[i], name="c"), "`int32`"),
                (lambda: te.compute((n,), lambda i: a[k], name="c"), "outside of a reduction"),
                (lambda: te.compute((n,), lambda i: i, name="c"), "index"),
                (lambda: te.compute((n,), lambda i: "x", name="c"), "`str`"),
                (lambda: te.sum(a[0], axis=n), "reduce_axis"),
                (lambda: te.create_prim_func([a]), "no tensor"),
                (lambda: te.create_prim_func([te.compute((n,), lambda i: a[i], name="c")]), "`A`"),
                (lambda: te.reduce_axis((0, 1, 2)), "pair")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(make, repose.CallError)))


class Passes(Cases):
    def setUp(self):
        @R.function
        def f(x: R.Tensor(("n", 4), "float32")):
            a = R.nn.relu(x)
            b = R.nn.relu(a)
            unused = R.exp(x)
            return R.add(b, b)

        self.module = repose.Module.from_functions({"main": f})

    def test_by_name_and_in_sequence(self):
        clean = transform.eliminate_dead_code(self.module)
        self.assertNotIn("exp", clean.script())
        self.assertEqual(transform.legalize.__doc__, repose.passes()["legalize"])
        low = transform.Sequential([transform.legalize, transform.fuse_programs])(self.module)
        self.assertIn("call_tir", low.script())
        self.runs(low, 2 * np.maximum(ramp(2, 4), 0), ramp(2, 4))
        for name in repose.passes():
            self.assertIsInstance(getattr(transform, name), transform.Pass)

    def test_instruments(self):
        timing, printing = transform.Timing(), transform.Printing("legalize")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), transform.PassContext(instruments=[timing, printing]):
            transform.Sequential([transform.eliminate_dead_code, transform.legalize])(self.module)
        transform.legalize(self.module)  # outside: unseen
        self.assertEqual([name for name, _ in timing.times], ["eliminate_dead_code", "legalize"])
        self.assertIn("legalize", timing.render())
        self.assertTrue(out.getvalue().startswith("# ---- after legalize\n"))

    def test_pass_in_python(self):
        class Once(transform.Mutator):
            """relu(relu(x)) is relu(x)."""

            def __init__(self):
                self.relus = set()

            def visit_call(self, bb, call):
                if call.op == "nn.relu":
                    if call.args[0] in self.relus:
                        return call.args[0]
                    made = bb.emit(call)
                    self.relus.add(made)
                    return made
                return None

        @transform.module_pass(name="once")
        def once(module):
            return Once()(module)

        self.assertEqual(self.module.script().count("R.nn.relu"), 2)
        changed = transform.Sequential([once, transform.eliminate_dead_code])(self.module)
        self.assertEqual(changed.script().count("R.nn.relu"), 1)
        self.assertEqual(repr(once), "<pass once>")
        self.runs(changed, 2 * np.maximum(ramp(2, 4), 0), ramp(2, 4))

    def test_replacement_with_a_formula(self):
        class Fast(transform.Mutator):
            def visit_call(self, bb, call):
                if call.op == "nn.relu":
                    return bb.emit_te(lambda a: te.compute(a.shape, lambda *i: tir.max(a(*i), te.const(0.0)),
                                                           name="fast"), call.args[0])

        changed = Fast()(self.module)
        self.assertNotIn("R.nn.relu", changed.script())
        self.runs(changed, 2 * np.maximum(ramp(2, 4), 0), ramp(2, 4))

    def test_visitor(self):
        class Count(transform.Visitor):
            def __init__(self):
                self.calls = {}

            def visit_call(self, call):
                self.calls[call.op] = self.calls.get(call.op, 0) + 1

        count = Count()
        count.visit_module(self.module)
        self.assertEqual(count.calls, {"nn.relu": 2, "exp": 1, "add": 1})

    def test_what_passes_must_not_do(self):
        @transform.module_pass
        def nothing(module):
            return None

        with self.assertRaisesRegex(TypeError, "nothing"):
            nothing(self.module)

        class Wrong(transform.Mutator):
            def visit_call(self, bb, call):
                raise ZeroDivisionError("of the pass")

        with self.assertRaisesRegex(ZeroDivisionError, "of the pass"):
            Wrong()(self.module)


class Schedules(Cases):
    def setUp(self):
        @I.ir_module
        class Product:
            @T.prim_func(private=True)
            def product(A: T.Buffer(("m", 16), "float32"), B: T.Buffer((16, "n"), "float32"),
                        C: T.Buffer(("m", "n"), "float32")):
                m, n = T.int64(), T.int64()
                for i, j, k in T.grid(m, n, 16):
                    with T.block("C"):
                        vi, vj, vk = T.axis.remap("SSR", [i, j, k])
                        with T.init():
                            C[vi, vj] = T.float32(0)
                        C[vi, vj] = C[vi, vj] + A[vi, vk] * B[vk, vj]

            @R.function
            def main(a: R.Tensor(("m", 16), "float32"), b: R.Tensor((16, "n"), "float32")):
                m, n = T.int64(), T.int64()
                cls = Product
                return R.call_tir(cls.product, (a, b), out_sinfo=R.Tensor((m, n), "float32"))

        self.module = Product
        self.a, self.b = ramp(5, 16), ramp(16, 7)

    def test_tiles(self):
        s = tir.Schedule(self.module, "product")
        block = s.get_block("C")
        i, j, k = s.get_loops(block)
        self.assertEqual([loop.name for loop in (i, j, k)], ["i", "j", "k"])
        j_o, j_i = s.split(j, factor=8)
        s.reorder(i, j_o, k, j_i)
        s.decompose_reduction(block, k)
        s.vectorize(j_i)
        s.parallel(i, 2)
        self.assertEqual(s.trace[0], "j_o, j_i = split(j, 8, masked)")
        self.assertIn("T.vectorized(8)", s.func.script())
        self.runs(s.mod, self.a @ self.b, self.a, self.b)
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            s.show()
        self.assertIn("# vectorize(j_i)", out.getvalue())
        # The steps are those of a text.
        again = tir.Schedule(self.module, "product")
        again.apply("\n".join(s.trace))
        self.assertEqual(again.func, s.func)

    def test_several_factors_and_names(self):
        s = tir.Schedule(self.module)
        tiles = s.split("i", factors=[None, 2, 4])
        self.assertEqual(len(tiles), 3)
        self.assertEqual([b.name for b in s.get_blocks()], ["C"])
        self.assertEqual(len(s.get_loops()), 5)
        s.unroll(tiles[2])
        self.runs(s.mod, self.a @ self.b, self.a, self.b)

    def test_cache_and_conditions(self):
        s = tir.Schedule(self.module)
        copied = s.cache_write("C", "j", "local")
        self.assertEqual(copied.name, "C_out")
        s.specialize("i", s.symbols["n"] >= 8)
        self.runs(s.mod, self.a @ self.b, self.a, self.b)

    def test_layouts(self):
        k = te.var("k")
        a = te.placeholder((k,), name="A")
        b = te.compute((k,), lambda i: a[i] * 2.0, name="B")
        c = te.compute((k,), lambda i: b[i] + 1.0, name="C")
        s = tir.Schedule(te.create_prim_func([a, c]))
        s.transform_layout("B", lambda i: (i // 4, i % 4))
        self.assertIn("B[v_i0 // 4, v_i0 % 4]", s.func.script())
        inlined = tir.Schedule(te.create_prim_func([a, c]))
        inlined.compute_inline("B")
        self.assertEqual([x.name for x in inlined.get_blocks()], ["C"])

    def test_what_is_not_legal(self):
        s = tir.Schedule(self.module)
        before = s.func
        for step, said in ((lambda: s.vectorize("j"), "vectorize"), (lambda: s.vectorize("q"), "no loop `q`"),
                           (lambda: s.get_block("D"), "`C`"), (lambda: s.parallel("k", 1), "parallel"),
                           (lambda: s.apply("magic(i)"), "magic"), (lambda: s.get_loops("D"), "`D`")):
            with self.subTest(said):
                self.assertTrue(str(error_of(step)))
        for step, said in ((lambda: s.split("i", 4, "half"), "`masked`"), (lambda: s.fuse("i"), "takes 2"),
                           (lambda: s.split("i", 1.5), "float"), (lambda: s.unroll(3), "`int`"),
                           (lambda: s.cache_write("C", "j", "global"), "`local`")):
            with self.subTest(said):
                self.assertIn(said, str(error_of(step, repose.CallError)))
        self.assertEqual(s.func, before)
        self.assertEqual(s.trace, [])
        with self.assertRaisesRegex(AttributeError, "primitive `tensorize`"):
            s.tensorize("C")
        self.assertIn("which program", str(error_of(lambda: tir.Schedule(repose.Module.from_functions({})))))
        self.assertIn("`q`", str(error_of(lambda: tir.Schedule(self.module, "q"))))


if __name__ == "__main__":
    unittest.main()

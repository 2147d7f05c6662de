// Graph functions: calls, branches, closures, recursion, match_cast, checks.
#include "interp/interpret.h"

namespace repose {
namespace {

using namespace testing_interp;

TEST(Graph, CallTirAllocatesItsResults) {
  const Module m = parse(R"(
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def twice(a: T.Buffer(("n",), "float32"), b: T.Buffer(("n",), "float32")):
        n = T.int64()
        for i in range(n):
            b[i] = a[i] + a[i]

    @R.function
    def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        n = T.int64()
        cls = Module
        with R.dataflow():
            y = R.call_tir(cls.twice, (x,), out_sinfo=R.Tensor((n,), "float32"))
            R.output(y)
        return y
)");
  EXPECT_EQ(run(m, {floats({3}, {1, 2, 3})}), "float32(3)[2, 4, 6]");
  EXPECT_EQ(run(m, {floats({0}, {})}), "float32(0)[]");
  EXPECT_EQ(run(m, {ints({3}, {1, 2, 3})}), "argument 0 (`x`) has dtype int64, expected float32");
  EXPECT_EQ(run(m, {floats({1, 3}, {1, 2, 3})}), "argument 0 (`x`) has rank 2, expected 1");
  EXPECT_EQ(run(m, {HostValue::Shape{3}}).find("argument 0 (`x`) is (3), expected"), 0u);
  EXPECT_EQ(run(m, {}), "a function of 1 parameters is called with 0 arguments");
  auto result = interpret(m, standard_ops(), "main", {ints({3}, {1, 2, 3})});
  EXPECT_EQ(result.errors()[0].kind, DiagnosticKind::call_refused);
  EXPECT_FALSE(interpret(m, standard_ops(), "missing", {}).ok());
}

TEST(Graph, ProgramsMustWriteTheirResultsAndNothingElse) {
  auto text = [](const std::string& store) {
    return R"(
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def f(a: T.Buffer((2, 2), "float32"), b: T.Buffer((2, 2), "float32")):
        for i in range(2):
)" + store +
           R"(
    @R.function
    def main(x: R.Tensor((2, 2), "float32")) -> R.Tensor((2, 2), "float32"):
        cls = Module
        y = R.call_tir(cls.f, (x,), out_sinfo=R.Tensor((2, 2), "float32"))
        return y
)";
  };
  const auto x = floats({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(run(text("            b[i, 0] = a[i, 0]\n"), {x}),
            "`f`: element (0, 1) of its result `b` is never written");
  EXPECT_EQ(run(text("            a[i, 0] = b[i, 0]\n"), {x}),
            "`f`: stores to buffer `a`, which is an operand");
  EXPECT_EQ(run(text("            b[i, 2] = a[i, 0]\n").replace(0, 0, ""), {x}).substr(0, 3),
            "`f`");
}

TEST(Graph, InPlaceCallsLeaveTheirArgumentAlone) {
  const Module m = parse(R"(
@I.ir_module
class Module:
    @T.prim_func(private=True)
    def bump(a: T.Buffer(("n",), "float32")):
        n = T.int64()
        for i in range(n):
            a[i] = a[i] + T.float32(1)

    @R.function
    def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        n = T.int64()
        cls = Module
        y = R.call_tir_inplace(cls.bump, (x,), inplace_indices=[0], out_sinfo=R.Tensor((n,), "float32"))
        return y
)");
  const auto x = floats({2}, {1, 2});
  EXPECT_EQ(run(m, {x}), "float32(2)[2, 3]");
  EXPECT_EQ(values_of(x), (std::vector<double>{1, 2}));
}

TEST(Graph, MatchCastBindsAndChecks) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(dtype="float32")) -> R.Shape(ndim=2):
    n = T.int64()
    y = R.match_cast(x, R.Tensor((n, n), "float32"))
    z = R.add(y, y)
    s = R.shape([n * 10, n + 1])
    return s
)");
  EXPECT_EQ(run(m, {floats({2, 2}, {1, 2, 3, 4})}), "(20, 3)");
  EXPECT_EQ(run(m, {floats({2, 1}, {1, 2})}), "`y`: dimension 1 is 1, expected `n` = 2");
  EXPECT_EQ(run(m, {floats({2}, {1, 2})}), "`y` has rank 1, expected 2");
  EXPECT_EQ(run(m, {ints({1, 1}, {1})}), "argument 0 (`x`) has dtype int64, expected float32");
}

TEST(Graph, SignaturesBindFirstAndCheckThen) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n * 2",), "float32"), y: R.Tensor(("n",), "float32")) -> R.Tensor(("n * 2",), "float32"):
    n = T.int64()
    return x
)");
  EXPECT_EQ(run(m, {floats({2}, {1, 2}), floats({1}, {1})}), "float32(2)[1, 2]");
  EXPECT_EQ(run(m, {floats({3}, {1, 2, 3}), floats({1}, {1})}),
            "argument 0 (`x`): dimension 0 is 3, expected `n * 2` = 2");
}

TEST(Graph, BranchesOnValues) {
  const Module m = parse(R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")) -> R.Tensor(ndim=1, dtype="float32"):
    n = T.int64()
    if c:
        y = R.add(x, x)
        z = y
    else:
        z = R.concat((x, x), axis=0)
    w = R.negative(z)
    return w
)");
  const auto x = floats({2}, {1, 2});
  EXPECT_EQ(run(m, {array({}, dtypes::boolean, {1}), x}), "float32(2)[-2, -4]");
  EXPECT_EQ(run(m, {array({}, dtypes::boolean, {0}), x}), "float32(4)[-1, -2, -1, -2]");
}

TEST(Graph, ClosuresCaptureValuesAndSymbols) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(ndim=1, dtype="float32"):
    n = T.int64()
    b = R.add(x, x)

    @R.function
    def inner(y: R.Tensor(("m",), "float32")) -> R.Tensor(ndim=1, dtype="float32"):
        m = T.int64()
        s = R.zeros(R.shape([n + m]), dtype="float32")
        r = R.concat((s, b), axis=0)
        return r

    z = inner(x)
    return z
)");
  EXPECT_EQ(run(m, {floats({1}, {3})}), "float32(3)[0, 0, 6]");
}

const char* recursion = R"(
@I.ir_module
class Module:
    @R.function
    def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(ndim=0, dtype="float32"):
        n = T.int64()
        cls = Module
        c = R.prim_value(n <= 1)
        if c:
            r = R.sum(x)
        else:
            rest = R.strided_slice(x, axes=[0], begin=[1], end=[1000000])
            m = T.int64()
            y = R.match_cast(rest, R.Tensor((m,), "float32"))
            tail = cls.main(y)
            head = R.sum(x)
            r = R.multiply(head, tail)
        return r
)";

TEST(Graph, RecursionOverShapes) {
  const Module m = parse(recursion);
  EXPECT_EQ(run(m, {floats({1}, {3})}), "float32()[3]");
  EXPECT_EQ(run(m, {floats({3}, {1, 2, 3})}), "float32()[90]");  // 6 * 5 * 3
}

TEST(Graph, EndlessRecursionIsAnError) {
  const Module m = parse(R"(
@I.ir_module
class Module:
    @R.function
    def main(x: R.Tensor((), "float32")) -> R.Tensor((), "float32"):
        cls = Module
        y = cls.main(x)
        return y
)");
  EXPECT_EQ(run(m, {floats({}, {3})}), "calls are nested more than 2000 deep");
  InterpretOptions options;
  options.max_call_depth = 1000000;
  options.max_steps = 100000;
  EXPECT_EQ(run(m, {floats({}, {3})}, options), "the interpreter stops after 100000 steps");
}

TEST(Graph, ShapesAsValues) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("a", "b"), "float32"), t: R.Tensor((2,), "int64")) -> R.Tensor(ndim=2, dtype="float32"):
    s = R.tensor_to_shape(t)
    p, q = T.int64(), T.int64()
    u = R.match_cast(s, R.Shape([p, q]))
    y = R.reshape(x, R.shape([p, q]))
    return y
)");
  const auto x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run(m, {x, ints({2}, {3, 2})}), "float32(3, 2)[1, 2, 3, 4, 5, 6]");
  EXPECT_NE(run(m, {x, ints({2}, {3, 3})}).find("`reshape`"), std::string::npos)
      << run(m, {x, ints({2}, {3, 3})});
  const Module back = parse(R"(
@R.function
def main(x: R.Tensor(dtype="float32")) -> R.Tensor(ndim=1, dtype="int64"):
    s = R.shape_of(x)
    t = R.shape_to_tensor(s)
    return t
)");
  EXPECT_EQ(run(back, {floats({2, 1, 3}, std::vector<double>(6))}), "int64(3)[2, 1, 3]");
}

TEST(Graph, TuplesPrintsAndAssertions) {
  const Module m = parse(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32"), c: R.Tensor((), "bool")) -> R.Tensor(("n",), "float32"):
    n = T.int64()
    t = (x, (c, x))
    u = t[1]
    v = u[1]
    R.print(c, format="c is {}")
    R.assert_op(c, format="the flag is {}")
    return v
)");
  InterpretOptions options;
  std::string printed;
  options.print = [&](const std::string& text) { printed += text + "\n"; };
  auto with = [&](double c) {
    return run(m, {floats({1}, {7}), array({}, dtypes::boolean, {c})}, options);
  };
  EXPECT_EQ(with(1), "float32(1)[7]");
  EXPECT_EQ(printed, "c is bool()[True]\n");
  EXPECT_EQ(with(0), "the flag is {}");
}

TEST(Graph, PackedFunctionsAreRefusedByName) {
  EXPECT_EQ(run(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    y = R.call_packed("my.function", x, sinfo_args=[R.Tensor(ndim=1, dtype="float32")])
    return y
)",
                {floats({1}, {1})}),
            "the packed function `my.function` is not known to the interpreter");
}

TEST(Graph, DeclaredRangesAreChecked) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
    n = T.int64()
    R.func_attr({"tir_var_upper_bound": {"n": 2}})
    return x
)");
  EXPECT_EQ(run(m, {floats({2}, {1, 2})}), "float32(2)[1, 2]");
  EXPECT_EQ(run(m, {floats({3}, {1, 2, 3})}),
            "symbol `n` is 3, it is declared to lie in [0, 2] and to be a multiple of 1");
}

// ---- Loops --------------------------------------------------------------------------------------

TEST(Graph, WhileLoopCarriesValues) {
  const Module m = parse(R"(
@R.function
def main(n: R.Tensor((), "int64")) -> R.Tensor((), "int64"):
    @R.function
    def goes_on(i: R.Tensor((), "int64"), p: R.Tensor((), "int64")) -> R.Tensor((), "bool"):
        return R.less_equal(i, n)

    @R.function
    def step(i: R.Tensor((), "int64"), p: R.Tensor((), "int64")):
        return (i + 1, p * i)

    r = R.while_loop(goes_on, step, (R.const(1, "int64"), R.const(1, "int64")))
    return r[1]
)");
  EXPECT_EQ(run(m, {ints({}, {5})}), "int64()[120]");
  EXPECT_EQ(run(m, {ints({}, {0})}), "int64()[1]");
}

// A value that is no tuple, functions of the module, and a symbol that each iteration binds anew.
const char* const growing = R"(
@I.ir_module
class Module:
    @R.function(private=True)
    def is_small(x: R.Tensor(("k",), "float32")) -> R.Tensor((), "bool"):
        return R.less(R.sum(x), R.const(9.0, "float32"))

    @R.function(private=True)
    def twice(x: R.Tensor(("k",), "float32")) -> R.Tensor(("k * 2",), "float32"):
        return R.concat((x, x))

    @R.function
    def main(x: R.Tensor(("n",), "float32")):
        y = R.while_loop(cls.is_small, cls.twice, x)
        return y
)";

TEST(Graph, WhileLoopBindsSymbolsInEachIteration) {
  const Module m = parse(growing);
  EXPECT_EQ(run(m, {floats({1}, {3})}), "float32(4)[3, 3, 3, 3]");
  EXPECT_EQ(run(m, {floats({2}, {4, 5})}), "float32(2)[4, 5]");
  // The result's extent is a symbol of its own, and not the caller's.
  const graph::Function f = m.graph_function("main");
  const auto* result = as<TensorTypeNode>(f->result_type);
  const auto* param = as<TensorTypeNode>(f->params[0]->type);
  ASSERT_TRUE(result && result->shape && as<VarNode>((*result->shape)[0]));
  EXPECT_NE((*result->shape)[0], (*param->shape)[0]);
}

TEST(Graph, WhileLoopKeepsSymbolsOfTheScopeAround) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
    n = T.int64()

    @R.function
    def is_small(v: R.Tensor((n,), "float32")) -> R.Tensor((), "bool"):
        return R.less(R.sum(v), R.const(9.0, "float32"))

    @R.function
    def twice(v: R.Tensor((n,), "float32")) -> R.Tensor((n,), "float32"):
        return R.add(v, v)

    return R.while_loop(is_small, twice, x)
)");
  EXPECT_EQ(run(m, {floats({2}, {1, 2})}), "float32(2)[4, 8]");
  EXPECT_TRUE(structural_equal(m.graph_function("main")->body->result->type,
                               m.graph_function("main")->params[0]->type));
}

TEST(Graph, WhileLoopWithoutEndMeetsTheLimit) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor((), "float32")) -> R.Tensor((), "float32"):
    @R.function
    def always(v: R.Tensor((), "float32")) -> R.Tensor((), "bool"):
        return R.const(True, "bool")

    @R.function
    def same(v: R.Tensor((), "float32")) -> R.Tensor((), "float32"):
        return v

    return R.while_loop(always, same, x)
)");
  InterpretOptions options;
  options.max_steps = 1000;
  EXPECT_NE(run(m, {floats({}, {1})}, options).find("1000"), std::string::npos);
}

// C1 … C4 of the operator: what `cond` and `body` look like, and the error.
TEST(Graph, WhileLoopConstraints) {
  auto with = [](const std::string& cond, const std::string& body, const std::string& init) {
    const std::string text = R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    @R.function
    def cond()" + cond + R"(

    @R.function
    def body()" + body + R"(

    return R.while_loop(cond, body, )" +
                             init + ")\n";
    auto module = parse_module(make_text_source("test", text), standard_ops());
    return module.ok() ? std::string("ok") : module.errors()[0].text;
  };
  const std::string cond = R"(v: R.Tensor(("k",), "float32")) -> R.Tensor((), "bool"):
        return R.less(R.sum(v), R.const(9.0, "float32")))";
  const std::string body = R"(v: R.Tensor(("k",), "float32")) -> R.Tensor(("k",), "float32"):
        return R.add(v, v))";
  EXPECT_EQ(with(cond, body, "x"), "ok");
  EXPECT_EQ(with(cond, body, "(x, x)"),
            "`while_loop`: `cond` takes 1 values, 2 are carried");  // C1
  EXPECT_EQ(with(cond, R"(v: R.Tensor(("k",), "float32")) -> R.Tensor(("k",), "int32"):
        return R.astype(v, dtype="int32"))",
                 "x"),
            "`while_loop`: the result of `body` has type `R.Tensor((k,), dtype=\"int32\")`, "
            "expected `R.Tensor((k,), dtype=\"float32\")`");  // C3
  EXPECT_EQ(with(cond, body, "R.const(1, \"int32\")"),
            "`while_loop`: `init` has type `R.Tensor((), dtype=\"int32\")`, expected "
            "`R.Tensor((k,), dtype=\"float32\")`");  // C3
  EXPECT_EQ(with(R"(v: R.Tensor(("k",), "float32")) -> R.Tensor(("k",), "bool"):
        return R.less(v, v))",
                 body, "x"),
            "`while_loop`: `cond` gives `R.Tensor((k,), dtype=\"bool\")`, expected a bool of rank "
            "0");  // C4
}

TEST(Graph, WhileLoopIsPure) {
  auto module = parse_module(make_text_source("test", R"(
@R.function(pure=False)
def main(x: R.Tensor((), "float32")):
    @R.function
    def cond(v: R.Tensor((), "float32")) -> R.Tensor((), "bool"):
        return R.less(v, R.const(9.0, "float32"))

    @R.function(pure=False)
    def body(v: R.Tensor((), "float32")) -> R.Tensor((), "float32"):
        R.print(v, format="{}")
        return R.add(v, v)

    return R.while_loop(cond, body, x)
)"),
                             standard_ops());
  ASSERT_FALSE(module.ok());
  EXPECT_EQ(module.errors()[0].text, "`while_loop`: operand 1 (`body`) is not pure");  // C2
}

}  // namespace
}  // namespace repose

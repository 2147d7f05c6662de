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

// The loop is given to the interpreter as an operator of the table: (condition, body, carried).
TEST(Graph, WhileLoopCarriesValues) {
  static const OpDef loop{
      .name = "while_loop",
      .args = {{"cond", ArgKind::any}, {"body", ArgKind::any}, {"init", ArgKind::any}},
      .infer = [](InferContext&, const graph::CallNode& call) -> Result<Type> {
        return call.args[2]->type;
      }};
  std::vector<const OpDef*> defs{&loop};
  for (const OpDef* op : standard_ops().all()) {
    if (op->name != "while_loop") defs.push_back(op);
  }
  const OpTable ops(defs);
  Builder b(ops);
  const Type integer = tensor_type({}, dtypes::int64);
  auto constant = [](double v) { return graph::make_constant(ints({}, {v})); };
  auto binary = [&](const char* op, graph::Value x, graph::Value y) {
    return *b.emit(graph::make_op_call(*ops.find(op), {std::move(x), std::move(y)}));
  };
  auto n = graph::make_variable("n", integer);
  b.begin_function("main", {n});
  auto i = graph::make_variable("i", integer), p = graph::make_variable("p", integer);
  b.begin_function("cond", {i, p});
  const graph::Value cond = *b.end_function(binary("less_equal", i, n));
  const auto cond_var = *b.emit(cond);
  auto j = graph::make_variable("j", integer), q = graph::make_variable("q", integer);
  b.begin_function("body", {j, q});
  const graph::Value next = binary("add", j, constant(1)), product = binary("multiply", q, j);
  const graph::Value body = *b.end_function(graph::make_tuple({next, product}));
  const auto body_var = *b.emit(body);
  const auto carried = *b.emit(graph::make_op_call(
      loop, {cond_var, body_var, graph::make_tuple({constant(1), constant(1)})}));
  ASSERT_TRUE(b.end_function(*b.emit(graph::make_tuple_get(carried, 1))).ok());
  auto with = [&](double v) {
    auto result = interpret(b.module(), ops, "main", {ints({}, {v})});
    return result.ok() ? to_string(*result) : to_string(result.errors());
  };
  EXPECT_EQ(with(5), "int64()[120]");
  EXPECT_EQ(with(0), "int64()[1]");
}

}  // namespace
}  // namespace repose

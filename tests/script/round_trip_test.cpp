// Every construct of modules and graph functions: text → IR → text → IR gives the same text and
// equal IR.
#include <unistd.h>

#include <filesystem>

#include "ir/verifier.h"
#include "round_trip.h"
#include "script/safetensors.h"

namespace repose {
namespace {

TEST(RoundTrip, GraphFunction) {
  expect_canonical(in_module(R"(    @R.function
    def main(x: R.Tensor(("m", 224), dtype="float32"), y: R.Tensor(("m * 224",), dtype="float32")) -> R.Tensor(("m * 224",), dtype="float32"):
        m = T.int64()
        R.func_attr({"num_input": 1, "tir_var_upper_bound": {"m": 4096}})
        with R.dataflow():
            lv: R.Tensor((m * 224,), dtype="float32") = R.reshape(x, R.shape([m * 224]))
            gv: R.Tensor((m * 224,), dtype="float32") = R.add(lv, y)
            R.output(gv)
        return gv
)"));
}

TEST(RoundTrip, SugarAndKeywordArguments) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor((2, 3, 4), "float32")):
    y = x + 2.0 * x
    z = R.sum(y, axis=[1], keepdims=True)
    w = R.permute_dims(x, axes=[0, 2, 1])
    v = R.sum(x, [0], False)
    s = R.scale(x, factor=2, extra={"a": [1, 2.5, None, "b"], 3: T.float32(0.5)})
    u = R.reshape(x, (6, 4))
    a = R.astype(u, "float16")
    return (z, w, v, s, a, -u)
)");
  expect_contains(text, "R.multiply(R.const(2.0, \"float32\"), x)");
  expect_contains(text, "R.sum(y, axis=[1], keepdims=True)");
  expect_contains(text, "R.sum(x, axis=[0])");
  expect_contains(text, "factor=2.0, extra={\"a\": [1, 2.5, None, \"b\"], 3: T.float32(0.5)}");
  expect_contains(text, "R.reshape(x, R.shape([6, 4]))");
  expect_contains(text, "R.astype(u, dtype=\"float16\")");
}

TEST(RoundTrip, Rebinding) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor((2,), "float32")):
    x = R.add(x, x)
    x = R.add(x, x)
    return x
)");
  expect_contains(text, "x_2: R.Tensor((2,), dtype=\"float32\") = R.add(x_1, x_1)");
}

TEST(RoundTrip, TupleAndItems) {
  round_trip(R"(
@R.function
def main(t: R.Tuple(R.Tensor((2,), "float32"), R.Tuple(R.Tensor(ndim=2), R.Tuple()))):
    a, b = t
    c = b[0]
    d = (a, (c,), R.tuple())
    e = d[-1]
    p, q = R.split2(a)
    return (p, q, d, e)
)");
}

TEST(RoundTrip, Annotations) {
  std::string text = round_trip(R"(
@R.function(private=True)
def main(a: R.Tensor, b: R.Tensor("float16"), c: R.Tensor(ndim=3, dtype="int8"), d: R.Shape(["n", "k"]),
         e: R.Shape(ndim=2), f: R.Shape, g: R.Object, h: R.Any, i: R.Prim("int64"), j: R.Prim(value="p"),
         kk: R.Callable((R.Tensor(("q",), "float32"),), R.Tensor(("q + 1",), "float32"), False),
         l: R.Callable, o: R.Tensor(("n", "k"), "float32", vdevice="llvm:0"),
         q: R.Tensor(("n", "k"), "float32", strides=["c0", "1"]),
         r: R.Tensor(("c0",), "float32"), s: T.int64) -> R.Tuple:
    n, k = T.int64(), T.int64()
    t = R.shape([n * 2, k // 2, k % 3, T.min(n, 4), T.max(k, 1), T.Select(n == 1, k, n)])
    u = R.prim_value(p + s)
    return R.tuple()
)");
  expect_contains(text, "kk: R.Callable((R.Tensor((\"q_1\",), dtype=\"float32\"),)");
  expect_contains(text, "strides=[\"c0\", 1]");
}

TEST(RoundTrip, MatchCastBindsSymbols) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), s: R.Shape(ndim=2)) -> R.Tensor(("k",), "float32"):
    n, k, a, b = T.int64(), T.int64(), T.int64(), T.int64()
    u = R.unique(x)
    y = R.match_cast(u, R.Tensor((k,), "float32"))
    z = R.match_cast(s, R.Shape([a, b]))
    w = R.reshape(y, R.shape([k * 2 // 2]))
    return y
)");
  expect_contains(text, "R.match_cast(u, R.Tensor((k,), dtype=\"float32\"))");
}

// A closure's variable and the closure have one type, also where the body gives the symbols that
// the result's annotation names.
TEST(RoundTrip, ClosureOverSymbolsOfItsBody) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    @R.function
    def g(a: R.Tensor(("k",), "float32")) -> R.Tensor(("c",), "float32"):
        u: R.Tensor(("c",), "float32") = R.unique(a)
        return u
    y = g(x)
    return y
)");
  round_trip(print(m));
  const graph::Binding& closure = m.graph_function("main")->body->blocks[0].bindings[0];
  EXPECT_TRUE(structural_equal(closure.var->type, closure.value->type)) << print(m);
}

TEST(RoundTrip, FreshSymbolsAreNamedByAnnotations) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    a = R.unique(x)
    b = R.unique(x)
    c = R.concat((a, b))
    return c
)");
  expect_contains(text, "a: R.Tensor((u,), dtype=\"float32\") = R.unique(x)");
  expect_contains(text, "b: R.Tensor((u_1,), dtype=\"float32\") = R.unique(x)");
  expect_contains(text, "-> R.Tensor((\"u + u_1\",), dtype=\"float32\")");
}

TEST(RoundTrip, Branches) {
  std::string text = round_trip(R"(
@R.function
def main(c: R.Tensor((), "bool"), d: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32")):
    if c:
        t = R.add(x, x)
        y = R.add(t, x)
    else:
        if d:
            y = x
        else:
            y = R.multiply(x, x)
    z = R.add(y, y)
    return z
)");
  expect_contains(text, "    if c:\n");
}

TEST(RoundTrip, BranchesOfDifferentShapesBindFreshSymbols) {
  std::string text = round_trip(R"(
@R.function
def main(c: R.Tensor((), "bool"), x: R.Tensor(("n",), "float32"), w: R.Tensor(("m",), "float32")):
    if c:
        y = R.add(x, x)
    else:
        y = w
    z = R.add(y, y)
    return z
)");
  expect_contains(text, "y: R.Tensor((d,), dtype=\"float32\") = w");
}

TEST(RoundTrip, CallsOfFunctionsAndRecursion) {
  std::string text = round_trip(R"(
@I.ir_module
class Net:
    I.module_attrs({"version": 3})
    I.module_global_infos({"vdevice": [I.vdevice("llvm", 0), I.vdevice("cuda", 1, "local")]})
    sort = R.ExternFunc("my_sort", R.Callable((R.Tensor((4,), "float32"),), R.Tensor((4,), "float32"), True))

    @R.function
    def main(x: R.Tensor(("n",), "float32")):
        cls = Net
        a = cls.later(x)
        b = Net.inferred(a)
        c = even(x)
        e = cls.sort(R.reshape(c, (4,)))
        return (b, e)

    @R.function
    def later(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        return x

    @R.function
    def inferred(x: R.Tensor(("n",), "float32")):
        return R.add(x, x)

    @R.function
    def even(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        y = cls.odd(x)
        return y

    @R.function
    def odd(x: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        y = cls.even(x)
        return y
)");
  expect_contains(text, "class Net:");
  expect_contains(text, "I.vdevice(\"cuda\", 1, \"local\")");
}

TEST(RoundTrip, ClosuresAndLoops) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), limit: R.Tensor((), "float32")):
    @R.function
    def cond(v: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "bool"):
        return R.less(v, limit)

    @R.function
    def again(v: R.Tensor(("n",), "float32")) -> R.Tensor(("n",), "float32"):
        w = again(v)
        return w

    y = R.while_loop(cond, again, x)
    z = again(y)
    return z
)");
  expect_contains(text, "        def again(v_1");
}

TEST(RoundTrip, CallTir) {
  std::string text = round_trip(in_module(R"(
    @T.prim_func(private=True)
    def copy(A: T.Buffer(("n",), "float32"), k: T.int64, B: T.Buffer(("n",), "float32")):
        n = T.int64()
        for i in range(n):
            B[i] = A[i]

    @T.prim_func
    def two(A: T.Buffer(("n",), "float32"), B: T.Buffer(("n",), "float32"), C: T.Buffer(("n",), "float32")):
        n = T.int64()
        for i in range(n):
            with T.block("B"):
                vi = T.axis.spatial(n, i)
                B[vi] = A[vi]
                C[vi] = A[vi]

    @R.function(pure=False)
    def main(x: R.Tensor(("n",), "float32")):
        n = T.int64()
        a = R.call_tir(cls.copy, (x, n), out_sinfo=R.Tensor((n,), "float32"))
        b, c = R.call_tir(cls.two, a, out_ty=[R.Tensor((n,), "float32"), R.Tensor((n,), "float32")])
        d = R.call_tir_inplace(cls.two, (a,), out_sinfo=[R.Tensor((n,), "float32"), R.Tensor((n,), "float32")], inplace_indices=[0, -1])
        e = R.call_dps_packed("lib.f", (b, c), out_sinfo=R.Tensor((n,), "float32"))
        f = R.call_packed("lib.g", e, n, "text", sinfo_args=[R.Tensor((n,), "float32")])
        g = R.call_pure_packed("lib.h", f, ty_args=R.Object)
        R.print(f, format="{}")
        h = R.call_packed(R.ExternFunc("lib.i"), R.dtype("int8"), R.str("a\"b\\\n"))
        return f
)"));
  expect_contains(text, "out_sinfo=[R.Tensor((n,), dtype=\"float32\"), R.Tensor((n,)");
  expect_contains(text, "        R.print(f, format=\"{}\")\n");
}

TEST(RoundTrip, TirVarsArePermuted) {
  Module m = parse(in_module(R"(
    @T.prim_func
    def fill(A: T.Buffer((4,), "float32"), B: T.Buffer((4,), "float32"), n: T.int64):
        for i in range(4):
            B[i] = T.Cast("float32", n)

    @R.function
    def main(x: R.Tensor(("n", 4), "float32"), y: R.Tensor((4,), "float32")):
        n = T.int64()
        a = R.call_tir(cls.fill, (y,), out_sinfo=R.Tensor((4,), "float32"), tir_vars=R.shape([n]))
        return a
)"));
  auto f = m.prim_func("fill");
  ASSERT_TRUE(f);
  EXPECT_EQ(f->params[1].buffer, nullptr);
  expect_contains(print(m), "R.call_tir(cls.fill, (y, R.prim_value(n)), out_sinfo=");
}

TEST(RoundTrip, Constants) {
  std::string text = round_trip(R"(
@R.function
def main():
    a = R.const(1)
    b = R.const(0.1, "float32")
    c = R.const([[1, -2], [3, 4]], "int64")
    d = R.const([True, False], "bool")
    e = R.const([inf, -inf, nan, 1e-05, 65504], "float16")
    f = R.const([], "float32", shape=(0, 3))
    g = R.const(18446744073709551615, "uint64")
    h = R.const(-9223372036854775808, "int64")
    i = R.const(0x1f, "uint8", name="mask")
    j = R.const(3.0e38, "bfloat16")
    return (a, b, c, d, e, f, g, h, i, j, R.prim_value(T.float32(0.5)), R.prim_value(3))
)");
  expect_contains(text, "R.const([inf, -inf, nan, 1e-05, 65500.0], \"float16\")");
  expect_contains(text, "R.const([], \"float32\", shape=(0, 3))");
  expect_contains(text, "R.const(31, \"uint8\", name=\"mask\")");
}

TEST(RoundTrip, ChecksAreNotDoubled) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), y: R.Tensor(("m",), "float32")):
    z: R.Tensor((n,), "float32") = R.add(x, y)
    w: R.Tensor = R.add(z, y)
    return w
)");
  size_t first = text.find("R.check(");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("R.check(", first + 1), std::string::npos) << text;
}

TEST(RoundTrip, AnnotationThatMayHoldIsChecked) {
  std::string text = round_trip(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), y: R.Tensor(("m",), "float32")):
    z: R.Tensor((m,), "float32") = R.add(x, x)
    return z
)");
  expect_contains(text, "R.check(");
}

TEST(RoundTrip, NewSpelling) {
  round_trip(R"(
n = TypeVar("n")

@I.ir_module
class Module:
    @T.prim_func(s_tir=True, private=True, check_well_formed=False)
    def f(a: T.handle, b: T.handle):
        T.func_attr({"tirx.noalias": True})
        m = T.int64(is_size_var=True)
        A = T.match_buffer(a, (m, 2), "float32")
        B = T.match_buffer(b, (m, 2), "float32")
        for i, j in T.grid(m, 2):
            B[i, j] = A[i, j]

    @R.function
    def main[k](x: R.Tensor((n, k), "float32")) -> R.Any:
        return x
)");
}

TEST(RoundTrip, Weights) {
  Ref<ArrayNode> data = make_array({10, 10}, dtypes::float32);
  for (int64_t i = 0; i < 100; ++i)
    data->store(i, Scalar::of_float(static_cast<double>(i), dtypes::float32));
  Ref<ArrayNode> other = make_array({65}, dtypes::int64);
  ParseOptions parse_options;
  parse_options.weights = [&](std::string_view name) -> Array {
    return name == "w" ? Array(data) : name == "o" ? Array(other) : nullptr;
  };
  Module m = parse(R"(
@R.function
def main(x: R.Tensor((10, 10), "float32")):
    y = R.add(x, R.weight("w", R.Tensor((10, 10), "float32")))
    return (y, R.weight("o", R.Tensor((65,), "int64")))
)",
                   parse_options);
  std::vector<std::pair<std::string, Array>> weights;
  PrintOptions options;
  options.on_weight = [&](const std::string& name, const Array& a) {
    weights.emplace_back(name, a);
  };
  std::string text = print(m, options);
  ASSERT_EQ(weights.size(), 2U);
  std::string path = std::filesystem::temp_directory_path() /
                     ("repose_weights_" + std::to_string(getpid()) + ".safetensors");
  ASSERT_TRUE(write_safetensors(path, weights).ok());
  Result<WeightFile> file = read_safetensors(path);
  std::filesystem::remove(path);
  ASSERT_TRUE(file.ok()) << to_string(file.errors());
  EXPECT_TRUE(equal_bytes(*file->find("w"), *data));
  ParseOptions again;
  again.weights = [&](std::string_view name) { return file->find(name); };
  Module second = parse(text, again);
  EXPECT_TRUE(structural_equal(m, second));
  EXPECT_EQ(print(second), text);
}

TEST(ParseExpr, Shapes) {
  Var past = make_var("past"), fresh = make_var("new");
  SymbolLookup lookup = [&](std::string_view name) -> Expr {
    return name == "past" ? Expr(past) : name == "new" ? Expr(fresh) : nullptr;
  };
  Result<Expr> e = parse_expr("past + new * 2", lookup);
  ASSERT_TRUE(e.ok());
  EXPECT_TRUE(structural_equal(*e, past + fresh * 2));
  EXPECT_TRUE(parse_expr("T.min(past, 512) // 3", lookup).ok());
  EXPECT_TRUE(parse_expr("past >= 1 and new != 3", lookup).ok());
  EXPECT_FALSE(parse_expr("past + old", lookup).ok());
  EXPECT_FALSE(parse_expr("past +", lookup).ok());
  EXPECT_FALSE(parse_expr("", lookup).ok());
  EXPECT_FALSE(parse_expr("1.5", lookup).ok());
}

}  // namespace
}  // namespace repose

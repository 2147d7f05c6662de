// Tensor programs: every statement and expression, every check.
#include "interp/interpret.h"

namespace repose {
namespace {

using namespace testing_interp;
using Doubles = std::vector<double>;

// b[i] = <expression over a[i]>, both of a dtype.
std::string map_program(const std::string& expression, const std::string& dtype) {
  return R"(
@T.prim_func
def main(a: T.Buffer(("n",), ")" +
         dtype + R"("), b: T.Buffer(("n",), ")" + dtype + R"(")):
    n = T.int64()
    for i in range(n):
        b[i] = )" +
         expression + "\n";
}

Doubles map(const std::string& expression, const std::string& dtype, const Doubles& in) {
  const DType t = *DType::parse(dtype);
  const auto size = static_cast<int64_t>(in.size());
  Ref<ArrayNode> out = array({size}, t, Doubles(in.size()));
  EXPECT_EQ(run_program(map_program(expression, dtype), {array({size}, t, in), out}), "");
  return values_of(out);
}

TEST(Program, DataIntegersWrap) {
  EXPECT_EQ(map("a[i] + T.int8(1)", "int8", {127, -128, 0}), (Doubles{-128, -127, 1}));
  EXPECT_EQ(map("a[i] * a[i]", "uint8", {16, 255}), (Doubles{0, 1}));
  EXPECT_EQ(map("T.int32(7) // a[i]", "int32", {0, -2, 2}), (Doubles{0, -4, 3}));
  EXPECT_EQ(map("T.int32(-7) % a[i]", "int32", {0, 3, -3}), (Doubles{0, 2, -1}));
  EXPECT_EQ(map("T.int32(1) << a[i]", "int32", {33, 31}), (Doubles{2, -2147483648.0}));
}

TEST(Program, FloatsRoundPerOperator) {
  EXPECT_EQ(map("a[i] + T.float16(1)", "float16", {2048, 0.5}), (Doubles{2048, 1.5}));
  EXPECT_EQ(map("T.Cast(\"float32\", T.Cast(\"int32\", a[i]))", "float32", {1e20, -2.9, NAN}),
            (Doubles{2147483648.0, -2, 0}));
  EXPECT_EQ(map("T.max(a[i], T.float32(0))", "float32", {-1, 2}), (Doubles{0, 2}));
}

TEST(Program, SelectionIsLazyOnlyWhereItSaysSo) {
  const std::string lazy = map_program("T.if_then_else(i < 1, T.float32(7), a[i - 1])", "float32");
  Ref<ArrayNode> out = floats({3}, {0, 0, 0});
  EXPECT_EQ(run_program(lazy, {floats({3}, {1, 2, 3}), out}), "");
  EXPECT_EQ(values_of(out), (Doubles{7, 1, 2}));
  const std::string eager = map_program("T.Select(i < 1, T.float32(7), a[i - 1])", "float32");
  EXPECT_EQ(run_program(eager, {floats({3}, {1, 2, 3}), out}),
            "`program`: index 0 of buffer `a` is `i - 1` = -1, the dimension is 3");
}

TEST(Program, EverySubscriptIsCheckedPerDimension) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer((2, 3), "float32"), k: T.int64):
    a[0, k] = T.float32(1)
)";
  Ref<ArrayNode> a = floats({2, 3}, Doubles(6));
  auto at = [](int64_t i) { return std::vector<Scalar>{Scalar::of_int(i, dtypes::int64)}; };
  EXPECT_EQ(run_program(text, {a}, at(2)), "");
  EXPECT_EQ(run_program(text, {a}, at(3)),
            "`program`: index 1 of buffer `a` is `k` = 3, the dimension is 3");
  EXPECT_EQ(run_program(text, {a}, at(-1)),
            "`program`: index 1 of buffer `a` is `k` = -1, the dimension is 3");
}

const char* matmul = R"(
@T.prim_func
def main(a: T.Buffer(("m", "k"), "float32"), b: T.Buffer(("k", "n"), "float32"),
         c: T.Buffer(("m", "n"), "float32")):
    m, k, n = T.int64(), T.int64(), T.int64()
    for i, j, l in T.grid(m, n, k):
        with T.block("c"):
            vi, vj, vl = T.axis.remap("SSR", [i, j, l])
            with T.init():
                c[vi, vj] = T.float32(0)
            c[vi, vj] = c[vi, vj] + a[vi, vl] * b[vl, vj]
)";

TEST(Program, InitRunsBeforeTheFirstReductionStep) {
  Ref<ArrayNode> c = floats({2, 2}, {9, 9, 9, 9});
  EXPECT_EQ(run_program(matmul, {floats({2, 3}, {1, 2, 3, 4, 5, 6}),
                                 floats({3, 2}, {1, 0, 0, 1, 1, 1}), c}),
            "");
  EXPECT_EQ(values_of(c), (Doubles{4, 5, 10, 11}));
}

TEST(Program, AReductionOverNothingIsItsInit) {
  Ref<ArrayNode> c = floats({2, 2}, {9, 9, 9, 9});
  EXPECT_EQ(run_program(matmul, {floats({2, 0}, {}), floats({0, 2}, {}), c}), "");
  EXPECT_EQ(values_of(c), (Doubles{0, 0, 0, 0}));
}

TEST(Program, SymbolsAreBoundAndCompared) {
  EXPECT_EQ(run_program(matmul, {floats({2, 3}, Doubles(6)), floats({2, 2}, Doubles(4)),
                                 floats({2, 2}, Doubles(4))}),
            "`program`: dimension 0 of buffer `b` is 2, expected `k` = 3");
  EXPECT_EQ(run_program(matmul, {ints({2, 3}, Doubles(6)), floats({3, 2}, Doubles(6)),
                                 floats({2, 2}, Doubles(4))}),
            "`program`: buffer `a` of dtype float32 is given a tensor of int64");
  EXPECT_EQ(run_program(matmul, {floats({2}, {1, 2}), floats({3, 2}, Doubles(6)),
                                 floats({2, 2}, Doubles(4))}),
            "`program`: buffer `a` of rank 2 is given a tensor of rank 1");
  EXPECT_EQ(run_program(matmul, {}), "a program of 3 parameters is given 0 buffers and 0 scalars");
}

TEST(Program, PredicatesGuardTails) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer(("n",), "float32"), b: T.Buffer((), "float32")):
    n = T.int64()
    for o, i in T.grid((n + 3) // 4, 4):
        with T.block("sum"):
            v = T.axis.reduce(n, o * 4 + i)
            T.where(o * 4 + i < n)
            with T.init():
                b[()] = T.float32(0)
            b[()] = b[()] + a[v]
)";
  Ref<ArrayNode> b = floats({}, {5});
  EXPECT_EQ(run_program(text, {floats({6}, {1, 2, 3, 4, 5, 6}), b}), "");
  EXPECT_EQ(values_of(b), Doubles{21});
  EXPECT_EQ(run_program(text, {floats({0}, {}), b}), "");
  EXPECT_EQ(values_of(b), Doubles{0});
}

TEST(Program, AnAxisOutsideOfItsDomainIsAnError) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer((8,), "float32"), n: T.int64):
    for i in range(n):
        with T.block("a"):
            v = T.axis.spatial(4, i)
            a[v] = T.float32(1)
)";
  EXPECT_EQ(run_program(text, {floats({8}, Doubles(8))}, {Scalar::of_int(5, dtypes::int64)}),
            "`program`: an axis of block `a` is `i` = 4, outside of [0, 4)");
}

TEST(Program, ViewsOfRegions) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer((4, 4), "float32")):
    for i in range(2):
        with T.block("tile"):
            v = T.axis.spatial(2, i)
            s0, s1 = T.int64(), T.int64()
            t = T.match_buffer(a[v * 2:v * 2 + 2, 1:3], (2, 2), "float32", strides=[s0, s1], offset_factor=1)
            for x, y in T.grid(2, 2):
                t[x, y] = T.Cast("float32", v * 10 + x * 2 + y)
)";
  Ref<ArrayNode> a = floats({4, 4}, Doubles(16, -1));
  EXPECT_EQ(run_program(text, {a}), "");
  EXPECT_EQ(values_of(a), (Doubles{-1, 0, 1, -1, -1, 2, 3, -1, -1, 10, 11, -1, -1, 12, 13, -1}));
}

TEST(Program, AllocatedBuffersLetsIfsAndWhiles) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer((), "int64"), n: T.int64):
    s = T.alloc_buffer((2,), "int64")
    s[0] = T.int64(0)
    s[1] = T.int64(0)
    while s[1] < n:
        x: T.int64 = s[1] * s[1]
        if x % T.int64(2) == T.int64(0):
            s[0] = s[0] + x
        else:
            s[0] = s[0] - x
        s[1] = s[1] + T.int64(1)
    a[()] = s[0]
)";
  Ref<ArrayNode> a = ints({}, {0});
  EXPECT_EQ(run_program(text, {a}, {Scalar::of_int(5, dtypes::int64)}), "");
  EXPECT_EQ(values_of(a), Doubles{0 - 1 + 4 - 9 + 16});
  InterpretOptions few;
  few.max_steps = 100;
  EXPECT_EQ(run_program(text, {a}, {Scalar::of_int(1000, dtypes::int64)}, few),
            "the interpreter stops after 100 steps");
}

TEST(Program, AssertionsSayTheValues) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer(("n",), "float32")):
    n = T.int64()
    assert n % 2 == 0, "an even size is expected"
    a[0] = T.float32(1)
)";
  EXPECT_EQ(run_program(text, {floats({3}, {0, 0, 0})}), "`program`: an even size is expected");
  Var n = make_var("n");
  Buffer b = make_buffer("b", {n}, dtypes::float32);
  const auto f =
      tir::make_prim_func({tir::buffer_param(b)},
                          tir::make<tir::AssertNode>(eq(n, make_int(4)), "{0} rows, expected {1}",
                                                     std::vector<Expr>{n, make_int(4)}));
  auto result = interpret_program(f, {floats({3}, {0, 0, 0})});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.errors()[0].text, "`program`: 3 rows, expected 4");
  EXPECT_EQ(result.errors()[0].kind, DiagnosticKind::run_time_check);
}

TEST(Program, IndexArithmeticDoesNotWrap) {
  Var n = make_var("n", dtypes::index, VarRole::value);
  Buffer b = make_buffer("b", {make_int(1)}, dtypes::float32);
  const auto f =
      tir::make_prim_func({tir::buffer_param(b), tir::scalar_param(n)},
                          tir::make<tir::StoreNode>(b, std::vector<Expr>{floor_mod(n * n, n)},
                                                    make_float(1, dtypes::float32)));
  auto run_with = [&](int64_t value) {
    auto result = interpret_program(f, {floats({1}, {0})}, {Scalar::of_int(value, dtypes::index)});
    return result.ok() ? "" : result.errors()[0].text;
  };
  EXPECT_EQ(run_with(7), "");
  EXPECT_NE(run_with(0).find("overflows, divides by zero"), std::string::npos) << run_with(0);
  EXPECT_NE(run_with(int64_t{1} << 40).find("overflows"), std::string::npos);
}

// ---- Vectors ------------------------------------------------------------------------------------

struct VectorProgram : testing::Test {
  Buffer a = make_buffer("a", {make_int(8)}, dtypes::float32);
  Buffer b = make_buffer("b", {make_int(8)}, dtypes::float32);
  Ref<ArrayNode> in = floats({8}, {1, 2, 3, 4, 5, 6, 7, 8}), out = floats({8}, Doubles(8));

  std::string run(tir::Stmt body) {
    const auto f =
        tir::make_prim_func({tir::buffer_param(a), tir::buffer_param(b)}, std::move(body));
    auto result = interpret_program(f, {in, out});
    return result.ok() ? "" : result.errors()[0].text;
  }
  Expr ramp(int64_t base, int64_t stride, int lanes) {
    return make_ramp(make_int(base), make_int(stride), lanes);
  }
};

TEST_F(VectorProgram, RampsBroadcastsAndPredicates) {
  Expr v = make_load(a, {ramp(0, 2, 4)}) * make_float(10, dtypes::float32);
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{ramp(7, -1, 4)}, v)), "");
  EXPECT_EQ(values_of(out), (Doubles{0, 0, 0, 0, 70, 50, 30, 10}));
  Expr mask = lt(ramp(0, 1, 4), make_int(2));
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{ramp(0, 1, 4)},
                                          make_broadcast(make_float(3, dtypes::float32), 4), Span{},
                                          mask)),
            "");
  EXPECT_EQ(values_of(out), (Doubles{3, 3, 0, 0, 70, 50, 30, 10}));
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{ramp(6, 1, 4)},
                                          make_load(a, {ramp(0, 1, 4)}))),
            "`program`: index 0 of buffer `b` is `T.Ramp(6, 1, 4)` = 8, the dimension is 8");
}

TEST_F(VectorProgram, AStoreReadsAllLanesBeforeItWrites) {
  // a[0:4] = a[3], a[2], a[1], a[0]
  EXPECT_EQ(run(tir::make<tir::StoreNode>(a, std::vector<Expr>{ramp(0, 1, 4)},
                                          make_load(a, {ramp(3, -1, 4)}))),
            "");
  EXPECT_EQ(values_of(in), (Doubles{4, 3, 2, 1, 5, 6, 7, 8}));
}

TEST_F(VectorProgram, ReductionsHaveAFixedOrder) {
  // Halves first: (1e8 + 1) + (-1e8 + 1) loses both ones, 5 lanes add the last at the end.
  in = floats({8}, {1e8, -1e8, 1, 1, 3, 0, 0, 0});
  Expr sum = make_call(Intrinsic::vector_reduce_add, make_load(a, {ramp(0, 1, 5)}));
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{make_int(0)}, sum)), "");
  EXPECT_EQ(values_of(out)[0], 3);
  Expr top = make_call(Intrinsic::vector_reduce_max, make_load(a, {ramp(0, 1, 8)}));
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{make_int(0)}, top)), "");
  EXPECT_EQ(values_of(out)[0], 1e8);
}

TEST_F(VectorProgram, LetsOfVectors) {
  Var v = make_var("v", dtypes::float32.with_lanes(4), VarRole::let);
  auto store = tir::make<tir::StoreNode>(b, std::vector<Expr>{ramp(0, 1, 4)}, Expr(v) + Expr(v));
  EXPECT_EQ(run(tir::make<tir::LetNode>(v, make_load(a, {ramp(4, 1, 4)}), store)), "");
  EXPECT_EQ(values_of(out), (Doubles{10, 12, 14, 16, 0, 0, 0, 0}));
}

TEST_F(VectorProgram, SharedNodesAreEvaluatedOnce) {
  Expr e = make_load(a, {make_int(0)});
  for (int i = 0; i < 100; ++i) e = min(e + e, make_float(64, dtypes::float32));
  EXPECT_EQ(run(tir::make<tir::StoreNode>(b, std::vector<Expr>{make_int(0)}, e)), "");
  EXPECT_EQ(values_of(out)[0], 64);
}

// ---- Handles and calls --------------------------------------------------------------------------

TEST(Program, DeclaredBuffersAreViewsOfMemory) {
  Buffer bytes = make_buffer("bytes", {make_int(16)}, dtypes::uint8);
  Buffer pair = make_buffer("pair", {make_int(2)}, dtypes::float32);
  Expr handle = make_call(
      Intrinsic::byte_offset, dtypes::handle,
      {make_call(Intrinsic::buffer_data, dtypes::handle, {make_load(bytes, {make_int(4)})}),
       make_int(4)});
  auto body = [&](int64_t i) {
    return tir::make<tir::DeclareNode>(
        pair, handle,
        tir::make<tir::StoreNode>(pair, std::vector<Expr>{make_int(i)},
                                  make_float(1, dtypes::float32)));
  };
  Ref<ArrayNode> memory = array({16}, dtypes::uint8, Doubles(16));
  ASSERT_TRUE(
      interpret_program(tir::make_prim_func({tir::buffer_param(bytes)}, body(1)), {memory}).ok());
  EXPECT_EQ(values_of(memory), (Doubles{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 63}));
  Buffer wide = make_buffer("wide", {make_int(4)}, dtypes::float32);
  auto beyond =
      tir::make<tir::DeclareNode>(wide, handle,
                                  tir::make<tir::StoreNode>(wide, std::vector<Expr>{make_int(2)},
                                                            make_float(1, dtypes::float32)));
  auto result =
      interpret_program(tir::make_prim_func({tir::buffer_param(bytes)}, beyond), {memory});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.errors()[0].text,
            "`program`: an element of buffer `wide` lies outside of its memory: element 2 of 2");
}

TEST(Program, LimitsOfMemory) {
  const char* text = R"(
@T.prim_func
def main(a: T.Buffer((), "float32"), n: T.int64):
    s = T.alloc_buffer((n, n), "float32")
    s[0, 0] = T.float32(1)
    a[()] = s[0, 0]
)";
  auto with = [&](int64_t n) {
    return run_program(text, {floats({}, {0})}, {Scalar::of_int(n, dtypes::int64)});
  };
  EXPECT_EQ(with(3), "");
  EXPECT_EQ(with(int64_t{1} << 40),
            "`s`: the size of shape (1099511627776, 1099511627776) does not fit 64 bits");
  EXPECT_NE(with(int64_t{1} << 25).find("of the interpreter's"), std::string::npos);
  EXPECT_EQ(with(-3), "`s`: a dimension is -3, which is negative");
  EXPECT_EQ(with(0), "`program`: index 0 of buffer `s` is `0` = 0, the dimension is 0");
}

}  // namespace
}  // namespace repose

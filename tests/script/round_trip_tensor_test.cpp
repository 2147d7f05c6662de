// Every construct of tensor programs: text → IR → text → IR gives the same text and equal IR.
#include "round_trip.h"

namespace repose {
namespace {

TEST(RoundTrip, Matmul) {
  expect_canonical(in_module(R"(    @T.prim_func
    def matmul(A: T.Buffer(("m", "k"), "float32"), B: T.Buffer(("k", 128), "float32"), C: T.Buffer(("m", 128), "float32")):
        m = T.int64()
        k = T.int64()
        T.func_attr({"tir.noalias": True})
        for i, j, l in T.grid(m, 128, k):
            with T.block("C"):
                vi = T.axis.spatial(m, i)
                vj = T.axis.spatial(128, j)
                vl = T.axis.reduce(k, l)
                T.reads(A[vi, vl], B[vl, vj])
                T.writes(C[vi, vj])
                with T.init():
                    C[vi, vj] = T.float32(0.0)
                C[vi, vj] = C[vi, vj] + A[vi, vl] * B[vl, vj]
)"));
}

TEST(RoundTrip, HandlesRemapAndInference) {
  std::string text = round_trip(R"(
@T.prim_func
def main(var_A: T.handle, var_B: T.handle):
    T.func_attr({"global_symbol": "main"})
    n = T.int64()
    A = T.match_buffer(var_A, (n, T.int64(16)), "float32")
    B = T.match_buffer(var_B, (n,))
    C = T.alloc_buffer((n, 16))
    for i, j in T.grid(n, T.int64(16)):
        with T.sblock("C"):
            vi, vj = T.axis.remap("SS", [i, j])
            C[vi, vj] = T.exp(A[vi, vj])
    for i in T.serial(0, n):
        with T.sblock("B"):
            vi = T.axis.S(n, i)
            B[vi] = T.float32(0)
            for j in range(16):
                B[vi] = B[vi] + C[vi, j]
)");
  expect_contains(text, "with T.block(\"root\"):");
  expect_contains(text, "T.reads(B[vi_1], C[vi_1, 0:16])");
  expect_contains(text, "T.writes(B[vi_1])");
  expect_contains(
      text, "def main(A: T.Buffer((\"n\", 16), \"float32\"), B: T.Buffer((\"n\",), \"float32\")):");
}

TEST(RoundTrip, EveryStatement) {
  std::string text = round_trip(R"(
@T.prim_func
def main(n: T.int64, s: T.float32, q: T.Scalar("int32"), u: T.uint8, h: T.handle, z: T.int64(is_size_var=True),
         A: T.Buffer((128,), "int64", scope="global", align=64),
         S: T.Buffer(("r", 4), "float32", strides=["s0", 1], elem_offset="off"),
         E: T.Buffer((), "float32"), F: T.Buffer((64,), "float32"), G: T.Buffer((8,), "bool")):
    E[()] = s
    for i in T.parallel(64):
        F[i] = T.Cast("float32", A[i]) + s
    for i in T.vectorized(2, 10):
        F[i] = T.float32(1)
    for i in T.unroll(4):
        A[i] = A[i] + 1
    for i in T.thread_binding(4, thread="blockIdx.x", annotations={"k": 1}):
        A[i] = i * 2
    for i in T.serial(n, n + 4, annotations={"pragma": "x", "list": [1, 2]}):
        A[i] = T.int64(5)
    x: T.int64 = n * 2
    y: T.float32 = s * T.float32(2)
    with T.LetStmt(y * y) as w:
        F[x] = w
    if x > 3 and not (G[0] or u == T.uint8(3)):
        F[0] = y
    else:
        if x == 1:
            pass
        else:
            F[1] = y
    while F[0] < s:
        F[0] = F[0] * T.float32(2)
    assert n > 0, "n is positive"
    assert n < 100, ("n is {0}, not below {1}", [n, 100])
    T.assume(z >= 1)
    with T.attr("pragma", "value"):
        T.evaluate(T.call_extern("int32", "puts", E.data, 3, T.float32(1)))
    with T.allocate_buffer((4, 4), "float32", scope="local") as L:
        L[0, T.Ramp(0, 1, 4)] = T.Broadcast(s, 4)
        F[T.Ramp(0, 1, 4)] = L[0, T.Ramp(0, 1, 4)] * T.Broadcast(T.float32(2), 4)
        F.store(L[0, 0:4], [T.Ramp(4, 1, 4)], predicate=L[0, 0:4] < T.Broadcast(s, 4))
    with T.declare_buffer(h, (16,), "int8", scope="workspace", align=16) as D:
        D[0] = T.int8(-1)
    K = T.decl_buffer((4,), "float32", data=F.data)
    K[0] = T.vector_reduce_add(F[0:4])
    m = T.meta_var(n + 1)
    A[m] = T.Cast("int64", q)
    return T.int32(0)
)");
  expect_contains(text, "for i in T.parallel(64):");
  expect_contains(text, "for i_2 in T.unroll(4):");
  expect_contains(text, "T.call_extern(\"int32\", \"puts\", E.data, 3, T.float32(1.0))");
}

TEST(RoundTrip, BlockDetails) {
  round_trip(R"(
@T.prim_func
def main(A: T.Buffer((16, 16), "float32"), B: T.Buffer((16, 16), "float32")):
    for i0, j in T.grid(5, 4):
        with T.block("tile"):
            vi = T.axis.spatial((2, 16), i0 * 4)
            vj = T.axis.opaque(16, j * 4)
            vk = T.axis.scan(4, 0)
            T.where(i0 * 4 + 2 < 16)
            T.reads(A[vi:vi + 4, 0:16])
            T.writes([B[vi:vi + 4, vj:vj + 4]])
            T.block_attr({"schedule": "tile", "factor": 4, "map": T.index_map(lambda i, j: (j, i))})
            s0 = T.int32()
            s1 = T.int32()
            L = T.alloc_buffer((4, 4), "float32", scope="local")
            V = T.match_buffer(B[vi:vi + 4, vj:vj + 4], (4, 4), strides=[s0, s1], elem_offset=s0)
            for x, y in T.grid(4, 4):
                L[x, y] = A[vi + x, vj + y]
                V[x, y] = L[x, y] * T.float32(2)
)");
}

// Outside of every block as well, where nothing else makes a block of the whole program.
TEST(RoundTrip, ViewOfTheWholeProgram) {
  const std::string text = round_trip(R"(
@T.prim_func
def main(A: T.Buffer((4, 4), "float32"), B: T.Buffer((16,), "float32")):
    V = T.match_buffer(A[0:4, 0:4], (4, 4))
    for i, j in T.grid(4, 4):
        B[i * 4 + j] = V[j, i]
)");
  expect_contains(text, "V = T.match_buffer(A[0:4, 0:4], (4, 4)");
}

TEST(RoundTrip, Expressions) {
  std::string text = round_trip(in_program(
      R"(n: T.int64, A: T.Buffer((64,), "float32"), I: T.Buffer((64,), "int32"), J: T.Buffer((64,), "int64"), H: T.Buffer((64,), "float16"), U: T.Buffer((64,), "uint64"))",
      R"(    for i in range(n):
        A[i] = T.if_then_else(i < 3, T.Select(A[i] > T.float32(0), A[i], -A[i]), T.float32(0))
        A[i] = T.max(T.min(A[i], 6.0), 0) / (A[i] + 1e-5) - (A[i] - A[i]) * A[i]
        A[i] = T.exp(A[i]) + T.exp2(A[i]) + T.log(A[i]) + T.sqrt(A[i]) + T.rsqrt(A[i]) + T.tanh(A[i]) + T.sigmoid(A[i]) + T.erf(A[i])
        A[i] = T.pow(A[i], 2.0) + A[i] ** 3.0 + T.atan2(A[i], A[i]) + T.fma(A[i], A[i], 1.0) + T.copysign(A[i], A[i])
        A[i] = T.floor(A[i]) + T.ceil(A[i]) + T.round(A[i]) + T.trunc(A[i]) + T.fabs(A[i]) + T.sin(A[i]) + T.cos(A[i])
        A[i] = T.max(A[i], T.float32("inf")) + T.max(A[i], T.float32("-inf")) * T.float32("nan") + T.infinity("float32")
        A[i] = T.Select(T.isnan(A[i]), T.float32(1), T.reinterpret("float32", I[i]))
        I[i] = (I[i] + 3) // 2 % 5 + T.truncdiv(I[i], 7) * T.truncmod(I[i], 7) - T.ceildiv(I[i], 2)
        I[i] = (I[i] << 2 | I[i] >> 1 & 255) ^ ~I[i]
        I[i] = T.shift_left(I[i], 3) + T.bitwise_and(I[i], 7) + T.popcount(I[i]) + T.clz(I[i]) + T.abs(I[i])
        I[i] = T.min_value("int32") + T.Cast("int32", J[i]) + i
        J[J[i]] = J[i + 1 - 1] + i * 2 + T.int64(3)
        J[i] = T.int64(-9223372036854775807) + T.Cast("int64", n)
        H[i] = T.Cast("float16", A[i]) * T.float16(0.1)
        U[i] = U[i] + T.uint64(18446744073709551615)
        A[T.truncdiv(i, 2)] = A[T.ceildiv(n, 2) - 1 - (i - 1)]
        if T.likely(i < n) and (i == 0 or not i != 3):
            A[i] = A[n - i - 1]
)"));
  expect_contains(text, "(I_1[i] << T.int32(2) | I_1[i] >> T.int32(1) & T.int32(255)) ^ ~I_1[i]");
  expect_contains(text, "T.Cast(\"int64\", i * 2)");
}

TEST(RoundTrip, EveryIntrinsicIsRead) {
  std::string body;
#define INTRINSIC(name, arity, pure)                                                               \
  if (Intrinsic::name < Intrinsic::reinterpret) {                                                  \
    std::string args = "A[i]";                                                                     \
    for (int k = 1; k < arity; ++k) args += ", A[i]";                                              \
    bool is_bool = Intrinsic::name >= Intrinsic::isnan;                                            \
    body += std::string("        ") + (is_bool ? "G" : "A") + "[i] = T." #name "(" + args + ")\n"; \
  }
#include "expr/intrinsics.def"
#undef INTRINSIC
  std::string text = in_program(
      "A: T.Buffer((64,), \"float32\"), G: T.Buffer((64,), \"bool\"), C: T.Buffer((4,), \"int32\")",
      "    for i in range(64):\n" + body + R"(
    A[0] = T.vector_reduce_add(A[T.Ramp(0, 1, 4)]) + T.vector_reduce_mul(A[0:4])
    A[0] = T.vector_reduce_min(A[T.Ramp(0, 1, 4)]) + T.vector_reduce_max(A[0:4])
    n: T.int64 = T.input_dim(0, 1)
    h: T.handle = T.input_data(0)
    o: T.handle = T.output_data(0, n, 224)
    r: T.handle = T.arena_region(0, n * 4)
    w: T.handle = T.weight_data(64)
    b: T.handle = T.byte_offset(r, n * 4)
    d: T.handle = T.buffer_data(A[0])
    s: T.int64 = T.sizes_symbol(0)
    T.evaluate(T.prefetch(A[n]))
    C[0] = T.call_program("kernel", h, o, n)
    C[1] = T.call_packed("packed", h, 3)
    T.call_extern("void", "f", b, d, w, s)
)");
  std::string printed = round_trip(text);
  expect_contains(printed, "T.call_program(\"int32\", \"kernel\", h, o, n)");
  expect_contains(printed, "n: T.index = T.input_dim(0, 1)");
}

TEST(RoundTrip, NamesAreMadeUnique) {
  Var n = make_var("for"), a = make_var("x y", dtypes::index, VarRole::loop),
      b = make_var("x y", dtypes::index, VarRole::loop);
  Buffer buffer = make_buffer("0.weight", {n}, dtypes::float32);
  tir::Stmt store =
      tir::make<tir::StoreNode>(buffer, std::vector<Expr>{a}, make_float(1, dtypes::float32));
  tir::Stmt inner = tir::make<tir::ForNode>(b, a, make_int(4), tir::ForKind::serial, store);
  tir::Stmt loop = tir::make<tir::ForNode>(a, make_int(0), n, tir::ForKind::serial, inner);
  Module m;
  m.set("f", tir::make_prim_func({tir::buffer_param(buffer)}, loop, false));
  std::string text = print(m);
  expect_contains(text, "v0_weight: T.Buffer((\"for_\",)");
  expect_contains(text, "for x_y_1 in range(x_y, x_y + 4):");
  Module again = parse(text);
  EXPECT_TRUE(structural_equal(m, again)) << text;
  EXPECT_EQ(print(again), text);
}

TEST(RoundTrip, LetThatEndsEarly) {
  Var x = make_var("x", dtypes::index, VarRole::let);
  Buffer buffer = make_buffer("A", {make_int(8)}, dtypes::float32);
  auto store = [&](const Expr& i) {
    return tir::make<tir::StoreNode>(buffer, std::vector<Expr>{i}, make_float(1, dtypes::float32));
  };
  tir::Stmt let = tir::make<tir::LetNode>(x, make_int(3), store(x));
  Module m;
  m.set("f", tir::make_prim_func({tir::buffer_param(buffer)},
                                 tir::make_seq({let, store(make_int(1))}), false));
  std::string text = print(m);
  expect_contains(text, "with T.LetStmt(3) as x:");
  EXPECT_TRUE(structural_equal(m, parse(text))) << text;
}

TEST(RoundTrip, OneLine) {
  const std::string params = "I: T.Buffer((\"n\",), \"int64\")";
  const std::string blocks = in_program(params,
                                        "    n = T.int64()\n    if n > 0:\n        I[0] = 1\n"
                                        "        I[1] = 2\n    else:\n        I[2] = 3\n"
                                        "    I[3] = 4\n    I[4] = 5\n");
  const std::string lines = in_program(params,
                                       "    n = T.int64()\n    if n > 0: I[0] = 1; I[1] = 2\n"
                                       "    else: I[2] = 3;\n    I[3] = 4; I[4] = 5\n");
  EXPECT_EQ(round_trip(lines), round_trip(blocks));
}

}  // namespace
}  // namespace repose

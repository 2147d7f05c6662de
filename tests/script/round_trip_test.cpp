// Every construct of the language: text → IR → text → IR gives the same text and equal IR.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "ir/structural.h"
#include "ir/verifier.h"
#include "script/parser.h"
#include "script/printer.h"
#include "script/safetensors.h"
#include "small_ops.h"

namespace repose {
namespace {

Module parse(const std::string& text, const ParseOptions& options = {}) {
  Result<Module> m = parse_module(make_text_source("test.relax", text), small_ops(), options);
  if (!m.ok()) {
    ADD_FAILURE() << to_string(m.errors()) << text;
    return {};
  }
  return *m;
}

// Gives the canonical text.
std::string round_trip(const std::string& text) {
  Module first = parse(text);
  std::string printed = print(first);
  Module second = parse(printed);
  EXPECT_EQ(print(second), printed);
  EXPECT_TRUE(structural_equal(first, second)) << printed;
  return printed;
}

std::string in_program(const std::string& params, const std::string& body) {
  return "@T.prim_func\ndef main(" + params + "):\n" + body;
}

std::string in_module(const std::string& text) {
  return "from repose.script import ir as I, relax as R, tir as T\n\n@I.ir_module\nclass "
         "Module:\n" +
         text;
}

void expect_canonical(const std::string& text) {
  EXPECT_EQ(round_trip(text), text);
}

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "no " << part << " in\n" << text;
}

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

// ---- Tensor programs ---------------------------------------------------------------------------

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

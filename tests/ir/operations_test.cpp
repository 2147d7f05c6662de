// What programs have to do: operations on floating-point numbers, and bytes.
#include "ir/operations.h"

#include <gtest/gtest.h>

#include <map>

#include "expr/scalar.h"
#include "ops/ops.h"
#include "script/parser.h"

namespace repose {
namespace {

struct Numbers {
  double flops, read, written;
  bool operator==(const Numbers&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Numbers& n) {
  return out << n.flops << " flops, " << n.read << " read, " << n.written << " written";
}

// Of the program `f` in `text`, at these values of its symbols by name.
Numbers work_at(const std::string& text, const std::map<std::string, int64_t>& values) {
  auto module = parse_module(make_text_source("test", text), standard_ops());
  EXPECT_TRUE(module.ok()) << (module.ok() ? "" : to_string(module.errors()));
  if (!module.ok()) return {};
  const ProgramWork work = work_of(module->prim_func("f"));
  auto number = [&](const Expr& e) {
    const std::optional<Scalar> s = evaluate(e, [&](const Var& v) -> std::optional<Scalar> {
      auto it = values.find(v->name);
      EXPECT_NE(it, values.end()) << v->name;
      return Scalar::of_int(it == values.end() ? 0 : it->second, v->dtype);
    });
    EXPECT_TRUE(s.has_value());
    return s ? s->f : -1;
  };
  return {number(work.flops.to_expr()), number(work.read_bytes), number(work.written_bytes)};
}

const char* matrix_product = R"(
@T.prim_func
def f(A: T.Buffer(("m", "k"), "float32"), B: T.Buffer(("k", 8), "float32"), C: T.Buffer(("m", 8), "float32")):
    m, k = T.int64(), T.int64()
    for i, j, l in T.grid(m, 8, k):
        with T.block("c"):
            vi, vj = T.axis.remap("SS", [i, j])
            vl = T.axis.reduce(k, l)
            with T.init():
                C[vi, vj] = T.float32(0)
            C[vi, vj] = C[vi, vj] + A[vi, vl] * B[vl, vj]
)";

TEST(Work, OfAMatrixProduct) {
  // Each operand counts once, however often its elements are read; the sum is the program's own.
  EXPECT_EQ(work_at(matrix_product, {{"m", 3}, {"k", 5}}),
            (Numbers{2.0 * 3 * 8 * 5, 4.0 * (3 * 5 + 5 * 8), 4.0 * 3 * 8}));
  EXPECT_EQ(work_at(matrix_product, {{"m", 0}, {"k", 5}}), (Numbers{0, 0, 0}));
}

TEST(Work, OfAGatherIsWhatItReads) {
  const char* gather = R"(
@T.prim_func
def f(table: T.Buffer((1000, 16), "float32"), at: T.Buffer(("n",), "int64"), y: T.Buffer(("n", 16), "float32")):
    n = T.int64()
    for i, j in T.grid(n, 16):
        y[i, j] = table[at[i], j]
)";
  EXPECT_EQ(work_at(gather, {{"n", 2}}), (Numbers{0, 4.0 * 2 * 16 + 8.0 * 2, 4.0 * 2 * 16}));
  EXPECT_EQ(work_at(gather, {{"n", 5000}}),
            (Numbers{0, 4.0 * 1000 * 16 + 8.0 * 5000, 4.0 * 5000 * 16}));
}

TEST(Work, FunctionsAreOneAndSharedValuesAreComputedOnce) {
  const char* silu = R"(
@T.prim_func
def f(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32")):
    n = T.int64()
    for i in range(n):
        y[i] = x[i] / (T.float32(1) + T.exp(T.float32(0) - x[i]))
)";
  EXPECT_EQ(work_at(silu, {{"n", 10}}), (Numbers{4.0 * 10, 4.0 * 10, 4.0 * 10}));
  const char* fused = R"(
@T.prim_func
def f(x: T.Buffer(("n",), "float32"), y: T.Buffer(("n",), "float32")):
    n = T.int64()
    for i in range(n):
        y[i] = T.fma(x[i], x[i], T.max(x[i], T.float32(0)))
)";
  EXPECT_EQ(work_at(fused, {{"n", 7}}), (Numbers{3.0 * 7, 4.0 * 7, 4.0 * 7}));
}

TEST(Work, IntegersAndMemoryOfItsOwnDoNotCount) {
  const char* program = R"(
@T.prim_func
def f(x: T.Buffer(("n",), "int32"), unused: T.Buffer(("n",), "int32"), y: T.Buffer(("n",), "int32")):
    n = T.int64()
    with T.block("root"):
        t = T.alloc_buffer((n,), "int32")
        for i in range(n):
            t[i] = x[i] + 1
        for i in range(n):
            y[i] = t[i] * 2
)";
  EXPECT_EQ(work_at(program, {{"n", 6}}), (Numbers{0, 4.0 * 6, 4.0 * 6}));
}

}  // namespace
}  // namespace repose

// Operators through their lowerings, instantiated for the types that come.
#include "interp/interpret.h"

namespace repose {
namespace {

using namespace testing_interp;

// main(x, y) = <call>, of tensors of unknown rank.
std::string binary(const std::string& call, const std::string& dtype = "float32") {
  return R"(
@R.function
def main(x: R.Tensor(dtype=")" +
         dtype + R"("), y: R.Tensor(dtype=")" + dtype + R"(")):
    z = )" +
         call + R"(
    return z
)";
}
std::string unary(const std::string& call, const std::string& dtype = "float32") {
  return R"(
@R.function
def main(x: R.Tensor(dtype=")" +
         dtype + R"(")):
    z = )" +
         call + R"(
    return z
)";
}

TEST(Operator, AddBroadcastsAtRunTime) {
  const Module m = parse(binary("R.add(x, y)"));
  const auto row = floats({3}, {1, 2, 3});
  EXPECT_EQ(run(m, {row, floats({}, {10})}), "float32(3)[11, 12, 13]");
  EXPECT_EQ(run(m, {row, floats({1}, {10})}), "float32(3)[11, 12, 13]");
  EXPECT_EQ(run(m, {floats({2, 1}, {10, 20}), row}), "float32(2, 3)[11, 12, 13, 21, 22, 23]");
  EXPECT_EQ(run(m, {floats({0}, {}), floats({1}, {10})}), "float32(0)[]");
  EXPECT_NE(run(m, {row, floats({2}, {1, 2})}).find("`add`"), std::string::npos);
}

TEST(Operator, BroadcastOfSymbolicDimensions) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("a",), "float32"), y: R.Tensor(("b",), "float32")):
    z = R.add(x, y)
    w = R.multiply(z, z)
    return w
)");
  EXPECT_EQ(run(m, {floats({2}, {1, 2}), floats({1}, {1})}), "float32(2)[4, 9]");
  EXPECT_EQ(run(m, {floats({1}, {1}), floats({2}, {1, 2})}), "float32(2)[4, 9]");
  EXPECT_EQ(run(m, {floats({0}, {}), floats({1}, {1})}), "float32(0)[]");
  auto bad = interpret(m, standard_ops(), "main", {floats({2}, {1, 2}), floats({3}, {1, 2, 3})});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.errors()[0].kind, DiagnosticKind::run_time_check);
}

TEST(Operator, Matmul) {
  const Module m = parse(binary("R.matmul(x, y)"));
  EXPECT_EQ(run(m, {floats({2, 2}, {1, 2, 3, 4}), floats({2, 2}, {1, 1, 0, 1})}),
            "float32(2, 2)[1, 3, 3, 7]");
  EXPECT_EQ(run(m, {floats({1, 0}, {}), floats({0, 2}, {})}), "float32(1, 2)[0, 0]");
}

TEST(Operator, ReductionsAndSoftmax) {
  EXPECT_EQ(run(unary("R.sum(x, axis=[1])"), {floats({2, 2}, {1, 2, 3, 4})}), "float32(2)[3, 7]");
  EXPECT_EQ(run(unary("R.max(x)"), {floats({3}, {1, 5, 3})}), "float32()[5]");
  EXPECT_EQ(run(unary("R.nn.softmax(x, axis=-1)"), {floats({2}, {5, 5})}), "float32(2)[0.5, 0.5]");
  EXPECT_EQ(run(unary("R.nn.relu(x)"), {floats({2}, {-1, 2})}), "float32(2)[0, 2]");
}

TEST(Operator, MovementOfData) {
  EXPECT_EQ(run(unary("R.permute_dims(x)"), {floats({2, 2}, {1, 2, 3, 4})}),
            "float32(2, 2)[1, 3, 2, 4]");
  EXPECT_EQ(run(unary("R.flatten(x)"), {floats({2, 1}, {1, 2})}), "float32(2)[1, 2]");
  EXPECT_EQ(run(unary("R.expand_dims(x, axis=[0])"), {floats({2}, {1, 2})}), "float32(1, 2)[1, 2]");
  EXPECT_EQ(run(unary("R.astype(x, \"int32\")"), {floats({2}, {1.9, -1.9})}), "int32(2)[1, -1]");
  EXPECT_EQ(run(unary("R.split(x, 2)"), {floats({4}, {1, 2, 3, 4})}),
            "(float32(2)[1, 2], float32(2)[3, 4])");
}

TEST(Operator, IndicesOutsideAreErrors) {
  const Module m = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), i: R.Tensor(("k",), "int64")):
    z = R.take(x, i, axis=0)
    return z
)");
  const auto x = floats({3}, {1, 2, 3});
  EXPECT_EQ(run(m, {x, ints({2}, {2, 0})}), "float32(2)[3, 1]");
  auto bad = interpret(m, standard_ops(), "main", {x, ints({1}, {3})});
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(bad.errors()[0].kind, DiagnosticKind::out_of_bounds);
  EXPECT_NE(bad.errors()[0].text.find("take"), std::string::npos) << bad.errors()[0].text;
}

TEST(Operator, CallsWithConstantOperands) {
  Builder b(standard_ops());
  b.begin_function("f", {});
  auto call = b.infer_only(graph::make_op_call(op_add(), {graph::make_constant(floats({2}, {1, 2})),
                                                          graph::make_constant(floats({}, {3}))}));
  ASSERT_TRUE(call.ok());
  auto result = interpret_call(*graph::as<graph::CallNode>(*call), standard_ops());
  ASSERT_TRUE(result.ok());
  ASSERT_EQ(result->size(), 1u);
  EXPECT_EQ(values_of((*result)[0]), (std::vector<double>{4, 5}));
  InterpretOptions small;
  small.max_bytes = 4;
  auto refused = interpret_call(*graph::as<graph::CallNode>(*call), standard_ops(), small);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.errors()[0].kind, DiagnosticKind::too_large);
}

}  // namespace
}  // namespace repose

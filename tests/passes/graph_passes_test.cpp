// Patterns and passes that take more than a module, in C++.
#include <gtest/gtest.h>

#include "interp/interpreter.h"
#include "ir/structural.h"
#include "ir/verifier.h"
#include "ops/ops.h"
#include "passes/graph/bind_params.h"
#include "passes/graph/convert_layout.h"
#include "passes/graph/external_groups.h"
#include "passes/graph/fuse_by_pattern.h"
#include "passes/graph/lift_transform_params.h"
#include "repose/repose.h"
#include "script/parser.h"
#include "script/printer.h"

namespace repose {
namespace {

Module read(const std::string& text) {
  auto module = parse_module(make_text_source("test", text), standard_ops());
  EXPECT_TRUE(module.ok()) << to_string(module.errors());
  return module.ok() ? *module : Module();
}

Array matrix(std::vector<int64_t> shape, double first) {
  Ref<ArrayNode> array = make_array(std::move(shape), dtypes::float32);
  for (int64_t i = 0; i < array->num_elements(); ++i) {
    array->store(i, Scalar::of_float(first + static_cast<double>(i % 5), dtypes::float32));
  }
  return array;
}

HostValue run(const Module& module, const std::string& function, std::vector<HostValue> args,
              const InterpretOptions& options = {}) {
  auto result = interpret(module, standard_ops(), function, args, options);
  EXPECT_TRUE(result.ok()) << to_string(result.errors());
  return result.ok() ? *result : HostValue();
}

void expect_equal(const HostValue& a, const HostValue& b) {
  ASSERT_TRUE(a.tensor() && b.tensor());
  EXPECT_TRUE(equal_bytes(*a.tensor(), *b.tensor())) << to_string(a) << to_string(b);
}

constexpr const char* layers = R"(
@R.function
def main(x: R.Tensor(("n", "k"), "float32"), w: R.Tensor(("k", "m"), "float32"), b: R.Tensor(("m",), "float32")):
    R.func_attr({"num_input": 1})
    with R.dataflow():
        v = R.exp(w)
        y = R.matmul(x, v)
        z = R.add(y, b)
        r = R.nn.relu(z)
        s = R.sigmoid(R.add(R.matmul(r, R.permute_dims(v)), R.const(1.0)))
        R.output(s)
    return s
)";

FusionPattern product_and_activation() {
  const Pattern x = pattern::any(), w = pattern::any(), b = pattern::any();
  const Pattern sum = pattern::call("add", {pattern::call("matmul", {x, w}), b});
  return {"lib.linear",
          {{pattern::call("nn.relu", {sum}) | pattern::call("sigmoid", {sum})}, {}},
          nullptr};
}

TEST(Patterns, MakeGroupsOfAlternatives) {
  const Module module = read(layers);
  auto fused = fuse_by_pattern(module, standard_ops(), {product_and_activation()});
  ASSERT_TRUE(fused.ok()) << to_string(fused.errors());
  EXPECT_TRUE(verify(*fused, standard_ops()).empty());
  EXPECT_EQ(fused->names().size(), 3) << print(*fused);
  auto again = fuse_by_pattern(*fused, standard_ops(), {product_and_activation()});
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(structural_equal(*fused, *again));
  for (int64_t n : {0, 1, 2, 7}) {
    const std::vector<HostValue> args{matrix({n, 3}, 0.5), matrix({3, 2}, -1), matrix({2}, 0)};
    expect_equal(run(module, "main", args), run(*fused, "main", args));
  }
}

TEST(Patterns, AreAskedWhetherAMatchIsWanted) {
  const Module module = read(layers);
  FusionPattern none = product_and_activation();
  none.wants = [](const PatternMatch&) { return false; };
  auto fused = fuse_by_pattern(module, standard_ops(), {none});
  ASSERT_TRUE(fused.ok());
  EXPECT_EQ(fused->graph_function("main"), module.graph_function("main"));
}

TEST(Patterns, WithoutEndAreAnError) {
  const Module module = read(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    return R.add(x, R.exp(x))
)");
  const Pattern x = pattern::any(), y = pattern::any(), sum = pattern::call("add", {x, y});
  PatternRule swap{"swap", {{sum}, {}}, nullptr};
  swap.replace = [=](Rebuilding& r, const PatternMatch& m) -> Result<std::vector<graph::Value>> {
    return std::vector<graph::Value>{graph::make_op_call(
        *r.builder.ops().find("add"), {m.values.at(y.get()), m.values.at(x.get())})};
  };
  auto result = rewrite_patterns(module, standard_ops(), {swap});
  ASSERT_FALSE(result.ok());
  EXPECT_NE(to_string(result.errors()).find("rule `swap` still matches after"), std::string::npos);
}

// x w; the user's number counts its calls.
int32_t multiply(void* user, repose_packed_call* call) {
  const DLTensor *x = call->arguments[0].as.tensor, *w = call->arguments[1].as.tensor,
                 *y = call->arguments[call->num_arguments - 1].as.tensor;
  ++*static_cast<int*>(user);
  const int64_t n = x->shape[0], k = x->shape[1], m = w->shape[1];
  for (int64_t i = 0; i < n * m; ++i) {
    float sum = 0;
    for (int64_t j = 0; j < k; ++j) {
      sum += static_cast<const float*>(x->data)[i / m * k + j] *
             static_cast<const float*>(w->data)[j * m + i % m];
    }
    static_cast<float*>(y->data)[i] = sum;
  }
  return 0;
}

TEST(ExternalGroups, AreCallsOfPackedFunctions) {
  const Module module = read(layers);
  const Pattern x = pattern::any(), w = pattern::any();
  const FusionPattern product{"lib.matmul", {{pattern::call("matmul", {x, w})}, {}}, nullptr};
  auto fused = fuse_by_pattern(module, standard_ops(), {product});
  ASSERT_TRUE(fused.ok()) << to_string(fused.errors());
  auto external = call_external_groups(*fused, standard_ops());
  ASSERT_TRUE(external.ok()) << to_string(external.errors());
  EXPECT_TRUE(verify(*external, standard_ops()).empty());
  EXPECT_EQ(external->names(), std::vector<std::string>{"main"});
  int calls = 0;
  const repose_packed_entry entry{"lib.matmul", multiply, &calls};
  InterpretOptions options;
  options.packed_functions = &entry;
  options.num_packed_functions = 1;
  const std::vector<HostValue> args{matrix({4, 3}, 0.5), matrix({3, 2}, -1), matrix({2}, 0)};
  expect_equal(run(module, "main", args), run(*external, "main", args, options));
  EXPECT_EQ(calls, 2);
}

TEST(ExternalGroups, MayBeLeftByTheCodeGenerator) {
  const Module module = read(layers);
  auto fused = fuse_by_pattern(module, standard_ops(), {product_and_activation()});
  ASSERT_TRUE(fused.ok());
  const ExternalCodegen none = [](const std::string&, const graph::Function&) {
    return Result<std::optional<std::string>>(std::nullopt);
  };
  auto external = call_external_groups(*fused, standard_ops(), none);
  ASSERT_TRUE(external.ok());
  EXPECT_TRUE(structural_equal(*fused, *external));
}

TEST(BindParams, MakesConstantsAndNumbers) {
  const Module module = read(layers);
  const Array w = matrix({3, 2}, -1), b = matrix({2}, 0);
  auto bound = bind_params(module, standard_ops(), "main", {{"w", w}, {"b", b}});
  ASSERT_TRUE(bound.ok()) << to_string(bound.errors());
  EXPECT_TRUE(verify(*bound, standard_ops()).empty());
  EXPECT_EQ(bound->graph_function("main")->params.size(), 1);
  EXPECT_EQ(to_string(bound->graph_function("main")->params[0]->type),
            "R.Tensor((n, 3), dtype=\"float32\")");
  for (int64_t n : {0, 1, 7}) {
    expect_equal(run(module, "main", {matrix({n, 3}, 1), w, b}),
                 run(*bound, "main", {matrix({n, 3}, 1)}));
  }
}

TEST(BindParams, RefusesWhatDoesNotFit) {
  const Module module = read(layers);
  auto error_of = [&](const std::string& function, const std::map<std::string, Array>& params) {
    auto result = bind_params(module, standard_ops(), function, params);
    return result.ok() ? std::string() : to_string(result.errors());
  };
  EXPECT_NE(error_of("f", {{"w", matrix({2}, 0)}}).find("no graph function `f`"),
            std::string::npos);
  EXPECT_NE(
      error_of("main", {{"v", matrix({2}, 0)}}).find("no parameter `v`; there are `x`, `w`, `b`"),
      std::string::npos);
  EXPECT_NE(error_of("main", {{"w", matrix({2}, 0)}}).find("parameter `w` is of type"),
            std::string::npos);
  EXPECT_NE(error_of("main", {{"w", matrix({3, 4}, 0)}, {"b", matrix({2}, 0)}})
                .find("parameter `b` is of type"),
            std::string::npos);
}

TEST(LiftTransformParams, GivesWhatTheFunctionGave) {
  const Module module = read(layers);
  auto lifted = lift_transform_params(module, standard_ops());
  ASSERT_TRUE(lifted.ok()) << to_string(lifted.errors());
  EXPECT_TRUE(verify(*lifted, standard_ops()).empty())
      << to_string(verify(*lifted, standard_ops())) << print(*lifted);
  ASSERT_TRUE(lifted->graph_function("main_transform_params")) << print(*lifted);
  for (int64_t n : {0, 1, 2, 7, 64}) {
    const Array x = matrix({n, 3}, 0.5), w = matrix({3, 2}, -1), b = matrix({2}, 0);
    std::vector<HostValue> args{x};
    const HostValue weights = run(*lifted, "main_transform_params", {w, b});
    ASSERT_TRUE(weights.tuple());
    args.insert(args.end(), weights.tuple()->begin(), weights.tuple()->end());
    expect_equal(run(module, "main", {x, w, b}), run(*lifted, "main", args));
  }
  auto again = lift_transform_params(*lifted, standard_ops());
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(structural_equal(*lifted, *again));
}

TEST(LiftTransformParams, RefusesANumberThatIsNone) {
  Module module = read(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    R.func_attr({"num_input": 3})
    return R.exp(x)
)");
  auto lifted = lift_transform_params(module, standard_ops());
  ASSERT_FALSE(lifted.ok());
  EXPECT_NE(to_string(lifted.errors()).find("`num_input` is no number of parameters"),
            std::string::npos);
}

TEST(ConvertLayout, RefusesLayoutsThatAreNone) {
  const Module module = read(layers);
  auto error_of = [&](const LayoutWishes& wishes) {
    auto result = convert_layout(module, standard_ops(), wishes);
    return result.ok() ? std::string() : to_string(result.errors());
  };
  EXPECT_NE(error_of({{"matmul", {"NHWC", ""}}}).find("`matmul` is no operator with a layout"),
            std::string::npos);
  EXPECT_NE(error_of({{"nn.conv2d", {"NHWX", ""}}}).find("expected the letters of `NCHW`"),
            std::string::npos);
  EXPECT_EQ(error_of({{"nn.conv2d", {"NHWC", "HWIO"}}}), "");
}

}  // namespace
}  // namespace repose

// Planning models of thousands of kernels.
#include <gtest/gtest.h>

#include <chrono>

#include "memory/order.h"
#include "memory/plan.h"
#include "memory/plan_graph.h"

namespace repose {
namespace {

using graph::Value;

// Layers as in a transformer: three projections of a running value, a product of two of them that
// grows with the square of a symbol, and back; `layers` * 8 kernels.
struct Layers {
  Module module;
  graph::Function function;
  int num_kernels = 0;

  explicit Layers(int layers) {
    Var batch = make_var("batch"), seq = make_var("seq");
    const Type hidden = tensor_type({batch, seq, make_int(384)}, dtypes::float32);
    const Type wide = tensor_type({batch, seq, make_int(1536)}, dtypes::float32);
    const Type scores = tensor_type({batch, make_int(12), seq, seq}, dtypes::float32);
    auto x = graph::make_variable("x", hidden);
    Value now = x;
    for (int i = 0; i < layers; ++i) {
      Value q = call({now}, hidden), k = call({now}, hidden), v = call({now}, hidden);
      Value s = call({q, k}, scores);
      Value p = call({s}, scores, true);
      Value a = call({p, v}, hidden);
      Value w = call({a, now}, wide);
      now = call({w, now}, hidden, false, 1);
    }
    auto body =
        make_ref<graph::BodyNode>(std::vector<graph::Block>{{false, std::move(bindings_)}}, now);
    function = make_ref<graph::FunctionNode>(std::vector<graph::Variable>{x}, body, hidden, true,
                                             false, Attrs{}, Span{});
  }

 private:
  Value call(const std::vector<Value>& args, const Type& type, bool in_place = false,
             int operand = 0) {
    std::vector<tir::Param> params;
    auto add = [&](const Type& t) {
      const auto* tensor = as<TensorTypeNode>(t);
      params.push_back(tir::buffer_param(make_buffer("b", *tensor->shape, tensor->dtype)));
    };
    for (const Value& a : args) add(a->type);
    add(type);
    Attrs attrs;
    if (in_place || operand > 0) {
      attrs.set("in_place", Attr(std::vector<int64_t>{static_cast<int64_t>(args.size()), operand}));
    }
    const std::string name = "p" + std::to_string(num_kernels++);
    module.set(name, tir::make_prim_func(params, tir::make_seq({}), true, attrs));
    auto var = graph::make_variable("v" + std::to_string(num_kernels), type);
    Value value = make_ref<graph::CallNode>(
        standard_ops().find("call_tir"), nullptr,
        std::vector<Value>{graph::make_global(name), graph::make_tuple(args)}, Attrs{},
        std::vector<Type>{}, type);
    bindings_.push_back({var, value, nullptr, {}});
    return var;
  }

  std::vector<graph::Binding> bindings_;
};

// The target is 1 s on an idle machine; the test allows for a busy one.
TEST(LargePlan, FiveThousandKernelsTakeSeconds) {
  const Layers model(625);
  ASSERT_EQ(model.num_kernels, 5000);
  const auto start = std::chrono::steady_clock::now();
  const graph::Function ordered = order_bindings(model.function, model.module, {});
  const auto middle = std::chrono::steady_clock::now();
  const MemoryPlan plan = plan_memory(ordered, model.module, {});
  const auto end = std::chrono::steady_clock::now();
  auto ms = [](auto from, auto to) {
    return static_cast<int>(std::chrono::duration<double, std::milli>(to - from).count());
  };
  RecordProperty("order_ms", ms(start, middle));
  RecordProperty("plan_ms", ms(middle, end));
  std::printf("order %d ms, plan %d ms\n", ms(start, middle), ms(middle, end));
  EXPECT_LT(ms(start, end), 10000);
  EXPECT_LE(to_string(plan.regions[0].bytes).size(), 400U) << to_string(plan.regions[0].bytes);
}

TEST(LargePlan, DepthDoesNotCost) {
  auto peak_at = [](int layers) {
    const Layers model(layers);
    const MemoryPlan plan =
        plan_memory(order_bindings(model.function, model.module, {}), model.module, {});
    SymbolValues values;
    for (const Var& v : free_vars(plan.regions[0].bytes)) {
      values.emplace(v.get(), v->name == "seq" ? 128 : 8);
    }
    return plan_at(plan, values)->arena_bytes;
  };
  EXPECT_EQ(peak_at(3), peak_at(40));
}

}  // namespace
}  // namespace repose

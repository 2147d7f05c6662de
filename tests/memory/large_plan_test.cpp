// Planning models of thousands of kernels.
#include <gtest/gtest.h>

#include <ctime>

#include "memory/order.h"
#include "memory/plan.h"
#include "memory/plan_graph.h"
#include "passes/lower/expose_symbols.h"
#include "passes/lower/legalize.h"
#include "script/parser.h"
#include "support/slow_build.h"

namespace repose {
namespace {

using graph::Value;

constexpr double slowness = is_slow_build ? 20 : 1;  // of clocks

// Kernels one after another, each a program of its own.
class Kernels {
 public:
  Module module;
  int num_kernels = 0;

  Value call(const std::vector<Value>& args, const Type& type, const Attrs& attrs = {}) {
    std::vector<tir::Param> params;
    auto add = [&](const Type& t) {
      const auto* tensor = as<TensorTypeNode>(t);
      params.push_back(tir::buffer_param(make_buffer("b", *tensor->shape, tensor->dtype)));
    };
    for (const Value& a : args) add(a->type);
    add(type);
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

  // The result over the bytes of an operand.
  Value call_in_place(const std::vector<Value>& args, const Type& type, int operand) {
    const std::vector<int64_t> pair{static_cast<int64_t>(args.size()), operand};
    return call(args, type, {{"in_place", Attr(pair)}});
  }

  graph::Function function(const graph::Variable& x, const Value& result) {
    auto body =
        make_ref<graph::BodyNode>(std::vector<graph::Block>{{false, std::move(bindings_)}}, result);
    return make_ref<graph::FunctionNode>(std::vector<graph::Variable>{x}, body, result->type, true,
                                         false, Attrs{}, Span{});
  }

 private:
  std::vector<graph::Binding> bindings_;
};

// Layers as in a transformer: three projections of a running value, a product of two of them that
// grows with the square of a symbol, and back; `layers` * 8 kernels.
struct Layers : Kernels {
  graph::Function function;

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
      Value p = call_in_place({s}, scores, 0);
      Value a = call({p, v}, hidden);
      Value w = call({a, now}, wide);
      now = call_in_place({w, now}, hidden, 1);
    }
    function = Kernels::function(x, now);
  }
};

double seconds_to_plan(const graph::Function& f, const Module& module) {
  const std::clock_t start = std::clock();  // of this process: others may run
  plan_memory(order_bindings(f, module, {}), module, {});
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

// A fifth of that on an idle machine.
TEST(LargePlan, FiveThousandKernelsTakeLessThanASecond) {
  const Layers model(625);
  ASSERT_EQ(model.num_kernels, 5000);
  const auto start = std::clock();
  const graph::Function ordered = order_bindings(model.function, model.module, {});
  const auto middle = std::clock();
  const MemoryPlan plan = plan_memory(ordered, model.module, {});
  const auto end = std::clock();
  auto ms = [](std::clock_t from, std::clock_t to) {
    return static_cast<int>((to - from) / (CLOCKS_PER_SEC / 1000));
  };
  RecordProperty("order_ms", ms(start, middle));
  RecordProperty("plan_ms", ms(middle, end));
  std::printf("order %d ms, plan %d ms\n", ms(start, middle), ms(middle, end));
  EXPECT_LT(ms(start, end), 1000 * slowness);
  EXPECT_LE(to_string(plan.regions[0].bytes).size(), 400U) << to_string(plan.regions[0].bytes);
}

// Every value over the bytes of the one before: one block of 5,000 members.
TEST(LargePlan, OneBlockOfAllKernels) {
  const Type type = tensor_type({make_var("n")}, dtypes::float32);
  Kernels kernels;
  auto x = graph::make_variable("x", type);
  Value now = kernels.call({x}, type);
  for (int i = 1; i < 5000; ++i) now = kernels.call_in_place({now}, type, 0);
  now = kernels.call({now}, type);
  const double seconds = seconds_to_plan(kernels.function(x, now), kernels.module);
  std::printf("%.2f s\n", seconds);
  EXPECT_LT(seconds, 5 * slowness);
}

// Merges that may cost memory are tried at every sample.
TEST(LargePlan, ManyConcatenations) {
  Var batch = make_var("batch"), past = make_var("past");
  const Type one = tensor_type({make_int(1), batch, make_int(64)}, dtypes::float32);
  const Type more = tensor_type({past, batch, make_int(64)}, dtypes::float32);
  const Type both = tensor_type({Expr(past) + 1, batch, make_int(64)}, dtypes::float32);
  Kernels kernels;
  auto x = graph::make_variable("x", one);
  Value now = x;
  const Attrs parts{{"concatenation", Attr(std::vector<int64_t>{0, 1})}};
  for (int i = 0; i < 1250; ++i) {
    Value a = kernels.call({now}, more), b = kernels.call({now}, one);
    now = kernels.call({kernels.call({a, b}, both, parts)}, one);
  }
  const double seconds = seconds_to_plan(kernels.function(x, now), kernels.module);
  std::printf("%.2f s\n", seconds);
  EXPECT_LT(seconds, 5 * slowness);
}

// A thousand choices one after the other, each with two kernels and constants of its own.
TEST(LargePlan, ManyBranches) {
  std::string text =
      "@R.function\ndef main(x: R.Tensor((\"n\",), \"float32\"), c: R.Tensor((), "
      "\"bool\")):\n    v0 = R.exp(x)\n";
  for (int i = 0; i < 1000; ++i) {
    const std::string last = "v" + std::to_string(i), next = "v" + std::to_string(i + 1);
    text += "    if c:\n        a = R.add(" + last + ", R.const(" + std::to_string(i) +
            ".5, \"float32\"))\n        " + next + " = a\n    else:\n        b = R.exp(" + last +
            ")\n        " + next + " = b\n";
  }
  auto parsed =
      parse_module(make_text_source("test.relax", text + "    return v1000\n"), standard_ops());
  ASSERT_TRUE(parsed.ok()) << to_string(parsed.errors());
  auto lowered = legalize(*parsed, standard_ops());
  ASSERT_TRUE(lowered.ok()) << to_string(lowered.errors());
  const Module module = expose_symbols(*lowered);
  const double seconds = seconds_to_plan(module.graph_function("main"), module);
  std::printf("%.2f s\n", seconds);
  EXPECT_LT(seconds, 5 * slowness);
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

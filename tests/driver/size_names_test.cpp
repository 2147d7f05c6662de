// Sizes made of sizes: they get names, and what compiling them costs grows with their number alone.
#include <gtest/gtest.h>

#include "driver/compile.h"
#include "driver/pipeline.h"
#include "expr/steps.h"
#include "ir/builder.h"
#include "ir/function_facts.h"
#include "ops/ops.h"
#include "script/parser.h"
#include "script/printer.h"

namespace repose {
namespace {

using graph::Value;
using graph::Variable;

const OpDef& standard_op(const char* name) {
  return *standard_ops().find(name);
}

// A function whose `step` makes the next tensor from the one before.
struct Chain {
  Builder builder{standard_ops()};
  std::vector<Variable> params;
  Value current;
  int position = 0;

  // `inputs`: besides x, the parameters that the steps take, one each.
  explicit Chain(int count, const std::function<Type(int)>& input) {
    params.push_back(
        graph::make_variable("x", tensor_type({make_var("n"), make_var("t")}, dtypes::float32)));
    for (int i = 0; i < count; ++i) {
      params.push_back(graph::make_variable("p" + std::to_string(i), input(i)));
    }
    builder.begin_function("main", params);
    builder.begin_dataflow();
    current = params[0];
  }

  Value emit(const Value& v) {
    auto var = builder.emit(v, "y" + std::to_string(position));
    EXPECT_TRUE(var.ok()) << to_string(var.errors());
    return Value(*var);
  }

  // The elements of an integer parameter as symbols.
  Dims elements(size_t i, int64_t count) {
    Value members = emit(graph::make_op_call(standard_op("tensor_to_shape"), {params[i + 1]}));
    Dims symbols;
    for (int64_t k = 0; k < count; ++k) {
      symbols.push_back(make_var("e", dtypes::index, VarRole::value));
    }
    EXPECT_TRUE(builder.emit_match_cast(members, shape_type(symbols)).ok());
    return symbols;
  }

  Module finish() {
    auto out = builder.emit_output(current);
    builder.end_dataflow();
    auto done = builder.end_function(out);
    EXPECT_TRUE(done.ok()) << to_string(done.errors());
    return builder.module();
  }
};

using MakeChain = Module (*)(int count);

Module slices(int count) {
  Chain chain(count, [](int) { return tensor_type({make_int(2)}, dtypes::int64); });
  for (int i = 0; i < count; ++i, ++chain.position) {
    const Dims bounds = chain.elements(static_cast<size_t>(i), 2);
    chain.current = chain.emit(graph::make_op_call(
        standard_op("strided_slice"),
        {chain.current, graph::make_shape({bounds[0]}), graph::make_shape({bounds[1]})},
        {{"axes", std::vector<int64_t>{0}}}));
  }
  return chain.finish();
}

Module reshapes(int count) {
  Chain chain(count, [](int) { return tensor_type({make_int(2)}, dtypes::int64); });
  for (int i = 0; i < count; ++i, ++chain.position) {
    const Dims asked = chain.elements(static_cast<size_t>(i), 2);
    const Dims have = *graph::tensor_of(chain.current)->shape;
    Dims target;
    for (size_t d = 0; d < 2; ++d) {
      const Expr total = have[0] * have[1];
      target.push_back(make_select(eq(asked[d], make_int(-1)),
                                   floor_div(total, max(asked[1 - d], make_int(1))), asked[d]));
    }
    chain.current = chain.emit(
        graph::make_op_call(standard_op("reshape"), {chain.current, graph::make_shape(target)}));
  }
  return chain.finish();
}

// Pads to a multiple of a number that changes, so that no two steps cancel.
Module padded(int count) {
  Chain chain(0, nullptr);
  for (int i = 0; i < count; ++i, ++chain.position) {
    const Dims have = *graph::tensor_of(chain.current)->shape;
    Dims pads(4, make_int(0));
    for (size_t d = 0; d < 2; ++d) {
      const Expr multiple = make_int(3 + i % 5);
      pads[d * 2 + 1] = floor_mod(make_int(0) - have[d] * have[1 - d], multiple) + 1;
    }
    chain.current = chain.emit(graph::make_op_call(
        standard_op("nn.pad"),
        {chain.current, graph::make_shape(pads),
         graph::make_constant(make_scalar_array(Scalar::of_float(0, dtypes::float32)))}));
  }
  return chain.finish();
}

Type unknown_matrix(DType dtype) {
  return tensor_type({make_var("a"), make_var("b")}, dtype);
}

Module sums(int count) {
  Chain chain(count, [](int) { return unknown_matrix(dtypes::float32); });
  for (int i = 0; i < count; ++i, ++chain.position) {
    chain.current = chain.emit(graph::make_op_call(
        standard_op("add"), {chain.current, chain.params[static_cast<size_t>(i) + 1]}));
  }
  return chain.finish();
}

// The first tensor goes into every broadcast again.
Module masked(int count) {
  Chain chain(count, [](int) { return unknown_matrix(dtypes::boolean); });
  for (int i = 0; i < count; ++i, ++chain.position) {
    chain.current = chain.emit(graph::make_op_call(
        standard_op("where"),
        {chain.params[static_cast<size_t>(i) + 1], chain.current, chain.params[0]}));
  }
  return chain.finish();
}

// What makes a dimension round up to half of itself in a window of 3, as models compute it: each
// step of the calculation is a known element, and may get a name.
Expr padding_of(Builder& builder, const Expr& size) {
  const Expr rounded = builder.name_size(floor_div(size + 1, make_int(2)) * 2 - 2, "rounded");
  const Expr needed = builder.name_size(max(rounded + 3 - size, make_int(0)), "needed");
  const Expr before = builder.name_size(floor_div(needed, make_int(2)), "before");
  return builder.name_size(before + (needed - before), "all");
}

Module halved(int count) {
  Chain chain(0, nullptr);
  for (int i = 0; i < count; ++i, ++chain.position) {
    const Dims have = *graph::tensor_of(chain.current)->shape;
    Dims pads(4, make_int(0));
    for (size_t d = 0; d < 2; ++d) pads[d * 2 + 1] = padding_of(chain.builder, have[d]);
    const Value zero =
        graph::make_constant(make_scalar_array(Scalar::of_float(0, dtypes::float32)));
    const Value padded = chain.emit(
        graph::make_op_call(standard_op("nn.pad"), {chain.current, graph::make_shape(pads), zero}));
    const Dims extent = *graph::tensor_of(padded)->shape;
    Dims ends;
    for (const Expr& e : extent) ends.push_back(floor_div(e - 3, make_int(2)) * 2 + 1);
    chain.current = chain.emit(graph::make_op_call(
        standard_op("strided_slice"),
        {padded, graph::make_shape({make_int(0), make_int(0)}), graph::make_shape(ends),
         graph::make_shape({make_int(2), make_int(2)})},
        {{"axes", std::vector<int64_t>{0, 1}}}));
  }
  return chain.finish();
}

struct Cost {
  double steps_per_link = 0;
  size_t formula = 0;  // nodes of the largest dimension
};

Cost cost_of(MakeChain make, int count) {
  const uint64_t before = steps_spent();
  const Module module = make(count);
  auto lowered = run_pipeline(module, standard_ops(), {}, nullptr);
  EXPECT_TRUE(lowered.ok()) << to_string(lowered.errors());
  Cost cost;
  cost.steps_per_link = static_cast<double>(steps_spent() - before) / count;
  graph::visit_bindings(module.graph_function("main")->body, true, [&](const graph::Binding& b) {
    const auto* t = as<TensorTypeNode>(b.var->type);
    if (!t || !t->shape) return;
    for (const Expr& d : *t->shape) cost.formula = std::max(cost.formula, tree_size(d, 100'000));
  });
  return cost;
}

class SizeChains : public ::testing::TestWithParam<MakeChain> {};

TEST_P(SizeChains, CostTheSameALinkHoweverLong) {
  const Cost some = cost_of(GetParam(), 40), many = cost_of(GetParam(), 160);
  EXPECT_LE(many.steps_per_link, some.steps_per_link * 1.2);
  EXPECT_LE(many.steps_per_link, 130'000);
  EXPECT_LE(many.formula, Builder::max_size_nodes);
}

INSTANTIATE_TEST_SUITE_P(All, SizeChains,
                         ::testing::Values(slices, reshapes, padded, sums, masked, halved));

// What went into the broadcast behind a long chain is found from where it was found before.
TEST(SizeChains, AskNoMoreOfALongBroadcastThanOfAShortOne) {
  auto cost_of_last = [](int count) {
    Chain chain(count, [](int) { return unknown_matrix(dtypes::boolean); });
    uint64_t before = 0;
    for (int i = 0; i < count; ++i) {
      const Value mask = chain.params[static_cast<size_t>(i) + 1];
      chain.current = chain.emit(
          graph::make_op_call(standard_op("where"), {mask, chain.current, chain.params[0]}));
      before = steps_spent();
      const Value sum =
          chain.emit(graph::make_op_call(standard_op("add"), {chain.current, chain.params[0]}));
      const Dims &have = *graph::tensor_of(sum)->shape,
                 &want = *graph::tensor_of(chain.current)->shape;
      EXPECT_TRUE(structural_equal(have[0], want[0]));
    }
    return steps_spent() - before;
  };
  const uint64_t some = cost_of_last(20);
  EXPECT_GT(some, 0u);
  EXPECT_LE(cost_of_last(100), some + 10);
}

// ---- What names are
// ----------------------------------------------------------------------------

std::vector<SizeName> names_at_head(const graph::Function& f) {
  std::vector<SizeName> names;
  for (const graph::Binding& b : head_of(f)) {
    if (auto named = size_name(b)) names.push_back(*named);
  }
  return names;
}

TEST(SizeNames, EqualSizesHaveOneNameAtTheHead) {
  Chain chain(0, nullptr);
  const Dims have = *graph::tensor_of(chain.current)->shape;
  Expr size = have[0];
  for (int64_t k : {3, 5, 7, 11, 13}) size = floor_div(size * size + k, make_int(k)) + have[1];
  for (int i = 0; i < 2; ++i) {
    Value shape = graph::make_shape({size, make_int(2)});
    chain.emit(graph::make_op_call(standard_op("shape_to_tensor"), {shape}));
    const Expr named = chain.builder.name_size(size, "again");
    EXPECT_NE(as<VarNode>(named), nullptr);
    EXPECT_EQ(chain.builder.name_size(size, "once more"), named);
  }
  const graph::Function f = chain.finish().graph_function("main");
  const std::vector<SizeName> names = names_at_head(f);
  ASSERT_EQ(names.size(), 1u);
  EXPECT_EQ(names[0].name->role, VarRole::dimension);
  EXPECT_EQ(names[0].name->name, "y0_0");
}

TEST(SizeNames, HideNothingThatCancels) {
  Chain chain(0, nullptr);
  const Dims have = *graph::tensor_of(chain.current)->shape;
  Expr size = have[1];
  for (int64_t k : {3, 5, 7}) size = floor_div(size * k + have[0], make_int(k + 1));
  ASSERT_LE(tree_size(size, 100), Builder::max_size_nodes);
  const Facts& facts = chain.builder.facts();
  const Expr padding = padding_of(chain.builder, size);
  // What it is rounded up to has a name, which the padding does without.
  const auto* name = as<VarNode>(padding);
  ASSERT_NE(name, nullptr);
  const Expr definition = facts.definition(name);
  for (const Var& symbol : free_vars(definition)) {
    EXPECT_EQ(facts.definition(symbol.get()), nullptr) << to_string(definition);
  }
  EXPECT_EQ(prove_equal(definition, floor_mod(size, make_int(2)) + 1, facts), Truth::yes);
}

TEST(SizeNames, TextKeepsThem) {
  const Module module = padded(6);
  const std::string text = print(module);
  EXPECT_NE(text.find("R.match_cast(R.prim_value("), std::string::npos);
  auto read = parse_module(make_text_source("text", text), standard_ops());
  ASSERT_TRUE(read.ok()) << to_string(read.errors());
  EXPECT_EQ(print(*read), text);
}

}  // namespace
}  // namespace repose

// Graph IR: values, visitors, substitution.
#include <gtest/gtest.h>

#include "ir/name_symbols.h"
#include "ir/programs.h"
#include "ir/structural.h"

namespace repose {
namespace {

using namespace testing_ir;
using graph::Binding;
using graph::Block;
using graph::make_variable;

struct GraphTest : testing::Test {
  Var m = make_var("m");
  graph::Variable x = make_variable("x", f32({m}));
  graph::Variable y = make_variable("y", f32({m}));
};

TEST_F(GraphTest, ValuesHaveTheTypesOfTheirParts) {
  graph::Value t = graph::make_tuple({x, graph::make_shape({m + m})});
  EXPECT_EQ(to_string(t->type), "R.Tuple(R.Tensor((m,), dtype=\"float32\"), R.Shape([\"" +
                                    to_string(canonical(m * 2)) + "\"]))");
  EXPECT_EQ(graph::make_tuple_get(t, 0)->type, x->type);
  EXPECT_EQ(graph::make_tuple_get(t, 2)->type, nullptr);
  EXPECT_TRUE(graph::is_leaf(t));
  EXPECT_FALSE(graph::is_leaf(graph::make_tuple_get(t, 0)));
  graph::Value c = graph::make_constant(make_array({2, 3}, dtypes::int8));
  EXPECT_EQ(to_string(c->type), "R.Tensor((2, 3), dtype=\"int8\")");
  EXPECT_STREQ(graph::kind_name(c->kind), "constant");
}

TEST_F(GraphTest, FreeVariablesOfNestedBodies) {
  graph::Variable z = make_variable("z", f32({m})), p = make_variable("p", f32({m}));
  graph::Function closure = function_of(
      {p}, body_of({Block{false, {{z, call_op("copy", {y}, f32({m})), {}, {}}}}}, z), f32({m}));
  graph::Variable f = make_variable("f", closure->type);
  graph::Body body = body_of({Block{false, {{f, closure, {}, {}}}}}, graph::make_tuple({f, x}));
  std::vector<graph::Variable> free = graph::free_variables(body);
  ASSERT_EQ(free.size(), 2u);
  EXPECT_EQ(free[0], y);
  EXPECT_EQ(free[1], x);
  EXPECT_EQ(graph::free_variables(body, {x}).size(), 1u);
  int bindings = 0;
  graph::visit_bindings(body, true, [&](const Binding&) { ++bindings; });
  EXPECT_EQ(bindings, 2);
}

TEST_F(GraphTest, SubstituteRemakesVariablesWhoseTypeChanges) {
  graph::Body body = body_of({Block{false, {{y, call_op("copy", {x}, f32({m})), {}, {}}}}}, y);
  graph::Function f = function_of({x}, body, f32({m}));
  EXPECT_EQ(graph::substitute(f, {}, {}), f);
  EXPECT_EQ(graph::substitute(f, {}, {{make_var("k").get(), i(1)}}), f);
  graph::Function g = graph::substitute(f, {}, {{m.get(), i(4)}});
  ASSERT_NE(g, f);
  EXPECT_NE(g->params[0], x);
  EXPECT_EQ(to_string(g->result_type), "R.Tensor((4,), dtype=\"float32\")");
  const Binding& b = g->body->blocks[0].bindings[0];
  EXPECT_EQ(to_string(b.var->type), "R.Tensor((4,), dtype=\"float32\")");
  EXPECT_EQ(graph::as<graph::CallNode>(b.value)->args[0], g->params[0]);
  EXPECT_EQ(g->body->result, b.var);
}

TEST_F(GraphTest, SubstituteReplacesUsesOfVariables) {
  graph::Body body = body_of({Block{false, {{y, call_op("copy", {x}, f32({m})), {}, {}}}}},
                             graph::make_tuple({x, y}));
  graph::Variable other = make_variable("other", f32({m}));
  graph::Body next = graph::substitute(body, {{x.get(), other}}, {});
  EXPECT_EQ(graph::as<graph::CallNode>(next->blocks[0].bindings[0].value)->args[0], other);
  EXPECT_EQ(next->blocks[0].bindings[0].var, y);
  EXPECT_EQ(graph::as<graph::TupleNode>(next->result)->fields[0], other);
}

TEST_F(GraphTest, SymbolsGetDistinctNames) {
  Var a = make_var("m"), b = make_var("k"), c = make_var("k");
  graph::Variable z = make_variable("z", f32({m, a})), w = make_variable("w", f32({b, c}));
  graph::Function f = function_of({x},
                                  body_of({Block{false,
                                                 {{z, call_op("copy", {x}, f32({m, a})), {}, {}},
                                                  {w, call_op("copy", {z}, f32({b, c})), {}, {}}}}},
                                          graph::make_tuple({z, w})),
                                  tuple_type({f32({m, a}), f32({b, c})}));
  EXPECT_EQ(to_string(name_symbols(f, {})->result_type),
            to_string(tuple_type({f32({m, make_var("m_1")}), f32({b, make_var("k_1")})})));
  // Under a wanted name; the result and the value inside of it agree.
  const graph::Function named = name_symbols(f, {{a.get(), "seq"}, {c.get(), "m"}});
  EXPECT_EQ(to_string(named->result_type),
            to_string(tuple_type({f32({m, make_var("seq")}), f32({b, make_var("m_1")})})));
  EXPECT_EQ(to_string(named->body->result->type), to_string(named->result_type));
  EXPECT_EQ(name_symbols(named, {}), named);
}

TEST_F(GraphTest, ALongChainIsNoProblem) {
  std::vector<Binding> bindings;
  graph::Variable last = x;
  for (int k = 0; k < 50000; ++k) {
    graph::Variable next = make_variable("v", f32({m}));
    bindings.push_back({next, call_op("copy", {last}, f32({m})), {}, {}});
    last = next;
  }
  graph::Function f = function_of({x}, body_of({Block{false, bindings}}, last), f32({m}));
  EXPECT_TRUE(structural_equal(f, graph::substitute(f, {}, {{m.get(), make_var("n")}})));
}

}  // namespace
}  // namespace repose

// Types of results whose size the data decides, and of topk. What they compute stands in
// tests/driver/data_sizes.relax.
#include "operators.h"

namespace repose::testing {
namespace {

Expr dim(const Type& type, size_t d) {
  return as<TensorTypeNode>(type)->shape->at(d);
}
Type field(const Type& type, size_t i) {
  return as<TupleTypeNode>(type)->fields.at(i);
}

TEST(types, nonzero_C2_counts_at_most_the_elements) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n}));
  Graph g({x});
  const Value y = g.emit(op_nonzero(), {x}), z = g.emit(op_nonzero(), {x});
  EXPECT_EQ(to_string(y->type), "R.Tensor((2, nonzero_count), dtype=\"int64\")");
  const Expr k = dim(y->type, 1);
  EXPECT_EQ(prove_le(k, s.m * s.n, g.b.facts()), Truth::yes);
  EXPECT_EQ(prove_le(make_int(0), k, g.b.facts()), Truth::yes);
  EXPECT_EQ(prove_le(s.m * s.n, k, g.b.facts()), Truth::unknown);
  EXPECT_NE(k, dim(z->type, 1));  // each call has a symbol of its own
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, nonzero_C2_of_rank_0) {
  Variable x = graph::make_variable("x", f32({}));
  Graph g({x});
  EXPECT_EQ(g.type(op_nonzero(), {x}), "R.Tensor((0, nonzero_count), dtype=\"int64\")");
}

TEST(types, unique_C4_counts_between_1_and_all) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(3)}));
  Graph g({x});
  Attrs all{{"return_index", true}, {"return_inverse", true}, {"return_counts", true}};
  const Type flat = g.emit(op_unique(), {x}, all)->type;
  EXPECT_EQ(to_string(g.emit(op_unique(), {x})->type),
            "R.Tensor((unique_count,), dtype=\"float32\")");
  all.set("axis", -2);
  const Type rows = g.emit(op_unique(), {x}, all)->type;
  EXPECT_EQ(to_string(flat),
            "R.Tuple(R.Tensor((unique_count,), dtype=\"float32\"), R.Tensor((unique_count,), "
            "dtype=\"int64\"), "
            "R.Tensor((\"m * 3\",), dtype=\"int64\"), R.Tensor((unique_count,), dtype=\"int64\"))");
  EXPECT_EQ(to_string(field(rows, 0)), "R.Tensor((unique_count, 3), dtype=\"float32\")");
  const Expr k = dim(field(rows, 0), 0);
  EXPECT_EQ(prove_le(k, s.m, g.b.facts()), Truth::yes);
  g.b.assume(le(make_int(1), s.m));
  EXPECT_EQ(prove_le(make_int(1), k, g.b.facts()), Truth::yes);
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, unique_C1_axis) {
  Variable x = graph::make_variable("x", f32({n_(2)}));
  Graph g({x});
  EXPECT_NE(g.type(op_unique(), {x}, {{"axis", 1}}).find("axis 1"), std::string::npos);
}

TEST(types, topk_C2_asks_for_no_more_than_there_are) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(3)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_topk(), {x, index_value(n_(3))}),
            "R.Tuple(R.Tensor((m, 3), dtype=\"float32\"), R.Tensor((m, 3), dtype=\"int64\"))");
  EXPECT_EQ(g.type(op_topk(), {x, index_value(n_(4))}), "`topk`: 4 of 3 elements are asked for");
  EXPECT_EQ(g.type(op_topk(), {x, index_value(s.m)}, {{"axis", 0}}),
            "R.Tuple(R.Tensor((m, 3), dtype=\"float32\"), R.Tensor((m, 3), dtype=\"int64\"))");
  EXPECT_EQ(g.type(op_topk(), {x, index_value(n_(2))}, {{"axis", 0}}),
            "R.Tuple(R.Tensor((2, 3), dtype=\"float32\"), R.Tensor((2, 3), dtype=\"int64\"))");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"2 <= m"});
}

TEST(types, topk_C1_needs_numbers_and_an_axis) {
  Variable flag = graph::make_variable("flag", tensor_type({n_(2)}, dtypes::boolean));
  Variable scalar = graph::make_variable("scalar", f32({}));
  Graph g({flag, scalar});
  EXPECT_NE(g.type(op_topk(), {flag, index_value(n_(1))}).find("expected a number"),
            std::string::npos);
  EXPECT_NE(g.type(op_topk(), {scalar, index_value(n_(1))}).find("axis"), std::string::npos);
}

TEST(types, non_max_suppression) {
  Symbols s;
  Variable boxes = graph::make_variable("boxes", f32({n_(2), s.n, n_(4)}));
  Variable scores = graph::make_variable("scores", f32({n_(2), n_(3), s.n}));
  Variable three = graph::make_variable("three", f32({n_(2), s.n, n_(3)}));
  Variable two = graph::make_variable("two", f32({n_(2)}));
  Graph g({boxes, scores, three, two});
  const Type y = g.emit(op_non_max_suppression(), {boxes, scores, index_value(n_(10))})->type;
  EXPECT_EQ(to_string(y), "R.Tensor((non_max_suppression_count, 3), dtype=\"int64\")");  // C4
  EXPECT_EQ(prove_le(dim(y, 0), n_(60), g.b.facts()), Truth::yes);
  EXPECT_EQ(prove_le(dim(y, 0), s.n * 6, g.b.facts()), Truth::yes);
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
  Graph bad({boxes, scores, three, two});  // C1
  EXPECT_EQ(bad.type(op_non_max_suppression(), {three, scores, index_value(n_(10))}),
            "`non_max_suppression`: dimension 2 of the boxes is 3, the number of coordinates is 4");
  EXPECT_EQ(bad.type(op_non_max_suppression(), {boxes, scores, index_value(n_(10)), two}),
            "`non_max_suppression`: `iou_threshold` has 2 elements, expected 1");
}

}  // namespace
}  // namespace repose::testing

// Types of operators that TVM's programs use, at symbolic shapes.
#include "operators.h"

namespace repose::testing {
namespace {

Attr map_of(const char* text) {
  return AttrDict{{Attr("index_map"), Attr(text)}};
}

TEST(types, layout_transform_C2_rounds_up) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n}));
  Graph g({x});
  EXPECT_EQ(g.type(op_layout_transform(), {x},
                   {{"index_map", map_of("lambda i, j: (j // 16, i, j % 16)")}}),
            "R.Tensor((\"(n + 15) // 16\", m, 16), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, layout_transform_C3_checks_factors) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n}));
  Graph g({x});
  EXPECT_EQ(
      g.type(op_layout_transform(), {x}, {{"index_map", map_of("lambda i, j: (i * 8 + j,)")}}),
      "R.Tensor((\"m * n\",), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"n == 8"});
}

TEST(types, dynamic_strided_slice_C3_is_bounded) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(3)}));
  Variable b = graph::make_variable("b", i64({n_(2)}));
  Graph g({x, b});
  EXPECT_EQ(g.type(op_dynamic_strided_slice(), {x, b, b, b}),
            "R.Tensor((slice_count, slice_count), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_dynamic_strided_slice(),
                   {x, ints({2}, {1, 0}), ints({2}, {9, 2}), ints({2}, {1, 1})}),
            "R.Tensor((\"T.max(T.min(m, 9) - 1, 0)\", 2), dtype=\"float32\")");
  EXPECT_NE(g.type(op_dynamic_strided_slice(), {x, ints({1}, {1}), b, b}).find("1, the rank"),
            std::string::npos);
}

TEST(types, multinomial_from_uniform_C1) {
  Symbols s;
  Variable p = graph::make_variable("p", f32({s.m, s.n}));
  Variable u = graph::make_variable("u", f32({s.k, n_(1)}));
  Variable i = graph::make_variable("i", i64({s.k, n_(1)}));
  Graph g({p, u, i});
  EXPECT_EQ(g.type(op_multinomial_from_uniform(), {p, u, i}), "R.Tensor((k, 1), dtype=\"int64\")");
  EXPECT_NE(g.type(op_multinomial_from_uniform(), {p, u, u}).find("an integer"), std::string::npos);
  EXPECT_EQ(g.checks(), std::vector<std::string>{"1 <= n"});
}

TEST(types, attention_var_len_C5) {
  Symbols s;
  Variable q = graph::make_variable("q", f32({n_(1), s.m, n_(2), s.k}));
  Variable k = graph::make_variable("k", f32({n_(1), s.n, n_(2), s.k}));
  Variable a = graph::make_variable("a", i64({n_(3)}));
  Graph g({q, k, a});
  EXPECT_EQ(g.type(op_nn_attention_var_len(), {q, k, k, a}),
            "R.Tensor((1, m, 2, k), dtype=\"float32\")");
  EXPECT_NE(g.type(op_nn_attention_var_len(), {q, k, k, q}).find("rank"), std::string::npos);
}

TEST(types, get_valid_counts_C1) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, n_(6)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_vision_get_valid_counts(), {x}),
            "R.Tuple(R.Tensor((m,), dtype=\"int32\"), R.Tensor((m, n, 6), dtype=\"float32\"), "
            "R.Tensor((m, n), dtype=\"int32\"))");
  EXPECT_NE(
      g.type(op_vision_get_valid_counts(), {x}, {{"score_index", 6}}).find("score_index is 6"),
      std::string::npos);
}

TEST(types, suppression_C6_gives_what_is_asked_for) {
  Symbols s;
  const auto i32 = [](Dims shape) { return tensor_type(std::move(shape), dtypes::int32); };
  Variable x = graph::make_variable("x", f32({s.m, s.n, n_(6)}));
  Variable c = graph::make_variable("c", i32({s.m})),
           i = graph::make_variable("i", i32({s.m, s.n}));
  Graph g({x, c, i});
  const std::string indices =
      "R.Tensor((m, n), dtype=\"int32\"), R.Tensor((m, 1), dtype=\"int32\"))";
  EXPECT_EQ(g.type(op_vision_non_max_suppression(), {x, c, i}), "R.Tuple(" + indices);
  EXPECT_EQ(g.type(op_vision_non_max_suppression(), {x, c, i}, {{"soft_nms_sigma", 0.5}}),
            "R.Tuple(R.Tensor((m, n, 6), dtype=\"float32\"), " + indices);
  EXPECT_EQ(g.type(op_vision_non_max_suppression(), {x, c, i}, {{"return_indices", false}}),
            "R.Tensor((m, n, 6), dtype=\"float32\")");
  EXPECT_NE(g.type(op_vision_non_max_suppression(), {x, c, i}, {{"coord_start", 3}})
                .find("four coordinates from element 3 on"),
            std::string::npos);
}

TEST(types, all_class_suppression_C6) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, n_(4)}));
  Variable c = graph::make_variable("c", f32({s.m, s.k, s.n}));
  Graph g({x, c});
  const std::vector<Value> args{x, c, ints({}, {3}), floats({}, {0.5}), floats({}, {0})};
  EXPECT_EQ(g.type(op_vision_all_class_non_max_suppression(), args),
            "R.Tuple(R.Tensor((\"k * m * n\", 3), dtype=\"int64\"), R.Tensor((1,), "
            "dtype=\"int64\"))");
  EXPECT_EQ(
      g.type(op_vision_all_class_non_max_suppression(), args, {{"output_format", "tensorflow"}}),
      "R.Tuple(R.Tensor((m, \"k * n\", 2), dtype=\"int64\"), R.Tensor((m, \"k * n\"), "
      "dtype=\"float32\"), R.Tensor((m,), dtype=\"int64\"))");
}

TEST(types, multibox_transform_loc_C1) {
  Symbols s;
  Variable c = graph::make_variable("c", f32({s.m, n_(3), s.n}));
  Variable l = graph::make_variable("l", f32({s.m, s.n * 4}));
  Variable a = graph::make_variable("a", f32({n_(1), s.n, n_(4)}));
  Graph g({c, l, a});
  EXPECT_EQ(g.type(op_vision_multibox_transform_loc(), {c, l, a}),
            "R.Tuple(R.Tensor((m, n, 4), dtype=\"float32\"), R.Tensor((m, 3, n), "
            "dtype=\"float32\"))");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

}  // namespace
}  // namespace repose::testing

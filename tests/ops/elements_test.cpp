// Shape arithmetic in tensors folds to expressions over symbols.
#include "operators.h"

namespace repose::testing {
namespace {

TEST(elements, shape_gather_multiply_concat_reshape) {
  Var m = make_var("m"), n = make_var("n");
  Variable x = graph::make_variable("x", f32({m, n_(8), n}));
  Graph g({x});
  Value shape = g.emit(op_shape_to_tensor(), {g.emit(op_shape_of(), {x})});
  EXPECT_EQ(g.elements(shape), "(m, 8, n)");
  Value first = g.emit(op_take(), {shape, ints({}, {0})}, {{"axis", 0}});
  EXPECT_EQ(g.elements(first), "(m,)");
  Value last = g.emit(op_take(), {shape, ints({1}, {-1})}, {{"axis", 0}});
  EXPECT_EQ(g.elements(last), "(n,)");
  Value both = g.emit(op_multiply(), {last, ints({}, {8})});
  EXPECT_EQ(g.elements(both), "(n * 8,)");
  Value unsqueezed = g.emit(op_expand_dims(), {first}, {{"axis", 0}});
  Value target = g.emit(op_concat(), {graph::make_tuple({unsqueezed, both})});
  EXPECT_EQ(g.elements(target), "(m, n * 8)");
  Value as_shape = g.emit(op_tensor_to_shape(), {target});
  EXPECT_EQ(to_string(as_shape->type), "R.Shape([m, \"n * 8\"])");
  EXPECT_EQ(g.type(op_reshape(), {x, as_shape}), "R.Tensor((m, \"n * 8\"), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(elements, slices_and_products) {
  Var m = make_var("m"), n = make_var("n");
  Variable x = graph::make_variable("x", f32({m, n_(8), n}));
  Graph g({x});
  Value shape = g.emit(op_shape_to_tensor(), {g.emit(op_shape_of(), {x})});
  Value tail = g.emit(op_strided_slice(), {shape, shape_value({n_(1)}), shape_value({n_(9)})},
                      {{"axes", 0}});
  EXPECT_EQ(g.elements(tail), "(8, n)");
  EXPECT_EQ(g.elements(g.emit(op_prod(), {tail})), "(n * 8,)");
  EXPECT_EQ(g.elements(g.emit(op_max(), {ints({3}, {2, 7, 5})})), "(7,)");
  Value reversed = g.emit(
      op_strided_slice(),
      {shape, shape_value({n_(-1)}), shape_value({n_(-9)}), shape_value({n_(-1)})}, {{"axes", 0}});
  EXPECT_EQ(g.elements(reversed), "(n, 8, m)");
  EXPECT_EQ(g.elements(g.emit(op_cumsum(), {shape}, {{"axis", 0}})), "(m, m + 8, m + n + 8)");
  EXPECT_EQ(g.elements(g.emit(op_cumprod(), {shape}, {{"axis", 0}})), "(m, m * 8, m * n * 8)");
  EXPECT_EQ(g.elements(g.emit(op_tile(), {tail, shape_value({n_(2)})})), "(8, n, 8, n)");
}

TEST(elements, equal_where_expand) {
  Var m = make_var("m");
  Variable x = graph::make_variable("x", f32({m, n_(8)}));
  Graph g({x});
  Value shape = g.emit(op_shape_to_tensor(), {g.emit(op_shape_of(), {x})});
  Value wanted = ints({2}, {-1, 4});
  Value is_minus_one = g.emit(op_equal(), {wanted, ints({}, {-1})});
  Value ones = g.emit(op_full(), {shape_value({n_(2)}), ints({}, {1})});
  EXPECT_EQ(g.elements(ones), "(1, 1)");
  Value chosen = g.emit(op_where(), {is_minus_one, ones, wanted});
  EXPECT_EQ(g.elements(chosen), "(1, 4)");
  Value kept = g.emit(op_where(), {is_minus_one, shape, wanted});
  EXPECT_EQ(g.elements(kept), "(m, 4)");
}

TEST(elements, casts_and_ranges) {
  Var m = make_var("m");
  Variable x = graph::make_variable("x", f32({m}));
  Graph g({x});
  Value shape = g.emit(op_shape_to_tensor(), {g.emit(op_shape_of(), {x})});
  EXPECT_EQ(g.elements(g.emit(op_astype(), {shape}, {{"dtype", dtypes::int32}})), "(m,)");
  EXPECT_EQ(g.elements(g.emit(op_arange(), {index_value(n_(3))})), "(0, 1, 2)");
  EXPECT_EQ(g.elements(g.emit(op_arange(), {index_value(m)})), "unknown");
  Value clipped = g.emit(op_clip(), {shape, index_value(n_(0))});
  EXPECT_EQ(g.elements(clipped), "(m,)");
  EXPECT_EQ(g.elements(g.emit(op_squeeze(), {shape}, {{"axis", 0}})), "(m,)");
  EXPECT_EQ(g.elements(g.emit(op_broadcast_to(), {shape, shape_value({n_(2)})})), "(m, m)");
}

}  // namespace
}  // namespace repose::testing

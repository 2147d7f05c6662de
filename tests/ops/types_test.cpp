// Types that operators infer, errors, and the checks that they place.
#include "operators.h"

namespace repose::testing {
namespace {

TEST(types, reshape_keeps_the_relation) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(224)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_flatten(), {x}), "R.Tensor((\"m * 224\",), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_reshape(), {x, shape_value({s.m, n_(2), n_(112)})}),
            "R.Tensor((m, 2, 112), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_expand_dims(), {x}, {{"axis", AttrList{Attr(0), Attr(-1)}}}),
            "R.Tensor((1, m, 224, 1), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, reshape_C1_is_refuted_for_constants) {
  Variable x = graph::make_variable("x", f32({n_(2), n_(3)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_reshape(), {x, shape_value({n_(7)})}),
            "`reshape`: the operand of shape (2, 3) has 6 elements, the new shape (7,) has 7");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, reshape_C1_may_hold_for_some_extents) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.k}));
  Graph g({x});
  EXPECT_EQ(g.type(op_reshape(), {x, shape_value({s.k, n_(4)})}),
            "R.Tensor((k, 4), dtype=\"float32\")");
  EXPECT_EQ(g.checks().size(), 1u);
}

TEST(types, reshape_teaches_divisors) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.k}));
  Graph g({x});
  g.b.assume(le(n_(1), s.m));
  const Expr groups = floor_div(s.k, n_(8));
  EXPECT_EQ(g.type(op_reshape(), {x, shape_value({s.m, groups, n_(8)})}),
            "R.Tensor((m, \"k // 8\", 8), dtype=\"float32\")");
  // From here on it is a fact: nothing else is checked, and a split is even.
  EXPECT_EQ(g.type(op_reshape(), {x, shape_value({s.m * 2, groups * 2, n_(2)})}),
            "R.Tensor((\"m * 2\", \"k // 8 * 2\", 2), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_split(), {x}, {{"indices_or_sections", 2}, {"axis", 1}}),
            "R.Tuple(R.Tensor((m, \"k // 2\"), dtype=\"float32\"), "
            "R.Tensor((m, \"k // 2\"), dtype=\"float32\"))");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"k % 8 == 0"});
}

// A chain of undecided broadcasts is the first dimension that isn't 1: each is named once.
TEST(types, broadcast_of_undecided_dimensions_in_a_chain) {
  Symbols s;
  auto vector_of = [](const Expr& dim) { return graph::make_variable("v", f32({dim})); };
  Variable a = vector_of(s.m), b = vector_of(s.n), c = vector_of(s.k);
  Graph g({a, b, c});
  const Value ab = g.emit(op_add(), {a, b});
  const Value abc = g.emit(op_add(), {ab, c});
  const std::string expected =
      "R.Tensor((\"T.Select(m == 1, T.Select(n == 1, k, n), m)\",), dtype=\"float32\")";
  EXPECT_EQ(to_string(abc->type), expected);
  EXPECT_EQ(g.type(op_add(), {abc, a}), expected);
  EXPECT_EQ(g.type(op_multiply(), {abc, ab}), expected);
  EXPECT_EQ(g.type(op_add(), {ab, g.emit(op_add(), {b, c})}), expected);
}

// What went into a broadcast is 1 or the result: with it again, nothing is left to check, also
// behind the names of large sizes.
TEST(types, broadcast_with_what_went_in) {
  std::vector<Variable> params;
  for (int i = 0; i < 12; ++i) {
    params.push_back(graph::make_variable("v", f32({make_var("d" + std::to_string(i))})));
  }
  Graph g(params);
  Value all = params[0];
  for (int i = 1; i < 12; ++i) all = g.emit(op_add(), {params[static_cast<size_t>(i)], all});
  for (const Variable& one : params) {
    EXPECT_EQ(g.type(op_add(), {all, one}), to_string(all->type));
    EXPECT_EQ(g.type(op_add(), {one, all}), to_string(all->type));
  }
  EXPECT_EQ(g.checks().size(), 11u);
}

TEST(types, squeeze_C2) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(1), n_(3)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_squeeze(), {x}, {{"axis", 1}}), "R.Tensor((m, 3), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_squeeze(), {x}, {{"axis", 2}}), "`squeeze`: dimension 2 is 3, expected 1");
  EXPECT_EQ(g.type(op_squeeze(), {x}, {{"axis", 5}}), "`squeeze`: axis 5 of a tensor of rank 3");
  EXPECT_EQ(g.type(op_squeeze(), {x}), "R.Tensor((m, 3), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"m != 1"});
}

TEST(types, permute_concat_split) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(6)}));
  Variable y = graph::make_variable("y", f32({s.n, n_(6)}));
  Graph g({x, y});
  EXPECT_EQ(g.type(op_permute_dims(), {x}), "R.Tensor((6, m), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_permute_dims(), {x}, {{"axes", AttrList{Attr(0), Attr(0)}}}),
            "`permute_dims`: axis 0 is given twice");
  EXPECT_EQ(g.type(op_concat(), {graph::make_tuple({x, y})}),
            "R.Tensor((\"m + n\", 6), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_split(), {x}, {{"indices_or_sections", 4}, {"axis", 1}}),
            "R.Tuple(R.Tensor((m, 2), dtype=\"float32\"), R.Tensor((m, 2), dtype=\"float32\"), "
            "R.Tensor((m, 2), dtype=\"float32\"), R.Tensor((m, 0), dtype=\"float32\"))");
  EXPECT_EQ(g.type(op_split(), {x}, {{"indices_or_sections", AttrList{Attr(2)}}, {"axis", 1}}),
            "R.Tuple(R.Tensor((m, 2), dtype=\"float32\"), R.Tensor((m, 4), dtype=\"float32\"))");
  EXPECT_EQ(
      g.type(op_split(), {x}, {{"indices_or_sections", 0}}),
      "`split`: `indices_or_sections` must be a number of sections (at least 1), or ascending "
      "positions, none of them negative");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, concat_C2_places_a_check) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(6)}));
  Variable y = graph::make_variable("y", f32({s.n, n_(6)}));
  Graph g({x, y});
  EXPECT_EQ(g.type(op_concat(), {graph::make_tuple({x, y})}, {{"axis", 1}}),
            "R.Tensor((m, 12), dtype=\"float32\")");
  EXPECT_EQ(g.checks().size(), 1u);
}

std::string slice_type(Dims shape, int64_t begin, int64_t end, int64_t stride = 1) {
  Variable x = graph::make_variable("x", f32(std::move(shape)));
  Graph g({x});
  return g.type(op_strided_slice(),
                {x, shape_value({n_(begin)}), shape_value({n_(end)}), shape_value({n_(stride)})},
                {{"axes", 0}});
}

TEST(types, strided_slice_extents) {
  const int64_t all = std::numeric_limits<int64_t>::max();
  EXPECT_EQ(slice_type({n_(10)}, 2, 7), "R.Tensor((5,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, -3, all), "R.Tensor((3,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, -20, -1), "R.Tensor((9,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, 8, 2), "R.Tensor((0,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, 0, all, 3), "R.Tensor((4,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, all, std::numeric_limits<int64_t>::min(), -1),
            "R.Tensor((10,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, -1, 0, -2), "R.Tensor((5,), dtype=\"float32\")");
  Symbols s;
  EXPECT_EQ(slice_type({s.m + 3}, 1, all), "R.Tensor((\"m + 2\",), dtype=\"float32\")");
  EXPECT_EQ(slice_type({s.m + 3}, 0, -1), "R.Tensor((\"m + 2\",), dtype=\"float32\")");
  EXPECT_EQ(slice_type({s.m + 3}, -2, all), "R.Tensor((2,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({s.m}, 0, all), "R.Tensor((m,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({s.m}, -1, std::numeric_limits<int64_t>::min(), -1),
            "R.Tensor((m,), dtype=\"float32\")");
  // Strides beyond any dimension.
  const int64_t least = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(slice_type({n_(10)}, 3, all, all), "R.Tensor((1,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, 12, all, all), "R.Tensor((0,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, all, least, least), "R.Tensor((1,), dtype=\"float32\")");
  EXPECT_EQ(slice_type({n_(10)}, all, least, least + 1), "R.Tensor((1,), dtype=\"float32\")");
  // The same extent however it is written.
  EXPECT_EQ(slice_type({s.m}, 1, all), slice_type({s.m}, 0, -1));
}

TEST(types, steps_whose_sign_is_not_known) {
  const Var step = make_var("step", dtypes::index, VarRole::value);
  Variable x = graph::make_variable("x", f32({n_(10)}));
  Graph g({x});
  EXPECT_EQ(
      g.type(op_strided_slice(),
             {x, shape_value({n_(0)}), shape_value({n_(5)}), shape_value({step})}, {{"axes", 0}}),
      "`strided_slice`: the sign of the stride `step` along axis 0 is not known when the model is "
      "compiled, which is not supported");
  EXPECT_EQ(g.type(op_arange(), {index_value(n_(0)), index_value(n_(5)), index_value(step)}),
            "`arange`: the sign of the step `step` is not known when the model is compiled, which "
            "is not supported");
  EXPECT_EQ(g.type(op_arange(), {index_value(n_(0)), index_value(n_(5)), index_value(n_(0))}),
            "`arange`: the step `0` is 0");
}

TEST(types, strided_slice_by_symbols) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m}));
  Variable y = graph::make_variable("y", f32({s.n}));
  Graph g({x, y});
  g.b.assume(le(s.n, s.m));
  EXPECT_EQ(
      g.type(op_strided_slice(), {x, shape_value({n_(0)}), shape_value({s.n})}, {{"axes", 0}}),
      "R.Tensor((n,), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_strided_slice(), {x, shape_value({n_(0)}), shape_value({n_(1), n_(2)})},
                   {{"axes", 0}}),
            "`strided_slice`: 1 axes, but operand 2 (`end`) has 2 members");
}

TEST(types, take) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(5)}));
  Variable i = graph::make_variable("i", i64({s.n, n_(2)}));
  Graph g({x, i});
  EXPECT_EQ(g.type(op_take(), {x, i}, {{"axis", 1}}), "R.Tensor((m, n, 2), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_take(), {x, x}, {{"axis", 1}}),
            "`take`: operand 1 has dtype float32, expected an integer");
  EXPECT_EQ(g.type(op_take(), {x, i}), "`take`: operand 0 has rank 2, expected 1");
  Variable empty = graph::make_variable("e", f32({n_(0)}));
  Variable none = graph::make_variable("o", i64({n_(0)})),
           two = graph::make_variable("w", i64({n_(2)}));
  Graph h({empty, none, two});
  EXPECT_EQ(h.type(op_take(), {empty, two}, {{"mode", "clip"}}),
            "`take`: an index into dimension 0 of 0 elements");
  EXPECT_EQ(h.type(op_take(), {empty, none}, {{"mode", "wrap"}}),
            "R.Tensor((0,), dtype=\"float32\")");
}

TEST(types, broadcasts) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({n_(1), n_(5)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_broadcast_to(), {x, shape_value({s.m, s.n, n_(5)})}),
            "R.Tensor((m, n, 5), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_expand(), {x, shape_value({s.m, n_(1)})}),
            "R.Tensor((m, 5), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_broadcast_to(), {x, shape_value({s.m, n_(1)})}),
            "`broadcast_to`: dimension 1 of the operand is 5, of the new shape 1");
}

TEST(types, shapes_as_values) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(5)}));
  Variable t = graph::make_variable("t", i64({n_(3)}));
  Graph g({x, t});
  EXPECT_EQ(g.type(op_shape_of(), {x}), "R.Shape([m, 5])");
  EXPECT_EQ(g.type(op_tensor_to_shape(), {t}), "R.Shape(ndim=3)");
  EXPECT_EQ(g.type(op_arange(), {index_value(s.m)}), "R.Tensor((m,), dtype=\"int64\")");
  EXPECT_EQ(g.type(op_arange(), {index_value(n_(10)), index_value(n_(0)), index_value(n_(-3))}),
            "R.Tensor((4,), dtype=\"int64\")");
  EXPECT_EQ(g.type(op_zeros(), {shape_value({s.m, n_(2)})}), "R.Tensor((m, 2), dtype=\"float32\")");
}

TEST(types, matmul) {
  Symbols s;
  Variable a = graph::make_variable("a", f32({n_(8), s.m, n_(4)}));
  Variable b = graph::make_variable("b", f32({n_(4), s.n}));
  Variable v = graph::make_variable("v", f32({n_(4)}));
  Variable w = graph::make_variable("w", f32({s.k, n_(2)}));
  Graph g({a, b, v, w});
  EXPECT_EQ(g.type(op_matmul(), {a, b}), "R.Tensor((8, m, n), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_matmul(), {a, v}), "R.Tensor((8, m), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_matmul(), {v, b}), "R.Tensor((n,), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_matmul(), {v, v}), "R.Tensor((), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_matmul(), {v, w}), "R.Tensor((2,), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"k == 4"});
}

TEST(types, reductions_and_norms) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(3), s.n}));
  Variable w = graph::make_variable("w", f32({n_(3)}));
  Graph g({x, w});
  EXPECT_EQ(g.type(op_sum(), {x}), "R.Tensor((), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_mean(), {x}, {{"axis", -1}, {"keepdims", true}}),
            "R.Tensor((m, 3, 1), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_max(), {x}, {{"axis", AttrList{}}}),
            "R.Tensor((m, 3, n), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_nn_softmax(), {x}), "R.Tensor((m, 3, n), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_nn_layer_norm(), {x, w, w}, {{"axes", 1}}),
            "R.Tensor((m, 3, n), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_nn_layer_norm(), {x, w, w}, {{"axes", 4}}),
            "`nn.layer_norm`: axis 4 of a tensor of rank 3");
  EXPECT_EQ(g.type(op_nn_relu(), {x}), "R.Tensor((m, 3, n), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_argmax(), {w}, {{"axis", 0}}), "R.Tensor((), dtype=\"int64\")");
}

TEST(types, convolutions) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.n, n_(3), s.m + 7, n_(32)}));
  Variable w = graph::make_variable("w", f32({n_(16), n_(3), n_(3), n_(3)}));
  Graph g({x, w});
  EXPECT_EQ(g.type(op_nn_conv2d(), {x, w}), "R.Tensor((n, 16, \"m + 5\", 30), dtype=\"float32\")");
  EXPECT_EQ(
      g.type(op_nn_conv2d(), {x, w}, {{"padding", 1}, {"strides", AttrList{Attr(1), Attr(2)}}}),
      "R.Tensor((n, 16, \"m + 7\", 16), dtype=\"float32\")");
  EXPECT_EQ(
      g.type(op_nn_conv2d(), {x, w}, {{"groups", 3}}),
      "`nn.conv2d`: the number of input channels is 3, groups times dimension 1 of the weight "
      "is 9");
  EXPECT_EQ(g.type(op_nn_conv2d(), {x, w}, {{"data_layout", "NCHW16c"}}),
            "`nn.conv2d`: operand 0 has rank 4, expected 5");
  EXPECT_EQ(g.type(op_nn_conv2d(), {x, w}, {{"data_layout", "NCHX"}}),
            "`nn.conv2d`: data_layout is \"NCHX\", supported are the letters of \"NCHW\" in any "
            "order, and blocks of them such as \"NCHW16c\"");
  EXPECT_EQ(g.type(op_nn_conv2d(), {x, w}, {{"padding", AttrList{Attr(1), Attr(1), Attr(1)}}}),
            "`nn.conv2d`: attribute `padding` has 3 values, expected 1, 2 or 4");
  EXPECT_EQ(g.type(op_nn_max_pool2d(), {x}, {{"pool_size", 2}, {"strides", 2}}),
            "R.Tensor((n, 3, \"(m + 1) // 2 + 3\", 16), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_nn_adaptive_avg_pool2d(), {x}, {{"output_size", 1}}),
            "R.Tensor((n, 3, 1, 1), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{});
}

TEST(types, windows_state_that_they_fit) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({n_(1), n_(3), s.m}));
  Graph g({x});
  g.emit(op_nn_avg_pool1d(), {x}, {{"pool_size", 4}});
  EXPECT_EQ(g.checks().size(), 1u);
}

TEST(types, pad) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, n_(3)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_nn_pad(), {x, shape_value({n_(0), n_(2), n_(1), n_(1)})}),
            "R.Tensor((\"m + 2\", 5), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_nn_pad(), {x, shape_value({n_(0), n_(2)})}),
            "`nn.pad`: 2 widths for an operand of rank 2, expected 4");
  EXPECT_EQ(
      g.type(op_nn_pad(), {x, shape_value({n_(0), n_(0), n_(3), n_(0)})},
             {{"pad_mode", "reflect"}}),
      "`nn.pad`: dimension 1 of 3 elements is too small for widths 3 and 0 in mode \"reflect\"");
}

TEST(types, bitcast_C1) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m}));
  Graph g({x});
  EXPECT_EQ(g.type(op_bitcast(), {x}, {{"dtype", dtypes::uint32}}),
            "R.Tensor((m,), dtype=\"uint32\")");
  EXPECT_EQ(g.type(op_bitcast(), {x}, {{"dtype", dtypes::int64}}),
            "`bitcast`: int64 has not the width of float32");
  EXPECT_EQ(g.type(op_bitcast(), {x}, {{"dtype", dtypes::boolean}}),
            "`bitcast`: bool has not the width of float32");
}

TEST(types, random) {
  Symbols s;
  Graph g;
  EXPECT_EQ(g.type(op_random(), {shape_value({n_(2), n_(3)})}, {{"dtype", dtypes::float64}}),
            "R.Tensor((2, 3), dtype=\"float64\")");
  EXPECT_EQ(g.type(op_random(), {shape_value({n_(2)})}, {{"dtype", dtypes::int32}}),  // C1
            "`random` gives dtype int32, expected a float");
  EXPECT_EQ(g.type(op_random(), {shape_value({n_(2)})}, {{"distribution", "poisson"}}),  // C2
            "`random`: distribution is \"poisson\", expected \"uniform\" or \"normal\"");
}

TEST(types, grid_sample) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, s.k, n_(7)}));
  Variable grid = graph::make_variable("grid", f32({s.m, s.n, n_(5), n_(2)}));
  Variable flat = graph::make_variable("flat", f32({s.m, s.n}));
  Variable wrong = graph::make_variable("wrong", f32({s.m, s.n, n_(5), n_(3)}));
  Graph g({x, grid, flat, wrong});
  EXPECT_EQ(g.type(op_grid_sample(), {flat, flat}),  // C1
            "`grid_sample`: operand 0 has rank 2, expected at least 3");
  EXPECT_EQ(g.type(op_grid_sample(), {x, wrong}),
            "`grid_sample`: the last dimension of the grid is 3, the number of spatial dimensions "
            "is 2");
  EXPECT_EQ(g.type(op_grid_sample(), {x, grid}, {{"mode", "quintic"}}),  // C3
            "`grid_sample`: mode is \"quintic\"");
  EXPECT_EQ(g.type(op_grid_sample(), {x, grid}), "R.Tensor((m, n, n, 5), dtype=\"float32\")");
  EXPECT_EQ(g.checks(), std::vector<std::string>{"1 <= k"});  // C2
}

TEST(types, roi_align) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, s.k, n_(7)}));
  const Var count = make_var("r");
  Variable rois = graph::make_variable("rois", f32({count, n_(4)}));
  Variable wide = graph::make_variable("wide", f32({count, n_(5)}));
  Variable batch = graph::make_variable("batch", i64({count}));
  Graph g({x, rois, wide, batch});
  EXPECT_EQ(g.type(op_roi_align(), {x, wide, batch}),  // C1
            "`roi_align`: dimension 1 of operand 1 is 5, the number of coordinates is 4");
  EXPECT_EQ(g.type(op_roi_align(), {x, rois, batch}, {{"height", 0}}),  // C3
            "`roi_align`: mode \"avg\", 0 by 1 parts of 0 points");
  EXPECT_EQ(g.type(op_roi_align(), {x, rois, batch}, {{"height", 2}, {"width", 3}}),
            "R.Tensor((r, n, 2, 3), dtype=\"float32\")");
  EXPECT_EQ(g.checks().size(), 1u);  // C2
}

TEST(types, roi_max_pool) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, s.k, n_(7)}));
  Variable rois = graph::make_variable("rois", f32({make_var("r"), n_(5)}));
  Variable narrow = graph::make_variable("narrow", f32({n_(2), n_(4)}));
  Graph g({x, rois, narrow});
  EXPECT_EQ(g.type(op_roi_max_pool(), {x, rois}, {{"height", 2}}),
            "R.Tensor((r, n, 2, 1), dtype=\"float32\")");
  EXPECT_EQ(
      g.type(op_roi_max_pool(), {x, narrow}),  // C4
      "`roi_max_pool`: dimension 1 of operand 1 is 4, the number of coordinates and the image "
      "is 5");
  EXPECT_EQ(g.type(op_roi_max_pool(), {x, rois}, {{"width", 0}}), "`roi_max_pool`: 1 by 0 parts");
}

TEST(types, tree_ensemble) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n}));
  Value one = ints({1}, {0}), two = ints({2}, {0, 0}), limit = floats({1}, {0});
  Graph g({x});
  auto type = [&](const Value& modes, const Value& targets, Attrs attrs) {
    return g.type(op_tree_ensemble(), {x, one, one, limit, modes, one, one, one, targets, limit},
                  std::move(attrs));
  };
  EXPECT_EQ(type(one, one, {{"num_targets", 3}}), "R.Tensor((m, 3), dtype=\"float32\")");
  EXPECT_EQ(type(two, one, {}),  // C1
            "`tree_ensemble`: dimension 0 of operand 4 is 2, the number of nodes is 1");
  EXPECT_EQ(type(one, two, {}),
            "`tree_ensemble`: the number of weights is 1, the number of targets is 2");
  EXPECT_EQ(type(limit, one, {}),
            "`tree_ensemble`: operand 4 has dtype float32, expected an integer");
  EXPECT_EQ(type(one, one, {{"aggregate", "product"}}),  // C2
            "`tree_ensemble`: the aggregate \"product\" of 1 targets");
}

TEST(types, determinant) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, s.n}));
  Variable row = graph::make_variable("row", f32({s.m}));
  Variable wide = graph::make_variable("wide", f32({n_(2), n_(3)}));
  Graph g({x, row, wide});
  EXPECT_EQ(g.type(op_determinant(), {x}), "R.Tensor((m,), dtype=\"float32\")");
  EXPECT_EQ(g.type(op_determinant(), {row}),  // C1
            "`determinant`: operand 0 has rank 1, expected at least 2");
  EXPECT_EQ(g.type(op_determinant(), {wide}),
            "`determinant`: the number of rows is 2, the number of columns is 3");
}

TEST(types, linear_attention) {
  Symbols s;
  auto variable = [](const char* name, Dims d) { return graph::make_variable(name, f32(d)); };
  Variable q = variable("q", {s.m, n_(4), s.n, s.k}), k = variable("k", {s.m, n_(2), s.n, s.k}),
           v = variable("v", {s.m, n_(2), s.n, n_(3)}),
           past = variable("past", {s.m, n_(2), s.k, n_(3)}),
           odd = variable("odd", {s.m, n_(3), s.n, s.k}),
           rate = variable("rate", {s.m, n_(2), s.n, n_(1)});
  Graph g({q, k, v, past, odd, rate});
  const std::string type =
      "R.Tuple(R.Tensor((m, 4, n, 3), dtype=\"float32\"), R.Tensor((m, 2, k, 3), "
      "dtype=\"float32\"))";
  EXPECT_EQ(g.type(op_linear_attention(), {q, k, v, past}), type);
  EXPECT_EQ(g.type(op_linear_attention(), {q, k, v, past, rate, rate}), type);
  EXPECT_EQ(g.type(op_linear_attention(), {odd, k, v, past}),  // C1
            "`linear_attention`: 3 heads of queries are no multiple of 2 heads");
  EXPECT_EQ(g.type(op_linear_attention(), {q, k, v, past, rate, v}),  // C2
            "`linear_attention`: dimension 3 of operand 5 is 3, the extent of the other operands "
            "is 1");
}

TEST(types, max_pool_indices) {
  Symbols s;
  Variable x = graph::make_variable("x", f32({s.m, s.n, n_(8)}));
  Graph g({x});
  EXPECT_EQ(g.type(op_nn_max_pool_indices1d(), {x}, {{"pool_size", 2}, {"strides", 2}}),
            "R.Tuple(R.Tensor((m, n, 4), dtype=\"float32\"), R.Tensor((m, n, 4), "
            "dtype=\"int64\"))");
}

TEST(types, the_rank_stays_where_the_shape_is_not_known) {
  Variable x = graph::make_variable("x", tensor_type_of_rank(3, dtypes::float32));
  Graph g({x});
  EXPECT_EQ(g.type(op_permute_dims(), {x}), "R.Tensor(ndim=3, dtype=\"float32\")");
  EXPECT_EQ(g.type(op_sum(), {x}, {{"axis", 1}}), "R.Tensor(ndim=2, dtype=\"float32\")");
  EXPECT_EQ(g.type(op_expand_dims(), {x}, {{"axis", 1}}), "R.Tensor(ndim=4, dtype=\"float32\")");
  EXPECT_EQ(g.type(op_matmul(), {x, x}), "R.Tensor(ndim=3, dtype=\"float32\")");
}

}  // namespace
}  // namespace repose::testing

// What operators compute, by running the programs that they lower to.
#include <algorithm>
#include <cmath>

#include "operators.h"

namespace repose::testing {
namespace {

using Values = std::vector<double>;
const double inf = std::numeric_limits<double>::infinity();
const double nan = std::numeric_limits<double>::quiet_NaN();

TEST(values, data_movement) {
  Value x = floats({2, 3}, count_up(6));
  EXPECT_EQ(run_values(op_permute_dims(), {x}), (Values{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(run_values(op_flatten(), {x}), count_up(6));
  Value y = floats({2, 1}, {10, 11});
  EXPECT_EQ(run_values(op_concat(), {graph::make_tuple({x, y, x})}, {{"axis", 1}}),
            (Values{0, 1, 2, 10, 0, 1, 2, 3, 4, 5, 11, 3, 4, 5}));
  std::vector<Array> parts = run_call(op_split(), {x}, {{"indices_or_sections", 2}, {"axis", 1}});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(values_of(parts[0]), (Values{0, 1, 3, 4}));
  EXPECT_EQ(values_of(parts[1]), (Values{2, 5}));
  EXPECT_EQ(run_values(op_broadcast_to(), {y, shape_value({n_(2), n_(2)})}),
            (Values{10, 10, 11, 11}));
  EXPECT_EQ(run_values(op_tile(), {y, shape_value({n_(2), n_(2)})}),
            (Values{10, 10, 11, 11, 10, 10, 11, 11}));
  EXPECT_EQ(run_values(op_where(), {constant(dtypes::boolean, {3}, {1, 0, 1}), x, y}),
            (Values{0, 10, 2, 3, 11, 5}));
}

// As Python slices lists.
TEST(values, strided_slice_for_all_small_bounds) {
  for (int64_t d : {1, 2, 5}) {
    for (int64_t begin = -7; begin <= 7; ++begin) {
      for (int64_t end = -7; end <= 7; ++end) {
        for (int64_t stride : {-3, -1, 1, 2}) {
          Values want;
          auto wrap = [&](int64_t b) { return b < 0 ? b + d : b; };
          const int64_t low = stride > 0 ? 0 : -1, high = stride > 0 ? d : d - 1;
          const int64_t stop = std::clamp(wrap(end), low, high);
          for (int64_t i = std::clamp(wrap(begin), low, high); stride > 0 ? i < stop : i > stop;
               i += stride) {
            want.push_back(static_cast<double>(i));
          }
          std::vector<Value> bounds{shape_value({n_(begin)}), shape_value({n_(end)}),
                                    shape_value({n_(stride)})};
          Value x = floats({d}, count_up(d));
          EXPECT_EQ(
              run_values(op_strided_slice(), {x, bounds[0], bounds[1], bounds[2]}, {{"axes", 0}}),
              want)
              << begin << ":" << end << ":" << stride << " of " << d;
          if (std::abs(begin) % 3 != 1) continue;  // the same for a symbolic extent
          Variable s = graph::make_variable("x", f32({make_var("m")}));
          EXPECT_EQ(
              run_values(op_strided_slice(), {s, bounds[0], bounds[1], bounds[2]}, {{"axes", 0}},
                         {{s.get(), array_of(dtypes::float32, {d}, count_up(d))}}),
              want)
              << begin << ":" << end << ":" << stride << " of symbolic " << d;
        }
      }
    }
  }
}

TEST(values, gathers) {
  Value x = floats({3, 2}, count_up(6));
  EXPECT_EQ(run_values(op_take(), {x, ints({2}, {-1, 0})}, {{"axis", 0}}), (Values{4, 5, 0, 1}));
  EXPECT_EQ(run_values(op_take(), {x, ints({}, {1})}, {{"axis", 1}}), (Values{1, 3, 5}));
  EXPECT_EQ(run_values(op_take(), {x, ints({2}, {-9, 7})}, {{"axis", 0}, {"mode", "clip"}}),
            (Values{0, 1, 4, 5}));
  EXPECT_EQ(run_values(op_take(), {x, ints({2}, {-4, 7})}, {{"axis", 0}, {"mode", "wrap"}}),
            (Values{4, 5, 2, 3}));
  EXPECT_EQ(run_values(op_gather_elements(), {x, ints({1, 2}, {2, -2})}, {{"axis", 0}}),
            (Values{4, 3}));
  EXPECT_EQ(run_values(op_gather_nd(), {x, ints({2, 2}, {0, 1, -1, 0})}), (Values{1, 4}));
  EXPECT_EQ(run_values(op_gather_nd(), {x, ints({3, 1}, {0, 1, -1})}, {{"batch_dims", 1}}),
            (Values{0, 3, 5}));
}

TEST(values, conversions_and_creation) {
  Value x = floats({4}, {-1.5, 0, nan, 300});
  EXPECT_EQ(run_values(op_astype(), {x}, {{"dtype", dtypes::int8}}), (Values{-1, 0, 0, 127}));
  EXPECT_EQ(run_values(op_astype(), {x}, {{"dtype", dtypes::boolean}}), (Values{1, 0, 1, 1}));
  EXPECT_EQ(run_values(op_clip(),
                       {floats({3}, {-1, 0.5, 9}), graph::make_prim(make_float(0, dtypes::float32)),
                        graph::make_prim(make_int(6))}),
            (Values{0, 0.5, 6}));
  EXPECT_EQ(run_values(op_arange(), {index_value(n_(5)), index_value(n_(-2)), index_value(n_(-3))}),
            (Values{5, 2, -1}));
  EXPECT_EQ(run_values(op_full(), {shape_value({n_(3)}), ints({}, {7})}), (Values{7, 7, 7}));
  EXPECT_EQ(run_values(op_ones(), {shape_value({n_(2)})}), (Values{1, 1}));
  EXPECT_EQ(run_values(op_shape_to_tensor(), {shape_value({n_(4), n_(5), n_(6)})}),
            (Values{4, 5, 6}));
  EXPECT_EQ(run_values(op_one_hot(), {ints({2}, {1, -1}), index_value(n_(5)), index_value(n_(2)),
                                      index_value(n_(3))}),
            (Values{2, 5, 2, 2, 2, 5}));
}

TEST(values, matmul) {
  Value a = floats({2, 1, 2, 3}, count_up(12)), b = floats({2, 3, 2}, count_up(12));
  Values want;
  for (int p = 0; p < 2; ++p) {
    for (int q = 0; q < 2; ++q) {
      for (int i = 0; i < 2; ++i) {
        for (int j = 0; j < 2; ++j) {
          double sum = 0;
          for (int k = 0; k < 3; ++k) sum += (p * 6 + i * 3 + k) * (q * 6 + k * 2 + j);
          want.push_back(sum);
        }
      }
    }
  }
  EXPECT_EQ(run_values(op_matmul(), {a, b}), want);
  Value v = floats({3}, {1, 2, 3});
  EXPECT_EQ(run_values(op_matmul(), {v, v}), (Values{14}));
  EXPECT_EQ(run_values(op_matmul(), {floats({2, 3}, count_up(6)), v}), (Values{8, 26}));
  EXPECT_EQ(run_values(op_matmul(), {v, floats({3, 2}, count_up(6))}), (Values{16, 22}));
  Value half = constant(dtypes::float16, {1, 2}, {2048, 1});
  Value ones = constant(dtypes::float16, {2, 1}, {1, 1});
  EXPECT_EQ(run_values(op_matmul(), {half, ones}, {{"out_dtype", dtypes::float32}}),
            (Values{2049}));
  Value bytes = constant(dtypes::uint8, {1, 2}, {200, 100}),
        signs = constant(dtypes::int8, {2, 1}, {-1, 2});
  EXPECT_EQ(run_values(op_matmul(), {bytes, signs}, {{"out_dtype", dtypes::int32}}), (Values{0}));
  EXPECT_EQ(run_values(op_matmul(), {floats({2, 0}, {}), floats({0, 1}, {})}), (Values{0, 0}));
}

TEST(values, reductions) {
  Value x = floats({2, 3}, {1, 2, 3, 4, 5, 9});
  EXPECT_EQ(run_values(op_sum(), {x}), (Values{24}));
  EXPECT_EQ(run_values(op_sum(), {x}, {{"axis", 0}}), (Values{5, 7, 12}));
  EXPECT_EQ(run_values(op_mean(), {x}, {{"axis", 1}, {"keepdims", true}}), (Values{2, 6}));
  EXPECT_EQ(run_values(op_prod(), {x}, {{"axis", -1}}), (Values{6, 180}));
  EXPECT_EQ(run_values(op_min(), {x}), (Values{1}));
  EXPECT_EQ(run_values(op_max(), {x}, {{"axis", AttrList{}}}), (Values{1, 2, 3, 4, 5, 9}));
  expect_near(run_values(op_variance(), {x}, {{"axis", 1}}), {2.0 / 3, 14.0 / 3});
  expect_near(run_values(op_std(), {x}, {{"axis", 1}, {"keepdims", true}}),
              {std::sqrt(2.0 / 3), std::sqrt(14.0 / 3)});
  EXPECT_EQ(run_values(op_mean(), {ints({2}, {-3, 0})}), (Values{-1}));
  EXPECT_EQ(run_values(op_max(), {floats({0, 1}, {})}, {{"axis", 0}}), (Values{-inf}));
  EXPECT_TRUE(std::isnan(run_values(op_mean(), {floats({0}, {})})[0]));
  EXPECT_EQ(run_values(op_argmax(), {x}, {{"axis", 1}}), (Values{2, 2}));
  EXPECT_EQ(run_values(op_argmin(), {x}), (Values{0}));
  Value ties = floats({4}, {1, 7, 7, 0});
  EXPECT_EQ(run_values(op_argmax(), {ties}, {{"axis", 0}}), (Values{1}));
  EXPECT_EQ(run_values(op_argmax(), {ties}, {{"axis", 0}, {"select_last", true}}), (Values{2}));
  EXPECT_EQ(run_values(op_argmax(), {floats({3}, {1, nan, 2})}, {{"axis", 0}}), (Values{1}));
}

TEST(values, cumsum) {
  Value x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run_values(op_cumsum(), {x}, {{"axis", 1}}), (Values{1, 3, 6, 4, 9, 15}));
  EXPECT_EQ(run_values(op_cumsum(), {x}, {{"axis", 0}}), (Values{1, 2, 3, 5, 7, 9}));
  EXPECT_EQ(run_values(op_cumsum(), {x}, {{"axis", 1}, {"exclusive", true}}),
            (Values{0, 1, 3, 0, 4, 9}));
  EXPECT_EQ(run_values(op_cumsum(), {x}, {{"axis", 1}, {"reverse", true}}),
            (Values{6, 5, 3, 15, 11, 6}));
  EXPECT_EQ(run_values(op_cumsum(), {x}, {{"axis", 1}, {"reverse", true}, {"exclusive", true}}),
            (Values{5, 3, 0, 11, 6, 0}));
  Value half = constant(dtypes::float16, {3}, {2048, 1, 1});
  EXPECT_EQ(run_values(op_cumsum(), {half}, {{"axis", 0}}), (Values{2048, 2048, 2050}));
}

TEST(values, softmax_and_norms) {
  Value x = floats({2, 2}, {0, std::log(3.0), 1000, 1000});
  expect_near(run_values(op_nn_softmax(), {x}), {0.25, 0.75, 0.5, 0.5});
  expect_near(run_values(op_nn_log_softmax(), {x}),
              {std::log(0.25), std::log(0.75), std::log(0.5), std::log(0.5)});
  Value gamma = floats({2}, {2, 3}), beta = floats({2}, {10, 20});
  Value rows = floats({2, 2}, {1, 3, 5, 5});
  Attrs attrs{{"axes", -1}, {"epsilon", 0.0}};
  Value row = floats({1, 2}, {1, 3});
  expect_near(run_values(op_nn_layer_norm(), {row, gamma, beta}, attrs), {8, 23});
  expect_near(run_values(op_nn_layer_norm(), {rows, gamma, beta}, {{"axes", -1}, {"epsilon", 1.0}}),
              {10 - 2 / std::sqrt(2), 20 + 3 / std::sqrt(2), 10, 20});
  expect_near(run_values(op_nn_rms_norm(), {row, gamma}, attrs),
              {2 / std::sqrt(5), 9 / std::sqrt(5)});
  Value images = floats({1, 2, 2}, {1, 3, 6, 2});
  expect_near(run_values(op_nn_instance_norm(), {images, gamma, beta},
                         {{"channel_axis", 1}, {"axes", 2}, {"epsilon", 0.0}}),
              {8, 12, 23, 17});
  Value channels = floats({1, 4, 1}, {1, 3, 6, 2});
  Value g4 = floats({4}, {1, 2, 3, 4}), b4 = floats({4}, {0, 0, 0, 1});
  expect_near(run_values(op_nn_group_norm(), {channels, g4, b4},
                         {{"num_groups", 2}, {"channel_axis", 1}, {"axes", 2}, {"epsilon", 0.0}}),
              {-1, 2, 3, -3});
  expect_near(run_values(op_nn_batch_norm_inference(),
                         {images, gamma, beta, floats({2}, {1, 2}), floats({2}, {3, 15})},
                         {{"epsilon", 1.0}}),
              {10, 12, 23, 20});
  std::vector<Array> tuple =
      run_call(op_nn_batch_norm(), {images, gamma, beta, floats({2}, {1, 2}), floats({2}, {3, 15})},
               {{"epsilon", 1.0}});
  ASSERT_EQ(tuple.size(), 3u);
  expect_near(values_of(tuple[0]), {10, 12, 23, 20});
  EXPECT_EQ(values_of(tuple[2]), (Values{3, 15}));
}

TEST(values, activations) {
  const Values in{-2, -0.5, 0, 1, 3};
  Value x = floats({5}, in);
  auto agree = [&](const OpDef& op, double (*f)(double), const Attrs& attrs = {}) {
    Values want;
    for (double v : in) want.push_back(f(v));
    SCOPED_TRACE(op.name);
    expect_near(run_values(op, {x}, attrs), want, 1e-6);
  };
  agree(op_nn_relu(), [](double v) { return std::max(v, 0.0); });
  agree(op_nn_relu6(), [](double v) { return std::min(std::max(v, 0.0), 6.0); });
  agree(op_nn_leakyrelu(), [](double v) { return v < 0 ? 0.1 * v : v; }, {{"alpha", 0.1}});
  agree(op_nn_thresholded_relu(), [](double v) { return v > 1 ? v : 0; });
  agree(op_nn_elu(), [](double v) { return v < 0 ? 2 * std::expm1(v) : v; }, {{"alpha", 2.0}});
  agree(op_nn_celu(), [](double v) { return v < 0 ? 2 * std::expm1(v / 2) : v; }, {{"alpha", 2.0}});
  agree(op_nn_selu(), [](double v) { return 1.0507010 * (v < 0 ? 1.6732632 * std::expm1(v) : v); });
  agree(op_nn_gelu(), [](double v) { return v / 2 * (1 + std::erf(v / std::sqrt(2))); });
  agree(op_nn_gelu_tanh(), [](double v) {
    return v / 2 * (1 + std::tanh(std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
  });
  agree(op_nn_silu(), [](double v) { return v / (1 + std::exp(-v)); });
  agree(op_nn_softplus(), [](double v) { return std::log1p(std::exp(v)); });
  agree(op_nn_softplus(), [](double v) { return std::log1p(std::exp(2 * v)) / 2; },
        {{"beta", 2.0}});
  agree(op_nn_softsign(), [](double v) { return v / (1 + std::abs(v)); });
  agree(op_nn_hard_sigmoid(), [](double v) { return std::clamp(0.2 * v + 0.5, 0.0, 1.0); });
  agree(op_nn_hard_swish(), [](double v) { return v * std::clamp(v / 6 + 0.5, 0.0, 1.0); });
  agree(op_nn_mish(), [](double v) { return v * std::tanh(std::log1p(std::exp(v))); });
  EXPECT_EQ(run_values(op_nn_prelu(), {floats({1, 2}, {-1, -1}), floats({2}, {2, 3})}),
            (Values{-2, -3}));
}

// A convolution written out: out[n, o, p, q].
TEST(values, conv2d) {
  struct Case {
    int64_t channels, outputs, height, width, kernel_h, kernel_w, groups, stride, dilation;
    std::vector<int64_t> padding;  // top, left, bottom, right
  };
  for (const Case& c : {Case{2, 3, 5, 4, 3, 2, 1, 1, 1, {0, 0, 0, 0}},
                        Case{2, 4, 5, 4, 3, 2, 2, 2, 1, {1, 0, 0, 2}},
                        Case{3, 3, 5, 5, 2, 2, 3, 1, 2, {1, 1, 1, 1}},
                        Case{2, 4, 4, 4, 1, 1, 2, 1, 1, {0, 0, 0, 0}},
                        Case{3, 6, 6, 6, 3, 3, 3, 2, 1, {0, 1, 1, 0}}}) {
    const int64_t per_group = c.channels / c.groups;
    const int64_t weights = c.outputs * per_group * c.kernel_h * c.kernel_w;
    const int64_t pixels = 2 * c.channels * c.height * c.width;
    auto extent = [&](int64_t d, int64_t k, int64_t pads) {
      return (d + pads - c.dilation * (k - 1) - 1) / c.stride + 1;
    };
    const int64_t rows = extent(c.height, c.kernel_h, c.padding[0] + c.padding[2]);
    const int64_t columns = extent(c.width, c.kernel_w, c.padding[1] + c.padding[3]);
    Values want;
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t o = 0; o < c.outputs; ++o) {
        for (int64_t p = 0; p < rows; ++p) {
          for (int64_t q = 0; q < columns; ++q) {
            double sum = 0;
            for (int64_t i = 0; i < per_group; ++i) {
              for (int64_t u = 0; u < c.kernel_h; ++u) {
                for (int64_t v = 0; v < c.kernel_w; ++v) {
                  const int64_t y = p * c.stride + u * c.dilation - c.padding[0];
                  const int64_t x = q * c.stride + v * c.dilation - c.padding[1];
                  if (y < 0 || y >= c.height || x < 0 || x >= c.width) continue;
                  const int64_t channel = o / (c.outputs / c.groups) * per_group + i;
                  sum +=
                      static_cast<double>(((n * c.channels + channel) * c.height + y) * c.width +
                                          x) *
                      static_cast<double>(((o * per_group + i) * c.kernel_h + u) * c.kernel_w + v);
                }
              }
            }
            want.push_back(sum);
          }
        }
      }
    }
    Attrs attrs{{"strides", c.stride},
                {"padding", c.padding},
                {"dilation", c.dilation},
                {"groups", c.groups}};
    Value w = floats({c.outputs, per_group, c.kernel_h, c.kernel_w}, count_up(weights));
    EXPECT_EQ(run_values(op_nn_conv2d(),
                         {floats({2, c.channels, c.height, c.width}, count_up(pixels)), w}, attrs),
              want);
    // The same with symbols for batch and extents.
    Variable x = graph::make_variable(
        "x", f32({make_var("n"), n_(c.channels), make_var("h"), make_var("w")}));
    EXPECT_EQ(run_values(op_nn_conv2d(), {x, w}, attrs,
                         {{x.get(), array_of(dtypes::float32, {2, c.channels, c.height, c.width},
                                             count_up(pixels))}}),
              want);
  }
}

TEST(values, transposed_convolution) {
  Value x = floats({1, 1, 3}, {1, 2, 3}), w = floats({1, 1, 2}, {10, 1});
  EXPECT_EQ(run_values(op_nn_conv1d_transpose(), {x, w}), (Values{10, 21, 32, 3}));
  EXPECT_EQ(run_values(op_nn_conv1d_transpose(), {x, w}, {{"strides", 3}}),
            (Values{10, 1, 0, 20, 2, 0, 30, 3}));
  EXPECT_EQ(run_values(op_nn_conv1d_transpose(), {x, w},
                       {{"strides", 2}, {"padding", 1}, {"output_padding", 1}}),
            (Values{1, 20, 2, 30, 3}));
  Value two = floats({1, 2, 1}, {5, 7}), weights = floats({2, 2, 1}, {1, 2, 3, 4});
  EXPECT_EQ(run_values(op_nn_conv1d_transpose(), {two, weights}), (Values{26, 38}));
  EXPECT_EQ(run_values(op_nn_conv1d_transpose(), {two, weights}, {{"groups", 2}}),
            (Values{5, 10, 21, 28}));
}

TEST(values, pools) {
  Value x = floats({1, 1, 5}, {1, 5, 2, 8, 3});
  Attrs two{{"pool_size", 2}, {"strides", 2}};
  EXPECT_EQ(run_values(op_nn_max_pool1d(), {x}, two), (Values{5, 8}));
  Attrs up = two;
  up.set("ceil_mode", true);
  EXPECT_EQ(run_values(op_nn_max_pool1d(), {x}, up), (Values{5, 8, 3}));
  EXPECT_EQ(run_values(op_nn_avg_pool1d(), {x}, up), (Values{3, 5, 3}));
  up.set("count_include_pad", true);
  EXPECT_EQ(run_values(op_nn_avg_pool1d(), {x}, up), (Values{3, 5, 3}));
  Attrs padded{{"pool_size", 2}, {"strides", 2}, {"padding", 1}};
  EXPECT_EQ(run_values(op_nn_avg_pool1d(), {x}, padded), (Values{1, 3.5, 5.5}));
  EXPECT_EQ(run_values(op_nn_max_pool1d(), {floats({1, 1, 2}, {-1, -2})}, padded),
            (Values{-1, -2}));
  padded.set("count_include_pad", true);
  EXPECT_EQ(run_values(op_nn_avg_pool1d(), {x}, padded), (Values{0.5, 3.5, 5.5}));
  EXPECT_EQ(
      run_values(op_nn_avg_pool1d(), {x},
                 {{"pool_size", 2}, {"dilation", 3}, {"padding", AttrList{Attr(1), Attr(0)}}}),
      (Values{2, 4.5, 4}));
  EXPECT_EQ(run_values(op_nn_adaptive_avg_pool1d(), {x}, {{"output_size", 1}}),
            run_values(op_mean(), {x}));
  EXPECT_EQ(run_values(op_nn_adaptive_avg_pool1d(), {x}, {{"output_size", 2}}),
            (Values{static_cast<float>(8.0 / 3), static_cast<float>(13.0 / 3)}));
  EXPECT_EQ(run_values(op_nn_max_pool2d(), {floats({1, 1, 2, 4}, count_up(8))},
                       {{"pool_size", AttrList{Attr(2), Attr(2)}},
                        {"strides", AttrList{Attr(1), Attr(2)}}}),
            (Values{5, 7}));
}

TEST(values, pad) {
  Value x = floats({4}, {1, 2, 3, 4});
  auto padded = [&](int64_t before, int64_t after, const char* mode) {
    return run_values(op_nn_pad(), {x, shape_value({n_(before), n_(after)})},
                      {{"pad_mode", mode}, {"pad_value", 9.0}});
  };
  EXPECT_EQ(padded(1, 2, "constant"), (Values{9, 1, 2, 3, 4, 9, 9}));
  EXPECT_EQ(padded(-1, -2, "constant"), (Values{2}));
  EXPECT_EQ(padded(-1, 1, "constant"), (Values{2, 3, 4, 9}));
  EXPECT_EQ(padded(3, 2, "reflect"), (Values{4, 3, 2, 1, 2, 3, 4, 3, 2}));
  EXPECT_EQ(padded(2, 1, "replicate"), (Values{1, 1, 1, 2, 3, 4, 4}));
  EXPECT_EQ(padded(2, 1, "circular"), (Values{3, 4, 1, 2, 3, 4, 1}));
  EXPECT_EQ(run_values(op_nn_pad(), {x, shape_value({n_(1), n_(0)}), floats({}, {7})}),
            (Values{7, 1, 2, 3, 4}));
}

TEST(values, scatters) {
  Value x = floats({4}, {1, 2, 3, 4});
  EXPECT_EQ(run_values(op_scatter_elements(), {x, ints({3}, {1, -1, 1}), floats({3}, {7, 8, 9})}),
            (Values{1, 9, 3, 8}));
  EXPECT_EQ(run_values(op_scatter_elements(), {x, ints({3}, {1, -1, 1}), floats({3}, {7, 8, 9})},
                       {{"reduction", "add"}}),
            (Values{1, 18, 3, 12}));
  Value square = floats({2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(
      run_values(op_scatter_elements(), {square, ints({1, 2}, {1, 0}), floats({1, 2}, {7, 8})}),
      (Values{1, 8, 7, 4}));
  EXPECT_EQ(run_values(op_scatter_nd(), {square, ints({1, 1}, {-1}), floats({1, 2}, {7, 8})}),
            (Values{1, 2, 7, 8}));
  EXPECT_EQ(run_values(op_scatter_nd(), {square, ints({2, 2}, {0, 1, 0, 1}), floats({2}, {7, 8})},
                       {{"reduction", "mul"}}),
            (Values{1, 112, 3, 4}));
}

TEST(values, triangles) {
  Value x = floats({2, 3}, {1, 2, 3, 4, 5, 6});
  EXPECT_EQ(run_values(op_tril(), {x}), (Values{1, 0, 0, 4, 5, 0}));
  EXPECT_EQ(run_values(op_triu(), {x}), (Values{1, 2, 3, 0, 5, 6}));
  EXPECT_EQ(run_values(op_triu(), {x, index_value(n_(1))}), (Values{0, 2, 3, 0, 0, 6}));
}

TEST(structure, stages) {
  Value x = floats({2, 3}, count_up(6));
  EXPECT_EQ(count_stages(op_nn_softmax(), {x}), 5);
  EXPECT_EQ(count_stages(op_permute_dims(), {x}), 1);
  EXPECT_EQ(count_stages(op_concat(), {graph::make_tuple({x, x, x})}), 1);
  EXPECT_EQ(count_stages(op_matmul(), {x, floats({3, 2}, count_up(6))}), 1);
  Value half = constant(dtypes::float16, {2, 2}, count_up(4));
  EXPECT_EQ(count_stages(op_matmul(), {half, half}), 2);
  EXPECT_EQ(count_stages(op_nn_gelu(), {half}), 1);
  EXPECT_EQ(
      count_stages(op_nn_batch_norm_inference(), {x, floats({3}, {1, 1, 1}), floats({3}, {1, 1, 1}),
                                                  floats({3}, {1, 1, 1}), floats({3}, {1, 1, 1})}),
      1);
}

TEST(values, cumprod) {
  Value x = floats({4}, {1, 2, 3, 4});
  EXPECT_EQ(run_values(op_cumprod(), {x}, {{"axis", 0}}), (Values{1, 2, 6, 24}));
  EXPECT_EQ(run_values(op_cumprod(), {x}, {{"axis", 0}, {"exclusive", true}}),
            (Values{1, 1, 2, 6}));
  EXPECT_EQ(run_values(op_cumprod(), {x}, {{"axis", 0}, {"reverse", true}}),
            (Values{24, 24, 12, 4}));
  EXPECT_EQ(run_values(op_cumprod(), {floats({0}, {})}, {{"axis", 0}}), Values{});
}

TEST(values, bitcast) {
  Value x = floats({2}, {1, -0.0});
  EXPECT_EQ(run_values(op_bitcast(), {x}, {{"dtype", dtypes::int32}}),
            (Values{0x3f800000, -2147483648.0}));
  Value h = constant(dtypes::float16, {1}, {-2});
  EXPECT_EQ(run_values(op_bitcast(), {h}, {{"dtype", dtypes::uint16}}), (Values{0xc000}));
  EXPECT_EQ(run_values(op_bitcast(), {h}, {{"dtype", dtypes::float16}}), (Values{-2}));
}

// Integers of different dtypes with accumulators of 32 bits: exact, and modulo 2^32.
TEST(values, integer_contractions) {
  Value a = constant(dtypes::uint8, {1, 3}, {255, 255, 1});
  Value b = constant(dtypes::int8, {3, 1}, {-128, -128, 127});
  EXPECT_EQ(run_values(op_matmul(), {a, b}, {{"out_dtype", dtypes::int32}}),
            (Values{-255.0 * 256 + 127}));
  Value wide = constant(dtypes::int32, {1, 2}, {2147483647, 1});
  Value one = constant(dtypes::int8, {2, 1}, {1, 1});
  EXPECT_EQ(run_values(op_matmul(), {wide, one}, {{"out_dtype", dtypes::int32}}),
            (Values{-2147483648.0}));
  Value x = constant(dtypes::uint8, {1, 1, 3}, {200, 201, 202});
  Value w = constant(dtypes::int16, {1, 1, 2}, {-300, 300});
  EXPECT_EQ(run_values(op_nn_conv1d(), {x, w}, {{"out_dtype", dtypes::int32}}), (Values{300, 300}));
}

TEST(values, max_pool_indices) {
  Value x = floats({1, 1, 3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 7});
  std::vector<Array> rows = run_call(op_nn_max_pool_indices2d(), {x}, {{"pool_size", 2}});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(values_of(rows[0]), (Values{4, 5, 7, 7}));
  EXPECT_EQ(values_of(rows[1]), (Values{4, 5, 7, 7}));  // of equal ones the first
  std::vector<Array> columns =
      run_call(op_nn_max_pool_indices2d(), {x}, {{"pool_size", 2}, {"column_major", true}});
  EXPECT_EQ(values_of(columns[1]), (Values{4, 7, 5, 5}));
  // The second channel's places follow those of the first; NaN wins; padding never does.
  Value two = floats({1, 2, 2}, {-1, -2, 3, nan});
  std::vector<Array> padded =
      run_call(op_nn_max_pool_indices1d(), {two}, {{"pool_size", 2}, {"padding", 1}});
  EXPECT_EQ(values_of(padded[1]), (Values{0, 0, 1, 2, 3, 3}));
}

TEST(values, grid_sample) {
  Value x = floats({1, 1, 2, 2}, {1, 2, 3, 4});
  auto at = [&](double across, double down, Attrs attrs) {
    return run_values(op_grid_sample(), {x, floats({1, 1, 1, 2}, {across, down})}, attrs);
  };
  EXPECT_EQ(at(0, 0, {}), (Values{2.5}));
  EXPECT_EQ(at(-1, -1, {}), (Values{0.25}));
  EXPECT_EQ(at(-1, -1, {{"padding", "border"}}), (Values{1}));
  EXPECT_EQ(at(-1, -1, {{"padding", "reflection"}}), (Values{1}));
  EXPECT_EQ(at(-1, -1, {{"align_corners", true}}), (Values{1}));
  EXPECT_EQ(at(1, -1, {{"align_corners", true}}), (Values{2}));
  EXPECT_EQ(at(0.4, 0.4, {{"mode", "nearest"}}), (Values{4}));
  EXPECT_EQ(at(9, 0.4, {{"mode", "nearest"}}), (Values{0}));
  EXPECT_EQ(at(0, 0, {{"mode", "cubic"}, {"padding", "border"}}), (Values{2.5}));
  EXPECT_EQ(at(0.5, 1, {{"normalized", false}}), (Values{3.5}));
  // Far outside, and nowhere: no access leaves x.
  EXPECT_EQ(at(1e30, -1e30, {}), (Values{0}));
  EXPECT_EQ(at(nan, 0, {{"mode", "nearest"}}), (Values{0}));
  EXPECT_EQ(at(1e30, -1e30, {{"mode", "nearest"}, {"padding", "border"}}), (Values{2}));
  // One and three dimensions.
  EXPECT_EQ(run_values(op_grid_sample(), {floats({1, 1, 2}, {1, 3}), floats({1, 1, 1}, {0})}),
            (Values{2}));
  EXPECT_EQ(run_values(op_grid_sample(),
                       {floats({1, 1, 2, 2, 2}, count_up(8)), floats({1, 1, 1, 1, 3}, {0, 0, 0})}),
            (Values{3.5}));
}

TEST(structure, views_lower_to_reshape) {
  for (const OpDef* op : {&op_flatten(), &op_squeeze()}) {
    Graph g;
    Value typed = *g.b.infer_only(graph::make_op_call(*op, {floats({1, 3}, count_up(3))}));
    Value lowered = *op->lower(g.b, *graph::as<graph::CallNode>(typed));
    EXPECT_EQ(graph::as<graph::CallNode>(lowered)->op, &op_reshape());
  }
  EXPECT_EQ(op_reshape().lower, nullptr);
}

TEST(structure, every_operator_is_documented) {
  for (const OpDef* op : standard_ops().all()) EXPECT_STRNE(op->doc, "") << op->name;
}

}  // namespace
}  // namespace repose::testing

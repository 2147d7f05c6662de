// Convolutions by 3×3 windows with fewer products.
#include "ops/winograd.h"

#include <array>
#include <cstring>

#include "ops/ops.h"
#include "ops/type_rules.h"

namespace repose {

namespace {

constexpr int64_t tile = 4;  // outputs, along each dimension
constexpr int64_t taps = 3;
constexpr int64_t points = tile + taps - 1;
constexpr int64_t least_channels = 64;  // fewer: the transforms cost more than the products

// Weights grow fourfold: beyond, reading them costs more than the products that are spared, where
// the image is small.
constexpr int64_t most_pairs_of_channels = 256 * 256;

// V = Bᵀ d B of a tile d of the image, U = G g Gᵀ of the taps g, Y = Aᵀ (U ∘ V) A.
using Row = std::array<double, points>;
constexpr std::array<Row, points> image_transform = {{
    {1, -1.5, -2, 1.5, 1, 0},
    {0, -1, 0.5, 2.5, 1, 0},
    {0, 1, -2.5, 0.5, 1, 0},
    {0, -2, -1, 2, 1, 0},
    {0, 0.5, -1, -0.5, 1, 0},
    {0, 1, -1.5, -2, 1.5, 1},
}};
constexpr std::array<std::array<double, taps>, points> weight_transform = {{
    {1, 0, 0},
    {1. / 3, 1. / 3, 1. / 3},
    {-1. / 3, 1. / 3, -1. / 3},
    {-16. / 15, -8. / 15, -4. / 15},
    {1. / 15, -2. / 15, 4. / 15},
    {0, 0, 1},
}};
constexpr std::array<Row, tile> output_transform = {{
    {1, 1, 1, 1, 1, 0},
    {0, 1, -1, 0.5, -2, 0},
    {0, 1, 1, 0.25, 4, 0},
    {0, 1, -1, 0.125, -8, 1},
}};

// The sum of one row of a transform: which row, an axis says.
template <size_t rows>
Expr transformed(const std::array<Row, rows>& transform, const Expr& row,
                 const std::function<Expr(int64_t)>& element) {
  Expr chosen;
  for (size_t r = rows; r-- > 0;) {
    Expr sum;
    for (int64_t k = 0; k < points; ++k) {
      const double factor = transform[r][static_cast<size_t>(k)];
      if (factor == 0) continue;
      Expr term = element(k);
      if (factor != 1) term = term * make_const(term->dtype, factor);
      sum = sum ? sum + term : term;
    }
    chosen = chosen ? make_select(eq(row, make_int(static_cast<int64_t>(r))), sum, chosen) : sum;
  }
  return chosen;
}

// (points, points, inputs, outputs), of weights (outputs, inputs, 3, 3).
Array transformed_weights(const ArrayNode& weights) {
  const int64_t outputs = weights.shape[0], inputs = weights.shape[1];
  Ref<ArrayNode> result = make_array({points, points, inputs, outputs}, weights.dtype);
  std::vector<float> taps_of(static_cast<size_t>(taps * taps));
  float* to = reinterpret_cast<float*>(result->mutable_bytes());
  for (int64_t o = 0; o < outputs; ++o) {
    for (int64_t c = 0; c < inputs; ++c) {
      std::memcpy(taps_of.data(), weights.bytes + (o * inputs + c) * taps * taps * 4,
                  sizeof(float) * taps * taps);
      for (int64_t i = 0; i < points; ++i) {
        double along[taps] = {};
        for (int64_t x = 0; x < taps; ++x) {
          for (int64_t y = 0; y < taps; ++y) {
            along[x] += weight_transform[static_cast<size_t>(i)][static_cast<size_t>(y)] *
                        taps_of[static_cast<size_t>(y * taps + x)];
          }
        }
        for (int64_t j = 0; j < points; ++j) {
          double sum = 0;
          for (int64_t x = 0; x < taps; ++x) {
            sum += weight_transform[static_cast<size_t>(j)][static_cast<size_t>(x)] * along[x];
          }
          to[((i * points + j) * inputs + c) * outputs + o] = static_cast<float>(sum);
        }
      }
    }
  }
  return result;
}

bool is_three_by_three(const graph::CallNode& call, const Window& window,
                       const graph::ConstantNode& weight) {
  const std::vector<int64_t>& shape = weight.data->shape;
  return call.attrs.get_int("groups") == 1 && shape[2] == taps && shape[3] == taps &&
         window.strides == std::vector<int64_t>{1, 1} &&
         window.dilation == std::vector<int64_t>{1, 1};
}

// Tiles that go far beyond a small image are no gain.
bool fits(const Dims& out) {
  int64_t rows = 0, columns = 0;
  if (!as_const_int(out[2], &rows) || !as_const_int(out[3], &columns)) return true;
  const int64_t tiles = ((rows + tile - 1) / tile) * ((columns + tile - 1) / tile);
  return tiles * points * points * 2 <= rows * columns * taps * taps;
}

}  // namespace

std::optional<Result<graph::Value>> lower_winograd(Builder& b, const graph::CallNode& call,
                                                   const Window& window) {
  const auto* weight = graph::as<graph::ConstantNode>(call.args[1]);
  const TensorTypeNode& x = *graph::tensor_of(call.args[0]);
  if (!weight || x.dtype != dtypes::float32 || weight->data->dtype != dtypes::float32 ||
      result_dtype(call) != dtypes::float32 || !is_three_by_three(call, window, *weight)) {
    return std::nullopt;
  }
  const int64_t outputs = weight->data->shape[0], inputs = weight->data->shape[1];
  const Dims out = result_shape(call);
  if (outputs < least_channels || inputs < least_channels ||
      outputs * inputs > most_pairs_of_channels || !fits(out)) {
    return std::nullopt;
  }

  auto lowered = [&]() -> Result<graph::Value> {
    const Expr batch = (*x.shape)[0], height = (*x.shape)[2], width = (*x.shape)[3];
    const Expr rows = canonical(ceil_div(out[2], make_int(tile)));
    const Expr columns = canonical(ceil_div(out[3], make_int(tile)));
    const Expr c = make_int(inputs), o = make_int(outputs), p = make_int(points);
    // Channels last, with all that the tiles read.
    REPOSE_TRY(image, te::emit_te(b, "winograd_pad", {call.args[0]}, [&](const auto& in) {
                 return std::vector<te::Tensor>{te::compute(
                     {batch, canonical(rows * tile + (taps - 1)),
                      canonical(columns * tile + (taps - 1)), c},
                     [&](const te::Indices& i) {
                       return load_inside(window, {true, true}, {height, width},
                                          {i[1] - window.pad_begin[0], i[2] - window.pad_begin[1]},
                                          in[0](i[0], i[3], i[1] - window.pad_begin[0],
                                                i[2] - window.pad_begin[1]),
                                          make_const(x.dtype, 0));
                     },
                     "pad")};
               }));
    REPOSE_TRY(tiles, te::emit_te(b, "winograd_image", {image}, [&](const auto& in) {
                 const te::Tensor vertical = te::compute(
                     {batch, rows, columns, p, p, c},
                     [&](const te::Indices& i) {
                       return transformed(image_transform, i[3], [&](int64_t k) {
                         return in[0](i[0], i[1] * tile + k, i[2] * tile + i[4], i[5]);
                       });
                     },
                     "vertical");
                 return std::vector<te::Tensor>{te::compute(
                     vertical.shape(),
                     [&](const te::Indices& i) {
                       return transformed(image_transform, i[4], [&](int64_t k) {
                         return vertical(i[0], i[1], i[2], i[3], make_int(k), i[5]);
                       });
                     },
                     "image")};
               }));
    const graph::Value weights =
        graph::make_constant(transformed_weights(*weight->data), weight->weight_name);
    REPOSE_TRY(products, te::emit_te(b, "winograd_conv2d", {tiles, weights}, [&](const auto& in) {
                 return std::vector<te::Tensor>{te::reduce(
                     {batch, rows, columns, p, p, o}, te::Reducer::sum, {c},
                     [&](const te::Indices& i, const te::Indices& k) {
                       return in[0](i[0], i[1], i[2], i[3], i[4], k[0]) *
                              in[1](i[3], i[4], k[0], i[5]);
                     },
                     "conv2d")};
               }));
    REPOSE_TRY(blocks, te::emit_te(b, "winograd_output", {products}, [&](const auto& in) {
                 const Expr t = make_int(tile);
                 const te::Tensor vertical = te::compute(
                     {batch, rows, columns, t, p, o},
                     [&](const te::Indices& i) {
                       return transformed(output_transform, i[3], [&](int64_t k) {
                         return in[0](i[0], i[1], i[2], make_int(k), i[4], i[5]);
                       });
                     },
                     "vertical");
                 return std::vector<te::Tensor>{te::compute(
                     {batch, rows, columns, t, t, o},
                     [&](const te::Indices& i) {
                       return transformed(output_transform, i[4], [&](int64_t k) {
                         return vertical(i[0], i[1], i[2], i[3], make_int(k), i[5]);
                       });
                     },
                     "output")};
               }));
    REPOSE_TRY(last, te::emit_te(b, "winograd_place", {blocks}, [&](const auto& in) {
                 return std::vector<te::Tensor>{te::compute(
                     {batch, out[2], out[3], o},
                     [&](const te::Indices& i) {
                       const Expr t = make_int(tile);
                       return in[0](i[0], floor_div(i[1], t), floor_div(i[2], t),
                                    floor_mod(i[1], t), floor_mod(i[2], t), i[3]);
                     },
                     "place")};
               }));
    const AttrList channels_first{Attr(0), Attr(3), Attr(1), Attr(2)};
    return graph::make_op_call(op_permute_dims(), {last}, Attrs{{"axes", Attr(channels_first)}});
  };
  return lowered();
}

}  // namespace repose

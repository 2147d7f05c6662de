// tile: x repeated `repeats` times along each dimension.
//   C1: the shorter of x's dimensions and the repeats is filled up with ones at its left.
//   C2: no repeat is negative; the result's extents are the products.
#include <algorithm>

#include "ops/gradient.h"

namespace repose {

namespace {

// At the right end of `rank` ones.
Dims aligned(const Dims& dims, size_t rank) {
  Dims result(rank - dims.size(), make_int(1));
  result.insert(result.end(), dims.begin(), dims.end());
  return result;
}

Result<Type> infer_tile(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const int members = as<ShapeTypeNode>(call.args[1]->type)->rank;
  const Dims* repeats = shape_arg(call, 1);
  if (!x->shape || !repeats) {
    return ranked_like(*x, x->rank < 0 || members < 0 ? -1 : std::max(x->rank, members), x->dtype);
  }
  const size_t rank = std::max(x->shape->size(), repeats->size());
  const Dims dims = aligned(*x->shape, rank), counts = aligned(*repeats, rank);  // C1
  Dims out;
  for (size_t d = 0; d < rank; ++d) {
    REPOSE_REQUIRE(context.require(  // C2
        le(make_int(0), counts[d]), fmt::format("`tile`: repeat {} is {{0}}", d), {counts[d]}));
    out.push_back(dims[d] * counts[d]);
  }
  return tensor_like(*x, std::move(out), x->dtype);
}

std::vector<te::Tensor> tile_rule(const graph::CallNode& call, const std::vector<te::Tensor>& in) {
  const te::Tensor& x = in[0];
  const Dims& repeats = *shape_arg(call, 1);
  const Dims& shape = result_shape(call);
  const Dims counts = aligned(repeats, shape.size());
  return {te::compute(
      shape,
      [&](const te::Indices& i) {
        te::Indices source;
        const size_t skip = shape.size() - x.shape().size();
        for (size_t d = 0; d < x.shape().size(); ++d) {
          const bool once = is_const_int(counts[d + skip], 1);
          source.push_back(once ? i[d + skip] : floor_mod(i[d + skip], x.shape()[d]));
        }
        return x(std::move(source));
      },
      "tile")};
}

// The repeats become dimensions of their own, over which g is summed.
Gradients tile_gradient(Builder&, const Pullback& p) {
  const size_t rank = result_shape(p.call).size();
  const Dims dims = aligned(shape_of_arg(p.call, 0), rank),
             counts = aligned(*shape_arg(p.call, 1), rank);
  Dims pairs;
  std::vector<int> repeated;
  for (size_t d = 0; d < rank; ++d) {
    repeated.push_back(static_cast<int>(pairs.size()));
    pairs.push_back(counts[d]);
    pairs.push_back(dims[d]);
  }
  const Formula g(reshaped(p.gradients[0], pairs), result_dtype(p.call));
  return std::vector<graph::Value>{reshaped(sum_over(g, repeated), shape_of_arg(p.call, 0)),
                                   nullptr};
}

}  // namespace

const OpDef& op_tile() {
  static const OpDef def{.name = "tile",
                         .args = {{"x"}, {"repeats", ArgKind::shape}},
                         .infer = infer_tile,
                         .lower = te::lower<tile_rule>,
                         .elements = te::elements<tile_rule>,
                         .gradient = tile_gradient,
                         .doc = "x repeated along each dimension"};
  return def;
}

}  // namespace repose

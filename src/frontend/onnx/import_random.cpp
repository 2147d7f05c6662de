// Random numbers: those of the operator `random`, by the node's seed. A node without one has the
// hash of its result's name as its seed, so that nodes differ; each call gives the same numbers.
#include <cmath>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

Result<int64_t> seed_of(NodeContext& c) {
  const Attribute* given = c.find("seed");
  if (given && given->get<int64_t>()) return c.integer("seed");  // of `Dropout`
  if (given) {
    REPOSE_TRY(seed, c.number("seed", 0));
    const double whole = std::nearbyint(seed);
    if (whole == seed && std::abs(seed) < 9e18) return static_cast<int64_t>(whole);
    return static_cast<int64_t>(std::bit_cast<uint64_t>(seed));
  }
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (std::string_view name : c.node().outputs) {
    for (char letter : name) {
      hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
    }
  }
  return static_cast<int64_t>(hash);
}

// The attribute `dtype`; `absent` where it is missing.
Result<DType> dtype_of_node(NodeContext& c, DType absent) {
  if (!c.find("dtype")) return absent;
  REPOSE_TRY(type, c.integer("dtype"));
  return dtype_of(static_cast<DataType>(type), c.span(), "attribute `dtype`");
}

Result<Operand> numbers(NodeContext& c, Dims shape, const char* distribution, DType dtype) {
  REPOSE_TRY(seed, seed_of(c));
  if (!dtype.is_float()) {
    return c.fail(DiagnosticKind::dtype_mismatch,
                  "the result is to have dtype {}, expected a float", dtype.to_string());
  }
  return c.call("random", {graph::make_shape(std::move(shape))},
                {{"seed", seed}, {"distribution", distribution}, {"dtype", dtype}});
}

Result<Operand> scaled_numbers(NodeContext& c, Dims shape, bool is_normal, DType dtype) {
  REPOSE_TRY(u, numbers(c, std::move(shape), is_normal ? "normal" : "uniform", dtype));
  REPOSE_TRY(low, c.number(is_normal ? "mean" : "low", 0));
  REPOSE_TRY(high, c.number(is_normal ? "scale" : "high", 1));
  Composite m(c);
  return m.result(m.add(m.multiply(u, is_normal ? high : high - low), low));
}

template <bool is_normal>
Result<Operand> random_of_shape(NodeContext& c) {
  REPOSE_TRY(shape, c.integers("shape"));
  if (!shape) return c.fail(DiagnosticKind::bad_attribute, "attribute `shape` is missing");
  REPOSE_TRY(dtype, dtype_of_node(c, dtypes::float32));
  Dims dims;
  for (int64_t d : *shape) {
    if (d < 0)
      return c.fail(DiagnosticKind::bad_attribute, "attribute `shape` has the value {}", d);
    dims.push_back(make_int(d));
  }
  return scaled_numbers(c, std::move(dims), is_normal, dtype);
}

template <bool is_normal>
Result<Operand> random_like(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(dtype, dtype_of_node(c, c.dtype(x)));
  return scaled_numbers(c, dims, is_normal, dtype);
}

// 1 with the probability that the operand says.
Result<Operand> bernoulli(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(dims, c.shape(x));
  REPOSE_TRY(dtype, dtype_of_node(c, c.dtype(x)));
  const DType wide = c.dtype(x) == dtypes::float64 ? dtypes::float64 : dtypes::float32;
  REPOSE_TRY(u, numbers(c, dims, "uniform", wide));
  Composite m(c);
  return m.result(m.cast(m.less(u, m.cast(x, wide)), dtype));
}

// The operand has logarithms of probabilities: the class whose logarithm less ln(-ln(u)) is the
// largest, for a fraction u of its own (Gumbel).
Result<Operand> multinomial(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(count, c.integer("sample_size", 1));
  REPOSE_TRY(dtype, dtype_of_node(c, dtypes::int32));
  if (count < 0) {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `sample_size` is {}", count);
  }
  Composite m(c);
  const Dims d = m.shape(x, 2, 0);
  if (!m.ok()) return m.result(nullptr);
  const DType wide = c.dtype(x) == dtypes::float64 ? dtypes::float64 : dtypes::float32;
  REPOSE_TRY(u, numbers(c, {d[0], make_int(count), d[1]}, "uniform", wide));
  // 1 - u is above 0.
  const Operand noise = m.unary("log", m.unary("negative", m.unary("log", m.subtract(1.0, u))));
  const Operand ranked = m.subtract(m.unsqueeze(m.cast(x, wide), {1}), noise);
  return m.result(m.cast(m.call("argmax", {ranked}, {{"axis", 2}}), dtype));
}

// In inference the operand itself, and a mask of what was kept: everything. In training, elements
// are kept with the probability 1 - ratio, and divided by it.
Result<Values> dropout(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(shape, c.shape(x));
  const Operand training = c.optional(2);
  const Expr trains = training ? c.known_scalar(training) : make_bool(false);
  const Expr known_ratio = c.has(1) ? c.known_scalar(c.optional(1)) : nullptr;
  const bool drops_nothing = known_ratio && known_ratio->kind == ExprKind::float_imm &&
                             as<FloatImmNode>(known_ratio)->value == 0;
  if (drops_nothing || (trains && is_const_int(trains, 0))) {
    if (!c.wants(1)) return Values{x};
    const DType dtype = c.opset() >= 10 ? dtypes::boolean : c.dtype(x);
    REPOSE_TRY(mask, c.call("ones", {graph::make_shape(shape)}, {{"dtype", dtype}}));
    return Values{x, mask};
  }
  Composite m(c);
  const DType wide = c.dtype(x) == dtypes::float64 ? dtypes::float64 : dtypes::float32;
  const Operand u = m.take(numbers(c, shape, "uniform", wide));
  Operand ratio = m.scalar(wide, 0.5);
  if (c.has(1)) ratio = m.reshape(m.cast(c.optional(1), wide), {});
  const Operand flag = m.reshape(training, {});
  const Operand mask = m.either(m.less_equal(ratio, u), m.unary("logical_not", flag));
  const Operand scale = m.where(flag, m.divide(1.0, m.subtract(1.0, ratio)), 1.0);
  const Operand scaled = m.multiply(x, m.cast(scale, c.dtype(x)));
  return m.results({m.where(mask, scaled, 0.0), mask});
}

// Before operator set 7 an attribute tells inference from training.
Result<Values> dropout_unless_tested(NodeContext& c) {
  REPOSE_TRY(is_test, c.flag("is_test", false));
  if (is_test) return dropout(c);
  return c.fail(DiagnosticKind::unsupported_feature, "training before operator set 7");
}

}  // namespace

std::span<const OperatorRow> random_operators() {
  static constexpr OperatorRow rows[] = {
      {"Bernoulli", 15, one<bernoulli>},
      {"Dropout", 1, dropout_unless_tested},
      {"Dropout", 7, dropout},
      {"Multinomial", 7, one<multinomial>},
      {"RandomNormal", 1, one<random_of_shape<true>>},
      {"RandomNormalLike", 1, one<random_like<true>>},
      {"RandomUniform", 1, one<random_of_shape<false>>},
      {"RandomUniformLike", 1, one<random_like<false>>},
  };
  return rows;
}

}  // namespace repose::onnx

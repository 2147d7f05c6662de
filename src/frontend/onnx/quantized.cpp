// Exact contractions of quantised tensors.
#include "frontend/onnx/quantized.h"

#include <algorithm>
#include <limits>

#include "frontend/onnx/windows.h"

namespace repose::onnx {

const Quantized* NodeContext::quantized(const Operand& v) const {
  const auto found = f_.quantized->find(v.get());
  return found == f_.quantized->end() ? nullptr : &found->second;
}

void NodeContext::note_quantized(Quantized q) {
  const graph::ValueNode* value = q.self.get();
  f_.quantized->insert_or_assign(value, std::move(q));
}

bool is_zero(const NodeContext& c, const Operand& zero_point) {
  if (!zero_point) return true;
  if (const auto* constant = graph::as<graph::ConstantNode>(zero_point)) {
    const std::byte* bytes = constant->data->bytes;
    return std::all_of(bytes, bytes + constant->data->num_bytes,
                       [](std::byte b) { return b == std::byte{0}; });
  }
  const std::vector<Expr>* known = c.known(zero_point);
  if (!known) return false;
  return std::all_of(known->begin(), known->end(), [](const Expr& e) {
    const auto* f = as<FloatImmNode>(e);
    return is_const_int(e, 0) || (f && f->value == 0);
  });
}

// Sums of float32 are exact where they don't saturate; the conversion saturates.
Operand saturated(Composite& m, const Operand& x, const Operand& zero, DType dtype) {
  Operand y = m.cast(m.unary("round", x), dtypes::float32);
  if (zero) y = m.add(y, m.cast(zero, dtypes::float32));
  return m.cast(y, dtype);
}

ByRange quantized_by_range(Composite& m, const Operand& x) {
  std::vector<int64_t> axes;
  for (size_t a = 0; a < m.shape(x).size(); ++a) axes.push_back(static_cast<int64_t>(a));
  const Operand most = m.maximum(m.reduce("max", x, axes, false), 0.0);
  const Operand least = m.minimum(m.reduce("min", x, axes, false), 0.0);
  const Operand range = m.subtract(most, least);
  const Operand scale = m.divide(m.where(m.equal(range, 0.0), 1.0, range), 255.0);
  const Operand place = m.clip(m.divide(m.unary("negative", least), scale), 0, 255);
  const Operand zero = m.cast(m.unary("round", place), dtypes::uint8);
  return {saturated(m, m.divide(x, scale), zero, dtypes::uint8), scale, zero};
}

// What belongs to rows or columns of a matrix operand, as it broadcasts to the product: a scalar,
// one number for each of them, or of the operand's rank with 1 along the other dimension.
Result<Operand> beside_product(NodeContext& c, const Operand& v, bool is_row, size_t i) {
  REPOSE_TRY(dims, c.shape(v));
  if (dims.size() == 1 && is_const_int(dims[0], 1)) return c.reshape(v, {});
  if (dims.size() == 1 && is_row) return c.reshape(v, {dims[0], make_int(1)});
  if (dims.size() > 1 && !is_const_int(dims[dims.size() - (is_row ? 1 : 2)], 1)) {
    return c.fail(DiagnosticKind::shape_mismatch, "operand {} has the shape {}, expected {}", i,
                  to_string(dims), is_row ? "one value for each row" : "one for each column");
  }
  return v;
}

// The product of a and the centred b, less za * (the sums of its columns).
Result<Operand> integer_product(NodeContext& c, const Factor& a, const Factor& b, size_t zero_a,
                                size_t zero_b) {
  REPOSE_TRY(rank_a, c.rank(a.value));
  REPOSE_TRY(rank_b, c.rank(b.value));
  Composite m(c);
  const Operand left = rank_a == 1 ? m.unsqueeze(a.value, {0}) : a.value;
  Operand right = rank_b == 1 ? m.unsqueeze(b.value, {1}) : b.value;
  if (b.zero) {
    const Operand zero = m.take(beside_product(c, b.zero, false, zero_b));
    right = m.subtract(m.cast(right, dtypes::int16), m.cast(zero, dtypes::int16));
  }
  Operand y = m.call("matmul", {left, right}, {{"out_dtype", dtypes::int32}});
  if (a.zero) {
    const Operand zero = m.take(beside_product(c, a.zero, true, zero_a));
    const Operand columns = m.sum(m.cast(right, dtypes::int32), {-2});
    y = m.subtract(y, m.multiply(m.cast(zero, dtypes::int32), columns));
  }
  if (rank_b == 1) y = m.squeeze(y, {-1});
  if (rank_a == 1) y = m.squeeze(y, {rank_b == 1 ? -1 : -2});
  return m.result(y);
}

Result<Operand> beside_channels(NodeContext& c, const Operand& v, int64_t rank, size_t at) {
  REPOSE_TRY(dims, c.shape(v));
  if (dims.empty()) return v;
  if (dims.size() > 1) {
    return c.fail(DiagnosticKind::rank_mismatch,
                  "a scale or zero point has rank {}, expected 0 or 1", dims.size());
  }
  if (is_const_int(dims[0], 1)) return c.reshape(v, {});
  Dims column(static_cast<size_t>(rank), make_int(1));
  column[at] = dims[0];
  return c.reshape(v, column);
}

Result<Operand> integer_convolution(NodeContext& c, const Factor& x, const Factor& w) {
  REPOSE_TRY(rank, c.rank(w.value));
  Composite m(c);
  Operand weight = w.value, zero;
  if (w.zero) {
    const Operand centre = m.take(beside_channels(c, w.zero, rank, 0));
    weight = m.subtract(m.cast(weight, dtypes::int16), m.cast(centre, dtypes::int16));
  }
  if (x.zero) zero = m.reshape(x.zero, {});
  if (!m.ok()) return m.result(nullptr);
  Operand y = m.take(convolve(c, x.value, weight, {.fill = zero, .out_dtype = dtypes::int32}));
  if (zero) {
    std::vector<int64_t> axes;
    for (int64_t a = 1; a < rank; ++a) axes.push_back(a);
    const Operand sums = m.sum(m.cast(weight, dtypes::int32), axes, false);
    const Operand moved = m.multiply(m.cast(zero, dtypes::int32), sums);
    y = m.subtract(y, m.take(beside_channels(c, moved, rank, 1)));
  }
  return m.result(y);
}

Operand requantized(Composite& m, const Operand& sums, const Operand& scale, const Operand& to,
                    const Operand& zero, DType dtype) {
  const Operand ratio = m.divide(scale, m.cast(to, dtypes::float32));
  return saturated(m, m.multiply(m.cast(sums, dtypes::float32), ratio), zero, dtype);
}

// ---- Contractions of what DequantizeLinear gives
// --------------------------------------------------

namespace {

// Of a difference of two integers of 8 bits, and of a product of two of these.
constexpr int64_t most_of_factor = 255;
constexpr int64_t most_of_product = most_of_factor * most_of_factor;
constexpr int64_t most_of_sum = std::numeric_limits<int32_t>::max();

// What the value stands for, where it may be a factor.
const Quantized* factor_behind(const NodeContext& c, const Operand& v) {
  const Quantized* q = c.quantized(v);
  return q && q->most == 0 && c.dtype(q->value).bits == 8 ? q : nullptr;
}

// What sums of so many products can be at most; 0: maybe more than 32 bits hold.
int64_t most_of(const NodeContext& c, const Expr& terms) {
  int64_t count = 0;
  if (as_const_int(terms, &count)) {
    return count <= most_of_sum / most_of_product ? std::max<int64_t>(count, 1) * most_of_product
                                                  : 0;
  }
  const Expr fits = le(terms, make_int(most_of_sum / most_of_product));
  return prove(fits, c.facts()) == Truth::yes ? most_of_sum : 0;
}

// The float value that sums stand for, and the note of it.
Result<Operand> scaled_sums(NodeContext& c, DType dtype, Quantized sums) {
  Composite m(c);
  sums.self = m.cast(m.multiply(m.cast(sums.value, dtypes::float32), sums.scale), dtype);
  if (m.ok()) c.note_quantized(sums);
  return m.result(sums.self);
}

std::vector<Operand> both(const std::vector<Operand>& a, const std::vector<Operand>& b) {
  std::vector<Operand> all = a;
  all.insert(all.end(), b.begin(), b.end());
  return all;
}

const ArrayNode* array_of(const Operand& v) {
  const auto* constant = graph::as<graph::ConstantNode>(v);
  return constant ? constant->data.get() : nullptr;
}

// Whether the scale of the bias is the product of those of the sums, number by number.
bool has_scale_of(const Quantized& bias, const Quantized& sums) {
  if (bias.given.size() != 1 || sums.given.size() != 2) return false;
  const ArrayNode* arrays[] = {array_of(bias.given[0]), array_of(sums.given[0]),
                               array_of(sums.given[1])};
  int64_t count = 1;
  for (const ArrayNode* a : arrays) {
    if (!a || a->dtype != dtypes::float32) return false;
    count = std::max(count, a->num_elements());
  }
  for (const ArrayNode* a : arrays) {
    if (a->num_elements() != 1 && a->num_elements() != count) return false;
  }
  for (int64_t i = 0; i < count; ++i) {
    float scale[3];
    for (size_t k = 0; k < 3; ++k) {
      scale[k] = static_cast<float>(arrays[k]->load(arrays[k]->num_elements() == 1 ? 0 : i).f);
    }
    if (scale[0] != scale[1] * scale[2]) return false;
  }
  return true;
}

// The largest magnitude; -1 where it is not known.
int64_t most_in(const Operand& v) {
  const ArrayNode* array = array_of(v);
  int64_t most = array ? 0 : -1;
  for (int64_t i = 0; array && i < array->num_elements(); ++i) {
    most = std::max(most, std::abs(array->load(i).i));
  }
  return most;
}

}  // namespace

Result<void> note_transposed(NodeContext& c, const Operand& x, const Operand& turned) {
  const Quantized* from = c.quantized(x);
  if (!from) return {};
  Quantized q = *from;
  Composite m(c);
  q.self = turned;
  q.value = m.permute(q.value, {1, 0});
  if (q.axis >= 0) {
    q.axis = 1 - q.axis;
    q.scale = m.permute(q.scale, {1, 0});
    if (q.zero) q.zero = m.permute(q.zero, {1, 0});
  }
  if (!m.ok()) return m.result(nullptr).errors();
  c.note_quantized(std::move(q));
  return {};
}

Result<Operand> quantized_product(NodeContext& c, const Operand& a, const Operand& b) {
  const Quantized *left = factor_behind(c, a), *right = factor_behind(c, b);
  if (!left || !right) return Operand(nullptr);
  REPOSE_TRY(dims_a, c.shape(a));
  REPOSE_TRY(dims_b, c.shape(b));
  const int64_t rank_a = static_cast<int64_t>(dims_a.size());
  const int64_t rank_b = static_cast<int64_t>(dims_b.size());
  if (rank_a == 0 || rank_b == 0) return Operand(nullptr);
  const bool is_matrix = rank_a > 1 && rank_b > 1;
  const bool varies = left->axis >= 0 || right->axis >= 0;
  if (varies && (!is_matrix || left->axis == rank_a - 1 || right->axis == rank_b - 2)) {
    return Operand(nullptr);
  }
  Quantized sums;
  const Expr& rows_b = dims_b[static_cast<size_t>(std::max<int64_t>(rank_b - 2, 0))];
  sums.most = most_of(c, is_constant(rows_b) ? rows_b : dims_a.back());
  if (sums.most == 0) return Operand(nullptr);
  REPOSE_TRY(value,
             integer_product(c, {left->value, left->zero}, {right->value, right->zero}, 0, 1));
  Composite m(c);
  sums.value = value;
  sums.scale = m.multiply(left->scale, right->scale);
  sums.given = both(left->given, right->given);
  return scaled_sums(c, c.dtype(a), std::move(sums));
}

Result<Operand> quantized_convolution(NodeContext& c, const Operand& x, const Operand& w) {
  const Quantized *image = factor_behind(c, x), *weight = factor_behind(c, w);
  if (!image || !weight || image->axis >= 0 || weight->axis > 0) return Operand(nullptr);
  REPOSE_TRY(dims, c.shape(w));
  REPOSE_TRY(rank, c.rank(x));
  if (dims.size() < 3) return Operand(nullptr);
  Expr terms = make_int(1);
  for (size_t d = 1; d < dims.size(); ++d) terms = terms * dims[d];
  Quantized sums;
  sums.most = most_of(c, canonical(terms));
  if (sums.most == 0) return Operand(nullptr);
  Composite m(c);
  Operand zero = weight->zero, scale = weight->scale;
  if (weight->axis == 0) {
    if (zero) zero = m.reshape(zero, {dims[0]});
    scale = m.take(beside_channels(c, m.reshape(scale, {dims[0]}), rank, 1));
  }
  if (!m.ok()) return m.result(nullptr);
  REPOSE_TRY(value, integer_convolution(c, {image->value, image->zero}, {weight->value, zero}));
  sums.value = value;
  sums.scale = m.multiply(image->scale, scale);
  sums.given = both(image->given, weight->given);
  return scaled_sums(c, c.dtype(x), std::move(sums));
}

Result<Operand> add_quantized(NodeContext& c, const Operand& y, const Operand& bias, size_t at) {
  const Quantized *sums = c.quantized(y), *b = bias ? c.quantized(bias) : nullptr;
  if (!sums || sums->most == 0 || !b || c.dtype(b->value) != dtypes::int32 || b->zero) {
    return Operand(nullptr);
  }
  REPOSE_TRY(dims, c.shape(y));
  REPOSE_TRY(own, c.shape(bias));
  const int64_t most = most_in(b->value), rank = static_cast<int64_t>(dims.size());
  if (own.size() != 1 || at >= dims.size() ||
      prove_equal(own[0], dims[at], c.facts()) != Truth::yes || most < 0 ||
      sums->most + most > most_of_sum || !has_scale_of(*b, *sums)) {
    return Operand(nullptr);
  }
  Quantized all = *sums;
  Composite m(c);
  all.value = m.add(all.value, m.take(beside_channels(c, b->value, rank, at)));
  all.most += most;
  if (!m.ok()) return m.result(nullptr);
  return scaled_sums(c, c.dtype(y), std::move(all));
}

}  // namespace repose::onnx

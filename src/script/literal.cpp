// Values of literals, and whether a dtype has them.
#include "script/literal.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>

namespace repose::script {

namespace {

bool is_special_float(const Node& n) {
  return n.kind == NodeKind::name && (n.text == "inf" || n.text == "nan");
}

bool fits(int64_t value, bool is_unsigned, DType dtype) {
  if (dtype.is_index()) return !is_unsigned;
  if (dtype.is_bool()) return !is_unsigned && (value == 0 || value == 1);
  if (dtype.bits == 64) return dtype.is_uint() ? is_unsigned || value >= 0 : !is_unsigned;
  if (is_unsigned) return false;
  if (dtype.is_uint()) return value >= 0 && value < (int64_t{1} << dtype.bits);
  int64_t half = int64_t{1} << (dtype.bits - 1);
  return value >= -half && value < half;
}

}  // namespace

const Node& literal_of(const Node& node, bool* negative) {
  const Node* n = &node;
  *negative = false;
  while (n->kind == NodeKind::unary && (n->text == "-" || n->text == "+")) {
    if (n->text == "-") *negative = !*negative;
    n = n->kids[0];
  }
  return *n;
}

bool is_literal(const Node& node) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  return n.kind == NodeKind::integer || n.kind == NodeKind::real || is_special_float(n);
}

bool integer_value(const Node& node, int64_t* value, bool* is_unsigned) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  errno = 0;
  bool hex = n.text.starts_with("0x") || n.text.starts_with("0X");
  unsigned long long magnitude = std::strtoull(n.text.c_str(), nullptr, hex ? 16 : 10);
  if (errno == ERANGE) return false;
  constexpr uint64_t top = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
  if (negative && magnitude > top + 1) return false;
  *is_unsigned = !negative && magnitude > top;
  *value = static_cast<int64_t>(negative ? 0 - magnitude : magnitude);
  return true;
}

double real_value(const Node& node) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  double value = n.text == "inf"   ? std::numeric_limits<double>::infinity()
                 : n.text == "nan" ? std::numeric_limits<double>::quiet_NaN()
                                   : std::strtod(n.text.c_str(), nullptr);
  return negative ? -value : value;
}

std::optional<int64_t> constant_integer(const Node& node) {
  bool negative = false;
  if (literal_of(node, &negative).kind != NodeKind::integer) return std::nullopt;
  int64_t value = 0;
  bool is_unsigned = false;
  if (!integer_value(node, &value, &is_unsigned) || is_unsigned) return std::nullopt;
  return value;
}

bool is_integer_literal(const Node& node) {
  bool negative = false;
  return literal_of(node, &negative).kind == NodeKind::integer;
}

Expr make_float_literal(ReadContext& context, const Node& node, DType dtype) {
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  Expr result = make_float(real_value(node), dtype);
  if (is_special_float(n) || std::isfinite(as<FloatImmNode>(result)->value)) return result;
  return context.fail(DiagnosticKind::bad_literal, node.at, "`{}{}` doesn't fit `{}`",
                      negative ? "-" : "", n.text, dtype.to_string());
}

Expr make_literal(ReadContext& context, const Node& node, DType dtype) {
  dtype = dtype.element();
  bool negative = false;
  const Node& n = literal_of(node, &negative);
  bool is_integer = n.kind == NodeKind::integer;
  if (dtype.is_handle()) dtype = {};
  if (!dtype) dtype = is_integer ? dtypes::index : dtypes::float32;
  if (!is_integer) {
    if (!dtype.is_float()) {
      return context.fail(DiagnosticKind::dtype_mismatch, node.at,
                          "a floating-point literal where `{}` is expected", dtype.to_string());
    }
    return make_float_literal(context, node, dtype);
  }
  int64_t value = 0;
  bool is_unsigned = false;
  if (dtype.is_float()) return make_float_literal(context, node, dtype);
  if (!integer_value(node, &value, &is_unsigned) || !fits(value, is_unsigned, dtype)) {
    return context.fail(DiagnosticKind::bad_literal, node.at, "`{}{}` doesn't fit `{}`",
                        negative ? "-" : "", n.text, dtype.to_string());
  }
  return dtype.is_bool() ? make_bool(value != 0) : make_int(value, dtype);
}

std::optional<Scalar> scalar_of(const Expr& e) {
  if (const auto* f = as<FloatImmNode>(e)) return Scalar::of_float(f->value, e->dtype);
  if (const auto* n = as<IntImmNode>(e)) return Scalar::of_int(n->value, e->dtype);
  return std::nullopt;
}

}  // namespace repose::script

// Functions of scalar expressions, such as T.min(a, b) and T.Cast("int8", e), by name.
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "expr/tiny_float.h"
#include "script/literal.h"
#include "script/operator_names.h"
#include "script/read_expr.h"

namespace repose::script {

namespace {

std::vector<std::string> function_names() {
  std::vector<std::string> names = {
      "Select", "if_then_else", "Cast",      "cast",     "Ramp",        "Broadcast",  "ceildiv",
      "likely", "min_value",    "max_value", "infinity", "bitwise_not", "reinterpret"};
  append_operator_functions(names);
#define INTRINSIC(name, arity, pure) names.emplace_back(#name);
#include "expr/intrinsics.def"
#undef INTRINSIC
  return names;
}

// Some have another name in TVM.
std::optional<Intrinsic> intrinsic_of_name(std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> others[] = {
      {"fabs", "abs"},
      {"power", "pow"},
      {"nearbyint", "round"},
      {"call_pure_extern", "call_extern"},
      {"tvm_call_packed", "call_packed"},
      {"call_packed_lowered", "call_packed"}};
  for (const auto& [theirs, ours] : others) {
    if (name == theirs) name = ours;
  }
  Intrinsic intrinsic;
  return find_intrinsic(name, &intrinsic) ? std::optional(intrinsic) : std::nullopt;
}

}  // namespace

Expr ExprReader::read_call(const Node& node, DType expected) {
  std::string name = dotted_name(*node.kids[0]);
  if (name.starts_with("T.")) {
    return read_function(node, name.substr(2), expected);
  }
  if (name.starts_with("cls.") || name.starts_with("Module.")) {
    std::vector<Expr> args;
    for (size_t i = 1; i < node.kids.size(); ++i) {
      args.push_back(read(*node.kids[i]));
      if (!args.back()) return nullptr;
    }
    return make_call(Intrinsic::call_program, dtypes::int32, std::move(args),
                     name.substr(name.find('.') + 1));
  }
  if (name == "R.prim_value" && node.kids.size() == 2) return read(*node.kids[1], expected);
  if ((name == "min" || name == "max") && node.kids.size() == 3) {
    return read_function(node, name, expected);
  }
  return context_.fail(DiagnosticKind::unknown_name, node.at,
                       "`{}` is no function of scalar expressions", name.empty() ? "this" : name);
}

Expr ExprReader::read_conversion(const Node& node, DType dtype, const Node& operand,
                                 DType expected) {
  DType target = dtype;
  bool as_index = expected.is_index() && (dtype == dtypes::int32 || dtype == dtypes::int64);
  if (operand.kind == NodeKind::string && dtype.is_float()) {  // T.float32("inf")
    char* end = nullptr;
    errno = 0;
    double value = std::strtod(operand.text.c_str(), &end);
    if (operand.text.empty() || *end) {
      return context_.fail(DiagnosticKind::bad_literal, operand.at, "`{}` is no number",
                           operand.text);
    }
    const bool overflows = std::isinf(value)
                               ? errno == ERANGE
                               : !std::isnan(value) && std::isinf(round_to(dtype.element(), value));
    if (overflows) {
      return context_.fail(DiagnosticKind::bad_literal, operand.at, "`{}` doesn't fit `{}`",
                           operand.text, dtype.to_string());
    }
    return make_float(value, dtype);
  }
  if (is_literal(operand) && operand.kind != NodeKind::name) {
    bool is_integer = is_integer_literal(operand);
    if (as_index && is_integer) target = dtypes::index;
    if (is_integer || target.is_float()) {
      Expr value = make_literal(context_, operand, target);
      return value && target.is_vector() ? make_broadcast(value, target.lanes) : value;
    }
    Expr value = make_float_literal(context_, operand, dtypes::float64);
    return value ? make_cast(target, value) : nullptr;
  }
  if (operand.kind == NodeKind::boolean && dtype.is_bool()) {
    return make_bool(operand.text == "True");
  }
  Expr value = read(operand);
  if (!value) return nullptr;
  if (as_index && value->dtype.is_index()) return value;
  if (!dtype || dtype.is_handle() != value->dtype.is_handle() ||
      value->kind == ExprKind::string_imm) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "no cast from `{}` to `{}`",
                         value->dtype.to_string(), dtype.to_string());
  }
  if (value->dtype.is_vector() && value->dtype.lanes != dtype.lanes) {
    if (dtype.is_vector()) {
      return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "no cast from `{}` to `{}`",
                           value->dtype.to_string(), dtype.to_string());
    }
    dtype = dtype.with_lanes(value->dtype.lanes);
  }
  return make_cast(dtype, std::move(value));
}

Expr ExprReader::read_choice(const Node& node, bool lazy, DType expected) {
  Expr condition = read_condition(*node.kids[1]);
  Expr a, b;
  if (!condition || !read_pair(*node.kids[2], *node.kids[3], expected, &a, &b)) return nullptr;
  if (!reconcile(node, a, b)) return nullptr;
  if (condition->dtype.is_vector() && a->dtype.is_vector() &&
      a->dtype.lanes != condition->dtype.lanes) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                         "a condition of {} lanes selects between vectors of {}",
                         condition->dtype.lanes, a->dtype.lanes);
  }
  if (!a->dtype) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "expected numbers");
  }
  return lazy ? make_if_then_else(condition, a, b) : make_select(condition, a, b);
}

bool ExprReader::takes(const Node& node, std::string_view name, size_t count) {
  size_t given = node.kids.size() - 1;
  if (given == count) return true;
  context_.fail(DiagnosticKind::wrong_arity, node.at, "`T.{}` takes {} arguments, {} are given",
                name, count, given);
  return false;
}

Expr ExprReader::read_limit(const Node& node, std::string_view name) {
  auto dtype = read_dtype(*node.kids[1]);
  if (!dtype) return nullptr;
  bool largest = name != "min_value";
  if (dtype->is_float()) {
    double limit = dtype->bits == 64           ? std::numeric_limits<double>::max()
                   : dtype->bits == 32         ? std::numeric_limits<float>::max()
                   : dtype->is_tiny_float()    ? largest_tiny_float(*dtype)
                   : *dtype == dtypes::float16 ? 65504.0
                                               : std::ldexp(255.0, 120);  // the largest bfloat16
    if (name == "infinity") limit = std::numeric_limits<double>::infinity();
    return make_float(largest ? limit : -limit, *dtype);
  }
  if (!dtype->is_data_int() || name == "infinity") {
    return context_.fail(DiagnosticKind::bad_argument, node.at, "`T.{}` of `{}`", name,
                         dtype->to_string());
  }
  if (dtype->is_uint()) return make_int(largest ? -1 : 0, *dtype);
  int64_t top = static_cast<int64_t>((uint64_t{1} << (dtype->bits - 1)) - 1);
  return make_int(largest ? top : -top - 1, *dtype);
}

std::optional<int> ExprReader::read_lanes(const Node& node) {
  auto lanes = constant_integer(node);
  if (lanes && *lanes >= 2 && *lanes <= 4096) return static_cast<int>(*lanes);
  context_.fail(DiagnosticKind::bad_argument, node.at, "expected a number of lanes from 2 to 4096");
  return std::nullopt;
}

Expr ExprReader::read_ramp(const Node& node, DType expected) {
  Expr base, stride;
  auto lanes = read_lanes(*node.kids[3]);
  if (!lanes || !read_pair(*node.kids[1], *node.kids[2], expected, &base, &stride) ||
      !reconcile(node, base, stride)) {
    return nullptr;
  }
  if (base->dtype.is_vector() || stride->dtype.is_vector()) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "a ramp is made of scalars");
  }
  return make_ramp(base, stride, *lanes);
}

Expr ExprReader::read_broadcast(const Node& node, DType expected) {
  auto lanes = read_lanes(*node.kids[2]);
  Expr value = lanes ? read(*node.kids[1], expected) : nullptr;
  if (value && value->dtype.is_vector()) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "a broadcast repeats a scalar");
  }
  return value ? make_broadcast(value, *lanes) : nullptr;
}

Expr ExprReader::read_ceil_div(const Node& node, DType expected) {
  Expr a, b;
  if (!read_pair(*node.kids[1], *node.kids[2], expected, &a, &b)) return nullptr;
  if (!reconcile(node, a, b)) return nullptr;
  if (!a->dtype.is_any_int()) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.ceildiv` of `{}`",
                         a->dtype.to_string());
  }
  return ceil_div(a, b);
}

Expr ExprReader::read_function(const Node& node, const std::string& name, DType expected) {
  if (auto dtype = DType::parse(name)) {
    if (!takes(node, name, 1)) return nullptr;
    return read_conversion(node, *dtype, *node.kids[1], expected);
  }
  if (name == "Cast" || name == "cast") {
    if (!takes(node, name, 2)) return nullptr;
    auto dtype = read_dtype(*node.kids[name == "Cast" ? 1 : 2]);
    if (!dtype) return nullptr;
    return read_conversion(node, *dtype, *node.kids[name == "Cast" ? 2 : 1], expected);
  }
  if (name == "IntImm" || name == "FloatImm") {  // exactly this dtype
    if (!takes(node, name, 2)) return nullptr;
    auto dtype = read_dtype(*node.kids[1]);
    return dtype ? read_conversion(node, *dtype, *node.kids[2], {}) : nullptr;
  }
  if (name == "Select" || name == "if_then_else") {
    return takes(node, name, 3) ? read_choice(node, name == "if_then_else", expected) : nullptr;
  }
  if (name == "likely") return takes(node, name, 1) ? read(*node.kids[1], expected) : nullptr;
  if (name == "Not") {
    if (!takes(node, name, 1)) return nullptr;
    Expr e = read_condition(*node.kids[1]);
    return e ? make_not(std::move(e)) : nullptr;
  }
  if (name == "bitwise_not") {
    if (!takes(node, name, 1)) return nullptr;
    Node operation;
    operation.kind = NodeKind::unary;
    operation.text = "~";
    operation.at = node.at;
    operation.kids = {node.kids[1]};
    return read_unary(operation, expected);
  }
  if (name == "min_value" || name == "max_value" || name == "infinity") {
    return takes(node, name, 1) ? read_limit(node, name) : nullptr;
  }
  if (name == "Ramp" || name == "ramp") {
    return takes(node, name, 3) ? read_ramp(node, expected.element()) : nullptr;
  }
  if (name == "Broadcast" || name == "broadcast") {
    return takes(node, name, 2) ? read_broadcast(node, expected.element()) : nullptr;
  }
  if (name == "ceildiv") return takes(node, name, 2) ? read_ceil_div(node, expected) : nullptr;
  if (auto kind = operator_of_function(name)) {
    Expr a, b;
    DType wanted = is_compare(*kind) ? DType{} : is_logic(*kind) ? dtypes::boolean : expected;
    if (!takes(node, name, 2) || !read_pair(*node.kids[1], *node.kids[2], wanted, &a, &b)) {
      return nullptr;
    }
    return make_operation(node, *kind, std::move(a), std::move(b));
  }
  if (auto intrinsic = intrinsic_of_name(name)) return read_intrinsic(node, *intrinsic, expected);
  return context_.fail(DiagnosticKind::unknown_name, node.at, "unknown function `T.{}`{}", name,
                       context_.hint(name, function_names));
}

}  // namespace repose::script

// Intrinsics of scalar expressions: their arguments, and the dtype of what they give.
#include <algorithm>

#include "script/literal.h"
#include "script/read_expr.h"

namespace repose::script {

namespace {

bool is_host_intrinsic(Intrinsic i) {
  return i >= Intrinsic::input_dim;
}

DType result_of(Intrinsic intrinsic, const std::vector<Expr>& args) {
  switch (intrinsic) {
    case Intrinsic::input_dim:
    case Intrinsic::sizes_symbol:
      return dtypes::index;
    case Intrinsic::input_data:
    case Intrinsic::output_data:
    case Intrinsic::arena_region:
    case Intrinsic::weight_data:
    case Intrinsic::byte_offset:
    case Intrinsic::buffer_data:
      return dtypes::handle;
    case Intrinsic::prefetch:
    case Intrinsic::count_operations:
    case Intrinsic::kernel_begins:
      return dtypes::int32;
    case Intrinsic::isnan:
    case Intrinsic::isinf:
    case Intrinsic::isfinite:
      return dtypes::boolean.with_lanes(args[0]->dtype.lanes);
    case Intrinsic::vector_reduce_add:
    case Intrinsic::vector_reduce_mul:
    case Intrinsic::vector_reduce_min:
    case Intrinsic::vector_reduce_max:
      return args[0]->dtype.element();
    default:
      return args.empty() ? dtypes::int32 : args[0]->dtype;
  }
}

}  // namespace

Expr ExprReader::read_named_call(const Node& node, Intrinsic intrinsic) {
  // ("dtype", "name", args…), or ("name", args…): int32.
  size_t i = 1;
  DType dtype = dtypes::int32;
  auto is_string = [&](size_t k) {
    return k < node.kids.size() && node.kids[k]->kind == NodeKind::string;
  };
  if (is_string(1) && is_string(2)) {
    bool is_void = node.kids[1]->text.empty() || node.kids[1]->text == "void";
    auto parsed = DType::parse(node.kids[1]->text);
    if (parsed || is_void) {
      dtype = parsed ? *parsed : DType{};
      i = 2;
    }
  }
  if (!is_string(i)) {
    return context_.fail(DiagnosticKind::bad_argument, node.at,
                         "`T.{}` needs the name of a function", intrinsic_name(intrinsic));
  }
  std::string name = node.kids[i]->text;
  std::vector<Expr> args;
  for (++i; i < node.kids.size(); ++i) {
    args.push_back(read(*node.kids[i]));
    if (!args.back()) return nullptr;
  }
  return make_call(intrinsic, dtype, std::move(args), name);
}

Expr ExprReader::read_reinterpret(const Node& node) {
  if (node.kids.size() != 3) {
    return context_.fail(DiagnosticKind::wrong_arity, node.at,
                         "`T.reinterpret` takes a dtype and a value");
  }
  // ("dtype", value) or (value, "dtype").
  bool dtype_last = node.kids[2]->kind == NodeKind::string;
  std::optional<DType> dtype = read_dtype(*node.kids[dtype_last ? 2 : 1]);
  if (!dtype) return nullptr;
  Expr value = read(*node.kids[dtype_last ? 1 : 2]);
  if (!value) return nullptr;
  if (value->dtype.bits * value->dtype.lanes != dtype->bits * dtype->lanes) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at,
                         "`{}` and `{}` have different widths", value->dtype.to_string(),
                         dtype->to_string());
  }
  return make_call(Intrinsic::reinterpret, *dtype, {value});
}

// The place of the operator's call may stand last.
Expr ExprReader::read_check_index(const Node& node) {
  const bool has_place = node.kids.size() == 5;
  if (!has_place && !takes(node, "check_index", 3)) return nullptr;
  for (size_t i = 3; i < node.kids.size(); ++i) {
    if (node.kids[i]->kind == NodeKind::string) continue;
    return context_.fail(DiagnosticKind::bad_argument, node.kids[i]->at, "expected the {}",
                         i == 3 ? "name of an operator" : "place of a call as a string");
  }
  Expr index = read(*node.kids[1], dtypes::index);
  Expr extent = read(*node.kids[2], dtypes::index);
  if (!index || !extent) return nullptr;
  const DType dtype = index->dtype;
  return make_call(Intrinsic::check_index, dtype,
                   {std::move(index), std::move(extent), make_string(node.kids[3]->text)},
                   has_place ? node.kids[4]->text : "");
}

Expr ExprReader::read_intrinsic(const Node& node, Intrinsic intrinsic, DType expected) {
  if (intrinsic == Intrinsic::call_extern || intrinsic == Intrinsic::call_packed ||
      intrinsic == Intrinsic::call_program || intrinsic == Intrinsic::call_runtime) {
    return read_named_call(node, intrinsic);
  }
  if (intrinsic == Intrinsic::reinterpret) return read_reinterpret(node);
  if (intrinsic == Intrinsic::check_index) return read_check_index(node);
  int arity = intrinsic_arity(intrinsic);
  if (arity >= 0 && !takes(node, intrinsic_name(intrinsic), static_cast<size_t>(arity))) {
    return nullptr;
  }
  size_t count = node.kids.size() - 1;
  bool is_host = is_host_intrinsic(intrinsic);
  bool any_dtype =
      is_host || (intrinsic >= Intrinsic::isnan && intrinsic <= Intrinsic::isfinite) ||
      (intrinsic >= Intrinsic::vector_reduce_add && intrinsic <= Intrinsic::vector_reduce_max);
  DType wanted = any_dtype ? DType{} : expected;
  std::vector<Expr> args(count);
  // Literals take the dtype of an operand that is none.
  for (bool literals : {false, true}) {
    for (size_t i = 0; i < count; ++i) {
      if (is_literal(*node.kids[i + 1]) != literals) continue;
      args[i] = read(*node.kids[i + 1], is_host ? dtypes::index : wanted);
      if (!args[i]) return nullptr;
      if (!any_dtype) wanted = args[i]->dtype;
    }
  }
  if (is_host || count == 0) {
    DType dtype = result_of(intrinsic, args);
    return make_call(intrinsic, dtype, std::move(args));
  }
  for (size_t i = 1; i < count; ++i) {
    if (!reconcile(node, args[0], args[i])) return nullptr;
  }
  int lanes = 1;
  for (const Expr& a : args) lanes = std::max<int>(lanes, a->dtype.lanes);
  for (Expr& a : args) {
    if (a->dtype.lanes != lanes) a = make_broadcast(a, lanes);
  }
  DType t = args[0]->dtype;
  bool integers_too = intrinsic == Intrinsic::pow || intrinsic == Intrinsic::abs ||
                      intrinsic >= Intrinsic::popcount;
  if (!t.is_float() && !(integers_too && t.is_any_int())) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.{}` of a value of dtype `{}`",
                         intrinsic_name(intrinsic), t.to_string());
  }
  if (t.is_float() && (intrinsic == Intrinsic::popcount || intrinsic == Intrinsic::clz)) {
    return context_.fail(DiagnosticKind::dtype_mismatch, node.at, "`T.{}` of a float",
                         intrinsic_name(intrinsic));
  }
  DType result = result_of(intrinsic, args);
  return make_call(intrinsic, result, std::move(args));
}

}  // namespace repose::script

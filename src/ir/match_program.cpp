// Binds a program's symbols by a call's types, and compares.
#include "ir/match_program.h"

namespace repose {

namespace {

void bind_symbols(const tir::Param& p, const Type& value, VarMap& symbols) {
  const auto* prim = as<PrimTypeNode>(value);
  if (prim && !p.buffer && prim->value && prim->dtype == p.var->dtype) {
    symbols.emplace(p.var.get(), prim->value);
  }
  const auto* t = as<TensorTypeNode>(value);
  if (!t || !p.buffer || !t->shape || t->shape->size() != p.buffer->shape.size()) return;
  for (size_t k = 0; k < t->shape->size(); ++k) {
    if (const auto* v = as<VarNode>(p.buffer->shape[k])) symbols.emplace(v, (*t->shape)[k]);
  }
}

void match_param(const std::string& name, const tir::Param& p, const Type& value,
                 const std::string& what, const VarMap& symbols, const ReportMismatch& report) {
  if (!p.buffer) {
    const auto* prim = as<PrimTypeNode>(value);
    DType want = p.var->dtype;
    bool fits = prim && (prim->dtype == want || (prim->dtype.is_any_int() && want.is_any_int() &&
                                                 (want.is_index() || prim->dtype.is_index())));
    if (!fits) {
      report(DiagnosticKind::type_mismatch,
             fmt::format("{} of `{}` has type `{}`, parameter `{}` is a scalar of dtype {}", what,
                         name, to_string(value), p.var->name, want.to_string()));
    }
    return;
  }
  const auto* t = as<TensorTypeNode>(value);
  if (!t) {
    report(DiagnosticKind::type_mismatch,
           fmt::format("{} of `{}` has type `{}`, parameter `{}` is a buffer", what, name,
                       to_string(value), p.buffer->name));
    return;
  }
  if (t->dtype && t->dtype != p.buffer->dtype) {
    report(DiagnosticKind::dtype_mismatch,
           fmt::format("{} of `{}` has dtype {}, buffer `{}` has {}", what, name,
                       t->dtype.to_string(), p.buffer->name, p.buffer->dtype.to_string()));
  }
  if (t->rank >= 0 && static_cast<size_t>(t->rank) != p.buffer->shape.size()) {
    report(DiagnosticKind::rank_mismatch,
           fmt::format("{} of `{}` has rank {}, buffer `{}` has {}", what, name, t->rank,
                       p.buffer->name, p.buffer->shape.size()));
    return;
  }
  if (!t->strides.empty() && p.buffer->strides.empty()) {
    report(
        DiagnosticKind::type_mismatch,
        fmt::format("{} of `{}` has strides, buffer `{}` is compact", what, name, p.buffer->name));
  }
  if (!t->shape) return;
  for (size_t k = 0; k < t->shape->size(); ++k) {
    Expr want = canonical(substitute(p.buffer->shape[k], symbols));
    if (prove_equal((*t->shape)[k], want) != Truth::no) continue;
    report(DiagnosticKind::shape_mismatch,
           fmt::format("{} of `{}`: dimension {} is `{}`, buffer `{}` has `{}` there", what, name,
                       k, to_string((*t->shape)[k]), p.buffer->name, to_string(want)));
  }
}

}  // namespace

void match_program(const std::string& name, const tir::PrimFuncNode& f,
                   const std::vector<Type>& values, size_t num_args, const ReportMismatch& report) {
  if (f.params.size() != values.size()) {
    report(DiagnosticKind::wrong_arity,
           fmt::format("`{}` has {} parameters, the call gives {} arguments and {} results", name,
                       f.params.size(), num_args, values.size() - num_args));
    return;
  }
  VarMap symbols;
  for (size_t i = 0; i < values.size(); ++i) bind_symbols(f.params[i], values[i], symbols);
  for (size_t i = 0; i < values.size(); ++i) {
    if (!values[i]) continue;
    std::string what =
        i < num_args ? fmt::format("argument {}", i) : fmt::format("result {}", i - num_args);
    match_param(name, f.params[i], values[i], what, symbols, report);
  }
}

}  // namespace repose

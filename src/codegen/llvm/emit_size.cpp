// Sizes that host functions compute: without branches, and checked once for each whole expression.
//
// A size has a value whatever its parts are: where arithmetic overflows or a divisor is 0, that is
// noted beside it. What isn't chosen by a select doesn't count. So one check tells whether an
// expression has the value that it means, and every part is computed once for all that share it.
#include "base/message_text.h"
#include "codegen/llvm/emitter.h"
#include "runtime/abi.h"

namespace repose::codegen {

using llvm::Value;

namespace {

// `what`, and which size it is about.
std::string size_message(const char* what, const Expr& size) {
  constexpr size_t most_chars = 200;
  std::string text = to_string(size);
  if (text.size() > most_chars) text = text.substr(0, most_chars) + "…";
  std::string message = fmt::format("{}: `{}`", what, text);
  std::erase_if(message, [](char c) { return c == '{' || c == '}'; });  // not to be filled in
  return message;
}

llvm::Intrinsic::ID overflow_intrinsic(ExprKind kind) {
  switch (kind) {
    case ExprKind::add:
      return llvm::Intrinsic::sadd_with_overflow;
    case ExprKind::sub:
      return llvm::Intrinsic::ssub_with_overflow;
    case ExprKind::mul:
      return llvm::Intrinsic::smul_with_overflow;
    default:
      return llvm::Intrinsic::not_intrinsic;
  }
}

}  // namespace

bool FunctionEmitter::is_size(const Expr& e) {
  if (!is_host() || unchecked_ || e->args.empty()) return false;
  if (e->dtype != dtypes::index && e->dtype != dtypes::boolean) return false;
  if (e->kind == ExprKind::load || e->kind == ExprKind::call) return false;
  return std::all_of(e->args.begin(), e->args.end(), [](const Expr& arg) {
    return arg->dtype == dtypes::index || arg->dtype == dtypes::boolean;
  });
}

// Fails where a size has not the value that it means.
Value* FunctionEmitter::emit_checked(const Expr& e) {
  Size size = emit_size(e);
  if (may_be_anything_ || (!size.overflows && !size.divides_by_zero)) return size.value;
  if (size.overflows) {
    fail_if(size.overflows, REPOSE_RT_OVERFLOW, size_message("a size does not fit in 64 bits", e),
            {});
  }
  if (size.divides_by_zero) {
    fail_if(size.divides_by_zero, REPOSE_RT_REFUSED, size_message("a size is divided by zero", e),
            {});
  }
  if (!reads_memory(e)) sizes_.back().insert_or_assign(e, Size{size.value, nullptr, nullptr});
  return size.value;
}

FunctionEmitter::Size FunctionEmitter::emit_size(const Expr& e) {
  if (!is_size(e)) return {emit(e), nullptr, nullptr};
  const bool is_kept = !reads_memory(e);
  for (size_t i = sizes_.size(); is_kept && i-- > 0;) {
    auto it = sizes_[i].find(e);
    if (it == sizes_[i].end()) continue;
    const Size& known = it->second;
    return {here(known.value), here(known.overflows), here(known.divides_by_zero)};
  }
  ++num_emitted_;
  const Size size = emit_new_size(e);
  if (is_kept) sizes_.back().emplace(e, size);
  return size;
}

FunctionEmitter::Size FunctionEmitter::emit_new_size(const Expr& e) {
  switch (e->kind) {
    case ExprKind::logical_not: {
      Size size = emit_size(e->args[0]);
      size.value = b_.CreateNot(size.value);
      return size;
    }
    case ExprKind::logical_and:
    case ExprKind::logical_or: {
      if (reads_memory(e->args[1])) return {emit_logic(e), nullptr, nullptr};
      const Size a = emit_size(e->args[0]), b = emit_size(e->args[1]);
      const bool is_and = e->kind == ExprKind::logical_and;
      Value* wants_b = is_and ? a.value : b_.CreateNot(a.value);
      return {is_and ? b_.CreateAnd(a.value, b.value) : b_.CreateOr(a.value, b.value),
              either(a.overflows, both(wants_b, b.overflows)),
              either(a.divides_by_zero, both(wants_b, b.divides_by_zero))};
    }
    case ExprKind::select:
    case ExprKind::if_then_else: {
      if (reads_memory(e->args[1]) || reads_memory(e->args[2])) {
        return {emit_branches(e), nullptr, nullptr};
      }
      const Size condition = emit_size(e->args[0]);
      const Size yes = emit_size(e->args[1]), no = emit_size(e->args[2]);
      auto chosen = [&](Value* a, Value* b) {
        return either(both(condition.value, a), b ? both(b_.CreateNot(condition.value), b) : b);
      };
      return {b_.CreateSelect(condition.value, yes.value, no.value),
              either(condition.overflows, chosen(yes.overflows, no.overflows)),
              either(condition.divides_by_zero, chosen(yes.divides_by_zero, no.divides_by_zero))};
    }
    default:
      return emit_size_arithmetic(e);
  }
}

FunctionEmitter::Size FunctionEmitter::emit_size_arithmetic(const Expr& e) {
  if (e->args.size() != 2) return {emit_new(e), nullptr, nullptr};
  const Size a = emit_size(e->args[0]), b = emit_size(e->args[1]);
  Size size{nullptr, either(a.overflows, b.overflows),
            either(a.divides_by_zero, b.divides_by_zero)};
  if (is_compare(e->kind)) {
    size.value = arithmetic_.compare(e->kind, e->args[0]->dtype, a.value, b.value);
    return size;
  }
  if (const auto id = overflow_intrinsic(e->kind)) {
    Value* pair = b_.CreateBinaryIntrinsic(id, a.value, b.value);
    size.value = b_.CreateExtractValue(pair, 0);
    size.overflows = either(size.overflows, b_.CreateExtractValue(pair, 1));
    return size;
  }
  const bool divides = e->kind == ExprKind::div || e->kind == ExprKind::mod ||
                       e->kind == ExprKind::floor_div || e->kind == ExprKind::floor_mod;
  if (!divides) {
    size.value = arithmetic_.binary(e->kind, e->dtype, a.value, b.value);
    return size;
  }
  int64_t known = 0;
  const bool is_known = as_const_int(e->args[1], &known) && known != 0;
  const bool nonnegative = is_nonnegative(e->args[0]) && is_nonnegative(e->args[1]);
  Value* divisor = b.value;
  if (!is_known) {
    Value* is_zero = b_.CreateICmpEQ(divisor, b_.getInt64(0));
    size.divides_by_zero = either(size.divides_by_zero, is_zero);
    divisor = b_.CreateSelect(is_zero, b_.getInt64(1), divisor);
  }
  if ((!is_known && !nonnegative) || known == -1) {
    Value* lowest = b_.CreateICmpEQ(a.value, b_.getInt64(static_cast<uint64_t>(INT64_MIN)));
    Value* negates = b_.CreateICmpEQ(divisor, b_.getInt64(~uint64_t{0}));
    size.overflows = either(size.overflows, b_.CreateAnd(lowest, negates));
  }
  size.value = arithmetic_.binary(e->kind, e->dtype, a.value, divisor, nonnegative);
  return size;
}

Value* FunctionEmitter::either(Value* a, Value* b) {
  if (!a || !b) return a ? a : b;
  return b_.CreateOr(a, b);
}

Value* FunctionEmitter::both(Value* condition, Value* b) {
  return b ? b_.CreateAnd(condition, b) : nullptr;
}

}  // namespace repose::codegen

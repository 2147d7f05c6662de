// Products that are added in one step.
#include "schedule/primitives/contract_multiply_add.h"

#include "schedule/reduction.h"

namespace repose::schedule {

namespace {

// The block's store, also where a condition of the body stands around it; null: there is more.
const tir::StoreNode* store_of(const tir::BlockNode& block) {
  const auto* branch = tir::as<tir::IfNode>(block.body);
  return tir::as<tir::StoreNode>(branch && !branch->else_body ? branch->then_body : block.body);
}

bool is_target(const Expr& e, const tir::StoreNode& store) {
  const auto* load = as<LoadNode>(e);
  return load && load->buffer == store.buffer && same_indices(load->args, store.indices);
}

// target + a * b as one call; null: the value is something else.
Expr contracted(const tir::StoreNode& store) {
  const Expr& value = store.value;
  if (value->kind != ExprKind::add || !value->dtype.is_float()) return nullptr;
  for (size_t i : {0, 1}) {
    const Expr &accumulator = value->args[i], &product = value->args[1 - i];
    if (!is_target(accumulator, store) || product->kind != ExprKind::mul) continue;
    return make_call(Intrinsic::fma, value->dtype,
                     std::vector<Expr>{product->args[0], product->args[1], accumulator});
  }
  return nullptr;
}

}  // namespace

Result<void> contract_multiply_add(Scheduled& s, const Block& block) {
  REPOSE_FIND_BLOCK(node, s, block);
  const Ref<const tir::StmtNode> keep(s.func->body);
  const auto* store = store_of(*node);
  const Expr value = store ? contracted(*store) : nullptr;
  if (!value) return illegal("`{}` adds no product of floats to what it writes", block.name);
  replace(s, store,
          tir::make<tir::StoreNode>(store->buffer, store->indices, value, store->span,
                                    store->predicate));
  note(s, "contract_multiply_add", {Arg(block)});
  return {};
}

}  // namespace repose::schedule

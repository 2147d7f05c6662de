// Long host functions as a chain of functions: LLVM's time grows faster than a function's length.
//
// Each part ends with a call of the next one, so what lies on the stack of one lives as long as all
// that follow. Values that a later part needs go through an array on the stack of the first.
#include <llvm/IR/Instructions.h>

#include "codegen/llvm/emitter.h"

namespace repose::codegen {

using llvm::Value;

namespace {

constexpr size_t max_part_nodes = 500;  // expressions, of some instructions each

}  // namespace

// Between two statements that always run.
void FunctionEmitter::split_if_long() {
  if (!is_host() || sizes_.size() > 1 || num_emitted_ < max_part_nodes) return;
  num_emitted_ = 0;
  llvm::Type* ptr = b_.getPtrTy();
  if (!state_) {
    first_part_ = function_;
    state_ = first_state_ =
        stack(b_.getInt64Ty(), 1, 8, "state");  // finish_parts() makes it longer
  }
  auto* next = llvm::Function::Create(
      llvm::FunctionType::get(b_.getInt32Ty(), {ptr, ptr}, false), llvm::Function::InternalLinkage,
      first_part_->getName() + ".part" + std::to_string(++num_parts_), owner_.module);
  next->addFnAttr(llvm::Attribute::NoUnwind);
  next->addFnAttr(llvm::Attribute::NoInline);
  b_.CreateRet(b_.CreateCall(next, {frame_, state_}));
  function_ = next;
  frame_ = next->getArg(0);
  state_ = next->getArg(1);
  here_.clear();
  b_.SetInsertPoint(llvm::BasicBlock::Create(next->getContext(), "entry", next));
}

// A value of this part or an earlier one, in this part.
Value* FunctionEmitter::here(Value* v) {
  if (!first_part_ || !v || llvm::isa<llvm::Constant>(v)) return v;
  auto* argument = llvm::dyn_cast<llvm::Argument>(v);
  auto* made_by = llvm::dyn_cast<llvm::Instruction>(v);
  llvm::Function* home = argument ? argument->getParent() : made_by->getFunction();
  if (home == function_) return v;
  Value*& known = here_[v];
  if (known) return known;
  auto [slot, is_new] = slots_.try_emplace(v, static_cast<int64_t>(slots_.size()));
  auto address = [&](llvm::IRBuilder<>& b, Value* state) {
    return b.CreateInBoundsGEP(b.getInt64Ty(), state, b.getInt64(slot->second));
  };
  if (is_new) {
    const bool is_first = home == first_part_;
    llvm::IRBuilder<> b(home->getContext());
    if (argument || made_by->getParent() == &home->getEntryBlock()) {
      // Stack of the first part is reserved behind what else stands at its beginning.
      llvm::Instruction* after = is_first ? first_state_ : nullptr;
      if (made_by && (!after || after->comesBefore(made_by))) after = made_by;
      if (after) {
        b.SetInsertPoint(after->getNextNode());
      } else {
        b.SetInsertPoint(&home->getEntryBlock(), home->getEntryBlock().begin());
      }
    } else if (llvm::isa<llvm::PHINode>(made_by)) {
      b.SetInsertPoint(made_by->getParent(), made_by->getParent()->getFirstInsertionPt());
    } else {
      b.SetInsertPoint(made_by->getNextNode());
    }
    b.CreateStore(v, address(b, is_first ? static_cast<Value*>(first_state_) : home->getArg(1)));
  }
  llvm::BasicBlock& entry = function_->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  return known = at_entry.CreateLoad(v->getType(), address(at_entry, state_));
}

void FunctionEmitter::finish_parts() {
  if (!first_part_) return;
  llvm::IRBuilder<> b(first_state_);
  llvm::AllocaInst* state = b.CreateAlloca(
      llvm::ArrayType::get(b.getInt64Ty(), std::max<size_t>(slots_.size(), 1)), nullptr);
  state->setAlignment(llvm::Align(8));
  first_state_->replaceAllUsesWith(state);
  first_state_->eraseFromParent();
}

}  // namespace repose::codegen

// Expressions of a function.
#include "base/message_text.h"
#include "codegen/llvm/emitter.h"
#include "runtime/abi.h"

namespace repose::codegen {

using llvm::Value;

// Shared nodes are emitted once for each statement (expressions are graphs: an expanded exp uses
// its reduced argument seven times).
Value* FunctionEmitter::emit(const Expr& e) {
  if (const auto* v = as<VarNode>(e)) {
    auto it = vars_.find(v);
    REPOSE_CHECK(it != vars_.end(), "variable `" + v->name + "` is not bound");
    return here(it->second);
  }
  bool remembers = e->kind != ExprKind::int_imm && e->kind != ExprKind::float_imm && !memo_.empty();
  if (remembers) {
    for (size_t i = memo_.size(); i-- > 0;) {
      if (auto it = memo_[i].find(e); it != memo_[i].end()) return here(it->second);
    }
  }
  ++num_emitted_;
  Value* v = is_size(e) ? emit_checked(e) : emit_new(e);
  if (remembers) memo_.back().emplace(e, v);
  return v;
}

Value* FunctionEmitter::emit_new(const Expr& e) {
  DType dtype = e->dtype;
  switch (e->kind) {
    case ExprKind::int_imm:
      return arithmetic_.int_constant(as<IntImmNode>(e)->value, dtype);
    case ExprKind::float_imm:
      return arithmetic_.float_constant(as<FloatImmNode>(e)->value, dtype);
    case ExprKind::string_imm:
      return owner_.string(as<StringImmNode>(e)->value);
    case ExprKind::var:
      break;  // emit() has them
    case ExprKind::load:
      return emit_load(*as<LoadNode>(e));
    case ExprKind::call:
      return emit_call(*as<CallNode>(e));
    case ExprKind::cast:
      return arithmetic_.cast(dtype, e->args[0]->dtype, emit(e->args[0]));
    case ExprKind::logical_not:
    case ExprKind::bit_not:
      return b_.CreateNot(emit(e->args[0]));
    case ExprKind::select:
      return emit_select(e, false);
    case ExprKind::if_then_else:
      return emit_select(e, true);
    case ExprKind::broadcast:
      return arithmetic_.splat(emit(e->args[0]), dtype.lanes);
    case ExprKind::ramp: {
      llvm::SmallVector<llvm::Constant*> steps;
      for (int i = 0; i < dtype.lanes; ++i) {
        steps.push_back(llvm::cast<llvm::Constant>(arithmetic_.int_constant(i, dtype.element())));
      }
      Value* stride = arithmetic_.splat(emit(e->args[1]), dtype.lanes);
      Value* base = arithmetic_.splat(emit(e->args[0]), dtype.lanes);
      Value* offsets =
          arithmetic_.binary(ExprKind::mul, dtype, llvm::ConstantVector::get(steps), stride);
      return arithmetic_.binary(ExprKind::add, dtype, base, offsets);
    }
    case ExprKind::logical_and:
    case ExprKind::logical_or:
      return emit_logic(e);
    default:
      return emit_binary(e);
  }
  return nullptr;
}

Value* FunctionEmitter::emit_index(const Expr& e) {
  bool before = std::exchange(unchecked_, true);
  Value* v = emit(e);
  unchecked_ = before;
  return v;
}

// Which lanes of base, base + 1, … are below a bound: a question about a small number, in lanes of
// 32 bits, as masks of loads and stores want them. Null where `e` is no such question.
Value* FunctionEmitter::emit_lanes_below(const Expr& e) {
  if (e->kind != ExprKind::lt && e->kind != ExprKind::le) return nullptr;
  const int lanes = e->dtype.lanes;
  if (lanes == 1 || !e->args[0]->dtype.is_index()) return nullptr;
  const auto first = linear(e->args[0]), bound = linear(e->args[1]);
  if (!first || !bound) return nullptr;
  const auto* step = llvm::dyn_cast<llvm::ConstantInt>(emit_index(first->stride));
  const auto* still = llvm::dyn_cast<llvm::ConstantInt>(emit_index(bound->stride));
  if (!step || !step->isOne() || !still || !still->isZero()) return nullptr;
  Value* count = b_.CreateNSWSub(emit_index(bound->base), emit_index(first->base));
  if (e->kind == ExprKind::le) count = b_.CreateNSWAdd(count, b_.getInt64(1));
  count = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, count, b_.getInt64(0));
  count = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, count,
                                   b_.getInt64(static_cast<uint64_t>(lanes)));
  llvm::SmallVector<llvm::Constant*> numbers;
  for (int i = 0; i < lanes; ++i) numbers.push_back(b_.getInt32(static_cast<uint32_t>(i)));
  return b_.CreateICmpSLT(llvm::ConstantVector::get(numbers),
                          arithmetic_.splat(b_.CreateTrunc(count, b_.getInt32Ty()), lanes));
}

Value* FunctionEmitter::emit_binary(const Expr& e) {
  if (Value* mask = emit_lanes_below(e)) return mask;
  const Expr &a = e->args[0], &b = e->args[1];
  Value* x = emit(a);
  Value* y = emit(b);
  if (is_compare(e->kind)) return arithmetic_.compare(e->kind, a->dtype, x, y);
  bool divides = e->kind == ExprKind::floor_div || e->kind == ExprKind::floor_mod;
  bool nonnegative = divides && e->dtype.is_index() && is_nonnegative(a) && is_nonnegative(b);
  return arithmetic_.binary(e->kind, e->dtype, x, y, nonnegative);
}

// Does evaluating it where it is not wanted do harm?
bool FunctionEmitter::reads_memory(const Expr& e) {
  if (auto it = reads_memory_.find(e); it != reads_memory_.end()) return it->second;
  bool result = e->kind == ExprKind::load;
  if (const auto* c = as<CallNode>(e)) result = !intrinsic_is_pure(c->intrinsic);
  for (const Expr& a : e->args) result = result || reads_memory(a);
  reads_memory_.emplace(e, result);
  return result;
}

bool FunctionEmitter::is_nonnegative(const Expr& e) {
  switch (e->kind) {
    case ExprKind::int_imm:
      return as<IntImmNode>(e)->value >= 0;
    case ExprKind::var: {
      const auto* v = as<VarNode>(e);
      return v->role == VarRole::dimension ? v->dtype.is_index() : nonnegative_.contains(v);
    }
    case ExprKind::ramp:
    case ExprKind::add:
    case ExprKind::mul:
    case ExprKind::min:
    case ExprKind::floor_div:
      return is_nonnegative(e->args[0]) && is_nonnegative(e->args[1]);
    case ExprKind::max:
      return is_nonnegative(e->args[0]) || is_nonnegative(e->args[1]);
    case ExprKind::floor_mod:
      return is_nonnegative(e->args[1]);
    case ExprKind::broadcast:
      return is_nonnegative(e->args[0]);
    case ExprKind::select:
    case ExprKind::if_then_else:
      return is_nonnegative(e->args[1]) && is_nonnegative(e->args[2]);
    default:
      return false;
  }
}

Value* FunctionEmitter::emit_logic(const Expr& e) {
  Value* a = emit(e->args[0]);
  bool is_and = e->kind == ExprKind::logical_and;
  if (!reads_memory(e->args[1])) {
    Value* b = emit(e->args[1]);
    return is_and ? b_.CreateAnd(a, b) : b_.CreateOr(a, b);
  }
  Value* undecided = is_and ? a : b_.CreateNot(a);
  if (e->dtype.is_vector()) {
    Value* b = emit_under(undecided, e->args[1]);
    return is_and ? b_.CreateAnd(a, b) : b_.CreateOr(a, b);
  }
  llvm::BasicBlock *from = b_.GetInsertBlock(), *other = block("other"), *after = block("decided");
  b_.CreateCondBr(undecided, other, after);
  b_.SetInsertPoint(other);
  Value* b = nullptr;
  {
    Scope scope(*this);
    const Branch branch(*this);
    b = emit(e->args[1]);
  }
  llvm::BasicBlock* end = b_.GetInsertBlock();
  b_.CreateBr(after);
  b_.SetInsertPoint(after);
  llvm::PHINode* phi = b_.CreatePHI(b_.getInt1Ty(), 2);
  phi->addIncoming(b_.getInt1(!is_and), from);
  phi->addIncoming(b, end);
  return phi;
}

Value* FunctionEmitter::emit_under(Value* mask, const Expr& e) {
  Scope scope(*this);
  Value* before = mask_;
  if (before && before->getType() == mask->getType()) mask = b_.CreateAnd(before, mask);
  mask_ = mask;
  Value* v = emit(e);
  mask_ = before;
  return v;
}

Value* FunctionEmitter::emit_select(const Expr& e, bool lazy) {
  bool guards = lazy && (reads_memory(e->args[1]) || reads_memory(e->args[2]));
  if (guards && !e->args[0]->dtype.is_vector()) return emit_branches(e);
  Value* condition = emit(e->args[0]);
  Value* a = guards ? emit_under(condition, e->args[1]) : emit(e->args[1]);
  Value* b = guards ? emit_under(b_.CreateNot(condition), e->args[2]) : emit(e->args[2]);
  return b_.CreateSelect(condition, a, b);
}

Value* FunctionEmitter::emit_branches(const Expr& e) {
  Value* condition = emit(e->args[0]);
  llvm::BasicBlock *yes = block("yes"), *no = block("no"), *after = block("chosen");
  b_.CreateCondBr(condition, yes, no);
  Value* values[2];
  llvm::BasicBlock* ends[2];
  for (int i = 0; i < 2; ++i) {
    b_.SetInsertPoint(i == 0 ? yes : no);
    Scope scope(*this);
    const Branch branch(*this);
    values[i] = emit(e->args[1 + i]);
    ends[i] = b_.GetInsertBlock();
    b_.CreateBr(after);
  }
  b_.SetInsertPoint(after);
  llvm::PHINode* phi = b_.CreatePHI(values[0]->getType(), 2);
  for (int i = 0; i < 2; ++i) phi->addIncoming(values[i], ends[i]);
  return phi;
}

Value* FunctionEmitter::emit_load(const LoadNode& node) {
  check_bounds(node.buffer, node.args, mask_);
  // A mask guards accesses of as many lanes; a scalar (an index that was read, say) is read if any
  // lane needs it.
  Value* mask = mask_;
  Memory memory = locate(node.buffer, node.args);
  if (mask && memory.lanes > 1) {
    auto* type = llvm::dyn_cast<llvm::FixedVectorType>(mask->getType());
    if (!type || static_cast<int>(type->getNumElements()) != memory.lanes) {
      Value* any = type ? b_.CreateOrReduce(mask) : mask;
      mask = arithmetic_.splat(any, memory.lanes);
    }
  }
  return load(memory, node.dtype, mask);
}

Value* FunctionEmitter::emit_call(const CallNode& c) {
  switch (c.intrinsic) {
    case Intrinsic::call_program:
      return emit_call_program(c);
    case Intrinsic::call_extern:
      return emit_call_extern(c);
    case Intrinsic::call_packed:
      throw Unsupported{error(DiagnosticKind::unsupported_feature, {},
                              "call of the packed function `{}`: native code does not cover it",
                              c.name)};
    case Intrinsic::byte_offset:
      return b_.CreateGEP(b_.getInt8Ty(), emit(c.args[0]), emit(c.args[1]));
    case Intrinsic::buffer_data:
      return emit_address(c);
    case Intrinsic::prefetch:  // for reading, into all caches
      b_.CreateIntrinsic(llvm::Intrinsic::prefetch, {b_.getPtrTy()},
                         {emit_address(c), b_.getInt32(0), b_.getInt32(3), b_.getInt32(1)});
      return b_.getInt32(0);
    case Intrinsic::check_index:
      return emit_check_index(c);
    case Intrinsic::copy_bytes:
      b_.CreateMemCpy(emit(c.args[0]), llvm::MaybeAlign(1), emit(c.args[1]), llvm::MaybeAlign(1),
                      emit(c.args[2]));
      return b_.getInt32(0);
    case Intrinsic::fill_bytes:
      b_.CreateMemSet(emit(c.args[0]), b_.getInt8(255), emit(c.args[1]), llvm::MaybeAlign(1));
      return b_.getInt32(0);
    case Intrinsic::input_dim:
    case Intrinsic::input_data:
    case Intrinsic::output_data:
    case Intrinsic::arena_region:
    case Intrinsic::count_operations:
    case Intrinsic::kernel_begins:
    case Intrinsic::kernel_ends:
    case Intrinsic::call_runtime:
    case Intrinsic::weight_data:
    case Intrinsic::sizes_symbol:
      return emit_host_call(c);
    default:
      break;
  }
  std::vector<Value*> args;
  for (const Expr& a : c.args) args.push_back(emit(a));
  Value* v = arithmetic_.intrinsic(c.intrinsic, c.dtype, c.args[0]->dtype, args);
  REPOSE_CHECK(v, std::string("`") + intrinsic_name(c.intrinsic) + "` was not expanded");
  return v;
}

Value* FunctionEmitter::emit_host_call(const CallNode& c) {
  REPOSE_CHECK(is_host(),
               std::string("`") + intrinsic_name(c.intrinsic) + "` outside of a host function");
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  auto frame_field = [&](FrameField i) { return b_.CreateLoad(ptr, field(i)); };
  auto element = [&](llvm::Type* type, Value* base, Value* i) {
    return b_.CreateLoad(type, b_.CreateInBoundsGEP(type, base, i));
  };
  switch (c.intrinsic) {
    case Intrinsic::input_data:
      return element(ptr, frame_field(frame_input_data), emit(c.args[0]));
    case Intrinsic::input_dim:
      return element(i64, element(ptr, frame_field(frame_input_shape), emit(c.args[0])),
                     emit(c.args[1]));
    case Intrinsic::weight_data:
      return b_.CreateGEP(b_.getInt8Ty(), frame_field(frame_weights), emit(c.args[0]));
    case Intrinsic::sizes_symbol:
      REPOSE_CHECK(symbols_, "`sizes_symbol` outside of the memory query");
      return element(i64, here(symbols_), emit(c.args[0]));
    case Intrinsic::arena_region: {
      Value* region = b_.CreateTrunc(emit(c.args[0]), b_.getInt32Ty());
      Value* p =
          b_.CreateCall(owner_.runtime("repose_rt_region"), {frame_, region, emit(c.args[1])});
      Value* none = b_.CreateICmpEQ(p, llvm::Constant::getNullValue(ptr));
      return_if_nonzero(
          b_.CreateSelect(none, b_.getInt32(REPOSE_RT_OUT_OF_MEMORY), b_.getInt32(0)));
      return p;
    }
    case Intrinsic::count_operations: {
      may_be_anything_ = true;
      Value* count = emit(c.args[0]);
      may_be_anything_ = false;
      return_if_nonzero(b_.CreateCall(owner_.runtime("repose_rt_count"), {frame_, count}),
                        as<StringImmNode>(c.args[1])->value);
      return b_.getInt32(0);
    }
    case Intrinsic::kernel_begins: {
      std::vector<Value*> args{frame_, b_.CreateTrunc(emit(c.args[0]), b_.getInt32Ty())};
      may_be_anything_ = true;
      for (size_t i = 1; i < c.args.size(); ++i) args.push_back(emit(c.args[i]));
      may_be_anything_ = false;
      b_.CreateCall(owner_.runtime("repose_rt_kernel_begins"), args);
      return b_.getInt32(0);
    }
    case Intrinsic::kernel_ends:
      b_.CreateCall(owner_.runtime("repose_rt_kernel_ends"), {frame_});
      return b_.getInt32(0);
    case Intrinsic::call_runtime:
      return emit_call_runtime(c);
    default:
      return emit_output(c);
  }
}

// Integers and bools become int64, floats float64; handles and texts are pointers.
Value* FunctionEmitter::emit_call_runtime(const CallNode& c) {
  std::vector<Value*> args{frame_};
  may_be_anything_ = true;
  for (const Expr& a : c.args) {
    Value* v = nullptr;
    if (const auto* text = as<StringImmNode>(a)) {
      v = owner_.string(text->value);
    } else {
      v = emit(a);
      if (v->getType()->isIntegerTy()) {
        v = a->dtype.is_bool() || a->dtype.is_uint() ? b_.CreateZExt(v, b_.getInt64Ty())
                                                     : b_.CreateSExt(v, b_.getInt64Ty());
      }
    }
    args.push_back(v);
  }
  may_be_anything_ = false;
  std::vector<llvm::Type*> types;
  for (Value* v : args) types.push_back(v->getType());
  const bool gives_status = !c.dtype.is_index();
  llvm::Type* result = gives_status ? b_.getInt32Ty() : b_.getInt64Ty();
  Value* v =
      b_.CreateCall(owner_.runtime(c.name, llvm::FunctionType::get(result, types, false)), args);
  if (!gives_status) return v;
  return_if_nonzero(v);
  return b_.getInt32(0);
}

Value* FunctionEmitter::emit_output(const CallNode& c) {
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty();
  auto rank = static_cast<int64_t>(c.args.size()) - 1;
  Value* dims = stack(i64, std::max<int64_t>(rank, 1), 8, "dims");
  Value* status = stack(b_.getInt32Ty(), 1, 4, "status");
  for (int64_t i = 0; i < rank; ++i) {
    b_.CreateStore(emit(c.args[static_cast<size_t>(i) + 1]),
                   b_.CreateInBoundsGEP(i64, dims, b_.getInt64(static_cast<uint64_t>(i))));
  }
  b_.CreateStore(b_.getInt32(0), status);
  Value* index = b_.CreateTrunc(emit(c.args[0]), b_.getInt32Ty());
  Value* p = b_.CreateCall(owner_.runtime("repose_rt_output"),
                           {frame_, index, dims, b_.getInt32(static_cast<uint32_t>(rank)), status});
  Value* none = b_.CreateICmpEQ(p, llvm::Constant::getNullValue(ptr));
  Value* why = b_.CreateLoad(b_.getInt32Ty(), status);
  return_if_nonzero(b_.CreateSelect(none, why, b_.getInt32(0)));
  return p;
}

// Where the element of a buffer lies that the call is given.
Value* FunctionEmitter::emit_address(const CallNode& c) {
  const auto* element = as<LoadNode>(c.args[0]);
  REPOSE_CHECK(element, "the argument is an element of a buffer");
  const Memory memory = locate(element->buffer, element->args);
  if (const DType dtype = element->buffer->dtype; dtype.is_packed()) {
    return packed_place(dtype, memory.data, memory.offset).byte;
  }
  return b_.CreateInBoundsGEP(memory.element, memory.data, memory.offset);
}

// An index that data gives; a negative one is a large unsigned number.
Value* FunctionEmitter::emit_check_index(const CallNode& c) {
  Value *index = emit(c.args[0]), *extent = emit(c.args[1]);
  std::string message = "`" + as<StringImmNode>(c.args[2])->value +
                        "`: index {0} is out of range for a dimension of {1}";
  if (!c.name.empty()) message += " (in " + escaped(c.name) + ")";
  Value* outside = b_.CreateICmpUGE(index, extent);
  if (c.dtype.is_vector()) {
    if (mask_) {  // nobody reads at the others
      outside = b_.CreateAnd(outside, mask_);
      index = b_.CreateSelect(mask_, index, llvm::Constant::getNullValue(index->getType()));
    }
    // Names the largest as unsigned: that one is outside if any is.
    index = b_.CreateUnaryIntrinsic(llvm::Intrinsic::vector_reduce_umax, index);
    extent = b_.CreateExtractElement(extent, uint64_t{0});
    Value* bad = b_.CreateOrReduce(outside);
    fail_if(bad, REPOSE_RT_REFUSED, message, {index, extent});
    return emit(c.args[0]);
  }
  fail_if(outside, REPOSE_RT_REFUSED, message, {index, extent});
  return index;
}

// After the arguments may stand a handle, which is the memory of the program's own, and a string
// that says where the call comes from: a failure's text names it.
Value* FunctionEmitter::emit_call_program(const CallNode& c) {
  llvm::Function* callee = owner_.kernel(c.name);
  std::vector<Expr> given = c.args;
  const StringImmNode* origin = given.empty() ? nullptr : as<StringImmNode>(given.back());
  if (origin) given.pop_back();
  if (callee->arg_size() < given.size() + 1) {
    b_.CreateStore(emit(given.back()), field(frame_workspace));
    given.pop_back();
  }
  REPOSE_CHECK(callee->arg_size() == given.size() + 1,
               "call of `" + c.name + "` with a wrong number of arguments");
  std::vector<Value*> args{frame_};
  for (const Expr& a : given) {
    Value* v = emit(a);
    if (a->dtype.is_bool()) v = b_.CreateZExt(v, b_.getInt8Ty());
    llvm::Type* wanted = callee->getArg(static_cast<unsigned>(args.size()))->getType();
    REPOSE_CHECK(v->getType() == wanted, "call of `" + c.name + "` with a wrong type of argument");
    args.push_back(v);
  }
  Value* status = b_.CreateCall(callee, args);
  return_if_nonzero(status, origin ? origin->value : "");
  return b_.getInt32(0);
}

Value* FunctionEmitter::emit_call_extern(const CallNode& c) {
  REPOSE_CHECK(!c.name.empty(), "an external function has a name");
  std::vector<Value*> args;
  std::vector<llvm::Type*> types;
  for (const Expr& a : c.args) {
    args.push_back(arithmetic_.to_memory(emit(a), a->dtype));
    types.push_back(args.back()->getType());
  }
  auto* type = llvm::FunctionType::get(arithmetic_.memory_type(c.dtype), types, false);
  llvm::FunctionCallee callee = owner_.module.getOrInsertFunction(c.name, type);
  Value* v = b_.CreateCall(callee, args);
  return c.dtype ? arithmetic_.from_memory(v, c.dtype) : v;
}

}  // namespace repose::codegen

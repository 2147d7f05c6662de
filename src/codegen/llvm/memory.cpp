// Loads and stores: addresses, vectors with strides, masks.
#include "codegen/llvm/emitter.h"

namespace repose::codegen {

using llvm::Value;

// Indices of vector accesses are sums of ramps and broadcasts almost always; then one address and a
// stride between lanes say it all.
std::optional<FunctionEmitter::Linear> FunctionEmitter::linear(const Expr& e) {
  if (e->dtype.lanes == 1) return Linear{e, make_int(0)};
  switch (e->kind) {
    case ExprKind::ramp:
      return Linear{e->args[0], e->args[1]};
    case ExprKind::broadcast:
      return Linear{e->args[0], make_int(0)};
    case ExprKind::add:
    case ExprKind::sub: {
      auto a = linear(e->args[0]), b = linear(e->args[1]);
      if (!a || !b) return std::nullopt;
      return Linear{make_binary(e->kind, a->base, b->base),
                    make_binary(e->kind, a->stride, b->stride)};
    }
    case ExprKind::mul: {
      auto a = linear(e->args[0]), b = linear(e->args[1]);
      if (!a || !b) return std::nullopt;
      if (is_const_int(b->stride, 0)) return Linear{a->base * b->base, a->stride * b->base};
      if (is_const_int(a->stride, 0)) return Linear{a->base * b->base, a->base * b->stride};
      return std::nullopt;
    }
    default:
      return std::nullopt;
  }
}

std::vector<Value*> FunctionEmitter::strides_of(const Buffer& buffer) {
  size_t rank = buffer->shape.size();
  std::vector<Value*> strides(rank);
  if (!buffer->strides.empty()) {
    for (size_t d = 0; d < rank; ++d) strides[d] = emit_index(buffer->strides[d]);
    return strides;
  }
  Value* stride = b_.getInt64(1);
  for (size_t d = rank; d-- > 0;) {
    strides[d] = stride;
    if (d > 0) stride = b_.CreateNSWMul(emit_index(buffer->shape[d]), stride);
  }
  return strides;
}

Value* FunctionEmitter::data_of(const Buffer& buffer) {
  auto it = buffers_.find(buffer.get());
  REPOSE_CHECK(it != buffers_.end(), "buffer `" + buffer->name + "` has no memory");
  return here(it->second);
}

// Whether it is another one in the next iteration of the innermost loop.
bool FunctionEmitter::moves(const Expr& e) {
  if (moving_.empty()) return false;
  bool found = false;
  visit(e, [&](const Expr& node) {
    const auto* v = as<VarNode>(node);
    found = found || (v ? moving_.contains(v)
                        : node->kind == ExprKind::load || node->kind == ExprKind::call);
    return !found;
  });
  return found;
}

void FunctionEmitter::add_terms(Address& address, const Expr& e, Value* stride) {
  if (e->kind == ExprKind::add) {
    add_terms(address, e->args[0], stride);
    add_terms(address, e->args[1], stride);
    return;
  }
  Value* term = b_.CreateNSWMul(emit_index(e), stride);
  if (auto* known = llvm::dyn_cast<llvm::ConstantInt>(term)) {
    address.known += known->getSExtValue();
    return;
  }
  Value*& sum = moves(e) ? address.moving : address.fixed;
  sum = b_.CreateNSWAdd(sum, term);
}

FunctionEmitter::Memory FunctionEmitter::locate(const Buffer& buffer,
                                                const std::vector<Expr>& indices) {
  Memory memory;
  memory.data = data_of(buffer);
  memory.element = arithmetic_.memory_type(buffer->dtype);
  for (const Expr& i : indices) memory.lanes = std::max<int>(memory.lanes, i->dtype.lanes);
  std::vector<Value*> strides = strides_of(buffer);
  Address address{b_.getInt64(0), b_.getInt64(0), 0};
  if (buffer->offset_elems) add_terms(address, buffer->offset_elems, b_.getInt64(1));
  Value* lane_stride = b_.getInt64(0);
  Value* gathered = nullptr;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (auto form = linear(indices[d])) {
      add_terms(address, form->base, strides[d]);
      if (!is_const_int(form->stride, 0)) {
        lane_stride =
            b_.CreateNSWAdd(lane_stride, b_.CreateNSWMul(emit_index(form->stride), strides[d]));
      }
      continue;
    }
    Value* term =
        b_.CreateNSWMul(emit_index(indices[d]), arithmetic_.splat(strides[d], memory.lanes));
    gathered = gathered ? b_.CreateNSWAdd(gathered, term) : term;
  }
  Value* scalar =
      b_.CreateNSWAdd(address.moving, b_.getInt64(static_cast<uint64_t>(address.known)));
  if (moving_.empty() || buffer->dtype.is_packed()) {  // these have no address of their own
    scalar = b_.CreateNSWAdd(address.fixed, scalar);
  } else {
    memory.data = b_.CreateGEP(memory.element, memory.data, address.fixed);
  }
  memory.offset = scalar;
  if (memory.lanes == 1) return memory;
  memory.stride = lane_stride;
  if (gathered) {
    llvm::SmallVector<llvm::Constant*> lanes;
    for (int i = 0; i < memory.lanes; ++i) lanes.push_back(b_.getInt64(i));
    Value* steps = b_.CreateNSWMul(arithmetic_.splat(lane_stride, memory.lanes),
                                   llvm::ConstantVector::get(lanes));
    memory.offset =
        b_.CreateNSWAdd(b_.CreateNSWAdd(gathered, arithmetic_.splat(scalar, memory.lanes)), steps);
    memory.stride = nullptr;
  }
  return memory;
}

void FunctionEmitter::check_bounds(const Buffer& buffer, const std::vector<Expr>& indices,
                                   Value* mask) {
  if (!owner_.options.debug_bounds) return;
  for (size_t d = 0; d < indices.size(); ++d) {
    Value* index = emit_index(indices[d]);
    Value* extent = emit_index(buffer->shape[d]);
    int lanes = indices[d]->dtype.lanes;
    // One unsigned comparison covers negative indices too.
    Value* outside = b_.CreateICmpUGE(index, arithmetic_.splat(extent, lanes));
    Value* shown = index;
    if (lanes > 1) {
      if (mask && mask->getType()->isVectorTy()) outside = b_.CreateAnd(outside, mask);
      Value* bits = b_.CreateBitCast(outside, b_.getIntNTy(static_cast<unsigned>(lanes)));
      Value* lane = b_.CreateBinaryIntrinsic(llvm::Intrinsic::cttz, bits, b_.getFalse());
      outside = b_.CreateICmpNE(bits, llvm::ConstantInt::get(bits->getType(), 0));
      lane = b_.CreateSelect(outside, lane, llvm::ConstantInt::get(lane->getType(), 0));
      shown = b_.CreateExtractElement(index, lane);
    } else if (mask && mask->getType()->isVectorTy()) {
      outside = b_.CreateAnd(outside, b_.CreateOrReduce(mask));
    }
    fail_if(outside, 1,
            "index {0} of dimension " + std::to_string(d) + " of `" + buffer->name +
                "` is outside of its extent {1}",
            {shown, extent});
  }
}

Value* FunctionEmitter::lane_offsets(const Memory& memory) {
  if (memory.lanes == 1 || !memory.stride) return memory.offset;
  llvm::SmallVector<llvm::Constant*> lanes;
  for (int i = 0; i < memory.lanes; ++i) lanes.push_back(b_.getInt64(i));
  return b_.CreateNSWAdd(arithmetic_.splat(memory.offset, memory.lanes),
                         b_.CreateNSWMul(arithmetic_.splat(memory.stride, memory.lanes),
                                         llvm::ConstantVector::get(lanes)));
}

Value* FunctionEmitter::lane_pointers(const Memory& memory) {
  return b_.CreateGEP(memory.element, memory.data, lane_offsets(memory));
}

// Every second element, out of two vectors of neighbours, the second of which ends with the last
// lane's: nothing beyond that is read.
Value* FunctionEmitter::load_pairs(const Memory& memory, DType dtype, Value* mask) {
  const int lanes = dtype.lanes;
  llvm::Align align(static_cast<uint64_t>(dtype.size_bytes()));
  llvm::Type* type = arithmetic_.memory_type(dtype);
  auto part = [&](int first) -> Value* {
    Value* offset = b_.CreateNSWAdd(memory.offset, b_.getInt64(first));
    Value* at = b_.CreateInBoundsGEP(memory.element, memory.data, offset);
    if (!mask) return b_.CreateAlignedLoad(type, at, align);
    // Neighbours that no lane is for are not read.
    llvm::SmallVector<int> wanted;
    for (int i = first; i < first + lanes; ++i) wanted.push_back(i % 2 == 0 ? i / 2 : lanes);
    Value* none = llvm::Constant::getNullValue(mask->getType());
    return b_.CreateMaskedLoad(type, at, align, b_.CreateShuffleVector(mask, none, wanted),
                               llvm::Constant::getNullValue(type));
  };
  Value *low = part(0), *high = part(lanes - 1);
  llvm::SmallVector<int> chosen;
  for (int i = 0; i < lanes; ++i) {
    chosen.push_back(2 * i < lanes ? 2 * i : lanes + 2 * i - (lanes - 1));
  }
  return b_.CreateShuffleVector(low, high, chosen);
}

Value* FunctionEmitter::load(const Memory& memory, DType dtype, Value* mask) {
  if (dtype.is_packed()) return load_packed(memory, dtype, mask);
  llvm::Align align(static_cast<uint64_t>(dtype.size_bytes()));
  auto at = [&](Value* offset) {
    return b_.CreateInBoundsGEP(memory.element, memory.data, offset);
  };
  auto* constant = llvm::dyn_cast_or_null<llvm::ConstantInt>(memory.stride);
  bool is_splat = memory.lanes == 1 || (constant && constant->isZero());
  llvm::Type* type = arithmetic_.memory_type(dtype);
  if (is_splat) {
    auto scalar = [&] { return b_.CreateAlignedLoad(memory.element, at(memory.offset), align); };
    if (!mask) return arithmetic_.from_memory(arithmetic_.splat(scalar(), dtype.lanes), dtype);
    // Read only if some lane wants it.
    Value* wanted = mask->getType()->isVectorTy() ? b_.CreateOrReduce(mask) : mask;
    llvm::BasicBlock *from = b_.GetInsertBlock(), *read = block("read"),
                     *after = block("after_read");
    b_.CreateCondBr(wanted, read, after);
    b_.SetInsertPoint(read);
    Value* v = scalar();
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
    llvm::PHINode* phi = b_.CreatePHI(memory.element, 2);
    phi->addIncoming(v, read);
    phi->addIncoming(llvm::Constant::getNullValue(memory.element), from);
    return arithmetic_.from_memory(arithmetic_.splat(phi, dtype.lanes), dtype);
  }
  Value* nothing = llvm::Constant::getNullValue(type);
  if (constant && constant->isOne()) {
    Value* v = mask ? b_.CreateMaskedLoad(type, at(memory.offset), align, mask, nothing)
                    : static_cast<Value*>(b_.CreateAlignedLoad(type, at(memory.offset), align));
    return arithmetic_.from_memory(v, dtype);
  }
  if (constant && constant->isMinusOne() && !mask) {
    Value* first = b_.CreateNSWSub(memory.offset, b_.getInt64(dtype.lanes - 1));
    Value* v = b_.CreateAlignedLoad(type, at(first), align);
    return arithmetic_.from_memory(b_.CreateVectorReverse(v), dtype);
  }
  if (constant && constant->equalsInt(2) && dtype.lanes >= 4 && dtype.lanes % 2 == 0) {
    return arithmetic_.from_memory(load_pairs(memory, dtype, mask), dtype);
  }
  if (mask) {
    Value* v = b_.CreateMaskedGather(type, lane_pointers(memory), align, mask, nothing);
    return arithmetic_.from_memory(v, dtype);
  }
  Value* v = llvm::PoisonValue::get(type);
  for (int i = 0; i < dtype.lanes; ++i) {
    Value* offset =
        memory.stride
            ? b_.CreateNSWAdd(memory.offset, b_.CreateNSWMul(memory.stride, b_.getInt64(i)))
            : b_.CreateExtractElement(memory.offset, static_cast<uint64_t>(i));
    Value* element = b_.CreateAlignedLoad(memory.element, at(offset), align);
    v = b_.CreateInsertElement(v, element, static_cast<uint64_t>(i));
  }
  return arithmetic_.from_memory(v, dtype);
}

void FunctionEmitter::store(const Memory& memory, DType dtype, Value* value, Value* mask) {
  if (dtype.is_packed()) return store_packed(memory, dtype, value, mask);
  llvm::Align align(static_cast<uint64_t>(dtype.size_bytes()));
  auto at = [&](Value* offset) {
    return b_.CreateInBoundsGEP(memory.element, memory.data, offset);
  };
  value = arithmetic_.to_memory(value, dtype);
  auto* constant = llvm::dyn_cast_or_null<llvm::ConstantInt>(memory.stride);
  if (memory.lanes == 1) {
    if (!mask) {
      b_.CreateAlignedStore(value, at(memory.offset), align);
      return;
    }
    llvm::BasicBlock *write = block("write"), *after = block("after_write");
    b_.CreateCondBr(mask, write, after);
    b_.SetInsertPoint(write);
    b_.CreateAlignedStore(value, at(memory.offset), align);
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
    return;
  }
  if (constant && constant->isOne()) {
    if (mask) {
      b_.CreateMaskedStore(value, at(memory.offset), align, mask);
    } else {
      b_.CreateAlignedStore(value, at(memory.offset), align);
    }
    return;
  }
  if (mask) {
    b_.CreateMaskedScatter(value, lane_pointers(memory), align, mask);
    return;
  }
  for (int i = 0; i < dtype.lanes;
       ++i) {  // in the order of lanes: the last of equal addresses stays
    Value* offset =
        memory.stride
            ? b_.CreateNSWAdd(memory.offset, b_.CreateNSWMul(memory.stride, b_.getInt64(i)))
            : b_.CreateExtractElement(memory.offset, static_cast<uint64_t>(i));
    b_.CreateAlignedStore(b_.CreateExtractElement(value, static_cast<uint64_t>(i)), at(offset),
                          align);
  }
}

}  // namespace repose::codegen

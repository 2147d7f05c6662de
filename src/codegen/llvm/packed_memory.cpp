// Loads and stores of elements that share their bytes.
#include "codegen/llvm/emitter.h"

namespace repose::codegen {

using llvm::Value;

namespace {

struct Packing {
  explicit Packing(DType dtype)
      : bits(dtype.bits), per_byte(8u / dtype.bits), log2(dtype.bits == 4 ? 1 : 2) {}
  uint64_t bits, per_byte, log2;
};

}  // namespace

// The byte of an element, and by how many bits it lies above the lowest (in 8 bits).
FunctionEmitter::PackedPlace FunctionEmitter::packed_place(DType dtype, Value* data,
                                                           Value* offset) {
  const Packing packing(dtype.element());
  auto like = [&](uint64_t n) { return llvm::ConstantInt::get(offset->getType(), n); };
  Value* byte = b_.CreateGEP(b_.getInt8Ty(), data, b_.CreateAShr(offset, like(packing.log2)));
  Value* shift = b_.CreateMul(b_.CreateAnd(offset, like(packing.per_byte - 1)), like(packing.bits));
  llvm::Type* narrow = b_.getInt8Ty();
  if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(offset->getType())) {
    narrow = llvm::FixedVectorType::get(narrow, vector->getNumElements());
  }
  return {byte, b_.CreateTrunc(shift, narrow)};
}

Value* FunctionEmitter::load_packed(const Memory& memory, DType dtype, Value* mask) {
  // A masked lane reads nothing; a scalar under a mask is a vector of one lane.
  Value* offsets = lane_offsets(memory);
  const bool is_vector = offsets->getType()->isVectorTy();
  if (mask && !is_vector) {
    Value* wanted = mask->getType()->isVectorTy() ? b_.CreateOrReduce(mask) : mask;
    mask = b_.CreateVectorSplat(1, wanted);
    offsets = b_.CreateVectorSplat(1, offsets);
  }
  const PackedPlace place = packed_place(dtype, memory.data, offsets);
  Value* bytes = nullptr;
  if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(offsets->getType())) {
    auto* type = llvm::FixedVectorType::get(b_.getInt8Ty(), vector->getNumElements());
    llvm::Type* flags = llvm::FixedVectorType::get(b_.getInt1Ty(), vector->getNumElements());
    if (!mask) mask = llvm::Constant::getAllOnesValue(flags);
    bytes = b_.CreateMaskedGather(type, place.byte, llvm::Align(1), mask,
                                  llvm::Constant::getNullValue(type));
  } else {
    bytes = b_.CreateAlignedLoad(b_.getInt8Ty(), place.byte, llvm::Align(1));
  }
  Value* v = arithmetic_.from_memory(b_.CreateLShr(bytes, place.shift), dtype);
  if (is_vector) return v;
  if (v->getType()->isVectorTy()) v = b_.CreateExtractElement(v, uint64_t{0});
  return arithmetic_.splat(v, dtype.lanes);
}

// Other threads may be storing the other elements of the byte: its bits change by atomic
// operations.
void FunctionEmitter::store_packed(const Memory& memory, DType dtype, Value* value, Value* mask) {
  const Packing packing(dtype.element());
  value = arithmetic_.to_memory(value, dtype);
  Value* offsets = lane_offsets(memory);
  auto store_lane = [&](Value* offset, Value* bits) {
    const PackedPlace place = packed_place(dtype.element(), memory.data, offset);
    Value* ones =
        b_.CreateShl(b_.getInt8(static_cast<uint8_t>((1u << packing.bits) - 1)), place.shift);
    b_.CreateAtomicRMW(llvm::AtomicRMWInst::And, place.byte, b_.CreateNot(ones), llvm::Align(1),
                       llvm::AtomicOrdering::Monotonic);
    b_.CreateAtomicRMW(llvm::AtomicRMWInst::Or, place.byte, b_.CreateShl(bits, place.shift),
                       llvm::Align(1), llvm::AtomicOrdering::Monotonic);
  };
  for (int i = 0; i < memory.lanes; ++i) {
    auto lane = [&](Value* v) {
      return v->getType()->isVectorTy() ? b_.CreateExtractElement(v, static_cast<uint64_t>(i)) : v;
    };
    if (!mask) {
      store_lane(lane(offsets), lane(value));
      continue;
    }
    llvm::BasicBlock *write = block("write"), *after = block("after_write");
    b_.CreateCondBr(lane(mask), write, after);
    b_.SetInsertPoint(write);
    store_lane(lane(offsets), lane(value));
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
  }
}

}  // namespace repose::codegen

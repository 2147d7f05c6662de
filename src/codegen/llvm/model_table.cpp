// Field by field in the order of runtime/abi.h; sizes of these structures are checked there and
// here.
#include "codegen/llvm/model_table.h"

#include "base/dlpack_code.h"
#include "runtime/abi.h"

namespace repose::codegen {

using llvm::Constant;

namespace {

static_assert(sizeof(repose_rt_dim) == 16 && sizeof(repose_rt_value) == 40 &&
                  sizeof(repose_rt_symbol) == 32 && sizeof(repose_rt_function) == 80 &&
                  sizeof(repose_rt_model) == 96,
              "runtime/abi.h changed: change the tables too");

class TableBuilder {
 public:
  explicit TableBuilder(ModuleEmitter& emitter)
      : emitter_(emitter), context_(emitter.module.getContext()), b_(context_) {}

  Constant* i8(uint64_t v) { return b_.getInt8(static_cast<uint8_t>(v)); }
  Constant* i16(uint64_t v) { return b_.getInt16(static_cast<uint16_t>(v)); }
  Constant* i32(int64_t v) { return b_.getInt32(static_cast<uint32_t>(v)); }
  Constant* i64(int64_t v) { return b_.getInt64(static_cast<uint64_t>(v)); }
  Constant* null() { return llvm::ConstantPointerNull::get(b_.getPtrTy()); }
  Constant* text(const std::string& s) { return emitter_.string(s); }
  Constant* record(const std::vector<Constant*>& fields) {
    return llvm::ConstantStruct::getAnon(context_, fields);
  }
  // The address of an array; null for none.
  Constant* array(const std::vector<Constant*>& elements, const char* name) {
    if (elements.empty()) return null();
    auto* type = llvm::ArrayType::get(elements[0]->getType(), elements.size());
    return emitter_.define_constant(name, llvm::ConstantArray::get(type, elements));
  }

  Constant* value(const ValueDescriptor& v);
  Constant* function(const ModelFunction& f, const HostFunctions& host);

 private:
  ModuleEmitter& emitter_;
  llvm::LLVMContext& context_;
  llvm::IRBuilder<> b_;
};

Constant* TableBuilder::value(const ValueDescriptor& v) {
  std::vector<Constant*> dims, strides;
  for (const DimDescriptor& d : v.dims) dims.push_back(record({i64(d.size), text(d.text)}));
  for (int64_t s : v.strides) strides.push_back(i64(s));
  return record({text(v.name), i8(dlpack_code(v.dtype)), i8(v.dtype.bits), i16(0),
                 i32(static_cast<int64_t>(v.dims.size())), array(dims, "dims"),
                 array(strides, "strides"), i32(v.aliases_input), i32(0)});
}

Constant* TableBuilder::function(const ModelFunction& f, const HostFunctions& host) {
  std::vector<Constant*> inputs, outputs, symbols;
  for (const ValueDescriptor& v : f.inputs) inputs.push_back(value(v));
  for (const ValueDescriptor& v : f.outputs) outputs.push_back(value(v));
  for (const SymbolDescriptor& s : f.symbols) {
    symbols.push_back(record({text(s.name), i64(s.lower), i64(s.upper), i64(s.divisor)}));
  }
  auto count = [&](const std::vector<Constant*>& list) {
    return i32(static_cast<int64_t>(list.size()));
  };
  return record({text(f.name), count(inputs), count(outputs), count(symbols), i32(f.num_regions),
                 array(inputs, "inputs"), array(outputs, "outputs"), array(symbols, "symbols"),
                 host.run, host.sizes, f.unbounded.empty() ? null() : text(f.unbounded),
                 i32(f.num_held), i32(0)});
}

void define_ffi_entry(ModuleEmitter& emitter, const std::string& function, size_t index) {
  llvm::LLVMContext& context = emitter.module.getContext();
  llvm::IRBuilder<> types(context);
  llvm::Type *ptr = types.getPtrTy(), *i32 = types.getInt32Ty();
  auto* f = llvm::Function::Create(llvm::FunctionType::get(i32, {ptr, ptr, i32, ptr}, false),
                                   llvm::Function::ExternalLinkage, "__tvm_ffi_" + function,
                                   emitter.module);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", f));
  b.CreateRet(b.CreateCall(
      emitter.runtime("repose_rt_tvm_ffi_call"),
      {b.getInt32(static_cast<uint32_t>(index)), f->getArg(1), f->getArg(2), f->getArg(3)}));
}

}  // namespace

void define_model_table(ModuleEmitter& emitter, const ModelImage& image,
                        const std::vector<HostFunctions>& hosts) {
  TableBuilder t(emitter);
  std::vector<Constant*> functions, features, packed;
  for (size_t i = 0; i < image.functions.size(); ++i) {
    functions.push_back(t.function(image.functions[i], hosts[i]));
    define_ffi_entry(emitter, image.functions[i].name, i);
  }
  for (const std::string& feature : emitter.target.required_features) {
    features.push_back(t.text(feature));
  }
  features.push_back(t.null());
  for (const std::string& name : image.packed_functions) packed.push_back(t.text(name));
  Constant* weights = t.null();
  if (image.weights_bytes > 0 && image.weights_embedded) {
    auto* base = emitter.define_constant("repose_weights", nullptr, /*hidden=*/true);
    weights = base;
  }
  Constant* model = t.record(
      {t.i32(sizeof(repose_rt_model)), t.i32(REPOSE_RT_ABI_VERSION), t.text(image.name),
       t.text(image.metadata_json), t.i64(static_cast<int64_t>(image.metadata_json.size())),
       weights, t.i64(static_cast<int64_t>(image.weights_bytes)), t.text(emitter.target.name),
       t.array(features, "features"), t.i32(static_cast<int64_t>(functions.size())),
       t.i32(image.is_profiled), t.array(functions, "functions"), t.array(packed, "packed"),
       t.i32(static_cast<int64_t>(packed.size())), t.i32(0)});
  emitter.define_constant("repose_rt_this_model", model, /*hidden=*/true);
}

}  // namespace repose::codegen

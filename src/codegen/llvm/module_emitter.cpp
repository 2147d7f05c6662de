// Functions of a module: kernels and host functions with their parameters, and the runtime's.
#include "codegen/llvm/emitter.h"

namespace repose::codegen {

using llvm::Value;

namespace {

// Buffers that are stored to; nothing where that cannot be seen (views, calls that are given
// memory).
struct Stores {
  bool unknown = false;
  std::unordered_set<const BufferNode*> buffers;
};

Stores stores_of(const tir::Stmt& body) {
  Stores stores;
  tir::visit_stmts(body, [&](const tir::Stmt& s) {
    if (const auto* store = tir::as<tir::StoreNode>(s)) stores.buffers.insert(store->buffer.get());
    if (tir::as<tir::DeclareNode>(s)) stores.unknown = true;
    if (const auto* e = tir::as<tir::EvaluateNode>(s)) {
      stores.unknown |= e->value->kind == ExprKind::call;
    }
    return true;
  });
  return stores;
}

bool may_alias(const tir::PrimFunc& f, size_t param) {
  if (f->attrs.get_bool("may_alias")) return true;
  const std::vector<int64_t> some = f->attrs.get_ints("may_alias_params");
  return std::find(some.begin(), some.end(), static_cast<int64_t>(param)) != some.end();
}

llvm::StructType* make_frame_type(llvm::LLVMContext& context) {
  auto* ptr = llvm::PointerType::getUnqual(context);
  return llvm::StructType::get(context, {ptr, ptr, ptr, llvm::Type::getInt64Ty(context), ptr});
}

}  // namespace

ModuleEmitter::ModuleEmitter(llvm::Module& module, const Target& target,
                             const CodegenOptions& options)
    : module(module),
      target(target),
      options(options),
      frame_type(make_frame_type(module.getContext())) {}

llvm::Function* ModuleEmitter::declare_kernel(const std::string& name, const tir::PrimFunc& f,
                                              bool hidden) {
  llvm::IRBuilder<> b(module.getContext());
  Arithmetic types(b, module, target);
  std::vector<llvm::Type*> params{b.getPtrTy()};
  for (const tir::Param& p : f->params) {
    params.push_back(p.buffer ? static_cast<llvm::Type*>(b.getPtrTy())
                              : types.memory_type(p.var->dtype));
  }
  auto* function = llvm::Function::Create(
      llvm::FunctionType::get(b.getInt32Ty(), params, false),
      hidden ? llvm::Function::ExternalLinkage : llvm::Function::InternalLinkage,
      "repose_kernel_" + name, module);
  if (hidden) function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  for (size_t i = 0; i < f->params.size(); ++i) {
    if (!f->params[i].buffer && f->params[i].var->dtype.is_bool()) {
      function->addParamAttr(static_cast<unsigned>(i + 1), llvm::Attribute::ZExt);
    }
  }
  bool is_new = kernels_.emplace(name, function).second;
  REPOSE_CHECK(is_new, "two kernels are called `" + name + "`");
  return function;
}

llvm::Function* ModuleEmitter::kernel(const std::string& name) const {
  auto it = kernels_.find(name);
  REPOSE_CHECK(it != kernels_.end(), "there is no kernel `" + name + "`");
  return it->second;
}

void ModuleEmitter::define_kernel(const std::string& name, const tir::PrimFunc& f) {
  llvm::Function* function = kernel(name);
  // A big kernel inlined into its caller gains nothing and loses what its parameters promise.
  function->addFnAttr(llvm::Attribute::NoInline);
  FunctionEmitter emitter(*this, function, Mode::kernel);
  Arithmetic arithmetic(emitter.builder(), module, target);
  Stores stores = stores_of(f->body);
  function->getArg(0)->setName("frame");
  for (size_t i = 0; i < f->params.size(); ++i) {
    const tir::Param& p = f->params[i];
    llvm::Argument* arg = function->getArg(static_cast<unsigned>(i + 1));
    if (!p.buffer) {
      arg->setName(p.var->name);
      emitter.bind(p.var, arithmetic.from_memory(arg, p.var->dtype));
      continue;
    }
    arg->setName(p.buffer->name);
    if (!may_alias(f, i)) arg->addAttr(llvm::Attribute::NoAlias);
    if (!stores.unknown && !stores.buffers.contains(p.buffer.get())) {
      arg->addAttr(llvm::Attribute::ReadOnly);
    }
    int align = std::max(p.buffer->align_bytes, p.buffer->dtype.size_bytes());
    arg->addAttr(llvm::Attribute::getWithAlignment(module.getContext(),
                                                   llvm::Align(static_cast<uint64_t>(align))));
    emitter.bind(p.var, arg);
    emitter.bind(p.buffer, arg);
  }
  emitter.run(f->body);
}

llvm::Function* ModuleEmitter::define_run(const std::string& name, const tir::PrimFunc& f) {
  REPOSE_CHECK(f->params.size() <= 1 && (f->params.empty() || !f->params[0].buffer),
               "the host function reaches its operands through intrinsics");
  llvm::IRBuilder<> b(module.getContext());
  auto* function =
      llvm::Function::Create(llvm::FunctionType::get(b.getInt32Ty(), {b.getPtrTy()}, false),
                             llvm::Function::InternalLinkage, "repose_run_" + name, module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  FunctionEmitter emitter(*this, function, Mode::host);
  if (!f->params.empty()) emitter.bind_num_threads(f->params[0].var);
  emitter.run(f->body);
  return function;
}

llvm::Function* ModuleEmitter::define_sizes(const std::string& name, const tir::PrimFunc& f) {
  REPOSE_CHECK(f->params.size() >= 2 && f->params[0].buffer && f->params[1].buffer,
               "the memory query has the parameters bytes and output_dims");
  llvm::IRBuilder<> types(module.getContext());
  llvm::Type* ptr = types.getPtrTy();
  auto* function = llvm::Function::Create(
      llvm::FunctionType::get(types.getInt32Ty(), {ptr, ptr, ptr, ptr}, false),
      llvm::Function::InternalLinkage, "repose_sizes_" + name, module);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  FunctionEmitter emitter(*this, function, Mode::sizes);
  llvm::IRBuilder<>& b = emitter.builder();
  emitter.set_symbols(function->getArg(1));
  emitter.bind(f->params[0].buffer, function->getArg(2));
  // Where the caller wants no dimensions they are written to scratch memory.
  const Buffer& dims = f->params[1].buffer;
  int64_t count = 1;
  for (const Expr& extent : dims->shape) {
    int64_t n = 0;
    REPOSE_CHECK(as_const_int(extent, &n), "the number of output dimensions is known");
    count *= std::max<int64_t>(n, 1);
  }
  Value* scratch = emitter.stack(b.getInt64Ty(), count, 8, "scratch");
  Value* none = b.CreateICmpEQ(function->getArg(3), llvm::Constant::getNullValue(ptr));
  emitter.bind(dims, b.CreateSelect(none, scratch, function->getArg(3)));
  if (f->params.size() > 2) emitter.bind_num_threads(f->params[2].var);
  emitter.run(f->body);
  return function;
}

llvm::Function* ModuleEmitter::define_entry(const std::string& name, const std::string& kernel_name,
                                            const tir::PrimFunc& f) {
  llvm::IRBuilder<> types(module.getContext());
  llvm::Type* ptr = types.getPtrTy();
  auto* function =
      llvm::Function::Create(llvm::FunctionType::get(types.getInt32Ty(), {ptr, ptr, ptr}, false),
                             llvm::Function::ExternalLinkage, name, module);
  FunctionEmitter emitter(*this, function, Mode::kernel);
  llvm::IRBuilder<>& b = emitter.builder();
  Arithmetic arithmetic(b, module, target);
  std::vector<Value*> args{function->getArg(0)};
  uint64_t buffers = 0, scalars = 0;
  for (const tir::Param& p : f->params) {
    llvm::Type* type = p.buffer ? ptr : arithmetic.memory_type(p.var->dtype);
    Value* slot =
        p.buffer ? b.CreateInBoundsGEP(ptr, function->getArg(1), b.getInt64(buffers++))
                 : b.CreateInBoundsGEP(b.getInt64Ty(), function->getArg(2), b.getInt64(scalars++));
    args.push_back(b.CreateLoad(type, slot));  // little-endian: the low bytes of the slot
    if (!p.buffer) emitter.bind(p.var, arithmetic.from_memory(args.back(), p.var->dtype));
  }
  auto workspace = workspace_of(kernel_name, f);
  if (!workspace.ok()) throw Unsupported{workspace.errors()[0]};
  emitter.take_workspace(*workspace);
  b.CreateRet(b.CreateCall(kernel(kernel_name), args));
  return function;
}

llvm::FunctionCallee ModuleEmitter::runtime(const std::string& name) {
  llvm::IRBuilder<> b(module.getContext());
  llvm::Type *ptr = b.getPtrTy(), *i32 = b.getInt32Ty(), *i64 = b.getInt64Ty();
  llvm::FunctionType* type = nullptr;
  auto signature = [&](llvm::Type* result, std::vector<llvm::Type*> params) {
    type = llvm::FunctionType::get(result, params, false);
  };
  if (name == "repose_rt_fail_in") signature(b.getVoidTy(), {ptr, ptr});
  if (name == "repose_rt_fail") signature(i32, {ptr, i32, ptr, ptr, i32});
  if (name == "repose_rt_count") signature(i32, {ptr, b.getDoubleTy()});
  if (name == "repose_rt_kernel_begins") {
    signature(b.getVoidTy(), {ptr, i32, b.getDoubleTy(), b.getDoubleTy(), b.getDoubleTy()});
  }
  if (name == "repose_rt_kernel_ends") signature(b.getVoidTy(), {ptr});
  if (name == "repose_rt_region") signature(ptr, {ptr, i32, i64});
  if (name == "repose_rt_output") signature(ptr, {ptr, i32, ptr, i32, ptr});
  if (name == "repose_rt_parallel") signature(i32, {ptr, ptr, ptr, i64, i64, ptr, i64});
  if (name == "repose_rt_tvm_ffi_call") signature(i32, {i32, ptr, i32, ptr});
  REPOSE_CHECK(type, "no function of the runtime: " + name);
  return runtime(name, type);
}

llvm::FunctionCallee ModuleEmitter::runtime(const std::string& name, llvm::FunctionType* type) {
  llvm::FunctionCallee callee = module.getOrInsertFunction(name, type);
  auto* function = llvm::cast<llvm::Function>(callee.getCallee());
  function->setVisibility(llvm::GlobalValue::HiddenVisibility);
  function->setDSOLocal(true);
  function->addFnAttr(llvm::Attribute::NoUnwind);
  if (name == "repose_rt_fail") function->addFnAttr(llvm::Attribute::Cold);
  return callee;
}

llvm::GlobalVariable* ModuleEmitter::define_constant(const std::string& name, llvm::Constant* value,
                                                     bool hidden) {
  llvm::Type* type = value ? value->getType() : llvm::Type::getInt8Ty(module.getContext());
  std::string unique = hidden ? name : name + "." + std::to_string(num_constants_++);
  auto* global = llvm::cast<llvm::GlobalVariable>(module.getOrInsertGlobal(unique, type));
  global->setConstant(true);
  global->setInitializer(value);
  if (hidden) {
    global->setVisibility(llvm::GlobalValue::HiddenVisibility);
  } else {
    global->setLinkage(llvm::GlobalValue::PrivateLinkage);
  }
  global->setDSOLocal(true);
  if (value) global->setAlignment(llvm::Align(8));
  return global;
}

llvm::Constant* ModuleEmitter::string(const std::string& text) {
  llvm::Constant*& address = strings_[text];
  if (!address) {
    llvm::GlobalVariable* global =
        define_constant("text", llvm::ConstantDataArray::getString(module.getContext(), text));
    global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    global->setAlignment(llvm::Align(1));
    address = global;
  }
  return address;
}

}  // namespace repose::codegen

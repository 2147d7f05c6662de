// Statements of a function: loops, parallel bodies, memory of its own, failures.
#include "codegen/llvm/emitter.h"
#include "ir/workspace.h"
#include "runtime/abi.h"

namespace repose::codegen {

using llvm::Value;

namespace {

constexpr int64_t max_unrolled_extent = 64;
constexpr int64_t workspace_align_bytes = 64;

bool is_outlined(const tir::ForNode& f, Mode mode) {
  return mode == Mode::kernel && is_parallel(f);
}

// Finds what a statement uses and does not define.
class CaptureFinder {
 public:
  void visit(const tir::Stmt& s);
  Captures take() { return std::move(captures_); }

 private:
  void use(const Expr& e);
  void use(const Buffer& buffer);
  void use(const std::vector<Expr>& list) {
    for (const Expr& e : list) use(e);
  }
  void define(const Var& v) { known_vars_.insert(v.get()); }
  void define(const Buffer& b) { known_buffers_.insert(b.get()); }

  Captures captures_;
  std::unordered_set<const VarNode*> known_vars_;
  std::unordered_set<const BufferNode*> known_buffers_;
  std::unordered_set<const ExprNode*> seen_;
};

void CaptureFinder::use(const Expr& e) {
  if (!e || !seen_.insert(e.get()).second) return;
  if (const auto* v = as<VarNode>(e)) {
    if (known_vars_.insert(v).second) captures_.vars.push_back(Var(v));
  }
  if (const auto* load = as<LoadNode>(e)) use(load->buffer);
  use(e->args);
}

void CaptureFinder::use(const Buffer& buffer) {
  if (!known_buffers_.insert(buffer.get()).second) return;
  captures_.buffers.push_back(buffer);
  use(buffer->shape);
  use(buffer->strides);
  use(buffer->offset_elems);
}

void CaptureFinder::visit(const tir::Stmt& s) {
  switch (s->kind) {
    case tir::StmtKind::seq:
      for (const tir::Stmt& child : tir::as<tir::SeqNode>(s)->stmts) visit(child);
      break;
    case tir::StmtKind::for_: {
      const auto* f = tir::as<tir::ForNode>(s);
      use(f->min);
      use(f->extent);
      for (const auto& [key, value] : f->annotations) {
        if (value.as_expr()) use(*value.as_expr());
      }
      define(f->var);
      visit(f->body);
      break;
    }
    case tir::StmtKind::block:
      REPOSE_CHECK(false, "a block reached code generation");
      break;
    case tir::StmtKind::store: {
      const auto* store = tir::as<tir::StoreNode>(s);
      use(store->buffer);
      use(store->indices);
      use(store->value);
      use(store->predicate);
      break;
    }
    case tir::StmtKind::let: {
      const auto* let = tir::as<tir::LetNode>(s);
      use(let->value);
      define(let->var);
      visit(let->body);
      break;
    }
    case tir::StmtKind::if_: {
      const auto* choice = tir::as<tir::IfNode>(s);
      use(choice->condition);
      visit(choice->then_body);
      if (choice->else_body) visit(choice->else_body);
      break;
    }
    case tir::StmtKind::while_:
      use(tir::as<tir::WhileNode>(s)->condition);
      visit(tir::as<tir::WhileNode>(s)->body);
      break;
    case tir::StmtKind::allocate: {
      const auto* allocate = tir::as<tir::AllocateNode>(s);
      use(allocate->buffer->shape);
      use(allocate->buffer->strides);
      use(allocate->buffer->offset_elems);
      define(allocate->buffer);
      visit(allocate->body);
      break;
    }
    case tir::StmtKind::declare: {
      const auto* declare = tir::as<tir::DeclareNode>(s);
      captures_.declares_views = true;
      use(declare->data);
      use(declare->buffer->shape);
      use(declare->buffer->strides);
      use(declare->buffer->offset_elems);
      define(declare->buffer);
      visit(declare->body);
      break;
    }
    case tir::StmtKind::evaluate:
      use(tir::as<tir::EvaluateNode>(s)->value);
      break;
    case tir::StmtKind::assert_:
      use(tir::as<tir::AssertNode>(s)->condition);
      use(tir::as<tir::AssertNode>(s)->values);
      break;
    case tir::StmtKind::attr:
      visit(tir::as<tir::AttrStmtNode>(s)->body);
      break;
    case tir::StmtKind::return_:
      use(tir::as<tir::ReturnNode>(s)->value);
      break;
  }
}

}  // namespace

Captures captures_of(const tir::Stmt& s) {
  CaptureFinder finder;
  finder.visit(s);
  return finder.take();
}

FunctionEmitter::FunctionEmitter(ModuleEmitter& owner, llvm::Function* function, Mode mode)
    : owner_(owner),
      function_(function),
      mode_(mode),
      b_(llvm::BasicBlock::Create(function->getContext(), "entry", function)),
      arithmetic_(b_, owner.module, owner.target),
      frame_(function->getArg(0)) {}

llvm::BasicBlock* FunctionEmitter::block(const std::string& name) {
  return llvm::BasicBlock::Create(b_.getContext(), name, function_);
}

llvm::AllocaInst* FunctionEmitter::stack(llvm::Type* type, int64_t count, int align_bytes,
                                         const std::string& name) {
  llvm::BasicBlock& entry = function_->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  llvm::Type* array = llvm::ArrayType::get(type, static_cast<uint64_t>(count));
  llvm::AllocaInst* a = at_entry.CreateAlloca(array, nullptr, name);
  a->setAlignment(llvm::Align(static_cast<uint64_t>(align_bytes)));
  return a;
}

void FunctionEmitter::run(const tir::Stmt& body) {
  plan_workspace(body);
  emit(body);
  if (!is_terminated()) b_.CreateRet(b_.getInt32(0));
  finish_parts();
}

// Buffers lie one after another in the memory that the caller reserved, so that none depends on
// when another one lives. That of parallel loops begins behind them. Host functions use the stack
// alone.
void FunctionEmitter::plan_workspace(const tir::Stmt& body) {
  const FunctionMemory memory = memory_of_function(body, mode_ == Mode::parallel_body);
  const bool is_kernel = mode_ == Mode::kernel || mode_ == Mode::parallel_body;
  if (memory.on_stack || !is_kernel) {
    for (const Allocation& a : memory.allocations) {
      workspace_[a.buffer.get()] =
          stack(b_.getInt8Ty(), std::max<int64_t>(constant_bytes(a.buffer), 1),
                workspace_align_bytes, a.buffer->name);
    }
    return;
  }
  Scope scope(*this);
  workspace_end_ = workspace_begin();
  for (const Allocation& a : memory.allocations) {
    workspace_[a.buffer.get()] = workspace_end_;
    Value* padded = b_.CreateNSWAdd(emit_index(a.bytes), b_.getInt64(workspace_align_bytes - 1));
    padded = b_.CreateAnd(padded, b_.getInt64(~static_cast<uint64_t>(workspace_align_bytes - 1)));
    workspace_end_ =
        b_.CreateInBoundsGEP(b_.getInt8Ty(), workspace_end_, padded, a.buffer->name + "_end");
  }
}

void FunctionEmitter::take_workspace(const Workspace& workspace) {
  if (workspace.is_empty()) return;
  Scope scope(*this);
  const Var num_threads = make_var("num_threads");
  bind_num_threads(num_threads);
  Value* bytes = emit_index(total_bytes(workspace, num_threads));
  Value* base = b_.CreateCall(owner_.runtime("repose_rt_region"), {frame_, b_.getInt32(0), bytes});
  Value* none = b_.CreateICmpEQ(base, llvm::Constant::getNullValue(b_.getPtrTy()));
  return_if_nonzero(b_.CreateSelect(none, b_.getInt32(REPOSE_RT_OUT_OF_MEMORY), b_.getInt32(0)));
  b_.CreateStore(base, field(frame_workspace));
}

Value* FunctionEmitter::field(FrameField i) {
  return b_.CreateStructGEP(owner_.frame_type, frame_, i);
}

void FunctionEmitter::bind_num_threads(const Var& var) {
  bind(var, b_.CreateLoad(b_.getInt64Ty(), field(frame_num_threads)));
}

Value* FunctionEmitter::workspace_begin() {
  return b_.CreateLoad(b_.getPtrTy(), field(frame_workspace));
}

void FunctionEmitter::emit(const tir::Stmt& s) {
  if (is_terminated()) return;  // behind a return
  split_if_long();
  switch (s->kind) {
    case tir::StmtKind::seq:
      for (const tir::Stmt& child : tir::as<tir::SeqNode>(s)->stmts) emit(child);
      break;
    case tir::StmtKind::for_:
      emit_for(*tir::as<tir::ForNode>(s));
      break;
    case tir::StmtKind::block:
      REPOSE_CHECK(false, "a block reached code generation");
      break;
    case tir::StmtKind::store:
      emit_store(*tir::as<tir::StoreNode>(s));
      break;
    case tir::StmtKind::let: {
      const auto* let = tir::as<tir::LetNode>(s);
      {
        Scope scope(*this);
        bind(let->var, emit(let->value));
      }
      if (let->value->dtype.is_index() && is_nonnegative(let->value))
        nonnegative_.insert(let->var.get());
      if (moves(let->value)) moving_.insert(let->var.get());
      emit(let->body);
      break;
    }
    case tir::StmtKind::if_:
      emit_if(*tir::as<tir::IfNode>(s));
      break;
    case tir::StmtKind::while_:
      emit_while(*tir::as<tir::WhileNode>(s));
      break;
    case tir::StmtKind::allocate: {
      const auto* allocate = tir::as<tir::AllocateNode>(s);
      const Buffer& buffer = allocate->buffer;
      if (lives_on_stack(buffer)) {
        int64_t count = std::max<int64_t>(constant_bytes(buffer) / buffer->dtype.size_bytes(), 1);
        bind(buffer, stack(arithmetic_.memory_type(buffer->dtype), count, workspace_align_bytes,
                           buffer->name));
      } else {
        bind(buffer, workspace_.at(buffer.get()));
      }
      emit(allocate->body);
      break;
    }
    case tir::StmtKind::declare: {
      const auto* declare = tir::as<tir::DeclareNode>(s);
      {
        Scope scope(*this);
        bind(declare->buffer, emit(declare->data));
      }
      emit(declare->body);
      break;
    }
    case tir::StmtKind::evaluate: {
      Scope scope(*this);
      emit(tir::as<tir::EvaluateNode>(s)->value);
      break;
    }
    case tir::StmtKind::assert_:
      emit_assert(*tir::as<tir::AssertNode>(s));
      break;
    case tir::StmtKind::attr:
      emit(tir::as<tir::AttrStmtNode>(s)->body);
      break;
    case tir::StmtKind::return_: {
      Scope scope(*this);
      const Expr& value = tir::as<tir::ReturnNode>(s)->value;
      Value* status = value && value->dtype.is_any_int() ? emit(value) : b_.getInt32(0);
      b_.CreateRet(b_.CreateSExtOrTrunc(status, b_.getInt32Ty()));
      break;
    }
  }
}

void FunctionEmitter::emit_for(const tir::ForNode& f) {
  REPOSE_CHECK(f.loop_kind != tir::ForKind::vectorized,
               "a vectorized loop reached code generation");
  if (f.loop_kind == tir::ForKind::thread_binding) {
    throw Unsupported{error(DiagnosticKind::unsupported_feature, f.span,
                            "loop over `{}`: the CPU has no such threads", f.thread)};
  }
  if (is_nonnegative(f.min)) nonnegative_.insert(f.var.get());
  if (is_outlined(f, mode_)) return emit_parallel(f);
  Value *begin = nullptr, *extent = nullptr;
  {
    Scope scope(*this);
    begin = emit(f.min);
    extent = emit(f.extent);
  }
  int64_t count = 0;
  bool known = as_const_int(f.extent, &count);
  if (known &&
      (count == 1 || (f.loop_kind == tir::ForKind::unrolled && count <= max_unrolled_extent))) {
    if (moves(f.min)) moving_.insert(f.var.get());
    for (int64_t i = 0; i < count && !is_terminated(); ++i) {
      bind(f.var, b_.CreateNSWAdd(
                      begin, llvm::ConstantInt::get(begin->getType(), static_cast<uint64_t>(i))));
      const Branch branch(*this);
      emit(f.body);
    }
    return;
  }
  emit_loop(f, begin, b_.CreateNSWAdd(begin, extent));
}

// The test stands at the end, so that what does not change can be hoisted between guard and body.
void FunctionEmitter::emit_loop(const tir::ForNode& f, Value* begin, Value* end) {
  llvm::BasicBlock *body = block(f.var->name), *after = block("after_" + f.var->name);
  llvm::BasicBlock* preheader = block("enter_" + f.var->name);
  b_.CreateCondBr(b_.CreateICmpSLT(begin, end), preheader, after);
  b_.SetInsertPoint(preheader);
  b_.CreateBr(body);
  b_.SetInsertPoint(body);
  llvm::PHINode* i = b_.CreatePHI(begin->getType(), 2, f.var->name);
  i->addIncoming(begin, preheader);
  bind(f.var, i);
  const auto outside = std::exchange(moving_, {f.var.get()});
  {
    const Branch branch(*this);
    emit(f.body);
  }
  moving_ = outside;
  if (!is_terminated()) {
    Value* next = b_.CreateNSWAdd(i, llvm::ConstantInt::get(i->getType(), 1));
    i->addIncoming(next, b_.GetInsertBlock());
    b_.CreateCondBr(b_.CreateICmpSLT(next, end), body, after);
  }
  b_.SetInsertPoint(after);
}

void FunctionEmitter::emit_parallel(const tir::ForNode& f) {
  Captures captures = captures_of(f.body);
  auto is_own = [&](const Var& v) { return v.get() == f.var.get() || !vars_.contains(v.get()); };
  std::erase_if(captures.vars, is_own);
  std::vector<llvm::Type*> fields;
  std::vector<Value*> values;
  Value *min = nullptr, *extent = nullptr, *grain = b_.getInt64(1);
  Value *workspaces = llvm::Constant::getNullValue(b_.getPtrTy()), *bytes = b_.getInt64(0);
  {
    Scope scope(*this);
    auto as_i64 = [&](Value* v) { return b_.CreateSExtOrTrunc(v, b_.getInt64Ty()); };
    min = as_i64(emit(f.min));
    extent = as_i64(emit(f.extent));
    if (const Attr* a = f.annotations.find("grain")) {
      grain = a->as_expr() ? as_i64(emit(*a->as_expr()))
                           : b_.getInt64(static_cast<uint64_t>(f.annotations.get_int("grain", 1)));
      grain = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, grain, b_.getInt64(1));
    }
    const FunctionMemory memory = memory_of_function(f.body, /*in_parallel=*/true);
    if (!memory.on_stack) {
      workspaces = workspace_end_ ? workspace_end_ : workspace_begin();
      bytes = emit_index(total_bytes(memory));
    }
  }
  values.push_back(min);
  for (const Var& v : captures.vars) values.push_back(vars_.at(v.get()));
  for (const Buffer& b : captures.buffers) values.push_back(data_of(b));
  for (Value* v : values) fields.push_back(v->getType());
  auto* closure_type = llvm::StructType::get(b_.getContext(), fields);
  llvm::Function* piece = outline(f, captures, closure_type);

  Value* closure = stack(closure_type, 1, 8, "closure");
  for (size_t i = 0; i < values.size(); ++i) {
    b_.CreateStore(values[i], b_.CreateStructGEP(closure_type, closure, static_cast<unsigned>(i)));
  }
  return_if_nonzero(b_.CreateCall(owner_.runtime("repose_rt_parallel"),
                                  {frame_, piece, closure, extent, grain, workspaces, bytes}));
}

// Two functions: one with the runtime's signature that unpacks the closure, and one with the body,
// whose parameters say that buffers do not alias (loads from a closure could not).
llvm::Function* FunctionEmitter::outline(const tir::ForNode& f, const Captures& captures,
                                         llvm::StructType* closure_type) {
  llvm::LLVMContext& context = b_.getContext();
  llvm::Type *ptr = b_.getPtrTy(), *i64 = b_.getInt64Ty(), *i32 = b_.getInt32Ty();
  std::string name = function_->getName().str() + ".parallel" + std::to_string(parallel_bodies_++);
  std::vector<llvm::Type*> types{ptr};
  types.insert(types.end(), closure_type->element_begin(), closure_type->element_end());
  types.insert(types.end(), {i64, i64});
  auto* body =
      llvm::Function::Create(llvm::FunctionType::get(i32, types, false),
                             llvm::Function::InternalLinkage, name + ".body", owner_.module);
  body->addFnAttr(llvm::Attribute::NoUnwind);
  body->addFnAttr(llvm::Attribute::NoInline);

  FunctionEmitter inner(owner_, body, Mode::parallel_body);
  inner.nonnegative_ = nonnegative_;
  unsigned arg = 2;
  for (const Var& v : captures.vars) {
    body->getArg(arg)->setName(v->name);
    inner.bind(v, body->getArg(arg++));
  }
  for (const Buffer& b : captures.buffers) {
    llvm::Argument* a = body->getArg(arg++);
    a->setName(b->name);
    auto* outer = llvm::dyn_cast<llvm::Argument>(data_of(b));
    bool separate = outer ? outer->hasNoAliasAttr() : llvm::isa<llvm::AllocaInst>(data_of(b));
    if (separate && !captures.declares_views) a->addAttr(llvm::Attribute::NoAlias);
    inner.bind(b, a);
  }
  inner.plan_workspace(f.body);
  Value* min = body->getArg(1);
  Value* begin = inner.b_.CreateNSWAdd(min, body->getArg(arg));
  Value* end = inner.b_.CreateNSWAdd(min, body->getArg(arg + 1));
  llvm::Type* counter = arithmetic_.register_type(f.var->dtype);
  inner.emit_loop(f, inner.b_.CreateTrunc(begin, counter), inner.b_.CreateTrunc(end, counter));
  if (!inner.is_terminated()) inner.b_.CreateRet(inner.b_.getInt32(0));

  auto* piece = llvm::Function::Create(llvm::FunctionType::get(i32, {ptr, ptr, i64, i64}, false),
                                       llvm::Function::InternalLinkage, name, owner_.module);
  piece->addFnAttr(llvm::Attribute::NoUnwind);
  llvm::IRBuilder<> b(llvm::BasicBlock::Create(context, "entry", piece));
  std::vector<Value*> args{piece->getArg(0)};
  for (unsigned i = 0; i < closure_type->getNumElements(); ++i) {
    args.push_back(b.CreateLoad(closure_type->getElementType(i),
                                b.CreateStructGEP(closure_type, piece->getArg(1), i)));
  }
  args.insert(args.end(), {piece->getArg(2), piece->getArg(3)});
  b.CreateRet(b.CreateCall(body, args));
  return piece;
}

void FunctionEmitter::emit_store(const tir::StoreNode& s) {
  Scope scope(*this);
  Value* mask = s.predicate ? emit(s.predicate) : nullptr;
  int lanes = 1;
  for (const Expr& i : s.indices) lanes = std::max<int>(lanes, i->dtype.lanes);
  Value* value = nullptr;
  Memory memory;
  if (mask) {  // what is not written may not be readable either
    Value* before = std::exchange(mask_, mask);
    value = emit(s.value);
    check_bounds(s.buffer, s.indices, mask);
    memory = locate(s.buffer, s.indices);
    mask_ = before;
  } else {
    value = emit(s.value);
    check_bounds(s.buffer, s.indices, nullptr);
    memory = locate(s.buffer, s.indices);
  }
  if (s.value->dtype.lanes == 1 && lanes > 1) value = arithmetic_.splat(value, lanes);
  if (mask && s.predicate->dtype.lanes == 1 && lanes > 1) mask = arithmetic_.splat(mask, lanes);
  store(memory, s.buffer->dtype.with_lanes(lanes), value, mask);
}

void FunctionEmitter::emit_if(const tir::IfNode& s) {
  Value* condition = nullptr;
  {
    Scope scope(*this);
    condition = emit(s.condition);
  }
  llvm::BasicBlock *yes = block("then"), *after = block("after_if");
  llvm::BasicBlock* no = s.else_body ? block("else") : after;
  b_.CreateCondBr(condition, yes, no);
  auto emit_branch = [&](llvm::BasicBlock* begin, const tir::Stmt& body) {
    const Branch branch(*this);
    b_.SetInsertPoint(begin);
    emit(body);
    if (!is_terminated()) b_.CreateBr(after);
  };
  emit_branch(yes, s.then_body);
  if (s.else_body) emit_branch(no, s.else_body);
  b_.SetInsertPoint(after);
}

void FunctionEmitter::emit_while(const tir::WhileNode& s) {
  llvm::BasicBlock *test = block("while"), *body = block("while_body"),
                   *after = block("after_while");
  b_.CreateBr(test);
  b_.SetInsertPoint(test);
  Value* condition = nullptr;
  {
    Scope scope(*this);
    condition = emit(s.condition);
  }
  b_.CreateCondBr(condition, body, after);
  b_.SetInsertPoint(body);
  const Branch branch(*this);
  emit(s.body);
  if (!is_terminated()) b_.CreateBr(test);
  b_.SetInsertPoint(after);
}

void FunctionEmitter::emit_assert(const tir::AssertNode& s) {
  Scope scope(*this);
  Value* holds = emit(s.condition);
  if (auto* c = llvm::dyn_cast<llvm::ConstantInt>(holds); c && c->isOne()) return;
  // The values are computed where they are needed; sizes that overflow fail before they are shown.
  llvm::BasicBlock *failed = block("assert_failed"), *after = block("asserted");
  b_.CreateCondBr(holds, after, failed);
  b_.SetInsertPoint(failed);
  const Branch branch(*this);
  std::vector<Value*> values;
  for (const Expr& e : s.values)
    values.push_back(arithmetic_.cast(dtypes::int64, e->dtype, emit(e)));
  fail_if(b_.getTrue(), REPOSE_RT_REFUSED, s.message, values);
  b_.CreateBr(after);
  b_.SetInsertPoint(after);
}

void FunctionEmitter::fail_if(Value* failed, int status, const std::string& message,
                              const std::vector<Value*>& values) {
  llvm::BasicBlock *fail = block("fail"), *after = block("passed");
  b_.CreateCondBr(failed, fail, after);
  b_.SetInsertPoint(fail);
  Value* array = llvm::Constant::getNullValue(b_.getPtrTy());
  if (!values.empty()) {
    array = stack(b_.getInt64Ty(), static_cast<int64_t>(values.size()), 8, "values");
    for (size_t i = 0; i < values.size(); ++i) {
      b_.CreateStore(values[i], b_.CreateInBoundsGEP(b_.getInt64Ty(), array, b_.getInt64(i)));
    }
  }
  b_.CreateCall(owner_.runtime("repose_rt_fail"),
                {frame_, b_.getInt32(static_cast<uint32_t>(status)), owner_.string(message), array,
                 b_.getInt32(static_cast<uint32_t>(values.size()))});
  b_.CreateRet(b_.getInt32(static_cast<uint32_t>(status)));
  b_.SetInsertPoint(after);
}

void FunctionEmitter::return_if_nonzero(Value* status, const std::string& origin) {
  llvm::BasicBlock *fail = block("return_status"), *after = block("passed");
  b_.CreateCondBr(b_.CreateICmpEQ(status, b_.getInt32(0)), after, fail);
  b_.SetInsertPoint(fail);
  if (!origin.empty()) {
    b_.CreateCall(owner_.runtime("repose_rt_fail_in"), {frame_, owner_.string(origin)});
  }
  b_.CreateRet(status);
  b_.SetInsertPoint(after);
}

}  // namespace repose::codegen

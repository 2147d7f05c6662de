// Statements as nodes that run in a frame.
#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "interp/program_code.h"

namespace repose::interp {

namespace {

using namespace tir;
using repose::as;
using tir::as;

struct SeqCode : StmtCode {
  SeqCode(const Span& span, std::vector<const StmtCode*> stmts)
      : StmtCode(span), stmts(std::move(stmts)) {}
  bool run(Frame& frame) const override {
    for (const StmtCode* s : stmts) {
      if (s->run(frame)) return true;
    }
    return false;
  }
  bool run_inits(Frame& frame) const override {
    for (const StmtCode* s : stmts) {
      if (s->run_inits(frame)) return true;
    }
    return false;
  }
  const std::vector<const StmtCode*> stmts;
};

struct ForCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    const int64_t first = min->run(frame).i, count = extent->run(frame).i;
    if (count <= 0 && reduces) return run_inits(frame);
    return loop(frame, first, count, [&] { return body->run(frame); });
  }
  bool run_inits(Frame& frame) const override {
    enter(frame);
    const int64_t first = min->run(frame).i;
    const int64_t count = reduces ? 1 : extent->run(frame).i;
    return loop(frame, first, count, [&] { return body->run_inits(frame); });
  }
  template <class Body>
  bool loop(Frame& frame, int64_t first, int64_t count, const Body& iteration) const {
    int64_t last = 0;
    if (count > 0 && __builtin_add_overflow(first, count - 1, &last)) {
      frame.fail_arithmetic(extent->source);
    }
    for (int64_t i = 0; i < count; ++i) {
      frame.machine.limits().step(span);
      frame.slots[slot] = Scalar::of_int(first + i, dtype);
      if (iteration()) return true;
    }
    return false;
  }
  int slot = 0;
  DType dtype;
  bool reduces = false;  // only reduction axes of the blocks inside depend on the variable
  const ExprCode *min = nullptr, *extent = nullptr;
  const StmtCode* body = nullptr;
};

struct AllocationCode {
  BufferCode buffer;

  void open(Frame& frame) const {
    std::vector<int64_t> shape = eval_all(frame, buffer.shape);
    const Buffer& b = buffer.buffer;
    if (!b->strides.empty() || b->offset_elems) {
      const std::vector<int64_t> strides = eval_all(frame, buffer.strides);
      int64_t end = buffer.offset ? buffer.offset->run(frame).i : 0;
      const std::vector<int64_t> compact = compact_strides(shape);
      bool is_empty = false;
      for (size_t d = 0; d < shape.size(); ++d) {
        const int64_t stride = strides.empty() ? compact[d] : strides[d];
        is_empty = is_empty || shape[d] == 0;
        int64_t way = 0;
        if (__builtin_mul_overflow(shape[d] - 1, stride, &way) ||
            __builtin_add_overflow(end, way, &end)) {
          frame.fail_arithmetic(b->shape[d]);
        }
      }
      shape = {is_empty ? 0 : end + 1};
    }
    const int64_t bytes =
        frame.machine.limits().checked_bytes(shape, b->dtype, b->name, *frame.span);
    std::vector<std::byte>& memory = frame.allocated[buffer.view];
    memory.assign(static_cast<size_t>(bytes), std::byte{0xff});  // NaN, -1, true: not initialised
    Scalar& handle = frame.handles[buffer.view];
    const Memory now{memory.data(), bytes, nullptr, true};
    if (!handle.dtype) {
      handle = Scalar{dtypes::handle, 0, static_cast<double>(frame.machine.add_memory(now))};
    }
    frame.machine.memory(handle, *frame.span) = now;
    open_view(frame, buffer, handle);
  }
};

struct AllocateCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    allocation.open(frame);
    return body->run(frame);
  }
  bool run_inits(Frame& frame) const override {
    enter(frame);
    allocation.open(frame);
    return body->run_inits(frame);
  }
  AllocationCode allocation;
  const StmtCode* body = nullptr;
};

struct DeclareCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    open(frame);
    return body->run(frame);
  }
  bool run_inits(Frame& frame) const override {
    open(frame);
    return body->run_inits(frame);
  }
  void open(Frame& frame) const {
    enter(frame);
    open_view(frame, buffer, data->run(frame));
  }
  BufferCode buffer;
  const ExprCode* data = nullptr;
  const StmtCode* body = nullptr;
};

struct StoreCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    if (lanes == 1) {
      const Scalar v = value->run(frame);
      if (!predicate || predicate->run(frame).i) write(frame, 0, v);
      return false;
    }
    std::vector<Scalar> values;  // all are read before one is written
    for (int lane = 0; lane < lanes; ++lane) values.push_back(value->run(frame, lane));
    for (int lane = 0; lane < lanes; ++lane) {
      if (!predicate || predicate->run(frame, lane).i) write(frame, lane, values[lane]);
    }
    return false;
  }
  void write(Frame& frame, int lane, const Scalar& v) const {
    ++frame.time;
    const int64_t i = place.element(frame, lane);
    View& view = frame.views[place.view];
    if (!view.is_writable) {
      frame.fail(DiagnosticKind::ill_formed, "stores to buffer `{}`, which is an operand",
                 frame.code.buffers[place.view]->name);
    }
    view.cells.store(i, v);
    if (view.written) {
      const DType dtype = view.cells.dtype;
      std::memset(view.written + dtype.offset_bytes(i), 1, static_cast<size_t>(dtype.size_bytes()));
    }
  }
  PlaceCode place;
  int lanes = 1;
  const ExprCode *value = nullptr, *predicate = nullptr;
};

struct LetCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    assign(frame);
    return body->run(frame);
  }
  bool run_inits(Frame& frame) const override {
    assign(frame);
    return body->run_inits(frame);
  }
  void assign(Frame& frame) const {
    enter(frame);
    for (int lane = 0; lane < value->lanes; ++lane) {
      frame.slots[slot + lane] = value->run(frame, lane);
    }
  }
  int slot = 0;
  const ExprCode* value = nullptr;
  const StmtCode* body = nullptr;
};

struct IfCode : StmtCode {
  using StmtCode::StmtCode;
  const StmtCode* chosen(Frame& frame) const {
    enter(frame);
    return condition->run(frame).i ? then_body : else_body;
  }
  bool run(Frame& frame) const override {
    const StmtCode* s = chosen(frame);
    return s && s->run(frame);
  }
  bool run_inits(Frame& frame) const override {
    const StmtCode* s = chosen(frame);
    return s && s->run_inits(frame);
  }
  const ExprCode* condition = nullptr;
  const StmtCode *then_body = nullptr, *else_body = nullptr;
};

struct WhileCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    while (true) {
      enter(frame);
      frame.machine.limits().step(span);
      if (!condition->run(frame).i) return false;
      if (body->run(frame)) return true;
    }
  }
  const ExprCode* condition = nullptr;
  const StmtCode* body = nullptr;
};

struct EvaluateCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    if (value) value->run(frame);
    return false;
  }
  const ExprCode* value = nullptr;
};

struct AssertCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    if (condition->run(frame).i) return false;
    std::vector<std::string> texts;
    for (const ExprCode* v : values) texts.push_back(to_string(v->run(frame)));
    frame.fail_text(DiagnosticKind::run_time_check, fill_in(message, texts));
  }
  const ExprCode* condition = nullptr;
  std::string message;
  std::vector<const ExprCode*> values;
};

struct ReturnCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    enter(frame);
    const int64_t status = value ? value->run(frame).i : 0;
    if (status) frame.fail(DiagnosticKind::run_time_check, "returns the status {}", status);
    return true;
  }
  const ExprCode* value = nullptr;
};

// A view of a region: the source's strides, so that the region need not be compact where the view
// binds its strides.
struct ViewCode {
  BufferCode buffer;
  int source = 0;
  std::vector<const ExprCode*> corner, extents;
  std::vector<int> stride_slots;  // symbols that the view binds; -1: none
  int offset_slot = -1;

  void open(Frame& frame) const {
    const View& whole = frame.views[source];
    const std::vector<int64_t> box = eval_all(frame, extents);
    const PlaceCode place{source, corner};
    const int64_t at = place.element_unchecked(frame);
    const size_t rank = buffer.shape.size();
    const std::string& name = buffer.buffer->name;
    if (rank > box.size()) fail_region(frame);
    const size_t skipped = box.size() - rank;
    for (size_t d = 0; d < rank; ++d) {
      if (stride_slots[d] < 0) continue;
      frame.slots[stride_slots[d]] = Scalar::of_int(whole.strides[skipped + d], dtypes::index);
    }
    if (offset_slot >= 0) frame.slots[offset_slot] = Scalar::of_int(at, dtypes::index);
    const std::vector<int64_t> shape = eval_all(frame, buffer.shape);
    for (size_t d = 0; d < box.size(); ++d) {
      if (box[d] != (d < skipped ? 1 : shape[d - skipped])) fail_region(frame);
    }
    std::vector<int64_t> strides = eval_all(frame, buffer.strides);
    if (strides.empty()) strides = compact_strides(shape);
    for (size_t d = 0; d < rank; ++d) {
      if (shape[d] <= 1 || strides[d] == whole.strides[skipped + d]) continue;
      frame.fail(DiagnosticKind::ill_formed,
                 "view `{}` has stride {} in dimension {}, its region of `{}` has {}", name,
                 strides[d], d, frame.code.buffers[source]->name, whole.strides[skipped + d]);
    }
    View& view = frame.views[buffer.view];
    copy_memory(whole, view);
    view.shape = shape;
    view.strides = std::move(strides);
    view.offset = at;
  }
  [[noreturn]] void fail_region(Frame& frame) const {
    frame.fail(DiagnosticKind::ill_formed, "view `{}` has another shape than its region of `{}`",
               buffer.buffer->name, frame.code.buffers[source]->name);
  }
  static void copy_memory(const View& from, View& to) {
    to.cells.dtype = from.cells.dtype;
    to.cells.bytes = from.cells.bytes;
    to.cells.num_bytes = from.cells.num_bytes;
    to.count = from.count;
    to.origin_bytes = from.origin_bytes;
    to.memory = from.memory;
    to.written = from.written;
    to.is_writable = from.is_writable;
  }
};

struct AxisCode {
  int slot;
  DType dtype;
  bool reduces;
  const ExprCode *min, *extent, *value;
};

struct BlockCode : StmtCode {
  using StmtCode::StmtCode;
  bool run(Frame& frame) const override {
    bind_axes(frame);
    if (predicate && !predicate->run(frame).i) return false;
    bool is_first = true;
    for (const AxisCode& axis : axes) {
      const int64_t v = frame.slots[axis.slot].i, low = axis.min->run(frame).i;
      if (v < low || v - low >= axis.extent->run(frame).i) fail_axis(frame, axis, v);
      if (axis.reduces && v != low) is_first = false;
    }
    open_buffers(frame);
    if (init && is_first && init->run(frame)) return true;
    return body->run(frame);
  }
  bool run_inits(Frame& frame) const override {
    bind_axes(frame);
    if (init_predicate && !init_predicate->run(frame).i) return false;
    for (const AxisCode& axis : axes) {
      if (axis.reduces && frame.slots[axis.slot].i != axis.min->run(frame).i) return false;
    }
    open_buffers(frame);
    return init ? init->run(frame) : body->run_inits(frame);
  }
  void bind_axes(Frame& frame) const {
    enter(frame);
    for (const AxisCode& axis : axes) {
      frame.slots[axis.slot] = Scalar::of_int(axis.value->run(frame).i, axis.dtype);
    }
  }
  void open_buffers(Frame& frame) const {
    for (const AllocationCode& a : allocations) a.open(frame);
    for (const ViewCode& v : views) v.open(frame);
  }
  [[noreturn]] void fail_axis(Frame& frame, const AxisCode& axis, int64_t v) const {
    frame.fail(DiagnosticKind::out_of_bounds,
               "an axis of block `{}` is `{}` = {}, outside of [{}, {})", name,
               repose::to_string(axis.value->source), v, axis.min->run(frame).i,
               axis.min->run(frame).i + axis.extent->run(frame).i);
  }
  std::string name;
  std::vector<AxisCode> axes;
  const ExprCode* predicate = nullptr;
  const ExprCode* init_predicate = nullptr;  // without what reductions over nothing leave undefined
  std::vector<AllocationCode> allocations;
  std::vector<ViewCode> views;
  const StmtCode *init = nullptr, *body = nullptr;
};

// ---- Translation --------------------------------------------------------------------------------

// Does `v` occur in reduction axes of blocks with an init, and in no other axis of those?
bool is_reduction_loop(const VarNode* v, const Stmt& body) {
  bool reduces = false, other = false;
  const Var var(v);
  visit_stmts(body, [&](const Stmt& s) {
    const auto* block = as<BlockNode>(s);
    if (!block || !block->init) return true;
    for (const IterVar& iter : block->iters) {
      if (!uses_var(iter.value, var)) continue;
      (iter.kind == IterKind::reduce ? reduces : other) = true;
    }
    return true;
  });
  return reduces && !other;
}

class Translator {
 public:
  Translator(ProgramCode& code) : code_(code), exprs_(code) {}

  void run() {
    const PrimFuncNode& f = *code_.func;
    exprs_.span = f.span;
    code_.symbols = bound_symbols(f);
    for (const Param& p : f.params) {
      code_.params.push_back({p.var, p.var ? exprs_.bind(p.var) : -1, nullptr});
    }
    for (const Var& v : code_.symbols) code_.symbol_slots.push_back(exprs_.bind(v));
    for (size_t i = 0; i < f.params.size(); ++i) {
      if (!f.params[i].buffer) continue;
      code_.params[i].buffer = std::make_unique<BufferCode>(buffer(f.params[i].buffer));
    }
    code_.body = stmt(f.body);
  }

 private:
  ProgramCode& code_;
  ExprTranslator exprs_;
  std::unordered_set<const VarNode*> reductions_;  // loops and axes of reductions

  template <class T>
  T* add() {
    auto node = std::make_unique<T>(exprs_.span);
    T* result = node.get();
    code_.stmts.push_back(std::move(node));
    return result;
  }
  std::vector<const ExprCode*> all(const std::vector<Expr>& list) {
    std::vector<const ExprCode*> result;
    for (const Expr& e : list) result.push_back(exprs_.translate(e));
    return result;
  }

  BufferCode buffer(const Buffer& b) {
    if (b->dtype.is_vector()) {
      exprs_.fail(DiagnosticKind::unsupported_feature, "buffer `{}` has elements of dtype {}",
                  b->name, b->dtype.to_string());
    }
    BufferCode result{b, exprs_.declare(b), all(b->shape), all(b->strides)};
    if (b->offset_elems) result.offset = exprs_.translate(b->offset_elems);
    return result;
  }

  const StmtCode* stmt(const Stmt& s) {
    if (!s) return nullptr;
    const Span saved = exprs_.span;
    if (s->span) exprs_.span = s->span;
    const StmtCode* result = translate(s);
    exprs_.span = saved;
    return result;
  }

  const StmtCode* translate(const Stmt& s) {
    switch (s->kind) {
      case StmtKind::seq: {
        std::vector<const StmtCode*> stmts;
        for (const Stmt& each : as<SeqNode>(s)->stmts) stmts.push_back(stmt(each));
        code_.stmts.push_back(std::make_unique<SeqCode>(exprs_.span, std::move(stmts)));
        return code_.stmts.back().get();
      }
      case StmtKind::for_:
        return translate(*as<ForNode>(s));
      case StmtKind::block:
        return translate(*as<BlockNode>(s));
      case StmtKind::store:
        return translate(*as<StoreNode>(s));
      case StmtKind::let: {
        const auto* let = as<LetNode>(s);
        auto* code = add<LetCode>();
        code->value = exprs_.translate(let->value);
        if (let->var->dtype != let->value->dtype) {
          exprs_.fail(DiagnosticKind::dtype_mismatch,
                      "variable `{}` has dtype {}, its value has {}", let->var->name,
                      let->var->dtype.to_string(), let->value->dtype.to_string());
        }
        code->slot = exprs_.bind(let->var);
        code->body = stmt(let->body);
        return code;
      }
      case StmtKind::if_: {
        const auto* branch = as<tir::IfNode>(s);
        auto* code = add<IfCode>();
        code->condition = exprs_.translate(branch->condition);
        code->then_body = stmt(branch->then_body);
        code->else_body = stmt(branch->else_body);
        return code;
      }
      case StmtKind::while_: {
        auto* code = add<WhileCode>();
        code->condition = exprs_.translate(as<WhileNode>(s)->condition);
        code->body = stmt(as<WhileNode>(s)->body);
        return code;
      }
      case StmtKind::allocate: {
        auto* code = add<AllocateCode>();
        code->allocation.buffer = buffer(as<AllocateNode>(s)->buffer);
        code->body = stmt(as<AllocateNode>(s)->body);
        return code;
      }
      case StmtKind::declare: {
        const auto* declaration = as<DeclareNode>(s);
        auto* code = add<DeclareCode>();
        code->data = exprs_.translate(declaration->data);
        code->buffer = buffer(declaration->buffer);
        code->body = stmt(declaration->body);
        return code;
      }
      case StmtKind::evaluate: {
        auto* code = add<EvaluateCode>();
        const Expr& value = as<EvaluateNode>(s)->value;
        if (value) code->value = exprs_.translate(value);
        return code;
      }
      case StmtKind::assert_: {
        const auto* assertion = as<AssertNode>(s);
        auto* code = add<AssertCode>();
        code->condition = exprs_.translate(assertion->condition);
        code->message = assertion->message;
        code->values = all(assertion->values);
        return code;
      }
      case StmtKind::attr:
        return stmt(as<AttrStmtNode>(s)->body);
      case StmtKind::return_: {
        auto* code = add<ReturnCode>();
        const Expr& value = as<ReturnNode>(s)->value;
        if (value) code->value = exprs_.translate(value);
        return code;
      }
    }
    REPOSE_CHECK(false, "every kind of statement is translated");
  }

  const StmtCode* translate(const ForNode& loop) {
    auto* code = add<ForCode>();
    code->min = exprs_.translate(loop.min);
    code->extent = exprs_.translate(loop.extent);
    code->slot = exprs_.bind(loop.var);
    code->dtype = loop.var->dtype;
    code->reduces = is_reduction_loop(loop.var.get(), loop.body);
    if (code->reduces) reductions_.insert(loop.var.get());
    code->body = stmt(loop.body);
    return code;
  }

  const StmtCode* translate(const StoreNode& store) {
    auto* code = add<StoreCode>();
    code->place = {exprs_.view_of(store.buffer), all(store.indices)};
    code->value = exprs_.translate(store.value);
    for (const Expr& i : store.indices) code->lanes = std::max<int>(code->lanes, i->dtype.lanes);
    if (store.indices.size() != store.buffer->shape.size() ||
        store.value->dtype.element() != store.buffer->dtype ||
        (code->lanes != store.value->dtype.lanes && store.value->dtype.is_vector())) {
      exprs_.fail(DiagnosticKind::dtype_mismatch,
                  "a value of dtype {} is stored to `{}` of rank {} and dtype {} with {} indices",
                  store.value->dtype.to_string(), store.buffer->name, store.buffer->shape.size(),
                  store.buffer->dtype.to_string(), store.indices.size());
    }
    if (store.predicate) code->predicate = exprs_.translate(store.predicate);
    return code;
  }

  const StmtCode* translate(const BlockNode& block) {
    auto* code = add<BlockCode>();
    code->name = block.name;
    for (const IterVar& iter : block.iters) {
      const bool reduces = iter.kind == IterKind::reduce;
      if (reduces) reductions_.insert(iter.var.get());
      code->axes.push_back({0, iter.var->dtype, reduces, exprs_.translate(iter.min),
                            exprs_.translate(iter.extent), exprs_.translate(iter.value)});
    }
    for (size_t i = 0; i < block.iters.size(); ++i) {
      code->axes[i].slot = exprs_.bind(block.iters[i].var);
    }
    if (block.predicate) {
      code->predicate = exprs_.translate(block.predicate);
      if (Expr kept = without_reductions(block.predicate)) {
        code->init_predicate = exprs_.translate(kept);
      }
    }
    for (const Buffer& b : block.alloc_buffers) code->allocations.push_back({buffer(b)});
    for (const MatchBuffer& m : block.match_buffers) code->views.push_back(view(m));
    code->init = stmt(block.init);
    code->body = stmt(block.body);
    return code;
  }

  // The conjuncts of a predicate that no reduction takes part in; null: none.
  Expr without_reductions(const Expr& predicate) const {
    if (predicate->kind == ExprKind::logical_and) {
      const Expr a = without_reductions(predicate->args[0]);
      const Expr b = without_reductions(predicate->args[1]);
      return a && b ? logical_and(a, b) : (a ? a : b);
    }
    for (const Var& v : free_vars(predicate)) {
      if (reductions_.count(v.get())) return nullptr;
    }
    return predicate;
  }

  ViewCode view(const MatchBuffer& m) {
    ViewCode code;
    code.source = exprs_.view_of(m.source.buffer);
    for (const Range& r : m.source.ranges) {
      code.corner.push_back(exprs_.translate(r.min));
      code.extents.push_back(exprs_.translate(r.extent));
    }
    auto bind_bare = [&](const Expr& e) {
      const auto* v = e ? as<VarNode>(e) : nullptr;
      return v && !exprs_.is_bound(v) ? exprs_.bind(Var(v)) : -1;
    };
    for (const Expr& s : m.buffer->strides) code.stride_slots.push_back(bind_bare(s));
    code.stride_slots.resize(m.buffer->shape.size(), -1);
    code.offset_slot = bind_bare(m.buffer->offset_elems);
    code.buffer = buffer(m.buffer);
    return code;
  }
};

}  // namespace

std::unique_ptr<ProgramCode> translate(const std::string& name, const tir::PrimFunc& f) {
  auto code = std::make_unique<ProgramCode>();
  code->name = name;
  code->func = f;
  Translator(*code).run();
  return code;
}

}  // namespace repose::interp

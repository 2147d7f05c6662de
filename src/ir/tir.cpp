// Tensor IR: nodes, visitors, rewriting, substitution.
#include "ir/tir.h"

#include <algorithm>
#include <unordered_set>

namespace repose::tir {

const char* kind_name(StmtKind kind) {
  switch (kind) {
#define TIR_STMT(name) \
  case StmtKind::name: \
    return #name;
#include "ir/tir_kinds.def"
  }
  return "?";
}

const char* for_kind_name(ForKind kind) {
  switch (kind) {
    case ForKind::serial:
      return "serial";
    case ForKind::parallel:
      return "parallel";
    case ForKind::vectorized:
      return "vectorized";
    case ForKind::unrolled:
      return "unrolled";
    case ForKind::thread_binding:
      return "thread_binding";
  }
  return "?";
}

const char* iter_kind_name(IterKind kind) {
  switch (kind) {
    case IterKind::spatial:
      return "spatial";
    case IterKind::reduce:
      return "reduce";
    case IterKind::scan:
      return "scan";
    case IterKind::opaque:
      return "opaque";
  }
  return "?";
}

// ---- Nodes --------------------------------------------------------------------------------------

SeqNode::SeqNode(std::vector<Stmt> stmts, Span span)
    : StmtNode(static_kind, std::move(span)), stmts(std::move(stmts)) {}
ForNode::ForNode(Var var, Expr min, Expr extent, ForKind loop_kind, Stmt body, std::string thread,
                 Attrs annotations, Span span)
    : StmtNode(static_kind, std::move(span)),
      var(std::move(var)),
      min(std::move(min)),
      extent(std::move(extent)),
      loop_kind(loop_kind),
      thread(std::move(thread)),
      annotations(std::move(annotations)),
      body(std::move(body)) {}
BlockNode::BlockNode(Fields fields)
    : StmtNode(static_kind, std::move(fields.span)),
      name(std::move(fields.name)),
      iters(std::move(fields.iters)),
      predicate(std::move(fields.predicate)),
      reads(std::move(fields.reads)),
      writes(std::move(fields.writes)),
      alloc_buffers(std::move(fields.alloc_buffers)),
      match_buffers(std::move(fields.match_buffers)),
      annotations(std::move(fields.annotations)),
      init(std::move(fields.init)),
      body(std::move(fields.body)) {}
BlockNode::Fields BlockNode::fields() const {
  return {name,          iters,       predicate, reads, writes, alloc_buffers,
          match_buffers, annotations, init,      body,  span};
}
StoreNode::StoreNode(Buffer buffer, std::vector<Expr> indices, Expr value, Span span,
                     Expr predicate)
    : StmtNode(static_kind, std::move(span)),
      buffer(std::move(buffer)),
      indices(std::move(indices)),
      value(std::move(value)),
      predicate(std::move(predicate)) {
  REPOSE_CHECK(this->indices.size() == this->buffer->shape.size(), "one index per dimension");
}
LetNode::LetNode(Var var, Expr value, Stmt body, Span span)
    : StmtNode(static_kind, std::move(span)),
      var(std::move(var)),
      value(std::move(value)),
      body(std::move(body)) {}
IfNode::IfNode(Expr condition, Stmt then_body, Stmt else_body, Span span)
    : StmtNode(static_kind, std::move(span)),
      condition(std::move(condition)),
      then_body(std::move(then_body)),
      else_body(std::move(else_body)) {}
WhileNode::WhileNode(Expr condition, Stmt body, Span span)
    : StmtNode(static_kind, std::move(span)),
      condition(std::move(condition)),
      body(std::move(body)) {}
AllocateNode::AllocateNode(Buffer buffer, Stmt body, Span span)
    : StmtNode(static_kind, std::move(span)), buffer(std::move(buffer)), body(std::move(body)) {}
DeclareNode::DeclareNode(Buffer buffer, Expr data, Stmt body, Span span)
    : StmtNode(static_kind, std::move(span)),
      buffer(std::move(buffer)),
      data(std::move(data)),
      body(std::move(body)) {}
EvaluateNode::EvaluateNode(Expr value, Span span)
    : StmtNode(static_kind, std::move(span)), value(std::move(value)) {}
AssertNode::AssertNode(Expr condition, std::string message, std::vector<Expr> values, Span span)
    : StmtNode(static_kind, std::move(span)),
      condition(std::move(condition)),
      message(std::move(message)),
      values(std::move(values)) {}
AttrStmtNode::AttrStmtNode(std::string key, Expr value, Stmt body, Span span)
    : StmtNode(static_kind, std::move(span)),
      key(std::move(key)),
      value(std::move(value)),
      body(std::move(body)) {}
ReturnNode::ReturnNode(Expr value, Span span)
    : StmtNode(static_kind, std::move(span)), value(std::move(value)) {}

Stmt make_seq(std::vector<Stmt> stmts) {
  bool nested =
      std::any_of(stmts.begin(), stmts.end(), [](const Stmt& s) { return as<SeqNode>(s); });
  if (nested) {
    std::vector<Stmt> flat;
    for (const Stmt& s : stmts) {
      if (const auto* seq = as<SeqNode>(s)) {
        flat.insert(flat.end(), seq->stmts.begin(), seq->stmts.end());
      } else {
        flat.push_back(s);
      }
    }
    return make_seq(std::move(flat));
  }
  if (stmts.size() == 1) return stmts[0];
  return make<SeqNode>(std::move(stmts));
}

Param buffer_param(Buffer buffer) {
  Var data = make_var(buffer->name, dtypes::handle, VarRole::handle);
  return {std::move(data), std::move(buffer)};
}

Param scalar_param(Var var) {
  return {std::move(var), nullptr};
}

PrimFuncNode::PrimFuncNode(std::vector<Param> params, Stmt body, bool is_private, Attrs attrs,
                           Span span)
    : params(std::move(params)),
      body(std::move(body)),
      is_private(is_private),
      attrs(std::move(attrs)),
      span(std::move(span)) {}

PrimFunc with_body(const PrimFunc& f, Stmt body) {
  if (body == f->body) return f;
  return make_prim_func(f->params, std::move(body), f->is_private, f->attrs, f->span);
}

std::vector<Var> bound_symbols(const PrimFuncNode& f) {
  std::unordered_set<const VarNode*> seen;
  for (const Param& p : f.params) seen.insert(p.var.get());
  std::vector<Var> result;
  auto add = [&](const Expr& e) {
    const auto* v = as<VarNode>(e);
    if (v && seen.insert(v).second) result.push_back(Var(v));
  };
  for (const Param& p : f.params) {
    if (!p.buffer) continue;
    for (const Expr& d : p.buffer->shape) add(d);
  }
  for (const Param& p : f.params) {
    if (!p.buffer) continue;
    for (const Expr& s : p.buffer->strides) add(s);
    if (p.buffer->offset_elems) add(p.buffer->offset_elems);
  }
  return result;
}

// ---- Visitors -----------------------------------------------------------------------------------

namespace {

// Calls `fn` on every statement directly inside `s`.
template <class Fn>
void visit_children(const Stmt& s, const Fn& fn) {
  switch (s->kind) {
    case StmtKind::seq:
      for (const Stmt& child : as<SeqNode>(s)->stmts) fn(child);
      break;
    case StmtKind::for_:
      fn(as<ForNode>(s)->body);
      break;
    case StmtKind::block: {
      const auto* block = as<BlockNode>(s);
      if (block->init) fn(block->init);
      fn(block->body);
      break;
    }
    case StmtKind::let:
      fn(as<LetNode>(s)->body);
      break;
    case StmtKind::if_: {
      const auto* branch = as<IfNode>(s);
      fn(branch->then_body);
      if (branch->else_body) fn(branch->else_body);
      break;
    }
    case StmtKind::while_:
      fn(as<WhileNode>(s)->body);
      break;
    case StmtKind::allocate:
      fn(as<AllocateNode>(s)->body);
      break;
    case StmtKind::declare:
      fn(as<DeclareNode>(s)->body);
      break;
    case StmtKind::attr:
      fn(as<AttrStmtNode>(s)->body);
      break;
    case StmtKind::store:
    case StmtKind::evaluate:
    case StmtKind::assert_:
    case StmtKind::return_:
      break;
  }
}

template <class Fn>
void visit_exprs_of_buffer(const Buffer& b, const Fn& fn) {
  for (const Expr& d : b->shape) fn(d);
  for (const Expr& d : b->strides) fn(d);
  if (b->offset_elems) fn(b->offset_elems);
}

template <class Fn>
void visit_exprs_of_region(const Region& r, const Fn& fn) {
  for (const Range& range : r.ranges) {
    fn(range.min);
    fn(range.extent);
  }
}

}  // namespace

void visit_stmts(const Stmt& s, const std::function<bool(const Stmt&)>& visit) {
  if (!s || !visit(s)) return;
  visit_children(s, [&](const Stmt& child) { visit_stmts(child, visit); });
}

void visit_exprs_of(const Stmt& s, const std::function<void(const Expr&)>& visit) {
  switch (s->kind) {
    case StmtKind::for_:
      visit(as<ForNode>(s)->min);
      visit(as<ForNode>(s)->extent);
      break;
    case StmtKind::block: {
      const auto* block = as<BlockNode>(s);
      for (const IterVar& iter : block->iters) {
        visit(iter.min);
        visit(iter.extent);
        visit(iter.value);
      }
      if (block->predicate) visit(block->predicate);
      for (const Region& r : block->reads) visit_exprs_of_region(r, visit);
      for (const Region& r : block->writes) visit_exprs_of_region(r, visit);
      for (const Buffer& b : block->alloc_buffers) visit_exprs_of_buffer(b, visit);
      for (const MatchBuffer& m : block->match_buffers) {
        visit_exprs_of_buffer(m.buffer, visit);
        visit_exprs_of_region(m.source, visit);
      }
      break;
    }
    case StmtKind::store: {
      const auto* store = as<StoreNode>(s);
      for (const Expr& i : store->indices) visit(i);
      visit(store->value);
      if (store->predicate) visit(store->predicate);
      break;
    }
    case StmtKind::let:
      visit(as<LetNode>(s)->value);
      break;
    case StmtKind::if_:
      visit(as<IfNode>(s)->condition);
      break;
    case StmtKind::while_:
      visit(as<WhileNode>(s)->condition);
      break;
    case StmtKind::allocate:
      visit_exprs_of_buffer(as<AllocateNode>(s)->buffer, visit);
      break;
    case StmtKind::declare:
      visit_exprs_of_buffer(as<DeclareNode>(s)->buffer, visit);
      visit(as<DeclareNode>(s)->data);
      break;
    case StmtKind::evaluate:
      visit(as<EvaluateNode>(s)->value);
      break;
    case StmtKind::assert_:
      visit(as<AssertNode>(s)->condition);
      for (const Expr& v : as<AssertNode>(s)->values) visit(v);
      break;
    case StmtKind::attr:
      visit(as<AttrStmtNode>(s)->value);
      break;
    case StmtKind::return_:
      if (as<ReturnNode>(s)->value) visit(as<ReturnNode>(s)->value);
      break;
    case StmtKind::seq:
      break;
  }
}

void visit_all_exprs(const Stmt& s, const std::function<void(const Expr&)>& visit) {
  visit_stmts(s, [&](const Stmt& inner) {
    visit_exprs_of(inner, visit);
    return true;
  });
}

// ---- Rewriting ----------------------------------------------------------------------------------

namespace {

template <class T>
bool replace(T& old, T next) {
  if (old == next) return false;
  old = std::move(next);
  return true;
}

}  // namespace

Stmt StmtRewriter::rewrite(const Stmt& s) {
  return s ? rewrite_stmt(s) : s;
}

Stmt StmtRewriter::rewrite_stmt(const Stmt& s) {
  auto expr = [this](const Expr& e) { return e ? rewrite_expr(e) : e; };
  auto exprs = [&](std::vector<Expr>& list) {
    bool changed = false;
    for (Expr& e : list) changed = replace(e, expr(e)) || changed;
    return changed;
  };
  auto region = [&](Region& r) {
    bool changed = replace(r.buffer, rewrite_buffer(r.buffer));
    for (Range& range : r.ranges) {
      changed = replace(range.min, expr(range.min)) || changed;
      changed = replace(range.extent, expr(range.extent)) || changed;
    }
    return changed;
  };
  auto attrs = [&](Attrs& a) {
    if (a.empty()) return false;
    return replace(a, rewrite_exprs(a, expr));
  };
  switch (s->kind) {
    case StmtKind::seq: {
      std::vector<Stmt> stmts = as<SeqNode>(s)->stmts;
      bool changed = false;
      for (Stmt& child : stmts) changed = replace(child, rewrite(child)) || changed;
      return changed ? make_seq(std::move(stmts)) : s;
    }
    case StmtKind::for_: {
      const auto* loop = as<ForNode>(s);
      Stmt body = rewrite(loop->body);
      Expr min = expr(loop->min), extent = expr(loop->extent);
      Attrs annotations = loop->annotations;
      bool changed = attrs(annotations);
      if (!changed && body == loop->body && min == loop->min && extent == loop->extent) return s;
      return make<ForNode>(loop->var, min, extent, loop->loop_kind, body, loop->thread,
                           std::move(annotations), loop->span);
    }
    case StmtKind::block: {
      BlockNode::Fields f = as<BlockNode>(s)->fields();
      bool changed = replace(f.init, rewrite(f.init));
      changed = replace(f.body, rewrite(f.body)) || changed;
      for (IterVar& iter : f.iters) {
        changed = replace(iter.min, expr(iter.min)) || changed;
        changed = replace(iter.extent, expr(iter.extent)) || changed;
        changed = replace(iter.value, expr(iter.value)) || changed;
      }
      changed = replace(f.predicate, expr(f.predicate)) || changed;
      for (Region& r : f.reads) changed = region(r) || changed;
      for (Region& r : f.writes) changed = region(r) || changed;
      for (Buffer& b : f.alloc_buffers) changed = replace(b, rewrite_buffer(b)) || changed;
      for (MatchBuffer& m : f.match_buffers) {
        changed = replace(m.buffer, rewrite_buffer(m.buffer)) || changed;
        changed = region(m.source) || changed;
      }
      changed = attrs(f.annotations) || changed;
      return changed ? make<BlockNode>(std::move(f)) : s;
    }
    case StmtKind::store: {
      const auto* store = as<StoreNode>(s);
      Buffer buffer = rewrite_buffer(store->buffer);
      std::vector<Expr> indices = store->indices;
      bool changed = exprs(indices);
      Expr value = expr(store->value), predicate = expr(store->predicate);
      if (!changed && buffer == store->buffer && value == store->value &&
          predicate == store->predicate) {
        return s;
      }
      return make<StoreNode>(buffer, std::move(indices), value, store->span, predicate);
    }
    case StmtKind::let: {
      const auto* let = as<LetNode>(s);
      Stmt body = rewrite(let->body);
      Expr value = expr(let->value);
      if (body == let->body && value == let->value) return s;
      return make<LetNode>(let->var, value, body, let->span);
    }
    case StmtKind::if_: {
      const auto* branch = as<IfNode>(s);
      Stmt then_body = rewrite(branch->then_body), else_body = rewrite(branch->else_body);
      Expr condition = expr(branch->condition);
      if (then_body == branch->then_body && else_body == branch->else_body &&
          condition == branch->condition) {
        return s;
      }
      return make<IfNode>(condition, then_body, else_body, branch->span);
    }
    case StmtKind::while_: {
      const auto* loop = as<WhileNode>(s);
      Stmt body = rewrite(loop->body);
      Expr condition = expr(loop->condition);
      if (body == loop->body && condition == loop->condition) return s;
      return make<WhileNode>(condition, body, loop->span);
    }
    case StmtKind::allocate: {
      const auto* allocate = as<AllocateNode>(s);
      Stmt body = rewrite(allocate->body);
      Buffer buffer = rewrite_buffer(allocate->buffer);
      if (body == allocate->body && buffer == allocate->buffer) return s;
      return make<AllocateNode>(buffer, body, allocate->span);
    }
    case StmtKind::declare: {
      const auto* declare = as<DeclareNode>(s);
      Stmt body = rewrite(declare->body);
      Buffer buffer = rewrite_buffer(declare->buffer);
      Expr data = expr(declare->data);
      if (body == declare->body && buffer == declare->buffer && data == declare->data) return s;
      return make<DeclareNode>(buffer, data, body, declare->span);
    }
    case StmtKind::evaluate: {
      Expr value = expr(as<EvaluateNode>(s)->value);
      return value == as<EvaluateNode>(s)->value ? s : make<EvaluateNode>(value, s->span);
    }
    case StmtKind::assert_: {
      const auto* assertion = as<AssertNode>(s);
      Expr condition = expr(assertion->condition);
      std::vector<Expr> values = assertion->values;
      if (!exprs(values) && condition == assertion->condition) return s;
      return make<AssertNode>(condition, assertion->message, std::move(values), s->span);
    }
    case StmtKind::attr: {
      const auto* attr = as<AttrStmtNode>(s);
      Stmt body = rewrite(attr->body);
      Expr value = expr(attr->value);
      if (body == attr->body && value == attr->value) return s;
      return make<AttrStmtNode>(attr->key, value, body, s->span);
    }
    case StmtKind::return_: {
      Expr value = expr(as<ReturnNode>(s)->value);
      return value == as<ReturnNode>(s)->value ? s : make<ReturnNode>(value, s->span);
    }
  }
  return s;
}

// ---- Substitution -------------------------------------------------------------------------------

namespace {

Expr substitute_all(const Expr& e, const VarMap& vars, const BufferMap& buffers) {
  if (!e || (vars.empty() && buffers.empty())) return e;
  return repose::rewrite(e, [&](const Expr& node) -> Expr {
    if (const auto* v = as<VarNode>(node)) {
      if (auto it = vars.find(v); it != vars.end()) return it->second;
    } else if (const auto* load = as<LoadNode>(node)) {
      if (auto it = buffers.find(load->buffer.get()); it != buffers.end()) {
        return make_load(it->second, load->args);
      }
    }
    return node;
  });
}

// The buffer with its shape, strides and offset substituted; the same one if they don't change and
// `always` is false.
Buffer substitute_shape(const Buffer& b, const VarMap& vars, bool always) {
  std::vector<Expr> shape = b->shape, strides = b->strides;
  Expr offset = b->offset_elems;
  bool changed = always;
  for (Expr& d : shape) changed = replace(d, repose::substitute(d, vars)) || changed;
  for (Expr& d : strides) changed = replace(d, repose::substitute(d, vars)) || changed;
  if (offset) changed = replace(offset, repose::substitute(offset, vars)) || changed;
  if (!changed) return b;
  return make_buffer(b->name, std::move(shape), b->dtype, b->scope, std::move(strides),
                     std::move(offset), b->align_bytes);
}

// Every buffer that is declared inside.
void visit_declared(const Stmt& s, const std::function<void(const Buffer&)>& visit) {
  visit_stmts(s, [&](const Stmt& inner) {
    if (const auto* allocate = as<AllocateNode>(inner)) visit(allocate->buffer);
    if (const auto* declare = as<DeclareNode>(inner)) visit(declare->buffer);
    if (const auto* block = as<BlockNode>(inner)) {
      for (const Buffer& b : block->alloc_buffers) visit(b);
      for (const MatchBuffer& m : block->match_buffers) visit(m.buffer);
    }
    return true;
  });
}

class Substituter : public StmtRewriter {
 public:
  Substituter(const VarMap& vars, const BufferMap& buffers) : vars_(vars), buffers_(buffers) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override { return rename_binder(StmtRewriter::rewrite_stmt(s)); }
  Expr rewrite_expr(const Expr& e) override { return substitute_all(e, vars_, buffers_); }
  Buffer rewrite_buffer(const Buffer& b) override {
    auto it = buffers_.find(b.get());
    return it == buffers_.end() ? b : it->second;
  }

 private:
  // The variable that takes the place of a bound one: itself unless it is mapped to a variable.
  Var renamed(const Var& v) const {
    auto it = vars_.find(v.get());
    const auto* to = it == vars_.end() ? nullptr : as<VarNode>(it->second);
    return to ? Var(to) : v;
  }

  Stmt rename_binder(const Stmt& s) const {
    if (const auto* loop = as<ForNode>(s)) {
      Var var = renamed(loop->var);
      if (var == loop->var) return s;
      return make<ForNode>(var, loop->min, loop->extent, loop->loop_kind, loop->body, loop->thread,
                           loop->annotations, loop->span);
    }
    if (const auto* let = as<LetNode>(s)) {
      Var var = renamed(let->var);
      return var == let->var ? s : make<LetNode>(var, let->value, let->body, let->span);
    }
    if (const auto* block = as<BlockNode>(s)) {
      BlockNode::Fields f = block->fields();
      bool changed = false;
      for (IterVar& iter : f.iters) changed = replace(iter.var, renamed(iter.var)) || changed;
      return changed ? make<BlockNode>(std::move(f)) : s;
    }
    return s;
  }

  const VarMap& vars_;
  const BufferMap& buffers_;
};

}  // namespace

Stmt substitute(const Stmt& s, const VarMap& vars, const BufferMap& buffers) {
  if (!s || (vars.empty() && buffers.empty())) return s;
  BufferMap all = buffers;
  visit_declared(s, [&](const Buffer& b) {
    if (all.count(b.get())) return;
    Buffer next = substitute_shape(b, vars, false);
    if (next != b) all.emplace(b.get(), next);
  });
  return Substituter(vars, all).rewrite(s);
}

Expr substitute_buffers(const Expr& e, const BufferMap& buffers) {
  return substitute_all(e, {}, buffers);
}

namespace {

// Collects a fresh variable for everything that a program binds.
struct Freshener {
  VarMap vars;
  BufferMap buffers;

  void bind(const Var& v) {
    if (!vars.count(v.get())) vars.emplace(v.get(), make_var(v->name, v->dtype, v->role));
  }

  // No extent of a buffer is negative, whatever else the symbol stands for where it comes from.
  void bind_dimension(const Var& v) {
    const VarRole role = v->role == VarRole::value ? VarRole::dimension : v->role;
    if (!vars.count(v.get())) vars.emplace(v.get(), make_var(v->name, v->dtype, role));
  }

  // A view binds the symbols of its strides and offset that nothing bound before.
  void bind_view(const Buffer& b) {
    auto bind_bare = [this](const Expr& e) {
      if (const auto* v = as<VarNode>(e)) bind(Var(v));
    };
    for (const Expr& s : b->strides) bind_bare(s);
    if (b->offset_elems) bind_bare(b->offset_elems);
  }

  void visit(const Stmt& body) {
    visit_stmts(body, [this](const Stmt& s) {
      if (const auto* loop = as<ForNode>(s)) bind(loop->var);
      if (const auto* let = as<LetNode>(s)) bind(let->var);
      if (const auto* block = as<BlockNode>(s)) {
        for (const IterVar& iter : block->iters) bind(iter.var);
        for (const MatchBuffer& m : block->match_buffers) bind_view(m.buffer);
      }
      return true;
    });
  }
};

}  // namespace

PrimFunc clone(const PrimFunc& f) {
  Freshener fresh;
  for (const Param& p : f->params) fresh.bind(p.var);
  for (const Param& p : f->params) {
    for (const Expr& d : p.buffer ? p.buffer->shape : std::vector<Expr>()) {
      if (const auto* v = as<VarNode>(d)) fresh.bind_dimension(Var(v));
    }
  }
  for (const Var& v : bound_symbols(*f)) fresh.bind(v);
  fresh.visit(f->body);
  auto renew = [&](const Buffer& b) {
    if (!fresh.buffers.count(b.get())) {
      fresh.buffers.emplace(b.get(), substitute_shape(b, fresh.vars, true));
    }
    return fresh.buffers.at(b.get());
  };
  std::vector<Param> params;
  for (const Param& p : f->params) {
    Var var(as<VarNode>(fresh.vars.at(p.var.get())));
    params.push_back({var, p.buffer ? renew(p.buffer) : nullptr});
  }
  visit_declared(f->body, [&](const Buffer& b) { renew(b); });
  Stmt body = substitute(f->body, fresh.vars, fresh.buffers);
  Attrs attrs = rewrite_exprs(
      f->attrs, [&](const Expr& e) { return substitute_all(e, fresh.vars, fresh.buffers); });
  return make_prim_func(std::move(params), body, f->is_private, std::move(attrs), f->span);
}

}  // namespace repose::tir

// The hash that agrees with alpha-equivalence. It walks programs in the order of structural.cpp and
// numbers what they bind in the order of binding, so that equal programs hash equally whatever
// their variables are.
#include <algorithm>
#include <unordered_map>

#include "ir/op.h"
#include "ir/structural.h"

namespace repose {

namespace {

uint64_t mix(uint64_t seed, uint64_t value) {
  uint64_t x = seed ^ (value + 0x9e3779b97f4a7c15ULL + (seed << 6) + (seed >> 2));
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ULL;
  return x ^ (x >> 32);
}

uint64_t hash_text(std::string_view text) {
  return std::hash<std::string_view>()(text);
}

class Hasher {
 public:
  uint64_t hash(const tir::PrimFuncNode& f) {
    uint64_t h = mix(f.is_private, f.params.size());
    for (const tir::Param& p : f.params) bind(p.var);
    for (const Var& v : tir::bound_symbols(f)) bind(v);
    for (const tir::Param& p : f.params) {
      h = mix(h, p.buffer ? bind(p.buffer) : std::hash<DType>()(p.var->dtype));
    }
    return mix(mix(h, hash(f.attrs)), hash(f.body));
  }

  uint64_t hash(const graph::FunctionNode& f) {
    uint64_t h = mix(f.is_private, f.is_pure);
    for (const graph::Variable& p : f.params) bind_symbols(p->type);
    for (const graph::Variable& p : f.params) h = mix(h, bind(p));
    h = mix(mix(h, hash(f.attrs)), hash(f.body));
    bind_symbols(f.result_type);
    return mix(h, hash(f.result_type));
  }

 private:
  template <class T>
  uint64_t hash_list(const std::vector<T>& list) {
    uint64_t h = list.size();
    for (const T& item : list) h = mix(h, hash(item));
    return h;
  }

  uint64_t number(const void* node) {
    return numbers_.emplace(node, numbers_.size() + 1).first->second;
  }
  uint64_t number_of(const void* node) const {  // free: by identity
    auto it = numbers_.find(node);
    return it == numbers_.end() ? reinterpret_cast<uintptr_t>(node) : it->second;
  }

  void bind(const Var& v) { number(v.get()); }

  uint64_t bind(const Buffer& b) {
    number(b.get());
    uint64_t h = mix(std::hash<DType>()(b->dtype), static_cast<uint64_t>(b->scope));
    h = mix(mix(h, b->align_bytes), hash_list(b->shape));
    return mix(mix(h, hash_list(b->strides)), hash(b->offset_elems));
  }

  void bind_symbols(const Type& t) {
    for (const Var& v : binding_symbols(t)) bind(v);
  }

  uint64_t hash(const Expr& e) {
    if (!e) return 0;
    if (e->kind == ExprKind::var) return mix(number_of(e.get()), std::hash<DType>()(e->dtype));
    if (e->args.empty() && e->kind != ExprKind::load) return e->hash();
    if (auto it = known_.find(e.get()); it != known_.end()) return it->second.second;
    uint64_t h = mix(static_cast<uint64_t>(e->kind), std::hash<DType>()(e->dtype));
    if (const auto* load = as<LoadNode>(e)) h = mix(h, number_of(load->buffer.get()));
    if (const auto* call = as<CallNode>(e)) {
      h = mix(mix(h, static_cast<uint64_t>(call->intrinsic)), hash_text(call->name));
    }
    h = mix(h, hash_list(e->args));
    known_.emplace(e.get(), std::pair(e, h));
    return h;
  }

  uint64_t hash(const Attr& a) {
    if (const Expr* e = a.as_expr()) return hash(*e);
    if (const AttrList* list = a.as_list()) return hash_list(*list);
    if (const AttrDict* dict = a.as_dict()) {
      uint64_t h = dict->size();
      for (const auto& [key, value] : *dict) h = mix(mix(h, hash(key)), hash(value));
      return h;
    }
    return a.hash();
  }

  uint64_t hash(const Attrs& attrs) {
    uint64_t sum = attrs.size();  // order doesn't matter
    for (const auto& [name, value] : attrs) sum += mix(hash_text(name), hash(value));
    return sum;
  }

  uint64_t hash(const Type& t) {
    if (!t) return 0;
    uint64_t h = mix(1, static_cast<uint64_t>(t->kind));
    switch (t->kind) {
      case TypeKind::tensor: {
        const auto* x = as<TensorTypeNode>(t);
        h = mix(mix(h, static_cast<uint64_t>(x->rank)), std::hash<DType>()(x->dtype));
        if (x->shape) h = mix(h, hash_list(*x->shape));
        return mix(mix(h, hash_list(x->strides)), hash_text(x->device));
      }
      case TypeKind::shape: {
        const auto* x = as<ShapeTypeNode>(t);
        h = mix(h, static_cast<uint64_t>(x->rank));
        return x->dims ? mix(h, hash_list(*x->dims)) : h;
      }
      case TypeKind::prim: {
        const auto* x = as<PrimTypeNode>(t);
        return mix(mix(h, std::hash<DType>()(x->dtype)), hash(x->value));
      }
      case TypeKind::tuple:
        return mix(h, hash_list(as<TupleTypeNode>(t)->fields));
      case TypeKind::function: {  // symbols are scoped there: their expressions don't take part
        const auto* x = as<FunctionTypeNode>(t);
        h = mix(mix(h, x->opaque), x->pure);
        for (const Type& p : x->params) h = mix(h, static_cast<uint64_t>(p->kind));
        return h;
      }
      case TypeKind::any:
        return h;
    }
    return h;
  }

  uint64_t bind(const graph::Variable& v) {
    number(v.get());
    bind_symbols(v->type);
    return mix(v->is_dataflow, hash(v->type));
  }

  uint64_t hash(const graph::Body& body) {
    uint64_t h = body->blocks.size();
    for (const graph::Block& block : body->blocks) {
      h = mix(mix(h, block.is_dataflow), block.bindings.size());
      for (const graph::Binding& b : block.bindings) {
        if (b.value->kind == graph::ValueKind::function) number(b.var.get());
        h = mix(h, hash(b.value));
        h = mix(h, bind(b.var));
        h = mix(h, hash(b.cast));
      }
    }
    return mix(h, hash(body->result));
  }

  uint64_t hash(const graph::Value& v) {
    using namespace graph;
    using graph::as;
    if (!v) return 0;
    uint64_t h = mix(2, static_cast<uint64_t>(v->kind));
    switch (v->kind) {
      case ValueKind::variable:
        return mix(h, number_of(v.get()));
      case ValueKind::constant: {
        const ArrayNode& a = *as<ConstantNode>(v)->data;
        h = mix(h, std::hash<DType>()(a.dtype));
        for (int64_t d : a.shape) h = mix(h, static_cast<uint64_t>(d));
        // The head of a large array tells enough.
        std::string_view bytes(reinterpret_cast<const char*>(a.bytes),
                               std::min<size_t>(a.num_bytes, 256));
        return mix(h, hash_text(bytes));
      }
      case ValueKind::tuple:
        return mix(h, hash_list(as<TupleNode>(v)->fields));
      case ValueKind::tuple_get:
        return mix(mix(h, as<TupleGetNode>(v)->index), hash(as<TupleGetNode>(v)->tuple));
      case ValueKind::shape:
        return mix(h, hash_list(as<ShapeNode>(v)->dims));
      case ValueKind::prim_value:
        return mix(h, hash(as<PrimValueNode>(v)->value));
      case ValueKind::string:
        return mix(h, hash_text(as<StringNode>(v)->value));
      case ValueKind::dtype:
        return mix(h, std::hash<DType>()(as<DTypeNode>(v)->value));
      case ValueKind::global:
        return mix(h, hash_text(as<GlobalNode>(v)->name));
      case ValueKind::external:
        return mix(h, hash_text(as<ExternNode>(v)->name));
      case ValueKind::call: {
        const auto* call = as<graph::CallNode>(v);
        h = mix(h, call->op ? hash_text(call->op->name) : hash(call->callee));
        h = mix(mix(h, hash_list(call->args)), hash(call->attrs));
        for (const Type& t : call->type_args) bind_symbols(t);
        return mix(h, hash_list(call->type_args));
      }
      case ValueKind::if_: {
        const auto* branch = as<graph::IfNode>(v);
        h = mix(mix(h, hash(branch->condition)), hash(branch->then_body));
        return mix(h, hash(branch->else_body));
      }
      case ValueKind::function:
        return mix(h, hash(*as<FunctionNode>(v)));
    }
    return h;
  }

  uint64_t hash(const tir::Region& r) {
    uint64_t h = number_of(r.buffer.get());
    for (const tir::Range& range : r.ranges) h = mix(mix(h, hash(range.min)), hash(range.extent));
    return h;
  }

  // A view binds the symbols of its strides and offset that nothing bound before.
  uint64_t bind_view(const Buffer& b) {
    for (const Expr& s : b->strides) {
      if (const auto* v = as<VarNode>(s)) number(v);
    }
    if (const auto* v = as<VarNode>(b->offset_elems)) number(v);
    return bind(b);
  }

  uint64_t hash(const tir::BlockNode& block) {
    uint64_t h = hash_text(block.name);
    for (const tir::IterVar& iter : block.iters) {
      h = mix(mix(h, static_cast<uint64_t>(iter.kind)), hash(iter.min));
      h = mix(mix(h, hash(iter.extent)), hash(iter.value));
    }
    for (const tir::IterVar& iter : block.iters) bind(iter.var);
    for (const Buffer& b : block.alloc_buffers) h = mix(h, bind(b));
    for (const tir::MatchBuffer& m : block.match_buffers) {
      h = mix(h, hash(m.source));
      h = mix(h, bind_view(m.buffer));
    }
    h = mix(mix(h, hash(block.predicate)), hash_list(block.reads));
    h = mix(mix(h, hash_list(block.writes)), hash(block.annotations));
    return mix(mix(h, hash(block.init)), hash(block.body));
  }

  uint64_t hash(const tir::Stmt& s) {
    using namespace tir;
    using tir::as;
    if (!s) return 0;
    uint64_t h = mix(3, static_cast<uint64_t>(s->kind));
    switch (s->kind) {
      case StmtKind::seq:
        return mix(h, hash_list(as<SeqNode>(s)->stmts));
      case StmtKind::for_: {
        const auto* loop = as<ForNode>(s);
        h = mix(mix(h, static_cast<uint64_t>(loop->loop_kind)), hash_text(loop->thread));
        h = mix(mix(h, hash(loop->min)), hash(loop->extent));
        h = mix(h, hash(loop->annotations));
        bind(loop->var);
        return mix(h, hash(loop->body));
      }
      case StmtKind::block:
        return mix(h, hash(*as<BlockNode>(s)));
      case StmtKind::store: {
        const auto* store = as<StoreNode>(s);
        h = mix(mix(h, number_of(store->buffer.get())), hash_list(store->indices));
        return mix(mix(h, hash(store->value)), hash(store->predicate));
      }
      case StmtKind::let: {
        const auto* let = as<LetNode>(s);
        h = mix(h, hash(let->value));
        bind(let->var);
        return mix(h, hash(let->body));
      }
      case StmtKind::if_: {
        const auto* branch = as<tir::IfNode>(s);
        h = mix(mix(h, hash(branch->condition)), hash(branch->then_body));
        return mix(h, hash(branch->else_body));
      }
      case StmtKind::while_:
        h = mix(h, hash(as<WhileNode>(s)->condition));
        return mix(h, hash(as<WhileNode>(s)->body));
      case StmtKind::allocate:
        h = mix(h, bind(as<AllocateNode>(s)->buffer));
        return mix(h, hash(as<AllocateNode>(s)->body));
      case StmtKind::declare: {
        const auto* declare = as<DeclareNode>(s);
        h = mix(h, hash(declare->data));
        h = mix(h, bind(declare->buffer));
        return mix(h, hash(declare->body));
      }
      case StmtKind::evaluate:
        return mix(h, hash(as<EvaluateNode>(s)->value));
      case StmtKind::assert_: {
        const auto* assertion = as<AssertNode>(s);
        h = mix(mix(h, hash_text(assertion->message)), hash(assertion->condition));
        return mix(h, hash_list(assertion->values));
      }
      case StmtKind::attr: {
        const auto* attr = as<AttrStmtNode>(s);
        h = mix(mix(h, hash_text(attr->key)), hash(attr->value));
        return mix(h, hash(attr->body));
      }
      case StmtKind::return_:
        return mix(h, hash(as<ReturnNode>(s)->value));
    }
    return h;
  }

  std::unordered_map<const void*, uint64_t> numbers_;
  std::unordered_map<const ExprNode*, std::pair<Expr, uint64_t>> known_;  // for shared expressions
};

}  // namespace

uint64_t structural_hash(const tir::PrimFunc& f) {
  return Hasher().hash(*f);
}
uint64_t structural_hash(const graph::Function& f) {
  return Hasher().hash(*f);
}

}  // namespace repose

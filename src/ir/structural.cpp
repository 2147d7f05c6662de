// Alpha-equivalence: a walk over both sides that keeps a correspondence between what they bind.
#include "ir/structural.h"

#include <algorithm>
#include <bit>
#include <unordered_map>
#include <unordered_set>

#include "ir/op.h"

namespace repose {

namespace {

// A one-to-one correspondence between nodes of the two sides.
template <class Node>
class Pairing {
 public:
  // False if either is paired with something else.
  bool bind(const Node* a, const Node* b) {
    auto [i, new_a] = forward_.emplace(a, b);
    auto [j, new_b] = backward_.emplace(b, a);
    return i->second == b && j->second == a;
  }
  bool equal(const Node* a, const Node* b) const {
    auto i = forward_.find(a);
    if (i != forward_.end()) return i->second == b;
    return a == b && !backward_.count(b);  // free: by identity
  }
  bool has_left(const Node* a) const { return forward_.count(a) > 0; }
  bool has_right(const Node* b) const { return backward_.count(b) > 0; }

 private:
  std::unordered_map<const Node*, const Node*> forward_, backward_;
};

class Matcher {
 public:
  bool equal(const tir::PrimFuncNode& a, const tir::PrimFuncNode& b) {
    if (a.is_private != b.is_private || a.params.size() != b.params.size()) return false;
    for (size_t i = 0; i < a.params.size(); ++i) {
      const tir::Param &p = a.params[i], &q = b.params[i];
      if ((p.buffer == nullptr) != (q.buffer == nullptr) || !bind(p.var, q.var)) return false;
    }
    std::vector<Var> x = tir::bound_symbols(a), y = tir::bound_symbols(b);
    if (x.size() != y.size()) return false;
    for (size_t i = 0; i < x.size(); ++i) {
      if (!bind(x[i], y[i])) return false;
    }
    for (size_t i = 0; i < a.params.size(); ++i) {
      if (a.params[i].buffer && !bind(a.params[i].buffer, b.params[i].buffer)) return false;
    }
    return equal(a.attrs, b.attrs) && equal(a.body, b.body);
  }

  bool equal(const graph::FunctionNode& a, const graph::FunctionNode& b) {
    if (a.is_private != b.is_private || a.is_pure != b.is_pure ||
        a.params.size() != b.params.size()) {
      return false;
    }
    for (size_t i = 0; i < a.params.size(); ++i) {
      if (!bind_symbols(a.params[i]->type, b.params[i]->type)) return false;
    }
    for (size_t i = 0; i < a.params.size(); ++i) {
      if (!bind(a.params[i], b.params[i])) return false;
    }
    return equal(a.attrs, b.attrs) && equal(a.body, b.body) &&
           bind_symbols(a.result_type, b.result_type) && equal(a.result_type, b.result_type);
  }

  bool equal(const Attrs& a, const Attrs& b) {
    if (a.size() != b.size()) return false;
    return std::all_of(a.begin(), a.end(), [&](const auto& item) {
      const Attr* found = b.find(item.first);
      return found && equal(item.second, *found);
    });
  }

 private:
  // ---- Expressions

  bool equal(const Expr& a, const Expr& b) {
    if (!a || !b) return a == b;
    if (a->kind != b->kind || a->dtype != b->dtype || a->args.size() != b->args.size()) {
      return false;
    }
    switch (a->kind) {
      case ExprKind::var:
        return vars_.equal(as<VarNode>(a), as<VarNode>(b));
      case ExprKind::int_imm:
        return as<IntImmNode>(a)->value == as<IntImmNode>(b)->value;
      case ExprKind::float_imm:
        return std::bit_cast<uint64_t>(as<FloatImmNode>(a)->value) ==
               std::bit_cast<uint64_t>(as<FloatImmNode>(b)->value);
      case ExprKind::string_imm:
        return as<StringImmNode>(a)->value == as<StringImmNode>(b)->value;
      case ExprKind::load:
        if (!same_buffer(as<LoadNode>(a)->buffer, as<LoadNode>(b)->buffer)) return false;
        break;
      case ExprKind::call: {
        const auto *x = as<CallNode>(a), *y = as<CallNode>(b);
        if (x->intrinsic != y->intrinsic || x->name != y->name) return false;
        break;
      }
      default:
        break;
    }
    if (auto it = known_.find(a.get()); it != known_.end() && it->second == b) return true;
    if (!equal(a->args, b->args)) return false;
    if (!a->args.empty()) known_.insert_or_assign(a.get(), b);
    return true;
  }

  bool equal(const std::vector<Expr>& a, const std::vector<Expr>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [this](const Expr& x, const Expr& y) { return equal(x, y); });
  }

  bool equal(const std::optional<Dims>& a, const std::optional<Dims>& b) {
    return a.has_value() == b.has_value() && (!a || equal(*a, *b));
  }

  bool equal(const Attr& a, const Attr& b) {
    if (const Expr* e = a.as_expr()) return b.as_expr() && equal(*e, *b.as_expr());
    if (const AttrList* list = a.as_list()) {
      const AttrList* other = b.as_list();
      return other && std::equal(list->begin(), list->end(), other->begin(), other->end(),
                                 [this](const Attr& x, const Attr& y) { return equal(x, y); });
    }
    if (const AttrDict* dict = a.as_dict()) {
      const AttrDict* other = b.as_dict();
      return other && std::equal(dict->begin(), dict->end(), other->begin(), other->end(),
                                 [this](const auto& x, const auto& y) {
                                   return equal(x.first, y.first) && equal(x.second, y.second);
                                 });
    }
    return a == b;
  }

  bool bind(const Var& a, const Var& b) {
    return a->dtype == b->dtype && vars_.bind(a.get(), b.get());
  }

  bool same_buffer(const Buffer& a, const Buffer& b) const {
    return buffers_.equal(a.get(), b.get());
  }

  bool bind(const Buffer& a, const Buffer& b) {
    return buffers_.bind(a.get(), b.get()) && a->dtype == b->dtype && a->scope == b->scope &&
           a->align_bytes == b->align_bytes && equal(a->shape, b->shape) &&
           equal(a->strides, b->strides) && equal(a->offset_elems, b->offset_elems);
  }

  // A view binds the symbols of its strides and offset that nothing bound before.
  bool bind_view(const Buffer& a, const Buffer& b) {
    auto bind_bare = [this](const Expr& x, const Expr& y) {
      const auto *v = as<VarNode>(x), *w = as<VarNode>(y);
      if (!v || !w || vars_.has_left(v) || vars_.has_right(w)) return true;
      return bind(Var(v), Var(w));
    };
    for (size_t i = 0; i < std::min(a->strides.size(), b->strides.size()); ++i) {
      if (!bind_bare(a->strides[i], b->strides[i])) return false;
    }
    return bind_bare(a->offset_elems, b->offset_elems) && bind(a, b);
  }

  // ---- Types

  bool equal(const Type& a, const Type& b) {
    if (!a || !b) return a == b;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
      case TypeKind::tensor: {
        const auto *x = as<TensorTypeNode>(a), *y = as<TensorTypeNode>(b);
        return x->rank == y->rank && x->dtype == y->dtype && x->device == y->device &&
               equal(x->shape, y->shape) && equal(x->strides, y->strides);
      }
      case TypeKind::shape: {
        const auto *x = as<ShapeTypeNode>(a), *y = as<ShapeTypeNode>(b);
        return x->rank == y->rank && equal(x->dims, y->dims);
      }
      case TypeKind::prim: {
        const auto *x = as<PrimTypeNode>(a), *y = as<PrimTypeNode>(b);
        return x->dtype == y->dtype && equal(x->value, y->value);
      }
      case TypeKind::tuple:
        return equal(as<TupleTypeNode>(a)->fields, as<TupleTypeNode>(b)->fields);
      case TypeKind::function: {
        const auto *x = as<FunctionTypeNode>(a), *y = as<FunctionTypeNode>(b);
        if (x->opaque != y->opaque || x->pure != y->pure || x->params.size() != y->params.size()) {
          return false;
        }
        Matcher inner = *this;  // what a function type binds ends with it
        for (size_t i = 0; i < x->params.size(); ++i) {
          if (!inner.bind_symbols(x->params[i], y->params[i])) return false;
        }
        return inner.equal(x->params, y->params) && inner.bind_symbols(x->result, y->result) &&
               inner.equal(x->result, y->result);
      }
      case TypeKind::any:
        return true;
    }
    return false;
  }

  bool equal(const std::vector<Type>& a, const std::vector<Type>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [this](const Type& x, const Type& y) { return equal(x, y); });
  }

  // Pairs the symbols that the types bind, as far as neither is known.
  bool bind_symbols(const Type& a, const Type& b) {
    std::vector<Var> x = binding_symbols(a), y = binding_symbols(b);
    if (x.size() != y.size()) return false;
    for (size_t i = 0; i < x.size(); ++i) {
      if (vars_.has_left(x[i].get()) || vars_.has_right(y[i].get())) continue;
      if (!bind(x[i], y[i])) return false;
    }
    return true;
  }

  // ---- Graph IR

  bool bind(const graph::Variable& a, const graph::Variable& b) {
    return a->is_dataflow == b->is_dataflow && bind_symbols(a->type, b->type) &&
           equal(a->type, b->type) && values_.bind(a.get(), b.get());
  }

  bool equal(const graph::Body& a, const graph::Body& b) {
    if (a->blocks.size() != b->blocks.size()) return false;
    for (size_t i = 0; i < a->blocks.size(); ++i) {
      const graph::Block &x = a->blocks[i], &y = b->blocks[i];
      if (x.is_dataflow != y.is_dataflow || x.bindings.size() != y.bindings.size()) return false;
      for (size_t k = 0; k < x.bindings.size(); ++k) {
        if (!equal(x.bindings[k], y.bindings[k])) return false;
      }
    }
    return equal(a->result, b->result);
  }

  bool equal(const graph::Binding& a, const graph::Binding& b) {
    if (a.value->kind == graph::ValueKind::function &&  // a closure may call itself
        !values_.bind(a.var.get(), b.var.get())) {
      return false;
    }
    return equal(a.value, b.value) && (a.cast == nullptr) == (b.cast == nullptr) &&
           bind(a.var, b.var) && equal(a.cast, b.cast);
  }

  bool equal(const std::vector<graph::Value>& a, const std::vector<graph::Value>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [this](const graph::Value& x, const graph::Value& y) { return equal(x, y); });
  }

  bool equal(const graph::Value& a, const graph::Value& b) {
    using namespace graph;
    using graph::as;
    if (!a || !b) return a == b;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
      case ValueKind::variable:
        return values_.equal(a.get(), b.get());
      case ValueKind::constant:
        return equal_bytes(*as<ConstantNode>(a)->data, *as<ConstantNode>(b)->data);
      case ValueKind::tuple:
        return equal(as<TupleNode>(a)->fields, as<TupleNode>(b)->fields);
      case ValueKind::tuple_get: {
        const auto *x = as<TupleGetNode>(a), *y = as<TupleGetNode>(b);
        return x->index == y->index && equal(x->tuple, y->tuple);
      }
      case ValueKind::shape:
        return equal(as<ShapeNode>(a)->dims, as<ShapeNode>(b)->dims);
      case ValueKind::prim_value:
        return equal(as<PrimValueNode>(a)->value, as<PrimValueNode>(b)->value);
      case ValueKind::string:
        return as<StringNode>(a)->value == as<StringNode>(b)->value;
      case ValueKind::dtype:
        return as<DTypeNode>(a)->value == as<DTypeNode>(b)->value;
      case ValueKind::global:
        return as<GlobalNode>(a)->name == as<GlobalNode>(b)->name;
      case ValueKind::external:
        return as<ExternNode>(a)->name == as<ExternNode>(b)->name;
      case ValueKind::call: {
        const auto *x = as<graph::CallNode>(a), *y = as<graph::CallNode>(b);
        if ((x->op == nullptr) != (y->op == nullptr) || (x->op && x->op->name != y->op->name) ||
            x->type_args.size() != y->type_args.size() || !equal(x->callee, y->callee) ||
            !equal(x->args, y->args) || !equal(x->attrs, y->attrs)) {
          return false;
        }
        for (size_t i = 0; i < x->type_args.size(); ++i) {  // may bring fresh symbols
          if (!bind_symbols(x->type_args[i], y->type_args[i])) return false;
        }
        return equal(x->type_args, y->type_args);
      }
      case ValueKind::if_: {
        const auto *x = as<graph::IfNode>(a), *y = as<graph::IfNode>(b);
        return equal(x->condition, y->condition) && equal(x->then_body, y->then_body) &&
               equal(x->else_body, y->else_body);
      }
      case ValueKind::function:
        return equal(*as<FunctionNode>(a), *as<FunctionNode>(b));
    }
    return false;
  }

  // ---- Tensor IR

  bool equal(const tir::Range& a, const tir::Range& b) {
    return equal(a.min, b.min) && equal(a.extent, b.extent);
  }

  bool equal(const tir::Region& a, const tir::Region& b) {
    return same_buffer(a.buffer, b.buffer) &&
           std::equal(a.ranges.begin(), a.ranges.end(), b.ranges.begin(), b.ranges.end(),
                      [this](const auto& x, const auto& y) { return equal(x, y); });
  }

  bool equal(const std::vector<tir::Region>& a, const std::vector<tir::Region>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [this](const auto& x, const auto& y) { return equal(x, y); });
  }

  bool equal(const tir::BlockNode& a, const tir::BlockNode& b) {
    if (a.name != b.name || a.iters.size() != b.iters.size() ||
        a.alloc_buffers.size() != b.alloc_buffers.size() ||
        a.match_buffers.size() != b.match_buffers.size()) {
      return false;
    }
    for (size_t i = 0; i < a.iters.size(); ++i) {
      const tir::IterVar &x = a.iters[i], &y = b.iters[i];
      if (x.kind != y.kind || !equal(x.min, y.min) || !equal(x.extent, y.extent) ||
          !equal(x.value, y.value)) {
        return false;
      }
    }
    for (size_t i = 0; i < a.iters.size(); ++i) {
      if (!bind(a.iters[i].var, b.iters[i].var)) return false;
    }
    for (size_t i = 0; i < a.alloc_buffers.size(); ++i) {
      if (!bind(a.alloc_buffers[i], b.alloc_buffers[i])) return false;
    }
    for (size_t i = 0; i < a.match_buffers.size(); ++i) {
      const tir::MatchBuffer &x = a.match_buffers[i], &y = b.match_buffers[i];
      if (!equal(x.source, y.source) || !bind_view(x.buffer, y.buffer)) return false;
    }
    return equal(a.predicate, b.predicate) && equal(a.reads, b.reads) &&
           equal(a.writes, b.writes) && equal(a.annotations, b.annotations) &&
           equal(a.init, b.init) && equal(a.body, b.body);
  }

  bool equal(const tir::Stmt& a, const tir::Stmt& b) {
    using namespace tir;
    using tir::as;
    if (!a || !b) return a == b;
    if (a->kind != b->kind) return false;
    switch (a->kind) {
      case StmtKind::seq: {
        const auto &x = as<SeqNode>(a)->stmts, &y = as<SeqNode>(b)->stmts;
        return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                          [this](const Stmt& s, const Stmt& t) { return equal(s, t); });
      }
      case StmtKind::for_: {
        const auto *x = as<ForNode>(a), *y = as<ForNode>(b);
        return x->loop_kind == y->loop_kind && x->thread == y->thread && equal(x->min, y->min) &&
               equal(x->extent, y->extent) && equal(x->annotations, y->annotations) &&
               bind(x->var, y->var) && equal(x->body, y->body);
      }
      case StmtKind::block:
        return equal(*as<BlockNode>(a), *as<BlockNode>(b));
      case StmtKind::store: {
        const auto *x = as<StoreNode>(a), *y = as<StoreNode>(b);
        return same_buffer(x->buffer, y->buffer) && equal(x->indices, y->indices) &&
               equal(x->value, y->value) && equal(x->predicate, y->predicate);
      }
      case StmtKind::let: {
        const auto *x = as<LetNode>(a), *y = as<LetNode>(b);
        return equal(x->value, y->value) && bind(x->var, y->var) && equal(x->body, y->body);
      }
      case StmtKind::if_: {
        const auto *x = as<tir::IfNode>(a), *y = as<tir::IfNode>(b);
        return equal(x->condition, y->condition) && equal(x->then_body, y->then_body) &&
               equal(x->else_body, y->else_body);
      }
      case StmtKind::while_: {
        const auto *x = as<WhileNode>(a), *y = as<WhileNode>(b);
        return equal(x->condition, y->condition) && equal(x->body, y->body);
      }
      case StmtKind::allocate: {
        const auto *x = as<AllocateNode>(a), *y = as<AllocateNode>(b);
        return bind(x->buffer, y->buffer) && equal(x->body, y->body);
      }
      case StmtKind::declare: {
        const auto *x = as<DeclareNode>(a), *y = as<DeclareNode>(b);
        return equal(x->data, y->data) && bind(x->buffer, y->buffer) && equal(x->body, y->body);
      }
      case StmtKind::evaluate:
        return equal(as<EvaluateNode>(a)->value, as<EvaluateNode>(b)->value);
      case StmtKind::assert_: {
        const auto *x = as<AssertNode>(a), *y = as<AssertNode>(b);
        return x->message == y->message && equal(x->condition, y->condition) &&
               equal(x->values, y->values);
      }
      case StmtKind::attr: {
        const auto *x = as<AttrStmtNode>(a), *y = as<AttrStmtNode>(b);
        return x->key == y->key && equal(x->value, y->value) && equal(x->body, y->body);
      }
      case StmtKind::return_:
        return equal(as<ReturnNode>(a)->value, as<ReturnNode>(b)->value);
    }
    return false;
  }

  Pairing<VarNode> vars_;
  Pairing<BufferNode> buffers_;
  Pairing<graph::ValueNode> values_;
  std::unordered_map<const ExprNode*, Expr> known_;  // equal expressions, for shared ones
};

}  // namespace

bool structural_equal(const tir::PrimFunc& a, const tir::PrimFunc& b) {
  return a == b || (a && b && Matcher().equal(*a, *b));
}

bool structural_equal(const graph::Function& a, const graph::Function& b) {
  return a == b || (a && b && Matcher().equal(*a, *b));
}

bool structural_equal(const Module& a, const Module& b) {
  if (a.names().size() != b.names().size() || !Matcher().equal(a.attrs, b.attrs) ||
      !Matcher().equal(a.global_infos, b.global_infos)) {
    return false;
  }
  return std::all_of(a.names().begin(), a.names().end(), [&](const std::string& name) {
    const Definition *x = a.find(name), *y = b.find(name);
    if (!y || x->index() != y->index()) return false;
    if (const auto* f = std::get_if<graph::Function>(x)) {
      return structural_equal(*f, std::get<graph::Function>(*y));
    }
    if (const auto* f = std::get_if<tir::PrimFunc>(x)) {
      return structural_equal(*f, std::get<tir::PrimFunc>(*y));
    }
    const auto &e = std::get<ExternFunc>(*x), &g = std::get<ExternFunc>(*y);
    return e.symbol == g.symbol && structural_equal(e.type, g.type);
  });
}

}  // namespace repose

// Turns vectorized loops into vector expressions.
#include "passes/tensor/vectorize_loops.h"

#include <algorithm>
#include <utility>

namespace repose {

namespace {

using tir::Stmt;

constexpr int64_t max_lanes = 1024;  // of more, code generation makes too much code

// The statements of one vectorized loop, for all lanes at once.
class Lanes {
 public:
  Lanes(const Var& lane, const Expr& min, int lanes) : lanes_(lanes) {
    values_.emplace(lane.get(), make_ramp(min, make_int(1), lanes));
  }

  Stmt run(const Stmt& s) {
    switch (s->kind) {
      case tir::StmtKind::seq: {
        std::vector<Stmt> list;
        for (const Stmt& child : tir::as<tir::SeqNode>(s)->stmts) list.push_back(run(child));
        return tir::make_seq(std::move(list));
      }
      case tir::StmtKind::store:
        return store(*tir::as<tir::StoreNode>(s));
      case tir::StmtKind::let: {
        const auto* let = tir::as<tir::LetNode>(s);
        Expr value = vectorize(let->value);
        if (!value->dtype.is_vector()) {
          return tir::make<tir::LetNode>(let->var, value, run(let->body), let->span);
        }
        Var wide = make_var(let->var->name, value->dtype, let->var->role);
        values_.emplace(let->var.get(), wide);
        return tir::make<tir::LetNode>(wide, value, run(let->body), let->span);
      }
      case tir::StmtKind::if_:
        return branch(*tir::as<tir::IfNode>(s), s);
      case tir::StmtKind::for_: {
        const auto* loop = tir::as<tir::ForNode>(s);
        Expr min = vectorize(loop->min), extent = vectorize(loop->extent);
        REPOSE_CHECK(!min->dtype.is_vector() && !extent->dtype.is_vector(),
                     "a loop inside a vectorized loop runs equally often in every lane");
        const tir::ForKind kind = loop->loop_kind == tir::ForKind::vectorized
                                      ? tir::ForKind::serial
                                      : loop->loop_kind;  // one of two vectorized loops
        return tir::make<tir::ForNode>(loop->var, min, extent, kind, run(loop->body), loop->thread,
                                       loop->annotations, loop->span);
      }
      case tir::StmtKind::declare: {
        const auto* d = tir::as<tir::DeclareNode>(s);
        return tir::make<tir::DeclareNode>(d->buffer, d->data, run(d->body), d->span);
      }
      default:
        REPOSE_CHECK(false,
                     std::string("a vectorized loop around `") + tir::kind_name(s->kind) + "`");
    }
  }

 private:
  // In lanes that are masked off, nothing is read.
  Expr vectorize(const Expr& e) {
    Expr wide = substitute_wide(e);
    if (!mask_) return wide;
    return rewrite(wide, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      if (load && !node->dtype.is_vector()) {
        reads_for_all_lanes_ = reads_for_all_lanes_ || load->buffer->scope != Scope::local;
      }
      if (!load || !node->dtype.is_vector() || covers_lanes(load->buffer, node->args)) return node;
      return make_if_then_else(mask_, node, make_const(node->dtype, 0));
    });
  }

  // A local buffer of one element per lane, such as an accumulator: all lanes may be touched.
  static bool covers_lanes(const Buffer& buffer, const std::vector<Expr>& indices) {
    if (buffer->scope != Scope::local || indices.empty()) return false;
    const Expr& last = indices.back();
    return last->kind == ExprKind::ramp && is_const_int(last->args[0], 0) &&
           is_const_int(last->args[1], 1) && is_const_int(buffer->shape.back(), last->dtype.lanes);
  }

  // `rewrite` would see loads only after their subscripts are vectors, which is what is wanted: the
  // dtype of a load follows from its subscripts. Conditions and selections broadcast by themselves.
  Expr substitute_wide(const Expr& e) {
    return rewrite(e, [&](const Expr& node) -> Expr {
      if (const auto* v = as<VarNode>(node)) {
        auto it = values_.find(v);
        return it == values_.end() ? node : it->second;
      }
      if (node->kind == ExprKind::load) return drop_repeated(node);
      return fold_ramp(node);
    });
  }

  // Subscripts that are equal in all lanes are scalars.
  static Expr drop_repeated(const Expr& load) {
    std::vector<Expr> args = load->args;
    for (Expr& i : args) {
      if (i->kind == ExprKind::broadcast) i = i->args[0];
    }
    return with_args(load, std::move(args));
  }

  // ramp + scalar, ramp - scalar, ramp * scalar stay ramps, so that subscripts are seen to be
  // contiguous.
  static Expr fold_ramp(const Expr& e) {
    if (!e->dtype.is_index() || !e->dtype.is_vector() || !is_binary(e->kind)) return e;
    const Expr &a = e->args[0], &b = e->args[1];
    auto scalar = [](const Expr& x) -> Expr {
      return x->kind == ExprKind::broadcast ? x->args[0] : nullptr;
    };
    const bool a_ramp = a->kind == ExprKind::ramp, b_ramp = b->kind == ExprKind::ramp;
    const int lanes = e->dtype.lanes;
    switch (e->kind) {
      case ExprKind::add:
        if (a_ramp && scalar(b)) return make_ramp(a->args[0] + scalar(b), a->args[1], lanes);
        if (b_ramp && scalar(a)) return make_ramp(scalar(a) + b->args[0], b->args[1], lanes);
        if (a_ramp && b_ramp) {
          return make_ramp(a->args[0] + b->args[0], a->args[1] + b->args[1], lanes);
        }
        if (scalar(a) && scalar(b)) return make_broadcast(scalar(a) + scalar(b), lanes);
        break;
      case ExprKind::sub:
        if (a_ramp && scalar(b)) return make_ramp(a->args[0] - scalar(b), a->args[1], lanes);
        if (scalar(a) && scalar(b)) return make_broadcast(scalar(a) - scalar(b), lanes);
        break;
      case ExprKind::mul:
        if (a_ramp && scalar(b))
          return make_ramp(a->args[0] * scalar(b), a->args[1] * scalar(b), lanes);
        if (b_ramp && scalar(a))
          return make_ramp(scalar(a) * b->args[0], scalar(a) * b->args[1], lanes);
        if (scalar(a) && scalar(b)) return make_broadcast(scalar(a) * scalar(b), lanes);
        break;
      default:
        break;
    }
    return e;
  }

  Stmt store(const tir::StoreNode& s) {
    std::vector<Expr> indices;
    bool wide = false;
    for (const Expr& i : s.indices) {
      indices.push_back(substitute_wide(i));
      wide = wide || indices.back()->dtype.is_vector();
    }
    Expr value = vectorize(s.value);
    REPOSE_CHECK(wide, "lanes of a vectorized loop store to different elements");
    for (Expr& i : indices) {
      // Only the subscripts that differ by lane are vectors; equal ones are repeated.
      if (i->kind == ExprKind::broadcast) i = i->args[0];
    }
    if (value->dtype.lanes == 1) value = make_broadcast(value, lanes_);
    if (!mask_) return tir::make<tir::StoreNode>(s.buffer, std::move(indices), value, s.span);
    if (covers_lanes(s.buffer, indices)) {  // stays in registers
      Expr old = make_load(s.buffer, indices);
      return tir::make<tir::StoreNode>(s.buffer, std::move(indices), make_select(mask_, value, old),
                                       s.span);
    }
    return tir::make<tir::StoreNode>(s.buffer, std::move(indices), value, s.span, mask_);
  }

  Stmt branch(const tir::IfNode& s, const Stmt& original) {
    Expr condition = vectorize(s.condition);
    if (!condition->dtype.is_vector()) {
      Stmt t = run(s.then_body);
      Stmt e = s.else_body ? run(s.else_body) : nullptr;
      return tir::make<tir::IfNode>(condition, std::move(t), std::move(e), original->span);
    }
    // What the branches store must not change which lanes take them.
    const Expr value = condition;
    Var kept;
    if (reads_memory(value)) {
      kept = make_var("mask", value->dtype, VarRole::let);
      condition = kept;
    }
    Stmt result = side(condition, s.then_body);
    if (s.else_body) {
      result = tir::make_seq({std::move(result), side(make_not(condition), s.else_body)});
    }
    return kept ? tir::make<tir::LetNode>(kept, value, std::move(result)) : result;
  }

  // A branch in the lanes that take it. What it reads for all lanes at once is read only if there
  // is such a lane.
  Stmt side(const Expr& condition, const Stmt& body) {
    const Expr outer = mask_;
    const bool outer_reads = std::exchange(reads_for_all_lanes_, false);
    mask_ = outer ? logical_and(outer, condition) : condition;
    Stmt result = run(body);
    if (reads_for_all_lanes_) {
      const DType wide = dtypes::int32.with_lanes(lanes_);
      const Expr active = make_select(mask_, make_const(wide, 1), make_const(wide, 0));
      const Expr any = make_call(Intrinsic::vector_reduce_max, dtypes::int32, {active});
      result = tir::make<tir::IfNode>(ne(any, make_int(0, dtypes::int32)), std::move(result));
    }
    mask_ = outer;
    reads_for_all_lanes_ = outer_reads;
    return result;
  }

  static bool reads_memory(const Expr& e) {
    bool found = false;
    visit(e, [&](const Expr& node) {
      found = found || node->kind == ExprKind::load;
      return !found;
    });
    return found;
  }

  const int lanes_;
  Expr mask_;
  bool reads_for_all_lanes_ = false;  // under the mask: memory at subscripts that no lane changes
  VarMap values_;
};

// May all lanes run it at once? Then each store goes to an element of its lane, and loops run
// equally often in every lane. `varying`: what differs by lane.
bool is_vectorizable(const Stmt& s, std::vector<Var>& varying) {
  auto varies = [&](const Expr& e) {
    return std::any_of(varying.begin(), varying.end(),
                       [&](const Var& v) { return uses_var(e, v); });
  };
  switch (s->kind) {
    case tir::StmtKind::seq: {
      const auto& list = tir::as<tir::SeqNode>(s)->stmts;
      return std::all_of(list.begin(), list.end(),
                         [&](const Stmt& child) { return is_vectorizable(child, varying); });
    }
    case tir::StmtKind::store: {
      const auto* store = tir::as<tir::StoreNode>(s);
      return !store->predicate && std::any_of(store->indices.begin(), store->indices.end(), varies);
    }
    case tir::StmtKind::let: {
      const auto* let = tir::as<tir::LetNode>(s);
      const size_t outer = varying.size();
      if (varies(let->value)) varying.push_back(let->var);
      const bool result = is_vectorizable(let->body, varying);
      varying.resize(outer);
      return result;
    }
    case tir::StmtKind::if_: {
      const auto* branch = tir::as<tir::IfNode>(s);
      return is_vectorizable(branch->then_body, varying) &&
             (!branch->else_body || is_vectorizable(branch->else_body, varying));
    }
    case tir::StmtKind::for_: {
      const auto* loop = tir::as<tir::ForNode>(s);
      return !varies(loop->min) && !varies(loop->extent) && is_vectorizable(loop->body, varying);
    }
    case tir::StmtKind::declare:
      return is_vectorizable(tir::as<tir::DeclareNode>(s)->body, varying);
    default:
      return false;
  }
}

class Vectorizer : public tir::StmtRewriter {
 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* loop = tir::as<tir::ForNode>(s);
    if (!loop || loop->loop_kind != tir::ForKind::vectorized)
      return tir::StmtRewriter::rewrite_stmt(s);
    int64_t lanes = 0;
    std::vector<Var> varying{loop->var};
    if (!as_const_int(loop->extent, &lanes) || lanes < 1 || lanes > max_lanes ||
        !is_vectorizable(loop->body, varying)) {
      return tir::make<tir::ForNode>(loop->var, loop->min, loop->extent, tir::ForKind::serial,
                                     rewrite(loop->body), loop->thread, loop->annotations,
                                     loop->span);
    }
    if (lanes == 1) return rewrite(tir::substitute(loop->body, {{loop->var.get(), loop->min}}));
    return Lanes(loop->var, loop->min, static_cast<int>(lanes)).run(loop->body);
  }
};

}  // namespace

tir::PrimFunc vectorize_loops(const tir::PrimFunc& f) {
  return tir::with_body(f, Vectorizer().rewrite(f->body));
}

}  // namespace repose

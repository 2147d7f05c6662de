// The verifier of tensor programs.
//
// T1  Every variable that is used is bound: a parameter, a symbol that a parameter's buffer binds,
//     a loop variable, a let variable, a block axis, or a symbol of a view's strides and offset.
//     None is bound again where it is visible.
// T2  Inside a block, loop and let variables from outside of it are not visible; block axes of
//     enclosing blocks, parameters and symbols are.
// T3  Every buffer that is read or written is declared around the access, as a parameter, an
//     allocation, a view or a declaration, once, and has one index per dimension.
// T4  Loop variables, axes, their bounds, indices, dimensions, strides and offsets are of dtype
//     index.
// T5  Stored values have the buffer's dtype, let variables that of their values; data of a
//     declaration and the variable of a buffer parameter are handles.
// T6  Conditions, predicates and assertions are bool.
// T7  No access is out of bounds for certain, no axis has a value outside of its range for certain.
// T8  `init` stands only in a block with a reduction axis; a region has one range per dimension.
// T9  A program that is called by name is in the module.
//
// The extents of vectorized and unrolled loops may be symbolic here; code generation needs
// constants.
#include "ir/verify_tir.h"

#include <unordered_map>
#include <unordered_set>

namespace repose {

namespace {

using namespace tir;
using repose::as;
using tir::as;

bool has_load(const Expr& e) {
  bool found = false;
  std::unordered_set<const ExprNode*> seen;
  visit(e, [&](const Expr& node) {
    found = found || node->kind == ExprKind::load;
    return !found && seen.insert(node.get()).second;
  });
  return found;
}

// Whether the expression, written out, has at most `limit` nodes.
bool is_at_most(int limit, const Expr& e) {
  visit(e, [&](const Expr&) { return --limit >= 0; });
  return limit >= 0;
}

class ProgramVerifier {
 public:
  ProgramVerifier(const std::string& name, const PrimFuncNode& f, const Module& module,
                  Diagnostics& problems)
      : name_(name), f_(f), module_(module), problems_(problems), span_(f.span) {}

  void run() {
    for (const Param& p : f_.params) bind(p.var, /*everywhere=*/true);
    for (const Var& v : bound_symbols(f_)) bind(v, true);
    for (const Param& p : f_.params) {
      if (!p.buffer) continue;
      if (!p.var->dtype.is_handle()) {
        report(DiagnosticKind::dtype_mismatch,
               "parameter `{}` is a buffer, but its variable has dtype {}, expected a handle",
               p.var->name, p.var->dtype.to_string());
      }
      declare(p.buffer);
    }
    for (const auto& [key, value] : f_.attrs) {
      rewrite_exprs(value, [this](const Expr& e) {
        check(e);
        return e;
      });
    }
    check(f_.body);
  }

 private:
  struct Binding {
    int level;  // of blocks around the binding; -1: visible in every block inside
  };

  template <class... Args>
  void report(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(
        error(kind, span_, "`{}`: {}", name_, fmt::format(text, std::forward<Args>(args)...)));
  }

  // ---- Scopes. What a statement binds is undone when the scope ends.

  class ScopeGuard {
   public:
    explicit ScopeGuard(ProgramVerifier& v)
        : v_(v), vars_(v.var_stack_.size()), buffers_(v.buffer_stack_.size()), span_(v.span_) {}
    ~ScopeGuard() {
      for (; v_.var_stack_.size() > vars_; v_.var_stack_.pop_back()) {
        v_.vars_.erase(v_.var_stack_.back());
        v_.values_.erase(v_.var_stack_.back());
      }
      for (; v_.buffer_stack_.size() > buffers_; v_.buffer_stack_.pop_back()) {
        v_.buffers_.erase(v_.buffer_stack_.back());
      }
      v_.span_ = span_;
    }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    ProgramVerifier& v_;
    size_t vars_, buffers_;
    Span span_;
  };

  void bind(const Var& v, bool everywhere = false) {
    if (!vars_.emplace(v.get(), Binding{everywhere ? -1 : level_}).second) {
      report(DiagnosticKind::ill_formed, "variable `{}` is bound again where it is visible",
             v->name);
      return;
    }
    var_stack_.push_back(v.get());
  }

  // Remembers what a let variable stands for. As a fact it would have to be forgotten again, which
  // copies all facts. Values with loads are left out, as memory may change, and so are big ones,
  // which grow from let to let.
  void define(const Var& v, const Expr& value) {
    if (v->dtype != dtypes::index || value->dtype != dtypes::index || has_load(value)) return;
    Expr known = simplify(resolved(value), facts_);
    if (is_at_most(64, known)) values_.emplace(v.get(), known);
  }
  // Without let variables whose value is known: what is assumed and proved.
  Expr resolved(const Expr& e) const { return values_.empty() ? e : substitute(e, values_); }

  void declare(const Buffer& b) {
    for (const Expr& d : b->shape) check_index(d, "a dimension", b->name);
    for (const Expr& s : b->strides) check_index(s, "a stride", b->name);
    if (b->offset_elems) check_index(b->offset_elems, "the offset", b->name);
    if (!buffers_.insert(b.get()).second) {
      report(DiagnosticKind::ill_formed, "buffer `{}` is declared again where it is visible",
             b->name);
      return;
    }
    buffer_stack_.push_back(b.get());
  }

  void check_visible(const VarNode& v) {
    auto it = vars_.find(&v);
    bool hidden = it != vars_.end() && it->second.level >= 0 && it->second.level != level_;
    if ((it != vars_.end() && !hidden) || !reported_.insert(&v).second) return;
    if (hidden) {
      report(DiagnosticKind::ill_formed,
             "variable `{}` is used inside block `{}`, where only axes, parameters, symbols and "
             "the block's own variables are visible",
             v.name, block_name_);
    } else if (v.role == VarRole::dimension || v.role == VarRole::value) {
      report(DiagnosticKind::unbound_symbol, "symbol `{}` is used, but nothing binds it", v.name);
    } else {
      report(DiagnosticKind::ill_formed, "variable `{}` is used where it is not bound", v.name);
    }
  }

  void check_declared(const Buffer& b) {
    if (buffers_.count(b.get()) || !reported_.insert(b.get()).second) return;
    report(DiagnosticKind::ill_formed, "buffer `{}` is used where it is not declared", b->name);
  }

  // ---- Expressions

  using Seen = std::unordered_set<const ExprNode*>;

  void check(const Expr& e) {
    Seen seen;
    check(e, facts_, seen);
  }

  // `seen`: nodes that were checked under these facts.
  void check(const Expr& e, const Facts& facts, Seen& seen) {
    if (e->kind == ExprKind::var) return check_visible(*as<VarNode>(e));
    if (e->args.empty() && e->kind != ExprKind::load && e->kind != ExprKind::call) return;
    if (!seen.insert(e.get()).second) return;
    if (e->kind == ExprKind::if_then_else) {  // only the taken side is evaluated
      check(e->args[0], facts, seen);
      Seen taken, other;
      const bool outer = std::exchange(is_masked_, is_masked_ || e->args[0]->dtype.is_vector());
      check(e->args[1], assuming(facts, e->args[0]), taken);
      check(e->args[2], assuming(facts, make_not(e->args[0])), other);
      is_masked_ = outer;
      return;
    }
    const auto* call = as<repose::CallNode>(e);
    if (call && call->intrinsic == Intrinsic::call_program && !module_.prim_func(call->name)) {
      report(DiagnosticKind::unknown_name, "the called program `{}` is not in the module",
             call->name);
    }
    const bool takes_place = call && (call->intrinsic == Intrinsic::buffer_data ||
                                      call->intrinsic == Intrinsic::prefetch);
    if (takes_place && (call->args.size() != 1 || call->args[0]->kind != ExprKind::load)) {
      report(DiagnosticKind::ill_formed, "`{}` takes an element of a buffer",
             intrinsic_name(call->intrinsic));
    }
    if (call && call->intrinsic == Intrinsic::buffer_data) return check_address(*call, facts, seen);
    for (const Expr& a : e->args) check(a, facts, seen);
    if (const auto* load = as<LoadNode>(e)) check_access(load->buffer, e->args, facts, !is_masked_);
  }

  // Where a buffer begins is no access: it may have no elements.
  void check_address(const repose::CallNode& call, const Facts& facts, Seen& seen) {
    for (const Expr& a : call.args) {
      const auto* load = as<LoadNode>(a);
      const bool is_begin = load && std::all_of(a->args.begin(), a->args.end(),
                                                [](const Expr& i) { return is_const_int(i, 0); });
      if (!is_begin) {
        check(a, facts, seen);
      } else {
        check_declared(load->buffer);
      }
    }
  }

  // Loads are left out: what they read may change.
  Facts assuming(Facts facts, const Expr& condition) const {
    if (condition->dtype == dtypes::boolean && !has_load(condition)) {
      facts.assume(resolved(condition));
    }
    return facts;
  }

  void check_index(const Expr& e, const char* what, const std::string& of) {
    check(e);
    if (e->dtype == dtypes::index) return;
    report(DiagnosticKind::dtype_mismatch, "{} of `{}` has dtype {}, expected index", what, of,
           e->dtype.to_string());
  }

  void check_bool(const Expr& e, const char* what) {
    check(e);
    if (e->dtype == dtypes::boolean) return;
    report(DiagnosticKind::dtype_mismatch, "{} has dtype {}, expected bool", what,
           e->dtype.to_string());
  }

  // `certain`: the access happens for all lanes.
  void check_access(const Buffer& b, const std::vector<Expr>& indices, const Facts& facts,
                    bool certain) {
    check_declared(b);
    if (indices.size() != b->shape.size()) {
      report(DiagnosticKind::rank_mismatch, "`{}` has {} dimensions, {} indices are given", b->name,
             b->shape.size(), indices.size());
      return;
    }
    for (size_t i = 0; i < indices.size(); ++i) {
      const Expr& index = indices[i];
      if (!index->dtype.is_index()) {
        report(DiagnosticKind::dtype_mismatch, "index {} of `{}` has dtype {}, expected index", i,
               b->name, index->dtype.to_string());
      } else if (index->kind == ExprKind::ramp) {
        if (!certain) continue;
        int lanes = index->dtype.lanes;
        check_bounds(b, i, index->args[0], facts);
        check_bounds(b, i, index->args[0] + index->args[1] * (lanes - 1), facts);
      } else if (index->kind == ExprKind::broadcast) {
        check_bounds(b, i, index->args[0], facts);
      } else if (!index->dtype.is_vector()) {
        check_bounds(b, i, index, facts);
      }
    }
  }

  void check_bounds(const Buffer& b, size_t dimension, const Expr& index, const Facts& facts) {
    const Expr& extent = b->shape[dimension];
    if (extent->dtype != dtypes::index) return;
    Expr value = resolved(index);
    bool below = prove_le(make_int(0), value, facts) == Truth::no;
    if (!below && prove(lt(value, resolved(extent)), facts) != Truth::no) return;
    report(DiagnosticKind::ill_formed,
           "index {} of `{}` is `{}`, which is out of bounds: the dimension is `{}`", dimension,
           b->name, to_string(index), to_string(extent));
  }

  // ---- Statements

  // What is known of `v` in [first, first + length).
  void assume_range(const Var& v, const Expr& first, const Expr& length) {
    if (v->dtype != dtypes::index || first->dtype != dtypes::index ||
        length->dtype != dtypes::index) {
      return;
    }
    const Expr min = resolved(first), extent = resolved(length);
    int64_t lower = 0, size = 0;
    if (as_const_int(min, &lower) && as_const_int(extent, &size) && size > 0) {
      facts_.restrict(v, Interval{lower, lower + size - 1, 1, 0});
      return;
    }
    facts_.assume(le(min, v));
    facts_.assume(lt(v, min + extent));
  }

  void check(const Stmt& s) {
    if (!s) return;
    ScopeGuard scope(*this);
    if (s->span) span_ = s->span;
    switch (s->kind) {
      case StmtKind::seq:
        return check(*as<SeqNode>(s));
      case StmtKind::for_:
        return check(*as<ForNode>(s));
      case StmtKind::block:
        return check(*as<BlockNode>(s));
      case StmtKind::store:
        return check(*as<StoreNode>(s));
      case StmtKind::let: {
        const auto* let = as<LetNode>(s);
        check(let->value);
        if (let->var->dtype != let->value->dtype) {
          report(DiagnosticKind::dtype_mismatch, "variable `{}` has dtype {}, its value has {}",
                 let->var->name, let->var->dtype.to_string(), let->value->dtype.to_string());
        }
        bind(let->var);
        define(let->var, let->value);
        return check(let->body);
      }
      case StmtKind::if_: {
        const auto* branch = as<tir::IfNode>(s);
        check_bool(branch->condition, "the condition of an `if`");
        check_assuming(branch->condition, branch->then_body);
        if (branch->else_body && branch->condition->dtype == dtypes::boolean) {
          check_assuming(make_not(branch->condition), branch->else_body);
        }
        return;
      }
      case StmtKind::while_:
        check_bool(as<WhileNode>(s)->condition, "the condition of a `while`");
        return check_assuming(as<WhileNode>(s)->condition, as<WhileNode>(s)->body);
      case StmtKind::allocate:
        declare(as<AllocateNode>(s)->buffer);
        return check(as<AllocateNode>(s)->body);
      case StmtKind::declare: {
        const auto* declaration = as<DeclareNode>(s);
        check(declaration->data);
        if (!declaration->data->dtype.is_handle()) {
          report(DiagnosticKind::dtype_mismatch,
                 "buffer `{}` is declared at a value of dtype {}, expected a handle",
                 declaration->buffer->name, declaration->data->dtype.to_string());
        }
        declare(declaration->buffer);
        return check(declaration->body);
      }
      case StmtKind::evaluate:
        return check(as<EvaluateNode>(s)->value);
      case StmtKind::assert_:
        check_bool(as<AssertNode>(s)->condition, "the condition of an assertion");
        for (const Expr& v : as<AssertNode>(s)->values) check(v);
        return;
      case StmtKind::attr:
        check(as<AttrStmtNode>(s)->value);
        return check(as<AttrStmtNode>(s)->body);
      case StmtKind::return_:
        if (as<ReturnNode>(s)->value) check(as<ReturnNode>(s)->value);
        return;
    }
  }

  void check_assuming(const Expr& condition, const Stmt& body) {
    Facts saved = facts_;
    facts_ = assuming(facts_, condition);
    check(body);
    facts_ = std::move(saved);
  }

  void check(const SeqNode& seq) {
    Facts saved = facts_;
    for (const Stmt& s : seq.stmts) {
      check(s);
      if (const auto* assertion = as<AssertNode>(s)) {
        facts_ = assuming(facts_, assertion->condition);
      }
    }
    facts_ = std::move(saved);
  }

  void check(const ForNode& loop) {
    check_index(loop.min, "the lower bound", loop.var->name);
    check_index(loop.extent, "the extent", loop.var->name);
    if (loop.var->dtype != dtypes::index) {
      report(DiagnosticKind::dtype_mismatch, "loop variable `{}` has dtype {}, expected index",
             loop.var->name, loop.var->dtype.to_string());
    }
    Facts saved = facts_;
    bind(loop.var);
    assume_range(loop.var, loop.min, loop.extent);
    check(loop.body);
    facts_ = std::move(saved);
  }

  void check(const StoreNode& store) {
    int lanes = 1;
    for (const Expr& i : store.indices) {
      check(i);
      lanes = std::max<int>(lanes, i->dtype.lanes);
    }
    check(store.value);
    if (store.predicate) {
      check(store.predicate);
      if (!store.predicate->dtype.is_bool()) {
        report(DiagnosticKind::dtype_mismatch,
               "the predicate of a store to `{}` has dtype {}, expected bool", store.buffer->name,
               store.predicate->dtype.to_string());
      }
    }
    check_access(store.buffer, store.indices, facts_, store.predicate == nullptr);
    DType expected = store.buffer->dtype.with_lanes(lanes);
    if (store.value->dtype != expected) {
      report(DiagnosticKind::dtype_mismatch, "a value of dtype {} is stored to `{}`, expected {}",
             store.value->dtype.to_string(), store.buffer->name, expected.to_string());
    }
  }

  void check(const BlockNode& block) {
    bool reduces = false;
    for (const IterVar& iter : block.iters) {
      reduces = reduces || iter.kind == IterKind::reduce || iter.kind == IterKind::scan;
      check_index(iter.min, "the lower bound", iter.var->name);
      check_index(iter.extent, "the extent", iter.var->name);
      check_index(iter.value, "the value", iter.var->name);
      if (iter.var->dtype != dtypes::index) {
        report(DiagnosticKind::dtype_mismatch,
               "axis `{}` of block `{}` has dtype {}, expected index", iter.var->name, block.name,
               iter.var->dtype.to_string());
      }
    }
    if (block.init && !reduces) {
      report(DiagnosticKind::ill_formed, "block `{}` has an `init`, but no reduction axis",
             block.name);
    }
    Facts saved_facts = facts_;
    for (const IterVar& iter : block.iters) bind(iter.var, true);
    if (block.predicate) {  // over loops around the block, or axes
      check_bool(block.predicate, "the predicate of a block");
      facts_ = assuming(facts_, block.predicate);
    }
    for (const IterVar& iter : block.iters) check_axis_value(block, iter);
    for (const IterVar& iter : block.iters) assume_range(iter.var, iter.min, iter.extent);

    std::string saved_name = std::exchange(block_name_, block.name);
    ++level_;
    for (const Buffer& b : block.alloc_buffers) declare(b);
    for (const MatchBuffer& m : block.match_buffers) {
      check(m.source, "the source of a view");
      bind_view_symbols(m.buffer);
      declare(m.buffer);
    }
    for (const Region& r : block.reads) check(r, "a read");
    for (const Region& r : block.writes) check(r, "a write");
    check(block.init);
    check(block.body);
    --level_;
    block_name_ = std::move(saved_name);
    facts_ = std::move(saved_facts);
  }

  void check_axis_value(const BlockNode& block, const IterVar& iter) {
    if (iter.value->dtype != dtypes::index || iter.min->dtype != dtypes::index ||
        iter.extent->dtype != dtypes::index) {
      return;
    }
    Expr min = resolved(iter.min), value = resolved(iter.value);
    if (prove_le(min, value, facts_) != Truth::no &&
        prove(lt(value, min + resolved(iter.extent)), facts_) != Truth::no) {
      return;
    }
    report(DiagnosticKind::ill_formed,
           "axis `{}` of block `{}` has the value `{}`, which is outside of [{}, {})",
           iter.var->name, block.name, to_string(iter.value), to_string(iter.min),
           to_string(iter.min + iter.extent));
  }

  void bind_view_symbols(const Buffer& b) {
    auto bind_bare = [this](const Expr& e) {
      const auto* v = as<VarNode>(e);
      if (v && !vars_.count(v)) bind(Var(v), true);
    };
    for (const Expr& s : b->strides) bind_bare(s);
    if (b->offset_elems) bind_bare(b->offset_elems);
  }

  void check(const Region& r, const char* what) {
    check_declared(r.buffer);
    if (r.ranges.size() != r.buffer->shape.size()) {
      report(DiagnosticKind::rank_mismatch, "{} of `{}` has {} ranges, expected {}", what,
             r.buffer->name, r.ranges.size(), r.buffer->shape.size());
    }
    for (const Range& range : r.ranges) {
      check_index(range.min, what, r.buffer->name);
      check_index(range.extent, what, r.buffer->name);
    }
  }

  const std::string& name_;
  const PrimFuncNode& f_;
  const Module& module_;
  Diagnostics& problems_;
  Span span_;
  int level_ = 0;
  std::string block_name_;
  Facts facts_;
  bool is_masked_ = false;  // in a side of an if_then_else that only some lanes take
  std::unordered_map<const VarNode*, Binding> vars_;
  std::vector<const VarNode*> var_stack_;
  VarMap values_;  // of let variables, without let variables
  std::unordered_set<const BufferNode*> buffers_;
  std::vector<const BufferNode*> buffer_stack_;
  std::unordered_set<const void*> reported_;
};

}  // namespace

void verify_program(const std::string& name, const tir::PrimFunc& f, const Module& module,
                    Diagnostics& problems) {
  ProgramVerifier(name, *f, module, problems).run();
}

}  // namespace repose

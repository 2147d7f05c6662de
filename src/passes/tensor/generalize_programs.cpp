// Quotients of scalars in place of the scalars.
#include "passes/tensor/generalize_programs.h"

#include <unordered_map>
#include <unordered_set>

#include "expr/facts.h"
#include "passes/tensor/find_sharing.h"
#include "passes/tensor/merge_programs.h"

namespace repose {

namespace {

// (scalar + offset) // divisor
struct Quotient {
  int64_t offset = 0, divisor = 1;
};

// A scalar plus a constant.
bool match_sum(const Expr& e, const VarNode** scalar, int64_t* offset) {
  *offset = 0;
  *scalar = as<VarNode>(e);
  if (*scalar) return true;
  if (e->kind != ExprKind::add && e->kind != ExprKind::sub) return false;
  *scalar = as<VarNode>(e->args[0]);
  if (!*scalar || !as_const_int(e->args[1], offset)) return false;
  return e->kind == ExprKind::add || !__builtin_sub_overflow(0, *offset, offset);
}

int64_t floor_mod(int64_t a, int64_t b) {
  return (a % b + b) % b;
}

// Every buffer of a program.
void visit_buffers(const tir::PrimFuncNode& f, const std::function<void(const Buffer&)>& visit) {
  for (const tir::Param& p : f.params) {
    if (p.buffer) visit(p.buffer);
  }
  tir::visit_stmts(f.body, [&](const tir::Stmt& s) {
    if (const auto* allocate = tir::as<tir::AllocateNode>(s)) visit(allocate->buffer);
    if (const auto* declare = tir::as<tir::DeclareNode>(s)) visit(declare->buffer);
    if (const auto* block = tir::as<tir::BlockNode>(s)) {
      for (const Buffer& b : block->alloc_buffers) visit(b);
      for (const tir::MatchBuffer& m : block->match_buffers) visit(m.buffer);
    }
    return true;
  });
}

// Every expression that a program holds: those of statements, shapes, attributes.
void visit_everything(const tir::PrimFuncNode& f, const std::function<void(const Expr&)>& visit) {
  visit_buffers(f, [&](const Buffer& b) {
    for (const Expr& d : b->shape) visit(d);
    for (const Expr& s : b->strides) visit(s);
    if (b->offset_elems) visit(b->offset_elems);
  });
  tir::visit_all_exprs(f.body, visit);
  rewrite_exprs(f.attrs, [&](const Expr& e) {
    visit(e);
    return e;
  });
}

// What a program's scalars are used for.
class Quotients {
 public:
  explicit Quotients(const tir::PrimFuncNode& f) {
    for (const tir::Param& p : f.params) {
      if (!p.buffer && p.var->dtype == dtypes::index) scalars_.emplace(p.var.get(), Uses());
    }
    visit_everything(f, [&](const Expr& e) { see(e); });
  }

  // The finest quotient, which tells all others; nothing where the scalar itself is needed.
  std::optional<Quotient> of(const Var& scalar) const {
    auto it = scalars_.find(scalar.get());
    if (it == scalars_.end() || it->second.is_bare || it->second.quotients.empty()) {
      return std::nullopt;
    }
    const std::vector<Quotient>& all = it->second.quotients;
    Quotient finest = all[0];
    for (const Quotient& q : all) {
      if (q.divisor < finest.divisor) finest = q;
    }
    // From 0 on where the scalar is.
    finest.offset = floor_mod(finest.offset, finest.divisor);
    for (const Quotient& q : all) {
      if (q.divisor % finest.divisor != 0 || floor_mod(q.offset, finest.divisor) != finest.offset) {
        return std::nullopt;
      }
    }
    return finest;
  }

 private:
  struct Uses {
    bool is_bare = false;
    std::vector<Quotient> quotients;
  };

  void see(const Expr& root) {
    visit(root, [&](const Expr& e) {
      if (!e->args.empty() && !seen_.emplace(e.get(), e).second) return false;
      if (const auto* v = as<VarNode>(e)) {
        if (auto it = scalars_.find(v); it != scalars_.end()) it->second.is_bare = true;
        return true;
      }
      const VarNode* scalar = nullptr;
      Quotient q;
      if (e->kind != ExprKind::floor_div || !as_const_int(e->args[1], &q.divisor) ||
          q.divisor < 2 || !match_sum(e->args[0], &scalar, &q.offset)) {
        return true;
      }
      if (auto it = scalars_.find(scalar); it != scalars_.end()) it->second.quotients.push_back(q);
      return false;
    });
  }

  std::unordered_map<const VarNode*, Uses> scalars_;
  std::unordered_map<const ExprNode*, Expr> seen_;  // keeps its keys alive
};

// Puts values in place of scalars, and brings the index arithmetic over them into canonical form.
class Replacement : public tir::StmtRewriter {
 public:
  explicit Replacement(const VarMap& replaced) : replaced_(replaced) {
    for (const auto& [old, value] : replaced) {
      for (const Var& v : free_vars(value)) variables_.insert(v.get());
    }
  }

  Expr run(const Expr& e) { return in_canonical_form(substitute(e, replaced_)); }

  // A new buffer where something changes.
  Buffer run(const Buffer& b) {
    std::vector<Expr> shape, strides;
    for (const Expr& d : b->shape) shape.push_back(run(d));
    for (const Expr& s : b->strides) strides.push_back(run(s));
    const Expr offset = b->offset_elems ? run(b->offset_elems) : nullptr;
    if (shape == b->shape && strides == b->strides && offset == b->offset_elems) return b;
    return make_buffer(b->name, std::move(shape), b->dtype, b->scope, std::move(strides), offset,
                       b->align_bytes);
  }

  tir::Stmt run(const tir::Stmt& s, const tir::BufferMap& buffers) {
    return rewrite(tir::substitute(s, replaced_, buffers));
  }

 protected:
  Expr rewrite_expr(const Expr& e) override { return in_canonical_form(e); }

 private:
  Expr in_canonical_form(const Expr& e) {
    if (e->args.empty()) return e;
    if (auto it = done_.find(e); it != done_.end()) return it->second;
    Expr result = e;
    if (e->dtype == dtypes::index) {
      if (uses(e)) result = canonical(e);
    } else {
      std::vector<Expr> args;
      for (const Expr& arg : e->args) args.push_back(in_canonical_form(arg));
      if (args != e->args) result = with_args(e, std::move(args));
    }
    done_.emplace(e, result);
    return result;
  }

  bool uses(const Expr& e) const {
    bool found = false;
    visit(e, [&](const Expr& node) {
      const auto* v = as<VarNode>(node);
      found = found || (v && variables_.contains(v));
      return !found;
    });
    return found;
  }

  const VarMap& replaced_;
  std::unordered_set<const VarNode*> variables_;
  std::unordered_map<Expr, Expr> done_;
};

class Generalizer {
 public:
  Generalizer(const tir::PrimFunc& f, size_t num_args) : original_(f), num_args_(num_args) {}

  GeneralProgram run() {
    tir::PrimFunc f = original_;
    // Of quotients again, where all of a program is in terms of one.
    while (true) {
      VarMap replaced;
      const Quotients quotients(*f);
      for (const tir::Param& p : f->params) {
        if (p.buffer) continue;
        if (const auto q = quotients.of(p.var)) replace(p.var, *q, replaced);
      }
      if (replaced.empty()) break;
      f = with_values(f, replaced);
    }
    return finish(f);
  }

 private:
  void replace(const Var& scalar, const Quotient& q, VarMap& replaced) {
    const Var size = make_var("size", dtypes::index, scalar->role);
    const Expr divisor = make_int(q.divisor);
    // One of the values that have this quotient: it tells all quotients that the program has.
    replaced.emplace(scalar.get(), size * divisor - make_int(q.offset));
    auto it = values_.find(scalar.get());
    const Expr value = it == values_.end() ? Expr(scalar) : it->second;
    values_[size.get()] = canonical(floor_div(value + make_int(q.offset), divisor));
  }

  // The program with its scalars in terms of others, which take their places.
  static tir::PrimFunc with_values(const tir::PrimFunc& f, const VarMap& replaced) {
    Replacement replacement(replaced);
    tir::BufferMap buffers;
    visit_buffers(*f, [&](const Buffer& b) { buffers.emplace(b.get(), replacement.run(b)); });
    std::vector<tir::Param> params;
    for (tir::Param p : f->params) {
      if (p.buffer) p.buffer = buffers.at(p.buffer.get());
      if (auto it = replaced.find(p.var.get()); it != replaced.end()) {
        p = tir::scalar_param(free_vars(it->second)[0]);
      }
      params.push_back(std::move(p));
    }
    tir::Stmt body = replacement.run(f->body, buffers);
    Attrs attrs = rewrite_exprs(f->attrs, [&](const Expr& e) { return replacement.run(e); });
    return tir::make_prim_func(std::move(params), std::move(body), f->is_private, std::move(attrs),
                               f->span);
  }

  // New scalars stand behind the other arguments.
  GeneralProgram finish(const tir::PrimFunc& f) const {
    GeneralProgram result;
    std::vector<tir::Param> params, sizes;
    std::vector<size_t> moved;
    for (size_t i = 0; i < f->params.size(); ++i) {
      if (i == num_args_) params.insert(params.end(), sizes.begin(), sizes.end());
      moved.push_back(params.size());
      const tir::Param& p = f->params[i];
      if (p.buffer || p.var == original_->params[i].var) {
        params.push_back(p);
        continue;
      }
      result.gone.insert(i);
      result.sizes.push_back(values_.at(p.var.get()));
      sizes.push_back(p);
    }
    if (f->params.size() <= num_args_) params.insert(params.end(), sizes.begin(), sizes.end());
    result.func = tir::make_prim_func(std::move(params), f->body, f->is_private,
                                      with_moved_params(*f, moved), f->span);
    return result;
  }

  const tir::PrimFunc& original_;
  const size_t num_args_;
  VarMap values_;  // of new scalars, over those of the original
};

}  // namespace

Module generalize_programs(const Module& module) {
  return merge_programs(module, [](const tir::PrimFunc& f, const ProgramCalls& calls) {
    return std::optional(Generalizer(f, calls.num_args).run());
  });
}

}  // namespace repose

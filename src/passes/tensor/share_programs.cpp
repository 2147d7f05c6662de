// Makes one program of programs that differ in their sizes only.
#include "passes/tensor/share_programs.h"

#include <algorithm>
#include <unordered_set>

#include "passes/tensor/find_sharing.h"
#include "passes/tensor/merge_programs.h"

namespace repose {

namespace {

// Replaces the largest expressions over scalar parameters by scalar parameters of their own.
class SizeLifter : public tir::StmtRewriter {
 public:
  explicit SizeLifter(const tir::PrimFunc& f) : f_(f) {
    for (const tir::Param& p : f->params) {
      if (!p.buffer && p.var->dtype == dtypes::index) scalars_.insert(p.var.get());
    }
  }

  // New scalars stand where the call's arguments end: before parameter `num_args`.
  GeneralProgram run(size_t num_args) {
    tir::BufferMap buffers;
    for (const tir::Param& p : f_->params) {
      if (p.buffer) renew(p.buffer, buffers);
    }
    tir::visit_stmts(f_->body, [&](const tir::Stmt& s) {
      if (const auto* allocate = tir::as<tir::AllocateNode>(s)) renew(allocate->buffer, buffers);
      if (const auto* declare = tir::as<tir::DeclareNode>(s)) renew(declare->buffer, buffers);
      return true;
    });
    const tir::Stmt body = tir::substitute(rewrite(f_->body), {}, buffers);
    GeneralProgram lifted;
    find_uses(body, buffers);
    std::vector<tir::Param> params;
    std::vector<size_t> moved;
    for (size_t i = 0; i < f_->params.size(); ++i) {
      if (i == num_args) add_scalars(params);
      moved.push_back(params.size());
      tir::Param p = f_->params[i];
      if (scalars_.contains(p.var.get()) && !used_.contains(p.var.get())) {
        lifted.gone.insert(i);
        continue;
      }
      if (p.buffer && buffers.contains(p.buffer.get())) p.buffer = buffers.at(p.buffer.get());
      params.push_back(std::move(p));
    }
    lifted.func = tir::make_prim_func(std::move(params), body, f_->is_private,
                                      with_moved_params(*f_, moved), f_->span);
    lifted.sizes = std::move(sizes_);
    return lifted;
  }

 protected:
  Expr rewrite_expr(const Expr& e) override { return lift(e); }

 private:
  enum class Kind { other, constant, size };

  // Whether an expression is of scalars and constants alone, and has a value whatever these are.
  Kind kind_of(const Expr& e) {
    if (auto it = kinds_.find(e.get()); it != kinds_.end()) return it->second;
    Kind kind = Kind::constant;
    for (const Expr& arg : e->args) {
      const Kind inner = kind_of(arg);
      if (inner == Kind::other) kind = Kind::other;
      if (inner == Kind::size && kind == Kind::constant) kind = Kind::size;
    }
    switch (e->kind) {
      case ExprKind::int_imm:
        break;
      case ExprKind::var:
        kind = scalars_.contains(as<VarNode>(e)) ? Kind::size : Kind::other;
        break;
      case ExprKind::add:
      case ExprKind::sub:
      case ExprKind::min:
      case ExprKind::max:
        if (e->dtype != dtypes::index) kind = Kind::other;
        break;
      case ExprKind::mul:  // of two sizes it might overflow where the program never needs it
        if (e->dtype != dtypes::index || (!is_constant(e->args[0]) && !is_constant(e->args[1]))) {
          kind = Kind::other;
        }
        break;
      case ExprKind::floor_div:
      case ExprKind::floor_mod:
        if (e->dtype != dtypes::index || !is_constant(e->args[1]) || is_const_int(e->args[1], 0)) {
          kind = Kind::other;
        }
        break;
      case ExprKind::select:
        if (e->dtype != dtypes::index) kind = Kind::other;
        break;
      case ExprKind::eq:
      case ExprKind::ne:
      case ExprKind::lt:
      case ExprKind::le:
      case ExprKind::logical_and:
      case ExprKind::logical_or:
      case ExprKind::logical_not:
        break;
      default:
        kind = Kind::other;
    }
    kept_.push_back(e);
    kinds_.emplace(e.get(), kind);
    return kind;
  }

  Expr lift(const Expr& e) {
    if (e->args.empty()) return e;
    if (auto it = done_.find(e.get()); it != done_.end()) return it->second;
    Expr result;
    if (e->dtype == dtypes::index && kind_of(e) == Kind::size) {
      result = scalar_for(e);
    } else {
      std::vector<Expr> args;
      for (const Expr& arg : e->args) args.push_back(lift(arg));
      result = args == e->args ? e : with_args(e, std::move(args));
    }
    kept_.push_back(e);
    done_.emplace(e.get(), result);
    return result;
  }

  Expr scalar_for(const Expr& size) {
    for (size_t i = 0; i < sizes_.size(); ++i) {
      if (structural_equal(sizes_[i], size)) return variables_[i];
    }
    const bool is_dimension = bounds(size).lower >= 0;
    sizes_.push_back(size);
    variables_.push_back(
        make_var("size", dtypes::index, is_dimension ? VarRole::dimension : VarRole::value));
    return variables_.back();
  }

  void renew(const Buffer& b, tir::BufferMap& buffers) {
    if (buffers.contains(b.get())) return;
    std::vector<Expr> shape, strides;
    for (const Expr& d : b->shape) shape.push_back(lift(d));
    for (const Expr& s : b->strides) strides.push_back(lift(s));
    const Expr offset = b->offset_elems ? lift(b->offset_elems) : nullptr;
    if (shape == b->shape && strides == b->strides && offset == b->offset_elems) return;
    buffers.emplace(b.get(), make_buffer(b->name, std::move(shape), b->dtype, b->scope,
                                         std::move(strides), offset, b->align_bytes));
  }

  // The scalars that what is left mentions: statements, buffers, attributes.
  void find_uses(const tir::Stmt& body, const tir::BufferMap& buffers) {
    auto use = [&](const Expr& e) {
      for (const Var& v : free_vars(e)) used_.insert(v.get());
    };
    auto use_buffer = [&](const Buffer& b) {
      for (const Expr& d : b->shape) use(d);
      for (const Expr& s : b->strides) use(s);
      if (b->offset_elems) use(b->offset_elems);
    };
    tir::visit_all_exprs(body, use);
    tir::visit_stmts(body, [&](const tir::Stmt& s) {
      if (const auto* allocate = tir::as<tir::AllocateNode>(s)) use_buffer(allocate->buffer);
      if (const auto* declare = tir::as<tir::DeclareNode>(s)) use_buffer(declare->buffer);
      return true;
    });
    for (const tir::Param& p : f_->params) {
      if (!p.buffer) continue;
      auto it = buffers.find(p.buffer.get());
      use_buffer(it == buffers.end() ? p.buffer : it->second);
    }
    rewrite_exprs(f_->attrs, [&](const Expr& e) {
      use(e);
      return e;
    });
  }

  void add_scalars(std::vector<tir::Param>& params) const {
    for (const Var& v : variables_) params.push_back(tir::scalar_param(v));
  }

  const tir::PrimFunc& f_;
  std::unordered_set<const VarNode*> scalars_, used_;
  std::unordered_map<const ExprNode*, Kind> kinds_;
  std::unordered_map<const ExprNode*, Expr> done_;
  std::vector<Expr> kept_;  // keeps the keys of both alive
  std::vector<Expr> sizes_;
  std::vector<Var> variables_;
};

bool has_blocks(const tir::PrimFunc& f) {
  bool found = false;
  tir::visit_stmts(f->body, [&](const tir::Stmt& s) {
    found = found || tir::as<tir::BlockNode>(s);
    return !found;
  });
  return found;
}

}  // namespace

Module share_programs(const Module& module) {
  return merge_programs(module, [](const tir::PrimFunc& f, const ProgramCalls& calls) {
    if (has_blocks(f)) return std::optional<GeneralProgram>();
    return std::optional(SizeLifter(f).run(calls.num_args));
  });
}

}  // namespace repose

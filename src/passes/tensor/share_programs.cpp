// Makes one program of programs that differ in their sizes only.
#include "passes/tensor/share_programs.h"

#include <algorithm>
#include <unordered_set>

#include "ir/structural.h"
#include "passes/graph/rewrite_calls.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

namespace {

// A program to which the caller passes what it computed of its scalars alone.
struct Lifted {
  tir::PrimFunc func;
  std::vector<Expr> sizes;          // passed instead, over the old scalars
  std::unordered_set<size_t> gone;  // old scalars that are not needed any more, by their position
};

// Replaces the largest expressions over scalar parameters by scalar parameters of their own.
class SizeLifter : public tir::StmtRewriter {
 public:
  explicit SizeLifter(const tir::PrimFunc& f) : f_(f) {
    for (const tir::Param& p : f->params) {
      if (!p.buffer && p.var->dtype == dtypes::index) scalars_.insert(p.var.get());
    }
  }

  // New scalars stand where the call's arguments end: before parameter `num_args`.
  Lifted run(size_t num_args) {
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
    Lifted lifted;
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

using Fields = std::vector<graph::Value>;

const Fields& args_of(const graph::CallNode& call) {
  return graph::as<graph::TupleNode>(call.args[1])->fields;
}

class Sharer {
 public:
  explicit Sharer(const Module& module) : result_(module) {}

  Module run() {
    find_programs();
    for (const std::string& name : order_) {
      if (num_args_.at(name) == not_shared) continue;
      const tir::PrimFunc f = result_.prim_func(name);
      Lifted lifted = SizeLifter(f).run(num_args_.at(name));
      by_hash_[structural_hash(lifted.func)].push_back(name);
      lifted_.emplace(name, std::move(lifted));
    }
    for (const std::string& name : order_) {
      if (lifted_.contains(name)) find_equals(name);
    }
    if (shared_.empty()) return std::move(result_);
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type& type) {
      return is_program_call(call) ? renewed(call, type) : nullptr;
    });
    for (const auto& [name, stands_for] : shared_) {
      if (name == stands_for) {
        result_.set(name, lifted_.at(name).func);
      } else {
        result_.erase(name);
      }
    }
    return std::move(result_);
  }

 private:
  static constexpr size_t not_shared = static_cast<size_t>(-1);

  static bool is_program_call(const graph::CallNode& call) {
    return call.op && call.op->name == "call_tir";
  }
  static const std::string& program_of(const graph::CallNode& call) {
    return graph::as<graph::GlobalNode>(call.args[0])->name;
  }

  // Private programs that call_tir alone calls, in the order of their calls.
  void find_programs() {
    rewrite_calls(result_, [&](const graph::CallNode& call, const Type&) -> graph::Value {
      std::vector<const graph::GlobalNode*> others;
      for (size_t i = is_program_call(call) ? 1 : 0; i < call.args.size(); ++i) {
        if (const auto* g = graph::as<graph::GlobalNode>(call.args[i])) others.push_back(g);
      }
      for (const graph::GlobalNode* g : others) num_args_[g->name] = not_shared;
      if (!is_program_call(call)) return nullptr;
      const std::string& name = program_of(call);
      const tir::PrimFunc f = result_.prim_func(name);
      if (!f) return nullptr;
      const bool is_plain = f->is_private && tir::bound_symbols(*f).empty() && !has_blocks(f);
      auto [it, is_new] = num_args_.emplace(name, is_plain ? args_of(call).size() : not_shared);
      if (is_new) order_.push_back(name);
      return nullptr;
    });
  }

  // Gives the first of equal programs to all of them.
  void find_equals(const std::string& name) {
    if (shared_.contains(name)) return;
    const tir::PrimFunc& own = lifted_.at(name).func;
    for (const std::string& other : by_hash_.at(structural_hash(own))) {
      if (other == name || shared_.contains(other)) continue;
      if (!structural_equal(lifted_.at(other).func, own)) continue;
      shared_.emplace(other, name);
      shared_.emplace(name, name);
    }
  }

  graph::Value renewed(const graph::CallNode& call, const Type& type) {
    auto shared = shared_.find(program_of(call));
    if (shared == shared_.end()) return nullptr;
    const tir::PrimFunc f = result_.prim_func(shared->first);
    const Lifted& lifted = lifted_.at(shared->first);
    const Fields& old = args_of(call);
    Fields args;
    VarMap scalars;
    for (size_t i = 0; i < old.size(); ++i) {
      if (const auto* prim = graph::as<graph::PrimValueNode>(old[i])) {
        scalars.emplace(f->params[i].var.get(), prim->value);
      }
      if (!lifted.gone.contains(i)) args.push_back(old[i]);
    }
    for (const Expr& size : lifted.sizes) {
      args.push_back(graph::make_prim(canonical(substitute(size, scalars))));
    }
    return make_ref<graph::CallNode>(
        call.op, nullptr,
        Fields{graph::make_global(shared->second), graph::make_tuple(std::move(args))}, call.attrs,
        call.type_args, type);
  }

  Module result_;
  std::vector<std::string> order_;
  std::unordered_map<std::string, size_t> num_args_;
  std::unordered_map<std::string, Lifted> lifted_;
  std::unordered_map<uint64_t, std::vector<std::string>> by_hash_;
  std::unordered_map<std::string, std::string> shared_;  // the program that stands for each
};

}  // namespace

Module share_programs(const Module& module) {
  return Sharer(module).run();
}

}  // namespace repose

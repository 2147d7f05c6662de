// Looking at and changing a program that is being scheduled.
#include "schedule/scheduled.h"

#include <algorithm>

#include "passes/tensor/stages.h"
#include "schedule/dependence.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;
using tir::StmtNode;

// ---- Names
// ---------------------------------------------------------------------------------------

std::string Scheduled::fresh(const std::string& base) {
  std::string name = base;
  for (int i = 1; !names.insert(name).second; ++i) name = fmt::format("{}_{}", base, i);
  return name;
}

Var fresh_loop_var(Scheduled& s, const std::string& base) {
  return make_var(s.fresh(base), dtypes::index, VarRole::loop);
}

namespace {

std::string text_of(const Arg& arg) {
  struct Text {
    std::string operator()(const Loop& l) const { return l.var ? l.var->name : "root"; }
    std::string operator()(const Block& b) const { return b.name; }
    std::string operator()(const Buffer& b) const { return b->name; }
    std::string operator()(const Expr& e) const { return repose::to_string(e); }
    std::string operator()(const std::string& word) const { return word; }
    std::string operator()(const std::vector<Loop>& list) const {
      std::vector<std::string> names;
      for (const Loop& l : list) names.push_back(l.var->name);
      return fmt::format("[{}]", fmt::join(names, ", "));
    }
    std::string operator()(const IndexMap& map) const {
      std::vector<std::string> from, to;
      for (const Var& v : map.from) from.push_back(v->name);
      for (const Expr& e : map.to) to.push_back(repose::to_string(e));
      return fmt::format("({}) -> ({})", fmt::join(from, ", "), fmt::join(to, ", "));
    }
  };
  return std::visit(Text{}, arg);
}

std::string text_of(const std::vector<Arg>& args) {
  std::vector<std::string> parts;
  for (const Arg& a : args) parts.push_back(text_of(a));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace

std::string to_string(const Step& step) {
  std::string text = fmt::format("{}({})", step.primitive, text_of(step.args));
  return step.results.empty() ? text : text_of(step.results) + " = " + text;
}

void note(Scheduled& s, const char* primitive, std::vector<Arg> args, std::vector<Arg> results) {
  s.steps.push_back({primitive, std::move(args), std::move(results)});
}

// ---- Beginning and end
// ---------------------------------------------------------------------------

namespace {

// Gives what a statement binds names of its own: loops, blocks, and the buffers that it makes.
class Renaming : public tir::StmtRewriter {
 public:
  // `is_stored`: whether the program writes a buffer of its own.
  Renaming(Scheduled& s, bool also_axes, std::function<bool(const Buffer&)> is_stored = nullptr)
      : s_(s), also_axes_(also_axes), is_stored_(std::move(is_stored)) {}
  VarMap vars;

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    if (const auto* loop = tir::as<ForNode>(s)) {
      Var v = fresh_loop_var(s_, loop->var->name);
      // Every loop starts at 0. What it runs over is known before it begins.
      std::vector<std::pair<Var, Expr>> lets;
      const Expr min = as_it_begins(loop->min, v, lets);
      const Expr extent = as_it_begins(loop->extent, v, lets);
      vars[loop->var.get()] = is_const_int(min, 0) ? Expr(v) : min + v;
      assume_copied(loop->var, v);
      Stmt body = rewrite(loop->body);
      Stmt result = tir::make<ForNode>(v, make_int(0), extent, loop->loop_kind, std::move(body),
                                       loop->thread, loop->annotations, loop->span);
      for (size_t i = lets.size(); i-- > 0;) {
        result = tir::make<tir::LetNode>(lets[i].first, lets[i].second, result, loop->span);
      }
      return result;
    }
    if (const auto* let = tir::as<tir::LetNode>(s)) {
      Expr value = rewrite_expr(let->value);
      Var v = make_var(s_.fresh(let->var->name), let->var->dtype, let->var->role);
      vars[let->var.get()] = v;
      assume_copied(let->var, v);
      return tir::make<tir::LetNode>(v, value, rewrite(let->body), let->span);
    }
    if (const auto* allocate = tir::as<tir::AllocateNode>(s)) {
      rename_buffer(allocate->buffer, allocate->buffer->scope);
      Stmt body = rewrite(allocate->body);
      return tir::make<tir::AllocateNode>(buffers_.at(allocate->buffer.get()), std::move(body),
                                          allocate->span);
    }
    if (const auto* declare = tir::as<tir::DeclareNode>(s)) {
      const Buffer& b = declare->buffer;
      Expr data = rewrite_expr(declare->data);
      rename_buffer(b, b->scope, b->align_bytes);
      Stmt body = rewrite(declare->body);
      return tir::make<tir::DeclareNode>(buffers_.at(b.get()), data, std::move(body),
                                         declare->span);
    }
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    for (const Buffer& b : block->alloc_buffers) {
      rename_buffer(b, b->scope == Scope::global ? Scope::workspace : b->scope);
    }
    const bool is_root = block->iters.empty() && !block->init && block->match_buffers.empty() &&
                         block->annotations.empty() && !block->predicate;
    Stmt result;
    if (is_root && !tir::as<tir::StoreNode>(block->body)) {
      result = rewrite(block->body);
      for (size_t i = block->alloc_buffers.size(); i-- > 0;) {
        result = tir::make<tir::AllocateNode>(buffers_.at(block->alloc_buffers[i].get()), result);
      }
      return result;
    }
    VarMap axes;
    if (also_axes_) {
      for (const tir::IterVar& iter : block->iters) {
        axes[iter.var.get()] = make_var(iter.var->name, iter.var->dtype, iter.var->role);
      }
      for (const auto& [old, v] : axes) vars[old] = v;
    }
    result = tir::StmtRewriter::rewrite_stmt(s);
    tir::BlockNode::Fields f = tir::as<tir::BlockNode>(result)->fields();
    f.name = name_of(*block);
    for (tir::IterVar& iter : f.iters) {
      auto it = axes.find(iter.var.get());
      if (it != axes.end()) iter.var = Var(as<VarNode>(it->second));
    }
    return tir::make<tir::BlockNode>(std::move(f));
  }

  Expr rewrite_expr(const Expr& e) override {
    return substitute(buffers_.empty() ? e : tir::substitute_buffers(e, buffers_), vars);
  }
  Buffer rewrite_buffer(const Buffer& b) override {
    auto it = buffers_.find(b.get());
    return it == buffers_.end() ? b : it->second;
  }

 private:
  // A name for what loads from memory that the program writes: it may be something else later.
  Expr as_it_begins(const Expr& e, const Var& loop, std::vector<std::pair<Var, Expr>>& lets) {
    bool changes = false;
    visit(e, [&](const Expr& node) {
      const auto* load = is_stored_ ? as<LoadNode>(node) : nullptr;
      changes = changes || (load && is_stored_(load->buffer));
      return !changes;
    });
    if (!changes) return rewrite_expr(e);
    Var name = make_var(s_.fresh(loop->name + "_range"), dtypes::index, VarRole::let);
    lets.emplace_back(name, rewrite_expr(e));
    return name;
  }

  // Blocks of a new schedule keep the names that tell them apart.
  std::string name_of(const tir::BlockNode& block) {
    std::string base = block.name.empty() ? "block" : block.name;
    if (!also_axes_ && blocks_.insert(base).second) {
      s_.names.insert(base);
      return base;
    }
    std::string name = s_.fresh(base);
    blocks_.insert(name);
    return name;
  }
  void rename_buffer(const Buffer& b, Scope scope) {
    rename_buffer(b, scope, std::max(64, b->align_bytes));
  }
  void rename_buffer(const Buffer& b, Scope scope, int align_bytes) {
    std::vector<Expr> shape, strides;
    for (const Expr& d : b->shape) shape.push_back(rewrite_expr(d));
    for (const Expr& d : b->strides) strides.push_back(rewrite_expr(d));
    const Expr offset = b->offset_elems ? rewrite_expr(b->offset_elems) : nullptr;
    buffers_[b.get()] = make_buffer(s_.fresh(b->name), std::move(shape), b->dtype, scope,
                                    std::move(strides), offset, align_bytes);
  }
  // What was learned of a variable where it was made holds of its copy.
  void assume_copied(const Var& old, const Var& copy) {
    if (!also_axes_) return;  // nothing was learned yet
    s_.known->restrict(copy, facts_everywhere(s_).range_of(old));
  }

  Scheduled& s_;
  bool also_axes_;
  std::function<bool(const Buffer&)> is_stored_;
  tir::BufferMap buffers_;
  std::set<std::string> blocks_;
};

}  // namespace

tir::PrimFunc with_distinct_params(const tir::PrimFunc& f) {
  Scheduled names;
  std::vector<tir::Param> params;
  tir::BufferMap renamed;
  for (const tir::Param& p : f->params) {
    const std::string name = p.buffer ? p.buffer->name : p.var->name;
    const std::string own = names.fresh(name);
    params.push_back(p);
    if (!p.buffer || own == name) continue;
    const BufferNode& b = *p.buffer;
    params.back().buffer =
        make_buffer(own, b.shape, b.dtype, b.scope, b.strides, b.offset_elems, b.align_bytes);
    renamed.emplace(p.buffer.get(), params.back().buffer);
  }
  if (renamed.empty()) return f;
  return tir::make_prim_func(std::move(params), tir::substitute(f->body, {}, renamed),
                             f->is_private, f->attrs, f->span);
}

Scheduled begin_schedule(const tir::PrimFunc& given) {
  const tir::PrimFunc f = with_distinct_params(given);
  Scheduled s;
  Facts facts;
  for (const tir::Param& p : f->params) {
    if (!p.buffer) continue;
    for (const Expr& dim : p.buffer->shape) {
      if (!is_constant(dim) && dim->kind != ExprKind::var) facts.assume(le(make_int(0), dim));
    }
  }
  s.known = std::make_shared<KnownFacts>(std::move(facts));
  for (const tir::Param& p : f->params) s.fresh(p.buffer ? p.buffer->name : p.var->name);
  const Memory memory(f);
  std::set<const BufferNode*> stored;
  tir::visit_stmts(f->body, [&](const Stmt& at) {
    if (const auto* store = tir::as<tir::StoreNode>(at))
      stored.insert(memory.of(store->buffer).get());
    return true;
  });
  const auto is_stored = [&](const Buffer& b) { return stored.count(memory.of(b).get()) > 0; };
  const Stmt body = Renaming(s, false, is_stored).rewrite(f->body);
  s.func = tir::make_prim_func(f->params, body, f->is_private, f->attrs, f->span);
  return s;
}

// ---- Looking
// -------------------------------------------------------------------------------------

namespace {

template <class T>
const T* find_stmt(const Stmt& root, const std::function<bool(const T&)>& is_it) {
  const T* found = nullptr;
  tir::visit_stmts(root, [&](const Stmt& s) {
    const T* node = tir::as<T>(s);
    if (node && is_it(*node)) found = node;
    return found == nullptr;
  });
  return found;
}

}  // namespace

const ForNode* find_loop(const Scheduled& s, const Loop& loop) {
  return find_stmt<ForNode>(s.func->body, [&](const ForNode& f) { return f.var == loop.var; });
}

const tir::BlockNode* find_block(const Scheduled& s, const Block& block) {
  return find_stmt<tir::BlockNode>(s.func->body,
                                   [&](const tir::BlockNode& b) { return b.name == block.name; });
}

std::optional<Loop> loop_named(const Scheduled& s, const std::string& name) {
  const auto* loop =
      find_stmt<ForNode>(s.func->body, [&](const ForNode& f) { return f.var->name == name; });
  if (!loop) return std::nullopt;
  return Loop{loop->var};
}

std::optional<Buffer> buffer_named(const Scheduled& s, const std::string& name) {
  for (const tir::Param& p : s.func->params) {
    if (p.buffer && p.buffer->name == name) return p.buffer;
  }
  const auto* allocate = find_stmt<tir::AllocateNode>(
      s.func->body, [&](const tir::AllocateNode& a) { return a.buffer->name == name; });
  if (!allocate) return std::nullopt;
  return allocate->buffer;
}

std::vector<Stmt> path_to(const Stmt& root, const StmtNode* target) {
  std::vector<Stmt> path;
  // Depth first; what is entered in vain leaves the path again.
  std::function<bool(const Stmt&)> search = [&](const Stmt& s) {
    path.push_back(s);
    if (s.get() == target) return true;
    bool found = false, is_self = true;
    tir::visit_stmts(s, [&](const Stmt& inner) {
      if (is_self) {
        is_self = false;
        return true;
      }
      found = found || search(inner);
      return false;  // `search` looks further down
    });
    if (!found) path.pop_back();
    return found;
  };
  search(root);
  return path;
}

std::vector<const ForNode*> loops_around(const Scheduled& s, const StmtNode* target) {
  std::vector<const ForNode*> loops;
  for (const Stmt& at : path_to(s.func->body, target)) {
    if (at.get() == target) break;
    if (const auto* loop = tir::as<ForNode>(at)) loops.push_back(loop);
  }
  return loops;
}

std::vector<const tir::BlockNode*> blocks_in(const Stmt& root) {
  std::vector<const tir::BlockNode*> blocks;
  tir::visit_stmts(root, [&](const Stmt& s) {
    if (const auto* block = tir::as<tir::BlockNode>(s)) blocks.push_back(block);
    return true;
  });
  return blocks;
}

// ---- Changing
// ------------------------------------------------------------------------------------

namespace {

class Replacement : public tir::StmtRewriter {
 public:
  Replacement(const StmtNode* target, Stmt by) : target_(target), by_(std::move(by)) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    if (s.get() == target_) return by_ ? by_ : tir::make_seq({});
    return tir::StmtRewriter::rewrite_stmt(s);
  }

 private:
  const StmtNode* target_;
  Stmt by_;
};

class Guarding : public tir::StmtRewriter {
 public:
  explicit Guarding(const Expr& condition) : condition_(condition) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    tir::BlockNode::Fields f = block->fields();
    f.predicate = f.predicate ? logical_and(f.predicate, condition_) : condition_;
    return tir::make<tir::BlockNode>(std::move(f));
  }

 private:
  const Expr& condition_;
};

}  // namespace

Stmt replaced(const Stmt& root, const StmtNode* target, Stmt by) {
  return Replacement(target, std::move(by)).rewrite(root);
}

void replace(Scheduled& s, const StmtNode* target, Stmt by) {
  s.func = tir::with_body(s.func, replaced(s.func->body, target, std::move(by)));
}

Stmt with_body(const ForNode& loop, Stmt body) {
  return tir::make<ForNode>(loop.var, loop.min, loop.extent, loop.loop_kind, std::move(body),
                            loop.thread, loop.annotations, loop.span);
}

Stmt make_loop(Scheduled& s, const Var& v, const Expr& extent, Stmt body, tir::ForKind kind) {
  Interval range;
  range.lower = 0;
  int64_t known = 0;
  if (as_const_int(extent, &known) && known > 0) range.upper = known - 1;
  s.known->restrict(v, range);
  return tir::make<ForNode>(v, make_int(0), extent, kind, std::move(body));
}

Stmt copied(Scheduled& s, const Stmt& root, VarMap* loops) {
  Renaming renaming(s, true);
  Stmt copy = renaming.rewrite(root);
  if (loops) *loops = renaming.vars;
  return copy;
}

Stmt guarded(const Stmt& root, const Expr& condition) {
  return Guarding(condition).rewrite(root);
}

}  // namespace repose::schedule

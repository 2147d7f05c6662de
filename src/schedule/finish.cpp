// Removal of blocks, of subscripts that undo each other, and of buffers of one element.
#include "schedule/finish.h"

#include <algorithm>
#include <map>
#include <unordered_set>

#include "passes/tensor/lower_blocks.h"
#include "schedule/block_fields.h"
#include "schedule/name_quotients.h"
#include "schedule/primitives/decompose_reduction.h"
#include "schedule/reduction.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::Stmt;

namespace {

// ---- Blocks
// --------------------------------------------------------------------------------------

class BlockRemoval : public tir::StmtRewriter {
 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    Stmt body = rewrite(block->body);
    if (block->init) body = begun_at_first_step(*block, rewrite(block->init), std::move(body));
    if (block->predicate && !is_const_int(block->predicate, 1)) {
      body = tir::make<tir::IfNode>(block->predicate, std::move(body));
    }
    // As subscripts, not as variables: vectors are recognised by how they move with a lane.
    VarMap axes;
    for (const tir::IterVar& iter : block->iters) axes.emplace(iter.var.get(), iter.value);
    return tir::substitute(body, axes);
  }
};

// Is none of the block's reduction axes empty?
bool has_steps(const Scheduled& s, const tir::BlockNode& block) {
  const Facts& facts = facts_everywhere(s);
  return std::all_of(block.iters.begin(), block.iters.end(), [&](const tir::IterVar& iter) {
    return iter.kind == tir::IterKind::spatial ||
           prove_le(make_int(1), iter.extent, facts) == Truth::yes;
  });
}

// A reduction over nothing gives its initial value. One that begins with its first step has none,
// so that it gets a beginning of its own. Where that cannot be, it has to have a step.
Result<Scheduled> with_beginnings(Scheduled s) {
  std::vector<std::string> names;
  for (const tir::BlockNode* block : blocks_in(s.func->body)) {
    if (block->init) names.push_back(block->name);
  }
  for (const std::string& name : names) {
    const tir::ForNode* loop = outermost_reduction_loop(s, *find_block(s, {name}));
    if (!loop) continue;
    auto done = decompose_reduction(s, {name}, {loop->var});
    if (!done.ok() && !has_steps(s, *find_block(s, {name}))) return done.errors();
  }
  return s;
}

// ---- Subscripts
// ----------------------------------------------------------------------------------

// What `let`s cut out of a loop (fuse) stand for, in terms of loops and parameters.
VarMap index_lets(const Stmt& body) {
  VarMap values;
  tir::visit_stmts(body, [&](const Stmt& s) {
    const auto* let = tir::as<tir::LetNode>(s);
    const bool is_cut =
        let && (let->value->kind == ExprKind::floor_div || let->value->kind == ExprKind::floor_mod);
    if (is_cut) values[let->var.get()] = substitute(let->value, values);
    return true;
  });
  return values;
}

// Which neighbouring dimensions of a buffer every access has cut out of one expression: joins[d]
// says that dimension d + 1 goes on where d ends.
class Joins {
 public:
  explicit Joins(VarMap lets) : lets_(std::move(lets)) {}

  void see(const Buffer& b, const std::vector<Expr>& indices) {
    if (!b->strides.empty() || b->offset_elems || indices.size() != b->shape.size()) return;
    auto [it, first] = joins_.emplace(b.get(), std::vector<char>(b->shape.size(), 1));
    for (size_t d = 0; d + 1 < indices.size(); ++d) {
      if (!it->second[d]) continue;
      const Expr high = expanded(indices[d]), low = expanded(indices[d + 1]);
      if (!are_cut(high, low, b->shape[d + 1])) it->second[d] = 0;
    }
  }
  Expr expanded(const Expr& e) const { return substitute(e, lets_); }
  // Null: every dimension stays.
  const std::vector<char>* of(const Buffer& b) const {
    auto it = joins_.find(b.get());
    if (it == joins_.end()) return nullptr;
    for (size_t d = 0; d + 1 < it->second.size(); ++d) {
      if (it->second[d]) return &it->second;
    }
    return nullptr;
  }

 private:
  VarMap lets_;
  std::map<const BufferNode*, std::vector<char>> joins_;
};

class Flattening : public tir::StmtRewriter {
 public:
  explicit Flattening(const Joins& joins) : joins_(joins) {}

  Stmt run(const tir::PrimFunc& f) {
    Stmt body = rewrite(f->body);
    for (const tir::Param& p : f->params) {
      if (p.buffer && views_.count(p.buffer.get())) body = declared(p.buffer, std::move(body));
    }
    return body;
  }

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    if (const auto* allocate = tir::as<tir::AllocateNode>(s)) {
      Stmt body = rewrite(allocate->body);
      const Buffer& b = allocate->buffer;
      if (views_.count(b.get())) return tir::make<tir::AllocateNode>(views_.at(b.get()), body);
      return body == allocate->body ? s : tir::make<tir::AllocateNode>(b, body);
    }
    if (const auto* declare = tir::as<tir::DeclareNode>(s)) {
      Stmt body = rewrite(declare->body);
      const auto it = views_.find(declare->buffer.get());
      return tir::make<tir::DeclareNode>(it == views_.end() ? declare->buffer : it->second,
                                         rewrite_expr(declare->data), std::move(body),
                                         declare->span);
    }
    const auto* store = tir::as<tir::StoreNode>(s);
    if (!store) return tir::StmtRewriter::rewrite_stmt(s);
    std::vector<Expr> indices;
    for (const Expr& i : store->indices) indices.push_back(rewrite_expr(i));
    return tir::make<tir::StoreNode>(view_of(store->buffer), joined(store->buffer, indices),
                                     rewrite_expr(store->value), store->span,
                                     store->predicate ? rewrite_expr(store->predicate) : nullptr);
  }
  Expr rewrite_expr(const Expr& e) override {
    return repose::rewrite(e, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      if (!load || !joins_.of(load->buffer)) return node;
      return make_load(view_of(load->buffer), joined(load->buffer, node->args));
    });
  }

 private:
  std::vector<Expr> joined(const Buffer& b, const std::vector<Expr>& list) const {
    const std::vector<char>* joins = joins_.of(b);
    if (!joins) return list;
    std::vector<Expr> result;
    for (size_t d = 0; d < list.size(); ++d) {
      if (d > 0 && (*joins)[d - 1]) {
        result.back() =
            canonical(joins_.expanded(result.back()) * b->shape[d] + joins_.expanded(list[d]));
      } else {
        result.push_back(list[d]);
      }
    }
    return result;
  }
  Buffer view_of(const Buffer& b) {
    const std::vector<char>* joins = joins_.of(b);
    if (!joins) return b;
    Buffer& view = views_[b.get()];
    if (!view) {
      std::vector<Expr> shape;
      for (size_t d = 0; d < b->shape.size(); ++d) {
        if (d > 0 && (*joins)[d - 1]) {
          shape.back() = canonical(shape.back() * b->shape[d]);
        } else {
          shape.push_back(b->shape[d]);
        }
      }
      view = make_buffer(b->name + "_flat", std::move(shape), b->dtype, b->scope, {}, nullptr,
                         b->align_bytes);
    }
    return view;
  }
  Stmt declared(const Buffer& b, Stmt body) const {
    std::vector<Expr> zeros(b->shape.size(), make_int(0));
    Expr data = make_call(Intrinsic::buffer_data, dtypes::handle,
                          std::vector<Expr>{make_load(b, std::move(zeros))});
    return tir::make<tir::DeclareNode>(views_.at(b.get()), data, std::move(body));
  }

  const Joins& joins_;
  std::map<const BufferNode*, Buffer> views_;
};

Joins joins_in(const Stmt& body) {
  Joins joins(index_lets(body));
  auto see_loads = [&](const Expr& e) {
    std::unordered_set<const ExprNode*> seen;
    visit(e, [&](const Expr& node) {
      if (!seen.insert(node.get()).second) return false;
      if (const auto* load = as<LoadNode>(node)) joins.see(load->buffer, node->args);
      return true;
    });
  };
  tir::visit_stmts(body, [&](const Stmt& s) {
    if (const auto* store = tir::as<tir::StoreNode>(s)) joins.see(store->buffer, store->indices);
    tir::visit_exprs_of(s, see_loads);
    return true;
  });
  return joins;
}

// ---- Buffers of one element
// ----------------------------------------------------------------------

// allocate T[1]; T[0] = value; … T[0] …: the value gets a name instead. Names that nothing uses go.
class ScalarBuffers : public tir::StmtRewriter {
 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    Stmt done = tir::StmtRewriter::rewrite_stmt(s);
    if (const auto* let = tir::as<tir::LetNode>(done)) {
      return is_used(let->var, let->body) ? done : let->body;
    }
    const auto* allocate = tir::as<tir::AllocateNode>(done);
    if (!allocate || allocate->buffer->scope != Scope::local) return done;
    for (const Expr& d : allocate->buffer->shape) {
      if (!is_const_int(d, 1)) return done;
    }
    const auto* seq = tir::as<tir::SeqNode>(allocate->body);
    const auto* first = seq ? tir::as<tir::StoreNode>(seq->stmts[0]) : nullptr;
    if (!first || first->buffer != allocate->buffer || first->predicate) return done;
    std::vector<Stmt> rest(seq->stmts.begin() + 1, seq->stmts.end());
    Stmt body = tir::make_seq(std::move(rest));
    bool stored_again = false;
    tir::visit_stmts(body, [&](const Stmt& inner) {
      const auto* store = tir::as<tir::StoreNode>(inner);
      stored_again = stored_again || (store && store->buffer == allocate->buffer);
      return !stored_again;
    });
    if (stored_again || has_address(allocate->buffer, allocate->body)) return done;
    Var value = make_var(allocate->buffer->name, first->value->dtype, VarRole::let);
    return tir::make<tir::LetNode>(value, first->value,
                                   LoadsOf(allocate->buffer, value).rewrite(body), first->span);
  }

 private:
  static bool is_used(const Var& v, const Stmt& body) {
    bool used = false;
    tir::visit_all_exprs(body, [&](const Expr& e) { used = used || uses_var(e, v); });
    return used;
  }

  // Is there a handle of its memory?
  static bool has_address(const Buffer& buffer, const Stmt& body) {
    bool found = false;
    tir::visit_all_exprs(body, [&](const Expr& e) {
      visit(e, [&](const Expr& node) {
        if (node->dtype != dtypes::handle || node->args.empty()) return !found;
        const auto* load = as<LoadNode>(node->args[0]);
        found = found || (load && load->buffer == buffer);
        return !found;
      });
    });
    return found;
  }

  class LoadsOf : public tir::StmtRewriter {
   public:
    LoadsOf(const Buffer& buffer, const Var& value) : buffer_(buffer), value_(value) {}

   protected:
    Expr rewrite_expr(const Expr& e) override {
      return repose::rewrite(e, [&](const Expr& node) -> Expr {
        const auto* load = as<LoadNode>(node);
        return load && load->buffer == buffer_ ? Expr(value_) : node;
      });
    }

   private:
    const Buffer& buffer_;
    const Var& value_;
  };
};

}  // namespace

Result<tir::PrimFunc> finish_schedule(const Scheduled& s) {
  REPOSE_TRY(begun, with_beginnings(s));
  Stmt body = BlockRemoval().rewrite(begun.func->body);
  body = with_canonical_subscripts(body, facts_everywhere(s));
  const Joins joins = joins_in(body);
  body = Flattening(joins).run(tir::with_body(s.func, body));
  body = ScalarBuffers().rewrite(body);
  return tir::with_body(s.func, name_quotients(tir::with_body(s.func, body)));
}

}  // namespace repose::schedule

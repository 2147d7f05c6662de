// Regions of buffers as boxes over loops, and disjointness by the prover.
#include "schedule/region.h"

#include <algorithm>

#include "expr/hypothesis.h"
#include "schedule/dependence.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

// ---- Accesses
// ------------------------------------------------------------------------------------

namespace {

class AccessSearch {
 public:
  std::vector<Access> found;

  void search(const Stmt& s) {
    if (!s) return;
    if (const auto* loop = tir::as<ForNode>(s)) {
      add_loads(loop->extent);
      loops_.push_back(loop);
      search(loop->body);
      loops_.pop_back();
    } else if (const auto* let = tir::as<tir::LetNode>(s)) {
      add_loads(let->value);
      values_[let->var.get()] = substitute(let->value, values_);
      lets_[let->var.get()] = values_[let->var.get()];
      search(let->body);
      lets_.erase(let->var.get());
    } else if (const auto* block = tir::as<tir::BlockNode>(s)) {
      for (const tir::IterVar& iter : block->iters) {
        values_[iter.var.get()] = substitute(iter.value, values_);
      }
      const tir::BlockNode* outer = block_;
      const Expr around = condition_;
      block_ = block;
      if (block->predicate) {
        add_loads(block->predicate);
        restrict(block->predicate);
      }
      search(block->init);
      search(block->body);
      block_ = outer;
      condition_ = around;
    } else if (const auto* branch = tir::as<tir::IfNode>(s)) {
      add_loads(branch->condition);
      const Expr around = condition_;
      restrict(branch->condition);
      search(branch->then_body);
      condition_ = around;
      search(branch->else_body);
    } else if (const auto* store = tir::as<tir::StoreNode>(s)) {
      for (const Expr& i : store->indices) add_loads(i);
      add_loads(store->value);
      if (store->predicate) add_loads(store->predicate);
      add(store->buffer, store->indices, true);
    } else {
      tir::visit_exprs_of(s, [&](const Expr& e) { add_loads(e); });
      bool is_self = true;
      tir::visit_stmts(s, [&](const Stmt& inner) {
        if (is_self) {
          is_self = false;
          return true;
        }
        search(inner);
        return false;
      });
    }
  }

 private:
  void add(const Buffer& buffer, const std::vector<Expr>& indices, bool is_store) {
    Access access{buffer, {}, is_store, block_, loops_, condition_, lets_};
    for (const Expr& i : indices) access.indices.push_back(substitute(i, values_));
    found.push_back(std::move(access));
  }
  void restrict(const Expr& condition) {
    const Expr here = substitute(condition, values_);
    condition_ = condition_ ? logical_and(condition_, here) : here;
  }
  void add_loads(const Expr& e) {
    visit(e, [&](const Expr& node) {
      if (const auto* load = as<LoadNode>(node)) add(load->buffer, node->args, false);
      return true;
    });
  }

  VarMap values_, lets_;
  const tir::BlockNode* block_ = nullptr;
  std::vector<const ForNode*> loops_;
  Expr condition_;
};

}  // namespace

std::vector<Access> accesses_in(const Stmt& root) {
  AccessSearch search;
  search.search(root);
  return std::move(search.found);
}

std::vector<Access> accesses_of(const std::vector<Access>& all, const Buffer& buffer) {
  std::vector<Access> result;
  std::copy_if(all.begin(), all.end(), std::back_inserter(result),
               [&](const Access& a) { return a.buffer == buffer; });
  return result;
}

Expr address_of(const Access& a) {
  if (!a.buffer->strides.empty()) return nullptr;
  Expr at = make_int(0);
  for (size_t d = 0; d < a.indices.size(); ++d) at = at * a.buffer->shape[d] + a.indices[d];
  return canonical(at);
}

namespace {

size_t count_divisions(const Expr& e) {
  size_t count = 0;
  visit(e, [&](const Expr& node) {
    if (node->kind == ExprKind::floor_div || node->kind == ExprKind::floor_mod) ++count;
    return true;
  });
  return count;
}

}  // namespace

bool are_cut(const Expr& high, const Expr& low, const Expr& inner_extent) {
  const size_t divisions = count_divisions(high) + count_divisions(low);
  return divisions > 0 && count_divisions(canonical(high * inner_extent + low)) < divisions;
}

// ---- Boxes
// ---------------------------------------------------------------------------------------

Expr simplest(const Expr& e, const Facts& facts) {
  constexpr size_t most = 1000;
  Expr plain = canonical(e), known = simplify(e, facts);
  return tree_size(known, most) < tree_size(plain, most) ? known : plain;
}

namespace {
constexpr int64_t max_step = int64_t{1} << 40;  // of one term
}

Expr rest_of_sum(const Expr& e, const Var& v, int64_t* step) {
  int64_t factor = 0;
  switch (e->kind) {
    case ExprKind::var:
      *step = e == v ? 1 : 0;
      return e == v ? make_int(0) : e;
    case ExprKind::mul:
      // Sums of steps don't overflow.
      if (e->args[0] == v && as_const_int(e->args[1], &factor) && std::abs(factor) < max_step) {
        *step = factor;
        return make_int(0);
      }
      break;
    case ExprKind::add:
    case ExprKind::sub: {
      int64_t first = 0, second = 0;
      const Expr a = rest_of_sum(e->args[0], v, &first), b = rest_of_sum(e->args[1], v, &second);
      if (!a || !b) return nullptr;
      *step = e->kind == ExprKind::add ? first + second : first - second;
      if (first == 0 && second == 0) return e;
      return e->kind == ExprKind::add ? a + b : a - b;
    }
    default:
      break;
  }
  *step = 0;
  return uses_var(e, v) ? nullptr : e;
}

namespace {

// `e` with an argument in the place of a minimum (or maximum), each time another: bounds of `e`
// from above, if `largest`, else from below. `v`: what makes the rest of `e` hard to tell.
std::vector<Expr> relaxed(const Expr& e, const Var& v, bool largest, const Facts& facts) {
  Expr choice;
  visit(e, [&](const Expr& node) {
    const bool chooses = node->kind == ExprKind::min || node->kind == ExprKind::max;
    if (chooses && uses_var(node, v)) choice = node;
    return !choice;
  });
  if (!choice) return {};
  const Var t = make_var("t", dtypes::index, VarRole::loop);
  const auto with = [&](const Expr& by) {
    return rewrite(e, [&](const Expr& node) { return structural_equal(node, choice) ? by : node; });
  };
  const Expr step = canonical(with(t + 1) - with(t));
  const bool rises = largest == (choice->kind == ExprKind::min);
  const bool is_bound = rises ? prove_le(make_int(0), step, facts) == Truth::yes
                              : prove_le(step, make_int(0), facts) == Truth::yes;
  if (!is_bound) return {};
  return {canonical(with(choice->args[0])), canonical(with(choice->args[1]))};
}

// Moves `e` to its least (or largest) value over a loop, or to a bound of it.
bool to_end_of(Expr& e, const ForNode& loop, bool largest, const Facts& facts) {
  if (!uses_var(e, loop.var)) return true;
  int64_t known = 0;
  if (Expr rest = rest_of_sum(e, loop.var, &known); rest && is_const_int(loop.min, 0)) {
    e = (known > 0) == largest ? simplest(rest + (loop.extent - 1) * known, facts) : rest;
    return true;
  }
  const Expr step = canonical(substitute(e, {{loop.var.get(), loop.var + 1}}) - e);
  if (uses_var(step, loop.var)) {
    Expr best;
    for (Expr& bound : relaxed(e, loop.var, largest, facts)) {
      if (!to_end_of(bound, loop, largest, facts)) continue;
      const bool better =
          !best || prove_le(largest ? bound : best, largest ? best : bound, facts) == Truth::yes;
      if (better) best = bound;
    }
    if (best) e = best;
    return best != nullptr;
  }
  bool rises = true;
  if (prove_le(make_int(0), step, facts) != Truth::yes) {
    if (prove_le(step, make_int(0), facts) != Truth::yes) return false;
    rises = false;
  }
  const Expr last = loop.min + loop.extent - 1;
  e = simplest(substitute(e, {{loop.var.get(), rises == largest ? last : loop.min}}), facts);
  return true;
}

// Loops with extents in which variables are as `values` says.
class LoopsWith {
 public:
  LoopsWith(std::span<const ForNode* const> loops, const VarMap& values) {
    for (const ForNode* loop : loops) {
      made_.push_back(tir::make<ForNode>(loop->var, substitute(loop->min, values),
                                         substitute(loop->extent, values), loop->loop_kind,
                                         loop->body));
      list_.push_back(tir::as<ForNode>(made_.back()));
    }
  }
  std::span<const ForNode* const> list() const { return list_; }

 private:
  std::vector<Stmt> made_;
  std::vector<const ForNode*> list_;
};

// Does a quotient or a remainder mention one of the loops?
bool divides(const Expr& e, std::span<const ForNode* const> loops) {
  bool found = false;
  visit(e, [&](const Expr& node) {
    const bool is_quotient = node->kind == ExprKind::floor_div || node->kind == ExprKind::floor_mod;
    found = found || (is_quotient && std::any_of(loops.begin(), loops.end(), [&](const ForNode* l) {
                        return uses_var(node, l->var);
                      }));
    return !found;
  });
  return found;
}

}  // namespace

std::optional<tir::Range> range_over(const Expr& e, std::span<const ForNode* const> loops,
                                     const Facts& facts) {
  // Facts may say what a loop's variable is; a subscript that starts at it should still say so.
  Expr low = canonical(e);
  if (divides(low, loops)) low = simplest(low, facts);
  Expr high = low;
  for (size_t i = loops.size(); i-- > 0;) {
    if (!to_end_of(low, *loops[i], false, facts) || !to_end_of(high, *loops[i], true, facts)) {
      return std::nullopt;
    }
  }
  return tir::Range{low, simplest(high - low + 1, facts)};
}

std::optional<std::vector<tir::Range>> box_of(std::span<const Access> accesses,
                                              const Facts& facts) {
  std::optional<std::vector<tir::Range>> box;
  for (const Access& a : accesses) {
    std::vector<tir::Range> own;
    const LoopsWith loops(a.loops, a.lets);
    for (const Expr& i : a.indices) {
      auto range = range_over(i, loops.list(), facts);
      if (!range) return std::nullopt;
      own.push_back(std::move(*range));
    }
    if (!box) {
      box = std::move(own);
      continue;
    }
    for (size_t d = 0; d < own.size(); ++d) {
      tir::Range& all = (*box)[d];
      const Expr end = all.min + all.extent, own_end = own[d].min + own[d].extent;
      if (prove_le(all.min, own[d].min, facts) != Truth::yes) {
        if (prove_le(own[d].min, all.min, facts) != Truth::yes) return std::nullopt;
        all.min = own[d].min;
      }
      Expr last = end;
      if (prove_le(own_end, end, facts) != Truth::yes) {
        if (prove_le(end, own_end, facts) != Truth::yes) return std::nullopt;
        last = own_end;
      }
      all.extent = simplest(last - all.min, facts);
    }
  }
  return box;
}

// ---- Independence
// --------------------------------------------------------------------------------

namespace {

// Subscripts in which neighbours that were cut out of one expression are one again. `last`: the
// last dimension of each.
std::vector<Expr> joined_indices(const Access& a, std::vector<size_t>& last) {
  std::vector<Expr> joined;
  for (size_t d = 0; d < a.indices.size(); ++d) {
    const Expr& extent = a.buffer->shape[d];
    if (d > 0 && a.buffer->strides.empty() && are_cut(joined.back(), a.indices[d], extent)) {
      joined.back() = canonical(joined.back() * extent + a.indices[d]);
      last.back() = d;
    } else {
      joined.push_back(a.indices[d]);
      last.push_back(d);
    }
  }
  return joined;
}

// Do two subscripts never meet, where that of `b` is of a later iteration (`later`: what the loop's
// variable is there)? Facts may tell what the variable is here: so `later` comes first.
bool apart(const Expr& a, std::span<const ForNode* const> loops_a, const Expr& b,
           std::span<const ForNode* const> loops_b, const VarMap& later, const Facts& facts) {
  const LoopsWith moved(loops_b, later);
  auto here = range_over(a, loops_a, facts);
  auto there = range_over(substitute(b, later), moved.list(), facts);
  if (!here || !there) return false;
  // What takes cases to decide is asked of the two elements themselves.
  return prove_directly(le(here->min + here->extent, there->min), facts) == Truth::yes ||
         prove_directly(le(there->min + there->extent, here->min), facts) == Truth::yes;
}

// What holds where the access happens, with variables as `names` has them.
void assume_access(Facts& facts, const Access& a, const VarMap& names) {
  for (const ForNode* loop : a.loops) {
    const Expr v = substitute(loop->var, names);
    facts.assume(le(make_int(0), v));
    facts.assume(lt(v, substitute(loop->extent, names)));
  }
  // What is loaded may be something else in another iteration.
  for (const Expr& e : conjuncts_of(a.condition)) {
    if (!has_load(e)) facts.assume(substitute(e, names));
  }
}

// Other variables for what is bound in iterations: loops inside, and `let`s, which may be.
VarMap other_iteration(const Access& b, const VarMap& later, Facts& facts) {
  VarMap names = later;
  auto rename = [&](const Var& v) {
    if (names.count(v.get())) return;
    Var other = make_var(v->name, v->dtype, v->role);
    facts.restrict(other, facts.range_of(v));
    names.emplace(v.get(), other);
  };
  auto rename_lets = [&](const Expr& e) {
    for (const Var& v : free_vars(e)) {
      if (v->role == VarRole::let && v->dtype.is_index()) rename(v);
    }
  };
  for (const ForNode* loop : b.loops) rename(loop->var);
  for (const ForNode* loop : b.loops) rename_lets(loop->extent);
  for (const Expr& i : b.indices) rename_lets(i);
  if (b.condition) rename_lets(b.condition);
  return names;
}

}  // namespace

bool are_apart(const Access& a, const Access& b, const VarMap& later, const Facts& facts) {
  std::vector<size_t> last_a, last_b;
  const std::vector<Expr> joined_a = joined_indices(a, last_a);
  const std::vector<Expr> joined_b = joined_indices(b, last_b);
  const std::vector<Expr>& in_a = last_a == last_b ? joined_a : a.indices;
  const std::vector<Expr>& in_b = last_a == last_b ? joined_b : b.indices;
  const LoopsWith closed_a(a.loops, a.lets), closed_b(b.loops, b.lets);
  const auto loops_a = closed_a.list(), loops_b = closed_b.list();
  for (size_t d = 0; d < in_a.size(); ++d) {
    if (apart(in_a[d], loops_a, in_b[d], loops_b, later, facts)) return true;
  }
  // Dimensions that are cut out of one loop differ only together.
  const Expr address_a = address_of(a), address_b = address_of(b);
  if (address_a && address_b && apart(address_a, loops_a, address_b, loops_b, later, facts)) {
    return true;
  }
  // Boxes forget conditions.
  Facts both = facts;
  const VarMap names = other_iteration(b, later, both);
  assume_access(both, a, {});
  assume_access(both, b, names);
  for (size_t d = 0; d < in_a.size(); ++d) {
    if (prove(ne(in_a[d], substitute(in_b[d], names)), both) == Truth::yes) return true;
  }
  return address_a && address_b &&
         prove(ne(address_a, substitute(address_b, names)), both) == Truth::yes;
}

Result<void> check_independent(const Scheduled& s, const ForNode& loop) {
  const std::vector<Access> all = accesses_in(loop.body);
  Facts facts = s.known->at(path_to(s.func->body, &loop), nullptr);
  Var distance = make_var("distance", dtypes::index, VarRole::dimension);
  const Expr other = loop.var + distance + 1;
  facts.assume(lt(other, loop.extent));
  const VarMap later{{loop.var.get(), other}};
  const Memory memory(s.func);
  for (const Access& store : all) {
    if (!store.is_store || is_made_in(loop.body, memory.of(store.buffer))) continue;
    for (const Access& a : all) {
      if (!memory.same(a.buffer, store.buffer)) continue;
      if (a.is_store && &a < &store) continue;  // both directions were asked
      // Of a store and itself, one direction says what the other one does.
      if (a.buffer == store.buffer && are_apart(store, a, later, facts) &&
          (&a == &store || are_apart(a, store, later, facts))) {
        continue;
      }
      return illegal(
          "iterations of `{}` are not independent: `{}` writes an element of `{}` that "
          "another iteration may {}",
          loop.var->name, store.block ? store.block->name : "a statement", store.buffer->name,
          a.is_store ? "write" : "read");
    }
  }
  return {};
}

// ---- Places
// --------------------------------------------------------------------------------------

Stmt inner_body(const ForNode& loop) {
  Stmt body = loop.body;
  while (const auto* let = tir::as<tir::LetNode>(body)) body = let->body;
  return body;
}

Stmt with_inner_body(const ForNode& loop, Stmt body) {
  std::vector<const tir::LetNode*> lets;
  Stmt at = loop.body;
  while (const auto* let = tir::as<tir::LetNode>(at)) {
    lets.push_back(let);
    at = let->body;
  }
  for (size_t i = lets.size(); i-- > 0;) {
    body = tir::make<tir::LetNode>(lets[i]->var, lets[i]->value, std::move(body), lets[i]->span);
  }
  return with_body(loop, std::move(body));
}

Stmt appended(const Stmt& body, Stmt last) {
  const auto* allocate = tir::as<tir::AllocateNode>(body);
  if (!allocate) return tir::make_seq({body, std::move(last)});
  return tir::make<tir::AllocateNode>(allocate->buffer, appended(allocate->body, std::move(last)),
                                      allocate->span);
}

bool moves_reduction(const ForNode& loop, const tir::BlockNode& block) {
  VarMap values;  // of `let`s on the way
  for (const Stmt& s : path_to(loop.body, &block)) {
    const auto* let = tir::as<tir::LetNode>(s);
    if (let) values[let->var.get()] = substitute(let->value, values);
  }
  return std::any_of(block.iters.begin(), block.iters.end(), [&](const tir::IterVar& iter) {
    return iter.kind != tir::IterKind::spatial &&
           uses_var(substitute(iter.value, values), loop.var);
  });
}

bool is_made_in(const Stmt& root, const Buffer& buffer) {
  bool made = false;
  tir::visit_stmts(root, [&](const Stmt& s) {
    if (const auto* a = tir::as<tir::AllocateNode>(s)) made = made || a->buffer == buffer;
    if (const auto* d = tir::as<tir::DeclareNode>(s)) made = made || d->buffer == buffer;
    return !made;
  });
  return made;
}

}  // namespace repose::schedule

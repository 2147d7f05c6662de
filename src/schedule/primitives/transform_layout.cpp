// Intermediate buffers whose elements stand in another order.
#include "schedule/primitives/transform_layout.h"

#include <algorithm>

#include "schedule/block_fields.h"
#include "schedule/dependence.h"

namespace repose::schedule {

using tir::Stmt;

namespace {

// Asked of the parts first: written out, a product of sums says less.
bool is_nonnegative(const Expr& e, const Facts& facts) {
  if ((e->kind == ExprKind::add || e->kind == ExprKind::mul) && is_nonnegative(e->args[0], facts) &&
      is_nonnegative(e->args[1], facts)) {
    return true;
  }
  return prove_le(make_int(0), e, facts) == Truth::yes;
}

// The largest value over subscripts within the shape; null: it cannot be told.
Expr largest(const Expr& e, const VarMap& last, const Facts& facts) {
  switch (e->kind) {
    case ExprKind::int_imm:
      return e;
    case ExprKind::var: {
      auto it = last.find(as<VarNode>(e));
      return it == last.end() ? e : it->second;
    }
    case ExprKind::add: {
      const Expr a = largest(e->args[0], last, facts), b = largest(e->args[1], last, facts);
      return a && b ? a + b : nullptr;
    }
    case ExprKind::sub: {
      const Expr a = is_constant(e->args[1]) ? largest(e->args[0], last, facts) : nullptr;
      return a ? a - e->args[1] : nullptr;
    }
    case ExprKind::mul: {
      if (!is_nonnegative(e->args[0], facts) || !is_nonnegative(e->args[1], facts)) return nullptr;
      const Expr a = largest(e->args[0], last, facts), b = largest(e->args[1], last, facts);
      return a && b ? a * b : nullptr;
    }
    case ExprKind::floor_div: {
      const Expr a = largest(e->args[0], last, facts);
      return a ? floor_div(a, e->args[1]) : nullptr;
    }
    case ExprKind::floor_mod:
      return e->args[1] - 1;
    default:
      return nullptr;
  }
}

// Subscripts that can be told from places: where one is quotient or remainder of a place by an
// extent.
class Recovery {
 public:
  bool is_told(const Var& v) const {
    return std::find(told_.begin(), told_.end(), v) != told_.end();
  }

  bool run(const Expr& place, const std::vector<Expr>& extents, const Facts& facts) {
    if (const auto* v = as<VarNode>(place)) {
      told_.push_back(Var(v));
      return true;
    }
    if (is_constant(place)) return true;
    for (const Expr& extent : extents) {
      const Expr high = simplify(floor_div(place, extent), facts);
      const Expr low = simplify(floor_mod(place, extent), facts);
      const size_t size = tree_size(place, most);
      if (tree_size(high, most) >= size || tree_size(low, most) >= size) continue;
      if (run(high, extents, facts) && run(low, extents, facts)) return true;
    }
    return false;
  }

 private:
  static constexpr size_t most = 1000;
  std::vector<Var> told_;
};

class LayoutChange : public tir::StmtRewriter {
 public:
  LayoutChange(const Buffer& from, const Buffer& to, const IndexMap& map)
      : from_(from), to_(to), map_(map) {}

 protected:
  Stmt rewrite_stmt(const Stmt& s) override {
    if (const auto* allocate = tir::as<tir::AllocateNode>(s);
        allocate && allocate->buffer == from_) {
      return tir::make<tir::AllocateNode>(to_, rewrite(allocate->body), allocate->span);
    }
    if (const auto* store = tir::as<tir::StoreNode>(s); store && store->buffer == from_) {
      return tir::make<tir::StoreNode>(to_, mapped(store->indices), rewrite_expr(store->value),
                                       store->span,
                                       store->predicate ? rewrite_expr(store->predicate) : nullptr);
    }
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    tir::BlockNode::Fields fields = block->fields();
    fields.init = rewrite(fields.init);
    fields.body = rewrite(fields.body);
    bool is_same = fields.body == block->body && fields.init == block->init;
    for (tir::IterVar& iter : fields.iters) {
      const Expr value = rewrite_expr(iter.value);
      is_same = is_same && value == iter.value;
      iter.value = value;
    }
    if (fields.predicate) fields.predicate = rewrite_expr(fields.predicate);
    return is_same && fields.predicate == block->predicate ? s : make_block(std::move(fields));
  }
  Expr rewrite_expr(const Expr& e) override {
    return repose::rewrite(e, [&](const Expr& node) -> Expr {
      const auto* load = as<LoadNode>(node);
      return load && load->buffer == from_ ? make_load(to_, mapped(node->args)) : node;
    });
  }

 private:
  std::vector<Expr> mapped(const std::vector<Expr>& indices) const {
    VarMap values;
    for (size_t d = 0; d < indices.size(); ++d) values.emplace(map_.from[d].get(), indices[d]);
    std::vector<Expr> result;
    for (const Expr& e : map_.to) result.push_back(canonical(substitute(e, values)));
    return result;
  }

  const Buffer& from_;
  const Buffer& to_;
  const IndexMap& map_;
};

// Extents that are formulas are no more than extents here.
void tell_by_parts(const Buffer& buffer, const IndexMap& map, Facts facts, Recovery& recovery) {
  std::vector<Expr> extents;
  for (const Expr& d : buffer->shape) {
    extents.push_back(is_constant(d) ? d : Expr(make_var("extent", dtypes::index)));
  }
  for (size_t d = 0; d < extents.size(); ++d) facts.assume(lt(map.from[d], extents[d]));
  for (const Expr& e : map.to) {
    recovery.run(rewrite(e,
                         [&](const Expr& node) -> Expr {
                           for (size_t d = 0; d < extents.size(); ++d) {
                             if (!is_constant(node) && structural_equal(node, buffer->shape[d]))
                               return extents[d];
                           }
                           return node;
                         }),
                 extents, facts);
  }
}

bool is_injective(const Buffer& buffer, const IndexMap& map, const Facts& facts) {
  Recovery recovery;
  tell_by_parts(buffer, map, facts, recovery);
  const auto is_told = [&](const Var& v) { return recovery.is_told(v); };
  if (std::all_of(map.from.begin(), map.from.end(), is_told)) return true;
  Facts two = facts;
  VarMap other;
  for (size_t d = 0; d < map.from.size(); ++d) {
    Var v = make_var(map.from[d]->name, dtypes::index, VarRole::loop);
    assume_in_range(two, v, buffer->shape[d]);
    other.emplace(map.from[d].get(), v);
  }
  for (const Expr& e : map.to) two.assume(eq(e, substitute(e, other)));
  return std::all_of(map.from.begin(), map.from.end(), [&](const Var& v) {
    return is_told(v) || prove_equal(v, other.at(v.get()), two) == Truth::yes;
  });
}

// Whether the lanes of every access still are lanes: a subscript that is a vector goes on as it is.
bool keeps_vectors(const Scheduled& s, const Buffer& buffer, const IndexMap& map) {
  for (const Access& a : accesses_in(s.func->body)) {
    if (a.buffer != buffer) continue;
    for (size_t d = 0; d < a.indices.size(); ++d) {
      if (a.indices[d]->dtype.lanes == 1) continue;
      for (const Expr& e : map.to) {
        if (e != map.from[d] && uses_var(e, map.from[d])) return false;
      }
    }
  }
  return true;
}

// A divisor that depends on the element, or may be below 1; null: there is none.
Expr bad_divisor(const Expr& e, const IndexMap& map, const Facts& facts) {
  Expr bad;
  visit(e, [&](const Expr& part) {
    if (part->kind != ExprKind::floor_div && part->kind != ExprKind::floor_mod) return !bad;
    const Expr& divisor = part->args[1];
    const bool moves = std::any_of(map.from.begin(), map.from.end(),
                                   [&](const Var& v) { return uses_var(divisor, v); });
    if (moves || prove_le(make_int(1), divisor, facts) != Truth::yes) bad = divisor;
    return !bad;
  });
  return bad;
}

// The same where divisors are above 0; a number where they aren't, for there are no elements then.
Expr with_divisors(const Expr& e, const Facts& facts) {
  return rewrite(e, [&](const Expr& part) -> Expr {
    if (part->kind != ExprKind::floor_div && part->kind != ExprKind::floor_mod) return part;
    if (prove_le(make_int(1), part->args[1], facts) == Truth::yes) return part;
    return with_args(part, {part->args[0], max(part->args[1], make_int(1))});
  });
}

// The shape that holds every element, or why there is none.
Result<std::vector<Expr>> shape_of(const Scheduled& s, const Buffer& buffer, const IndexMap& map,
                                   const Facts& facts) {
  VarMap last;
  for (size_t d = 0; d < map.from.size(); ++d) {
    last.emplace(map.from[d].get(), buffer->shape[d] - 1);
  }
  std::vector<Expr> shape;
  for (const Expr& e : map.to) {
    if (const Expr divisor = bad_divisor(e, map, facts)) {
      return illegal("a divisor that is no extent: {}", to_string(divisor));
    }
    const Expr end = largest(e, last, facts);
    if (!end) {
      return illegal("the extent of the dimension {} of `{}` cannot be told", to_string(e),
                     buffer->name);
    }
    if (prove_le(make_int(0), e, facts) != Truth::yes) {
      return illegal("elements of `{}` might get places below 0: {}", buffer->name, to_string(e));
    }
    // Where there are no elements, the largest subscript may be below -1.
    Expr extent = with_divisors(canonical(end + 1), facts_everywhere(s));
    if (prove_le(make_int(0), extent, facts_everywhere(s)) != Truth::yes) {
      extent = canonical(max(extent, make_int(0)));
    }
    if (buffer->scope == Scope::local && !is_constant(extent)) {
      return illegal("`{}` would have the extent {}, but is local", buffer->name,
                     to_string(extent));
    }
    shape.push_back(std::move(extent));
  }
  return shape;
}

}  // namespace

Result<void> transform_layout(Scheduled& s, const Buffer& buffer, const IndexMap& map) {
  if (!is_made_in(s.func->body, buffer) || Memory(s.func).of(buffer) != buffer) {
    return illegal("`{}` is no intermediate buffer", buffer->name);
  }
  if (has_other_names(s.func, buffer)) {
    return illegal("`{}` has other names, which know its layout", buffer->name);
  }
  if (map.to.empty()) return illegal("the map gives no subscripts");
  if (map.from.size() != buffer->shape.size()) {
    return illegal("`{}` has {} dimensions, the map takes {}", buffer->name, buffer->shape.size(),
                   map.from.size());
  }
  Facts facts = facts_everywhere(s);
  for (size_t d = 0; d < map.from.size(); ++d) {
    assume_in_range(facts, map.from[d], buffer->shape[d]);
  }
  REPOSE_TRY(shape, shape_of(s, buffer, map, facts));
  if (!keeps_vectors(s, buffer, map)) {
    return illegal("`{}` is accessed by vectors, which would come apart", buffer->name);
  }
  if (!is_injective(buffer, map, facts)) {
    return illegal("two elements of `{}`, of shape {}, might get one place by {}", buffer->name,
                   to_string(buffer->shape), to_string(Step{"", {Arg(map)}, {}}));
  }
  const Buffer next = make_buffer(buffer->name, std::move(shape), buffer->dtype, buffer->scope, {},
                                  nullptr, buffer->align_bytes);
  s.func = tir::with_body(s.func, LayoutChange(buffer, next, map).rewrite(s.func->body));
  note(s, "transform_layout", {Arg(buffer), Arg(map)});
  return {};
}

}  // namespace repose::schedule

// What a block reads, in a buffer of an iteration.
#include "schedule/primitives/cache_read.h"

#include "schedule/block_fields.h"
#include "schedule/dependence.h"
#include "schedule/local_buffer.h"
#include "schedule/place.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Range;
using tir::Stmt;

namespace {

// Makes the loops that copy a box: for d…: cache[d…] = buffer[corner + d…]
class CopyIn {
 public:
  CopyIn(Scheduled& s, const Place& place, const Buffer& buffer, const std::vector<Range>& box)
      : s_(s),
        buffer_(buffer),
        box_(box),
        facts_(place.facts),
        space_(space_of(place.path, facts_everywhere(s))) {}

  // `names`: of the axes along the dimensions.
  Result<Stmt> run(const Buffer& cache, const std::string& block_name,
                   const std::vector<std::string>& names) {
    for (size_t d = 0; d < box_.size(); ++d) {
      REPOSE_TRY(corner, corner_of(d, names[d]));
      from_.push_back(is_const_int(box_[d].extent, 1) ? corner : corner + along(d, names[d]));
      keep_inside(d);
    }
    if (to_.empty()) to_.push_back(make_int(0));
    for (Expr& i : from_) i = canonical(i);
    Expr value = make_load(buffer_, from_);
    if (inside_) value = make_if_then_else(inside_, value, make_const(value->dtype, 0));
    fields_.name = block_name;
    fields_.body = tir::make<tir::StoreNode>(cache, to_, value);
    Stmt nest = make_block(std::move(fields_));
    for (size_t i = loops_.size(); i-- > 0;) {
      nest = make_loop(s_, loops_[i].first, loops_[i].second, std::move(nest));
    }
    return nest;
  }

 private:
  // Where the box begins, as blocks see it: by an axis, where loops decide.
  Result<Expr> corner_of(size_t d, const std::string& name) {
    const Expr& corner = box_[d].min;
    const Expr value = space_.over_loops(corner);
    if (!space_.mentioned_in(value)) return value;
    Range domain{make_int(0), buffer_->shape[d]};
    const bool inside = prove_le(make_int(0), corner, facts_) == Truth::yes &&
                        prove(lt(corner, domain.extent), facts_) == Truth::yes;
    if (!inside) {
      const auto range = range_over(value, space_.list(), facts_everywhere(s_));
      if (!range) {
        return illegal("it cannot be told where the boxes of `{}` begin: {}", buffer_->name,
                       repose::to_string(corner));
      }
      domain = *range;
    }
    const std::string suffix = is_const_int(box_[d].extent, 1) ? "" : "_at";
    const Var axis = make_var("v_" + name + suffix, dtypes::index, VarRole::loop);
    fields_.iters.push_back({axis, domain.min, domain.extent, tir::IterKind::spatial, corner});
    return Expr(axis);
  }

  // A loop along dimension d.
  Expr along(size_t d, const std::string& name) {
    const Var loop = fresh_loop_var(s_, name);
    const Var axis = make_var("v_" + name, dtypes::index, VarRole::loop);
    fields_.iters.push_back({axis, make_int(0), box_[d].extent, tir::IterKind::spatial, loop});
    loops_.emplace_back(loop, box_[d].extent);
    to_.push_back(axis);
    assume_in_range(facts_, loop, box_[d].extent);
    return axis;
  }

  // Elements of the box that the buffer has not are 0.
  void keep_inside(size_t d) {
    VarMap values;
    for (const tir::IterVar& iter : fields_.iters) values.emplace(iter.var.get(), iter.value);
    for (const Expr& inside : {le(make_int(0), from_[d]), lt(from_[d], buffer_->shape[d])}) {
      if (prove(substitute(inside, values), facts_) == Truth::yes) continue;
      inside_ = inside_ ? logical_and(inside_, canonical(inside)) : canonical(inside);
    }
  }

  Scheduled& s_;
  const Buffer& buffer_;
  const std::vector<Range>& box_;
  Facts facts_;
  const Space space_;
  tir::BlockNode::Fields fields_;
  std::vector<Expr> from_, to_;
  std::vector<std::pair<Var, Expr>> loops_;
  Expr inside_;
};

// Names for the dimensions: of the block's axes that run along them.
std::vector<std::string> names_of(const tir::BlockNode& block, const Buffer& buffer) {
  std::vector<std::string> names;
  for (size_t d = 0; d < buffer->shape.size(); ++d) names.push_back(fmt::format("i{}", d));
  tir::visit_all_exprs(block.body, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      const auto* load = as<LoadNode>(node);
      if (!load || load->buffer != buffer) return true;
      for (size_t d = 0; d < node->args.size(); ++d) {
        const auto* axis = as<VarNode>(node->args[d]);
        if (!axis || axis->name.size() < 2 || !axis->name.starts_with("v")) continue;
        names[d] = axis->name.substr(axis->name.starts_with("v_") ? 2 : 1);
      }
      return true;
    });
  });
  return names;
}

// That the elements stay as they are while the copy is used.
Result<void> check_constant(const Scheduled& s, const Place& place, const Buffer& buffer) {
  const Memory memory(s.func);
  for (const Access& a : accesses_in(place.body)) {
    if (a.is_store && memory.same(a.buffer, buffer)) {
      return illegal("{} in `{}`", to_string(a), place.name);
    }
  }
  return check_transparent(place.body);
}

}  // namespace

Result<Block> cache_read(Scheduled& s, const Block& block, const Buffer& buffer, const Loop& at,
                         Scope scope) {
  REPOSE_FIND_BLOCK(node, s, block);
  const Ref<const tir::StmtNode> keep(node);
  REPOSE_TRY(place, place_of(s, at));
  const Ref<const tir::StmtNode> keep_loop(place.loop);
  if (path_to(place.body, node).empty()) {
    return illegal("`{}` does not stand in `{}`", block.name, place.name);
  }
  std::vector<Access> reads;
  for (const Access& a : accesses_of(accesses_in(place.body), buffer)) {
    if (a.block == node && !a.is_store) reads.push_back(a);
  }
  if (reads.empty()) return illegal("`{}` does not read `{}`", block.name, buffer->name);
  if (auto check = check_constant(s, place, buffer); !check.ok()) return check.errors();
  const auto box = box_of(reads, place.facts);
  if (!box) {
    return illegal("what `{}` reads of `{}` in an iteration of `{}` is no box that can be told",
                   block.name, buffer->name, place.name);
  }
  Scheduled next = s;
  REPOSE_TRY(cache, local_buffer(next, fmt::format("{}_{}", buffer->name, scope_name(scope)),
                                 buffer->dtype, *box, scope, place.facts));
  const std::string name = next.fresh(buffer->name + "_in");
  REPOSE_TRY(copy, CopyIn(next, place, buffer, *box).run(cache, name, names_of(*node, buffer)));
  Stmt body = replaced(place.body, node, moved_accesses(Stmt(node), buffer, cache, *box));
  body = tir::make<tir::AllocateNode>(cache, tir::make_seq({copy, std::move(body)}));
  body = with_body(place, std::move(body));
  if (place.loop) {
    replace(next, place.loop, std::move(body));
  } else {
    next.func = tir::with_body(next.func, std::move(body));
  }
  s = std::move(next);
  note(s, "cache_read", {Arg(block), Arg(buffer), Arg(at), Arg(std::string(scope_name(scope)))},
       {Arg(Block{name})});
  return Block{name};
}

}  // namespace repose::schedule

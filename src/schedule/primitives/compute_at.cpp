// What a block computes, where an iteration that needs it begins.
#include "schedule/primitives/compute_at.h"

#include <algorithm>

#include "schedule/local_buffer.h"
#include "schedule/motion.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

namespace {

// That the buffer is the block's alone to write, and that only iterations of `at` read it.
Result<void> check_users(const Scheduled& s, const Nest& nest, const ForNode& at) {
  const Buffer& target = nest.store->buffer;
  const std::string& name = nest.block->name;
  if (!is_made_in(s.func->body, target)) {
    return illegal("`{}` writes `{}`, which lives on after the program", name, target->name);
  }
  const Memory memory(s.func);
  for (const Access& a : accesses_in(s.func->body)) {
    if (a.block == nest.block || !memory.same(a.buffer, target)) continue;
    if (a.is_store) return illegal("{}, as `{}` does", to_string(a), name);
    const bool inside = std::find(a.loops.begin(), a.loops.end(), &at) != a.loops.end();
    if (!inside) return illegal("{} outside of `{}`", to_string(a), at.var->name);
    if (a.buffer != target) return illegal("`{}` is a view of `{}`", a.buffer->name, target->name);
  }
  const std::vector<Access> own = accesses_of(accesses_in(nest.path[0]), target);
  for (const Access& a : own) {
    if (a.is_store || nest.block->init) continue;
    return illegal("`{}` adds to what it finds in `{}`", name, target->name);
  }
  return {};
}

// That nothing changes what the block reads before it runs in its new place.
Result<void> check_unchanged(const Scheduled& s, const Nest& nest, const ForNode& at) {
  const Memory memory(s.func);
  const std::vector<Access> own = accesses_in(nest.path[0]);
  for (const Stmt& part : nest.between) {
    for (const Access& a : accesses_in(part)) {
      if (!a.is_store) continue;
      for (const Access& read : own) {
        if (read.is_store || !memory.same(read.buffer, a.buffer)) continue;
        return illegal("{}, which `{}` reads, before iterations of `{}` end", to_string(a),
                       nest.block->name, at.var->name);
      }
    }
  }
  return {};
}

bool touches(const Stmt& s, const Buffer& buffer) {
  return !accesses_of(accesses_in(s), buffer).empty();
}

// `body` with `nest` before the first statement that touches the buffer.
Stmt before_use(const Stmt& body, const Buffer& buffer, const Stmt& nest) {
  if (const auto* allocate = tir::as<tir::AllocateNode>(body)) {
    return tir::make<tir::AllocateNode>(allocate->buffer, before_use(allocate->body, buffer, nest),
                                        allocate->span);
  }
  const auto* seq = tir::as<tir::SeqNode>(body);
  if (!seq) return tir::make_seq({nest, body});
  std::vector<Stmt> parts = seq->stmts;
  const auto first = std::find_if(parts.begin(), parts.end(),
                                  [&](const Stmt& part) { return touches(part, buffer); });
  parts.insert(first, nest);
  return tir::make_seq(std::move(parts));
}

// What an iteration reads of the buffer says over what the axes run; over all of it, where it reads
// all along a dimension.
Result<std::vector<std::optional<tir::Range>>> ranges_of(const Nest& nest, const NestAxes& axes,
                                                         const std::vector<tir::Range>& box,
                                                         const Facts& facts) {
  const Buffer& target = nest.store->buffer;
  Told told = told_by(nest.store->indices, target, box, axes, facts);
  for (size_t d : told.unclear) {
    const bool all = prove_le(box[d].min, make_int(0), facts) == Truth::yes &&
                     prove_le(target->shape[d], box[d].min + box[d].extent, facts) == Truth::yes;
    if (all) continue;
    return illegal("the subscript {} of `{}` in `{}` is no axis of its own",
                   repose::to_string(nest.store->indices[d]), target->name, nest.block->name);
  }
  return std::move(told.ranges);
}

}  // namespace

Result<void> compute_at(Scheduled& s, const Block& block, const Loop& at) {
  REPOSE_TRY(nest, nest_of(s, block, at, Side::before));
  REPOSE_FIND_LOOP(loop, s, at);
  const Ref<const tir::StmtNode> keep(loop);
  const Buffer target = nest.store->buffer;
  for (const Result<void>& check : {check_users(s, nest, *loop), check_unchanged(s, nest, *loop)}) {
    if (!check.ok()) return check.errors();
  }
  const Stmt body = inner_body(*loop);
  const std::vector<Access> reads = accesses_of(accesses_in(body), target);
  if (reads.empty()) {
    return illegal("`{}` reads nothing that `{}` writes", at.var->name, block.name);
  }
  const Facts facts = facts_inside(s, *loop);
  const auto box = box_of(reads, facts);
  if (!box) {
    return illegal("what an iteration of `{}` reads of `{}` is no box that can be told",
                   at.var->name, target->name);
  }
  REPOSE_TRY(axes, axes_of(nest));
  REPOSE_TRY(told, ranges_of(nest, axes, *box, facts));
  Scheduled next = s;
  const Rebuilt moved = rebuild(next, nest, axes, told, facts);
  if (auto check = check_place(s, nest, moved.nest, facts); !check.ok()) return check.errors();
  replace(next, loop, with_inner_body(*loop, before_use(body, target, moved.nest)));
  next.func = tir::with_body(next.func, without(next.func->body, nest.path[0].get()));
  s = std::move(next);
  note(s, "compute_at", {Arg(block), Arg(at)});
  return {};
}

}  // namespace repose::schedule

// An intermediate buffer that lives within an iteration.
#include "schedule/primitives/set_scope.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/local_buffer.h"
#include "schedule/place.h"
#include "schedule/reduction.h"

namespace repose::schedule {

using tir::Stmt;

namespace {

// Where the buffer is allocated, around the place; null: elsewhere.
Stmt allocation_around(const Scheduled& s, const Place& place, const Buffer& buffer) {
  const std::vector<Stmt> path = place.loop ? place.path : std::vector<Stmt>{s.func->body};
  for (const Stmt& part : path) {
    const auto* allocate = tir::as<tir::AllocateNode>(part);
    if (allocate && allocate->buffer == buffer) return part;
  }
  return nullptr;
}

Result<void> check_inside(const Scheduled& s, const Place& place, const Buffer& buffer) {
  const Memory memory(s.func);
  const size_t inside = accesses_of(accesses_in(place.body), buffer).size();
  size_t all = 0;
  for (const Access& a : accesses_in(s.func->body)) {
    if (!memory.same(a.buffer, buffer)) continue;
    if (a.buffer != buffer) return illegal("`{}` is a view of `{}`", a.buffer->name, buffer->name);
    const bool within = std::find(a.loops.begin(), a.loops.end(), place.loop) != a.loops.end();
    if (!within) return illegal("{} outside of `{}`", to_string(a), place.name);
    ++all;
  }
  if (inside == 0) return illegal("nothing in `{}` uses `{}`", place.name, buffer->name);
  if (inside == all) return {};
  return illegal("`{}` needs `{}` where its iterations begin", place.name, buffer->name);
}

bool reads_memory(const std::vector<tir::Range>& box) {
  return std::any_of(box.begin(), box.end(),
                     [](const tir::Range& r) { return has_load(r.min) || has_load(r.extent); });
}

const tir::AllocateNode* allocation_in(const Stmt& root, const Buffer& buffer) {
  const tir::AllocateNode* found = nullptr;
  tir::visit_stmts(root, [&](const Stmt& s) {
    const auto* allocate = tir::as<tir::AllocateNode>(s);
    if (allocate && allocate->buffer == buffer) found = allocate;
    return !found;
  });
  return found;
}

// The buffer lives in the place, or in a part of it, already: it becomes as large as what is used.
Result<void> shrink(Scheduled& s, const tir::AllocateNode& allocated, Scope scope) {
  const Buffer buffer = allocated.buffer;
  const Facts facts = facts_at(s, &allocated);
  const auto box = box_of(accesses_of(accesses_in(allocated.body), buffer), facts);
  if (!box || reads_memory(*box)) {
    return illegal("what is used of `{}` is no box that can be told", buffer->name);
  }
  Scheduled next = s;
  next.names.erase(buffer->name);
  REPOSE_TRY(own, local_buffer(next, buffer->name, buffer->dtype, *box, scope, facts));
  replace(next, &allocated,
          tir::make<tir::AllocateNode>(own, moved_accesses(allocated.body, buffer, own, *box)));
  s = std::move(next);
  return {};
}

}  // namespace

Result<void> set_scope(Scheduled& s, const Buffer& buffer, Scope scope, const Loop& at) {
  REPOSE_TRY(place, place_of(s, at));
  if (const tir::AllocateNode* inside = allocation_in(place.body, buffer)) {
    const Ref<const tir::StmtNode> keep(inside);
    REPOSE_RUN(shrink(s, *inside, scope));
    note(s, "set_scope", {Arg(buffer), Arg(std::string(scope_name(scope))), Arg(at)});
    return {};
  }
  if (!place.loop) return illegal("`{}` is not allocated in the program", buffer->name);
  REPOSE_FIND_LOOP(loop, s, at);
  const Ref<const tir::StmtNode> keep(loop);
  const Stmt allocated = allocation_around(s, place, buffer);
  if (!allocated) return illegal("`{}` is not allocated around `{}`", buffer->name, place.name);
  for (const Result<void>& check : {check_inside(s, place, buffer), check_transparent(allocated),
                                    check_written_first(s, buffer, allocated, *loop)}) {
    if (!check.ok()) return check.errors();
  }
  const auto box = box_of(accesses_of(accesses_in(place.body), buffer), place.facts);
  if (!box || reads_memory(*box)) {
    return illegal("what an iteration of `{}` uses of `{}` is no box that can be told", place.name,
                   buffer->name);
  }
  Scheduled next = s;
  next.names.erase(buffer->name);
  REPOSE_TRY(own, local_buffer(next, buffer->name, buffer->dtype, *box, scope, place.facts));
  Stmt body = tir::make<tir::AllocateNode>(own, moved_accesses(place.body, buffer, own, *box));
  const Stmt around = tir::as<tir::AllocateNode>(allocated)->body;
  replace(next, allocated.get(), replaced(around, loop, with_body(place, std::move(body))));
  s = std::move(next);
  note(s, "set_scope", {Arg(buffer), Arg(std::string(scope_name(scope))), Arg(at)});
  return {};
}

}  // namespace repose::schedule

// The bodies of loops and of programs.
#include "schedule/place.h"

#include "schedule/local_buffer.h"

namespace repose::schedule {

using tir::ForNode;
using tir::Stmt;

Result<Place> place_of(const Scheduled& s, const Loop& at) {
  if (!at.var) return Place{"root", nullptr, s.func->body, {}, facts_everywhere(s)};
  REPOSE_FIND_LOOP(loop, s, at);
  Place place{at.var->name, loop, inner_body(*loop), path_to(s.func->body, loop),
              facts_inside(s, *loop)};
  for (const Stmt& part : place.path) {
    const auto* around = tir::as<ForNode>(part);
    if (around && around->loop_kind == tir::ForKind::vectorized) {
      return illegal("`{}` runs in the lanes of vectors, which have no room for buffers",
                     around->var->name);
    }
  }
  for (Stmt let = loop->body; tir::as<tir::LetNode>(let); let = tir::as<tir::LetNode>(let)->body) {
    place.path.push_back(let);
  }
  return place;
}

Stmt with_body(const Place& place, Stmt body) {
  return place.loop ? with_inner_body(*place.loop, std::move(body)) : body;
}

}  // namespace repose::schedule

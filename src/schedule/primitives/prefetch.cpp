// Lines of a cache that later iterations read.
#include "schedule/primitives/prefetch.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/place.h"
#include "schedule/region.h"

namespace repose::schedule {

namespace {

constexpr int64_t line_bytes = 64;  // of every x86-64 and most AArch64 processors
constexpr int64_t most_lines = 8;

bool is_written(const Scheduled& s, const Buffer& buffer) {
  const Memory memory(s.func);
  const std::vector<Access> all = accesses_in(s.func->body);
  return std::any_of(all.begin(), all.end(),
                     [&](const Access& a) { return a.is_store && memory.same(a.buffer, buffer); });
}

}  // namespace

Result<void> prefetch(Scheduled& s, const Buffer& buffer, const Loop& loop,
                      const Expr& iterations) {
  REPOSE_TRY(place, place_of(s, loop));
  if (!place.loop) return illegal("the program is no loop");
  int64_t ahead = 0;
  if (!as_const_int(iterations, &ahead) || ahead < 1) {
    return illegal("{} is no number of iterations", to_string(iterations));
  }
  const std::vector<Access> reads = accesses_of(accesses_in(place.body), buffer);
  if (reads.empty()) return illegal("nothing in `{}` uses `{}`", place.name, buffer->name);
  if (is_written(s, buffer)) return illegal("the program writes `{}`", buffer->name);
  if (buffer->dtype.is_packed()) return illegal("elements of `{}` are packed", buffer->name);
  const auto box = box_of(reads, place.facts);
  int64_t run = 0;
  const bool is_line = box && as_const_int(box->back().extent, &run) &&
                       std::all_of(box->begin(), box->end() - 1,
                                   [](const tir::Range& r) { return is_const_int(r.extent, 1); });
  const int64_t elements = line_bytes / buffer->dtype.size_bytes();
  if (!is_line || run < 1 || run > most_lines * elements) {
    return illegal("what an iteration of `{}` reads of `{}` are no {} lines that follow each other",
                   place.name, buffer->name, most_lines);
  }
  std::vector<int64_t> steps;  // of the loop, along each dimension
  for (const tir::Range& r : *box) {
    const bool moves = uses_var(r.min, place.loop->var);
    if (moves &&
        (!rest_of_sum(r.min, place.loop->var, &steps.emplace_back(0)) || steps.back() < 0)) {
      return illegal("{} of `{}` doesn't grow with `{}`", to_string(r.min), buffer->name,
                     place.name);
    }
    if (!moves) steps.push_back(0);
  }
  std::vector<tir::Stmt> stmts;
  for (int64_t line = 0; line < run; line += elements) {
    std::vector<Expr> indices;
    for (size_t d = 0; d < box->size(); ++d) {
      const int64_t further = steps[d] * ahead + (d + 1 == box->size() ? line : 0);
      const Expr at = canonical((*box)[d].min + further);
      indices.push_back(steps[d] == 0 ? at : min(at, buffer->shape[d] - 1));
    }
    stmts.push_back(tir::make<tir::EvaluateNode>(
        make_call(Intrinsic::prefetch, dtypes::int32, {make_load(buffer, indices)})));
  }
  stmts.push_back(place.body);
  const Ref<const tir::StmtNode> keep(place.loop);
  replace(s, place.loop, with_body(place, tir::make<tir::SeqNode>(std::move(stmts))));
  note(s, "prefetch", {Arg(buffer), Arg(loop), Arg(iterations)});
  return {};
}

}  // namespace repose::schedule

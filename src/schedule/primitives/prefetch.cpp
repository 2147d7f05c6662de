// Lines of a cache that later iterations read.
#include "schedule/primitives/prefetch.h"

#include <algorithm>

#include "schedule/dependence.h"
#include "schedule/place.h"
#include "schedule/primitives/prefetch_next.h"
#include "schedule/region.h"

namespace repose::schedule {

namespace {

constexpr int64_t line_bytes = 64;  // of every x86-64 and most AArch64 processors
constexpr int64_t most_lines = 8;

int64_t line_elements(const Buffer& buffer) {
  return line_bytes / buffer->dtype.size_bytes();
}

bool is_written(const Scheduled& s, const Buffer& buffer) {
  const Memory memory(s.func);
  const std::vector<Access> all = accesses_in(s.func->body);
  return std::any_of(all.begin(), all.end(),
                     [&](const Access& a) { return a.is_store && memory.same(a.buffer, buffer); });
}

// What an iteration of a loop reads of a buffer, where that is one run of neighbouring elements.
struct Run {
  std::vector<tir::Range> box;
  int64_t elements = 0;
};

Result<Run> run_of(const Scheduled& s, const Place& place, const Buffer& buffer) {
  if (!place.loop) return illegal("the program is no loop");
  std::vector<Access> reads = accesses_of(accesses_in(place.body), buffer);
  std::erase_if(reads, [](const Access& a) { return !a.block; });  // what is asked for already
  if (reads.empty()) return illegal("nothing in `{}` uses `{}`", place.name, buffer->name);
  if (is_written(s, buffer)) return illegal("the program writes `{}`", buffer->name);
  if (buffer->dtype.is_packed()) return illegal("elements of `{}` are packed", buffer->name);
  const auto box = box_of(reads, place.facts);
  Run run;
  const bool is_run = box && as_const_int(box->back().extent, &run.elements) &&
                      std::all_of(box->begin(), box->end() - 1,
                                  [](const tir::Range& r) { return is_const_int(r.extent, 1); });
  if (!is_run || run.elements < 1 || run.elements > most_lines * line_elements(buffer)) {
    return illegal("what an iteration of `{}` reads of `{}` are no {} lines that follow each other",
                   place.name, buffer->name, most_lines);
  }
  run.box = *box;
  return run;
}

// By how much each dimension's subscript grows with each iteration of the loop; 0: it stays.
Result<std::vector<int64_t>> steps_of(const Run& run, const tir::ForNode& loop,
                                      const Buffer& buffer) {
  std::vector<int64_t> steps;
  for (const tir::Range& r : run.box) {
    int64_t& step = steps.emplace_back(0);
    if (!uses_var(r.min, loop.var)) continue;
    if (!rest_of_sum(r.min, loop.var, &step) || step < 0) {
      return illegal("{} of `{}` doesn't grow with `{}`", to_string(r.min), buffer->name,
                     loop.var->name);
    }
  }
  return steps;
}

tir::Stmt request(const Buffer& buffer, std::vector<Expr> indices) {
  return tir::make<tir::EvaluateNode>(
      make_call(Intrinsic::prefetch, dtypes::int32, {make_load(buffer, std::move(indices))}));
}

void begin_with(Scheduled& s, const Place& place, std::vector<tir::Stmt> requests) {
  requests.push_back(place.body);
  const Ref<const tir::StmtNode> keep(place.loop);
  replace(s, place.loop, with_body(place, tir::make_seq(std::move(requests))));
}

}  // namespace

Result<void> prefetch(Scheduled& s, const Buffer& buffer, const Loop& loop,
                      const Expr& iterations) {
  REPOSE_TRY(place, place_of(s, loop));
  int64_t ahead = 0;
  if (!as_const_int(iterations, &ahead) || ahead < 1) {
    return illegal("{} is no number of iterations", to_string(iterations));
  }
  REPOSE_TRY(run, run_of(s, place, buffer));
  REPOSE_TRY(steps, steps_of(run, *place.loop, buffer));
  std::vector<tir::Stmt> requests;
  for (int64_t line = 0; line < run.elements; line += line_elements(buffer)) {
    std::vector<Expr> indices;
    for (size_t d = 0; d < run.box.size(); ++d) {
      const int64_t further = steps[d] * ahead + (d + 1 == run.box.size() ? line : 0);
      const Expr at = canonical(run.box[d].min + further);
      indices.push_back(steps[d] == 0 ? at : min(at, buffer->shape[d] - 1));
    }
    requests.push_back(request(buffer, std::move(indices)));
  }
  begin_with(s, place, std::move(requests));
  note(s, "prefetch", {Arg(buffer), Arg(loop), Arg(iterations)});
  return {};
}

namespace {

bool stands_in(const Place& place, const tir::ForNode& outer) {
  return place.loop && place.loop != &outer &&
         std::any_of(place.path.begin(), place.path.end(),
                     [&](const tir::Stmt& s) { return s.get() == &outer; });
}

}  // namespace

Result<void> prefetch_next(Scheduled& s, const Buffer& buffer, const Loop& outer, const Loop& loop,
                           const Expr& part, const Expr& parts) {
  REPOSE_TRY(place, place_of(s, loop));
  REPOSE_FIND_LOOP(next, s, outer);
  if (!stands_in(place, *next)) {
    return illegal("`{}` does not stand in `{}`", place.name, outer.var->name);
  }
  if (prove_le(make_int(0), part, place.facts) != Truth::yes) {
    return illegal("it is not proven that {} is the number of a part", to_string(part));
  }
  REPOSE_TRY(run, run_of(s, place, buffer));
  REPOSE_TRY(steps, steps_of(run, *next, buffer));
  if (std::all_of(steps.begin(), steps.end(), [](int64_t step) { return step == 0; })) {
    return illegal("what `{}` reads of `{}` does not change with `{}`", place.name, buffer->name,
                   outer.var->name);
  }
  int64_t count = 0, extent = 0;
  if (!as_const_int(parts, &count) || count < 1 || run.elements % count != 0 ||
      !as_const_int(place.loop->extent, &extent) || extent % count != 0) {
    return illegal("{} iterations of `{}`, each with {} elements, are not cut into {} parts",
                   to_string(place.loop->extent), place.name, run.elements, to_string(parts));
  }
  const Expr step = place.loop->var - place.loop->min;
  const Expr first = min(part, make_int(count - 1)) * (extent / count);
  const VarMap later{
      {next->var.get(), next->var + 1},
      {place.loop->var.get(), place.loop->min + first + floor_div(step, make_int(count))}};
  std::vector<Expr> indices;
  for (size_t d = 0; d < run.box.size(); ++d) {
    const Expr at = canonical(substitute(run.box[d].min, later));
    indices.push_back(steps[d] == 0 ? at : min(at, buffer->shape[d] - 1));
  }
  const Expr within = floor_mod(step, make_int(count)) * (run.elements / count);
  indices.back() = canonical(indices.back() + within);
  begin_with(s, place, {request(buffer, std::move(indices))});
  note(s, "prefetch_next", {Arg(buffer), Arg(outer), Arg(loop), Arg(part), Arg(parts)});
  return {};
}

}  // namespace repose::schedule

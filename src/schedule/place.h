// Where statements of a loop's iterations, or of the whole program, begin.
#pragma once

#include "schedule/scheduled.h"

namespace repose::schedule {

struct Place {
  std::string name;                    // of the loop, or "root"
  const tir::ForNode* loop = nullptr;  // null: the program
  tir::Stmt body;                      // below the `let`s that stand directly in the loop
  std::vector<tir::Stmt> path;         // from the program to the loop, and those `let`s
  Facts facts;                         // in `body`
};
// `at` without variable: the program. An error where loops around run in the lanes of vectors, or
// there is no such loop.
Result<Place> place_of(const Scheduled& s, const Loop& at);
// The loop, or the program's body, with another body.
tir::Stmt with_body(const Place& place, tir::Stmt body);

}  // namespace repose::schedule

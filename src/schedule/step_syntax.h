// The syntax of one step of a schedule, before its names mean anything.
#pragma once

#include <vector>

#include "schedule/schedule_text.h"
#include "script/syntax.h"

namespace repose::schedule {

struct ParsedStep {
  std::vector<const script::Node*> names;  // left of `=`
  const script::Node* primitive = nullptr;
  std::vector<const script::Node*> args;  // `(i, j) -> (j, i)` is a lambda of two kids
};

// False where an error was reported. Nodes belong to the tree, whose source is that of the step.
bool parse_step(script::SyntaxTree& tree, const StepText& text, ParsedStep& step,
                Diagnostics& errors);

}  // namespace repose::schedule

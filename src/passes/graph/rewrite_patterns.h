// Replaces what patterns match.
//
// before:  a = nn.relu(nn.relu(x))
// after:   a = nn.relu(x)                # with the rule relu(relu(x)) -> relu(x)
// requires: normal form
// ensures: only what matches changes; a replacement has the type of what it replaces, or one below
//          it, for every value of the symbols, and places no check. Where that cannot be proven the
//          match stays. Functions that are groups (is_group,
// ir/function_facts.h) stay as they are.
//
// Rules are applied one after another, each to the whole module until nothing matches, and again
// from the first while anything changed. What is not used any more is dropped.
#pragma once

#include "passes/graph/pattern.h"
#include "passes/graph/rebuild.h"

namespace repose {

struct PatternRule {
  std::string name;  // for messages
  PatternGraph pattern;
  // Emits what takes the place of the roots, a value for each. `match` has the values of `any`
  // nodes in the new function; `now` says what stands there for others that are bound by then.
  // Empty: the match stays. Called twice for a match that is replaced, first where nothing is kept.
  std::function<Result<std::vector<graph::Value>>(Rebuilding& now, const PatternMatch& match)>
      replace;
};

// An error: rules that never end, a replacement of another type.
Result<Module> rewrite_patterns(const Module& module, const OpTable& ops,
                                const std::vector<PatternRule>& rules);

}  // namespace repose

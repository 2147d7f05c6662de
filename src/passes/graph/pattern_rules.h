// Rules written as functions: what `repose opt --rewrite FILE` reads (docs/patterns.md,
// docs/adr/0070-patterns-as-functions.md).
//
//   @R.function
//   def pattern(x: R.Tensor(("n", "k"), "float32"), w: R.Tensor(("k", "m"), "float32")):
//       y = R.matmul(R.permute_dims(x), w)
//       return y
//   @R.function
//   def replacement(x: R.Tensor(("n", "k"), "float32"), w: R.Tensor(("k", "m"), "float32")): …
//
// A function `pattern` or `pattern_NAME` is a pattern: its parameters match any value of their
// type, its symbols any size. Its replacement is `replacement` or `replacement_NAME`, whose
// parameters are some of the pattern's, by name; or it has none, and its attribute `Composite`
// makes it a group (fuse_by_pattern.h). Other functions are for replacements to call, and private.
#pragma once

#include "passes/graph/rewrite_patterns.h"

namespace repose {

struct PatternRules {
  std::vector<PatternRule> rules;  // in the order of the text
  Module helpers;                  // what replacements call
};

// `module` is the text that was read. An error for each thing that is no pattern.
Result<PatternRules> read_pattern_rules(const Module& module, const OpTable& ops);

// Applies them (rewrite_patterns). An error if the module has another function of a helper's name.
Result<Module> apply_pattern_rules(const Module& module, const OpTable& ops,
                                   const PatternRules& rules);

// The rules that the module itself has, private functions called as above, applied to the others;
// they are dropped. Without such functions, the module as it is.
Result<Module> apply_own_rules(const Module& module, const OpTable& ops);

}  // namespace repose

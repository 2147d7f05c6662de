// Makes private functions of what patterns match.
#pragma once

#include "passes/graph/pattern.h"
#include "passes/graph/rewrite_patterns.h"

namespace repose {

// A name such as "dnnl.matmul_relu", and what it is.
struct FusionPattern {
  std::string name;
  PatternGraph pattern;
  // Whether a match is wanted; empty: each is. It has the values of `any` nodes.
  std::function<bool(const PatternMatch& match)> wants;
};

// Each match becomes a call of a private function with the attributes `Composite`, its name, and
// `Primitive`: a group that stays together (is_group). Patterns that come first are matched first.
//
// before:  y = matmul(x, w); z = nn.relu(y)
// after:   z = cls.dnnl_matmul_relu(x, w)
//          private, Composite="dnnl.matmul_relu": def dnnl_matmul_relu(x, w): nn.relu(matmul(x, w))
// requires: normal form
// ensures: the same results; equal groups are one function; constants of more than one element are
//          arguments, and so are symbols that no argument's type binds
Result<Module> fuse_by_pattern(const Module& module, const OpTable& ops,
                               const std::vector<FusionPattern>& patterns);

// The rule that does this, for rewrite_patterns.
PatternRule fusion_rule(const OpTable& ops, const FusionPattern& pattern);

// An identifier made of a composite's name.
std::string group_function_name(const std::string& composite);

}  // namespace repose

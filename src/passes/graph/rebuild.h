// Builds the graph functions of a module anew, call by call: what passes that change types or
// insert bindings share.
#pragma once

#include <functional>

#include "ir/builder.h"

namespace repose {

// Gets a call whose operands are those of the new function. Gives what to bind in its place
// (normalised by the Builder), or null to keep the call. Bindings that it emits stand before.
using CallRewrite = std::function<Result<graph::Value>(
    Builder& builder, const graph::CallNode& call, const Span& span)>;

// Every graph function; types are inferred again, checks placed where they are needed. Variables
// are new, parameters stay. What is another variable, or a constant, takes the variable's place.
Result<Module> rebuild_functions(const Module& module, const OpTable& ops,
                                 const CallRewrite& rewrite);

// What stands in the new function for what the old one has.
struct Rebuilding {
  Builder& builder;
  graph::ValueMap& values;
  VarMap& symbols;

  graph::Value now(const graph::Value& old) const {
    return graph::substitute(old, values, symbols);
  }
  Type now(const Type& old) const { return substitute(old, symbols); }
};

// What takes the place of a binding.
struct NewBinding {
  graph::Value value;                       // null: the binding itself
  bool is_left_out = false;                 // it is bound later, or by nobody
  std::vector<graph::Binding> followed_by;  // of the old function, which were left out before
};

struct RebuildHooks {
  CallRewrite call;
  // Gets each binding of the old function, those of branches and closures too, but neither `if` nor
  // closures themselves.
  std::function<Result<NewBinding>(Rebuilding&, const graph::Binding&)> binding;
  // Gets each function of the module before it is built. What it puts in `values` for a parameter
  // takes the parameter's place, and so do `symbols`; it may change the attributes.
  std::function<Result<void>(Rebuilding&, const std::string& name, const graph::Function&,
                             FunctionOptions&)>
      begin;
};
Result<Module> rebuild_functions(const Module& module, const OpTable& ops,
                                 const RebuildHooks& hooks);

}  // namespace repose

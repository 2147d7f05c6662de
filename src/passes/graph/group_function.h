// Moves bindings into a private function of their own.
#pragma once

#include <span>

#include "ir/builder.h"

namespace repose {

struct GroupCall {
  graph::Function function;
  std::vector<graph::Value> args;  // with what to call it, in the function around
};

// A function of `bindings`, in order, that gives `outputs`: one value, or a tuple. What they read
// from outside are its parameters, but for constants of one element, and so are the symbols that no
// such parameter binds. `values` and `symbols` say what stands outside for what the bindings
// mention; `facts` are known there. The function is null where there is no such function: a size is
// known inside only.
Result<GroupCall> make_group(const Module& module, const OpTable& ops,
                             std::span<const graph::Binding* const> bindings,
                             const std::vector<graph::Variable>& outputs,
                             const graph::ValueMap& values, const VarMap& symbols,
                             const Facts& facts, const std::string& name, Attrs attrs);

// Adds it under `hint`, or the name of an equal private function with equal attributes.
std::string add_group(Module& module, const std::string& hint, const graph::Function& f);

}  // namespace repose

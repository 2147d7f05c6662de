// Puts constants in place of parameters.
//
// before:  def main(x: Tensor((n, k)), w: Tensor((k, m))): …
// after:   def main(x: Tensor((n, 3))): …       # w is R.const(…) of shape (3, 5)
// requires: normal form
// ensures: the same results as a call of the function with these arguments; symbols that their
//          shapes bind are numbers
#pragma once

#include <map>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// `params`: arrays by the names of parameters of the graph function `function`. An error: there is
// no such function or parameter, an array is not of the parameter's type, other functions call it.
Result<Module> bind_params(const Module& module, const OpTable& ops, const std::string& function,
                           const std::map<std::string, Array>& params);

}  // namespace repose

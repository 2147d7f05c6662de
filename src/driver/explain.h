// Why a dimension is what it is: the operators and facts that it comes from, under the names of the
// model.
#pragma once

#include <string>
#include <vector>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// A statement, and what it follows from.
struct Derivation {
  std::string text;
  std::vector<Derivation> from;
};

// One line a statement, what it follows from indented by two below it.
std::string to_string(const Derivation& derivation);

// `query` is OUTPUT:AXIS, where OUTPUT is the name of an output or its position, or the name of a
// symbol (of a dimension of an input, or bound inside). `module` is as it was read: no pass has
// run. Errors: bad_usage where the query names nothing.
Result<Derivation> explain(const Module& module, const OpTable& ops, const std::string& function,
                           const std::string& query);

// A condition that a compiled function still tests when it runs.
struct RunTimeCheck {
  std::string place;      // the node or line that needs it; "entry"
  std::string condition;  // over the model's names
  std::string reason;     // why it could not be proven
};

// The checks of a graph function, in order: what its signature declares (besides ranks and dtypes),
// then those of its body; after the pipeline these are the ones that a compiled function makes.
// Left out: that sizes from data aren't negative, and subscripts from data. A reason names values
// for which the condition fails, where some are found.
Result<std::vector<RunTimeCheck>> run_time_checks(const std::string& name,
                                                  const graph::Function& f);

}  // namespace repose

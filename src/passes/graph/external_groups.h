// Hands groups over to external libraries.
#pragma once

#include <functional>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Calls of composite functions of one back end (what stands before the first `.` of their name)
// that feed each other become one private function, which calls them and has the attribute
// `Composite`, "BACKEND.group".
//
// before:  y = cls.dnnl_matmul(x, w); z = cls.dnnl_relu(y)
// after:   z = cls.dnnl_group(x, w)          # it calls the two
// requires: normal form
// ensures: the same results. A call joins the group of an operand where nothing else lies between
//          them: what the group needs never depends on what it gives. Groups don't reach beyond
//          checks, casts, impure calls and branches.
Result<Module> merge_composite(const Module& module, const OpTable& ops);

// Gets a composite function of the module. Gives the name of the packed function that does its
// work; nothing: it stays.
using ExternalCodegen = std::function<Result<std::optional<std::string>>(
    const std::string& composite, const graph::Function& function)>;

// Calls of composite functions become calls of packed functions, which write their results into
// given memory: the host registers them (docs/ir.md, "Calls").
//
// before:  z = cls.blas_matmul(x, w)         # Composite="blas.matmul"
// after:   z = R.call_dps_packed("blas.matmul", (x, w), out_sinfo=R.Tensor((n, m), "float32"))
// requires: normal form
// ensures: arguments in the order of the function's parameters, the result last. Without `codegen`
//          the packed function has the name of the composite, if that has a `.`: others are groups
//          for this compiler. Calls whose result is no tensor of a known shape stay.
Result<Module> call_external_groups(const Module& module, const OpTable& ops,
                                    const ExternalCodegen& codegen = {});

}  // namespace repose

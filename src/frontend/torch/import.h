// Imports an exported PyTorch program: it becomes one graph function, in which every dimension is
// an expression over the symbols of the inputs' dimensions.
//
//   - Parameters, buffers and constants are constants of the function. A buffer that is mutated is
//   a
//     parameter, behind the user's inputs, and its new value a result, behind the user's outputs;
//     so is the new value of an input that is mutated. Such a result may be given the memory of
//     what it replaces (`donate`).
//   - Symbols are called as PyTorch calls them ("s77"), also `<input>_<axis>`, and have the ranges
//     of `range_constraints`; a lower bound of 2 is PyTorch's "not specialized", which lets 0 and 1
//     through. Symbols that no input has (`u0`) are bound where a value first has them.
//   - An input that is an integer is a tensor of rank 0. Outputs that are None are left out.
//   - Attributes of the function are those of import_onnx.
#pragma once

#include "frontend/common/import_options.h"
#include "frontend/torch/program.h"
#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Nothing throws. Errors carry the node that they are about; all operators that are not supported
// are reported at once (unsupported_operator). The program's bytes have to outlive the module
// unless the program owns them: weights are not copied where they are compact.
Result<Module> import_torch(const torch::Program& program, const OpTable& ops,
                            const ImportOptions& options = {}, Diagnostics* warnings = nullptr);

}  // namespace repose

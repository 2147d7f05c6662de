// Imports an ONNX model: its main graph becomes one graph function, in which every dimension is an
// expression over the symbols of the inputs' dimensions. Differences between operator sets 1 to 28
// end here.
//
//   - Inputs that have an initializer of the same name are constants, not parameters. Inputs that
//     nothing uses stay parameters.
//   - Input dimensions of one name are one symbol. A name such as "past + new" over other names is
//     an expression; any other text is a name as it stands. An unnamed dimension, or one called
//     `?`, is called `<input>_<axis>`. Two symbols that an operator needs equal become one, which
//     the entry of the function checks.
//   - Names of dimensions on outputs and inner values are hints: where they are refuted, that is a
//     warning.
//   - Functions of the model are inlined, `If` with a known condition too. Another one becomes an
//     `if`; where its branches differ in rank, what follows stands in both, and a branch that is
//     wrong for all values of the symbols is one that a check says isn't taken. `Loop`, `Scan` and
//     recurrent operators become loops.
//   - Attributes of the function keep the original names: `input_names`, `output_names` (lists) and
//     `symbol_names` (a dictionary from symbols); `symbol_aliases` says which names were made one,
//     and by which node (a dictionary from names to [name that stays, node]).
#pragma once

#include "frontend/common/import_options.h"
#include "frontend/onnx/model.h"
#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Nothing throws. Errors carry the node that they are about; all operators that are not supported
// are reported at once (unsupported_operator). The model's bytes have to outlive the module unless
// the model owns them: weights are not copied.
Result<Module> import_onnx(const onnx::Model& model, const OpTable& ops,
                           const ImportOptions& options = {}, Diagnostics* warnings = nullptr);

}  // namespace repose

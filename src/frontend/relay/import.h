// Imports a text of Relay: each of its functions becomes a function of the graph.
//
//   - Each `?` of a parameter's type is a symbol of its own, called `<parameter>_<axis>`; a name in
//     its place is one symbol wherever it stands. Two that an operator needs equal become one,
//     which the entry of the function checks. The sizes of all else follow from the operators.
//   - Types that the text states for results and variables are checked: sizes that it gives have to
//     be so, a `?` may be anything.
//   - Bindings `%0 = …;` and `let` are bindings, evaluated where they stand; `fn` is a closure.
//   - `main` is public; where there is none, every function is.
#pragma once

#include "base/source.h"
#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// Errors carry the place in the text. Functions that call themselves, constants of the metadata,
// `match`, references and types of the program's own are refused (unsupported_feature), as are
// operators that the table has not (unsupported_operator). `unify`: symbols that an operator needs
// equal become one; else a check is placed.
Result<Module> import_relay(const Ref<const Source>& text, const OpTable& ops, bool unify = true);

}  // namespace repose

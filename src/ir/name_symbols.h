// Gives the symbols of a graph function distinct names.
#pragma once

#include <string>
#include <unordered_map>

#include "ir/graph.h"

namespace repose {

// before: d (of a parameter); o: R.Tensor((d', 4)) = …, where d' is another symbol called `d`
// after:  d;                  o: R.Tensor((d_1, 4)) = …
//
// `wanted`: other names for symbols that the body binds. Symbols of parameters keep theirs, by
// which attributes know them; closures are left as they are. The same pointer if nothing changed.
graph::Function name_symbols(const graph::Function& f,
                             const std::unordered_map<const VarNode*, std::string>& wanted);

}  // namespace repose

// What a host function does first: its inputs' dimensions become symbols, or are compared with what
// the types say.
#pragma once

#include "host/interface.h"
#include "host/statements.h"

namespace repose {

// Binds the symbols of the interface; checks their ranges, all other dimensions, and strides that
// are expressions (the runtime compares constant ones). Messages name inputs as the model does.
void check_inputs(Statements& out, const FunctionInterface& interface);

// Checks the declared range of a symbol that is bound; `what` names it in the message.
void check_range(Statements& out, const SymbolInfo& s, const std::string& what);

// The symbol of the interface; null where `v` is none of them.
const SymbolInfo* find_symbol(const FunctionInterface& interface, const VarNode* v);

// Makes the check that `b` binds. The message says which node it is about, and what the dimensions
// are that decide it.
void add_check(Statements& out, const FunctionInterface& interface, const graph::Binding& b);
// The same for a binding of head_of(f): a check, or the name of a size.
void add_head(Statements& out, const FunctionInterface& interface, const graph::Binding& b);

}  // namespace repose

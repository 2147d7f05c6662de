// Reads a text of Relay.
#pragma once

#include "base/diagnostic.h"
#include "frontend/relay/syntax.h"

namespace repose::relay {

// A module of `def @f(…) { … }`, or one expression, which becomes the function `main`; variables
// that `free_var` declares are parameters in front of its own.
//
// Errors have the place: syntax; nesting_too_deep (beyond 256); unsupported_feature for what Repose
// has no meaning for: types of the program's own, `match`, references, constants of the metadata.
Result<Program> parse_program(const Ref<const Source>& text);

// Does a text look like one of Relay?
bool looks_like_relay(std::string_view start);

}  // namespace repose::relay

// Names that a text takes from the program around it, as TVMScript takes them from Python's scope.
#pragma once

#include "script/parser.h"
#include "script/read_context.h"

namespace repose::script {

// Puts what `captured` says of each name that the text does not bind in the place of that name:
// literals and lists of them. Arrays, which R.const takes, are kept beside the tree. Symbols stay
// names and are added to `symbols`. Reports what cannot stand in a text.
void replace_captured_names(ReadContext& context, const CapturedNames& captured,
                            std::vector<std::string>* symbols);

}  // namespace repose::script

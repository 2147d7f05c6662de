// Texts in the messages of programs that run.
#pragma once

#include <string>

#include "base/source.h"

namespace repose {

// With braces that stand for themselves: in messages, {0} is a value.
std::string escaped(const std::string& text);
// A name in backquotes, escaped.
std::string quoted(const std::string& name);

// Where something comes from, without the folder that its file lies in: an artifact's bytes don't
// depend on that.
std::string place_text(const Span& span);

}  // namespace repose

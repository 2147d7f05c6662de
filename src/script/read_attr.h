// Reads attributes: dictionaries of functions and blocks, arguments of operators.
#pragma once

#include <optional>

#include "ir/attrs.h"
#include "script/read_expr.h"

namespace repose::script {

// An attribute's value: literals, strings, lists, dictionaries, dtypes, expressions.
std::optional<Attr> read_attr(ReadContext& context, ExprReader& reader, const Node& node);
// The entries of a dictionary with string keys.
bool read_attr_dict(ReadContext& context, ExprReader& reader, const Node& node, Attrs* attrs);

}  // namespace repose::script

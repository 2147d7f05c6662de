// Numbers of the text: with any sign, `inf` and `nan`.
#pragma once

#include <optional>

#include "expr/expr.h"
#include "expr/scalar.h"
#include "script/read_context.h"

namespace repose::script {

// The number below signs, and whether they are negative together.
const Node& literal_of(const Node& node, bool* negative);
bool is_literal(const Node& node);  // a number with any sign
bool is_integer_literal(const Node& node);
// The value of an integer literal, its sign included; false: it needs more than 64 bits (unsigned
// values above the signed range give their bits and *is_unsigned).
bool integer_value(const Node& node, int64_t* value, bool* is_unsigned);
double real_value(const Node& node);
std::optional<int64_t> constant_integer(const Node& node);  // a literal

// A literal as a constant of the dtype's element; without one an index or a float32. Null: an error
// was reported.
Expr make_literal(ReadContext& context, const Node& node, DType dtype);
// A literal of any kind as a constant of a float dtype. Null: it is finite, but none of the dtype's
// values is near it; an error was reported.
Expr make_float_literal(ReadContext& context, const Node& node, DType dtype);

// The value of a constant expression; nothing: it is another expression.
std::optional<Scalar> scalar_of(const Expr& e);

}  // namespace repose::script

// Reads modules from text (docs/ir.md is the grammar).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "ir/module.h"
#include "ir/op.h"

namespace repose {

// What a name stands for outside of a text: `value`, a number, a string, None, a list of these or
// (an expression) a symbol; or `array`. `refusal`: what else it is, "a `function`".
struct Captured {
  Attr value;
  Array array;
  std::string refusal;
};
// Of a name that the text does not bind, "n" or "config.n"; nothing: there is no such name.
using CapturedNames = std::function<std::optional<Captured>(const std::string& name)>;

struct ParseOptions {
  // The array of R.weight(name, …), or null. What read_safetensors gives.
  std::function<Array(std::string_view name)> weights;
  Diagnostics* warnings = nullptr;  // gets what is not an error
  CapturedNames captured;           // of the program around the text; empty: there is none
};

// A module class, or functions alone, which make a module named "Module". Types are inferred and
// checked while reading; up to 100 errors are reported at once. Nesting is limited to 256.
Result<Module> parse_module(const Ref<const Source>& text, const OpTable& ops,
                            const ParseOptions& options = {});

// What a symbol's name stands for; null: it is unknown.
using SymbolLookup = std::function<Expr(std::string_view name)>;
// A shape expression such as "past + new", an index (or a condition) over the symbols.
Result<Expr> parse_expr(std::string_view text, const SymbolLookup& symbols);

}  // namespace repose

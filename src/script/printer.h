// Prints IR as text that parses back equal (docs/ir.md is the grammar).
#pragma once

#include <functional>
#include <string>

#include "ir/module.h"

namespace repose {

struct PrintOptions {
  // Constants of more elements are printed by name, as R.weight("name", type).
  int64_t max_inline_elements = 64;
  // Called once for each array that is printed by name; names are unique in one text.
  std::function<void(const std::string& name, const Array& data)> on_weight;
};

// Variables, symbols and buffers get unique names: their own where that is a free identifier, else
// a changed one (`x_1`). Nothing is shadowed.
std::string print(const Module& module, const PrintOptions& options = {});
std::string print(const graph::Function& f, const std::string& name = "main",
                  const PrintOptions& options = {});
std::string print(const tir::PrimFunc& f, const std::string& name = "main",
                  const PrintOptions& options = {});
std::string print(const tir::Stmt& s, const PrintOptions& options = {});

}  // namespace repose

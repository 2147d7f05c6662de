// What a compiled graph function looks like from outside: the contents of the model's tables.
#pragma once

#include <string>
#include <vector>

#include "ir/function_facts.h"
#include "ir/module.h"

namespace repose {

struct ValueInfo {
  std::string name;  // as in the model
  DType dtype;
  Dims dims;                           // constants, or expressions over the function's symbols
  std::vector<std::string> dim_texts;  // as written in messages: original symbol names
  Dims strides;                        // empty: compact
  int reuses_input = -1;               // of an output: the input whose memory it may be given
};

struct SymbolInfo {
  std::string name;  // as in the model
  Var symbol;
  Interval range;
  int input = 0, axis = 0;  // where it is bound
};

struct FunctionInterface {
  std::string name;
  std::vector<ValueInfo> inputs, outputs;
  std::vector<SymbolInfo> symbols;  // in the order of binding
  std::vector<SizeName> sizes;      // names at the head of the function, in order
};

// What the entry of the function tests of a symbol: that it isn't negative goes without saying.
Expr range_condition(const SymbolInfo& symbol);

// Inputs, outputs and symbols of a graph function. Original names come from its attributes
// (`input_names`, `output_names`: lists; `symbol_names`: dictionary from symbol to original name);
// `donate` says which outputs may be given the memory of which inputs.
// An error where a parameter or result is no tensor (tuples of tensors are flattened in results) of
// known shape.
Result<FunctionInterface> function_interface(const std::string& name, const graph::Function& f);

// The expression with symbols under their original names.
std::string dim_text(const Expr& e, const std::vector<SymbolInfo>& symbols);

}  // namespace repose

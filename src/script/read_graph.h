// Reads graph functions (`@R.function`) from syntax trees, through a Builder.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "ir/builder.h"
#include "script/parser.h"
#include "script/read_expr.h"
#include "script/syntax.h"

namespace repose::script {

// What the functions of one file share.
struct ModuleReader {
  ReadContext& context;
  Builder& builder;
  const ParseOptions& options;
  std::string module_name;
  std::vector<std::string> symbols;        // TypeVars of the file
  std::map<std::string, bool> globals;     // every name of the module; true: a tensor program
  std::map<std::string, Type> signatures;  // of graph functions and externs, where they are known
  std::set<std::string> poisoned;          // definitions that could not be read
  std::map<std::string, bool> tir_var_calls;  // programs called so far; true: with tir_vars=
};

// A graph function whose parameters and result type have been read, and whose body may be.
class GraphFunctionReader {
 public:
  GraphFunctionReader(ModuleReader& module, const Statement& def);
  ~GraphFunctionReader();

  // False: errors were reported. Afterwards type() is the function's, null without a return
  // annotation.
  bool read_signature();
  Type type() const;
  const std::vector<graph::Variable>& params() const;
  // Adds the function to the builder's module.
  bool read_body();

 private:
  class Reader;
  std::unique_ptr<Reader> reader_;
};

}  // namespace repose::script

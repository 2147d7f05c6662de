// What the readers of one file's functions share.
#pragma once

#include <map>
#include <set>

#include "ir/builder.h"
#include "script/parser.h"
#include "script/read_context.h"

namespace repose::script {

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

}  // namespace repose::script

// Reads identities.txt: statements about the shapes of real models.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "expr/facts.h"

namespace repose {

struct Identity {
  std::string family;
  std::string operator_name;  // the operator or model part that it is about
  std::string text;           // of symbols, facts and statement
  int line = 0;
  std::vector<Var> symbols;      // in order of first occurrence
  std::vector<Interval> ranges;  // of the symbols
  std::vector<Expr> conditions;  // facts that aren't ranges
  Expr statement;
  bool holds = false;  // for every assignment; else for none

  Facts facts() const;
};

// Throws std::runtime_error with the line for what can't be read.
std::vector<Identity> read_identities(const std::string& path);

}  // namespace repose

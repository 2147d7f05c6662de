// A module: graph functions, tensor programs and externs by name.
#pragma once

#include <map>
#include <string>
#include <variant>

#include "ir/graph.h"
#include "ir/tir.h"

namespace repose {

struct ExternFunc {
  std::string symbol;
  Type type;
  bool operator==(const ExternFunc&) const = default;  // the type by identity
};
using Definition = std::variant<graph::Function, tir::PrimFunc, ExternFunc>;

// A value type: copying shares the definitions. Order is that of insertion.
class Module {
 public:
  const Definition* find(std::string_view name) const;          // null if absent
  graph::Function graph_function(std::string_view name) const;  // null if absent or another kind
  tir::PrimFunc prim_func(std::string_view name) const;         // null if absent or another kind
  void set(const std::string& name, Definition definition);     // adds or replaces
  void erase(std::string_view name);
  // Adds a tensor program under `hint`, or `hint_1`, … where that is taken; the name of an equal
  // private program (structural_equal) if the module has one.
  std::string add_prim_func(const std::string& hint, tir::PrimFunc f);
  // `hint`, or the first free `hint_1`, `hint_2`, …
  std::string fresh_name(const std::string& hint);
  const std::vector<std::string>& names() const { return names_; }

  std::string name = "Module";
  Attrs attrs;
  Attrs global_infos;  // vdevices

 private:
  void forget_program(const std::string& name, const Definition& d);

  std::vector<std::string> names_;
  std::map<std::string, Definition, std::less<>> definitions_;
  std::multimap<uint64_t, std::string> programs_by_hash_;
  std::map<std::string, int> taken_;  // by hint: the numbers up to there
};

}  // namespace repose

// Modules: definitions by name.
#include "ir/module.h"

#include <algorithm>

#include "ir/structural.h"

namespace repose {

namespace {

const tir::PrimFunc* private_program(const Definition& d) {
  const auto* f = std::get_if<tir::PrimFunc>(&d);
  return f && (*f)->is_private ? f : nullptr;
}

}  // namespace

const Definition* Module::find(std::string_view name) const {
  auto it = definitions_.find(name);
  return it == definitions_.end() ? nullptr : &it->second;
}

graph::Function Module::graph_function(std::string_view name) const {
  const Definition* d = find(name);
  const auto* f = d ? std::get_if<graph::Function>(d) : nullptr;
  return f ? *f : nullptr;
}

tir::PrimFunc Module::prim_func(std::string_view name) const {
  const Definition* d = find(name);
  const auto* f = d ? std::get_if<tir::PrimFunc>(d) : nullptr;
  return f ? *f : nullptr;
}

void Module::forget_program(const std::string& name, const Definition& d) {
  const tir::PrimFunc* f = private_program(d);
  if (!f) return;
  auto [first, last] = programs_by_hash_.equal_range(structural_hash(*f));
  for (auto it = first; it != last; ++it) {
    if (it->second == name) {
      programs_by_hash_.erase(it);
      return;
    }
  }
}

void Module::set(const std::string& name, Definition definition) {
  if (auto it = definitions_.find(name); it != definitions_.end()) {
    if (it->second == definition) return;
    forget_program(name, it->second);
    it->second = std::move(definition);
  } else {
    definitions_.emplace(name, std::move(definition));
    names_.push_back(name);
  }
  if (const tir::PrimFunc* f = private_program(definitions_.find(name)->second)) {
    programs_by_hash_.emplace(structural_hash(*f), name);
  }
}

void Module::erase(std::string_view name) {
  auto it = definitions_.find(name);
  if (it == definitions_.end()) return;
  forget_program(it->first, it->second);
  std::erase(names_, it->first);
  definitions_.erase(it);
  taken_.clear();
}

std::string Module::add_prim_func(const std::string& hint, tir::PrimFunc f) {
  if (f->is_private) {
    auto [first, last] = programs_by_hash_.equal_range(structural_hash(f));
    for (auto it = first; it != last; ++it) {
      if (structural_equal(prim_func(it->second), f)) return it->second;
    }
  }
  std::string name = fresh_name(hint);
  set(name, std::move(f));
  return name;
}

std::string Module::fresh_name(const std::string& hint) {
  if (!definitions_.count(hint)) return hint;
  for (int& taken = taken_[hint];; ++taken) {
    std::string name = fmt::format("{}_{}", hint, taken + 1);
    if (!definitions_.count(name)) return name;
  }
}

}  // namespace repose

// Names of a program that stand for the same memory: views, and results of operators in place.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace repose::torch {

// Which names stand for parts of one memory, and which of them are out of date.
class SharedMemory {
 public:
  // `result` is a view of `base`; `is_whole`: all of it, in its form.
  void add_view(const std::string& base, const std::string& result, bool is_whole) {
    const size_t memory = memory_of(base);
    memories_[result] = memory;
    members_[memory].push_back(result);
    if (is_whole) same_[result] = same_name(base);
  }
  // The names for what is written when `name` is: all others of the memory are out of date.
  std::vector<std::string> write(const std::string& name) {
    const std::string written = same_name(name);
    std::vector<std::string> names;
    memory_of(name);
    for (const std::string& member : members_[memories_[name]]) {
      if (same_name(member) == written) {
        names.push_back(member);
      } else {
        stale_.insert(member);
      }
    }
    return names;
  }
  bool is_stale(const std::string& name) const { return stale_.contains(name); }

 private:
  size_t memory_of(const std::string& name) {
    auto [it, is_new] = memories_.emplace(name, members_.size());
    if (is_new) members_.push_back({name});
    return it->second;
  }
  std::string same_name(const std::string& name) const {
    auto it = same_.find(name);
    return it == same_.end() ? name : it->second;
  }

  std::unordered_map<std::string, size_t> memories_;
  std::unordered_map<std::string, std::string> same_;
  std::vector<std::vector<std::string>> members_;
  std::unordered_set<std::string> stale_;
};

}  // namespace repose::torch

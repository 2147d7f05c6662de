// What names stand for, in nested scopes.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace repose::script {

template <class Entry>
class Scopes {
 public:
  using Scope = std::map<std::string, Entry>;

  Scopes() { push(); }

  void push() { scopes_.emplace_back(); }
  Scope pop() {
    Scope scope = std::move(scopes_.back());
    scopes_.pop_back();
    return scope;
  }
  Scope& outermost() { return scopes_.front(); }
  Scope& innermost() { return scopes_.back(); }

  // The innermost entry of this name, or null.
  const Entry* find(const std::string& name) const {
    for (size_t i = scopes_.size(); i-- > 0;) {
      auto it = scopes_[i].find(name);
      if (it != scopes_[i].end()) return &it->second;
    }
    return nullptr;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> names;
    visit([&](const std::string& name, const Entry&) { names.push_back(name); });
    return names;
  }
  template <class F>
  void visit(const F& f) const {
    for (const Scope& scope : scopes_) {
      for (const auto& [name, entry] : scope) f(name, entry);
    }
  }

 private:
  std::vector<Scope> scopes_;
};

}  // namespace repose::script

// Gives the symbols of a graph function distinct names.
#include "ir/name_symbols.h"

#include <unordered_set>

namespace repose {

namespace {

class Namer {
 public:
  explicit Namer(const std::unordered_map<const VarNode*, std::string>& wanted) : wanted_(wanted) {}

  void keep(const Type& t) {
    if (!t) return;
    for (const Var& v : free_vars(t)) {
      if (seen_.insert(v.get()).second) taken_.insert(v->name);
    }
  }

  void name(const Type& t) {
    if (!t) return;
    for (const Var& v : binding_symbols(t)) {
      if (!seen_.insert(v.get()).second) continue;
      auto hint = wanted_.find(v.get());
      const std::string distinct = fresh(hint == wanted_.end() ? v->name : hint->second);
      if (distinct != v->name) renamed.emplace(v.get(), make_var(distinct, v->dtype, v->role));
    }
  }

  VarMap renamed;

 private:
  std::string fresh(const std::string& hint) {
    std::string name = hint;
    for (int i = 1; !taken_.insert(name).second; ++i) name = fmt::format("{}_{}", hint, i);
    return name;
  }

  const std::unordered_map<const VarNode*, std::string>& wanted_;
  std::unordered_set<const VarNode*> seen_;
  std::unordered_set<std::string> taken_;
};

}  // namespace

graph::Function name_symbols(const graph::Function& f,
                             const std::unordered_map<const VarNode*, std::string>& wanted) {
  Namer namer(wanted);
  for (const graph::Variable& p : f->params) namer.keep(p->type);
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
      for (const graph::Variable& p : closure->params) namer.keep(p->type);
    }
    namer.name(b.var->type);
  });
  namer.name(f->result_type);
  return namer.renamed.empty() ? f : graph::substitute(f, {}, namer.renamed);
}

}  // namespace repose

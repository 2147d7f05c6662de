// The memory of a function as formulas that people read.
#include "driver/peak_text.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "expr/structural_key.h"

namespace repose {

namespace {

constexpr size_t min_part_nodes = 6;  // less is as short as a name

// The operands of nested operations of one kind.
void flatten(ExprKind kind, const Expr& e, std::vector<Expr>& operands) {
  if (e->kind != kind) return operands.push_back(e);
  for (const Expr& arg : e->args) flatten(kind, arg, operands);
}

// An addend as a number times something.
std::pair<Expr, int64_t> scaled(const Expr& e) {
  int64_t factor = 1;
  if (e->kind == ExprKind::mul && as_const_int(e->args[1], &factor)) return {e->args[0], factor};
  return {e, 1};
}

class PeakPrinter {
 public:
  explicit PeakPrinter(const CompiledFunction& f) : f_(f) {
    for (const Region& r : f.plan.regions) {
      std::vector<Expr> placements;
      flatten(ExprKind::min, r.bytes, placements);
      regions_.emplace_back();
      for (const Expr& placement : placements) {
        std::vector<Expr> terms;
        flatten(ExprKind::max, placement, terms);
        for (const Expr& term : terms) count(term);
        regions_.back().push_back(std::move(terms));
      }
    }
    for (const SymbolInfo& s : f.host.interface.symbols) taken_.insert(s.name);
    for (const auto& [name, value] : f.plan.names) taken_.insert(name->name);
  }

  PeakText run() {
    PeakText result;
    for (const auto& placements : regions_) {
      std::vector<std::string> texts;
      for (const std::vector<Expr>& terms : placements) {
        std::vector<std::string> of_terms;
        for (const Expr& term : terms) of_terms.push_back(text(named(term)));
        texts.push_back(call("T.max", of_terms));
      }
      result.formulas.push_back(call("T.min", texts));
    }
    result.parts = std::move(parts_);
    return result;
  }

 private:
  static std::string call(const char* function, const std::vector<std::string>& operands) {
    if (operands.size() == 1) return operands[0];
    return fmt::format("{}({})", function, fmt::join(operands, ", "));
  }

  std::string text(const Expr& e) const { return dim_text(e, f_.host.interface.symbols); }

  void count(const Expr& term) {
    std::vector<Expr> addends;
    flatten(ExprKind::add, term, addends);
    for (const Expr& addend : addends) ++uses_[scaled(addend).first];
  }

  // The term with names for the parts that others have too.
  Expr named(const Expr& term) {
    std::vector<Expr> addends;
    flatten(ExprKind::add, term, addends);
    Expr sum;
    for (const Expr& addend : addends) {
      const auto [part, factor] = scaled(addend);
      const bool shared = uses_.at(part) > 1 && tree_size(part, min_part_nodes) == min_part_nodes;
      const Expr named = !shared ? addend : factor == 1 ? name_of(part) : name_of(part) * factor;
      sum = sum ? sum + named : named;
    }
    return sum;
  }

  Expr name_of(const Expr& part) {
    Expr& name = names_[part];
    if (name) return name;
    std::string chosen;
    do chosen = fmt::format("part_{}", ++num_parts_);
    while (!taken_.insert(chosen).second);
    parts_.emplace_back(chosen, text(part));
    return name = make_var(chosen, dtypes::index);
  }

  const CompiledFunction& f_;
  std::vector<std::vector<std::vector<Expr>>> regions_;  // placements, terms
  std::unordered_map<Expr, int, StructuralHash, StructuralEqual> uses_;
  std::unordered_map<Expr, Expr, StructuralHash, StructuralEqual> names_;
  std::unordered_set<std::string> taken_;
  std::vector<std::pair<std::string, std::string>> parts_;
  int num_parts_ = 0;
};

}  // namespace

PeakText peak_text(const CompiledFunction& f) {
  return PeakPrinter(f).run();
}

}  // namespace repose

// What is wrong with the attributes of a graph function (G15 of the verifier).
#include "ir/verify_attributes.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "expr/interval.h"
#include "ir/function_facts.h"

namespace repose {

namespace {

// The number of results, tuples flattened; nothing where a type doesn't tell.
std::optional<size_t> count_results(const Type& t) {
  if (!t || t->kind == TypeKind::any) return std::nullopt;
  const auto* tuple = as<TupleTypeNode>(t);
  if (!tuple) return 1;
  size_t count = 0;
  for (const Type& field : tuple->fields) {
    const std::optional<size_t> inner = count_results(field);
    if (!inner) return std::nullopt;
    count += *inner;
  }
  return count;
}

class AttributeVerifier {
 public:
  AttributeVerifier(const std::string& name, const graph::FunctionNode& f, Span span)
      : name_(name), f_(f), span_(std::move(span)) {
    for (const graph::Variable& p : f.params) {
      if (!p->type) continue;
      for (const Var& v : free_vars(p->type)) symbols_.emplace(v->name, v->role);
    }
  }

  Diagnostics run() {
    for (const char* key : range_attributes) check_limits(key);
    for (const auto& [symbol, role] : symbols_) check_range(symbol, role);
    check_symbol_names();
    check_names("input_names", f_.params.size(), "parameters");
    check_names("output_names", count_results(f_.result_type), "results");
    const Attr* pure = f_.attrs.find("relax.force_pure");
    const int64_t* number = pure ? pure->as_int() : nullptr;
    if (pure && !pure->is_none() && !pure->as_bool() && !(number && (*number == 0 || *number == 1)))
      report(DiagnosticKind::bad_attribute, "`relax.force_pure` is no bool");
    return std::move(problems_);
  }

 private:
  template <class... Args>
  void report(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(
        error(kind, span_, "`{}`: {}", name_, fmt::format(text, std::forward<Args>(args)...)));
  }

  // Calls `entry` for the entries of a dictionary attribute whose keys are symbols of the
  // parameters.
  template <class Entry>
  void each_symbol(const char* key, const char* kind, const Entry& entry) {
    const Attr* attr = f_.attrs.find(key);
    if (!attr || attr->is_none()) return;
    if (!attr->as_dict()) {
      return report(DiagnosticKind::bad_attribute, "`{}` is no dictionary from symbols to {}", key,
                    kind);
    }
    std::set<std::string> seen;
    for (const auto& [symbol, value] : *attr->as_dict()) {
      const std::string* text = symbol.as_string();
      if (!text) {
        report(DiagnosticKind::bad_attribute, "a key of `{}` is no name of a symbol", key);
      } else if (!symbols_.contains(*text)) {
        report(DiagnosticKind::unknown_name,
               "`{}` names `{}`, which is no symbol here; there are {}", key, *text, known());
      } else if (!seen.insert(*text).second) {
        report(DiagnosticKind::bad_attribute, "`{}` names `{}` twice", key, *text);
      } else {
        entry(*text, value);
      }
    }
  }

  std::string known() const {
    std::string list;
    for (const auto& [symbol, role] : symbols_) {
      list += fmt::format("{}`{}`", list.empty() ? "" : ", ", symbol);
    }
    return list.empty() ? "none" : list;
  }

  void check_limits(const char* key) {
    each_symbol(key, "integers", [&](const std::string& symbol, const Attr& value) {
      if (!value.as_int()) {
        report(DiagnosticKind::bad_attribute, "`{}` of `{}` is no integer", key, symbol);
      } else if (std::string_view(key) == range_attributes[2] && *value.as_int() < 1) {
        report(DiagnosticKind::bad_range, "`{}` of `{}` is {}, expected at least 1", key, symbol,
               *value.as_int());
      }
    });
  }

  void check_range(const std::string& symbol, VarRole role) {
    const Interval range = declared_range(f_.attrs, symbol, role);
    if (!is_empty(tightened(range))) return;
    report(DiagnosticKind::bad_range, "no value of `{}` lies in its declared range", symbol);
  }

  void check_symbol_names() {
    std::map<std::string, std::string> taken;
    each_symbol("symbol_names", "strings", [&](const std::string& symbol, const Attr& value) {
      const std::string* original = value.as_string();
      if (!original) {
        report(DiagnosticKind::bad_attribute, "`symbol_names` of `{}` is no string", symbol);
      } else if (auto [it, is_new] = taken.emplace(*original, symbol); !is_new) {
        report(DiagnosticKind::bad_attribute, "`symbol_names` calls both `{}` and `{}` `{}`",
               it->second, symbol, *original);
      }
    });
  }

  // A list of names by position.
  void check_names(const char* key, std::optional<size_t> count, const char* of) {
    const Attr* attr = f_.attrs.find(key);
    if (!attr || attr->is_none()) return;
    const AttrList* list = attr->as_list();
    if (!list || !std::all_of(list->begin(), list->end(),
                              [](const Attr& a) { return a.as_string() != nullptr; })) {
      report(DiagnosticKind::bad_attribute, "`{}` is no list of strings", key);
    } else if (count && list->size() != *count) {
      report(DiagnosticKind::bad_attribute, "`{}` has {} names for the {} {}", key, list->size(),
             *count, of);
    }
  }

  const std::string& name_;
  const graph::FunctionNode& f_;
  const Span span_;
  std::map<std::string, VarRole> symbols_;
  Diagnostics problems_;
};

}  // namespace

Diagnostics attribute_problems(const std::string& name, const graph::FunctionNode& f, Span span) {
  return AttributeVerifier(name, f, std::move(span)).run();
}

}  // namespace repose

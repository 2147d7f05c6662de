// Dimensions of a model's inputs as expressions over symbols.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/diagnostic.h"
#include "expr/facts.h"
#include "frontend/common/names.h"
#include "ir/attrs.h"

namespace repose::frontend {

// A tensor that a model takes, as the model describes it.
struct ModelInput {
  struct Dimension {
    std::optional<int64_t> value = std::nullopt;  // may be negative, which is an error
    std::string text = "";                        // a name or a formula; empty or `?`: not known
  };
  std::string name;
  std::optional<std::vector<Dimension>> shape;  // nothing: of any rank
};

// The name that stands for another one, and what needs the two equal ("node `/Add`").
struct SymbolAlias {
  std::string name;
  std::string origin;
};
using SymbolAliases = std::map<std::string, SymbolAlias>;

// An expression and the range that it is declared to have.
struct DeclaredBound {
  Expr value;
  Interval range;
  std::string text;
};

class InputSymbols {
 public:
  // `dims`: declared ranges by name, or by expression. A range of one value makes the dimension a
  // constant. A name that stands alone nowhere is bound by a dimension that is linear in it, which
  // is a symbol of its own then: where a dimension is `m * 2`, that is even, and m half of it.
  // `same`: names or expressions that equal others; of two names the second stays.
  // Errors: bad_model (negative), too_large, bad_usage (`dims` or `same` names nothing), bad_range.
  static Result<InputSymbols> make(const std::vector<ModelInput>& inputs,
                                   const std::map<std::string, Interval>& dims,
                                   const std::map<std::string, std::string>& same,
                                   const SymbolAliases& aliases, Identifiers& identifiers,
                                   const Span& span);

  // The dimensions of input `i`, by its position among `inputs`.
  const std::vector<Expr>& shape(size_t i) const { return shapes_[i]; }
  // Ranges of the symbols.
  const Facts& facts() const { return facts_; }
  // Declared ranges of sums, to be checked at entry.
  const std::vector<DeclaredBound>& bounds() const { return bounds_; }
  // What a dimension's text means: a symbol, or an expression over symbols; null for any other.
  Expr meaning(std::string_view text) const;
  // The original name of a symbol; null for one that is none of these.
  const std::string* name_of(const VarNode* symbol) const;
  // symbol_names, symbol_aliases, tir_var_lower_bound, tir_var_upper_bound, tir_var_divisor.
  void describe(Attrs& attrs) const;

 private:
  struct Symbol {
    std::string name;
    Var var;
    Interval range;
  };
  // A name that is (symbol - offset) / factor.
  struct Derived {
    Var symbol;
    int64_t factor = 1, offset = 0;
    Interval range_of_symbol(const Interval& range_of_name) const;
  };
  struct Linear {
    std::string name;
    int64_t factor, offset;
  };
  std::optional<Linear> linear(std::string_view text) const;
  void bind_by_formula(std::string_view text, const SymbolAliases& aliases,
                       Identifiers& identifiers);
  Symbol* find(const ExprNode* var);
  Result<void> declare(const std::map<std::string, Interval>& dims, const SymbolAliases& aliases,
                       const Span& span);
  void check_remainders();
  void add_aliases(const std::vector<ModelInput>& inputs,
                   const std::map<std::string, std::string>& same);
  Result<void> declare_same(const std::map<std::string, std::string>& same, const Span& span);
  Diagnostic no_such_dimension(const std::string& name, const Span& span) const;
  Expr symbol(const std::string& name, const SymbolAliases& aliases, Identifiers& identifiers);

  std::vector<Symbol> symbols_;
  std::map<std::string, Expr, std::less<>> by_name_;
  std::map<std::string, Derived, std::less<>> derived_;
  std::unordered_map<const VarNode*, std::string> names_;
  std::vector<std::vector<Expr>> shapes_;
  std::vector<DeclaredBound> bounds_;
  SymbolAliases aliases_;
  Facts facts_;
};

}  // namespace repose::frontend

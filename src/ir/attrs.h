// Attributes of calls, functions, loops and blocks: small values by name.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "expr/expr.h"

namespace repose {

class Attr;
using AttrList = std::vector<Attr>;
using AttrDict = std::vector<std::pair<Attr, Attr>>;  // in order of insertion

// None, bool, integer, float, string, dtype, expression, list or dictionary. A value type.
class Attr {
 public:
  Attr() = default;                                // None
  Attr(bool v) : value_(v) {}                      // NOLINT: implicit on purpose
  Attr(int v) : value_(int64_t{v}) {}              // NOLINT
  Attr(int64_t v) : value_(v) {}                   // NOLINT
  Attr(double v) : value_(v) {}                    // NOLINT
  Attr(const char* v) : value_(std::string(v)) {}  // NOLINT
  Attr(std::string v) : value_(std::move(v)) {}    // NOLINT
  Attr(DType v) : value_(v) {}                     // NOLINT
  Attr(Expr v) : value_(std::move(v)) {}           // NOLINT
  Attr(AttrList v);                                // NOLINT
  Attr(AttrDict v);                                // NOLINT
  Attr(const std::vector<int64_t>& v);             // NOLINT: a list of integers
  Attr(const std::vector<std::string>& v);         // NOLINT

  bool is_none() const { return value_.index() == 0; }
  const bool* as_bool() const { return std::get_if<bool>(&value_); }
  const int64_t* as_int() const { return std::get_if<int64_t>(&value_); }
  const double* as_float() const { return std::get_if<double>(&value_); }
  const std::string* as_string() const { return std::get_if<std::string>(&value_); }
  const DType* as_dtype() const { return std::get_if<DType>(&value_); }
  const Expr* as_expr() const { return std::get_if<Expr>(&value_); }
  const AttrList* as_list() const;
  const AttrDict* as_dict() const;

  // Expressions by structure, floats by bits.
  bool operator==(const Attr& other) const;
  uint64_t hash() const;

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, DType, Expr,
               std::shared_ptr<const AttrList>, std::shared_ptr<const AttrDict>>
      value_;
};

// Attributes by name, in order of insertion.
class Attrs {
 public:
  Attrs() = default;
  Attrs(std::initializer_list<std::pair<std::string, Attr>> items) : items_(items) {}

  const Attr* find(std::string_view name) const;  // null if absent
  void set(std::string name, Attr value);         // replaces
  void erase(std::string_view name);
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }
  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }

  // Typed reads with a default for an absent attribute (or None). Of another kind: REPOSE_CHECK
  // (the operator's specification was checked when the call was made).
  bool get_bool(std::string_view name, bool absent = false) const;
  int64_t get_int(std::string_view name, int64_t absent = 0) const;
  double get_float(std::string_view name, double absent = 0) const;
  std::string get_string(std::string_view name, std::string absent = "") const;
  DType get_dtype(std::string_view name, DType absent = dtypes::none) const;
  std::vector<int64_t> get_ints(std::string_view name) const;  // a lone integer is a list of one
  bool operator==(const Attrs& other) const;                   // order doesn't matter

 private:
  std::vector<std::pair<std::string, Attr>> items_;
};

// Every expression inside is rewritten.
Attr rewrite_exprs(const Attr& attr, const std::function<Expr(const Expr&)>& rewrite);
Attrs rewrite_exprs(const Attrs& attrs, const std::function<Expr(const Expr&)>& rewrite);

}  // namespace repose

// Reads scalar expressions from syntax trees: shape expressions and those of tensor programs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "expr/expr.h"
#include "script/read_context.h"

namespace repose::script {

// What names in expressions stand for.
class NameScope {
 public:
  virtual ~NameScope() = default;
  // Null, and nothing reported: there is no such variable.
  virtual Expr find_variable(const Node& name) = 0;
  virtual Buffer find_buffer(const std::string&) { return nullptr; }
  // The handle of a parameter's data; null: no parameter.
  virtual Expr find_data(const Buffer&) { return nullptr; }
  // An unknown name: true if the reason was reported here (or before: its binding was wrong).
  virtual bool explain(const Node&) { return false; }
  // Every name that could have been meant.
  virtual std::vector<std::string> candidates() const { return {}; }
};

class ExprReader {
 public:
  ExprReader(ReadContext& context, NameScope& names) : context_(context), names_(names) {}

  // `expected` is the dtype of the place where the expression stands, or none: literals take it,
  // and index expressions stay index where an index is expected though the text casts them. The
  // result may have another dtype. Null: an error was reported.
  Expr read(const Node& node, DType expected = {});
  // As `dtype`: an index where data integers are expected is cast, and the other way round.
  Expr read_as(const Node& node, DType dtype);
  Expr read_index(const Node& node) { return scalar(node, read_as(node, dtypes::index)); }
  // The expression, unless it is a vector, which is reported. Null stays null.
  Expr scalar(const Node& node, Expr e);
  Expr read_condition(const Node& node);
  // A tuple or list of index expressions, quoted or not; one expression stands for a list of one.
  std::optional<std::vector<Expr>> read_shape(const Node& node);
  // A scalar as read_as gives it, but a string literal is an expression in quotes. Without a dtype
  // it keeps its own.
  Expr read_quoted(const Node& node, DType dtype = dtypes::index);
  // A dtype: "float32", T.float32, R.dtype("float32").
  std::optional<DType> read_dtype(const Node& node);

 private:
  ReadContext& context_;
  NameScope& names_;

  Expr read_binary(const Node& node, DType expected);
  Expr combine(const Node& node, Expr a, Expr b);
  Expr read_unary(const Node& node, DType expected);
  Expr read_extent(const Node& node);
  Expr read_load(const Node& node);
  Expr read_call(const Node& node, DType expected);
  Expr read_function(const Node& node, const std::string& name, DType expected);
  Expr read_intrinsic(const Node& node, Intrinsic intrinsic, DType expected);
  Expr read_named_call(const Node& node, Intrinsic intrinsic);
  Expr read_conversion(const Node& node, DType dtype, const Node& operand, DType expected);
  Expr read_choice(const Node& node, bool lazy, DType expected);
  bool takes(const Node& node, std::string_view name, size_t count);
  Expr read_limit(const Node& node, std::string_view name);
  std::optional<int> read_lanes(const Node& node);
  Expr read_ramp(const Node& node, DType expected);
  Expr read_broadcast(const Node& node, DType expected);
  Expr read_ceil_div(const Node& node, DType expected);
  Expr read_reinterpret(const Node& node);
  Expr read_check_index(const Node& node);
  bool read_pair(const Node& a, const Node& b, DType expected, Expr* x, Expr* y);
  bool reconcile(const Node& node, Expr& a, Expr& b);
  Expr make_operation(const Node& node, ExprKind kind, Expr a, Expr b);
};

}  // namespace repose::script

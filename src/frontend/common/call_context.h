// What the importer of one call sees, whatever it is imported from: the function that is being
// built and the place in the model. Every value is a tensor of known dtype.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "frontend/common/names.h"
#include "ir/builder.h"

namespace repose::frontend {

// A value of the graph IR.
using Operand = graph::Value;
using Values = std::vector<Operand>;

// Shapes of more dimensions are refused.
inline constexpr int max_rank = 64;

// An error where the known part of the shape alone makes the tensor larger than any address space.
Result<void> check_size(const Dims& shape, DType dtype, const Span& span);

class CallContext {
 public:
  // `op`: in messages; `name`: of bindings.
  CallContext(Builder& builder, Span span, std::string op, std::string name)
      : builder_(&builder), span_(std::move(span)), op_(std::move(op)), name_(std::move(name)) {}

  const Span& span() const { return span_; }
  const std::string& op() const { return op_; }
  const std::string& name() const { return name_; }
  Builder& builder() { return *builder_; }
  const Facts& facts() const { return builder_->facts(); }

  // "`Conv`: " and the text.
  template <class... Args>
  Diagnostic fail(DiagnosticKind kind, fmt::format_string<Args...> text, Args&&... args) const {
    return error(kind, span_, "`{}`: {}", op_, fmt::format(text, std::forward<Args>(args)...));
  }

  // ---- Types ----
  DType dtype(const Operand& v) const { return graph::tensor_of(v)->dtype; }
  Result<Dims> shape(const Operand& v) const;  // an error where it is not known
  Result<int64_t> rank(const Operand& v) const;
  Result<int64_t> axis(int64_t given, int64_t rank) const;  // counted from the front

  // ---- Elements ----
  // Known elements of a tensor of rank 0 or 1; null where they are not known.
  const std::vector<Expr>* known(const Operand& v) const;
  // The one element of a tensor, where it is known.
  Expr known_scalar(const Operand& v) const;
  // Elements of an integer tensor of rank 0 or 1, as indices. Where only the data can tell, a
  // match_cast binds each to a fresh symbol; `what` names them.
  Result<std::vector<Expr>> elements(const Operand& v, const std::string& what);
  // Elements that have to be constants.
  Result<std::vector<int64_t>> constants(const Operand& v, const std::string& what) const;

  // ---- Building ----
  Result<Operand> call(std::string_view op, std::vector<Operand> args, Attrs attrs = {});
  // The same of an operator that gives a tuple.
  Result<std::vector<Operand>> call_tuple(std::string_view op, std::vector<Operand> args,
                                          Attrs attrs = {});
  Result<Operand> cast(const Operand& v, DType dtype);  // `v` where it has that dtype
  Result<Operand> reshape(const Operand& v, Dims shape);
  Operand scalar(DType dtype, double value) const;  // rank 0
  Operand scalar_like(const Operand& v, double value) const { return scalar(dtype(v), value); }
  Result<void> require(const Expr& condition, const std::string& text, std::vector<Expr> values);

 private:
  Builder* builder_;
  Span span_;
  std::string op_, name_;
};

}  // namespace repose::frontend

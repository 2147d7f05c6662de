// What the importer of one operator sees of a call in Relay.
#pragma once

#include <unordered_set>

#include "frontend/common/composite.h"
#include "frontend/relay/syntax.h"
#include "ops/type_rules.h"

namespace repose::relay {

using frontend::Composite;
using frontend::Operand;
using frontend::Values;

// Attributes are read with Relay's default for those that are left out. What nobody has read in the
// end is refused by name.
class RelayCall : public frontend::CallContext {
 public:
  RelayCall(Builder& builder, Span span, const ExprNode& call, Values args, std::string name)
      : CallContext(builder, std::move(span), call.args[0]->name, std::move(name)),
        attrs_(call.attrs),
        args_(std::move(args)) {}

  size_t num_operands() const { return args_.size(); }
  Result<void> require_operands(size_t least, size_t most) const;
  // A tensor of known dtype, for a place that require_operands has checked.
  Result<Operand> tensor(size_t i) const;
  // The members of a tuple of tensors.
  Result<Values> tensors(size_t i);
  // Whatever it is.
  const Operand& value(size_t i) const { return args_[i]; }

  bool has(std::string_view name);  // given, and not None
  bool is_list(std::string_view name) { return has(name) && find(name)->as_list(); }
  Result<int64_t> integer(std::string_view name, int64_t absent);
  Result<double> number(std::string_view name, double absent);
  Result<bool> boolean(std::string_view name, bool absent);
  Result<std::string> text(std::string_view name, std::string absent);
  // A list, or a lone integer; empty where it is absent.
  Result<std::vector<int64_t>> integers(std::string_view name, std::vector<int64_t> absent = {});
  // The numbers of a list of lists, one after the other.
  Result<std::vector<int64_t>> pairs(std::string_view name);
  Result<DType> dtype_named(std::string_view name, DType absent);
  // Hints that change nothing of what is computed.
  void ignore(std::initializer_list<std::string_view> names) {
    for (const std::string_view n : names) read_.insert(std::string(n));
  }
  // An error where an attribute has not been read.
  Result<void> require_all_read() const;

  // Sizes that an attribute or a tensor of sizes says.
  Result<Dims> sizes(std::string_view attribute, size_t operand);
  // `axis`, several or None (all), counted from the front; `exclude`: all others.
  Result<std::vector<int64_t>> reduced_axes(const Operand& x);

 private:
  Attrs attrs_;
  Values args_;
  std::unordered_set<std::string> read_;

  const Attr* find(std::string_view name);
  Diagnostic wrong_kind(std::string_view name, const char* expected) const;
};

}  // namespace repose::relay

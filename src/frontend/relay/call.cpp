// Operands and attributes of a call.
#include "frontend/relay/call.h"

#include <algorithm>

namespace repose::relay {

Result<void> RelayCall::require_operands(size_t least, size_t most) const {
  if (args_.size() >= least && args_.size() <= most) return {};
  const std::string expected =
      least == most ? std::to_string(least) : fmt::format("{} to {}", least, most);
  return fail(DiagnosticKind::wrong_arity, "{} operands, expected {}", args_.size(), expected);
}

Result<Operand> RelayCall::tensor(size_t i) const {
  const TensorTypeNode* t = graph::tensor_of(args_[i]);
  if (t && t->dtype) return args_[i];
  return fail(DiagnosticKind::type_mismatch, "operand {} has type `{}`, expected a tensor", i,
              args_[i]->type ? to_string(args_[i]->type) : "a function");
}

Result<Values> RelayCall::tensors(size_t i) {
  const auto* type = as<TupleTypeNode>(args_[i]->type);
  Values members;
  if (const auto* tuple = graph::as<graph::TupleNode>(args_[i])) members = tuple->fields;
  for (size_t k = 0; type && !graph::as<graph::TupleNode>(args_[i]) && k < type->fields.size();
       ++k) {
    REPOSE_TRY(member, builder().emit(graph::make_tuple_get(args_[i], static_cast<int>(k)), name(),
                                      span()));
    members.push_back(member);
  }
  for (const Operand& m : members) {
    const TensorTypeNode* t = graph::tensor_of(m);
    if (!t || !t->dtype) type = nullptr;
  }
  if (type) return members;
  return fail(DiagnosticKind::type_mismatch,
              "operand {} has type `{}`, expected a tuple of tensors", i,
              to_string(args_[i]->type));
}

// ---- Attributes

const Attr* RelayCall::find(std::string_view name) {
  read_.insert(std::string(name));
  const Attr* a = attrs_.find(name);
  return a && !a->is_none() ? a : nullptr;
}

Diagnostic RelayCall::wrong_kind(std::string_view name, const char* expected) const {
  return fail(DiagnosticKind::bad_attribute, "attribute `{}` is no {}", name, expected);
}

bool RelayCall::has(std::string_view name) {
  return find(name) != nullptr;
}

Result<int64_t> RelayCall::integer(std::string_view name, int64_t absent) {
  const Attr* a = find(name);
  if (!a) return absent;
  if (const bool* flag = a->as_bool()) return int64_t{*flag};
  if (const int64_t* value = a->as_int()) return *value;
  const AttrList* list = a->as_list();
  if (list && list->size() == 1 && (*list)[0].as_int()) return *(*list)[0].as_int();
  return wrong_kind(name, "integer");
}

Result<double> RelayCall::number(std::string_view name, double absent) {
  const Attr* a = find(name);
  if (!a) return absent;
  if (const int64_t* value = a->as_int()) return static_cast<double>(*value);
  if (const double* value = a->as_float()) return *value;
  return wrong_kind(name, "number");
}

Result<bool> RelayCall::boolean(std::string_view name, bool absent) {
  const Attr* a = find(name);
  if (!a) return absent;
  if (const bool* flag = a->as_bool()) return *flag;
  if (const int64_t* value = a->as_int()) return *value != 0;
  return wrong_kind(name, "bool");
}

Result<std::string> RelayCall::text(std::string_view name, std::string absent) {
  const Attr* a = find(name);
  if (!a) return absent;
  if (const std::string* value = a->as_string()) return *value;
  return wrong_kind(name, "string");
}

Result<std::vector<int64_t>> RelayCall::integers(std::string_view name,
                                                 std::vector<int64_t> absent) {
  const Attr* a = find(name);
  if (!a) return absent;
  if (const int64_t* value = a->as_int()) return std::vector<int64_t>{*value};
  const AttrList* list = a->as_list();
  if (!list) return wrong_kind(name, "list of integers");
  std::vector<int64_t> values;
  for (const Attr& item : *list) {
    if (!item.as_int()) return wrong_kind(name, "list of integers");
    values.push_back(*item.as_int());
  }
  return values;
}

Result<std::vector<int64_t>> RelayCall::pairs(std::string_view name) {
  const Attr* a = find(name);
  const AttrList* list = a ? a->as_list() : nullptr;
  std::vector<int64_t> values;
  for (size_t i = 0; list && i < list->size(); ++i) {
    const AttrList* pair = (*list)[i].as_list();
    if (!pair) return wrong_kind(name, "list of pairs");
    for (const Attr& item : *pair) {
      if (!item.as_int()) return wrong_kind(name, "list of pairs of integers");
      values.push_back(*item.as_int());
    }
  }
  return values;
}

Result<DType> RelayCall::dtype_named(std::string_view name, DType absent) {
  REPOSE_TRY(given, text(name, ""));
  if (given.empty()) return absent;
  const auto parsed = DType::parse(given);
  if (parsed && !parsed->is_vector() && !parsed->is_index() && !parsed->is_handle()) return *parsed;
  return fail(DiagnosticKind::unsupported_dtype, "attribute `{}` is \"{}\", which is no dtype",
              name, given);
}

Result<void> RelayCall::require_all_read() const {
  for (const auto& [name, value] : attrs_) {
    const bool is_empty = value.is_none() || (value.as_string() && value.as_string()->empty());
    if (is_empty || read_.contains(name)) continue;
    return fail(DiagnosticKind::unsupported_feature, "attribute `{}` isn't supported", name);
  }
  return {};
}

Result<Dims> RelayCall::sizes(std::string_view attribute, size_t operand) {
  if (num_operands() > operand) {
    REPOSE_TRY(given, tensor(operand));
    return elements(given, std::string(attribute));
  }
  REPOSE_TRY(numbers, integers(attribute));
  Dims dims;
  for (const int64_t n : numbers) dims.push_back(make_int(n));
  return dims;
}

Result<std::vector<int64_t>> RelayCall::reduced_axes(const Operand& x) {
  REPOSE_TRY(given, integers("axis"));
  REPOSE_TRY(exclude, boolean("exclude", false));
  REPOSE_TRY(rank, this->rank(x));
  std::vector<int64_t> axes;
  for (const int64_t a : given) {
    REPOSE_TRY(normal, axis(a, rank));
    axes.push_back(normal);
  }
  std::vector<int64_t> result;
  for (int64_t d = 0; d < rank; ++d) {
    const bool is_given = std::find(axes.begin(), axes.end(), d) != axes.end();
    if (given.empty() ? !exclude : is_given != exclude) result.push_back(d);
  }
  return result;
}

}  // namespace repose::relay

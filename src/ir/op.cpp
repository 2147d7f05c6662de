// The operator table, and the check of calls against operators' specifications.
#include "ir/op.h"

#include <algorithm>

namespace repose {

namespace {

uint64_t hash_of(const Expr& operand, const Expr& broadcast) {
  return operand->hash() * 0x9e3779b97f4a7c15ULL + broadcast->hash();
}

}  // namespace

bool FoundBroadcasts::contains(const Expr& operand, const Expr& broadcast) const {
  const auto [begin, end] = pairs_.equal_range(hash_of(operand, broadcast));
  return std::any_of(begin, end, [&](const auto& found) {
    const auto& [x, y] = found.second;
    return structural_equal(x, operand) && structural_equal(y, broadcast);
  });
}

void FoundBroadcasts::add(const Expr& operand, const Expr& broadcast) {
  pairs_.emplace(hash_of(operand, broadcast), std::pair(operand, broadcast));
}

OpTable::OpTable(std::span<const OpDef* const> ops) : ops_(ops.begin(), ops.end()) {
  std::sort(ops_.begin(), ops_.end(),
            [](const OpDef* a, const OpDef* b) { return a->name < b->name; });
  auto twice = std::adjacent_find(
      ops_.begin(), ops_.end(), [](const OpDef* a, const OpDef* b) { return a->name == b->name; });
  REPOSE_CHECK(twice == ops_.end(), fmt::format("operator `{}` is listed twice", (*twice)->name));
}

const OpDef* OpTable::find(std::string_view name) const {
  auto it = std::lower_bound(ops_.begin(), ops_.end(), name,
                             [](const OpDef* op, std::string_view n) { return op->name < n; });
  return it != ops_.end() && (*it)->name == name ? *it : nullptr;
}

namespace {

const char* describe(ArgKind kind) {
  switch (kind) {
    case ArgKind::tensor:
      return "a tensor";
    case ArgKind::tensors:
      return "a tuple of tensors";
    case ArgKind::shape:
      return "a shape";
    case ArgKind::prim:
      return "a prim value";
    case ArgKind::function:
      return "a function";
    case ArgKind::string:
      return "a string";
    case ArgKind::dtype:
      return "a dtype";
    case ArgKind::any:
      return "any value";
  }
  return "?";
}

bool is_tensors(const Type& type) {
  const auto* tuple = as<TupleTypeNode>(type);
  return tuple && std::all_of(tuple->fields.begin(), tuple->fields.end(),
                              [](const Type& f) { return f && f->kind == TypeKind::tensor; });
}

bool is_string_or_dtype(const graph::Value& v) {
  return v->kind == graph::ValueKind::string || v->kind == graph::ValueKind::dtype;
}

bool accepts(const ArgSpec& spec, const graph::Value& v) {
  // A trailing operand that is left out is given as R.null_value(), which has any type.
  if (spec.optional && !is_string_or_dtype(v) && v->type && v->type->kind == TypeKind::any) {
    return true;
  }
  switch (spec.kind) {
    case ArgKind::tensor:
      return v->type && v->type->kind == TypeKind::tensor;
    case ArgKind::tensors:
      return is_tensors(v->type);
    case ArgKind::shape:
      return v->type && v->type->kind == TypeKind::shape;
    case ArgKind::prim:
      return v->type && v->type->kind == TypeKind::prim;
    case ArgKind::function:
      return v->kind == graph::ValueKind::global || v->kind == graph::ValueKind::external ||
             (v->type && v->type->kind == TypeKind::function);
    case ArgKind::string:
      return v->kind == graph::ValueKind::string;
    case ArgKind::dtype:
      return v->kind == graph::ValueKind::dtype;
    case ArgKind::any:
      return true;
  }
  return false;
}

const char* describe(AttrKind kind) {
  switch (kind) {
    case AttrKind::boolean:
      return "a bool";
    case AttrKind::integer:
      return "an integer";
    case AttrKind::number:
      return "a number";
    case AttrKind::string:
      return "a string";
    case AttrKind::dtype:
      return "a dtype";
    case AttrKind::integers:
      return "a list of integers";
    case AttrKind::optional_integer:
      return "an integer or None";
    case AttrKind::optional_integers:
      return "a list of integers or None";
    case AttrKind::dtype_or_none:
      return "a dtype or None";
    case AttrKind::any:
      return "anything";
  }
  return "?";
}

std::optional<Attr> to_integer(const Attr& value) {
  if (value.as_int()) return value;
  const Expr* e = value.as_expr();
  int64_t constant = 0;
  if (e && *e && !(*e)->dtype.is_bool() && as_const_int(*e, &constant)) return Attr(constant);
  return std::nullopt;
}

std::optional<Attr> to_number(const Attr& value) {
  if (value.as_float()) return value;
  if (auto i = to_integer(value)) return Attr(static_cast<double>(*i->as_int()));
  const Expr* e = value.as_expr();
  const auto* f = e ? as<FloatImmNode>(*e) : nullptr;
  return f ? std::optional<Attr>(Attr(f->value)) : std::nullopt;
}

// A lone integer becomes a list of one, so that equal calls have equal attributes.
std::optional<Attr> to_integers(const Attr& value) {
  if (auto i = to_integer(value)) return Attr(AttrList{*i});
  const AttrList* list = value.as_list();
  if (!list) return std::nullopt;
  AttrList items;
  for (const Attr& item : *list) {
    auto i = to_integer(item);
    if (!i) return std::nullopt;
    items.push_back(*i);
  }
  return Attr(std::move(items));
}

std::optional<Attr> to_dtype(const Attr& value) {
  if (value.as_dtype()) return value;
  const std::string* name = value.as_string();
  std::optional<DType> dtype = name ? DType::parse(*name) : std::nullopt;
  return dtype ? std::optional<Attr>(Attr(*dtype)) : std::nullopt;
}

// The value in the form that get_… reads; nothing if it is of another kind.
std::optional<Attr> convert(AttrKind kind, const Attr& value) {
  switch (kind) {
    case AttrKind::boolean: {
      if (value.as_bool()) return value;
      const int64_t* i = value.as_int();
      return i && (*i == 0 || *i == 1) ? std::optional<Attr>(Attr(*i == 1)) : std::nullopt;
    }
    case AttrKind::integer:
      return to_integer(value);
    case AttrKind::number:
      return to_number(value);
    case AttrKind::string:
      return value.as_string() ? std::optional<Attr>(value) : std::nullopt;
    case AttrKind::dtype:
      return to_dtype(value);
    case AttrKind::integers:
      return to_integers(value);
    case AttrKind::optional_integer:
      return value.is_none() ? value : to_integer(value);
    case AttrKind::optional_integers:
      return value.is_none() ? value : to_integers(value);
    case AttrKind::dtype_or_none:
      return value.is_none() ? value : to_dtype(value);
    case AttrKind::any:
      return value;
  }
  return std::nullopt;
}

void check_args(const OpDef& op, const std::vector<graph::Value>& args, const Span& span,
                Diagnostics& problems) {
  size_t required = 0;
  for (const ArgSpec& spec : op.args) required += spec.optional ? 0 : 1;
  if (args.size() < required || (!op.variadic && args.size() > op.args.size())) {
    std::string expected = std::to_string(required);
    if (op.variadic) {
      expected = "at least " + expected;
    } else if (required < op.args.size()) {
      expected = fmt::format("{} to {}", required, op.args.size());
    }
    problems.push_back(error(DiagnosticKind::wrong_arity, span,
                             "`{}` takes {} operands, {} are given", op.name, expected,
                             args.size()));
    return;
  }
  for (size_t i = 0; i < std::min(args.size(), op.args.size()); ++i) {
    if (accepts(op.args[i], args[i])) continue;
    const bool says_type = args[i]->type && !is_string_or_dtype(args[i]);
    std::string seen = says_type ? "has type `" + to_string(args[i]->type) + "`"
                                 : fmt::format("is a {}", graph::kind_name(args[i]->kind));
    problems.push_back(error(DiagnosticKind::type_mismatch, span,
                             "`{}`: operand {} (`{}`) {}, expected {}", op.name, i, op.args[i].name,
                             seen, describe(op.args[i].kind)));
  }
}

}  // namespace

Result<Attrs> check_call(const OpDef& op, const std::vector<graph::Value>& args, Attrs attrs,
                         Span span) {
  Diagnostics problems;
  check_args(op, args, span, problems);
  for (const auto& [name, value] : attrs) {
    bool known = std::any_of(op.attrs.begin(), op.attrs.end(),
                             [&](const AttrSpec& spec) { return name == spec.name; });
    if (!known) {
      problems.push_back(
          error(DiagnosticKind::bad_attribute, span, "`{}` has no attribute `{}`", op.name, name));
    }
  }
  Attrs complete;  // in the order of the specification
  for (const AttrSpec& spec : op.attrs) {
    const Attr* given = attrs.find(spec.name);
    std::optional<Attr> value = given ? convert(spec.kind, *given) : std::nullopt;
    if (!value && spec.absent && (!given || given->is_none())) value = spec.absent;
    if (value) {
      complete.set(spec.name, *value);
    } else if (given) {
      problems.push_back(error(DiagnosticKind::bad_attribute, span,
                               "`{}`: attribute `{}` must be {}", op.name, spec.name,
                               describe(spec.kind)));
    } else {
      problems.push_back(error(DiagnosticKind::bad_attribute, span, "`{}` needs the attribute `{}`",
                               op.name, spec.name));
    }
  }
  if (!problems.empty()) return problems;
  return complete;
}

}  // namespace repose

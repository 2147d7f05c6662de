// What a host function does first.
#include "host/check_inputs.h"

#include <algorithm>

#include "base/message_text.h"
#include "expr/interval.h"
#include "ir/function_facts.h"

namespace repose {

namespace {

Expr input_dim(size_t input, size_t axis) {
  return make_call(Intrinsic::input_dim, dtypes::index,
                   {make_int(static_cast<int64_t>(input)), make_int(static_cast<int64_t>(axis))});
}

// Compares a dimension with what the type says, unless it is what binds a symbol.
void check_dim(Statements& out, const FunctionInterface& interface, size_t i, size_t axis) {
  const ValueInfo& input = interface.inputs[i];
  const Expr& want = input.dims[axis];
  const SymbolInfo* origin = nullptr;
  for (const SymbolInfo& s : interface.symbols) {
    if (s.symbol == want) origin = &s;
  }
  if (origin && origin->input == static_cast<int>(i) && origin->axis == static_cast<int>(axis)) {
    return;
  }
  std::string message =
      fmt::format("input {}: dimension {} is {{0}}, expected ", quoted(input.name), axis);
  if (!is_constant(want)) message += quoted(input.dim_texts[axis]) + " = ";
  message += "{1}";
  if (origin) {
    message += fmt::format(" (from {} dimension {})", quoted(interface.inputs[origin->input].name),
                           origin->axis);
  }
  const Var actual = make_var(fmt::format("dim_{}_{}", i, axis), dtypes::index, VarRole::let);
  out.let(actual, input_dim(i, axis));
  out.check(eq(actual, want), message, {actual, want}, {});
}

// Strides that are expressions; the runtime compares constant ones. Those of extents 0 and 1, and
// of a tensor without elements, don't count.
void check_strides(Statements& out, const FunctionInterface& interface, size_t i) {
  const ValueInfo& input = interface.inputs[i];
  const size_t rank = input.dims.size();
  Expr is_empty = make_bool(false);
  for (const Expr& d : input.dims) is_empty = logical_or(is_empty, eq(d, make_int(0)));
  for (size_t axis = 0; axis < input.strides.size(); ++axis) {
    const Expr& want = input.strides[axis];
    if (is_constant(want)) continue;
    Var actual = make_var(fmt::format("stride_{}_{}", i, axis), dtypes::index, VarRole::let);
    out.let(actual, input_dim(i, rank + axis));
    const Expr ignored = logical_or(is_empty, le(input.dims[axis], make_int(1)));
    out.check(logical_or(ignored, eq(actual, want)),
              fmt::format("input {}: stride {} is {{0}}, expected {} = {{1}}", quoted(input.name),
                          axis, quoted(dim_text(want, interface.symbols))),
              {actual, want}, {});
  }
}

// The condition that a check requires, and behind it the values of its message.
std::vector<Expr> operands(const graph::Binding& check) {
  std::vector<Expr> list;
  for (const graph::Value& v : graph::as<graph::CallNode>(check.value)->args) {
    list.push_back(graph::as<graph::PrimValueNode>(v)->value);
  }
  return list;
}

}  // namespace

void check_range(Statements& out, const SymbolInfo& s, const std::string& what) {
  out.check(canonical(range_condition(s)),
            fmt::format("{} is {{0}}, the declared range is {}", what, range_text(s.range)),
            {s.symbol}, {});
}

void check_inputs(Statements& out, const FunctionInterface& interface) {
  for (const SymbolInfo& s : interface.symbols) {
    out.let(s.symbol, input_dim(static_cast<size_t>(s.input), static_cast<size_t>(s.axis)));
    check_range(out, s,
                fmt::format("input {}: dimension {} ({})", quoted(interface.inputs[s.input].name),
                            s.axis, quoted(s.name)));
  }
  for (size_t i = 0; i < interface.inputs.size(); ++i) {
    for (size_t axis = 0; axis < interface.inputs[i].dims.size(); ++axis) {
      check_dim(out, interface, i, axis);
    }
  }
  for (size_t i = 0; i < interface.inputs.size(); ++i) check_strides(out, interface, i);
}

const SymbolInfo* find_symbol(const FunctionInterface& interface, const VarNode* v) {
  for (const SymbolInfo& s : interface.symbols) {
    if (s.symbol.get() == v) return &s;
  }
  return nullptr;
}

void add_head(Statements& out, const FunctionInterface& interface, const graph::Binding& b) {
  if (const auto named = size_name(b)) return out.let(named->name, named->value);
  add_check(out, interface, b);
}

void add_check(Statements& out, const FunctionInterface& interface, const graph::Binding& b) {
  std::vector<Expr> values = operands(b);
  const Expr condition = values[0];
  values.erase(values.begin());
  std::string place = b.span ? "in " + escaped(place_text(b.span)) : "";
  std::string message = graph::as<graph::CallNode>(b.value)->attrs.get_string("message");
  for (const Var& v : free_vars(condition)) {
    const SymbolInfo* s = find_symbol(interface, v.get());
    const bool is_size = std::any_of(interface.sizes.begin(), interface.sizes.end(),
                                     [&](const SizeName& size) { return size.name == v; });
    if (!s && !is_size) continue;
    place += fmt::format("{}{} = {{{}}}", place.empty() ? "" : ", ", quoted(s ? s->name : v->name),
                         values.size());
    values.push_back(v);
  }
  if (!place.empty()) message += " (" + place + ")";
  out.check(condition, message, std::move(values), b.span);
}

}  // namespace repose

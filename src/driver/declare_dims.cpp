// Ranges of dimension symbols, declared for modules from text.
#include "driver/declare_dims.h"

#include <set>

#include "expr/interval.h"
#include "ir/function_facts.h"
#include "ops/ops.h"
#include "script/parser.h"

namespace repose {

namespace {

// The names that may stand for each symbol of the parameters.
std::map<std::string, Var> symbol_names(const graph::Function& f) {
  std::map<std::string, Var> names;
  for (const graph::Variable& p : f->params) {
    const auto* type = as<TensorTypeNode>(p->type);
    if (!type || !type->shape) continue;
    for (size_t axis = 0; axis < type->shape->size(); ++axis) {
      const auto* v = as<VarNode>((*type->shape)[axis]);
      if (!v) continue;
      const Attr* original = symbol_attr(f->attrs, "symbol_names", v->name);
      names.emplace(original && original->as_string() ? *original->as_string() : v->name, Var(v));
      names.emplace(fmt::format("{}_{}", p->name, axis), Var(v));
    }
  }
  return names;
}

// Sets one symbol's entry of a dictionary attribute.
void set_entry(Attrs& attrs, const char* key, const std::string& symbol, int64_t value) {
  AttrDict dict;
  if (const Attr* present = attrs.find(key); present && present->as_dict()) {
    for (const auto& entry : *present->as_dict()) {
      if (!(entry.first == Attr(symbol))) dict.push_back(entry);
    }
  }
  dict.emplace_back(symbol, value);
  attrs.set(key, std::move(dict));
}

// A check of dimensions at the head of `f`; `message` over the values that follow.
graph::Function with_check(const graph::Function& f, const Expr& condition,
                           const std::string& message, const std::vector<Expr>& values) {
  std::vector<graph::Value> args{graph::make_prim(canonical(condition))};
  for (const Expr& value : values) args.push_back(graph::make_prim(value));
  const graph::Value call =
      make_ref<graph::CallNode>(standard_ops().find("check"), nullptr, std::move(args),
                                Attrs{{"message", message}}, std::vector<Type>{}, void_type());
  const graph::Binding check{graph::make_variable("check", void_type()), call, nullptr, f->span};
  std::vector<graph::Block> blocks = f->body->blocks;
  if (blocks.empty() || blocks[0].is_dataflow) blocks.insert(blocks.begin(), graph::Block{});
  blocks[0].bindings.insert(blocks[0].bindings.begin(), check);
  return make_ref<graph::FunctionNode>(
      f->params, make_ref<graph::BodyNode>(std::move(blocks), f->body->result), f->result_type,
      f->is_pure, f->is_private, f->attrs, f->span);
}

// The size that `text` means; null: none.
Expr size_named(const std::string& text, const std::map<std::string, Var>& names) {
  if (auto it = names.find(text); it != names.end()) return it->second;
  auto value = parse_expr(text, [&](std::string_view symbol) -> Expr {
    auto it = names.find(std::string(symbol));
    return it == names.end() ? nullptr : Expr(it->second);
  });
  return value.ok() && (*value)->dtype.is_index() ? canonical(*value) : nullptr;
}

}  // namespace

Result<Module> declare_dims(const Module& module, const std::map<std::string, Interval>& dims,
                            const std::map<std::string, std::string>& same) {
  Module result = module;
  std::set<std::string> used, known;
  for (const std::string& name : module.names()) {
    graph::Function f = module.graph_function(name);
    if (!f || f->is_private) continue;
    const Facts declared = declared_facts(f);
    Attrs attrs = f->attrs;
    const std::map<std::string, Var> names = symbol_names(f);
    for (const auto& [text, range] : dims) {
      if (names.contains(text)) continue;
      const Expr value = size_named(text, names);
      if (!value || free_vars(value).empty()) continue;
      used.insert(text);
      f = with_check(f, in_range(value, range),
                     fmt::format("`{}` is {{0}}, which is outside of its declared range {}", text,
                                 range_text(range)),
                     {value});
      result.set(name, f);
    }
    for (const auto& [text, other] : same) {
      const Expr a = size_named(text, names), b = size_named(other, names);
      if (a) used.insert(text);
      if (b) used.insert(other);
      if (!a || !b) continue;
      f = with_check(
          f, eq(a, b),
          fmt::format("`{}` is {{0}}, but `{}` is {{1}}: they are declared to be one", text, other),
          {a, b});
      result.set(name, f);
    }
    for (const auto& [text, symbol] : names) {
      known.insert(text);
      auto it = dims.find(text);
      if (it == dims.end()) continue;
      used.insert(text);
      const Interval range = tightened(intersection(declared.range_of(symbol), it->second));
      if (is_empty(range)) {
        return error(DiagnosticKind::bad_range, f->span, "no size of `{}` lies in its range", text);
      }
      set_entry(attrs, "tir_var_lower_bound", symbol->name, range.lower);
      if (range.upper != Interval::plus_infinity) {
        set_entry(attrs, "tir_var_upper_bound", symbol->name, range.upper);
      }
      if (range.divisor != 1) set_entry(attrs, "tir_var_divisor", symbol->name, range.divisor);
    }
    if (attrs == f->attrs) continue;
    result.set(name, make_ref<graph::FunctionNode>(f->params, f->body, f->result_type, f->is_pure,
                                                   f->is_private, attrs, f->span));
  }
  std::set<std::string> given;
  for (const auto& [text, range] : dims) given.insert(text);
  for (const auto& [text, other] : same) given.insert({text, other});
  for (const std::string& text : given) {
    if (used.contains(text)) continue;
    return error(DiagnosticKind::bad_usage, {}, "no dimension is called `{}`; the inputs have {}",
                 text, known.empty() ? "none" : fmt::format("`{}`", fmt::join(known, "`, `")));
  }
  return result;
}

}  // namespace repose

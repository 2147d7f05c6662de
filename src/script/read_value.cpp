// Values of graph functions: what R.… and cls.… calls, literals and operators mean.
#include "script/read_value.h"

#include "script/literal.h"
#include "script/suggest.h"

namespace repose::script {

using graph::Value;

namespace {

// Operators of graph values.
const char* sugar(const std::string& symbol) {
  static constexpr std::pair<std::string_view, const char*> table[] = {
      {"+", "add"},           {"-", "subtract"},     {"*", "multiply"},       {"/", "divide"},
      {"//", "floor_divide"}, {"%", "floor_mod"},    {"**", "power"},         {"<", "less"},
      {"<=", "less_equal"},   {">", "greater"},      {">=", "greater_equal"}, {"==", "equal"},
      {"!=", "not_equal"},    {"&", "bitwise_and"},  {"|", "bitwise_or"},     {"^", "bitwise_xor"},
      {"<<", "left_shift"},   {">>", "right_shift"}, {"@", "matmul"}};
  for (const auto& [text, name] : table) {
    if (text == symbol) return name;
  }
  return nullptr;
}

}  // namespace

bool is_type_keyword(std::string_view name) {
  return name == "out_sinfo" || name == "out_ty" || name == "sinfo_args" || name == "ty_args";
}

// Made of literals and symbols alone?
bool ValueReader::is_scalar(const Node& node) {
  const Node* n = &node;
  while (n->kind == NodeKind::binary) {
    if (!is_scalar(*n->kids[1])) return false;
    n = n->kids[0];
  }
  switch (n->kind) {
    case NodeKind::integer:
    case NodeKind::real:
    case NodeKind::boolean:
      return true;
    case NodeKind::name:
      return scope_.find_variable(*n) != nullptr || is_literal(*n);
    case NodeKind::unary:
      return is_scalar(*n->kids[0]);
    case NodeKind::call: {
      std::string callee = dotted_name(*n->kids[0]);
      return callee.starts_with("T.");
    }
    default:
      return false;
  }
}

Value ValueReader::read(const Node& node) {
  if (node.kind == NodeKind::name && scope_.find_value(node.text)) return read_name(node);
  if (is_scalar(node)) {
    bool real = is_literal(node) && node.kind != NodeKind::integer;
    for (const Node* n = &node; real && n->kind == NodeKind::unary; n = n->kids[0]) {
      if (n->kids[0]->kind == NodeKind::integer) real = false;
    }
    return prim_of(node, exprs_.read(node, real ? dtypes::float64 : DType{}));
  }
  switch (node.kind) {
    case NodeKind::name:
      return read_name(node);
    case NodeKind::string:
      return make_ref<graph::StringNode>(node.text);
    case NodeKind::tuple:
    case NodeKind::list:
      return read_tuple(node.kids);
    case NodeKind::attribute: {
      std::string name = dotted_name(node);
      size_t dot = name.rfind('.');
      std::string owner = dot == std::string::npos ? "" : name.substr(0, dot);
      if (owner == "cls" || owner == module_.module_name) return read_global(node, node.text);
      return fail(node, DiagnosticKind::unknown_name, "unknown name `{}`", written_name(node));
    }
    case NodeKind::unary:
      return read_unary(node);
    case NodeKind::binary:
      return read_binary(node);
    case NodeKind::subscript:
      return read_item(node);
    case NodeKind::call:
      return read_call(node);
    case NodeKind::starred:
      return fail(node, DiagnosticKind::syntax, "`*` stands before extents of `T.grid` only");
    default:
      break;
  }
  return fail(node, DiagnosticKind::syntax, "expected a value");
}

Value ValueReader::prim_of(const Node& node, Expr e) {
  if (!e) return nullptr;
  if (e->dtype && !e->dtype.is_vector() && e->kind != ExprKind::string_imm) {
    return graph::make_prim(std::move(e));
  }
  return fail(node, DiagnosticKind::bad_argument, "a prim value is a number");
}

Value ValueReader::read_tuple(std::span<Node* const> nodes) {
  std::vector<Value> fields;
  for (const Node* n : nodes) {
    fields.push_back(read_leaf(*n, n->at));
    if (!fields.back()) return nullptr;
  }
  return graph::make_tuple(std::move(fields));
}

Value ValueReader::leaf_of(const Value& value, const Position& at) {
  auto leaf = module_.builder.normalize(value, context_.tree.span(at));
  return context_.check(leaf) ? *leaf : nullptr;
}

Value ValueReader::read_leaf(const Node& node, const Position& at) {
  Value v = read(node);
  return v ? leaf_of(v, at) : nullptr;
}

// R.nn.relu, R.image.resize2d: the last part may be the operator's name.
const OpDef* ValueReader::find_op(const Node& node, const std::string& name) {
  const OpTable& ops = module_.builder.ops();
  const std::string last = name.substr(name.rfind('.') + 1);
  if (const OpDef* op = ops.find(name)) return op;
  if (const OpDef* op = ops.find(last)) return op;
  auto candidates = [&] {
    std::vector<std::string> names = {"const", "shape",  "prim_value", "dtype",     "str",
                                      "tuple", "weight", "ExternFunc", "match_cast"};
    for (const OpDef* o : ops.all()) names.emplace_back(o->name);
    return names;
  };
  std::string hint = context_.hint(name, candidates);
  if (hint.empty()) hint = context_.hint(last, candidates);
  return fail(node, DiagnosticKind::unknown_name, "unknown operator `R.{}`{}", name, hint);
}

Value ValueReader::read_name(const Node& node) {
  if (graph::Variable v = scope_.find_value(node.text)) return v;
  if (module_.globals.count(node.text)) return read_global(node, node.text);
  if (scope_.explain(node)) return nullptr;
  return fail(node, DiagnosticKind::unknown_name, "unknown name `{}`{}", node.text,
              context_.hint(node.text, [&] { return scope_.candidates(); }));
}

Value ValueReader::read_global(const Node& node, const std::string& name) {
  auto it = module_.globals.find(name);
  if (it == module_.globals.end()) {
    return fail(node, DiagnosticKind::unknown_name, "the module has no function `{}`{}", name,
                context_.hint(name, [&] {
                  std::vector<std::string> names;
                  for (const auto& [n, is_program] : module_.globals) names.push_back(n);
                  return names;
                }));
  }
  if (module_.poisoned.count(name)) return nullptr;
  auto type = module_.signatures.find(name);
  Type known = type == module_.signatures.end() ? nullptr : type->second;
  if (!known && !it->second) {
    return fail(node, DiagnosticKind::ill_formed,
                "`{}` is used before its type is known: a recursive function needs a return "
                "annotation",
                name);
  }
  return graph::make_global(name, known);
}

Value ValueReader::read_unary(const Node& node) {
  const char* op = node.text == "-"     ? "negative"
                   : node.text == "~"   ? "bitwise_not"
                   : node.text == "not" ? "logical_not"
                                        : nullptr;
  if (!op) return read(*node.kids[0]);
  const OpDef* def = find_op(node, op);
  Value v = read(*node.kids[0]);
  return def && v ? graph::make_op_call(*def, {v}) : nullptr;
}

Value ValueReader::read_binary(const Node& node) {
  std::vector<const Node*> spine{&node};
  while (spine.back()->kids[0]->kind == NodeKind::binary && !is_scalar(*spine.back()->kids[0])) {
    spine.push_back(spine.back()->kids[0]);
  }
  Value left;
  auto like = [](const Value& v) {
    const auto* t = as<TensorTypeNode>(v->type);
    return t ? t->dtype : DType{};
  };
  for (size_t i = spine.size(); i-- > 0;) {
    const Node& n = *spine[i];
    const char* name = sugar(n.text);
    if (!name) {
      return fail(n, DiagnosticKind::syntax, "`{}` is no operator of tensors", n.text);
    }
    const OpDef* op = find_op(n, name);
    if (!op) return nullptr;
    static const ArgSpec tensor{"x", ArgKind::tensor};
    const Node& a = *n.kids[0];
    const Node& b = *n.kids[1];
    Value right;
    if (!left && is_literal(a)) {  // takes the dtype of the other operand
      right = read_leaf_arg(b, *op, &tensor, {});
      if (right) left = read_arg(a, *op, &tensor, like(right));
    } else {
      if (!left) left = read_leaf_arg(a, *op, &tensor, {});
      if (left) right = read_leaf_arg(b, *op, &tensor, like(left));
    }
    if (!left || !right) return nullptr;
    left = graph::make_op_call(*op, {left, right});
    if (i > 0) left = leaf_of(left, n.at);
    if (!left) return nullptr;
  }
  return left;
}

Value ValueReader::read_item(const Node& node) {
  const Node& base = *node.kids[0];
  const Node* inner = &base;
  while (inner->kind == NodeKind::subscript) inner = inner->kids[0];
  if (inner->kind == NodeKind::name && inner->text == "metadata" &&
      !scope_.find_value("metadata")) {
    return fail(node, DiagnosticKind::unsupported_feature,
                "`metadata[…]` refers to data that is not in the text: write the constant as "
                "`R.const` or `R.weight`");
  }
  Value leaf = read_leaf(base, base.at);
  if (!leaf) return nullptr;
  const auto* tuple = as<TupleTypeNode>(leaf->type);
  auto index = node.kids.size() == 2 ? constant_integer(*node.kids[1]) : std::nullopt;
  if (!tuple || !index) {
    return fail(node, DiagnosticKind::type_mismatch,
                "`[…]` takes an item of a tuple by a constant; this value has type `{}`",
                leaf->type ? to_string(leaf->type) : "a tensor program");
  }
  auto count = static_cast<int64_t>(tuple->fields.size());
  if (*index < 0) *index += count;
  if (*index < 0 || *index >= count) {
    return fail(*node.kids[1], DiagnosticKind::bad_argument, "item {} of a tuple with {} members",
                *index, count);
  }
  return graph::make_tuple_get(leaf, static_cast<int>(*index));
}

// ---- Calls
// ---------------------------------------------------------------------------------------

Value ValueReader::read_call(const Node& node) {
  const Node& callee = *node.kids[0];
  std::string name = dotted_name(callee);
  if (name.starts_with("R.")) {
    bool handled = false;
    Value special = read_special(node, name.substr(2), &handled);
    if (handled) return special;
    const OpDef* op = find_op(node, name.substr(2));
    return op ? read_op_call(node, *op) : nullptr;
  }
  Value f = read(callee);
  return f ? read_function_call(node, std::move(f)) : nullptr;
}

Value ValueReader::read_function_call(const Node& node, Value callee) {
  if (const auto* g = graph::as<graph::GlobalNode>(callee); g && module_.globals[g->name]) {
    return fail(node, DiagnosticKind::type_mismatch,
                "`{}` is a tensor program: call it with `R.call_tir`", g->name);
  }
  std::vector<Value> args;
  for (size_t i = 1; i < node.kids.size(); ++i) {
    args.push_back(read(*node.kids[i]));
    if (!args.back()) return nullptr;
  }
  std::vector<Type> types;
  for (const Keyword& k : node.keywords) {
    if (!is_type_keyword(k.name)) {
      return context_.fail(DiagnosticKind::bad_argument, k.at, "a call of a function has no `{}`",
                           k.name);
    }
    scope_.bind_results(*k.value);
    if (!read_types(*k.value, &types)) return nullptr;
  }
  return graph::make_function_call(std::move(callee), std::move(args), std::move(types));
}

// R.make_closure(f, (a, b)): a closure that calls f with what it is given, and then a and b.
Value ValueReader::read_make_closure(const Node& node) {
  if (node.kids.size() != 3) {
    return fail(node, DiagnosticKind::wrong_arity,
                "`R.make_closure` takes a function and a tuple of what it captures");
  }
  const Value callee = read_leaf(*node.kids[1], node.at);
  const Value given = callee ? read_program_args(*node.kids[2]) : nullptr;
  if (!given) return nullptr;
  const auto* type = callee->type ? as<FunctionTypeNode>(callee->type) : nullptr;
  std::vector<Value> captured;
  for (const Value& v : graph::as<graph::TupleNode>(given)->fields) {
    captured.push_back(leaf_of(v, node.at));
    if (!captured.back()) return nullptr;
  }
  if (!type || type->opaque || type->params.size() < captured.size()) {
    return fail(*node.kids[1], DiagnosticKind::type_mismatch,
                "`R.make_closure` with {} captured values of a value of type `{}`, expected a "
                "function with as many parameters",
                captured.size(), callee->type ? to_string(callee->type) : "a tensor program");
  }
  const size_t count = type->params.size() - captured.size();
  VarMap symbols;
  for (size_t i = 0; i < captured.size(); ++i) {
    match_symbols(type->params[count + i], captured[i]->type, symbols);
  }
  std::vector<graph::Variable> params;
  for (size_t i = 0; i < count; ++i) {
    for (const Var& v : binding_symbols(type->params[i])) {
      symbols.emplace(v.get(), make_var(v->name, v->dtype, v->role));
    }
  }
  for (size_t i = 0; i < count; ++i) {
    params.push_back(
        graph::make_variable(fmt::format("a{}", i), substitute(type->params[i], symbols)));
  }
  std::vector<Value> args(params.begin(), params.end());
  args.insert(args.end(), captured.begin(), captured.end());
  Builder& b = module_.builder;
  b.begin_function("closure", params, {}, context_.span(node));
  auto result = b.emit(graph::make_function_call(callee, std::move(args)), "", context_.span(node));
  FunctionOptions options;
  options.is_pure = type->pure;
  auto closure = b.end_function(result.ok() ? Value(*result) : graph::make_tuple({}), options);
  if (!context_.check(result) || !context_.check(closure)) return nullptr;
  return *closure;
}

// A call of a value that holds a closure. Where its type doesn't say so, a cast does.
Value ValueReader::read_invoke_closure(const Node& node, bool is_pure) {
  if (node.kids.size() != 3) {
    return fail(node, DiagnosticKind::wrong_arity,
                "`R.invoke_closure` takes a closure and a tuple of arguments");
  }
  Value callee = read_leaf(*node.kids[1], node.at);
  const Value args = callee ? read_program_args(*node.kids[2]) : nullptr;
  if (!args) return nullptr;
  std::vector<Type> types;
  for (const Keyword& k : node.keywords) {
    if (!is_type_keyword(k.name)) {
      return context_.fail(DiagnosticKind::bad_argument, k.at, "`R.invoke_closure` has no `{}`",
                           k.name);
    }
    scope_.bind_results(*k.value);
    if (!read_types(*k.value, &types)) return nullptr;
  }
  const auto* known = callee->type ? as<FunctionTypeNode>(callee->type) : nullptr;
  if (known && !known->opaque) types.clear();  // its type says more
  if (!known) {
    const Type result = types.size() == 1 ? types[0] : any_type();
    auto cast = module_.builder.emit_match_cast(callee, opaque_function_type(result, is_pure),
                                                "closure", context_.span(node));
    if (!context_.check(cast)) return nullptr;
    callee = *cast;
  }
  return graph::make_function_call(std::move(callee), graph::as<graph::TupleNode>(args)->fields,
                                   std::move(types));
}

Value ValueReader::read_special(const Node& node, const std::string& name, bool* handled) {
  *handled = true;
  auto one = [&]() -> const Node* {
    if (node.kids.size() == 2) return node.kids[1];
    return fail(node, DiagnosticKind::wrong_arity, "`R.{}` takes one argument", name);
  };
  if (name == "const") return read_constant(node);
  if (name == "weight") return read_weight(node);
  if (name == "match_cast") {
    return fail(node, DiagnosticKind::syntax,
                "`R.match_cast` stands alone on the right-hand side of a binding");
  }
  if (name == "shape") {
    const Node* n = one();
    if (!n) return nullptr;
    auto dims = exprs_.read_shape(*n);
    return dims ? graph::make_shape(std::move(*dims)) : nullptr;
  }
  if (name == "prim_value") {
    const Node* n = one();
    if (!n) return nullptr;
    bool real = is_literal(*n) && n->kind == NodeKind::real;
    return prim_of(*n, exprs_.read(*n, real ? dtypes::float64 : dtypes::index));
  }
  if (name == "dtype") {
    const Node* n = one();
    auto dtype = n ? exprs_.read_dtype(*n) : std::nullopt;
    return dtype ? Value(make_ref<graph::DTypeNode>(*dtype)) : nullptr;
  }
  if (name == "str" || name == "ExternFunc") {
    const Node* n = one();
    if (!n) return nullptr;
    if (n->kind != NodeKind::string) {
      return fail(*n, DiagnosticKind::bad_argument, "expected a string");
    }
    if (name == "str") return make_ref<graph::StringNode>(n->text);
    return make_ref<graph::ExternNode>(n->text);
  }
  if (name == "tuple") return read_tuple(std::span(node.kids).subspan(1));
  if (name == "make_closure") return read_make_closure(node);
  if (name == "invoke_closure" || name == "invoke_pure_closure") {
    return read_invoke_closure(node, name == "invoke_pure_closure");
  }
  *handled = false;
  return nullptr;
}

}  // namespace repose::script

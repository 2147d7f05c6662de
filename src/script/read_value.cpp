// Values of graph functions: what R.… and cls.… calls, literals and operators mean.
#include "script/read_value.h"

#include <algorithm>

namespace repose::script {

using graph::Value;

namespace {

const Node* keyword(const Node& call, std::string_view name) {
  for (const Keyword& k : call.keywords) {
    if (k.name == name) return k.value;
  }
  return nullptr;
}

bool is_list(const Node& n) {
  return n.kind == NodeKind::tuple || n.kind == NodeKind::list;
}

bool takes_programs(const OpDef& op) {
  return op.name.starts_with("call_tir");
}
bool takes_result_type(const OpDef& op) {
  return takes_programs(op) || op.name == "call_dps_packed";
}
bool takes_extern(const OpDef& op) {
  return op.name.starts_with("call_") && op.name.ends_with("packed");
}
bool is_type_keyword(std::string_view name) {
  return name == "out_sinfo" || name == "out_ty" || name == "sinfo_args" || name == "ty_args";
}

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
      return callee.starts_with("T.") || callee.starts_with("tirx.");
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
    Expr e = exprs_.read(node, real ? dtypes::float64 : DType{});
    return e ? graph::make_prim(e) : nullptr;
  }
  switch (node.kind) {
    case NodeKind::name:
      return read_name(node);
    case NodeKind::string:
      return make_ref<graph::StringNode>(node.text);
    case NodeKind::tuple:
    case NodeKind::list: {
      std::vector<Value> fields;
      for (const Node* kid : node.kids) {
        Value v = read(*kid);
        if (!v) return nullptr;
        if (!graph::is_leaf(v) || !v->type) {
          auto leaf = module_.builder.normalize(v, context_.span(*kid));
          if (!leaf.ok()) {
            for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
            return nullptr;
          }
          v = *leaf;
        }
        fields.push_back(std::move(v));
      }
      return graph::make_tuple(std::move(fields));
    }
    case NodeKind::attribute: {
      std::string name = dotted_name(node);
      size_t dot = name.rfind('.');
      std::string owner = dot == std::string::npos ? "" : name.substr(0, dot);
      if (owner == "cls" || owner == module_.module_name) return read_global(node, node.text);
      return fail(node, DiagnosticKind::unknown_name, "unknown name `{}`", name);
    }
    case NodeKind::unary: {
      const char* op = node.text == "-"     ? "negative"
                       : node.text == "~"   ? "bitwise_not"
                       : node.text == "not" ? "logical_not"
                                            : nullptr;
      if (!op) return read(*node.kids[0]);
      const OpDef* def = find_op(node, op);
      Value v = read(*node.kids[0]);
      return def && v ? graph::make_op_call(*def, {v}) : nullptr;
    }
    case NodeKind::binary:
      return read_binary(node);
    case NodeKind::subscript:
      return read_item(node);
    case NodeKind::call:
      return read_call(node);
    default:
      break;
  }
  return fail(node, DiagnosticKind::syntax, "expected a value");
}

const OpDef* ValueReader::find_op(const Node& node, const std::string& name) {
  const OpDef* op = module_.builder.ops().find(name);
  if (op) return op;
  std::vector<std::string> names = {"const", "shape",  "prim_value", "dtype",     "str",
                                    "tuple", "weight", "ExternFunc", "match_cast"};
  for (const OpDef* o : module_.builder.ops().all()) names.emplace_back(o->name);
  return fail(node, DiagnosticKind::unknown_name, "unknown operator `R.{}`{}", name,
              suggest(name, names));
}

Value ValueReader::read_name(const Node& node) {
  if (graph::Variable v = scope_.find_value(node.text)) return v;
  if (module_.globals.count(node.text)) return read_global(node, node.text);
  if (scope_.explain(node)) return nullptr;
  return fail(node, DiagnosticKind::unknown_name, "unknown name `{}`{}", node.text,
              suggest(node.text, scope_.candidates()));
}

Value ValueReader::read_global(const Node& node, const std::string& name) {
  auto it = module_.globals.find(name);
  if (it == module_.globals.end()) {
    std::vector<std::string> names;
    for (const auto& [n, is_program] : module_.globals) names.push_back(n);
    return fail(node, DiagnosticKind::unknown_name, "the module has no function `{}`{}", name,
                suggest(name, names));
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

Value ValueReader::read_binary(const Node& node) {
  std::vector<const Node*> spine{&node};
  while (spine.back()->kids[0]->kind == NodeKind::binary && !is_scalar(*spine.back()->kids[0])) {
    spine.push_back(spine.back()->kids[0]);
  }
  Value left;
  auto typed = [&](const Node& n, Value v) -> Value {
    if (!v) return nullptr;
    auto leaf = module_.builder.normalize(v, context_.span(n));
    if (leaf.ok()) return *leaf;
    for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
    return nullptr;
  };
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
      right = typed(b, read_arg(b, *op, &tensor, {}));
      if (right) left = read_arg(a, *op, &tensor, like(right));
    } else {
      if (!left) left = typed(a, read_arg(a, *op, &tensor, {}));
      if (left) right = typed(b, read_arg(b, *op, &tensor, like(left)));
    }
    if (!left || !right) return nullptr;
    left = graph::make_op_call(*op, {left, right});
    if (i > 0) left = typed(n, left);
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
  Value v = read(base);
  if (!v) return nullptr;
  auto leaf = module_.builder.normalize(v, context_.span(base));
  if (!leaf.ok()) {
    for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
    return nullptr;
  }
  const auto* tuple = as<TupleTypeNode>((*leaf)->type);
  auto index = node.kids.size() == 2 ? constant_integer(*node.kids[1]) : std::nullopt;
  if (!tuple || !index) {
    return fail(node, DiagnosticKind::type_mismatch,
                "`[…]` takes an item of a tuple by a constant; this value has type `{}`",
                (*leaf)->type ? to_string((*leaf)->type) : "a tensor program");
  }
  auto count = static_cast<int64_t>(tuple->fields.size());
  if (*index < 0) *index += count;
  if (*index < 0 || *index >= count) {
    return fail(*node.kids[1], DiagnosticKind::bad_argument, "item {} of a tuple with {} members",
                *index, count);
  }
  return graph::make_tuple_get(*leaf, static_cast<int>(*index));
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
    std::string op_name = name.substr(2);
    // R.nn.relu, R.image.resize2d: the last part is the operator's name.
    if (!module_.builder.ops().find(op_name) && op_name.rfind('.') != std::string::npos) {
      op_name = op_name.substr(op_name.rfind('.') + 1);
    }
    const OpDef* op = find_op(node, op_name);
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
    std::vector<const Node*> list{k.value};
    if (is_list(*k.value)) list.assign(k.value->kids.begin(), k.value->kids.end());
    for (const Node* n : list) {
      types.push_back(types_.read(*n));
      if (!types.back()) return nullptr;
    }
  }
  return graph::make_function_call(std::move(callee), std::move(args), std::move(types));
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
    Expr e = exprs_.read(*n, real ? dtypes::float64 : dtypes::index);
    if (e && e->kind == ExprKind::string_imm) {
      return fail(*n, DiagnosticKind::bad_argument, "a prim value is a number");
    }
    return e ? graph::make_prim(e) : nullptr;
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
  if (name == "tuple") {
    std::vector<Value> fields;
    for (size_t i = 1; i < node.kids.size(); ++i) {
      Value v = read(*node.kids[i]);
      auto leaf = v ? module_.builder.normalize(v, context_.span(*node.kids[i]))
                    : Result<Value>(Diagnostics{});
      if (!v) return nullptr;
      if (!leaf.ok()) {
        for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
        return nullptr;
      }
      fields.push_back(*leaf);
    }
    return graph::make_tuple(std::move(fields));
  }
  *handled = false;
  return nullptr;
}

// ---- Constants
// -----------------------------------------------------------------------------------

namespace {

// The shape of nested lists; false: they are ragged.
bool list_shape(const Node& node, std::vector<int64_t>* shape, size_t depth,
                std::vector<const Node*>* elements) {
  if (!is_list(node)) {
    elements->push_back(&node);
    return depth == shape->size();
  }
  auto size = static_cast<int64_t>(node.kids.size());
  if (depth == shape->size()) {
    if (!elements->empty()) return false;
    shape->push_back(size);
  }
  if ((*shape)[depth] != size) return false;
  for (const Node* kid : node.kids) {
    if (!list_shape(*kid, shape, depth + 1, elements)) return false;
  }
  return true;
}

}  // namespace

Value ValueReader::read_constant(const Node& node) {
  if (node.kids.size() < 2) {
    return fail(node, DiagnosticKind::wrong_arity, "`R.const` takes a value and a dtype");
  }
  const Node& value = *node.kids[1];
  const Node* dtype_node = node.kids.size() > 2 ? node.kids[2] : keyword(node, "dtype");
  std::vector<int64_t> shape;
  std::vector<const Node*> elements;
  if (!list_shape(value, &shape, 0, &elements)) {
    return fail(value, DiagnosticKind::bad_literal, "the lists of a constant differ in length");
  }
  DType dtype = dtypes::int32;
  for (const Node* e : elements) {
    if (e->kind == NodeKind::boolean && dtype == dtypes::int32) dtype = dtypes::boolean;
    bool negated = e->kind == NodeKind::unary;
    if ((negated ? e->kids[0] : e)->kind == NodeKind::real) dtype = dtypes::float32;
  }
  if (dtype_node) {
    auto d = exprs_.read_dtype(*dtype_node);
    if (!d) return nullptr;
    dtype = *d;
  }
  if (!dtype || dtype.is_vector() || dtype.is_handle()) {
    return fail(node, DiagnosticKind::bad_literal, "a constant of dtype `{}`", dtype.to_string());
  }
  std::string name;
  for (const Keyword& k : node.keywords) {
    if (k.name == "name" && k.value->kind == NodeKind::string) {
      name = k.value->text;
    } else if (k.name == "shape" && is_list(*k.value) && elements.empty()) {
      shape.clear();
      bool empty = false;
      for (const Node* d : k.value->kids) {
        auto size = constant_integer(*d);
        if (!size || *size < 0) {
          return fail(*d, DiagnosticKind::bad_literal, "expected a dimension");
        }
        empty = empty || *size == 0;
        shape.push_back(*size);
      }
      if (!empty) {
        return fail(*k.value, DiagnosticKind::bad_literal,
                    "a constant without elements has shape {}", "that is not empty");
      }
    } else if (k.name != "dtype") {
      return context_.fail(DiagnosticKind::bad_argument, k.at, "`R.const` has no `{}` here",
                           k.name);
    }
  }
  if (array_bytes(shape, dtype) < 0) {
    return fail(node, DiagnosticKind::too_large, "a constant of this shape is too large");
  }
  Ref<ArrayNode> array = make_array(shape, dtype);
  for (size_t i = 0; i < elements.size(); ++i) {
    const Node& e = *elements[i];
    if (e.kind != NodeKind::boolean && !is_literal(e)) {
      return fail(e, DiagnosticKind::bad_literal, "expected a number");
    }
    Scalar s;
    if (e.kind == NodeKind::boolean) {
      s = dtype.is_float() ? Scalar::of_float(e.text == "True", dtype)
                           : Scalar::of_int(e.text == "True", dtype);
    } else {
      Expr literal = exprs_.read(e, dtype);
      if (!literal) return nullptr;
      if (const auto* f = as<FloatImmNode>(literal)) s = Scalar::of_float(f->value, dtype);
      if (const auto* n = as<IntImmNode>(literal)) s = Scalar::of_int(n->value, dtype);
    }
    array->store(static_cast<int64_t>(i), s);
  }
  return graph::make_constant(Array(array), name);
}

Value ValueReader::read_weight(const Node& node) {
  if (node.kids.size() != 3 || node.kids[1]->kind != NodeKind::string) {
    return fail(node, DiagnosticKind::wrong_arity, "`R.weight` takes a name and a type");
  }
  const std::string& name = node.kids[1]->text;
  Type type = types_.read(*node.kids[2]);
  if (!type) return nullptr;
  const auto* tensor = as<TensorTypeNode>(type);
  std::vector<int64_t> shape;
  bool known = tensor && tensor->shape && tensor->dtype;
  if (known) {
    for (const Expr& dim : *tensor->shape) {
      int64_t size = 0;
      known = known && as_const_int(dim, &size);
      shape.push_back(size);
    }
  }
  if (!known) {
    return fail(*node.kids[2], DiagnosticKind::type_mismatch,
                "a weight has a type with a constant shape and a dtype");
  }
  Array data = module_.options.weights ? module_.options.weights(name) : nullptr;
  if (!data) {
    return fail(node, DiagnosticKind::missing_value, "no weight `{}` beside the text", name);
  }
  if (data->shape != shape || data->dtype != tensor->dtype) {
    std::vector<std::string> sizes;
    for (int64_t d : data->shape) sizes.push_back(std::to_string(d));
    return fail(node, DiagnosticKind::shape_mismatch,
                "weight `{}` has shape ({}) and dtype `{}`, expected `{}`", name,
                fmt::join(sizes, ", "), data->dtype.to_string(), to_string(type));
  }
  return graph::make_constant(std::move(data), name);
}

// ---- Operators
// -----------------------------------------------------------------------------------

Value ValueReader::read_arg(const Node& node, const OpDef& op, const ArgSpec* spec, DType like) {
  ArgKind kind = spec ? spec->kind : ArgKind::any;
  if (node.kind == NodeKind::none) {
    const OpDef* null_value = find_op(node, "null_value");
    return null_value ? graph::make_op_call(*null_value, {}) : nullptr;
  }
  switch (kind) {
    case ArgKind::shape:
      if (is_list(node)) {
        auto dims = exprs_.read_shape(node);
        return dims ? graph::make_shape(std::move(*dims)) : nullptr;
      }
      if (is_scalar(node) && !(node.kind == NodeKind::name && scope_.find_value(node.text))) {
        Expr e = exprs_.read_index(node);
        return e ? graph::make_shape({e}) : nullptr;
      }
      break;
    case ArgKind::tensor:
      if (is_literal(node) && !(node.kind == NodeKind::name && scope_.find_variable(node))) {
        DType dtype = like ? like
                      : node.kind == NodeKind::integer || (node.kind == NodeKind::unary &&
                                                           node.kids[0]->kind == NodeKind::integer)
                          ? dtypes::int32
                          : dtypes::float32;
        Expr e = exprs_.read(node, dtype);
        if (!e) return nullptr;
        const auto* f = as<FloatImmNode>(e);
        Scalar s = f ? Scalar::of_float(f->value, e->dtype)
                     : Scalar::of_int(as<IntImmNode>(e)->value, e->dtype);
        return graph::make_constant(make_scalar_array(s));
      }
      break;
    case ArgKind::dtype:
      if (node.kind == NodeKind::string) {
        auto dtype = exprs_.read_dtype(node);
        return dtype ? Value(make_ref<graph::DTypeNode>(*dtype)) : nullptr;
      }
      break;
    case ArgKind::prim:
      if (is_literal(node) && node.kind != NodeKind::real) {
        Expr e = exprs_.read(node);
        return e ? graph::make_prim(e) : nullptr;
      }
      break;
    default:
      break;
  }
  if (node.kind == NodeKind::string && takes_extern(op)) {
    return make_ref<graph::ExternNode>(node.text);
  }
  return read(node);
}

// The arguments of a program: a literal tuple, whatever way they are written.
Value ValueReader::read_program_args(const Node& node) {
  Value v = read(node);
  if (!v || graph::as<graph::TupleNode>(v)) return v;
  auto leaf = module_.builder.normalize(v, context_.span(node));
  if (!leaf.ok()) {
    for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
    return nullptr;
  }
  const auto* tuple = as<TupleTypeNode>((*leaf)->type);
  if (!tuple) return graph::make_tuple({*leaf});
  std::vector<Value> fields;
  for (size_t i = 0; i < tuple->fields.size(); ++i) {
    auto item = module_.builder.emit(graph::make_tuple_get(*leaf, static_cast<int>(i)), "",
                                     context_.span(node));
    if (!item.ok()) return nullptr;
    fields.push_back(*item);
  }
  return graph::make_tuple(std::move(fields));
}

bool ValueReader::read_type_args(const Node& node, const OpDef& op, std::vector<Type>* out) {
  std::vector<const Node*> list{&node};
  bool listed = node.kind == NodeKind::list || node.kind == NodeKind::tuple;
  if (listed) list.assign(node.kids.begin(), node.kids.end());
  std::vector<Type> types;
  for (const Node* n : list) {
    types.push_back(types_.read(*n));
    if (!types.back()) return false;
  }
  if (takes_result_type(op)) {
    Type result = types.size() == 1 ? types[0] : tuple_type(types);
    *out = {result};
  } else {
    *out = std::move(types);
  }
  return true;
}

// A program that is called with tir_vars= takes its symbols after its results: here they stand
// before them, like all that is passed in.
bool ValueReader::permute_program(const Node& node, const std::string& program, size_t symbols,
                                  size_t results) {
  auto known = module_.tir_var_calls.find(program);
  bool uses = symbols > 0;
  if (known != module_.tir_var_calls.end()) {
    if (known->second == uses) return true;
    fail(node, DiagnosticKind::bad_argument,
         "`{}` is called with `tir_vars=` here and without it elsewhere", program);
    return false;
  }
  module_.tir_var_calls[program] = uses;
  tir::PrimFunc f = module_.builder.module().prim_func(program);
  if (!uses || !f) return true;
  std::vector<tir::Param> params = f->params;
  if (params.size() < symbols + results) {
    fail(node, DiagnosticKind::wrong_arity,
         "`{}` takes {} arguments, fewer than its results and `tir_vars`", program, params.size());
    return false;
  }
  auto first = params.end() - static_cast<std::ptrdiff_t>(symbols + results);
  std::rotate(first, params.end() - static_cast<std::ptrdiff_t>(symbols), params.end());
  module_.builder.module().set(
      program, tir::make_prim_func(std::move(params), f->body, f->is_private, f->attrs, f->span));
  return true;
}

Value ValueReader::read_op_call(const Node& node, const OpDef& op) {
  std::vector<Value> args(op.args.size());
  Attrs attrs;
  std::vector<Type> types;
  size_t next_attr = 0;
  const Node* tir_vars = nullptr;
  std::vector<std::pair<const Node*, const AttrSpec*>> attr_nodes;
  std::vector<std::pair<const Node*, size_t>> arg_nodes;  // SIZE_MAX: a further argument
  for (size_t i = 1; i < node.kids.size(); ++i) {
    const Node& n = *node.kids[i];
    size_t place = i - 1;
    std::string callee = n.kind == NodeKind::call ? dotted_name(*n.kids[0]) : "";
    bool is_type = takes_result_type(op) && place >= op.args.size() &&
                   (callee == "R.Tensor" || callee == "R.Tuple" || n.kind == NodeKind::list);
    if (is_type) {
      if (!read_type_args(n, op, &types)) return nullptr;
    } else if (place < op.args.size()) {
      arg_nodes.emplace_back(&n, place);
    } else if (op.variadic) {
      if (n.kind == NodeKind::list) {
        for (const Node* kid : n.kids) arg_nodes.emplace_back(kid, SIZE_MAX);
      } else {
        arg_nodes.emplace_back(&n, SIZE_MAX);
      }
    } else if (next_attr < op.attrs.size()) {
      attr_nodes.emplace_back(&n, &op.attrs[next_attr++]);
    } else {
      return fail(n, DiagnosticKind::wrong_arity, "too many arguments of `R.{}`: it takes {}",
                  op.name, op.args.size() + op.attrs.size());
    }
  }
  std::vector<Position> extra_at;
  for (const Keyword& k : node.keywords) {
    if (is_type_keyword(k.name)) {
      if (!read_type_args(*k.value, op, &types)) return nullptr;
      continue;
    }
    if (k.name == "tir_vars" && takes_programs(op)) {
      tir_vars = k.value;
      continue;
    }
    auto arg = std::find_if(op.args.begin(), op.args.end(),
                            [&](const ArgSpec& a) { return k.name == a.name; });
    auto attr = std::find_if(op.attrs.begin(), op.attrs.end(),
                             [&](const AttrSpec& a) { return k.name == a.name; });
    if (arg != op.args.end()) {
      auto place = static_cast<size_t>(arg - op.args.begin());
      for (const auto& [n, p] : arg_nodes) {
        if (p == place) {
          return context_.fail(DiagnosticKind::bad_argument, k.at, "argument `{}` is given twice",
                               k.name);
        }
      }
      arg_nodes.emplace_back(k.value, place);
    } else if (attr != op.attrs.end()) {
      for (const auto& [n, spec] : attr_nodes) {
        if (spec == &*attr) {
          return context_.fail(DiagnosticKind::bad_argument, k.at, "argument `{}` is given twice",
                               k.name);
        }
      }
      attr_nodes.emplace_back(k.value, &*attr);
    } else {
      std::vector<std::string> names;
      for (const ArgSpec& a : op.args) names.emplace_back(a.name);
      for (const AttrSpec& a : op.attrs) names.emplace_back(a.name);
      return context_.fail(DiagnosticKind::bad_argument, k.at, "`R.{}` has no argument `{}`{}",
                           op.name, k.name, suggest(k.name, names));
    }
  }
  DType like;
  std::vector<Value> further;
  // Literals last: they take the dtype of a tensor among the others.
  for (bool literals : {false, true}) {
    for (const auto& [n, place] : arg_nodes) {
      bool has_place = place != SIZE_MAX;
      bool is_late = has_place && is_literal(*n) && op.args[place].kind == ArgKind::tensor;
      if (is_late != literals) continue;
      Value v = takes_result_type(op) && place == 1
                    ? read_program_args(*n)
                    : read_arg(*n, op, has_place ? &op.args[place] : nullptr, like);
      if (!v) return nullptr;
      if (has_place && op.args[place].kind == ArgKind::tensor && !like) {
        auto leaf = module_.builder.normalize(v, context_.span(*n));
        if (!leaf.ok()) {
          for (const Diagnostic& d : leaf.errors()) context_.errors.push_back(d);
          return nullptr;
        }
        v = *leaf;
        if (const auto* t = as<TensorTypeNode>(v->type)) like = t->dtype;
      }
      if (has_place) {
        args[place] = std::move(v);
      } else {
        further.push_back(std::move(v));
      }
    }
  }
  for (const auto& [n, spec] : attr_nodes) {
    auto value = read_attr(context_, exprs_, *n);
    if (!value) return nullptr;
    attrs.set(spec->name, std::move(*value));
  }
  // Operands that are left out: at the end they are absent, before others they are null values.
  while (!args.empty() && !args.back() && op.args[args.size() - 1].optional && further.empty()) {
    args.pop_back();
  }
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i]) continue;
    const OpDef* null_value = op.args[i].optional ? find_op(node, "null_value") : nullptr;
    if (!null_value) {
      return fail(node, DiagnosticKind::wrong_arity, "`R.{}` needs its argument `{}`", op.name,
                  op.args[i].name);
    }
    args[i] = graph::make_op_call(*null_value, {});
  }
  args.insert(args.end(), further.begin(), further.end());
  if (takes_programs(op)) {
    const auto* program = graph::as<graph::GlobalNode>(args[0]);
    if (!program || !module_.globals[program->name]) {
      return fail(*node.kids[1], DiagnosticKind::type_mismatch,
                  "`R.{}` calls a tensor program of the module", op.name);
    }
    size_t symbols = 0;
    if (tir_vars) {
      Value v = read_arg(*tir_vars, op, nullptr, {});
      const auto* shape = graph::as<graph::ShapeNode>(v);
      if (!v) return nullptr;
      if (!shape) {
        return fail(*tir_vars, DiagnosticKind::bad_argument, "expected `R.shape([…])`");
      }
      std::vector<Value> all = graph::as<graph::TupleNode>(args[1])->fields;
      for (const Expr& e : shape->dims) all.push_back(graph::make_prim(e));
      symbols = shape->dims.size();
      args[1] = graph::make_tuple(std::move(all));
    }
    const auto* tuple = types.empty() ? nullptr : as<TupleTypeNode>(types[0]);
    if (!permute_program(node, program->name, symbols, tuple ? tuple->fields.size() : 1)) {
      return nullptr;
    }
  }
  return graph::make_op_call(op, std::move(args), std::move(attrs), std::move(types));
}

}  // namespace repose::script

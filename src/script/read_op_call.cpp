// Calls of operators: arguments by place and name, attributes, types, programs.
#include <algorithm>

#include "script/literal.h"
#include "script/read_attr.h"
#include "script/read_value.h"
#include "script/suggest.h"

namespace repose::script {

using graph::Value;

namespace {

bool takes_programs(const OpDef& op) {
  return op.name.starts_with("call_tir");
}
bool takes_result_type(const OpDef& op) {
  return takes_programs(op) || op.name == "call_dps_packed";
}
bool takes_extern(const OpDef& op) {
  return op.name.starts_with("call_") && op.name.ends_with("packed");
}

// TVM gives the axes of a strided_slice before its bounds; we, by name.
bool takes_axes_first(const Node& call, const OpDef& op) {
  return op.name == "strided_slice" && !keyword_argument(call, "axes") &&
         (call.kids.size() > 4 || keyword_argument(call, "begin") || keyword_argument(call, "end"));
}

// Whether an operand that may be left out is, as something stands in its place that is no tensor:
// the mode of nn.pad(x, widths, "reflect").
bool is_left_out(const ArgSpec& spec, const Node& given) {
  return spec.optional && spec.kind == ArgKind::tensor && given.kind == NodeKind::string;
}

// A constant where TVM's attribute of that name is a tensor: nn.pad(…, pad_value=R.const(0, …)).
std::optional<size_t> tensor_place(const Keyword& k, const OpDef& op) {
  const bool is_fill = op.name == "nn.pad" && k.name == "pad_value" &&
                       (k.value->kind == NodeKind::call || k.value->kind == NodeKind::name);
  return is_fill ? std::optional<size_t>(2) : std::nullopt;
}

// The operand that TVM calls `name`.
std::optional<size_t> their_place(std::string_view name, const OpDef& op) {
  static constexpr std::pair<std::string_view, size_t> names[] = {
      {"data", 0}, {"x", 0},      {"input_tensor", 0}, {"input", 0},     {"x1", 0},
      {"lhs", 0},  {"expr", 0},   {"tensors", 0},      {"condition", 0}, {"x2", 1},
      {"rhs", 1},  {"weight", 1}, {"indices", 1},      {"shape", 1},     {"fill_value", 1}};
  const bool is_operand = name == "x1" || name == "x2";
  const size_t behind = is_operand && op.name == "where" ? 1 : 0;  // the condition
  for (const auto& [theirs, place] : names) {
    if (name == theirs && place + behind < op.args.size()) return place + behind;
  }
  return std::nullopt;
}

}  // namespace

// ---- Arguments

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
        DType dtype = like ? like : is_integer_literal(node) ? dtypes::int32 : dtypes::float32;
        Expr e = exprs_.read(node, dtype);
        if (!e) return nullptr;
        // `-inf` may be a symbol's.
        if (auto value = scalar_of(e)) return graph::make_constant(make_scalar_array(*value));
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
        return prim_of(node, exprs_.read(node));
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

Value ValueReader::read_leaf_arg(const Node& node, const OpDef& op, const ArgSpec* spec,
                                 DType like) {
  Value v = read_arg(node, op, spec, like);
  return v ? leaf_of(v, node.at) : nullptr;
}

// The arguments of a program: a literal tuple, whatever way they are written.
Value ValueReader::read_program_args(const Node& node) {
  Value v = read(node);
  if (!v || graph::as<graph::TupleNode>(v)) return v;
  Value leaf = leaf_of(v, node.at);
  if (!leaf) return nullptr;
  const auto* tuple = as<TupleTypeNode>(leaf->type);
  if (!tuple) return graph::make_tuple({leaf});
  std::vector<Value> fields;
  for (size_t i = 0; i < tuple->fields.size(); ++i) {
    auto item = module_.builder.emit(graph::make_tuple_get(leaf, static_cast<int>(i)), "",
                                     context_.span(node));
    if (!context_.check(item)) return nullptr;
    fields.push_back(*item);
  }
  return graph::make_tuple(std::move(fields));
}

bool ValueReader::read_types(const Node& node, std::vector<Type>* types) {
  const Node* const one = &node;
  std::span<const Node* const> list(&one, 1);
  if (is_list(node)) list = node.kids;
  for (const Node* n : list) {
    types->push_back(types_.read(*n));
    if (!types->back()) return false;
  }
  return true;
}

// ---- Calls

// The arguments of a call, sorted, before they are read.
struct ValueReader::OpCall {
  const Node& node;
  const OpDef& op;
  std::vector<const Node*> operands;  // by place; null: left out
  std::vector<const Node*> further;   // behind the places, of a variadic operator
  std::vector<const Node*> attrs;     // by place
  std::vector<Type> types;
  const Node* tir_vars = nullptr;

  OpCall(const Node& call, const OpDef& def)
      : node(call), op(def), operands(def.args.size()), attrs(def.attrs.size()) {}
};

bool ValueReader::read_type_args(const Node& node, OpCall& call) {
  std::vector<Type> types;
  if (takes_extern(call.op) && !takes_result_type(call.op)) scope_.bind_results(node);
  if (!read_types(node, &types)) return false;
  if (takes_result_type(call.op)) {
    call.types = {types.size() == 1 ? types[0] : tuple_type(types)};
  } else {
    call.types = std::move(types);
  }
  return true;
}

bool ValueReader::sort_positional(OpCall& call) {
  size_t next_attr = 0;
  std::vector<Node*> given(call.node.kids.begin() + 1, call.node.kids.end());
  if (takes_axes_first(call.node, call.op) && given.size() > 1) {
    call.attrs[0] = given[1];
    given.erase(given.begin() + 1);
    ++next_attr;
  }
  size_t skipped = 0;
  for (size_t i = 0; i < given.size(); ++i) {
    const Node& n = *given[i];
    size_t place = i + skipped;
    while (place < call.operands.size() && is_left_out(call.op.args[place], n)) {
      ++place;
      ++skipped;
    }
    std::string callee = callee_name(&n);
    bool is_type = takes_result_type(call.op) && place >= call.operands.size() &&
                   (callee == "R.Tensor" || callee == "R.Tuple" || n.kind == NodeKind::list);
    if (is_type) {
      if (!read_type_args(n, call)) return false;
    } else if (place < call.operands.size()) {
      call.operands[place] = &n;
    } else if (call.op.variadic && n.kind == NodeKind::list) {
      call.further.insert(call.further.end(), n.kids.begin(), n.kids.end());
    } else if (call.op.variadic) {
      call.further.push_back(&n);
    } else if (next_attr < call.attrs.size()) {
      call.attrs[next_attr++] = &n;
    } else {
      fail(n, DiagnosticKind::wrong_arity, "too many arguments of `R.{}`: it takes {}",
           call.op.name, call.operands.size() + call.attrs.size());
      return false;
    }
  }
  return true;
}

bool ValueReader::sort_keywords(OpCall& call) {
  std::vector<std::string> names;
  for (const ArgSpec& a : call.op.args) names.emplace_back(a.name);
  for (const AttrSpec& a : call.op.attrs) names.emplace_back(a.name);
  for (const Keyword& k : call.node.keywords) {
    if (is_type_keyword(k.name)) {
      if (!read_type_args(*k.value, call)) return false;
      continue;
    }
    if (k.name == "tir_vars" && takes_programs(call.op)) {
      call.tir_vars = k.value;
      continue;
    }
    auto place = static_cast<size_t>(std::find(names.begin(), names.end(), k.name) - names.begin());
    if (place == names.size()) place = their_place(k.name, call.op).value_or(place);
    place = tensor_place(k, call.op).value_or(place);
    if (place == names.size()) {
      context_.fail(DiagnosticKind::bad_argument, k.at, "`R.{}` has no argument `{}`{}",
                    call.op.name, k.name, suggest(k.name, names));
      return false;
    }
    const Node*& given = place < call.operands.size() ? call.operands[place]
                                                      : call.attrs[place - call.operands.size()];
    if (given) {
      context_.fail(DiagnosticKind::bad_argument, k.at, "argument `{}` is given twice", k.name);
      return false;
    }
    given = k.value;
  }
  return true;
}

// One value per place; null: left out.
bool ValueReader::read_operands(const OpCall& call, std::vector<Value>* operands) {
  operands->resize(call.operands.size());
  DType like;
  // Literals last: they take the dtype of a tensor among the others.
  for (bool literals : {false, true}) {
    for (size_t i = 0; i < call.operands.size(); ++i) {
      const Node* n = call.operands[i];
      const ArgSpec& spec = call.op.args[i];
      const bool is_tensor = spec.kind == ArgKind::tensor;
      if (!n || (is_tensor && is_literal(*n)) != literals) continue;
      Value v = takes_result_type(call.op) && i == 1 ? read_program_args(*n)
                                                     : read_arg(*n, call.op, &spec, like);
      if (v && is_tensor && !like) {
        v = leaf_of(v, n->at);
        const auto* t = v ? as<TensorTypeNode>(v->type) : nullptr;
        if (t) like = t->dtype;
      }
      if (!v) return false;
      (*operands)[i] = std::move(v);
    }
  }
  return true;
}

// Operands that are left out: at the end they are absent, before others they are null values.
bool ValueReader::fill_left_out(const OpCall& call, std::vector<Value>* operands) {
  while (!operands->empty() && !operands->back() && call.op.args[operands->size() - 1].optional &&
         call.further.empty()) {
    operands->pop_back();
  }
  for (size_t i = 0; i < operands->size(); ++i) {
    if ((*operands)[i]) continue;
    const ArgSpec& spec = call.op.args[i];
    const OpDef* null_value = spec.optional ? find_op(call.node, "null_value") : nullptr;
    if (!null_value) {
      fail(call.node, DiagnosticKind::wrong_arity, "`R.{}` needs its argument `{}`", call.op.name,
           spec.name);
      return false;
    }
    (*operands)[i] = graph::make_op_call(*null_value, {});
  }
  return true;
}

// A program's call: `tir_vars=` becomes arguments like any other.
bool ValueReader::pass_symbols(const OpCall& call, std::vector<Value>* operands) {
  const auto* program = graph::as<graph::GlobalNode>((*operands)[0]);
  if (!program || !module_.globals[program->name]) {
    fail(*call.node.kids[1], DiagnosticKind::type_mismatch,
         "`R.{}` calls a tensor program of the module", call.op.name);
    return false;
  }
  size_t symbols = 0;
  if (call.tir_vars) {
    Value v = read_arg(*call.tir_vars, call.op, nullptr, {});
    if (!v) return false;
    const auto* shape = graph::as<graph::ShapeNode>(v);
    if (!shape) {
      fail(*call.tir_vars, DiagnosticKind::bad_argument, "expected `R.shape([…])`");
      return false;
    }
    std::vector<Value> all = graph::as<graph::TupleNode>((*operands)[1])->fields;
    for (const Expr& e : shape->dims) all.push_back(graph::make_prim(e));
    symbols = shape->dims.size();
    (*operands)[1] = graph::make_tuple(std::move(all));
  }
  const auto* tuple = call.types.empty() ? nullptr : as<TupleTypeNode>(call.types[0]);
  return permute_program(call.node, program->name, symbols, tuple ? tuple->fields.size() : 1);
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
  OpCall call(node, op);
  std::vector<Value> operands;
  if (!sort_positional(call) || !sort_keywords(call)) return nullptr;
  if (!read_operands(call, &operands)) return nullptr;
  std::vector<Value> further;
  for (const Node* n : call.further) {
    further.push_back(read_arg(*n, op, nullptr, {}));
    if (!further.back()) return nullptr;
  }
  Attrs attrs;
  for (size_t i = 0; i < call.attrs.size(); ++i) {
    if (!call.attrs[i]) continue;
    auto value = read_attr(context_, exprs_, *call.attrs[i]);
    if (!value) return nullptr;
    attrs.set(op.attrs[i].name, std::move(*value));
  }
  if (!fill_left_out(call, &operands)) return nullptr;
  operands.insert(operands.end(), further.begin(), further.end());
  if (takes_programs(op) && !pass_symbols(call, &operands)) return nullptr;
  return graph::make_op_call(op, std::move(operands), std::move(attrs), std::move(call.types));
}

}  // namespace repose::script

// Graph functions as text.
#include "ir/op.h"
#include "script/print_names.h"

namespace repose::script {

namespace {

using graph::Value;

class GraphPrinter {
 public:
  GraphPrinter(UniqueNames& names, WeightNames& weights)
      : names_(names), text_(names), weights_(weights) {}

  void function(Lines& out, const graph::FunctionNode& f, const std::string& name, bool is_closure);

 private:
  UniqueNames& names_;
  TextPrinter text_;
  WeightNames& weights_;
  std::unordered_set<const graph::ValueNode*> used_;
  std::unordered_set<const VarNode*> in_scope_;  // symbols

  std::string name_of(const graph::VariableNode& v) { return names_.of(&v, v.name); }
  std::string value(const Value& v);
  std::string call(const graph::CallNode& c);
  std::string list(const std::vector<Value>& values);
  void find_uses(const graph::Body& body);
  void bind_symbols(const Type& t) {
    for (const Var& v : binding_symbols(t)) in_scope_.insert(v.get());
  }
  void body(Lines& out, const graph::BodyNode& b, const graph::VariableNode* result,
            const Type& result_type);
  bool is_call_alone(const graph::Binding& b) const;
  void binding(Lines& out, const graph::Binding& b);
  void if_binding(Lines& out, const graph::Binding& b, const graph::IfNode& branch);
};

void GraphPrinter::find_uses(const graph::Body& body) {
  auto use = [&](const Value& v) {
    std::vector<Value> stack{v};
    while (!stack.empty()) {
      Value top = stack.back();
      stack.pop_back();
      used_.insert(top.get());
      graph::visit_operands(top, [&](const Value& operand) { stack.push_back(operand); });
    }
  };
  std::vector<graph::Body> bodies{body};
  while (!bodies.empty()) {
    graph::Body b = bodies.back();
    bodies.pop_back();
    use(b->result);
    for (const graph::Block& block : b->blocks) {
      for (const graph::Binding& binding : block.bindings) {
        use(binding.value);
        if (const auto* branch = graph::as<graph::IfNode>(binding.value)) {
          bodies.push_back(branch->then_body);
          bodies.push_back(branch->else_body);
        }
        if (const auto* f = graph::as<graph::FunctionNode>(binding.value))
          bodies.push_back(f->body);
      }
    }
  }
}

std::string GraphPrinter::list(const std::vector<Value>& values) {
  std::string out;
  for (const Value& v : values) out += (out.empty() ? "" : ", ") + value(v);
  return out;
}

std::string GraphPrinter::value(const Value& v) {
  using graph::ValueKind;
  switch (v->kind) {
    case ValueKind::variable:
      return name_of(*graph::as<graph::VariableNode>(v));
    case ValueKind::constant:
      return print_constant(*graph::as<graph::ConstantNode>(v), weights_);
    case ValueKind::tuple: {
      const auto& fields = graph::as<graph::TupleNode>(v)->fields;
      if (fields.empty()) return "R.tuple()";
      return "(" + list(fields) + (fields.size() == 1 ? ",)" : ")");
    }
    case ValueKind::tuple_get: {
      const auto* get = graph::as<graph::TupleGetNode>(v);
      return fmt::format("{}[{}]", value(get->tuple), get->index);
    }
    case ValueKind::shape:
      return "R.shape([" + text_.exprs(graph::as<graph::ShapeNode>(v)->dims) + "])";
    case ValueKind::prim_value:
      return "R.prim_value(" + text_.expr(graph::as<graph::PrimValueNode>(v)->value) + ")";
    case ValueKind::string:
      return "R.str(" + print_string(graph::as<graph::StringNode>(v)->value) + ")";
    case ValueKind::dtype:
      return "R.dtype(" + print_string(graph::as<graph::DTypeNode>(v)->value.to_string()) + ")";
    case ValueKind::global:
      return "cls." + graph::as<graph::GlobalNode>(v)->name;
    case ValueKind::external:
      return "R.ExternFunc(" + print_string(graph::as<graph::ExternNode>(v)->name) + ")";
    case ValueKind::call:
      return call(*graph::as<graph::CallNode>(v));
    case ValueKind::if_:
    case ValueKind::function:
      break;
  }
  REPOSE_CHECK(false, "an `if` or a closure stands on the right-hand side of a binding");
}

std::string GraphPrinter::call(const graph::CallNode& c) {
  std::string out = c.op ? "R." + std::string(c.op->name) : value(c.callee);
  std::vector<std::string> args;
  bool is_packed = c.op && c.op->name.starts_with("call_") && c.op->name.ends_with("packed");
  for (size_t i = 0; i < c.args.size(); ++i) {
    const auto* function = graph::as<graph::ExternNode>(c.args[i]);
    args.push_back(is_packed && i == 0 && function ? print_string(function->name)
                                                   : value(c.args[i]));
  }
  bool has_out = c.op && (c.op->name.starts_with("call_tir") || c.op->name == "call_dps_packed");
  if (!c.type_args.empty()) {
    std::string types;
    for (const Type& t : c.type_args) types += (types.empty() ? "" : ", ") + text_.type(t, false);
    const auto* tuple = as<TupleTypeNode>(c.type_args[0]);
    if (!has_out) {
      args.push_back("sinfo_args=[" + types + "]");
    } else if (c.type_args.size() == 1 && tuple && tuple->fields.size() > 1) {
      types.clear();
      for (const Type& t : tuple->fields)
        types += (types.empty() ? "" : ", ") + text_.type(t, false);
      args.push_back("out_sinfo=[" + types + "]");
    } else {
      args.push_back("out_sinfo=" + types);
    }
  }
  auto add_attr = [&](const std::string& name, const Attr& a) {
    const DType* dtype = a.as_dtype();
    args.push_back(name + "=" +
                   (dtype && *dtype ? print_string(dtype->to_string()) : text_.attr(a)));
  };
  // In the order of the operator's specification, defaults left out.
  std::unordered_set<std::string> known;
  if (c.op) {
    for (const AttrSpec& spec : c.op->attrs) {
      known.insert(spec.name);
      const Attr* a = c.attrs.find(spec.name);
      if (!a || (spec.absent && *spec.absent == *a)) continue;
      if (spec.kind == AttrKind::dtype || spec.kind == AttrKind::dtype_or_none) {
        add_attr(spec.name, *a);
      } else {
        args.push_back(std::string(spec.name) + "=" + text_.attr(*a));
      }
    }
  }
  for (const auto& [name, a] : c.attrs) {
    if (!known.count(name)) args.push_back(name + "=" + text_.attr(a));
  }
  return fmt::format("{}({})", out, fmt::join(args, ", "));
}

void GraphPrinter::if_binding(Lines& out, const graph::Binding& b, const graph::IfNode& branch) {
  out.add("if " + value(branch.condition) + ":");
  std::string name = name_of(*b.var);
  // Where the common type has symbols of its own, both branches state it: that names the symbols.
  bool introduces = false;
  for (const Var& v : free_vars(b.var->type)) introduces = introduces || !in_scope_.count(v.get());
  Type type = introduces ? b.var->type : nullptr;
  for (const graph::Body& side : {branch.then_body, branch.else_body}) {
    if (side == branch.else_body) out.add("else:");
    std::unordered_set<const VarNode*> outer = in_scope_;
    out.indent();
    body(out, *side, b.var.get(), type);
    out.dedent();
    in_scope_ = std::move(outer);
  }
  bind_symbols(b.var->type);
}

// A call that gives nothing has no name in the text, unless something uses it.
bool GraphPrinter::is_call_alone(const graph::Binding& b) const {
  const auto* tuple = as<TupleTypeNode>(b.var->type);
  return tuple && tuple->fields.empty() && b.value->kind == graph::ValueKind::call && !b.cast &&
         !used_.count(b.var.get());
}

void GraphPrinter::binding(Lines& out, const graph::Binding& b) {
  if (b.cast) {
    std::string name = name_of(*b.var);
    std::string source = value(b.value);
    std::string type = text_.type(b.cast, false);
    bind_symbols(b.cast);
    out.add(fmt::format("{} = R.match_cast({}, {})", name, source, type));
    return;
  }
  if (const auto* branch = graph::as<graph::IfNode>(b.value)) return if_binding(out, b, *branch);
  if (const auto* f = graph::as<graph::FunctionNode>(b.value)) {
    return function(out, *f, name_of(*b.var), true);
  }
  if (is_call_alone(b)) return out.add(value(b.value));
  std::string name = name_of(*b.var);  // before symbols of the same name
  std::string text = value(b.value);
  bind_symbols(b.var->type);
  out.add(fmt::format("{}: {} = {}", name, text_.type(b.var->type, false), text));
}

// The bindings of a body. `result`: the variable of the `if` that this is a branch of, which the
// last line binds (`result_type`: as which type, null: the branch's own).
void GraphPrinter::body(Lines& out, const graph::BodyNode& b, const graph::VariableNode* result,
                        const Type& result_type) {
  // Where the last binding is the branch's result, it gets the name of the `if`'s variable.
  const graph::Binding* last = nullptr;
  if (result && !b.blocks.empty() && !b.blocks.back().is_dataflow &&
      !b.blocks.back().bindings.empty()) {
    const graph::Binding& binding = b.blocks.back().bindings.back();
    bool plain = binding.value->kind == graph::ValueKind::call ||
                 binding.value->kind == graph::ValueKind::tuple_get;
    if (plain && !binding.cast && binding.var == b.result) last = &binding;
  }
  for (const graph::Block& block : b.blocks) {
    if (block.bindings.empty()) continue;
    if (block.is_dataflow) {
      out.add("with R.dataflow():");
      out.indent();
    }
    std::string outputs;
    for (const graph::Binding& binding : block.bindings) {
      if (&binding == last) continue;
      this->binding(out, binding);
      if (block.is_dataflow && !binding.var->is_dataflow && !is_call_alone(binding)) {
        outputs += (outputs.empty() ? "" : ", ") + name_of(*binding.var);
      }
    }
    if (block.is_dataflow) {
      out.add("R.output(" + outputs + ")");
      out.dedent();
    }
  }
  if (!result) {
    out.add("return " + value(b.result));
    return;
  }
  std::string text;
  if (last) {
    names_.set(last->var.get(), name_of(*result));
    text = value(last->value);
    bind_symbols(last->var->type);
  } else {
    text = value(b.result);
  }
  std::string type = text_.type(result_type ? result_type : b.result->type, false);
  out.add(fmt::format("{}: {} = {}", name_of(*result), type, text));
}

void GraphPrinter::function(Lines& out, const graph::FunctionNode& f, const std::string& name,
                            bool is_closure) {
  std::string decorator;
  if (f.is_private) decorator += "private=True";
  if (!f.is_pure) decorator += std::string(decorator.empty() ? "" : ", ") + "pure=False";
  out.add("@R.function" + (decorator.empty() ? "" : "(" + decorator + ")"));
  std::unordered_set<const VarNode*> outer = in_scope_;
  if (!is_closure) find_uses(f.body);
  std::string params;
  for (const graph::Variable& p : f.params) {
    name_of(*p);  // before symbols of the same name
    bind_symbols(p->type);
  }
  for (const graph::Variable& p : f.params) {
    std::string param = name_of(*p);
    params += (params.empty() ? "" : ", ") + param + ": " + text_.type(p->type, true);
  }
  std::string result = text_.type(f.result_type, true);
  out.add(fmt::format("def {}({}) -> {}:", name, params, result));
  Lines inner(out.level() + 1);
  body(inner, *f.body, nullptr, nullptr);
  out.indent();
  if (!is_closure) {
    for (const VarNode* v : text_.symbols()) {
      out.add(fmt::format("{} = T.int64()", *names_.find(v)));
    }
  }
  if (!f.attrs.empty()) out.add("R.func_attr(" + text_.attr_dict(f.attrs) + ")");
  out.dedent();
  out.append(inner.text());
  in_scope_ = std::move(outer);
}

}  // namespace

void print_graph_function(Lines& out, const graph::FunctionNode& f, const std::string& name,
                          const std::string& module_name, WeightNames& weights) {
  UniqueNames names(module_name);
  GraphPrinter(names, weights).function(out, f, name, false);
}

}  // namespace repose::script

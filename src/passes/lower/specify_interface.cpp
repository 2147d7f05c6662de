// Gives public functions an interface of tensors whose dimensions have names.
#include "passes/lower/specify_interface.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Binding;
using graph::Value;

// A part of a parameter that is no tuple, or a tuple of parts.
struct Part {
  Type type;
  std::vector<Part> fields;
  bool is_tuple = false;
};

Part part_of(const Type& type) {
  const auto* tuple = as<TupleTypeNode>(type);
  Part part{type, {}, tuple != nullptr};
  if (!tuple) return part;
  for (const Type& field : tuple->fields) part.fields.push_back(part_of(field));
  return part;
}

// What a cast says of rank and dtype where the type doesn't.
void learn(Part& part, const Type& cast) {
  if (part.is_tuple) {
    const auto* tuple = as<TupleTypeNode>(cast);
    for (size_t i = 0; tuple && i < part.fields.size() && i < tuple->fields.size(); ++i) {
      learn(part.fields[i], tuple->fields[i]);
    }
    return;
  }
  if (part.type->kind == TypeKind::any) {
    if (const auto* t = as<TensorTypeNode>(cast)) part.type = tensor_type_of_rank(-1, t->dtype);
    if (as<ShapeTypeNode>(cast)) part.type = shape_type_of_rank(-1);
    if (const auto* p = as<PrimTypeNode>(cast)) part.type = prim_type(p->dtype);
  }
  if (const auto *t = as<TensorTypeNode>(part.type), *c = as<TensorTypeNode>(cast); t && c) {
    if (t->shape && t->dtype) return;
    const DType dtype = t->dtype ? t->dtype : c->dtype;
    part.type = t->shape ? tensor_type(*t->shape, dtype, t->strides, t->device)
                         : tensor_type_of_rank(t->rank < 0 ? c->rank : t->rank, dtype, t->device);
  } else if (const auto* s = as<ShapeTypeNode>(part.type), *c = as<ShapeTypeNode>(cast); s && c) {
    if (s->rank < 0) part.type = shape_type_of_rank(c->rank);
  }
}

// The parts of the parameters, with what casts outside of branches say of them.
std::vector<Part> parts_of(const graph::Function& f) {
  std::vector<Part> parts;
  for (const graph::Variable& p : f->params) parts.push_back(part_of(p->type));
  std::unordered_map<const graph::ValueNode*, Part*> known;
  for (size_t i = 0; i < parts.size(); ++i) known.emplace(f->params[i].get(), &parts[i]);
  auto find = [&](const Value& v) -> Part* {
    const auto* get = graph::as<graph::TupleGetNode>(v);
    auto it = known.find(get ? get->tuple.get() : v.get());
    if (it == known.end() || !get) return it == known.end() ? nullptr : it->second;
    Part* whole = it->second;
    return whole->is_tuple ? &whole->fields[static_cast<size_t>(get->index)] : nullptr;
  };
  graph::visit_bindings(f->body, false, [&](const Binding& b) {
    Part* part = find(b.value);
    if (!part) return;
    if (b.cast) learn(*part, b.cast);
    known.emplace(b.var.get(), part);
  });
  return parts;
}

class Interface {
 public:
  Interface(const graph::Function& f, const OpTable& ops)
      : f_(f), ops_(ops), facts_(declared_facts(f)) {}

  // The function with other parameters: its types are to be inferred again. Null: they stay.
  graph::Function with_parameters() {
    const std::vector<Part> parts = parts_of(f_);
    for (const Part& part : parts) note_bound(part);
    for (size_t i = 0; i < parts.size(); ++i) {
      const size_t first = params_.size();
      const graph::Variable& p = f_->params[i];
      Value value = take(parts[i], p->name, input_name(i), p);
      is_changed_ = is_changed_ || value.get() != p.get();
      if (value.get() != p.get()) values_.emplace(p.get(), std::move(value));
      if (params_.size() == first + 1 && !parts[i].is_tuple) positions_.emplace(i, first);
    }
    if (!is_changed_) return nullptr;
    std::vector<graph::Block> blocks;
    std::vector<Binding> head = std::move(binds_);
    check_ranges();
    head.insert(head.end(), checks_.begin(), checks_.end());
    if (!head.empty()) blocks.push_back({false, std::move(head)});
    const graph::Body body = graph::substitute(f_->body, values_, {});
    blocks.insert(blocks.end(), body->blocks.begin(), body->blocks.end());
    return make_ref<graph::FunctionNode>(
        params_, make_ref<graph::BodyNode>(std::move(blocks), body->result), f_->result_type,
        f_->is_pure, f_->is_private, attributes(), f_->span);
  }

 private:
  // Symbols that are dimensions of tensors are known at entry.
  void note_bound(const Part& part) {
    for (const Part& field : part.fields) note_bound(field);
    const auto* t = as<TensorTypeNode>(part.type);
    if (!t || !t->shape || !t->dtype) return;
    for (const Expr& d : *t->shape) {
      if (as<VarNode>(d)) bound_.insert(d.get());
    }
  }

  std::string input_name(size_t i) const {
    const Attr* names = f_->attrs.find("input_names");
    if (!names || !names->as_list()) return f_->params[i]->name;
    return *(*names->as_list())[i].as_string();
  }

  graph::Variable parameter(const std::string& name, const std::string& input_name, Type type) {
    params_.push_back(graph::make_variable(name, std::move(type)));
    input_names_.push_back(input_name);
    return params_.back();
  }

  Value keep(const Part& part, const std::string& name, const std::string& input_name,
             const graph::Variable& p) {
    if (!p || p->type != part.type) return parameter(name, input_name, part.type);
    params_.push_back(p);
    input_names_.push_back(input_name);
    return p;
  }

  // What stands for the part in the body. `p`: the parameter that the part is the whole of.
  Value take(const Part& part, const std::string& name, const std::string& input_name,
             const graph::Variable& p) {
    if (part.is_tuple) {
      std::vector<Value> fields;
      for (size_t i = 0; i < part.fields.size(); ++i) {
        fields.push_back(take(part.fields[i], fmt::format("{}_{}", name, i),
                              fmt::format("{}.{}", input_name, i), nullptr));
      }
      is_renamed_ = true;
      return graph::make_tuple(std::move(fields));
    }
    if (const auto* t = as<TensorTypeNode>(part.type)) {
      if (t->rank < 0 || !t->dtype || is_closed(*t)) return keep(part, name, input_name, p);
      return take_tensor(*t, part.type, name, input_name);
    }
    if (const auto* s = as<ShapeTypeNode>(part.type); s && s->rank >= 0) {
      return take_shape(*s, name, input_name);
    }
    const auto* prim = as<PrimTypeNode>(part.type);
    const bool is_number = prim && (prim->dtype.is_any_int() || prim->dtype.is_bool());
    if (is_number && (!prim->value || prim->dtype.is_index())) {
      return take_scalar(*prim, name, input_name);
    }
    return keep(part, name, input_name, p);
  }

  // Are all symbols of a known type known at entry?
  bool is_closed(const TensorTypeNode& t) const {
    if (!t.shape) return false;
    bool closed = true;
    for (const Dims* dims : {&*t.shape, &t.strides}) {
      for (const Expr& d : *dims) {
        for (const Var& v : free_vars(d)) closed = closed && bound_.contains(v.get());
      }
    }
    return closed;
  }

  Value take_tensor(const TensorTypeNode& t, const Type& type, const std::string& name,
                    const std::string& input_name) {
    Dims dims;
    for (int i = 0; i < t.rank; ++i) {
      dims.push_back(make_var(fmt::format("{}_{}", name, i), dtypes::index, VarRole::dimension));
      const bool is_known = t.shape && as<VarNode>((*t.shape)[static_cast<size_t>(i)]);
      if (is_known) dims.back() = (*t.shape)[static_cast<size_t>(i)];
    }
    const graph::Variable p = parameter(name, input_name, tensor_type(dims, t.dtype, {}, t.device));
    if (!t.shape) return p;
    return bind(checks_, name, p, type);
  }

  Value take_shape(const ShapeTypeNode& s, const std::string& name, const std::string& input_name) {
    const graph::Variable p =
        parameter(name, input_name, tensor_type({make_int(s.rank)}, dtypes::int64));
    Dims members;
    for (int i = 0; i < s.rank; ++i) {
      members.push_back(member(s.dims ? (*s.dims)[static_cast<size_t>(i)] : nullptr,
                               fmt::format("{}_{}", name, i), input_name));
    }
    const Value shape = bind(binds_, name, graph::make_op_call(op("tensor_to_shape"), {p}));
    bind(binds_, name, shape, shape_type(members));
    return graph::make_shape(s.dims ? *s.dims : members);
  }

  Value take_scalar(const PrimTypeNode& t, const std::string& name, const std::string& input_name) {
    const DType dtype = t.dtype.is_index() ? dtypes::int64 : t.dtype;
    Value v = parameter(name, input_name, tensor_type({}, dtype));
    if (dtype != dtypes::int64) {
      v = bind(binds_, name,
               graph::make_op_call(op("astype"), {v}, {{"dtype", Attr(dtypes::int64)}}));
    }
    const Expr value = member(t.value, name, input_name);
    v = bind(binds_, name,
             graph::make_op_call(op("reshape"), {v, graph::make_shape({make_int(1)})}));
    v = bind(binds_, name, graph::make_op_call(op("tensor_to_shape"), {v}));
    bind(binds_, name, v, shape_type({value}));
    if (dtype.is_bool()) return graph::make_prim(ne(value, make_int(0)));
    if (t.value) return graph::make_prim(t.value);
    return graph::make_prim(dtype == dtypes::int64 ? value : make_cast(dtype, value));
  }

  // The symbol that a member of a shape binds: `given` itself where that is a symbol which nothing
  // else binds; another one, and a check, where it is a formula.
  Expr member(const Expr& given, const std::string& name, const std::string& input_name) {
    if (given && as<VarNode>(given) && bound_.insert(given.get()).second) return given;
    Expr own = make_var(name, dtypes::index, VarRole::value);
    if (given) {
      require(
          eq(own, given),
          fmt::format("input `{}` is {{0}}, expected `{}` = {{1}}", input_name, to_string(given)),
          {own, given});
    }
    return own;
  }

  void require(const Expr& condition, std::string message, const std::vector<Expr>& values) {
    std::vector<Value> args{graph::make_prim(condition)};
    for (const Expr& e : values) args.push_back(graph::make_prim(e));
    bind(
        checks_, "_",
        graph::make_op_call(op("check"), std::move(args), {{"message", Attr(std::move(message))}}));
  }

  // Declared ranges of symbols that no parameter has any more.
  void check_ranges() {
    std::unordered_set<const ExprNode*> known;
    for (const graph::Variable& p : params_) {
      for (const Var& v : free_vars(p->type)) known.insert(v.get());
    }
    for (const graph::Variable& p : f_->params) {
      for (const Var& v : free_vars(p->type)) {
        if (!known.insert(v.get()).second) continue;
        const Interval range = facts_.range_of(v);
        Interval undeclared;
        if (v->role == VarRole::dimension) undeclared.lower = 0;
        gone_.push_back(v->name);
        if (range == undeclared) continue;
        require(in_range(v, range),
                fmt::format("`{}` is {{0}}, outside of its declared range", v->name), {v});
      }
    }
  }

  Attrs attributes() const {
    Attrs attrs = f_->attrs;
    for (const std::string& name : gone_) erase_range(attrs, name);
    if (is_renamed_) attrs.set("input_names", Attr(input_names_));
    if (const Attr* names = attrs.find("symbol_names"); names && names->as_dict()) {
      AttrDict rest;
      for (const auto& [symbol, original] : *names->as_dict()) {
        const std::string* text = symbol.as_string();
        if (text && std::find(gone_.begin(), gone_.end(), *text) != gone_.end()) continue;
        rest.emplace_back(symbol, original);
      }
      attrs.set("symbol_names", Attr(std::move(rest)));
    }
    if (attrs.find("donate")) {
      AttrDict moved;
      for (const auto& [result, parameter] : donations(f_)) {
        auto it = positions_.find(parameter);
        if (it == positions_.end()) continue;
        moved.emplace_back(Attr(static_cast<int64_t>(result)),
                           Attr(static_cast<int64_t>(it->second)));
      }
      attrs.set("donate", Attr(std::move(moved)));
    }
    return attrs;
  }

  const OpDef& op(std::string_view name) const {
    const OpDef* found = ops_.find(name);
    REPOSE_CHECK(found != nullptr, "the operators of an interface are in the table");
    return *found;
  }

  Value bind(std::vector<Binding>& list, const std::string& name, const Value& value,
             Type cast = nullptr) {
    list.push_back({graph::make_variable(name, any_type()), value, std::move(cast), f_->span});
    return list.back().var;
  }

  const graph::Function f_;
  const OpTable& ops_;
  const Facts facts_;
  std::vector<graph::Variable> params_;
  std::vector<std::string> input_names_;
  std::vector<Binding> binds_, checks_;  // at the head: the former first
  graph::ValueMap values_;
  std::unordered_map<size_t, size_t> positions_;  // of parameters that are one still
  std::unordered_set<const ExprNode*> bound_;     // symbols
  std::vector<std::string> gone_;                 // symbols that are no parameter's any more
  bool is_changed_ = false, is_renamed_ = false;
};

// ---- Results ------------------------------------------------------------------------------------

// What is computed, as tensors.
class Results {
 public:
  Results(const graph::Function& f, const OpTable& ops) : f_(f), ops_(ops) {}

  // Null: they stay.
  graph::Function run() {
    const Value& result = f_->body->result;
    Value tensors = tensors_of(result);
    Type type = type_of(result->type, f_->result_type);
    if (tensors == result && structural_equal(type, f_->result_type)) return nullptr;
    std::vector<graph::Block> blocks = f_->body->blocks;
    if (!bindings_.empty()) blocks.push_back({false, std::move(bindings_)});
    return make_ref<graph::FunctionNode>(
        f_->params, make_ref<graph::BodyNode>(std::move(blocks), std::move(tensors)),
        std::move(type), f_->is_pure, f_->is_private, f_->attrs, f_->span);
  }

 private:
  static bool is_integer(const PrimTypeNode& t) {
    return t.value && (t.dtype.is_any_int() || t.dtype.is_bool());
  }

  static bool is_tensors(const Type& t) {
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      return std::all_of(tuple->fields.begin(), tuple->fields.end(), is_tensors);
    }
    return t->kind == TypeKind::tensor;
  }

  Type type_of(const Type& computed, const Type& annotation) {
    if (const auto* tuple = as<TupleTypeNode>(computed)) {
      const auto* stated = as<TupleTypeNode>(annotation);
      const bool fits = stated && stated->fields.size() == tuple->fields.size();
      std::vector<Type> fields;
      for (size_t i = 0; i < tuple->fields.size(); ++i) {
        fields.push_back(type_of(tuple->fields[i], fits ? stated->fields[i] : any_type()));
      }
      return tuple_type(std::move(fields));
    }
    if (const auto* s = as<ShapeTypeNode>(computed); s && s->dims) {
      return tensor_type({make_int(s->rank)}, dtypes::int64);
    }
    if (const auto* p = as<PrimTypeNode>(computed); p && is_integer(*p)) {
      return tensor_type({}, p->dtype.is_index() ? dtypes::int64 : p->dtype);
    }
    const auto* stated = as<TensorTypeNode>(annotation);
    return stated && stated->shape && stated->dtype ? annotation : computed;
  }

  Value tensors_of(const Value& v) {
    if (is_tensors(v->type)) return v;
    if (const auto* type = as<TupleTypeNode>(v->type)) {
      const auto* tuple = graph::as<graph::TupleNode>(v);
      std::vector<Value> fields;
      for (size_t i = 0; i < type->fields.size(); ++i) {
        fields.push_back(tensors_of(tuple ? tuple->fields[i]
                                          : bind(graph::make_tuple_get(v, static_cast<int>(i)))));
      }
      return graph::make_tuple(std::move(fields));
    }
    if (const auto* s = as<ShapeTypeNode>(v->type); s && s->dims) {
      return bind(call("shape_to_tensor", {graph::make_shape(*s->dims)}));
    }
    const auto* p = as<PrimTypeNode>(v->type);
    if (!p || !is_integer(*p)) return v;
    Expr value = p->value;
    if (p->dtype.is_bool()) {
      value = make_select(value, make_int(1), make_int(0));
    } else if (!p->dtype.is_index()) {
      value = make_cast(dtypes::index, value);
    }
    Value t = bind(call("shape_to_tensor", {graph::make_shape({value})}));
    t = bind(call("reshape", {t, graph::make_shape({})}));
    if (p->dtype.is_index() || p->dtype == dtypes::int64) return t;
    return bind(call("astype", {t}, {{"dtype", Attr(p->dtype)}}));
  }

  Value call(std::string_view name, std::vector<Value> args, Attrs attrs = {}) const {
    const OpDef* op = ops_.find(name);
    REPOSE_CHECK(op != nullptr, "the operators of an interface are in the table");
    return graph::make_op_call(*op, std::move(args), std::move(attrs));
  }

  // The types are inferred when the function is built anew.
  Value bind(const Value& value) {
    Type type = value->type ? value->type : any_type();
    bindings_.push_back(
        {graph::make_variable("result", std::move(type)), value, nullptr, f_->span});
    return bindings_.back().var;
  }

  const graph::Function f_;
  const OpTable& ops_;
  std::vector<Binding> bindings_;
};

std::unordered_set<std::string> mentioned_functions(const Module& module) {
  std::unordered_set<std::string> names;
  std::function<void(const Value&)> note = [&](const Value& v) {
    if (const auto* g = graph::as<graph::GlobalNode>(v)) names.insert(g->name);
    graph::visit_operands(v, note);
  };
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const Binding& b) { note(b.value); });
  }
  return names;
}

Result<Module> built_anew(const Module& module, const OpTable& ops) {
  return rebuild_functions(
      module, ops,
      [](Builder&, const graph::CallNode&, const Span&) -> Result<Value> { return Value(); });
}

// ---- Shapes that the data decides
// ----------------------------------------------------------------

const graph::CallNode* open_shape(const graph::Binding& b) {
  const auto* call = graph::as<graph::CallNode>(b.value);
  const auto* type = as<ShapeTypeNode>(b.var->type);
  const bool is_open = call && call->op && call->op->name == "tensor_to_shape" && type &&
                       !type->dims && type->rank >= 0;
  return is_open ? call : nullptr;
}

// Shapes of unknown members that something uses before a match_cast names them.
std::unordered_set<const graph::ValueNode*> nameless_shapes(const graph::Function& f) {
  std::unordered_set<const graph::ValueNode*> open, found;
  std::function<void(const Value&)> use = [&](const Value& v) {
    if (open.contains(v.get())) found.insert(v.get());
    graph::visit_operands(v, use);
  };
  graph::visit_bindings(f->body, true, [&](const Binding& b) {
    if (!b.cast) use(b.value);
    if (open_shape(b)) open.insert(b.var.get());
  });
  use(f->body->result);
  return found;
}

// Gives them names where they are made.
Result<Module> name_shapes(const Module& module, const OpTable& ops) {
  bool any = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    any = any || (f && !nameless_shapes(f).empty());
  }
  if (!any) return module;
  return rebuild_functions(
      module, ops, [](Builder& b, const graph::CallNode& call, const Span& span) -> Result<Value> {
        if (!call.op || call.op->name != "tensor_to_shape") return Value();
        REPOSE_TRY(shape, b.emit(Value(&call), "shape", span));
        const auto* type = as<ShapeTypeNode>(shape->type);
        if (type->dims || type->rank < 0) return Value(shape);
        Dims members;
        for (int i = 0; i < type->rank; ++i) {
          members.push_back(make_var(fmt::format("d{}", i), dtypes::index, VarRole::value));
        }
        auto cast = b.emit_match_cast(shape, shape_type(members), "shape", span);
        if (!cast.ok()) return cast.errors();
        return graph::make_shape(members);
      });
}

template <class Change>
Result<Module> change_functions(const Module& module, const OpTable& ops, const Change& change) {
  Module result = module;
  const std::unordered_set<std::string> mentioned = mentioned_functions(module);
  bool is_changed = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f || f->is_private || mentioned.contains(name)) continue;
    graph::Function changed = change(f);
    if (!changed) continue;
    result.set(name, std::move(changed));
    is_changed = true;
  }
  if (!is_changed) return module;
  return built_anew(result, ops);
}

}  // namespace

Result<Module> specify_interface(const Module& module, const OpTable& ops) {
  REPOSE_TRY(named, change_functions(module, ops, [&](const graph::Function& f) {
               return Interface(f, ops).with_parameters();
             }));
  REPOSE_TRY(shapes, name_shapes(named, ops));
  return change_functions(shapes, ops,
                          [&](const graph::Function& f) { return Results(f, ops).run(); });
}

}  // namespace repose

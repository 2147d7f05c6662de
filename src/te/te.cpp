// Tensor expressions and their translation into tensor programs.
#include "te/te.h"

#include <unordered_set>

namespace repose::te {

Expr identity_of(Reducer reducer, DType dtype) {
  const double inf = std::numeric_limits<double>::infinity();
  auto extreme = [&](bool largest) -> Expr {
    if (dtype.is_float()) return make_float(largest ? inf : -inf, dtype);
    if (dtype.is_bool()) return make_bool(largest);
    if (dtype.is_uint()) return make_int(largest ? -1 : 0, dtype);  // all ones wrap to the largest
    int64_t top = dtype.bits == 64 ? std::numeric_limits<int64_t>::max()
                                   : (int64_t{1} << (dtype.bits - 1)) - 1;
    return make_int(largest ? top : -top - 1, dtype);
  };
  switch (reducer) {
    case Reducer::sum:
      return make_const(dtype, 0);
    case Reducer::prod:
      return make_const(dtype, 1);
    case Reducer::min:
      return extreme(true);
    case Reducer::max:
      return extreme(false);
    case Reducer::none:
      break;
  }
  REPOSE_CHECK(false, "no reduction has no identity");
}

Expr combine(Reducer reducer, Expr accumulator, Expr value) {
  switch (reducer) {
    case Reducer::sum:
      return accumulator + value;
    case Reducer::prod:
      return accumulator * value;
    case Reducer::min:
      return min(accumulator, value);
    case Reducer::max:
      return max(accumulator, value);
    case Reducer::none:
      break;
  }
  return value;
}

TensorNode::TensorNode(std::string name, DType dtype, Dims shape)
    : BufferNode(std::move(name), dtype, std::move(shape), {}, nullptr, Scope::global, 0) {}

Tensor placeholder(Dims shape, DType dtype, std::string name) {
  return Tensor(make_ref<TensorNode>(std::move(name), dtype, std::move(shape)));
}

namespace {

std::vector<Var> make_axes(size_t count, const char* stem) {
  std::vector<Var> axes;
  for (size_t i = 0; i < count; ++i) {
    axes.push_back(make_var(stem + std::to_string(i), dtypes::index, VarRole::loop));
  }
  return axes;
}

Tensor computed(Dims shape, Reducer reducer, Dims extents,
                const std::function<Expr(const Indices&, const Indices&)>& f, std::string name) {
  std::vector<Var> axes = make_axes(shape.size(), "i");
  std::vector<Var> reduce_axes = make_axes(extents.size(), "k");
  Expr body = f(Indices(axes.begin(), axes.end()), Indices(reduce_axes.begin(), reduce_axes.end()));
  for (Expr& d : shape) d = canonical(d);
  auto* node = new TensorNode(std::move(name), body->dtype, std::move(shape));
  node->axes = std::move(axes);
  node->reduce_axes = std::move(reduce_axes);
  node->reduce_extents = std::move(extents);
  node->reducer = reducer;
  node->body = std::move(body);
  return Tensor(Ref<const TensorNode>(node));
}

const TensorNode* tensor_of(const Buffer& buffer) {
  return dynamic_cast<const TensorNode*>(buffer.get());
}

// Tensors that the body of `t` reads, in order of first occurrence.
std::vector<Tensor> reads_of(const TensorNode& t) {
  std::vector<Tensor> result;
  std::unordered_set<const ExprNode*> seen;
  visit(t.body, [&](const Expr& e) {
    if (!seen.insert(e.get()).second) return false;
    if (const auto* load = as<LoadNode>(e)) {
      const TensorNode* source = tensor_of(load->buffer);
      REPOSE_CHECK(source != nullptr, "a tensor expression reads tensors only");
      result.emplace_back(Ref<const TensorNode>(source));
    }
    return true;
  });
  return result;
}

// The computed tensors that `outputs` need, producers first.
std::vector<Tensor> stages_of(const std::vector<Tensor>& inputs,
                              const std::vector<Tensor>& outputs) {
  std::vector<Tensor> order;
  std::unordered_set<const TensorNode*> done;
  for (const Tensor& t : inputs) done.insert(t.node().get());
  std::function<void(const Tensor&)> add = [&](const Tensor& t) {
    if (!done.insert(t.node().get()).second) return;
    REPOSE_CHECK(!t->is_placeholder(), "a placeholder is missing among the inputs");
    for (const Tensor& producer : reads_of(*t.node())) add(producer);
    order.push_back(t);
  };
  for (const Tensor& t : outputs) add(t);
  return order;
}

std::vector<tir::Range> point(const Indices& indices) {
  std::vector<tir::Range> ranges;
  for (const Expr& i : indices) ranges.push_back({i, make_int(1)});
  return ranges;
}

// for i…, k…: block: [init] target[i…] = body
tir::Stmt make_stage(const TensorNode& t, const Buffer& target, const tir::BufferMap& buffers) {
  tir::BlockNode::Fields block;
  std::vector<std::pair<Var, Expr>> loops;
  VarMap to_axes;
  Indices out;
  auto add_axis = [&](const Var& axis, const Expr& extent, tir::IterKind kind) {
    Var loop = make_var(axis->name, dtypes::index, VarRole::loop);
    Var iter = make_var("v_" + axis->name, dtypes::index, VarRole::loop);
    loops.emplace_back(loop, extent);
    block.iters.push_back({iter, make_int(0), extent, kind, loop});
    to_axes.emplace(axis.get(), iter);
    if (kind == tir::IterKind::spatial) out.push_back(iter);
  };
  for (size_t i = 0; i < t.axes.size(); ++i) {
    add_axis(t.axes[i], t.shape[i], tir::IterKind::spatial);
  }
  for (size_t i = 0; i < t.reduce_axes.size(); ++i) {
    add_axis(t.reduce_axes[i], t.reduce_extents[i], tir::IterKind::reduce);
  }
  Expr value = tir::substitute_buffers(substitute(t.body, to_axes), buffers);
  std::unordered_set<const ExprNode*> seen;
  visit(value, [&](const Expr& e) {
    if (!seen.insert(e.get()).second) return false;
    if (const auto* load = as<LoadNode>(e)) block.reads.push_back({load->buffer, point(e->args)});
    return true;
  });
  if (t.reducer != Reducer::none) {
    if (t.reduce_axes.empty()) {
      value = combine(t.reducer, identity_of(t.reducer, t.dtype), value);
    } else {
      block.init = tir::make<tir::StoreNode>(target, out, identity_of(t.reducer, t.dtype));
      value = combine(t.reducer, make_load(target, out), value);
    }
  }
  block.name = t.name;
  block.writes.push_back({target, point(out)});
  block.body = tir::make<tir::StoreNode>(target, out, value);
  tir::Stmt s = tir::make<tir::BlockNode>(std::move(block));
  for (size_t i = loops.size(); i-- > 0;) {
    s = tir::make<tir::ForNode>(loops[i].first, make_int(0), loops[i].second, tir::ForKind::serial,
                                s);
  }
  return s;
}

}  // namespace

Tensor compute(Dims shape, const std::function<Expr(const Indices&)>& f, std::string name) {
  return computed(
      std::move(shape), Reducer::none, {}, [&](const Indices& i, const Indices&) { return f(i); },
      std::move(name));
}

Tensor reduce(Dims shape, Reducer reducer, Dims extents,
              const std::function<Expr(const Indices&, const Indices&)>& f, std::string name) {
  REPOSE_CHECK(reducer != Reducer::none, "a reduction has a reducer");
  return computed(std::move(shape), reducer, std::move(extents), f, std::move(name));
}

Program close_program(std::vector<tir::Param> params, const std::vector<tir::Param>& output_params,
                      tir::Stmt body, Attrs attrs) {
  std::unordered_set<const VarNode*> bound;
  for (const auto* list : {static_cast<const std::vector<tir::Param>*>(&params), &output_params}) {
    for (const tir::Param& p : *list) {
      for (const Expr& d : p.buffer->shape) {
        if (const auto* v = as<VarNode>(d)) bound.insert(v);
      }
    }
  }
  std::vector<Var> used;
  auto note = [&](const Expr& e) {
    for (const Var& v : free_vars(e)) {
      if (v->role != VarRole::loop && bound.insert(v.get()).second) used.push_back(v);
    }
  };
  for (const auto* list : {static_cast<const std::vector<tir::Param>*>(&params), &output_params}) {
    for (const tir::Param& p : *list) {
      for (const Expr& d : p.buffer->shape) note(d);
      for (const Expr& s : p.buffer->strides) note(s);
    }
  }
  tir::visit_all_exprs(body, note);
  for (const Var& v : used) params.push_back(tir::scalar_param(v));
  params.insert(params.end(), output_params.begin(), output_params.end());

  Program program;
  program.func =
      tir::clone(tir::make_prim_func(std::move(params), std::move(body), true, std::move(attrs)));
  program.symbols.assign(used.begin(), used.end());
  return program;
}

Program make_program(const std::vector<Tensor>& inputs, const std::vector<Tensor>& outputs) {
  // An output that is an input, or a second time the same tensor, is a copy of it.
  std::vector<Tensor> results;
  for (const Tensor& t : outputs) {
    bool taken = t->is_placeholder();
    for (const Tensor& r : results) taken = taken || r == t;
    results.push_back(
        taken ? compute(t.shape(), [&](const Indices& i) { return t(i); }, t->name + "_copy") : t);
  }
  std::vector<tir::Param> params;
  tir::BufferMap buffers;
  auto declare = [&](const Tensor& t) {
    Buffer b = make_buffer(t->name, t.shape(), t.dtype());
    buffers.emplace(t.node().get(), b);
    return b;
  };
  for (const Tensor& t : inputs) params.push_back(tir::buffer_param(declare(t)));
  std::vector<tir::Param> output_params;
  for (const Tensor& t : results) output_params.push_back(tir::buffer_param(declare(t)));

  std::vector<Buffer> allocated;
  std::vector<tir::Stmt> stages;
  for (const Tensor& t : stages_of(inputs, results)) {
    if (!buffers.count(t.node().get())) allocated.push_back(declare(t));
    stages.push_back(make_stage(*t.node(), buffers.at(t.node().get()), buffers));
  }
  tir::Stmt body = tir::make_seq(std::move(stages));
  if (!allocated.empty()) {
    tir::BlockNode::Fields root;
    root.name = "root";
    root.alloc_buffers = std::move(allocated);
    root.body = std::move(body);
    body = tir::make<tir::BlockNode>(std::move(root));
  }

  return close_program(std::move(params), output_params, std::move(body));
}

// ---- Operators' rules
// ----------------------------------------------------------------------------

std::vector<graph::Value> tensor_operands(const graph::CallNode& call) {
  std::vector<graph::Value> result;
  auto add = [&](const graph::Value& v) {
    if (as<TensorTypeNode>(v->type)) result.push_back(v);
  };
  for (const graph::Value& a : call.args) {
    if (const auto* tuple = graph::as<graph::TupleNode>(a)) {
      for (const graph::Value& field : tuple->fields) add(field);
    } else if (const auto* type = as<TupleTypeNode>(a->type)) {
      for (size_t i = 0; i < type->fields.size(); ++i) {
        add(graph::make_tuple_get(a, static_cast<int>(i)));
      }
    } else {
      add(a);
    }
  }
  return result;
}

namespace {

Tensor placeholder_for(const graph::Value& v, size_t position) {
  const TensorTypeNode* type = graph::tensor_of(v);
  REPOSE_CHECK(type && type->shape && type->dtype, "an operand's shape and dtype are known here");
  std::string name = "arg" + std::to_string(position);
  if (const auto* var = graph::as<graph::VariableNode>(v)) name = var->name;
  return placeholder(*type->shape, type->dtype, std::move(name));
}

}  // namespace

Result<graph::Value> emit_te(
    Builder& b, const std::string& name, const std::vector<graph::Value>& args,
    const std::function<std::vector<Tensor>(const std::vector<Tensor>&)>& f) {
  std::vector<graph::Value> operands;
  std::vector<Tensor> in;
  for (const graph::Value& a : args) {
    REPOSE_TRY(leaf, b.normalize(a));
    operands.push_back(leaf);
    in.push_back(placeholder_for(leaf, in.size()));
  }
  std::vector<Tensor> out = f(in);
  Program program = make_program(in, out);
  std::vector<Type> types;
  for (const Tensor& t : out) types.push_back(tensor_type(t.shape(), t.dtype()));
  std::string global = b.module().add_prim_func(name, program.func);
  return make_call_tir(b.ops(), global, std::move(operands), std::move(types), program.symbols);
}

Result<graph::Value> lower_by_rule(Rule rule, Builder& b, const graph::CallNode& call) {
  std::string name(call.op->name);
  name.erase(0, name.rfind('.') + 1);  // programs' names have no dots
  return emit_te(b, name, tensor_operands(call),
                 [&](const std::vector<Tensor>& in) { return rule(call, in); });
}

namespace {

// Evaluates elements of tensors as expressions over symbols: integers as mathematical integers,
// which is right because every size is checked for overflow before anything runs.
class ElementEvaluator {
 public:
  ElementEvaluator(const Facts& facts) : facts_(facts) {}

  std::unordered_map<const BufferNode*, const std::vector<Expr>*> known;

  // Null: not known.
  Expr element(const TensorNode& t, const std::vector<int64_t>& at) {
    if (t.is_placeholder()) {
      auto it = known.find(&t);
      if (it == known.end()) return nullptr;
      int64_t i = 0;  // in row-major order
      for (size_t d = 0; d < at.size(); ++d) {
        int64_t extent = 0;
        if (!as_const_int(t.shape[d], &extent) || at[d] >= extent) return nullptr;
        i = i * extent + at[d];
      }
      return i < static_cast<int64_t>(it->second->size()) ? (*it->second)[static_cast<size_t>(i)]
                                                          : nullptr;
    }
    if (--budget_ < 0) return nullptr;
    VarMap axes;
    for (size_t i = 0; i < at.size(); ++i) axes.emplace(t.axes[i].get(), make_int(at[i]));
    if (t.reducer == Reducer::none) return lift(substitute(t.body, axes));
    std::vector<int64_t> extents;
    for (const Expr& e : t.reduce_extents) {
      int64_t n = 0;
      if (!as_const_int(simplify(e, facts_), &n)) return nullptr;
      extents.push_back(n);
    }
    Expr result = lift(identity_of(t.reducer, t.dtype));
    std::vector<int64_t> r(extents.size(), 0);
    for (int64_t e : extents)
      if (e == 0) return result;
    while (true) {
      for (size_t i = 0; i < r.size(); ++i) axes[t.reduce_axes[i].get()] = make_int(r[i]);
      Expr value = lift(substitute(t.body, axes));
      if (!value) return nullptr;
      result = combine(t.reducer, result, value);
      size_t d = r.size();
      while (d > 0 && ++r[d - 1] == extents[d - 1]) r[--d] = 0;
      if (d == 0) break;
    }
    return simplify(result, facts_);
  }

 private:
  // The expression over known elements, data integers read as `index`; null where it is not known.
  Expr lift(const Expr& e) {
    if (--budget_ < 0) return nullptr;
    const bool wide = e->dtype == dtypes::int64 || e->dtype == dtypes::int32;
    if (e->dtype.is_data_int() && !wide) return nullptr;  // narrow ones may really wrap
    switch (e->kind) {
      case ExprKind::int_imm:
        return wide ? make_int(as<IntImmNode>(e)->value) : e;
      case ExprKind::float_imm:
      case ExprKind::string_imm:
      case ExprKind::var:
        return e;
      case ExprKind::load:
        return lift_load(*as<LoadNode>(e));
      case ExprKind::cast: {
        Expr value = lift(e->args[0]);
        if (!value) return nullptr;
        if (wide)
          return value->dtype.is_bool() ? make_select(value, make_int(1), make_int(0))
                                        : make_cast(dtypes::index, value);
        if (e->dtype.is_bool() && value->dtype.is_index()) return ne(value, make_int(0));
        return make_cast(e->dtype, value);
      }
      case ExprKind::select:
      case ExprKind::if_then_else: {
        Expr condition = lift(e->args[0]);
        if (!condition) return nullptr;
        condition = simplify(condition, facts_);
        int64_t value = 0;
        if (as_const_int(condition, &value)) return lift(e->args[value ? 1 : 2]);
        Expr a = lift(e->args[1]), b = lift(e->args[2]);
        return a && b ? make_select(condition, a, b) : nullptr;
      }
      default:
        break;
    }
    std::vector<Expr> args;
    for (const Expr& a : e->args) {
      args.push_back(lift(a));
      if (!args.back()) return nullptr;
    }
    if (is_binary(e->kind) || is_compare(e->kind) || is_logic(e->kind)) {
      ExprKind kind = e->kind;
      if (args[0]->dtype.is_index() && (kind == ExprKind::div || kind == ExprKind::mod)) {
        return lift_division(kind, args[0], args[1]);
      } else if (args[0]->dtype.is_index() &&
                 ((kind >= ExprKind::bit_and && kind <= ExprKind::shift_right) ||
                  ((kind == ExprKind::floor_div || kind == ExprKind::floor_mod) &&
                   prove_nonzero(args[1], facts_) != Truth::yes))) {
        return nullptr;
      }
      return simplify(make_binary(kind, args[0], args[1]), facts_);
    }
    if (e->kind == ExprKind::logical_not) return make_not(args[0]);
    if (e->kind == ExprKind::call && as<CallNode>(e)->intrinsic == Intrinsic::check_index) {
      const bool inside = prove_le(make_int(0), args[0], facts_) == Truth::yes &&
                          prove(lt(args[0], args[1]), facts_) == Truth::yes;
      return inside ? args[0] : nullptr;
    }
    if (e->kind == ExprKind::call && intrinsic_is_pure(as<CallNode>(e)->intrinsic)) {
      if (as<CallNode>(e)->intrinsic == Intrinsic::abs && args[0]->dtype.is_index()) {
        return max(args[0], make_int(0) - args[0]);
      }
      if (wide) return nullptr;
      return make_call(as<CallNode>(e)->intrinsic, e->dtype, args);
    }
    return nullptr;
  }

  // Division of data, which rounds to zero and gives 0 where the divisor is 0. Facts that come
  // later may show that nothing is negative: then it is one that rounds down.
  Expr lift_division(ExprKind kind, const Expr& a, const Expr& b) {
    const Expr quotient = make_binary(kind, a, b);
    if (prove_nonzero(b, facts_) == Truth::yes) return simplify(quotient, facts_);
    return simplify(make_select(eq(b, make_int(0)), make_int(0), quotient), facts_);
  }

  Expr lift_load(const LoadNode& load) {
    const TensorNode* t = tensor_of(load.buffer);
    if (!t) return nullptr;
    std::vector<int64_t> at;
    for (const Expr& i : load.args) {
      Expr index = lift(i);
      int64_t value = 0;
      if (!index || !as_const_int(simplify(index, facts_), &value) || value < 0) return nullptr;
      at.push_back(value);
    }
    return element(*t, at);
  }

  const Facts& facts_;
  int budget_ = 20000;  // nodes; a shape computation is far below
};

}  // namespace

std::optional<std::vector<Expr>> elements_by_rule(Rule rule, const InferContext& context,
                                                  const graph::CallNode& call, const Type& result) {
  std::vector<Tensor> in;
  ElementEvaluator evaluator(context.facts());
  bool any = false;
  for (const graph::Value& v : tensor_operands(call)) {
    const TensorTypeNode* type = graph::tensor_of(v);
    if (!type->shape || !type->dtype) return std::nullopt;
    in.push_back(placeholder_for(v, in.size()));
    if (const auto* elements = context.elements_of(v)) {
      evaluator.known.emplace(in.back().node().get(), elements);
      any = true;
    }
  }
  if (!any && !in.empty()) return std::nullopt;
  auto typed =
      make_ref<graph::CallNode>(call.op, nullptr, call.args, call.attrs, call.type_args, result);
  std::vector<Tensor> out = rule(*typed, in);
  const auto* type = as<TensorTypeNode>(result);
  if (out.size() != 1 || !type) return std::nullopt;
  std::vector<int64_t> extents;
  int64_t count = 1;
  for (const Expr& d : *type->shape) {
    if (!as_const_int(d, &extents.emplace_back())) return std::nullopt;
    count *= extents.back();
  }
  std::vector<Expr> elements;
  bool any_known = count == 0;
  for (int64_t i = 0; i < count; ++i) {
    std::vector<int64_t> at(extents.size());
    int64_t rest = i;
    for (size_t d = extents.size(); d-- > 0; rest /= extents[d]) at[d] = rest % extents[d];
    elements.push_back(evaluator.element(*out[0].node(), at));
    any_known = any_known || elements.back();
  }
  if (!any_known) return std::nullopt;
  return elements;
}

}  // namespace repose::te

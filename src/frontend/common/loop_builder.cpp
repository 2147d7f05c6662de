// Loops that count.
#include "frontend/common/loop_builder.h"

#include <algorithm>

namespace repose::frontend {

using graph::Variable;

namespace {

bool is_known(const LoopBuilder::Row& row) {
  return std::find(row.dims.begin(), row.dims.end(), nullptr) == row.dims.end();
}

// So many rows: with an axis before theirs, or, where their size isn't known, in one axis of so
// many elements.
repose::Type stack_of(const LoopBuilder::Row& row, const Expr& count) {
  Dims dims{count};
  if (is_known(row)) dims.insert(dims.end(), row.dims.begin(), row.dims.end());
  return tensor_type(std::move(dims), row.dtype);
}

}  // namespace

LoopBuilder::LoopBuilder(Fields fields)
    : f_(std::move(fields)), counter_(make_var("i", dtypes::index, VarRole::dimension)) {}

Result<Operand> LoopBuilder::call(std::string_view op, std::vector<Operand> args, Attrs attrs,
                                  const std::string& name) {
  REPOSE_TRY(var, f_.builder->emit(graph::make_op_call(*f_.builder->ops().find(op), std::move(args),
                                                       std::move(attrs)),
                                   name, f_.span));
  return Operand(var);
}

Result<void> LoopBuilder::begin_body(std::vector<repose::Type> types) {
  std::vector<Variable> params{graph::make_variable("i", prim_type_of(counter_))};
  for (size_t k = 0; k < types.size(); ++k) {
    const auto* init = graph::as<graph::VariableNode>(f_.inits[k]);
    carried_.push_back(graph::make_variable(init ? init->name : f_.name, types[k]));
    params.push_back(carried_.back());
  }
  if (f_.flag) params.push_back(graph::make_variable("goes_on", f_.flag->type));
  for (const Row& row : f_.rows) {
    const Expr extent =
        is_known(row) ? Expr(counter_) : make_var("stacked", dtypes::index, VarRole::dimension);
    stacked_.push_back(graph::make_variable(f_.name + "_stack", stack_of(row, extent)));
    params.push_back(stacked_.back());
    last_dims_.emplace_back();
    for (const Expr& d : row.dims) {
      if (d) continue;
      last_dims_.back().push_back(make_var("d", dtypes::index, VarRole::dimension));
      params.push_back(graph::make_variable("d", prim_type_of(last_dims_.back().back())));
    }
  }
  for (const Variable& p : params) types_.push_back(p->type);
  Builder& b = *f_.builder;
  b.begin_function(f_.name + "_step", std::move(params), {}, f_.span);
  const bool is_bounded = f_.limit && f_.limit_is_size;
  const Expr from_zero = le(make_int(0), counter_);
  return b.promise(is_bounded ? logical_and(from_zero, lt(counter_, f_.limit)) : from_zero,
                   is_bounded ? "iteration {0} of {1}" : "iteration {0}",
                   is_bounded ? std::vector<Expr>{counter_, f_.limit} : std::vector<Expr>{counter_},
                   f_.span);
}

void LoopBuilder::drop_body() {
  const auto dropped = f_.builder->end_function(graph::make_prim(make_int(0)));
  static_cast<void>(dropped);
}

// The test: a function of the same parameters, with symbols of its own.
Result<Operand> LoopBuilder::make_cond(const std::vector<repose::Type>& types) {
  Builder& b = *f_.builder;
  VarMap own;
  for (const Var& v : binding_symbols(tuple_type(types))) {
    if (!b.binds(v.get())) own.emplace(v.get(), make_var(v->name, v->dtype, v->role));
  }
  std::vector<Variable> params;
  const size_t flag = 1 + carried_.size();
  for (size_t k = 0; k < types.size(); ++k) {
    const std::string name = k == 0 ? "i" : f_.flag && k == flag ? "goes_on" : f_.name + "_in";
    params.push_back(graph::make_variable(name, substitute(types[k], own)));
  }
  const Expr i = own.at(counter_.get());
  Operand goes_on = f_.flag ? Operand(params[flag]) : nullptr;
  b.begin_function(f_.name + "_test", std::move(params), {}, f_.span);
  const Operand in_limit = f_.limit ? graph::make_prim(lt(i, f_.limit)) : nullptr;
  if (!goes_on) goes_on = in_limit;
  if (f_.flag && in_limit) {
    Ref<ArrayNode> no = make_array({}, dtypes::boolean);
    no->store(0, Scalar::of_int(0, dtypes::boolean));
    b.begin_if(in_limit, f_.span);
    b.begin_else(goes_on);
    REPOSE_TRY(both, b.end_if(graph::make_constant(Array(no)), "goes_on"));
    goes_on = both;
  }
  REPOSE_TRY(closure, b.end_function(goes_on));
  REPOSE_TRY(bound, b.emit_binding(closure, f_.name + "_test", f_.span, false));
  return Operand(bound);
}

Result<Operand> LoopBuilder::without_rows(const repose::Type& stack) {
  const auto* t = as<TensorTypeNode>(stack);
  std::vector<int64_t> dims;
  for (const Expr& d : *t->shape) {
    int64_t extent = 0;
    if (!as_const_int(d, &extent)) {
      return call("zeros", {graph::make_shape(*t->shape)}, {{"dtype", t->dtype}},
                  f_.name + "_stack");
    }
    dims.push_back(extent);
  }
  return graph::make_constant(Array(make_array(dims, t->dtype)));
}

// The same value, whose sizes are written with `count` instead of the loop's own symbol for it.
Result<Operand> LoopBuilder::with_known_count(const Operand& v, const Expr& count) {
  const auto* own = as<VarNode>(count);
  const TensorTypeNode* t = graph::tensor_of(v);
  if (!own || !t || !t->shape || !f_.limit || f_.flag) return v;
  const repose::Type known = substitute(v->type, VarMap{{own, f_.limit}});
  if (structural_equal(known, v->type)) return v;
  Dims dims = *as<TensorTypeNode>(known)->shape;
  for (Expr& d : dims) d = simplify(d, f_.builder->facts());
  return call("reshape", {v, graph::make_shape(std::move(dims))}, {}, f_.name);
}

// One more row, and what the next iteration compares its sizes with.
Result<void> LoopBuilder::stack_row(size_t k, const Operand& row, std::vector<Operand>& results) {
  Builder& b = *f_.builder;
  const TensorTypeNode* t = graph::tensor_of(row);
  std::vector<Expr> sizes;
  for (size_t d = 0; d < t->shape->size(); ++d) {
    const Expr& size = (*t->shape)[d];
    if (f_.rows[k].dims[d]) continue;
    const Var& last = last_dims_[k][sizes.size()];
    auto same = b.require(
        logical_or(eq(counter_, make_int(0)), eq(size, last)),
        fmt::format("dimension {} of scan output {} is {{0}}, in the iteration before it was {{1}}",
                    d, k),
        {size, last}, f_.span);
    if (!same.ok()) return same.errors();
    sizes.push_back(size);
  }
  const bool is_flat = !sizes.empty();
  const Operand elements = graph::make_shape({num_elements(*t)});
  REPOSE_TRY(part, is_flat
                       ? call("reshape", {row, elements}, {}, f_.name)
                       : call("expand_dims", {row}, {{"axis", std::vector<int64_t>{0}}}, f_.name));
  REPOSE_TRY(longer, call("concat", {graph::make_tuple({stacked_[k], part})}, {{"axis", 0}},
                          f_.name + "_stack"));
  results.push_back(longer);
  for (const Expr& size : sizes) results.push_back(graph::make_prim(size));
  return {};
}

// All rows with their dimensions: those of the last iteration, 0 without one.
Result<Operand> LoopBuilder::with_rows(size_t k, const Operand& stack, const Expr& count,
                                       std::span<const repose::Type> last) {
  if (last.empty()) return stack;
  Dims dims{f_.limit && !f_.flag ? f_.limit : count};
  size_t next = 0;
  for (const Expr& d : f_.rows[k].dims) {
    dims.push_back(d ? d : as<PrimTypeNode>(last[next++])->value);
  }
  Expr elements = make_int(1);
  for (const Expr& d : dims) elements = elements * d;
  const Expr& have = (*graph::tensor_of(stack)->shape)[0];
  auto promised = f_.builder->promise(eq(have, canonical(elements)), "{0} elements of {1}",
                                      {have, canonical(elements)}, f_.span);
  if (!promised.ok()) return promised.errors();
  return call("reshape", {stack, graph::make_shape(std::move(dims))}, {}, f_.name);
}

Result<LoopBuilder::Done> LoopBuilder::end_body(const std::vector<Operand>& next,
                                                const Operand& flag,
                                                const std::vector<Operand>& rows) {
  Builder& b = *f_.builder;
  std::vector<Operand> results{graph::make_prim(counter_ + 1)};
  results.insert(results.end(), next.begin(), next.end());
  if (f_.flag) results.push_back(flag);
  for (size_t k = 0; k < rows.size(); ++k) {
    if (auto stacked = stack_row(k, rows[k], results); !stacked.ok()) return stacked.errors();
  }
  REPOSE_TRY(closure, b.end_function(graph::make_tuple(std::move(results))));
  REPOSE_TRY(step, b.emit_binding(closure, f_.name + "_step", f_.span, false));
  REPOSE_TRY(test, make_cond(types_));
  std::vector<Operand> inits{graph::make_prim(make_int(0))};
  inits.insert(inits.end(), f_.inits.begin(), f_.inits.end());
  if (f_.flag) inits.push_back(f_.flag);
  for (size_t k = 0; k < f_.rows.size(); ++k) {
    REPOSE_TRY(empty, without_rows(stack_of(f_.rows[k], make_int(0))));
    inits.push_back(empty);
    for (size_t d = 0; d < last_dims_[k].size(); ++d) {
      inits.push_back(graph::make_prim(make_int(0)));
    }
  }
  REPOSE_TRY(all,
             call("while_loop", {test, step, graph::make_tuple(inits)}, {}, f_.name + "_loop"));
  Done done;
  const auto* types = as<TupleTypeNode>(all->type);
  done.count = as<PrimTypeNode>(types->fields[0])->value;
  const Expr counted = !f_.limit ? le(make_int(0), done.count)
                       : f_.flag
                           ? logical_and(le(make_int(0), done.count), le(done.count, f_.limit))
                           : eq(done.count, f_.limit);
  auto promised = b.promise(
      counted, f_.limit ? "{0} iterations of {1}" : "{0} iterations",
      f_.limit ? std::vector<Expr>{done.count, f_.limit} : std::vector<Expr>{done.count}, f_.span);
  if (!promised.ok()) return promised.errors();
  auto member = [&](size_t i) -> Result<Operand> {
    REPOSE_TRY(v, b.emit(graph::make_tuple_get(all, static_cast<int>(i)), f_.name, f_.span));
    return with_known_count(v, done.count);
  };
  size_t at = 1;
  for (size_t k = 0; k < carried_.size(); ++k) {
    REPOSE_TRY(v, member(at++));
    done.carried.push_back(v);
  }
  if (f_.flag) ++at;
  for (size_t k = 0; k < stacked_.size(); ++k) {
    REPOSE_TRY(v, member(at++));
    REPOSE_TRY(
        y, with_rows(k, v, done.count, std::span(types->fields).subspan(at, last_dims_[k].size())));
    done.stacked.push_back(y);
    at += last_dims_[k].size();
  }
  if (f_.limit && !f_.flag) done.count = f_.limit;
  return done;
}

Result<Operand> row_of(CallContext& c, const Operand& x, const Expr& at) {
  REPOSE_TRY(slice, c.call("strided_slice",
                           {x, graph::make_shape({at}), graph::make_shape({canonical(at + 1)})},
                           {{"axes", std::vector<int64_t>{0}}, {"assume_inbound", true}}));
  return c.call("squeeze", {slice}, {{"axis", std::vector<int64_t>{0}}});
}

Result<Operand> backward(CallContext& c, const Operand& x) {
  return c.call(
      "strided_slice",
      {x, graph::make_shape({make_int(-1)}), graph::make_shape({make_int(-(int64_t{1} << 62))}),
       graph::make_shape({make_int(-1)})},
      {{"axes", std::vector<int64_t>{0}}});
}

}  // namespace repose::frontend

// Tensor programs written as loops, for operators that tensor expressions don't describe.
#include "ops/loops.h"

namespace repose {

tir::Stmt loop_nest(const std::string& name, const std::vector<LoopAxis>& axes,
                    const std::vector<Buffer>& reads, const Buffer& target,
                    const std::function<Element(const te::Indices&)>& f) {
  tir::BlockNode::Fields block;
  std::vector<Var> loops;
  te::Indices iters;
  for (size_t d = 0; d < axes.size(); ++d) {
    const std::string axis = "i" + std::to_string(d);
    loops.push_back(make_var(axis, dtypes::index, VarRole::loop));
    Var iter = make_var("v_" + axis, dtypes::index, VarRole::loop);
    block.iters.push_back({iter, make_int(0), axes[d].extent, axes[d].kind, loops.back()});
    iters.push_back(iter);
  }
  auto whole = [](const Buffer& buffer) {
    std::vector<tir::Range> ranges;
    for (const Expr& extent : buffer->shape) ranges.push_back({make_int(0), extent});
    return tir::Region{buffer, std::move(ranges)};
  };
  for (const Buffer& buffer : reads) block.reads.push_back(whole(buffer));
  block.writes.push_back(whole(target));
  Element element = f(iters);
  block.name = name;
  block.body =
      tir::make<tir::StoreNode>(target, std::move(element.indices), std::move(element.value));
  tir::Stmt body = tir::make<tir::BlockNode>(std::move(block));
  for (size_t d = axes.size(); d-- > 0;) {
    body = tir::make<tir::ForNode>(loops[d], make_int(0), axes[d].extent, tir::ForKind::serial,
                                   std::move(body));
  }
  return body;
}

tir::Stmt copy_nest(const std::string& name, const Buffer& source, const Buffer& target) {
  std::vector<LoopAxis> axes;
  for (const Expr& extent : target->shape) axes.push_back({extent});
  return loop_nest(name, axes, {source}, target, [&](const te::Indices& i) {
    return Element{i, make_cast(target->dtype, make_load(source, i))};
  });
}

Buffer buffer_for(const graph::Value& operand, std::string name) {
  const TensorTypeNode* type = graph::tensor_of(operand);
  return make_buffer(std::move(name), *type->shape, type->dtype);
}

Expr element_count(const Dims& shape) {
  Expr count = make_int(1);
  for (const Expr& d : shape) count = count * d;
  return canonical(count);
}

te::Indices row_major_indices(Expr flat, const Dims& shape) {
  te::Indices indices(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    indices[d] = d == 0 ? flat : floor_mod(flat, shape[d]);
    flat = floor_div(flat, shape[d]);
  }
  return indices;
}

tir::Stmt for_each_element(const std::string& name, const Dims& shape,
                           const std::function<tir::Stmt(const te::Indices&)>& f) {
  return for_each(
      name, element_count(shape),
      [&](const Expr& flat) { return with_values(row_major_indices(flat, shape), f); },
      tir::ForKind::parallel);
}

std::vector<Expr> without(std::vector<Expr> list, size_t d) {
  list.erase(list.begin() + static_cast<int64_t>(d));
  return list;
}

std::vector<Expr> with(std::vector<Expr> list, size_t d, Expr e) {
  list.insert(list.begin() + static_cast<int64_t>(d), std::move(e));
  return list;
}

tir::Stmt for_each(const std::string& name, const Expr& extent,
                   const std::function<tir::Stmt(const Expr&)>& f, tir::ForKind kind) {
  const Var i = make_var(name, dtypes::index, VarRole::loop);
  return tir::make<tir::ForNode>(i, make_int(0), extent, kind, f(i));
}

tir::Stmt with_values(const std::vector<Expr>& values,
                      const std::function<tir::Stmt(const std::vector<Expr>&)>& f) {
  std::vector<Var> lets;
  for (size_t i = 0; i < values.size(); ++i) {
    lets.push_back(make_var("v" + std::to_string(i), values[i]->dtype, VarRole::loop));
  }
  tir::Stmt body = f({lets.begin(), lets.end()});
  for (size_t i = values.size(); i-- > 0;) {
    body = tir::make<tir::LetNode>(lets[i], values[i], std::move(body));
  }
  return body;
}

tir::Stmt store(const Buffer& buffer, te::Indices indices, Expr value) {
  return tir::make<tir::StoreNode>(buffer, std::move(indices),
                                   make_cast(buffer->dtype, std::move(value)));
}

Expr load_index(const Buffer& buffer, te::Indices indices) {
  return make_cast(dtypes::index, make_load(buffer, std::move(indices)));
}

tir::Stmt Cell::set(const Expr& value) const {
  return store(buffer_, {make_int(0)}, value);
}

tir::Stmt with_buffers(const std::vector<Buffer>& buffers, tir::Stmt body) {
  for (const Buffer& buffer : buffers) {
    body = tir::make<tir::AllocateNode>(buffer, std::move(body));
  }
  return body;
}

tir::Stmt with_cells(const std::vector<Cell>& cells, tir::Stmt body) {
  for (const Cell& cell : cells) {
    body = tir::make<tir::AllocateNode>(cell.buffer(), std::move(body));
  }
  return body;
}

Result<graph::Value> emit_program(Builder& b, const std::string& name,
                                  const std::vector<graph::Value>& args,
                                  const std::vector<Buffer>& buffers,
                                  const std::vector<Buffer>& results, tir::Stmt body) {
  std::vector<tir::Param> inputs, outputs;
  for (const Buffer& buffer : buffers) inputs.push_back(tir::buffer_param(buffer));
  std::vector<Type> types;
  for (const Buffer& buffer : results) {
    outputs.push_back(tir::buffer_param(buffer));
    types.push_back(tensor_type(buffer->shape, buffer->dtype));
  }
  te::Program program = te::close_program(std::move(inputs), outputs, std::move(body));
  return make_call_tir(b.ops(), b.module().add_prim_func(name, program.func), args,
                       std::move(types), program.symbols);
}

Result<Expr> bind_count(Builder& b, const graph::Value& count, const std::string& op,
                        const Expr& least, const Expr& most) {
  REPOSE_TRY(leaf, b.normalize(count));
  REPOSE_TRY(shape, b.emit(graph::make_op_call(*b.ops().find("tensor_to_shape"), {leaf}), op));
  const Expr k = make_var(op + "_count", dtypes::index, VarRole::value);
  auto cast = b.emit_match_cast(shape, shape_type({k}), op + "_count");
  if (!cast.ok()) return cast.errors();
  REPOSE_REQUIRE(b.promise(logical_and(le(least, k), le(k, most)),
                           fmt::format("`{}`: {{0}} results, at most {{1}} are possible", op),
                           {k, most}));
  return k;
}

}  // namespace repose

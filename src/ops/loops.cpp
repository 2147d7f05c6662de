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

Result<graph::Value> emit_program(Builder& b, const std::string& name,
                                  const std::vector<graph::Value>& args,
                                  const std::vector<Buffer>& buffers, const Buffer& result,
                                  tir::Stmt body) {
  std::vector<tir::Param> inputs;
  for (const Buffer& buffer : buffers) inputs.push_back(tir::buffer_param(buffer));
  te::Program program =
      te::close_program(std::move(inputs), {tir::buffer_param(result)}, std::move(body));
  return make_call_tir(b.ops(), b.module().add_prim_func(name, program.func), args,
                       {tensor_type(result->shape, result->dtype)}, program.symbols);
}

}  // namespace repose

// Blocks that run once, when the program is made.
#include "schedule/primitives/prepack.h"

#include "schedule/finish.h"
#include "schedule/region.h"

namespace repose::schedule {

using tir::Stmt;

Result<void> prepack(Scheduled& s, const Block& block) {
  REPOSE_FIND_BLOCK(node, s, block);
  const auto* store = tir::as<tir::StoreNode>(node->body);
  if (!store || node->init) return illegal("`{}` is no single store", block.name);
  const Buffer packed = store->buffer;
  // The nest: from the allocation's body down to the block, with nothing beside it.
  const std::vector<Stmt> path = path_to(s.func->body, node);
  size_t top = path.size() - 1;
  while (top > 0 && path[top - 1]->kind != tir::StmtKind::seq &&
         path[top - 1]->kind != tir::StmtKind::allocate) {
    --top;
  }
  const Stmt nest = path[top];
  for (size_t i = 0; i < top; ++i) {
    if (path[i]->kind == tir::StmtKind::for_) {
      return illegal("`{}` stands in `{}` with other blocks", block.name,
                     tir::as<tir::ForNode>(path[i])->var->name);
    }
  }
  std::optional<Buffer> source;
  for (const Access& a : accesses_in(nest)) {
    if (a.is_store) continue;
    if (source && *source != a.buffer) {
      return illegal("`{}` reads `{}` and `{}`", block.name, (*source)->name, a.buffer->name);
    }
    source = a.buffer;
  }
  size_t param = 0;
  while (param < s.func->params.size() && (!source || s.func->params[param].buffer != *source)) {
    ++param;
  }
  if (param == s.func->params.size()) {
    return illegal("`{}` reads no parameter", block.name);
  }
  for (const Expr& d : packed->shape) {
    if (!is_constant(d)) {
      return illegal("`{}` has the extent {}, which a call decides", packed->name, to_string(d));
    }
  }
  Stmt rest = replaced(s.func->body, nest.get(), nullptr);
  for (const Access& a : accesses_in(rest)) {
    if (a.buffer == *source) return illegal("`{}` is read elsewhere too", (*source)->name);
    if (a.buffer == packed && a.is_store) {
      return illegal("`{}` is written elsewhere too", packed->name);
    }
  }
  const Buffer passed =
      make_buffer(packed->name, packed->shape, packed->dtype, Scope::global, {}, nullptr, 64);
  const tir::BufferMap turn{{packed.get(), passed}};
  // Without the allocation.
  const tir::AllocateNode* allocation = nullptr;
  tir::visit_stmts(rest, [&](const Stmt& at) {
    const auto* allocate = tir::as<tir::AllocateNode>(at);
    if (allocate && allocate->buffer == packed) allocation = allocate;
    return !allocation;
  });
  if (!allocation) return illegal("`{}` is no intermediate buffer", packed->name);
  rest = replaced(rest, allocation, allocation->body);
  rest = tir::substitute(rest, {}, turn);
  std::vector<tir::Param> params = s.func->params;
  params[param] = tir::buffer_param(passed);
  Scheduled packer = s;
  packer.func = tir::make_prim_func({tir::buffer_param(*source), tir::buffer_param(passed)},
                                    tir::substitute(nest, {}, turn));
  s.layouts.push_back({param, tir::clone(finish_schedule(packer))});
  s.func = tir::make_prim_func(std::move(params), std::move(rest), s.func->is_private,
                               s.func->attrs, s.func->span);
  note(s, "prepack", {Arg(block)});
  return {};
}

}  // namespace repose::schedule

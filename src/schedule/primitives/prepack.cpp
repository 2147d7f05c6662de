// Blocks that run once, when the program is made.
#include "schedule/primitives/prepack.h"

#include "schedule/dependence.h"
#include "schedule/finish.h"

namespace repose::schedule {

using tir::Stmt;

namespace {

// A variable that statements need, but don't bind; null: there is none. `path`: leads to them.
Var bound_outside(const Scheduled& s, const Stmt& statements, const std::vector<Stmt>& path) {
  std::vector<Var> outside;
  for (const Var& v : tir::bound_symbols(*s.func)) outside.push_back(v);
  for (const tir::Param& p : s.func->params) {
    if (!p.buffer) outside.push_back(p.var);
  }
  for (const Stmt& at : path) {
    if (at == statements) break;
    if (const auto* let = tir::as<tir::LetNode>(at)) outside.push_back(let->var);
  }
  Var found;
  tir::visit_all_exprs(statements, [&](const Expr& e) {
    for (const Var& v : outside) {
      if (!found && uses_var(e, v)) found = v;
    }
  });
  return found;
}

}  // namespace

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
  const Stmt& nest = path[top];
  for (size_t i = 0; i < top; ++i) {
    if (const auto* loop = tir::as<tir::ForNode>(path[i])) {
      return illegal("`{}` stands in `{}` with other blocks", block.name, loop->var->name);
    }
    if (const auto* branch = tir::as<tir::IfNode>(path[i])) {
      return illegal("`{}` runs only if {}", block.name, to_string(branch->condition));
    }
  }
  REPOSE_RUN(check_transparent(nest));
  std::optional<Buffer> source;
  for (const Access& a : accesses_in(nest)) {
    if (a.is_store && a.buffer != packed) {
      return illegal("`{}` is written beside `{}`", a.buffer->name, packed->name);
    }
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
  for (const Expr& d : (*source)->shape) {
    if (!is_constant(d)) {
      return illegal("`{}` has the extent {}, which a call decides", (*source)->name, to_string(d));
    }
  }
  if (const Var v = bound_outside(s, nest, path)) {
    return illegal("`{}` needs `{}`, which a call decides", block.name, v->name);
  }
  for (const Buffer& b : {*source, packed}) {
    if (has_other_names(s.func, b)) return illegal("`{}` has other names", b->name);
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
  REPOSE_TRY(program, finish_schedule(packer));
  s.layouts.push_back({param, tir::clone(program)});
  s.func = tir::make_prim_func(std::move(params), std::move(rest), s.func->is_private,
                               s.func->attrs, s.func->span);
  note(s, "prepack", {Arg(block)});
  return {};
}

}  // namespace repose::schedule

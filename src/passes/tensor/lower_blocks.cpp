// Removes blocks: what stands in them runs where they stood.
#include "passes/tensor/lower_blocks.h"

#include "passes/tensor/stages.h"

namespace repose {

tir::Stmt begun_at_first_step(const tir::BlockNode& block, tir::Stmt init, tir::Stmt body) {
  Expr first;
  for (const tir::IterVar& iter : block.iters) {
    if (iter.kind != tir::IterKind::reduce) continue;
    const Expr here = eq(iter.var, iter.min);
    first = first ? logical_and(first, here) : here;
  }
  if (first) init = tir::make<tir::IfNode>(first, std::move(init));
  return tir::make_seq({std::move(init), std::move(body)});
}

namespace {

constexpr int64_t max_local_bytes = 16 << 10;  // of a buffer that may live on the stack

Buffer lowered_buffer(const Buffer& b) {
  if (b->scope != Scope::global) return b;
  int64_t elements = 1;
  bool small = true;
  for (const Expr& d : b->shape) {
    int64_t n = 0;
    small = small && as_const_int(d, &n);
    if (small) elements *= n;
    small = small && elements <= max_local_bytes;
  }
  small = small && elements * b->dtype.size_bytes() <= max_local_bytes;
  return make_buffer(b->name, b->shape, b->dtype, small ? Scope::local : Scope::workspace,
                     b->strides, b->offset_elems, 64);
}

class BlockLowering : public tir::StmtRewriter {
 protected:
  tir::Stmt rewrite_stmt(const tir::Stmt& s) override {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block) return tir::StmtRewriter::rewrite_stmt(s);
    tir::Stmt body = rewrite(block->body);
    if (block->init) body = begun_at_first_step(*block, rewrite(block->init), std::move(body));
    for (size_t i = block->match_buffers.size(); i-- > 0;) {
      const tir::MatchBuffer& m = block->match_buffers[i];
      std::vector<Expr> corner;
      for (const tir::Range& r : m.source.ranges) corner.push_back(r.min);
      Expr data = make_call(Intrinsic::buffer_data, dtypes::handle,
                            std::vector<Expr>{make_load(m.source.buffer, std::move(corner))});
      body = tir::make<tir::DeclareNode>(m.buffer, data, std::move(body));
    }
    tir::BufferMap buffers;
    for (const Buffer& b : block->alloc_buffers) {
      Buffer lowered = lowered_buffer(b);
      if (lowered != b) buffers.emplace(b.get(), lowered);
    }
    if (!buffers.empty()) body = tir::substitute(body, {}, buffers);
    for (const Buffer& b : block->alloc_buffers) {
      auto it = buffers.find(b.get());
      body = tir::make<tir::AllocateNode>(it == buffers.end() ? b : it->second, std::move(body));
    }
    if (block->predicate && !is_const_int(block->predicate, 1)) {
      body = tir::make<tir::IfNode>(block->predicate, std::move(body));
    }
    // The predicate and the body speak of the axes.
    for (size_t i = block->iters.size(); i-- > 0;) {
      const tir::IterVar& iter = block->iters[i];
      body = iter.value->kind == ExprKind::var || is_constant(iter.value)
                 ? tir::substitute(body, {{iter.var.get(), iter.value}})
                 : tir::make<tir::LetNode>(iter.var, iter.value, std::move(body));
    }
    return body;
  }
};

}  // namespace

namespace {

// A reduction of a program in stage form initializes before its reduction loops, so that an empty
// one gives the initial value.
tir::Stmt lower_stage(const Stage& s) {
  auto nest = [](const std::vector<Var>& axes, const std::vector<Expr>& extents, tir::Stmt body) {
    for (size_t i = axes.size(); i-- > 0;) {
      body = tir::make<tir::ForNode>(axes[i], make_int(0), extents[i], tir::ForKind::serial, body);
    }
    return body;
  };
  tir::Stmt body;
  if (s.is_reduction()) {
    Expr sum = te::combine(s.reducer, make_load(s.target, s.indices), s.value);
    tir::Stmt step = tir::make<tir::StoreNode>(s.target, s.indices, sum, s.span);
    body = tir::make_seq({tir::make<tir::StoreNode>(s.target, s.indices, s.init),
                          nest(s.reduce_axes, s.reduce_extents, std::move(step))});
  } else {
    body = tir::make<tir::StoreNode>(s.target, s.indices, s.value, s.span);
  }
  return nest(s.axes, s.extents, std::move(body));
}

}  // namespace

tir::PrimFunc lower_blocks(const tir::PrimFunc& f) {
  if (auto staged = to_stages(f)) {
    std::vector<tir::Stmt> nests;
    tir::BufferMap buffers;
    for (const Buffer& b : staged->allocated) buffers.emplace(b.get(), lowered_buffer(b));
    for (const Stage& s : staged->stages) nests.push_back(lower_stage(s));
    tir::Stmt body = tir::substitute(tir::make_seq(std::move(nests)), {}, buffers);
    for (const Buffer& b : staged->allocated) {
      body = tir::make<tir::AllocateNode>(buffers.at(b.get()), std::move(body));
    }
    return tir::with_body(f, std::move(body));
  }
  return tir::with_body(f, BlockLowering().rewrite(f->body));
}

}  // namespace repose

// Tensor IR: sequences, visitors, substitution, clones.
#include <gtest/gtest.h>

#include "ir/programs.h"
#include "ir/structural.h"

namespace repose {
namespace {

using namespace testing_ir;
using namespace tir;

const BlockNode* find_block(const Stmt& s) {
  const BlockNode* found = nullptr;
  visit_stmts(s, [&](const Stmt& inner) {
    if (const auto* b = tir::as<BlockNode>(inner)) found = b;
    return true;
  });
  return found;
}

TEST(Tir, SequencesAreFlat) {
  Stmt one = make<EvaluateNode>(i(1)), two = make<EvaluateNode>(i(2));
  EXPECT_EQ(make_seq({one}), one);
  Stmt nested = make_seq({make_seq({one, two}), one});
  ASSERT_NE(tir::as<SeqNode>(nested), nullptr);
  EXPECT_EQ(tir::as<SeqNode>(nested)->stmts.size(), 3u);
  EXPECT_TRUE(tir::as<SeqNode>(make_seq({}))->stmts.empty());
  EXPECT_EQ(make_seq({make_seq({}), one}), one);
}

TEST(Tir, BoundSymbolsAreBareDimensions) {
  Var n = make_var("n"), k = make_var("k"), s = make_var("s");
  Buffer a = make_buffer("a", {n * 2, k}, dtypes::float32, Scope::global, {s, i(1)});
  Buffer b = make_buffer("b", {n}, dtypes::float32);
  PrimFunc f = make_prim_func({buffer_param(a), buffer_param(b), scalar_param(k)}, make_seq({}));
  std::vector<Var> bound = bound_symbols(*f);
  ASSERT_EQ(bound.size(), 2u);
  EXPECT_EQ(bound[0], n);
  EXPECT_EQ(bound[1], s);
}

TEST(Tir, VisitorsSeeEveryExpression) {
  PrimFunc f = add_one();
  int loads = 0;
  visit_all_exprs(f->body, [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      loads += node->kind == ExprKind::load;
      return true;
    });
  });
  EXPECT_EQ(loads, 1);
}

TEST(Tir, RewriterKeepsThePointerWhereNothingChanges) {
  PrimFunc f = add_one();
  EXPECT_EQ(StmtRewriter().rewrite(f->body), f->body);
  EXPECT_EQ(substitute(f->body, {{make_var("z").get(), i(1)}}), f->body);
  EXPECT_EQ(with_body(f, f->body), f);
}

TEST(Tir, SubstituteReplacesSymbolsAndBuffers) {
  PrimFunc f = add_one();
  Buffer a = f->params[0].buffer, b = f->params[1].buffer;
  Var n(as<VarNode>(a->shape[0]));
  Buffer wide = make_buffer("wide", {n}, dtypes::float32);
  Stmt s = substitute(f->body, {{n.get(), i(8)}}, {{a.get(), wide}});
  EXPECT_TRUE(is_const_int(tir::as<ForNode>(s)->extent, 8));
  const BlockNode* block = find_block(s);
  EXPECT_EQ(block->reads[0].buffer, wide);
  EXPECT_EQ(block->writes[0].buffer, b);
  const auto* store = tir::as<StoreNode>(block->body);
  EXPECT_EQ(as<LoadNode>(store->value->args[0])->buffer, wide);
}

TEST(Tir, SubstituteRemakesAllocatedBuffers) {
  Var n = make_var("n");
  Buffer t = make_buffer("t", {n}, dtypes::float32, Scope::local);
  Expr zero = make_float(0, dtypes::float32);
  Stmt s = make<AllocateNode>(t, make<StoreNode>(t, std::vector<Expr>{i(0)}, make_load(t, {i(1)})));
  const Stmt changed = substitute(s, {{n.get(), i(4)}});
  const auto* allocate = tir::as<AllocateNode>(changed);
  ASSERT_NE(allocate->buffer, t);
  EXPECT_TRUE(is_const_int(allocate->buffer->shape[0], 4));
  const auto* store = tir::as<StoreNode>(allocate->body);
  EXPECT_EQ(store->buffer, allocate->buffer);
  EXPECT_EQ(as<LoadNode>(store->value)->buffer, allocate->buffer);
}

TEST(Tir, CloneSharesNothingThatIsBound) {
  Var n = make_var("n");
  Buffer a = make_buffer("a", {n}, dtypes::float32), t = make_buffer("t", {n}, dtypes::float32);
  Var l = loop_var("i"), x = make_var("x", dtypes::float32, VarRole::let);
  Stmt body = make<StoreNode>(t, std::vector<Expr>{l}, x);
  body = make<LetNode>(x, make_load(a, {l}), body);
  body = make<AllocateNode>(t, make<ForNode>(l, i(0), n, ForKind::serial, body));
  PrimFunc f = make_prim_func({buffer_param(a)}, body, true, {{"workspace", Expr(n * 4)}});
  PrimFunc g = clone(f);
  EXPECT_TRUE(structural_equal(f, g));
  EXPECT_EQ(structural_hash(f), structural_hash(g));
  EXPECT_NE(f->params[0].var, g->params[0].var);
  EXPECT_NE(f->params[0].buffer, g->params[0].buffer);
  EXPECT_NE(bound_symbols(*g)[0], n);
  visit_all_exprs(g->body, [&](const Expr& e) {
    for (const Var& v : free_vars(e)) EXPECT_TRUE(v != n && v != l && v != x) << v->name;
  });
  EXPECT_FALSE(uses_var(*g->attrs.find("workspace")->as_expr(), n));
}

}  // namespace
}  // namespace repose

// What programs allocate: for themselves, and for each thread of their parallel loops.
#include "ir/workspace.h"

#include <gtest/gtest.h>

#include "expr/facts.h"
#include "ir/programs.h"

namespace repose {
namespace {

using namespace testing_ir;
using namespace tir;

const Var n = make_var("n");

Buffer scratch(const char* name, Expr extent, Scope scope = Scope::workspace) {
  return make_buffer(name, {std::move(extent)}, dtypes::float32, scope);
}

// Allocates a buffer around `body`.
Stmt with(const Buffer& buffer, Stmt body) {
  return make<AllocateNode>(buffer, std::move(body));
}

Stmt loop(ForKind kind, Expr extent, const std::function<Stmt(const Var&)>& body) {
  const Var v = make_var("v", dtypes::index, VarRole::loop);
  return make<ForNode>(v, i(0), std::move(extent), kind, body(v));
}
Stmt parallel(Expr extent, const Stmt& body) {
  return loop(ForKind::parallel, std::move(extent), [&](const Var&) { return body; });
}

Result<Workspace> workspace(Stmt body) {
  return workspace_of("f", make_prim_func({scalar_param(n)}, std::move(body)));
}

// The bytes where n is 100, for the program and for a thread.
std::pair<int64_t, int64_t> at_100(Stmt body) {
  const Result<Workspace> found = workspace(std::move(body));
  EXPECT_TRUE(found.ok()) << to_string(found.errors());
  std::pair<int64_t, int64_t> values{-1, -1};
  const VarMap values_of{{n.get(), i(100)}};
  as_const_int(canonical(substitute(found->own_bytes, values_of)), &values.first);
  as_const_int(canonical(substitute(found->bytes_per_thread, values_of)), &values.second);
  return values;
}

const Stmt nothing = make<EvaluateNode>(i(1));
using Bytes = std::pair<int64_t, int64_t>;

TEST(Workspace, OfTheProgramAndOfEachThread) {
  EXPECT_EQ(at_100(nothing), Bytes(0, 0));
  EXPECT_EQ(at_100(with(scratch("a", n), nothing)), Bytes(448, 0));
  EXPECT_EQ(at_100(with(scratch("a", n), with(scratch("b", n * 2), nothing))), Bytes(1280, 0));
  EXPECT_EQ(at_100(with(scratch("a", n), parallel(n, with(scratch("b", n * 2), nothing)))),
            Bytes(448, 832));
  // Of several parallel loops, the one that needs most; what is in branches counts.
  EXPECT_EQ(
      at_100(make_seq({parallel(n, with(scratch("a", n), nothing)),
                       make<IfNode>(lt(n, i(3)), parallel(n, with(scratch("b", n * 2), nothing))),
                       parallel(n, nothing)})),
      Bytes(0, 832));
}

TEST(Workspace, LoopsThatRunInOneThreadAreTheirSurroundings) {
  EXPECT_EQ(at_100(parallel(i(1), with(scratch("a", n), nothing))), Bytes(448, 0));
  EXPECT_EQ(at_100(parallel(n, parallel(n, with(scratch("a", n), nothing)))), Bytes(0, 448));
  EXPECT_EQ(
      at_100(loop(ForKind::serial, n, [](const Var&) { return with(scratch("a", n), nothing); })),
      Bytes(448, 0));
}

TEST(Workspace, SmallConstantBuffersLieOnTheStack) {
  EXPECT_EQ(at_100(with(scratch("a", i(4096)), nothing)), Bytes(0, 0));
  EXPECT_EQ(at_100(with(scratch("a", i(4097)), nothing)), Bytes(16448, 0));
  EXPECT_EQ(at_100(with(scratch("a", i(16384), Scope::local), nothing)), Bytes(0, 0));
  EXPECT_EQ(at_100(with(scratch("a", i(16385), Scope::local), nothing)), Bytes(65600, 0));
  // One that is not small takes the others along.
  EXPECT_EQ(at_100(with(scratch("a", i(16)), with(scratch("b", n), nothing))), Bytes(512, 0));
}

TEST(Workspace, SizesMayDependOnLets) {
  const Var twice = make_var("twice", dtypes::index, VarRole::let);
  EXPECT_EQ(at_100(make<LetNode>(twice, n * 2, with(scratch("a", twice), nothing))), Bytes(832, 0));
  EXPECT_EQ(at_100(make<LetNode>(twice, n * 2, parallel(n, with(scratch("a", twice), nothing)))),
            Bytes(0, 832));
}

TEST(Workspace, SizesAreKnownWhereTheProgramBegins) {
  const Buffer lengths = make_buffer("lengths", {n}, dtypes::int64);
  const Var read = make_var("read", dtypes::index, VarRole::let);
  const Expr value = make_cast(dtypes::index, make_load(lengths, {i(0)}));
  const auto of_loop = [](const Var& v) { return with(scratch("row", v + 1), nothing); };
  for (const Stmt& body :
       {make<LetNode>(read, value, with(scratch("row", read), nothing)),
        loop(ForKind::serial, n, of_loop), loop(ForKind::parallel, n, of_loop)}) {
    const Result<Workspace> found =
        workspace_of("f", make_prim_func({buffer_param(lengths), scalar_param(n)}, body));
    ASSERT_FALSE(found.ok());
    EXPECT_EQ(found.errors()[0].kind, DiagnosticKind::unsupported_feature);
    EXPECT_EQ(found.errors()[0].text,
              "`f`: the size of buffer `row` is not known where the program begins");
  }
}

TEST(Workspace, OfACallWithThreads) {
  const Var threads = make_var("threads");
  const Expr total = total_bytes(Workspace{n * 64, n * 128}, threads);
  EXPECT_TRUE(structural_equal(canonical(total), canonical(n * 64 + threads * n * 128)));
}

}  // namespace
}  // namespace repose

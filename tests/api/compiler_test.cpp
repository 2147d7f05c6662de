// The C++ API (repose/compiler.hpp): what its builder makes, how it tells errors, passes, files.
#include "repose/compiler.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "interp/interpreter.h"

namespace repose {
namespace {

namespace fs = std::filesystem;

std::vector<double> values(const Array& a) {
  std::vector<double> result;
  for (int64_t i = 0; i < a->num_elements(); ++i) {
    const Scalar s = a->load(i);
    result.push_back(s.dtype.is_float() ? s.f : static_cast<double>(s.i));
  }
  return result;
}

Result<HostValue> run(const Module& m, const std::vector<HostValue>& args) {
  return interpret(m, standard_ops(), "main", args);
}

// main(x: (m, 3)) -> 2 * flatten(x) + 1, the multiplication as a formula.
Module small_module() {
  ModuleBuilder b;
  Var m = b.symbol("m", {.lower = 1, .upper = 64});
  b.begin_function("main");
  Value x = b.input("x", {m, 3}, dtypes::float32);
  Value y = b.dataflow([&] {
    Value flat = b.emit("flatten", {x});
    EXPECT_TRUE(structural_equal(b.shape_of(flat)[0], canonical(m * 3)));
    EXPECT_EQ(b.dtype_of(flat), dtypes::float32);
    Value twice = b.emit_te("twice", {flat}, [](auto& in) {
      return te::compute(in[0].shape(), [&](auto& i) { return in[0](i) + in[0](i); }, "twice");
    });
    return b.emit("add", {twice, b.constant({}, std::vector<float>{1})});
  });
  b.end_function({y}, {"result"});
  Result<Module> module = b.finish();
  EXPECT_TRUE(module.ok()) << to_string(module.errors());
  return module.ok() ? *module : Module{};
}

TEST(ModuleBuilder, BuildsWhatTheTextSays) {
  Module module = small_module();
  const std::string text = print(module);
  EXPECT_NE(text.find("R.Tensor((\"m * 3\",), dtype=\"float32\")"), std::string::npos) << text;
  EXPECT_NE(text.find("R.call_tir("), std::string::npos) << text;
  EXPECT_NE(text.find("\"tir_var_upper_bound\": {\"m\": 64}"), std::string::npos) << text;
  auto again = parse(text, "printed");
  ASSERT_TRUE(again.ok()) << to_string(again.errors());
  EXPECT_EQ(print(*again), text);
  auto result = run(module, {array_of<float>({2, 3}, {0, 1, 2, 3, 4, 5})});
  ASSERT_TRUE(result.ok()) << to_string(result.errors());
  EXPECT_EQ(values(result->tensor()), (std::vector<double>{1, 3, 5, 7, 9, 11}));
  auto refused = run(module, {array_of<float>({0, 3}, {})});
  EXPECT_FALSE(refused.ok()) << "below the symbol's range";
}

TEST(ModuleBuilder, MatchCastAndSeveralResults) {
  ModuleBuilder b;
  Var n = b.symbol("n"), k = b.symbol("k");
  b.begin_function("main");
  Value x = b.input("x", {n}, dtypes::int64);
  Value even = b.match_cast(x, {k * 2}, dtypes::int64);  // k is not bound by this: n has to be 2 k
  b.end_function({even});
  EXPECT_FALSE(b.finish().ok()) << "k is bound nowhere";

  b.begin_function("main");
  x = b.input("x", {n}, dtypes::int64);
  Value y = b.input("y", {k}, dtypes::int64);
  Value same = b.match_cast(y, {n}, dtypes::int64);
  Value sum = b.emit("add", {x, same});
  Value parts = b.emit_te("parts", {x, sum}, [](const std::vector<te::Tensor>& in) {
    auto twice = te::compute(in[0].shape(), [&](auto& i) { return in[0](i) * 2; }, "twice");
    auto next = te::compute(in[1].shape(), [&](auto& i) { return in[1](i) + 1; }, "next");
    return std::vector<te::Tensor>{twice, next};
  });
  b.end_function({b.item(parts, 0), b.item(parts, 1), sum}, {"twice", "next", "sum"});
  auto module = b.finish();
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  auto result = run(*module, {array_of<int64_t>({2}, {1, 2}), array_of<int64_t>({2}, {5, 7})});
  ASSERT_TRUE(result.ok()) << to_string(result.errors());
  ASSERT_TRUE(result->tuple());
  EXPECT_EQ(values((*result->tuple())[0].tensor()), (std::vector<double>{2, 4}));
  EXPECT_EQ(values((*result->tuple())[1].tensor()), (std::vector<double>{7, 10}));
  EXPECT_EQ(values((*result->tuple())[2].tensor()), (std::vector<double>{6, 9}));
  auto refused = run(*module, {array_of<int64_t>({2}, {1, 2}), array_of<int64_t>({1}, {5})});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(kind_failure(refused.errors()[0].kind), Failure::refused);
}

TEST(ModuleBuilder, ReportsEveryMistakeOnceWithItsLine) {
  ModuleBuilder b;
  b.emit("nn.relu", {});  // outside of a function
  Var m = b.symbol("m");
  b.begin_function("main");
  Value x = b.input("x", {m, 3}, dtypes::float32);
  Value unknown = b.emit("nn.reluu", {x});
  const int line = __LINE__ - 1;
  Value after = b.emit("add", {unknown, x});  // says nothing new
  EXPECT_FALSE(after);
  EXPECT_TRUE(b.shape_of(after).empty());
  Value wrong = b.emit("add", {x, b.constant({2}, std::vector<float>{1, 2})});
  EXPECT_FALSE(wrong);
  Value longer = b.constant({3}, std::vector<float>{1, 2});
  EXPECT_FALSE(longer);
  Value rank = b.emit_te("rank", {x}, [](auto& in) {
    return te::compute(in[0].shape(), [&](auto& i) { return in[0](i[0]); }, "rank");
  });
  EXPECT_FALSE(rank) << "a subscript is missing";
  EXPECT_FALSE(b.input("late", {m}, dtypes::float32));
  b.end_function({x}, {"a", "b"});
  b.begin_function("other");
  auto module = b.finish();
  ASSERT_FALSE(module.ok());
  const std::vector<DiagnosticKind> kinds = {
      DiagnosticKind::ill_formed,      // outside of a function
      DiagnosticKind::unknown_name,    // nn.reluu
      DiagnosticKind::shape_mismatch,  // 3 and 2
      DiagnosticKind::bad_literal,     // 2 elements for 3
      DiagnosticKind::internal,        // in the formula
      DiagnosticKind::ill_formed,      // a late input
      DiagnosticKind::wrong_arity,     // 2 names for 1 result
      DiagnosticKind::ill_formed,      // `other` has no end
  };
  ASSERT_EQ(module.errors().size(), kinds.size()) << to_string(module.errors());
  for (size_t i = 0; i < kinds.size(); ++i) {
    EXPECT_EQ(module.errors()[i].kind, kinds[i]) << module.errors()[i].to_string();
    EXPECT_TRUE(module.errors()[i].span) << module.errors()[i].to_string();
  }
  EXPECT_EQ(module.errors()[1].span.line, line);
  EXPECT_NE(module.errors()[1].to_string().find("compiler_test.cpp"), std::string::npos);

  b.begin_function("main");  // the builder is empty again
  x = b.input("x", {m}, dtypes::float32);
  b.end_function({x});
  EXPECT_TRUE(b.finish().ok());
}

TEST(ModuleBuilder, NullValuesAndForgottenResults) {
  ModuleBuilder b;
  b.begin_function("main");
  Value x = b.input("x", {2}, dtypes::float32);
  b.emit("nn.relu", {Value()});
  b.end_function({});
  auto module = b.finish();
  ASSERT_FALSE(module.ok());
  EXPECT_EQ(module.errors()[0].kind, DiagnosticKind::missing_value);
  EXPECT_EQ(module.errors()[1].kind, DiagnosticKind::ill_formed);
}

TEST(PassManager, RunsPassesByName) {
  Module module = small_module();
  std::vector<std::string> ran;
  PassManager passes;
  passes.add("legalize").add("nothing", [](const Module& m) -> Result<Module> { return m; });
  passes.add("fuse_programs");
  passes.after_pass = [&](const std::string& name, const Module&) { ran.push_back(name); };
  auto fused = passes.run(module);
  ASSERT_TRUE(fused.ok()) << to_string(fused.errors());
  EXPECT_EQ(ran, (std::vector<std::string>{"legalize", "nothing", "fuse_programs"}));
  EXPECT_EQ(print(*fused).find("R.add("), std::string::npos);
  EXPECT_TRUE(PassManager().add_pipeline().run(module).ok());
  auto unknown = PassManager().add("no_such_pass").run(module);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.errors()[0].kind, DiagnosticKind::bad_usage);
  auto broken = PassManager().add("broken", [](const Module&) -> Result<Module> {
    fail_check("pass.cpp", 1, "false", "a bug of the pass");
  });
  auto failed = broken.run(module);
  ASSERT_FALSE(failed.ok());
  EXPECT_EQ(failed.errors()[0].kind, DiagnosticKind::internal);
}

// y = relu(x) of a matrix, as a program with its symbols.
Module relu_program() {
  ModuleBuilder b;
  Var m = b.symbol("m");
  b.begin_function("main");
  Value x = b.input("x", {m, 12}, dtypes::float32);
  b.end_function({b.emit("nn.relu", {x})});
  auto module = b.finish();
  EXPECT_TRUE(module.ok());
  PassManager passes;
  passes.add("legalize").add("expose_symbols");
  auto programs = passes.run(*module);
  EXPECT_TRUE(programs.ok());
  return *programs;
}

TEST(WithSchedule, MakesLoopsByHand) {
  const Module programs = relu_program();
  auto done = with_schedule(programs, "relu", [](schedule::Scheduled& s) -> Result<void> {
    REPOSE_TRY(tiles, schedule::split(s, *schedule::loop_named(s, "i1"), make_int(4),
                                      schedule::Tail::proven));
    return schedule::vectorize(s, tiles[1]);
  });
  ASSERT_TRUE(done.ok()) << to_string(done.errors());
  EXPECT_NE(print(*done).find("T.vectorized(4)"), std::string::npos);
  EXPECT_EQ(print(*done).find("T.block"), std::string::npos);
  PassManager rest;  // the rules leave it alone
  rest.add("schedule_programs");
  auto scheduled = rest.run(*done);
  ASSERT_TRUE(scheduled.ok()) << to_string(scheduled.errors());
  EXPECT_NE(print(*scheduled).find("T.vectorized(4)"), std::string::npos);
}

TEST(WithSchedule, TellsErrors) {
  const Module programs = relu_program();
  auto nothing = [](schedule::Scheduled&) -> Result<void> { return {}; };
  auto unknown = with_schedule(programs, "sigmoid", nothing);
  ASSERT_FALSE(unknown.ok());
  EXPECT_EQ(unknown.errors()[0].kind, DiagnosticKind::unknown_name);
  auto illegal = with_schedule(programs, "relu", [](schedule::Scheduled& s) {
    return schedule::vectorize(s, *schedule::loop_named(s, "i0"));
  });
  ASSERT_FALSE(illegal.ok());
  EXPECT_EQ(illegal.errors()[0].kind, DiagnosticKind::illegal_schedule);
  EXPECT_NE(illegal.errors()[0].text.find("`i0` has m iterations"), std::string::npos);
}

TEST(Compile, WritesAFileOrNothing) {
  Module module = small_module();
  const fs::path folder = fs::temp_directory_path() / ("repose-api-" + std::to_string(getpid()));
  fs::create_directory(folder);
  ArtifactOptions options;
  options.kind = Emit::assembly;
  auto done = compile(module, folder / "model.s", options);
  EXPECT_TRUE(done.ok()) << to_string(done.errors());
  EXPECT_GT(fs::file_size(folder / "model.s"), 0U);
  auto unwritable = compile(module, folder / "no" / "model.so");
  ASSERT_FALSE(unwritable.ok());
  EXPECT_EQ(unwritable.errors()[0].kind, DiagnosticKind::cannot_write);
  options.cpu = "z80";
  EXPECT_FALSE(compile(module, folder / "other.s", options).ok());
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}), 1);
  fs::remove_all(folder);
}

TEST(Compile, HooksOfProfilesAreThereWhereAskedFor) {
  const fs::path file =
      fs::temp_directory_path() / ("repose-api-" + std::to_string(getpid()) + ".s");
  ArtifactOptions options;
  options.kind = Emit::assembly;
  for (const bool profile : {false, true}) {
    options.profile = profile;
    auto done = compile(small_module(), file, options);
    ASSERT_TRUE(done.ok()) << to_string(done.errors());
    std::ifstream stream(file);
    const std::string text{std::istreambuf_iterator<char>(stream), {}};
    EXPECT_EQ(text.find("repose_rt_kernel_begins") != std::string::npos, profile);
  }
  fs::remove(file);
}

TEST(Parse, TellsErrors) {
  auto module =
      parse("@R.function\ndef main(x: R.Tensor((2,), \"float32\")):\n    return y\n", "a");
  ASSERT_FALSE(module.ok());
  EXPECT_EQ(module.errors()[0].span.to_string(), "a:3:12");
}

// What a symbol of the result stands for is known from where the body binds it.
TEST(Text, ASignedSymbolInTheResult) {
  auto module = parse(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), t: R.Tensor((1,), "int64")):
    n, e = T.int64(), T.int64()
    u = R.match_cast(R.tensor_to_shape(t), R.Shape([e]))
    y = R.strided_slice(x, R.shape([0]), R.shape([e]), axes=[0])
    return y
)",
                      "slice");
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  const std::string text = print(*module);
  EXPECT_NE(text.find("<= -1"), std::string::npos) << text;  // counts from the end where e < 0
  auto again = parse(text, "printed");
  ASSERT_TRUE(again.ok()) << to_string(again.errors());
  EXPECT_EQ(print(*again), text);
}

// The range of a symbol that the body binds is checked there.
TEST(ModuleBuilder, RangesOfSymbolsInside) {
  ModuleBuilder b;
  Var n = b.symbol("n"), k = b.symbol("k", {.lower = 2, .upper = 4, .divisor = 2});
  b.begin_function("main");
  Value x = b.input("x", {n}, dtypes::float32);
  Value y = b.match_cast(x, {k}, dtypes::float32);
  b.end_function({b.emit("exp", {y})});
  auto module = b.finish();
  ASSERT_TRUE(module.ok()) << to_string(module.errors());
  for (const int64_t size : {2, 3, 4, 6}) {
    const std::vector<float> ones(static_cast<size_t>(size), 1);
    EXPECT_EQ(run(*module, {array_of<float>({size}, ones)}).ok(), size == 2 || size == 4) << size;
  }
}

}  // namespace
}  // namespace repose

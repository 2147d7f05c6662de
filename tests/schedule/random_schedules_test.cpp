// Random schedules: every step that is not refused leaves a well-formed program, and all of them
// together one that computes the same.
// REPOSE_RANDOM_SCHEDULES: how many of each program; REPOSE_RANDOM_SEED: of the first.
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "interp/interpret.h"
#include "ir/verifier.h"
#include "schedule/finish.h"
#include "schedule/replay.h"
#include "script/printer.h"
#include "support/slow_build.h"

namespace repose::schedule {
namespace {

using testing_interp::parse;

// ---- Programs
// ------------------------------------------------------------------------------------

struct Program {
  const char* name;
  const char* text;
};

const Program programs[] = {
    {"elementwise", R"(
@T.prim_func
def main(A: T.Buffer(("m", "n"), "float32"), D: T.Buffer(("n",), "float32"), B: T.Buffer(("m", "n"), "float32")):
    m, n = T.int64(), T.int64()
    U = T.alloc_buffer((m, n), "float32")
    V = T.alloc_buffer((m, n), "float32")
    for i, j in T.grid(m, n):
        with T.block("u"):
            vi, vj = T.axis.remap("SS", [i, j])
            U[vi, vj] = A[vi, vj] * T.float32(2)
    for i, j in T.grid(m, n):
        with T.block("v"):
            vi, vj = T.axis.remap("SS", [i, j])
            V[vi, vj] = U[vi, vj] + D[vj]
    for i, j in T.grid(m, n):
        with T.block("b"):
            vi, vj = T.axis.remap("SS", [i, j])
            B[vi, vj] = T.max(V[vi, vj], A[vi, vj]) + U[vi, vj]
)"},
    {"matmul", R"(
@T.prim_func
def main(A: T.Buffer(("m", "p"), "float32"), W: T.Buffer(("n", "p"), "float32"), D: T.Buffer(("n",), "float32"), B: T.Buffer(("m", "n"), "float32")):
    m, n, p = T.int64(), T.int64(), T.int64()
    C = T.alloc_buffer((m, n), "float32")
    for i, j, k in T.grid(m, n, p):
        with T.block("c"):
            vi, vj, vk = T.axis.remap("SSR", [i, j, k])
            with T.init():
                C[vi, vj] = T.float32(0)
            C[vi, vj] = C[vi, vj] + A[vi, vk] * W[vj, vk]
    for i, j in T.grid(m, n):
        with T.block("b"):
            vi, vj = T.axis.remap("SS", [i, j])
            B[vi, vj] = T.max(C[vi, vj] + D[vj], T.float32(0))
)"},
    {"weight", R"(
@T.prim_func
def main(A: T.Buffer(("m", 5), "float32"), W: T.Buffer((11, 5), "float32"), B: T.Buffer(("m", 11), "float32")):
    m = T.int64()
    for i, j, k in T.grid(m, 11, 5):
        with T.block("b"):
            vi, vj, vk = T.axis.remap("SSR", [i, j, k])
            with T.init():
                B[vi, vj] = T.float32(0)
            B[vi, vj] = B[vi, vj] + A[vi, vk] * (W[vj, vk] + T.float32(1))
)"},
    {"softmax", R"(
@T.prim_func
def main(A: T.Buffer(("m", "n"), "float32"), B: T.Buffer(("m", "n"), "float32")):
    m, n = T.int64(), T.int64()
    M = T.alloc_buffer((m,), "float32")
    E = T.alloc_buffer((m, n), "float32")
    S = T.alloc_buffer((m,), "float32")
    for i, k in T.grid(m, n):
        with T.block("most"):
            vi, vk = T.axis.remap("SR", [i, k])
            with T.init():
                M[vi] = T.float32(-100)
            M[vi] = T.max(M[vi], A[vi, vk])
    for i, j in T.grid(m, n):
        with T.block("e"):
            vi, vj = T.axis.remap("SS", [i, j])
            E[vi, vj] = (A[vi, vj] - M[vi]) * (A[vi, vj] - M[vi]) + T.float32(1)
    for i, k in T.grid(m, n):
        with T.block("sum"):
            vi, vk = T.axis.remap("SR", [i, k])
            with T.init():
                S[vi] = T.float32(0)
            S[vi] = S[vi] + E[vi, vk]
    for i, j in T.grid(m, n):
        with T.block("b"):
            vi, vj = T.axis.remap("SS", [i, j])
            B[vi, vj] = E[vi, vj] / S[vi]
)"},
    {"layer_norm", R"(
@T.prim_func
def main(A: T.Buffer(("m", "n"), "float32"), G: T.Buffer(("n",), "float32"), B: T.Buffer(("m", "n"), "float32")):
    m, n = T.int64(), T.int64()
    S = T.alloc_buffer((m,), "float32")
    Q = T.alloc_buffer((m,), "float32")
    for i in range(m):
        for k in range(n):
            with T.block("sum"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    S[vi] = T.float32(0)
                S[vi] = S[vi] + A[vi, vk]
        for k in range(n):
            with T.block("squares"):
                vi, vk = T.axis.remap("SR", [i, k])
                with T.init():
                    Q[vi] = T.float32(1)
                Q[vi] = Q[vi] + (A[vi, vk] * T.float32(2) - S[vi]) * (A[vi, vk] * T.float32(2) - S[vi])
        for j in range(n):
            with T.block("b"):
                vi, vj = T.axis.remap("SS", [i, j])
                B[vi, vj] = (A[vi, vj] - S[vi]) / T.sqrt(Q[vi]) * G[vj]
)"},
    {"window", R"(
@T.prim_func
def main(X: T.Buffer(("m", "n"), "float32"), B: T.Buffer(("m", "n"), "float32")):
    m, n = T.int64(), T.int64()
    P = T.alloc_buffer((m, n + 2), "float32")
    for i, j in T.grid(m, n + 2):
        with T.block("padded"):
            vi, vj = T.axis.remap("SS", [i, j])
            P[vi, vj] = T.if_then_else(T.And(vj >= 1, vj < n + 1), X[vi, vj - 1], T.float32(0))
    for i, j, k in T.grid(m, n, 3):
        with T.block("b"):
            vi, vj, vk = T.axis.remap("SSR", [i, j, k])
            with T.init():
                B[vi, vj] = T.float32(0)
            B[vi, vj] = B[vi, vj] + P[vi, vj + vk]
)"},
    {"transposition", R"(
@T.prim_func
def main(A: T.Buffer(("m", "n"), "float32"), D: T.Buffer(("n", "m"), "float32"), B: T.Buffer(("n", "m"), "float32")):
    m, n = T.int64(), T.int64()
    U = T.alloc_buffer((n, m), "float32")
    for i, j in T.grid(n, m):
        with T.block("u"):
            vi, vj = T.axis.remap("SS", [i, j])
            U[vi, vj] = A[vj, vi]
    for i, j in T.grid(n, m):
        with T.block("b"):
            vi, vj = T.axis.remap("SS", [i, j])
            B[vi, vj] = U[vi, vj] * D[vi, vj]
    for i, j in T.grid(n, m):
        with T.block("d"):
            vi, vj = T.axis.remap("SS", [i, j])
            D[vi, vj] = U[vi, vj] + T.float32(1)
)"},
};

// ---- Steps
// ---------------------------------------------------------------------------------------

// Draws steps as text, about what is in the program. Most of them make sense, some don't.
class StepDrawer {
 public:
  StepDrawer(const Scheduled& s, std::mt19937& random) : s_(s), random_(random) {
    tir::visit_stmts(s.func->body, [&](const tir::Stmt& at) {
      if (const auto* loop = tir::as<tir::ForNode>(at)) loops_.push_back(loop);
      if (const auto* allocate = tir::as<tir::AllocateNode>(at)) {
        allocated_.push_back(allocate->buffer);
        buffers_.push_back(allocate->buffer);
      }
      if (const auto* seq = tir::as<tir::SeqNode>(at)) {
        for (size_t i = 0; i + 1 < seq->stmts.size(); ++i) see_neighbours(*seq, i);
      }
      return true;
    });
    for (const tir::Param& p : s.func->params) {
      if (p.buffer) buffers_.push_back(p.buffer);
    }
    blocks_ = blocks_in(s.func->body);
  }

  size_t below(size_t n) { return random_() % n; }
  template <class List>
  const auto& one_of(const List& list) {
    return list[below(std::size(list))];
  }

  std::string draw() {
    if (loops_.empty() || blocks_.empty()) return "";
    using Draw = std::string (StepDrawer::*)();
    static constexpr Draw draws[] = {
        &StepDrawer::split,     &StepDrawer::split,     &StepDrawer::kind,
        &StepDrawer::fuse,      &StepDrawer::fuse,      &StepDrawer::reorder,
        &StepDrawer::reorder,   &StepDrawer::join,      &StepDrawer::partition,
        &StepDrawer::kind,      &StepDrawer::kind,      &StepDrawer::cache,
        &StepDrawer::cache,     &StepDrawer::set_scope, &StepDrawer::set_scope,
        &StepDrawer::reindex,   &StepDrawer::layout,    &StepDrawer::of_block,
        &StepDrawer::of_block,  &StepDrawer::of_block,  &StepDrawer::of_block,
        &StepDrawer::move,      &StepDrawer::move,      &StepDrawer::move,
        &StepDrawer::move,      &StepDrawer::reduction, &StepDrawer::reduction,
        &StepDrawer::reduction, &StepDrawer::reindex,   &StepDrawer::tile,
        &StepDrawer::tile,      &StepDrawer::tile,      &StepDrawer::specialize};
    return (this->*one_of(draws))();
  }

 private:
  const Scheduled& s_;
  std::mt19937& random_;
  std::vector<const tir::ForNode*> loops_;
  std::vector<std::pair<std::string, std::string>> neighbours_;
  std::vector<Buffer> allocated_, buffers_;
  std::vector<const tir::BlockNode*> blocks_;

  void see_neighbours(const tir::SeqNode& seq, size_t i) {
    const auto* first = tir::as<tir::ForNode>(seq.stmts[i]);
    const auto* second = tir::as<tir::ForNode>(seq.stmts[i + 1]);
    if (first && second) neighbours_.emplace_back(first->var->name, second->var->name);
  }

  std::string word(std::initializer_list<const char*> words) {
    return words.begin()[below(words.size())];
  }
  std::string loop() { return one_of(loops_)->var->name; }
  std::string block() { return one_of(blocks_)->name; }
  // A loop around the block, or the root; now and then any other.
  std::string loop_around(const std::string& name) {
    const auto around = loops_around(s_, find_block(s_, {name}));
    if (around.empty() || below(8) == 0) return word({"root", loop().c_str()});
    return one_of(around)->var->name;
  }
  std::string extent() { return word({"m", "n", "8", "p", "5", "n + 2"}); }

  std::string split() {
    return fmt::format(
        "split({}, {}, {})", loop(), word({"4", "2", "3", "8", "T.max(n, 1)", "T.max(m // 2, 1)"}),
        word({"proven", "masked", "masked", "bounded", "separate", "vector", "powers"}));
  }
  // What vectors, accumulators and lanes need comes first.
  std::string tile() {
    std::vector<const tir::ForNode*> inner;
    for (const tir::ForNode* l : loops_) {
      if (l->loop_kind == tir::ForKind::serial) inner.push_back(l);
    }
    if (inner.empty()) return kind();
    const tir::ForNode* at = one_of(inner);
    if (is_constant(at->extent)) {
      if (const auto* next = tir::as<tir::ForNode>(at->body); next && below(2)) {
        return fmt::format("reorder([{}, {}])", next->var->name, at->var->name);
      }
      const auto blocks = blocks_in(at->body);
      if (!blocks.empty() && below(2)) {
        return fmt::format("{}({}, {})", word({"split_reduction", "decompose_reduction"}),
                           one_of(blocks)->name, at->var->name);
      }
      return fmt::format("vectorize({})", at->var->name);
    }
    return fmt::format("split({}, {}, {})", at->var->name, word({"4", "8"}),
                       word({"masked", "masked", "vector"}));
  }
  std::string fuse() {
    const tir::ForNode* outer = one_of(loops_);
    const auto* inner = tir::as<tir::ForNode>(outer->body);
    return fmt::format("fuse({}, {})", outer->var->name, inner ? inner->var->name : loop());
  }
  std::string reorder() {
    std::vector<std::string> nest;
    const tir::ForNode* at = one_of(loops_);
    while (at) {
      nest.push_back(at->var->name);
      at = tir::as<tir::ForNode>(at->body);
    }
    std::shuffle(nest.begin(), nest.end(), random_);
    if (nest.size() > 2 && below(2)) nest.pop_back();
    return fmt::format("reorder([{}])", fmt::join(nest, ", "));
  }
  std::string join() {
    if (neighbours_.empty()) return fmt::format("join({}, {})", loop(), loop());
    const auto& [first, second] = one_of(neighbours_);
    return fmt::format("join({}, {})", first, second);
  }
  std::string partition() {
    const tir::ForNode* at = one_of(loops_);
    const std::string extent = to_string(at->extent);
    const std::string half = fmt::format("({}) // 2", extent);
    const std::string first = fmt::format("T.min({}, 1)", extent);
    return fmt::format("partition({}, {})", at->var->name,
                       word({half.c_str(), first.c_str(), "1", "n // 4", "m // 8", "0"}));
  }
  std::string kind() {
    const tir::ForNode* at = one_of(loops_);
    if (is_constant(at->extent) && below(3)) {
      return fmt::format("{}({})", word({"vectorize", "unroll"}), at->var->name);
    }
    return fmt::format("parallel({}, {})", at->var->name, word({"1", "2", "n + 1"}));
  }
  std::string cache() {
    const std::string name = block();
    const std::string scope = word({"local", "workspace", "workspace"});
    if (below(2)) return fmt::format("cache_write({}, {}, {})", name, loop_around(name), scope);
    return fmt::format("cache_read({}, {}, {}, {})", name, one_of(buffers_)->name,
                       loop_around(name), scope);
  }
  std::string set_scope() {
    if (allocated_.empty()) return cache();
    return fmt::format("set_scope({}, {}, {})", one_of(allocated_)->name,
                       word({"local", "workspace", "workspace"}), loop());
  }
  std::string reindex() { return fmt::format("reindex({}, {})", block(), one_of(buffers_)->name); }
  std::string layout() {
    if (allocated_.empty()) return reindex();
    const Buffer& b = one_of(allocated_);
    const std::string inner = b->shape.empty() ? "" : to_string(b->shape.back());
    const std::string flat = fmt::format("(a, b) -> (a * ({}) + b)", inner);
    std::string map;
    switch (b->shape.size()) {
      case 1:
        map = word({"(a) -> (a // 4, a % 4)", "(a) -> (a % 3, a // 3)", "(a) -> (a * 2 + 1)"});
        break;
      case 2:
        map = word({"(a, b) -> (b, a)", "(a, b) -> (a // 4, b, a % 4)",
                    "(a, b) -> (b // 3, a, b % 3)", flat.c_str()});
        break;
      default:
        map = "(a, b, c) -> (c, a, b)";
    }
    return fmt::format("transform_layout({}, {})", b->name, map);
  }
  std::string of_block() {
    return fmt::format("{}({})",
                       word({"pad", "pad", "prepack", "compute_inline", "compute_inline",
                             "combine_lanes", "contract_multiply_add"}),
                       block());
  }
  std::string move() {
    return fmt::format("{}({}, {})", word({"compute_at", "reverse_compute_at"}), block(), loop());
  }
  std::string reduction() {
    const std::string name = block();
    return fmt::format("{}({}, {})",
                       word({"decompose_reduction", "decompose_reduction", "split_reduction"}),
                       name, loop_around(name));
  }
  std::string specialize() {
    const tir::ForNode* at = one_of(loops_);
    const auto around = loops_around(s_, at);
    std::string condition =
        fmt::format("{} {} {}", word({"m", "n"}), word({"<=", ">=", "<"}), word({"3", "8", "1"}));
    if (!around.empty() && below(2)) {
      condition = fmt::format("{} * 4 + 4 <= {}", around.back()->var->name, extent());
    }
    return fmt::format("specialize({}, {})", at->var->name, condition);
  }
};

// ---- Runs
// ----------------------------------------------------------------------------------------

constexpr int64_t sizes[] = {0, 1, 3, 8, 17};
constexpr size_t num_sizes = std::size(sizes);
using Arrays = std::vector<Ref<ArrayNode>>;

// Small whole numbers: sums and products of them are exact, in any order.
Arrays arguments(const tir::PrimFunc& f, size_t run) {
  VarMap symbols;
  size_t i = run;
  for (const Var& v : tir::bound_symbols(*f)) {
    // All symbols the same, or each another.
    symbols.emplace(v.get(), make_int(sizes[(run < num_sizes ? run : i++) % num_sizes]));
  }
  std::mt19937 random(static_cast<uint32_t>(run));
  Arrays arrays;
  for (const tir::Param& p : f->params) {
    std::vector<int64_t> shape;
    for (const Expr& d : p.buffer->shape) {
      int64_t extent = 0;
      as_const_int(canonical(substitute(d, symbols)), &extent);
      shape.push_back(extent);
    }
    Ref<ArrayNode> a = make_array(std::move(shape), p.buffer->dtype);
    for (int64_t e = 0; e < a->num_elements(); ++e) {
      a->store(e, Scalar::of_float(static_cast<double>(random() % 5) - 2, p.buffer->dtype));
    }
    arrays.push_back(std::move(a));
  }
  return arrays;
}

// What packers make of the arguments.
Result<void> pack(const Scheduled& s, Arrays& arrays) {
  for (const LayoutRequest& request : s.layouts) {
    std::vector<int64_t> shape;
    for (const Expr& d : request.packer->params[1].buffer->shape) {
      int64_t extent = 0;
      as_const_int(d, &extent);
      shape.push_back(extent);
    }
    Ref<ArrayNode> packed = make_array(std::move(shape), request.packer->params[1].buffer->dtype);
    auto done = interpret_program(request.packer, {arrays[request.param], packed});
    if (!done.ok()) return done;
    arrays[request.param] = packed;
  }
  return {};
}

struct RunResult {
  std::string error;                        // "": it ran
  std::vector<std::vector<double>> values;  // of parameters that are not packed
  bool is_too_large = false;
};

RunResult run(const tir::PrimFunc& f, const Scheduled& s, Arrays arrays) {
  RunResult result;
  InterpretOptions options;
  options.max_steps = 2000000;
  auto done = pack(s, arrays);
  if (done.ok()) done = interpret_program(f, arrays, {}, options);
  if (!done.ok()) {
    result.error = to_string(done.errors());
    result.is_too_large = done.errors()[0].kind == DiagnosticKind::too_large;
  }
  for (size_t i = 0; i < arrays.size(); ++i) {
    const bool is_packed = std::any_of(s.layouts.begin(), s.layouts.end(),
                                       [&](const LayoutRequest& r) { return r.param == i; });
    result.values.emplace_back();
    if (!is_packed) result.values.back() = testing_interp::values_of(arrays[i]);
  }
  return result;
}

std::string difference(const RunResult& a, const RunResult& b, const Scheduled& s) {
  if (a.is_too_large || b.is_too_large) return "";
  if (!b.error.empty()) return b.error;
  for (size_t p = 0; p < a.values.size(); ++p) {
    const bool is_packed = std::any_of(s.layouts.begin(), s.layouts.end(),
                                       [&](const LayoutRequest& r) { return r.param == p; });
    for (size_t i = 0; !is_packed && i < a.values[p].size(); ++i) {
      const double x = a.values[p][i], y = b.values[p][i];
      if (x == y || (x != x && y != y)) continue;
      return fmt::format("parameter {}, element {}: {} and {}", p, i, x, y);
    }
  }
  return "";
}

class RandomSchedule {
 public:
  RandomSchedule(const tir::PrimFunc& f, uint32_t seed) : f_(f), random_(seed) {}

  // "": it holds; else what went wrong, and the steps.
  std::string run() {
    Scheduled s = begin_schedule(f_);
    Replay replay(s);
    const size_t length = 4 + random_() % 14;
    for (size_t i = 0; i < length && num_accepted_ < 8; ++i) {
      const std::string step = StepDrawer(s, random_).draw();
      if (step.empty()) break;
      const tir::PrimFunc before = s.func;
      const size_t num_steps = s.steps.size();
      const auto done = replay.apply(steps_in(make_text_source("step", step))[0]);
      ++tried;
      if (!done.ok()) {
        if (s.func != before || s.steps.size() != num_steps) {
          return report("refused, but changed the program: " + step, s.func);
        }
        continue;
      }
      ++accepted;
      ++num_accepted_;
      ++by_name[s.steps.back().primitive];
      steps_ += step + "\n";
      if (std::string found = problems(s.func); !found.empty()) return report(found, s.func);
    }
    return compare(s);
  }

  static inline int tried = 0, accepted = 0;
  static inline std::map<std::string, int> by_name;

 private:
  const tir::PrimFunc& f_;
  std::mt19937 random_;
  std::string steps_;
  int num_accepted_ = 0;

  static std::string printed(const tir::PrimFunc& f) {
    Module module;
    module.set("main", f);
    return print(module);
  }
  std::string report(const std::string& what, const tir::PrimFunc& f) const {
    return fmt::format("{}\nafter\n{}in\n{}", what, steps_, printed(f));
  }
  static std::string problems(const tir::PrimFunc& f) {
    Module module;
    module.set("main", f);
    const Diagnostics found = verify(module, standard_ops());
    return found.empty() ? "" : to_string(found);
  }

  std::string compare(const Scheduled& s) const {
    // A reduction that may be over nothing may have to keep its block.
    const auto finished = finish_schedule(s);
    const tir::PrimFunc loops = finished.ok() ? *finished : s.func;
    if (std::string found = problems(loops); !found.empty()) return report(found, loops);
    Scheduled unchanged;
    for (size_t r = 0; r < 2 * num_sizes; ++r) {
      const RunResult expected = schedule::run(f_, unchanged, arguments(f_, r));
      for (const tir::PrimFunc& f : {s.func, loops}) {
        const std::string found = difference(expected, schedule::run(f, s, arguments(f_, r)), s);
        if (!found.empty())
          return report(fmt::format("run {}, {}: {}", r,
                                    f == loops ? "without blocks" : "with blocks", found),
                        f);
      }
    }
    return "";
  }
};

class RandomSchedules : public ::testing::TestWithParam<Program> {};

TEST_P(RandomSchedules, compute_the_same) {
  const Module module = parse(GetParam().text);
  const tir::PrimFunc f = module.prim_func("main");
  ASSERT_TRUE(f);
  const int count = random_count("REPOSE_RANDOM_SCHEDULES", 40, 4);
  const char* first = std::getenv("REPOSE_RANDOM_SEED");
  for (int i = 0; i < count; ++i) {
    const uint32_t seed = (first ? std::atoi(first) : 0) + i;
    const std::string found = RandomSchedule(f, seed).run();
    if (!found.empty()) ADD_FAILURE() << "REPOSE_RANDOM_SEED=" << seed << ": " << found;
  }
  if (std::getenv("REPOSE_RANDOM_VERBOSE")) {
    fmt::print("{} of {} steps\n", RandomSchedule::accepted, RandomSchedule::tried);
    for (const auto& [name, times] : RandomSchedule::by_name) fmt::print("  {} {}\n", name, times);
  }
}

INSTANTIATE_TEST_SUITE_P(All, RandomSchedules, ::testing::ValuesIn(programs),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace repose::schedule

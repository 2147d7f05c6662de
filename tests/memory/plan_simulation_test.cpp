// Runs random graph functions step by step, with the addresses that their plans say: no bytes that
// are still read are written. What is still read is found from the run itself, not from liveness.h.
// REPOSE_PLAN_GRAPHS: how many functions.
#include <gtest/gtest-spi.h>
#include <gtest/gtest.h>

#include <map>

#include "expr/scalar.h"
#include "memory/plan.h"
#include "memory/random_graph.h"
#include "script/printer.h"
#include "support/slow_build.h"

namespace repose {
namespace {

using graph::Value;
using testing_memory::random_graph;
using testing_memory::RandomGraph;

constexpr int end_of_run = 1 << 30;

// A value while the function runs.
struct Running {
  std::vector<int64_t> shape;  // of a tensor or a shape
  int storage = -1;            // of a tensor that a call has computed, else -1
  std::vector<Running> fields;
  bool is_tuple = false;
};

// Bytes that a call has written, and until when they are read.
struct Written {
  int storage = 0;
  int64_t bytes = 0;
  int begin = 0, end = 0;
};

class Simulation {
 public:
  Simulation(const RandomGraph& g, const MemoryPlan& plan, uint32_t seed)
      : function_(*g.function), plan_(plan), random_(seed) {
    for (const Var& v : g.symbols) symbols_[v.get()] = draw(g.facts.range_of(v));
  }

  void run() {
    for (const graph::Variable& p : function_.params) {
      const TensorTypeNode* t = as<TensorTypeNode>(p->type);
      values_[p.get()] = Running{evaluate_all(*t->shape), -1, {}, false};
    }
    body(function_.body);
    place();
    for (const auto& [s, w] : written_) check_region(w);
    check_results();
    check_addresses();
  }

  std::string symbols() const {
    std::string text;
    for (const auto& [v, value] : symbols_) text += fmt::format("{}={} ", v->name, value);
    return text;
  }

 private:
  const graph::FunctionNode& function_;
  const MemoryPlan& plan_;
  std::mt19937 random_;
  std::map<const VarNode*, int64_t> symbols_;
  std::map<const graph::ValueNode*, Running> values_;
  std::map<int, Written> written_;  // by storage
  int time_ = 0;
  PlanAt at_;

  int64_t draw(const Interval& range) {
    static constexpr int64_t candidates[] = {0, 1, 2, 3, 7, 60, 64, 65, 1000};
    while (true) {
      const int64_t v = candidates[random_() % std::size(candidates)];
      if (range.contains(v)) return v;
    }
  }

  int64_t evaluate_one(const Expr& e) {
    auto value = evaluate(e, [&](const Var& v) -> std::optional<Scalar> {
      auto it = symbols_.find(v.get());
      if (it == symbols_.end()) return std::nullopt;
      return Scalar::of_int(it->second, v->dtype);
    });
    EXPECT_TRUE(value) << "`" << to_string(e) << "` has no value at step " << time_;
    return value ? value->i : 0;
  }
  std::vector<int64_t> evaluate_all(const Dims& dims) {
    std::vector<int64_t> values;
    for (const Expr& d : dims) values.push_back(evaluate_one(d));
    return values;
  }

  void bind(const Dims& dims, const std::vector<int64_t>& values) {
    ASSERT_EQ(dims.size(), values.size());
    for (size_t i = 0; i < dims.size(); ++i) {
      if (const auto* v = as<VarNode>(dims[i])) symbols_.emplace(v, values[i]);
    }
  }
  // Symbols that a binding's type binds.
  void bind(const Type& t, const Running& value) {
    if (const auto* tensor = as<TensorTypeNode>(t); tensor && tensor->shape) {
      bind(*tensor->shape, value.shape);
    } else if (const auto* shape = as<ShapeTypeNode>(t); shape && shape->dims) {
      bind(*shape->dims, value.shape);
    } else if (const auto* tuple = as<TupleTypeNode>(t)) {
      for (size_t i = 0; i < tuple->fields.size(); ++i) bind(tuple->fields[i], value.fields[i]);
    }
  }

  Running read(const Value& v) {
    if (auto it = values_.find(v.get()); it != values_.end()) return it->second;
    Running r;
    if (const auto* c = graph::as<graph::ConstantNode>(v)) {
      r.shape = c->data->shape;
    } else if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      r.is_tuple = true;
      for (const Value& field : tuple->fields) r.fields.push_back(read(field));
    } else if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      r = read(get->tuple).fields.at(static_cast<size_t>(get->index));
    } else if (const auto* shape = graph::as<graph::ShapeNode>(v)) {
      r.shape = evaluate_all(shape->dims);
    }
    return r;
  }

  void keep(const Running& r, int until) {
    if (auto it = written_.find(r.storage); it != written_.end()) {
      it->second.end = std::max(it->second.end, until);
    }
    for (const Running& field : r.fields) keep(field, until);
  }

  void body(const graph::Body& b) {
    for (const graph::Block& block : b->blocks) {
      for (const graph::Binding& x : block.bindings) {
        ++time_;
        Running r = binding(x);
        bind(x.cast ? x.cast : x.var->type, r);
        values_[x.var.get()] = std::move(r);
      }
    }
  }

  Running binding(const graph::Binding& x) {
    if (const auto* choice = graph::as<graph::IfNode>(x.value)) {
      const graph::Body& taken = random_() % 2 ? choice->then_body : choice->else_body;
      body(taken);
      Running r = read(taken->result);
      size_t leaf = 0;
      check_places(r, plan_.live.places.at(x.var.get()), leaf);
      return r;
    }
    const auto* call = graph::as<graph::CallNode>(x.value);
    if (!call) return read(x.value);
    if (is_view(*call)) {
      Running r = read(call->args[0]);
      r.shape = evaluate_all(*as<TensorTypeNode>(x.var->type)->shape);
      return r;
    }
    for (const Value& a : call->args) keep(read(a), time_);
    if (call->op->name == "tensor_to_shape") {
      return Running{{draw({0, 100}), draw({0, 100})}, -1, {}, false};
    }
    size_t leaf = 0;
    return write(x.var->type, plan_.live.places.at(x.var.get()), leaf);
  }

  // A result that a call writes.
  Running write(const Type& t, const Places& places, size_t& leaf) {
    Running r;
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      r.is_tuple = true;
      for (const Type& field : tuple->fields) r.fields.push_back(write(field, places, leaf));
      return r;
    }
    const auto* tensor = as<TensorTypeNode>(t);
    if (!tensor) return r;
    r.shape = evaluate_all(*tensor->shape);
    const std::vector<int>& place = places.at(leaf++);
    EXPECT_EQ(place.size(), 1u) << "a call writes each result to one place";
    r.storage = place.at(0);
    Written w{r.storage, array_bytes(r.shape, tensor->dtype), time_, time_};
    EXPECT_EQ(evaluate_one(plan_.live.storages.at(static_cast<size_t>(r.storage)).bytes), w.bytes);
    EXPECT_EQ(written_.count(r.storage), 0u) << "a storage is written once";
    written_[r.storage] = w;
    return r;
  }

  // Where blocks are, now that symbols are known; those of a branch that was not taken count as 0.
  void place() {
    SymbolValues values;
    for (const auto& [v, position] : plan_.live.symbol_positions) values.emplace(v, 0);
    for (const auto& [v, value] : symbols_) values[v] = value;
    const std::optional<PlanAt> at = plan_at(plan_, values);
    ASSERT_TRUE(at) << "a size has no value";
    at_ = *at;
  }

  struct Planned {
    int region = -1, result = -1;
    int64_t offset = 0;
  };
  Planned planned(const Written& w) {
    const auto b = static_cast<size_t>(plan_.aliases.block_of[static_cast<size_t>(w.storage)]);
    Planned p{plan_.region_of[b], plan_.aliases.blocks[b].result, at_.offsets[b]};
    p.offset += evaluate_one(plan_.aliases.begin_bytes[static_cast<size_t>(w.storage)]);
    return p;
  }

  // Its region is large enough.
  void check_region(const Written& w) {
    const Planned p = planned(w);
    if (p.region < 0) {
      EXPECT_GE(p.result, 0) << "a computed tensor lives in the arena or is a result";
      return;
    }
    EXPECT_GE(p.offset, 0);
    EXPECT_EQ(p.offset % 64, 0);
    EXPECT_LE(p.offset + w.bytes,
              evaluate_one(plan_.regions.at(static_cast<size_t>(p.region)).bytes));
  }

  void check_places(const Running& r, const Places& places, size_t& leaf) {
    if (r.is_tuple) {
      for (const Running& field : r.fields) check_places(field, places, leaf);
      return;
    }
    const std::vector<int>& place = places.at(leaf++);
    if (r.storage < 0) return;
    EXPECT_NE(std::find(place.begin(), place.end(), r.storage), place.end())
        << "the result of an `if` is where no branch of it is said to put it";
  }

  // Results are where the plan says, or copied from where they are, in the end.
  void check_results() {
    const Running result = read(function_.body->result);
    keep(result, end_of_run);
    size_t leaf = 0;
    check_result(result, leaf);
    EXPECT_EQ(leaf, plan_.aliases.copied_results.size());
  }
  void check_result(const Running& r, size_t& leaf) {
    if (r.is_tuple) {
      for (const Running& field : r.fields) check_result(field, leaf);
      return;
    }
    const size_t i = leaf++;
    if (plan_.aliases.copied_results.at(i)) return;
    ASSERT_GE(r.storage, 0) << "an input or a constant is copied to a result";
    EXPECT_EQ(planned(written_.at(r.storage)).result, static_cast<int>(i));
  }

  // No two storages share bytes while both are needed.
  void check_addresses() {
    for (const auto& [i, a] : written_) {
      for (const auto& [j, b] : written_) {
        // When `b` is written, `a` was there already (or is written by the same call) and is read
        // then or later.
        if (i == j || a.begin > b.begin || a.end < b.begin) continue;
        const Planned p = planned(a), q = planned(b);
        if (p.region < 0 && q.region < 0) {
          EXPECT_NE(p.result, q.result) << "two live tensors in one result";
        }
        if (p.region < 0 || p.region != q.region || a.bytes == 0 || b.bytes == 0) continue;
        const int64_t x = p.offset, y = q.offset;
        EXPECT_TRUE(x + a.bytes <= y || y + b.bytes <= x)
            << "storages " << i << " and " << j << ": [" << x << ", " << x + a.bytes << ") and ["
            << y << ", " << y + b.bytes << ")";
      }
    }
  }
};

int number_of_graphs() {
  return random_count("REPOSE_PLAN_GRAPHS", 400, 60);
}

void simulate(uint32_t seed, const PlanOptions& options) {
  const RandomGraph g = random_graph(seed);
  const MemoryPlan plan = plan_memory(g.function, {}, g.facts, options);
  for (uint32_t run = 0; run < 10; ++run) {
    Simulation simulation(g, plan, seed * 100 + run);
    simulation.run();
    ASSERT_FALSE(testing::Test::HasFailure())
        << "graph " << seed << ", " << simulation.symbols() << "\n"
        << print(g.function);
  }
}

TEST(PlanSimulation, NoLiveBytesAreOverwritten) {
  for (int i = 0; i < number_of_graphs(); ++i) {
    simulate(static_cast<uint32_t>(i), {});
    if (HasFatalFailure()) return;
  }
}

TEST(PlanSimulation, WithoutReuse) {
  PlanOptions options;
  options.reuse = false;
  for (int i = 0; i < number_of_graphs() / 4; ++i) {
    simulate(static_cast<uint32_t>(i), options);
    if (HasFatalFailure()) return;
  }
}

// The graphs have what they are there for, and reuse saves something.
TEST(PlanSimulation, GraphsAreOfEveryKind) {
  int branches = 0, views = 0, regions = 0, fresh = 0, smaller = 0;
  PlanOptions no_reuse;
  no_reuse.reuse = false;
  for (uint32_t seed = 0; seed < 60; ++seed) {
    const RandomGraph g = random_graph(seed);
    const MemoryPlan plan = plan_memory(g.function, {}, g.facts);
    const MemoryPlan all = plan_memory(g.function, {}, g.facts, no_reuse);
    regions += plan.regions.size() > 1;
    smaller += !structural_equal(plan.regions[0].bytes, all.regions[0].bytes);
    graph::visit_bindings(g.function->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<graph::CallNode>(b.value);
      const bool is_if = graph::as<graph::IfNode>(b.value);
      branches += is_if;
      fresh += is_if && !binding_symbols(b.var->type).empty();
      views += call && is_view(*call);
    });
  }
  EXPECT_GT(branches, 10);
  EXPECT_GT(views, 20);
  EXPECT_GT(regions, 10);
  EXPECT_GT(fresh, 3);
  EXPECT_GT(smaller, 20);
}

// The simulation finds what is wrong with a plan: here, everything is at the beginning.
TEST(PlanSimulation, FindsOverlaps) {
  int found = 0;
  for (uint32_t seed = 0; seed < 20; ++seed) {
    const RandomGraph g = random_graph(seed);
    MemoryPlan plan = plan_memory(g.function, {}, g.facts);
    for (Region& region : plan.regions) {
      for (Orientation& o : region.placements) {
        for (std::vector<int>& below : o.below) below.clear();
      }
    }
    testing::TestPartResultArray failures;
    {
      testing::ScopedFakeTestPartResultReporter reporter(
          testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
      for (uint32_t run = 0; run < 10; ++run) Simulation(g, plan, run).run();
    }
    found += failures.size() > 0;
  }
  EXPECT_GT(found, 10);
}

}  // namespace
}  // namespace repose

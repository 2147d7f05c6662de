// Grows a graph function statement by statement.
#include "memory/random_graph.h"

#include <stdexcept>

#include "ops/ops.h"

namespace repose::testing_memory {

namespace {

using graph::Value;

template <class T>
T get(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(to_string(result.errors()));
  return std::move(*result);
}

const OpDef& op(const char* name) {
  return *standard_ops().find(name);
}

class Grower {
 public:
  explicit Grower(uint32_t seed) : random_(seed), builder_(standard_ops()) {}

  RandomGraph grow() {
    RandomGraph g;
    for (const char* name : {"n", "m"}) {
      g.symbols.push_back(make_var(name));
      dims_.push_back(g.symbols.back());
      if (chance(30)) g.facts.restrict(g.symbols.back(), {0, 64, chance(50) ? 4 : 1, 0});
    }
    dims_.push_back(make_int(3));
    dims_.push_back(make_int(pick(5) * 8));
    std::vector<graph::Variable> params;
    for (const Var& symbol : g.symbols) {
      params.push_back(
          graph::make_variable("x_" + symbol->name, tensor_type({symbol}, dtypes::float32)));
      tensors_.push_back(params.back());
    }
    condition_ = graph::make_variable("c", tensor_type({}, dtypes::boolean));
    params.push_back(condition_);
    builder_.begin_function("main", params, g.facts);
    statements(4 + pick(12), 0);
    Value result = results();
    get(builder_.end_function(result));
    g.function = builder_.module().graph_function("main");
    return g;
  }

 private:
  std::mt19937 random_;
  Builder builder_;
  std::vector<Value> tensors_;  // in scope
  std::vector<Expr> dims_;      // extents that can be written here
  graph::Variable condition_;

  int pick(int count) { return static_cast<int>(random_() % static_cast<uint32_t>(count)); }
  bool chance(int percent) { return pick(100) < percent; }
  Value any_tensor() {
    return tensors_[static_cast<size_t>(pick(static_cast<int>(tensors_.size())))];
  }
  Expr any_dim() { return dims_[static_cast<size_t>(pick(static_cast<int>(dims_.size())))]; }

  Expr random_extent() {
    switch (pick(8)) {
      case 0:
        return canonical(any_dim() + any_dim());
      case 1:
        return canonical(any_dim() * 2);
      case 2:
        return canonical(floor_div(any_dim(), make_int(2)));
      case 3:
        return canonical(max(any_dim(), any_dim()));
      default:
        return any_dim();
    }
  }
  Type random_type() {
    static constexpr DType types[] = {dtypes::float32, dtypes::int8, dtypes::float64};
    Dims shape;
    for (int rank = 1 + pick(2); rank > 0; --rank) shape.push_back(random_extent());
    return tensor_type(std::move(shape), types[pick(3)]);
  }

  void statements(int count, int depth) {
    for (; count > 0; --count) {
      const int kind = pick(100);
      if (kind < 50) {
        call({random_type()});
      } else if (kind < 58) {
        call({random_type(), random_type()});
      } else if (kind < 70) {
        view();
      } else if (kind < 76) {
        tuple();
      } else if (kind < 80) {
        constant();
      } else if (kind < 88) {
        data();
      } else if (kind < 90) {
        (void)builder_.require(le(any_dim(), make_int(1 << 20)), "an extent is too large");
      } else if (depth < 2) {
        branch(depth);
      }
    }
  }

  std::vector<Value> operands() {
    std::vector<Value> args;
    for (int i = 1 + pick(3); i > 0; --i) args.push_back(any_tensor());
    return args;
  }

  Value call(const std::vector<Type>& types) {
    Value result = get(builder_.emit(make_call_tir(standard_ops(), "program", operands(), types)));
    if (types.size() == 1) {
      tensors_.push_back(result);
    } else {
      for (size_t i = 0; i < types.size(); ++i) {
        tensors_.push_back(get(builder_.emit(graph::make_tuple_get(result, static_cast<int>(i)))));
      }
    }
    return result;
  }

  void view() {
    const Value x = any_tensor();
    Expr count = num_elements(*graph::tensor_of(x));
    Dims shape{count};
    if (chance(30)) shape.push_back(make_int(1));
    tensors_.push_back(get(builder_.emit(
        graph::make_op_call(op("reshape"), {x, graph::make_shape(std::move(shape))}))));
  }

  void tuple() {
    Value pair = get(builder_.emit(graph::make_tuple({any_tensor(), any_tensor()})));
    tensors_.push_back(get(builder_.emit(graph::make_tuple_get(pair, pick(2)))));
  }

  void constant() {
    tensors_.push_back(get(
        builder_.emit(graph::make_constant(Array(make_array({1 + pick(40)}, dtypes::float32))))));
  }

  // A shape that a program computes: two symbols from here on.
  void data() {
    Value t = call({tensor_type({make_int(2)}, dtypes::int64)});
    Value shape = get(builder_.emit(graph::make_op_call(op("tensor_to_shape"), {t})));
    const Var k = make_var("k"), l = make_var("l");
    get(builder_.emit_match_cast(shape, shape_type({k, l})));
    dims_.push_back(k);
    dims_.push_back(l);
    call({tensor_type({k, any_dim()}, dtypes::float32)});
  }

  void branch(int depth) {
    const size_t tensors = tensors_.size(), dims = dims_.size();
    const bool two = chance(30), same = chance(60);
    const std::vector<Type> types{random_type(), random_type()};
    auto side = [&] {
      statements(pick(5), depth + 1);
      // Of the type that both sides agree on, or any: a view of something outside, for example.
      auto value = [&](size_t i) { return same ? call({types[i]}) : any_tensor(); };
      Value result = value(0);
      if (two) result = graph::make_tuple({result, value(1)});
      tensors_.resize(tensors);
      dims_.resize(dims);
      return result;
    };
    builder_.begin_if(condition_);
    builder_.begin_else(get(builder_.normalize(side())));
    Value joined = get(builder_.end_if(get(builder_.normalize(side()))));
    if (two) {
      for (int i = 0; i < 2; ++i) add_known(get(builder_.emit(graph::make_tuple_get(joined, i))));
    } else {
      add_known(joined);
    }
  }

  // What branches of different ranks or dtypes give is of no use here.
  void add_known(const Value& v) {
    const TensorTypeNode* t = graph::tensor_of(v);
    if (!t || !t->shape || !t->dtype) return;
    for (const Expr& d : *t->shape) {
      if (as<VarNode>(d)) dims_.push_back(d);
    }
    tensors_.push_back(v);
  }

  Value results() {
    std::vector<Value> fields;
    for (int i = 1 + pick(4); i > 0; --i) {
      fields.push_back(chance(10) ? graph::make_tuple({any_tensor(), any_tensor()}) : any_tensor());
    }
    return fields.size() == 1 ? fields[0] : graph::make_tuple(std::move(fields));
  }
};

}  // namespace

RandomGraph random_graph(uint32_t seed) {
  return Grower(seed).grow();
}

}  // namespace repose::testing_memory

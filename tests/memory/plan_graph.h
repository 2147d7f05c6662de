// Random graph functions for tests of the memory plan: kernels that share memory or do not, views,
// concatenations, branches, sizes that data decides. The programs have attributes and no bodies.
#pragma once

#include <random>

#include "ir/module.h"
#include "ops/ops.h"

namespace repose {

struct RandomGraph {
  Module module;
  graph::Function function;
  Facts facts;
  std::vector<Var> symbols;  // all, those that data decides too
};

class GraphMaker {
 public:
  GraphMaker(uint32_t seed, int num_kernels, bool with_branches = true)
      : random_(seed), num_kernels_(num_kernels), with_branches_(with_branches) {}

  RandomGraph make() {
    for (const char* name : {"m", "n"}) add_symbol(name);
    std::vector<graph::Variable> params;
    for (int i = 0; i < 2; ++i) {
      params.push_back(graph::make_variable("x" + std::to_string(i), random_type()));
      values_.push_back(params.back());
    }
    // Parameters that bind both symbols.
    for (const Var& v : graph_.symbols) {
      params.push_back(graph::make_variable("of_" + v->name, tensor({v})));
    }
    values_.push_back(constant());
    std::vector<graph::Binding> bindings = body(num_kernels_, 0);
    std::vector<graph::Value> results;
    for (int i = pick(1, 3); i > 0; --i) results.push_back(any_value());
    graph::Value result = results.size() == 1 ? results[0] : bind_tuple(results, bindings);
    auto whole =
        make_ref<graph::BodyNode>(std::vector<graph::Block>{{false, std::move(bindings)}}, result);
    graph_.function =
        make_ref<graph::FunctionNode>(params, whole, result->type, true, false, Attrs{}, Span{});
    return std::move(graph_);
  }

 private:
  using Bindings = std::vector<graph::Binding>;

  int pick(int low, int high) {  // inclusive
    return low + static_cast<int>(random_() % static_cast<uint32_t>(high - low + 1));
  }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  void add_symbol(const std::string& name) {
    Var v = make_var(name);
    Interval range;
    range.lower = pick(0, 1);
    if (chance(50)) range.upper = pick(3, 9);
    if (chance(20)) {
      range.divisor = 2;
      range.lower = 0;
    }
    graph_.facts.restrict(v, range);
    graph_.symbols.push_back(v);
  }

  Type tensor(Dims dims, DType dtype = dtypes::float32) {
    return tensor_type(std::move(dims), dtype);
  }
  Expr random_dim() {
    const Var& v = graph_.symbols[random_() % graph_.symbols.size()];
    switch (pick(0, 5)) {
      case 0:
        return make_int(pick(1, 6));
      case 1:
        return v + pick(1, 3);
      case 2:
        return v * pick(2, 4);
      case 3:
        return floor_div(v + 1, make_int(2));
      default:
        return v;
    }
  }
  Type random_type() {
    // Few shapes, so that byte counts meet often.
    if (!types_.empty() && chance(60)) return types_[random_() % types_.size()];
    Dims dims;
    for (int d = pick(1, 2); d > 0; --d) dims.push_back(canonical(random_dim()));
    dims.push_back(make_int(pick(1, 2) * 8));
    types_.push_back(tensor(std::move(dims), chance(80) ? dtypes::float32 : dtypes::int8));
    return types_.back();
  }
  static Expr elements(const graph::Value& v) { return num_elements(*graph::tensor_of(v)); }

  graph::Value any_value() { return values_[random_() % values_.size()]; }
  graph::Value recent_value() {
    const size_t n = std::min<size_t>(values_.size(), 4);
    return chance(70) ? values_[values_.size() - 1 - random_() % n] : any_value();
  }
  graph::Value constant() {
    return graph::make_constant(Array(make_array({pick(1, 3), 8}, dtypes::float32)));
  }

  graph::Variable bind(Bindings& out, graph::Value value, const Type& type) {
    auto var = graph::make_variable("v" + std::to_string(count_++), type);
    out.push_back({var, std::move(value), nullptr, {}});
    return var;
  }
  graph::Value bind_tuple(std::vector<graph::Value> fields, Bindings& out) {
    graph::Value tuple = graph::make_tuple(std::move(fields));
    return bind(out, tuple, tuple->type);
  }

  // A call of a new program with these operands and results, and these attributes.
  graph::Value call(const std::vector<graph::Value>& args, const Type& type, Attrs attrs) {
    std::vector<tir::Param> params;
    auto add = [&](const Type& t) {
      const auto* tensor = as<TensorTypeNode>(t);
      params.push_back(tir::buffer_param(make_buffer("b", *tensor->shape, tensor->dtype)));
    };
    for (const graph::Value& a : args) add(a->type);
    if (const auto* tuple = as<TupleTypeNode>(type)) {
      for (const Type& field : tuple->fields) add(field);
    } else {
      add(type);
    }
    const std::string name = "p" + std::to_string(count_++);
    graph_.module.set(
        name, tir::make_prim_func(std::move(params), tir::make_seq({}), true, std::move(attrs)));
    return make_ref<graph::CallNode>(
        standard_ops().find("call_tir"), nullptr,
        std::vector<graph::Value>{graph::make_global(name), graph::make_tuple(args)}, Attrs{},
        std::vector<Type>{}, type);
  }

  void kernel(Bindings& out) {
    std::vector<graph::Value> args;
    for (int i = pick(1, 3); i > 0; --i) args.push_back(recent_value());
    if (chance(15)) args.push_back(args[0]);
    const int results = chance(15) ? 2 : 1;
    std::vector<Type> types;
    std::vector<int64_t> in_place;
    for (int r = 0; r < results; ++r) {
      types.push_back(chance(60) ? args[random_() % args.size()]->type : random_type());
      for (size_t a = 0; a < args.size(); ++a) {
        if (!chance(60)) continue;
        in_place.push_back(static_cast<int64_t>(args.size()) + r);
        in_place.push_back(static_cast<int64_t>(a));
      }
    }
    Attrs attrs;
    if (!in_place.empty()) attrs.set("in_place", Attr(in_place));
    if (results == 1) {
      values_.push_back(bind(out, call(args, types[0], attrs), types[0]));
      return;
    }
    const Type type = tuple_type(types);
    graph::Value tuple = bind(out, call(args, type, attrs), type);
    for (int r = 0; r < 2; ++r) {
      values_.push_back(bind(out, graph::make_tuple_get(tuple, r), types[static_cast<size_t>(r)]));
    }
  }

  void view(Bindings& out) {
    graph::Value x = recent_value();
    const DType dtype = graph::tensor_of(x)->dtype;
    const Expr half = canonical(floor_div(elements(x), make_int(2)));
    const bool second = chance(50);
    Type type = tensor({second ? canonical(elements(x) - half) : half}, dtype);
    values_.push_back(
        bind(out,
             make_ref<graph::CallNode>(
                 standard_ops().find("view"), nullptr,
                 std::vector<graph::Value>{x, graph::make_prim(second ? half : make_int(0)),
                                           graph::make_shape(*as<TensorTypeNode>(type)->shape)},
                 Attrs{}, std::vector<Type>{}, type),
             type));
  }

  void reshape(Bindings& out) {
    graph::Value x = recent_value();
    Type type = tensor({canonical(elements(x))}, graph::tensor_of(x)->dtype);
    values_.push_back(
        bind(out,
             make_ref<graph::CallNode>(
                 standard_ops().find("reshape"), nullptr,
                 std::vector<graph::Value>{x, graph::make_shape(*as<TensorTypeNode>(type)->shape)},
                 Attrs{}, std::vector<Type>{}, type),
             type));
  }

  void concatenation(Bindings& out) {
    std::vector<graph::Value> args{recent_value()};
    const DType dtype = graph::tensor_of(args[0])->dtype;
    Expr total = elements(args[0]);
    for (int i = pick(1, 3); i > 0; --i) {
      graph::Value next = recent_value();
      if (graph::tensor_of(next)->dtype != dtype) continue;
      total = total + elements(next);
      args.push_back(next);
    }
    if (args.size() < 2) return;
    std::vector<int64_t> parts;
    for (size_t i = 0; i < args.size(); ++i) parts.push_back(static_cast<int64_t>(i));
    Type type = tensor({canonical(total)}, dtype);
    values_.push_back(bind(out, call(args, type, Attrs{{"concatenation", Attr(parts)}}), type));
  }

  // A shape that is read from memory, and a tensor of that size.
  void data_decides(Bindings& out) {
    graph::Value s =
        bind(out,
             make_ref<graph::CallNode>(standard_ops().find("tensor_to_shape"), nullptr,
                                       std::vector<graph::Value>{recent_value()}, Attrs{},
                                       std::vector<Type>{}, shape_type_of_rank(1)),
             shape_type_of_rank(1));
    Var k = make_var("k" + std::to_string(count_++));
    graph_.symbols.push_back(k);
    const Type cast = shape_type(Dims{k});
    out.push_back({graph::make_variable("s" + std::to_string(count_++), cast), s, cast, {}});
    types_.push_back(tensor({k, make_int(8)}));
  }

  void branches(Bindings& out, int depth) {
    const size_t outer_values = values_.size(), outer_types = types_.size();
    const Type type = random_type();
    auto branch = [&] {
      Bindings inner = body(pick(1, 4), depth + 1);
      graph::Value result = bind(inner, call({recent_value()}, type, Attrs{}), type);
      if (chance(20)) {  // something that exists outside
        for (size_t i = 0; i < outer_values; ++i) {
          if (values_[i]->type == type && !graph::as<graph::ConstantNode>(values_[i])) {
            result = values_[i];
          }
        }
      }
      values_.resize(outer_values);
      types_.resize(std::min(types_.size(), outer_types));
      return make_ref<graph::BodyNode>(std::vector<graph::Block>{{false, std::move(inner)}},
                                       result);
    };
    graph::Body yes = branch(), no = branch();
    graph::Value condition = graph::make_prim(make_bool(true));
    values_.push_back(bind(out, make_ref<graph::IfNode>(condition, yes, no, type), type));
  }

  Bindings body(int kernels, int depth) {
    Bindings out;
    for (int i = 0; i < kernels; ++i) {
      const int what = pick(1, 100);
      if (what <= 12) {
        view(out);
      } else if (what <= 22) {
        reshape(out);
      } else if (what <= 34) {
        concatenation(out);
      } else if (what <= 37 && depth == 0) {
        data_decides(out);
      } else if (what <= 44 && depth < 2 && with_branches_) {
        branches(out, depth);
      } else {
        kernel(out);
      }
    }
    return out;
  }

  std::mt19937 random_;
  const int num_kernels_;
  const bool with_branches_;
  RandomGraph graph_;
  std::vector<graph::Value> values_;
  std::vector<Type> types_;
  int count_ = 0;
};

}  // namespace repose

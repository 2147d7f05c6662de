// What the tests of operators share: a function under construction, and a naive evaluator of what
// operators lower to (deliberately not the interpreter: two readings of the IR check each other).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "ir/builder.h"
#include "ir/verifier.h"
#include "ops/ops.h"

namespace repose::testing {

using graph::Value;
using graph::Variable;

// Names for dimensions.
struct Symbols {
  Var m = make_var("m"), n = make_var("n"), k = make_var("k");
};

inline Dims dims(std::initializer_list<Expr> list) {
  return list;
}
inline Expr n_(int64_t value) {
  return make_int(value);
}
inline Type f32(Dims shape) {
  return tensor_type(std::move(shape), dtypes::float32);
}
inline Type i64(Dims shape) {
  return tensor_type(std::move(shape), dtypes::int64);
}
inline Value shape_value(Dims d) {
  return graph::make_shape(std::move(d));
}
inline Value index_value(Expr e) {
  return graph::make_prim(std::move(e));
}

inline Array array_of(DType dtype, std::vector<int64_t> shape, const std::vector<double>& values) {
  Ref<ArrayNode> a = make_array(std::move(shape), dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    a->store(static_cast<int64_t>(i), dtype.is_float()
                                          ? Scalar::of_float(values[i], dtype)
                                          : Scalar::of_int(static_cast<int64_t>(values[i]), dtype));
  }
  return a;
}
inline Value constant(DType dtype, std::vector<int64_t> shape, const std::vector<double>& values) {
  return graph::make_constant(array_of(dtype, std::move(shape), values));
}
inline Value floats(std::vector<int64_t> shape, const std::vector<double>& values) {
  return constant(dtypes::float32, std::move(shape), values);
}
inline Value ints(std::vector<int64_t> shape, const std::vector<double>& values) {
  return constant(dtypes::int64, std::move(shape), values);
}
// 0, 1, 2, …, scaled
inline std::vector<double> count_up(int64_t count, double scale = 1) {
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<double>(i) * scale);
  return values;
}

// A function under construction.
class Graph {
 public:
  explicit Graph(std::vector<Variable> params = {}) { b.begin_function("main", std::move(params)); }

  Builder b{standard_ops()};

  Value emit(const OpDef& op, std::vector<Value> args, Attrs attrs = {}) {
    auto v = b.emit(graph::make_op_call(op, std::move(args), std::move(attrs)));
    if (!v.ok()) {
      ADD_FAILURE() << to_string(v.errors());
      return nullptr;
    }
    return *v;
  }
  // The result's type, or the text of the first error.
  std::string type(const OpDef& op, std::vector<Value> args, Attrs attrs = {}) {
    auto v = b.emit(graph::make_op_call(op, std::move(args), std::move(attrs)));
    return v.ok() ? to_string((*v)->type) : v.errors()[0].text;
  }
  std::string elements(const Value& v) const {
    const auto* known = b.elements_of(v);
    return known ? to_string(*known) : "unknown";
  }
  // Conditions of the checks placed so far; ends the function.
  std::vector<std::string> checks() {
    std::vector<std::string> result;
    auto f = b.end_function(graph::make_shape({}));
    if (!f.ok()) return {to_string(f.errors())};
    graph::Function main = b.module().graph_function("main");
    graph::visit_bindings(main->body, true, [&](const graph::Binding& binding) {
      const auto* call = graph::as<graph::CallNode>(binding.value);
      if (call && call->op == &op_check()) {
        result.push_back(to_string(graph::as<graph::PrimValueNode>(call->args[0])->value));
      }
    });
    return result;
  }
};

// Runs a tensor program on arrays.
class ProgramRun {
 public:
  std::unordered_map<const VarNode*, Scalar> scalars;
  std::unordered_map<const BufferNode*, Ref<ArrayNode>> arrays;

  Scalar eval(const Expr& e) {
    switch (e->kind) {
      case ExprKind::int_imm:
        return Scalar::of_int(as<IntImmNode>(e)->value, e->dtype);
      case ExprKind::float_imm:
        return Scalar::of_float(as<FloatImmNode>(e)->value, e->dtype);
      case ExprKind::var:
        return scalars.at(as<VarNode>(e));
      case ExprKind::if_then_else:
        return eval(e->args[eval(e->args[0]).i ? 1 : 2]);
      case ExprKind::select: {
        Scalar a = eval(e->args[1]), b = eval(e->args[2]);
        return eval(e->args[0]).i ? a : b;
      }
      case ExprKind::load: {
        const auto& a = arrays.at(as<LoadNode>(e)->buffer.get());
        return a->load(offset(*a, e->args));
      }
      case ExprKind::cast:
        return *eval_cast(e->dtype, eval(e->args[0]));
      case ExprKind::logical_not:
        return Scalar::of_int(!eval(e->args[0]).i, e->dtype);
      case ExprKind::logical_and:
        return eval(e->args[0]).i ? eval(e->args[1]) : Scalar::of_int(0, e->dtype);
      case ExprKind::logical_or:
        return eval(e->args[0]).i ? Scalar::of_int(1, e->dtype) : eval(e->args[1]);
      case ExprKind::call: {
        if (as<CallNode>(e)->intrinsic == Intrinsic::check_index) {
          const Scalar index = eval(e->args[0]);
          EXPECT_GE(index.i, 0);
          EXPECT_LT(index.i, eval(e->args[1]).i);
          return index;
        }
        std::vector<Scalar> args;
        for (const Expr& a : e->args) args.push_back(eval(a));
        return *eval_intrinsic(as<CallNode>(e)->intrinsic, e->dtype, args.data(),
                               static_cast<int>(args.size()));
      }
      default:
        return *eval_binary(e->kind, eval(e->args[0]), eval(e->args[1]));
    }
  }
  int64_t integer(const Expr& e) { return eval(e).i; }
  std::vector<int64_t> integers(const Dims& d) {
    std::vector<int64_t> result;
    for (const Expr& e : d) result.push_back(integer(e));
    return result;
  }

  void run(const tir::Stmt& s) {
    if (const auto* seq = tir::as<tir::SeqNode>(s)) {
      for (const tir::Stmt& child : seq->stmts) run(child);
    } else if (const auto* loop = tir::as<tir::ForNode>(s)) {
      const int64_t low = integer(loop->min), count = integer(loop->extent);
      for (int64_t i = low; i < low + count; ++i) {
        scalars[loop->var.get()] = Scalar::of_int(i, dtypes::index);
        run(loop->body);
      }
    } else if (const auto* block = tir::as<tir::BlockNode>(s)) {
      for (const Buffer& b : block->alloc_buffers) {
        arrays[b.get()] = make_array(integers(b->shape), b->dtype);
      }
      bool is_first = true;
      for (const tir::IterVar& iter : block->iters) {
        const Scalar value = eval(iter.value);
        scalars[iter.var.get()] = value;
        if (iter.kind == tir::IterKind::reduce) is_first = is_first && value.i == 0;
      }
      if (block->init && is_first) run(block->init);
      run(block->body);
    } else if (const auto* store = tir::as<tir::StoreNode>(s)) {
      const auto& a = arrays.at(store->buffer.get());
      a->store(offset(*a, store->indices), eval(store->value));
    } else {
      FAIL() << "a statement of kind " << tir::kind_name(s->kind);
    }
  }

 private:
  int64_t offset(const ArrayNode& a, const std::vector<Expr>& indices) {
    int64_t result = 0;
    for (size_t d = 0; d < indices.size(); ++d) {
      const int64_t i = integer(indices[d]);
      if (i < 0 || i >= a.shape[d]) {
        ADD_FAILURE() << "index " << i << " into extent " << a.shape[d] << ": "
                      << to_string(indices[d]);
        return 0;
      }
      result = result * a.shape[d] + i;
    }
    return result;
  }
};

// Reductions over nothing store nothing but `init`: the loops around would skip it, so empty
// results are filled beforehand by running each block's init for every spatial point.
inline void fill_initial(ProgramRun& run, const tir::Stmt& body) {
  tir::visit_stmts(body, [&](const tir::Stmt& s) {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (!block || !block->init) return true;
    const auto* store = tir::as<tir::StoreNode>(block->init);
    auto it = run.arrays.find(store->buffer.get());
    if (it == run.arrays.end()) return true;
    for (int64_t i = 0; i < it->second->num_elements(); ++i) {
      it->second->store(i, run.eval(store->value));
    }
    return true;
  });
}

using Bindings = std::map<const graph::ValueNode*, Array>;

// The arrays that a call gives, by lowering it and running the programs. Variables among the
// operands take their arrays (and their symbols' values) from `bindings`.
inline std::vector<Array> run_call(const OpDef& op, const std::vector<Value>& args,
                                   const Attrs& attrs = {}, const Bindings& bindings = {},
                                   std::unordered_map<const VarNode*, Scalar> symbols = {}) {
  std::vector<Variable> params;
  std::unordered_map<const graph::ValueNode*, std::vector<Array>> known;
  for (const auto& [v, array] : bindings) {
    params.push_back(Variable(graph::as<graph::VariableNode>(Value(v))));
    known[v] = {array};
    const Dims& shape = *graph::tensor_of(params.back())->shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      if (const auto* s = as<VarNode>(shape[d])) {
        symbols[s] = Scalar::of_int(array->shape[d], dtypes::index);
      }
    }
  }
  Graph g(params);
  auto typed = g.b.infer_only(graph::make_op_call(op, args, attrs));
  if (!typed.ok()) {
    ADD_FAILURE() << to_string(typed.errors());
    return {};
  }
  Value result = *typed;
  if (op.lower) {
    auto lowered = op.lower(g.b, *graph::as<graph::CallNode>(result));
    if (!lowered.ok()) {
      ADD_FAILURE() << to_string(lowered.errors());
      return {};
    }
    result = *lowered;
  }
  auto leaf = g.b.normalize(result);
  if (!leaf.ok()) {
    ADD_FAILURE() << to_string(leaf.errors());
    return {};
  }
  EXPECT_TRUE(g.b.end_function(*leaf).ok());
  const Diagnostics problems = verify(g.b.module(), standard_ops());
  EXPECT_TRUE(problems.empty()) << to_string(problems);

  std::function<std::vector<Array>(const Value&)> value = [&](const Value& v) {
    if (const auto* c = graph::as<graph::ConstantNode>(v)) return std::vector<Array>{c->data};
    if (const auto* t = graph::as<graph::TupleNode>(v)) {
      std::vector<Array> fields;
      for (const Value& f : t->fields) {
        for (const Array& a : value(f)) fields.push_back(a);
      }
      return fields;
    }
    if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      return std::vector<Array>{value(get->tuple).at(static_cast<size_t>(get->index))};
    }
    auto it = known.find(v.get());
    return it == known.end() ? std::vector<Array>{} : it->second;
  };
  graph::visit_bindings(
      g.b.module().graph_function("main")->body, false, [&](const graph::Binding& binding) {
        const auto* call = graph::as<graph::CallNode>(binding.value);
        if (!call) {
          known[binding.var.get()] = value(binding.value);
          return;
        }
        if (call->op == &op_check()) {
          ProgramRun run;
          run.scalars = symbols;
          EXPECT_TRUE(run.integer(graph::as<graph::PrimValueNode>(call->args[0])->value))
              << call->attrs.get_string("message");
        } else if (call->op == &op_call_tir()) {
          tir::PrimFunc f =
              g.b.module().prim_func(graph::as<graph::GlobalNode>(call->args[0])->name);
          ProgramRun run;
          run.scalars = symbols;
          size_t next = 0;
          auto bind = [&](const Ref<ArrayNode>& array) {
            const tir::Param& p = f->params.at(next++);
            run.arrays[p.buffer.get()] = array;
            for (size_t d = 0; d < array->shape.size(); ++d) {
              if (const auto* s = as<VarNode>(p.buffer->shape[d])) {
                run.scalars[s] = Scalar::of_int(array->shape[d], dtypes::index);
              }
            }
          };
          for (const Value& a : graph::as<graph::TupleNode>(call->args[1])->fields) {
            if (const auto* prim = graph::as<graph::PrimValueNode>(a)) {
              run.scalars[f->params.at(next++).var.get()] = run.eval(prim->value);
              continue;
            }
            bind(Ref<ArrayNode>(const_cast<ArrayNode*>(value(a).at(0).get())));
          }
          ProgramRun of_symbols;
          of_symbols.scalars = symbols;
          std::vector<Array> results;
          std::vector<Type> types{call->type};
          if (const auto* tuple = as<TupleTypeNode>(call->type)) types = tuple->fields;
          for (const Type& t : types) {
            const auto* tensor = as<TensorTypeNode>(t);
            Ref<ArrayNode> out = make_array(of_symbols.integers(*tensor->shape), tensor->dtype);
            results.push_back(out);
            bind(out);
          }
          fill_initial(run, f->body);
          run.run(f->body);
          known[binding.var.get()] = results;
        } else if (call->op == &op_reshape()) {
          ProgramRun run;
          run.scalars = symbols;
          Array from = value(call->args[0]).at(0);
          known[binding.var.get()] = {
              wrap_array(run.integers(*graph::tensor_of(binding.var)->shape), from->dtype,
                         from->bytes, std::make_shared<Array>(from))};
        } else {
          std::vector<Value> constants;
          for (const Value& a : call->args) {
            std::vector<Array> arrays = value(a);
            constants.push_back(arrays.size() == 1 ? graph::make_constant(arrays[0]) : a);
          }
          known[binding.var.get()] = run_call(*call->op, constants, call->attrs);
        }
      });
  return value(*leaf);
}

inline std::vector<double> values_of(const Array& a) {
  std::vector<double> result;
  for (int64_t i = 0; i < a->num_elements(); ++i) {
    Scalar s = a->load(i);
    result.push_back(s.dtype.is_float() ? s.f : static_cast<double>(s.i));
  }
  return result;
}
// The elements of a call's only result.
inline std::vector<double> run_values(const OpDef& op, const std::vector<Value>& args,
                                      const Attrs& attrs = {}, const Bindings& bindings = {}) {
  std::vector<Array> results = run_call(op, args, attrs, bindings);
  if (results.size() != 1) {
    ADD_FAILURE() << results.size() << " results";
    return {};
  }
  return values_of(results[0]);
}

inline void expect_near(const std::vector<double>& got, const std::vector<double>& want,
                        double tolerance = 1e-5) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    EXPECT_NEAR(got[i], want[i], tolerance) << "element " << i;
  }
}

// The number of computed stages of the one program that a call lowers to.
inline int count_stages(const OpDef& op, const std::vector<Value>& args, const Attrs& attrs = {}) {
  Graph g;
  Value typed = *g.b.infer_only(graph::make_op_call(op, args, attrs));
  Value lowered = *op.lower(g.b, *graph::as<graph::CallNode>(typed));
  const auto* call = graph::as<graph::CallNode>(lowered);
  tir::PrimFunc f = g.b.module().prim_func(graph::as<graph::GlobalNode>(call->args[0])->name);
  int count = 0;
  tir::visit_stmts(f->body, [&](const tir::Stmt& s) {
    const auto* block = tir::as<tir::BlockNode>(s);
    if (block && !block->iters.empty()) ++count;
    return true;
  });
  return count;
}

}  // namespace repose::testing

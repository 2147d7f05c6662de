// Runs tensor programs and operator calls on constants while a model is compiled.
#include "driver/evaluate.h"

#include <functional>
#include <memory>

#include "codegen/llvm/codegen.h"
#include "driver/pipeline.h"
#include "ir/builder.h"
#include "ir/operations.h"
#include "ir/structural.h"
#include "memory/liveness.h"
#include "passes/lower/legalize.h"

namespace repose {

namespace {

// Beyond, folding a call would take longer than many compilations.
constexpr double max_folded_operations = 4e9;

// Below, compiling a program takes longer than running it.
constexpr double few_operations = 1e6;

// Compiled programs by structure.
class ProgramCache {
 public:
  explicit ProgramCache(Target target) : target_(std::move(target)) {}

  // `count`: the operations that it is going to do; 0 where they are not known.
  Result<const CompiledProgram*> get(const tir::PrimFunc& f, const std::function<double()>& count) {
    const uint64_t hash = structural_hash(f);
    auto [begin, end] = entries_.equal_range(hash);
    for (auto it = begin; it != end; ++it) {
      if (structural_equal(it->second.func, f)) return it->second.code.get();
    }
    CodegenOptions options;
    const double operations = count();
    options.runs_briefly = operations > 0 && operations < few_operations;
    REPOSE_TRY(code, compile_in_process(finish_program(f), target_, options));
    auto it = entries_.emplace(hash, Entry{f, std::move(code)});
    return it->second.code.get();
  }

 private:
  struct Entry {
    tir::PrimFunc func;
    std::unique_ptr<CompiledProgram> code;
  };
  Target target_;
  std::unordered_multimap<uint64_t, Entry> entries_;
};

// What a program stores in this call of it (operations.h).
double operations(const tir::PrimFunc& f, const std::vector<Array>& inputs,
                  const std::vector<int64_t>& scalars,
                  const std::vector<std::vector<int64_t>>& result_shapes) {
  std::unordered_map<const VarNode*, int64_t> values;
  size_t scalar = 0, buffer = 0;
  for (const tir::Param& p : f->params) {
    if (!p.buffer) {
      values.emplace(p.var.get(), scalars.at(scalar++));
      continue;
    }
    const size_t i = buffer++;
    const auto& shape = i < inputs.size() ? inputs[i]->shape : result_shapes.at(i - inputs.size());
    for (size_t d = 0; d < p.buffer->shape.size() && d < shape.size(); ++d) {
      if (const auto* v = as<VarNode>(p.buffer->shape[d])) values.emplace(v, shape[d]);
    }
  }
  const auto counted =
      evaluate(operations_of(f).to_expr(), [&](const Var& v) -> std::optional<Scalar> {
        auto it = values.find(v.get());
        if (it == values.end()) return std::nullopt;
        return Scalar::of_int(it->second, v->dtype);
      });
  return counted ? counted->f : 0;
}

// `inputs` in the order of the input buffers; `scalars` for scalar parameters; results are the last
// buffers.
Result<std::vector<Array>> run_program(ProgramCache& cache, const tir::PrimFunc& f,
                                       const std::vector<Array>& inputs, size_t num_results,
                                       const std::vector<int64_t>& scalars,
                                       const std::vector<std::vector<int64_t>>& result_shapes) {
  REPOSE_TRY(code, cache.get(f, [&] { return operations(f, inputs, scalars, result_shapes); }));
  std::vector<void*> buffers;
  std::vector<Ref<ArrayNode>> copies, results;
  for (const Array& a : inputs) {
    // Data of models may be unaligned; programs read elements.
    Ref<ArrayNode> aligned = make_array(a->shape, a->dtype);
    if (a->num_bytes) std::copy(a->bytes, a->bytes + a->num_bytes, aligned->mutable_bytes());
    buffers.push_back(aligned->mutable_bytes());
    copies.push_back(std::move(aligned));
  }
  std::vector<DType> dtypes;
  for (const tir::Param& p : f->params) {
    if (p.buffer) dtypes.push_back(p.buffer->dtype);
  }
  for (size_t i = 0; i < num_results; ++i) {
    if (array_bytes(result_shapes[i], dtypes[inputs.size() + i]) < 0) {
      return error(DiagnosticKind::too_large, {}, "a constant does not fit in memory");
    }
    results.push_back(make_array(result_shapes[i], dtypes[inputs.size() + i]));
    buffers.push_back(results.back()->mutable_bytes());
  }
  auto done = code->call(buffers.data(), scalars.data());
  if (!done.ok()) return done.errors();
  return std::vector<Array>(results.begin(), results.end());
}

bool constant_shape(const Dims& dims, std::vector<int64_t>* shape) {
  for (const Expr& d : dims) {
    int64_t n = 0;
    if (!as_const_int(canonical(d), &n)) return false;
    shape->push_back(n);
  }
  return true;
}

// Runs the straight-line body of a legalized function on constants.
class BodyRunner {
 public:
  BodyRunner(ProgramCache& cache, const Module& module, const Target& target)
      : cache_(cache), module_(module), target_(target) {}

  std::optional<std::vector<Array>> run(const graph::Function& f) {
    for (const graph::Block& block : f->body->blocks) {
      for (const graph::Binding& b : block.bindings) {
        if (!binding(b)) return std::nullopt;
      }
    }
    return arrays(f->body->result);
  }

 private:
  std::optional<std::vector<Array>> arrays(const graph::Value& v) {
    if (const auto* c = graph::as<graph::ConstantNode>(v)) return std::vector<Array>{c->data};
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Array> all;
      for (const graph::Value& field : tuple->fields) {
        auto own = arrays(field);
        if (!own) return std::nullopt;
        all.insert(all.end(), own->begin(), own->end());
      }
      return all;
    }
    auto it = values_.find(v.get());
    if (it == values_.end()) return std::nullopt;
    return it->second;
  }

  bool binding(const graph::Binding& b) {
    if (const auto* get = graph::as<graph::TupleGetNode>(b.value)) {
      auto whole = arrays(get->tuple);
      if (!whole || static_cast<size_t>(get->index) >= whole->size()) return false;
      values_[b.var.get()] = {(*whole)[get->index]};
      return true;
    }
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!call) {
      auto own = arrays(b.value);
      if (own) values_[b.var.get()] = *own;
      return own.has_value() || !as<TensorTypeNode>(b.var->type);
    }
    if (!call->op) return false;
    if (is_view(*call)) {
      auto in = arrays(call->args[0]);
      std::vector<int64_t> shape;
      const auto* type = as<TensorTypeNode>(b.var->type);
      if (!in || !type || !type->shape || !constant_shape(*type->shape, &shape)) return false;
      const Array& a = in->at(0);
      values_[b.var.get()] = {wrap_array(shape, a->dtype, a->bytes, std::make_shared<Array>(a))};
      return true;
    }
    return call->op->name == "call_tir" && program(b, *call);
  }

  bool program(const graph::Binding& b, const graph::CallNode& call) {
    tir::PrimFunc f = module_.prim_func(graph::as<graph::GlobalNode>(call.args[0])->name);
    if (!f) return false;
    std::vector<Array> inputs;
    std::vector<int64_t> scalars;
    for (const graph::Value& a : graph::as<graph::TupleNode>(call.args[1])->fields) {
      if (const auto* p = graph::as<graph::PrimValueNode>(a)) {
        int64_t value = 0;
        if (!as_const_int(p->value, &value)) return false;
        scalars.push_back(value);
        continue;
      }
      auto own = arrays(a);
      if (!own || own->size() != 1) return false;
      inputs.push_back(own->at(0));
    }
    std::vector<Type> types{b.var->type};
    if (const auto* tuple = as<TupleTypeNode>(b.var->type)) types = tuple->fields;
    std::vector<std::vector<int64_t>> shapes;
    for (const Type& t : types) {
      const auto* tensor = as<TensorTypeNode>(t);
      shapes.emplace_back();
      if (!tensor || !tensor->shape || !constant_shape(*tensor->shape, &shapes.back()))
        return false;
    }
    const tir::PrimFunc scheduled = schedule_program(f, target_, {}).func;
    if (operations(scheduled, inputs, scalars, shapes) > max_folded_operations) return false;
    auto results = run_program(cache_, scheduled, inputs, types.size(), scalars, shapes);
    if (!results.ok()) return false;
    values_[b.var.get()] = std::move(*results);
    return true;
  }

  ProgramCache& cache_;
  const Module& module_;
  const Target& target_;
  std::unordered_map<const graph::ValueNode*, std::vector<Array>> values_;
};

}  // namespace

ProgramEvaluator make_program_evaluator(const Target& target) {
  auto cache = std::make_shared<ProgramCache>(target);
  return [cache](const tir::PrimFunc& f, const std::vector<Array>& inputs) -> Result<Array> {
    std::vector<int64_t> shape;
    REPOSE_CHECK(constant_shape(f->params.back().buffer->shape, &shape),
                 "a packed constant has a constant shape");
    REPOSE_TRY(results, run_program(*cache, f, inputs, 1, {}, {shape}));
    return results[0];
  };
}

CallEvaluator make_call_evaluator(const OpTable& ops, const Target& target) {
  auto cache = std::make_shared<ProgramCache>(target);
  return [cache, &ops, target](const graph::CallNode& call) -> std::optional<std::vector<Array>> {
    Builder b(ops);
    b.begin_function("folded", {});
    auto var = b.emit(graph::Value(&call));
    if (!var.ok() || !b.end_function(*var).ok()) return std::nullopt;
    auto lowered = legalize(b.module(), ops);
    if (!lowered.ok()) return std::nullopt;
    return BodyRunner(*cache, *lowered, target).run(lowered->graph_function("folded"));
  };
}

}  // namespace repose

// Computes products, convolutions and what follows them in 16 bits.
#include "passes/graph/to_mixed_precision.h"

#include <algorithm>
#include <map>

#include "ops/ops.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

enum class Precision : uint8_t { always, follow, never };

// The usual lists. What is in none of them sums, exponentiates or divides: it stays wide.
constexpr std::string_view usually_always[] = {"matmul",
                                               "einsum",
                                               "nn.conv1d",
                                               "nn.conv2d",
                                               "nn.conv3d",
                                               "nn.conv1d_transpose",
                                               "nn.conv2d_transpose",
                                               "nn.conv3d_transpose"};
constexpr std::string_view usually_follow[] = {"abs",
                                               "add",
                                               "broadcast_to",
                                               "clip",
                                               "concat",
                                               "expand",
                                               "expand_dims",
                                               "flatten",
                                               "flip",
                                               "maximum",
                                               "minimum",
                                               "multiply",
                                               "negative",
                                               "nn.leakyrelu",
                                               "nn.max_pool1d",
                                               "nn.max_pool2d",
                                               "nn.max_pool3d",
                                               "nn.pad",
                                               "nn.prelu",
                                               "nn.relu",
                                               "nn.relu6",
                                               "permute_dims",
                                               "repeat",
                                               "reshape",
                                               "squeeze",
                                               "stack",
                                               "strided_slice",
                                               "subtract",
                                               "take",
                                               "tile",
                                               "where",
                                               "nn.pixel_shuffle",
                                               "nn.batch_flatten"};

bool is_wide(const Value& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  return t && t->dtype == dtypes::float32;
}

class Narrower {
 public:
  Narrower(const MixedPrecisionOptions& options, std::map<std::string_view, Precision> precisions)
      : dtype_(options.dtype), precisions_(std::move(precisions)) {}

  // The call in 16 bits, and its result in 32, or null.
  Result<Value> narrow(Builder& b, const graph::CallNode& call, const Span& span) {
    if (!call.op) return Value();
    const auto it = precisions_.find(call.op->name);
    const Precision precision = it == precisions_.end() ? Precision::never : it->second;
    if (precision == Precision::never || !takes(call, precision)) return Value();
    std::vector<Value> args;
    for (const Value& arg : call.args) args.push_back(narrow_operand(arg));
    Value narrowed = make_ref<graph::CallNode>(call.op, nullptr, std::move(args), call.attrs,
                                               call.type_args, nullptr);
    const Attr* out = call.attrs.find("out_dtype");
    if (out && !out->is_none()) return narrowed;  // it gives what was asked for
    // Visible wherever the result is.
    REPOSE_TRY(result, b.emit_binding(narrowed, "", span, b.in_dataflow()));
    const Value wide = cast_to(result, dtypes::float32);
    REPOSE_TRY(bound, b.emit(wide, "", span));
    narrow_.emplace(bound.get(), result);
    kept_.push_back(bound);
    return Value(bound);
  }

 private:
  const DType dtype_;
  const std::map<std::string_view, Precision> precisions_;
  graph::ValueMap narrow_;  // by a result in 32 bits: the same in 16
  std::vector<Value> kept_;

  static Value cast_to(const Value& v, DType dtype) {
    return graph::make_op_call(op_astype(), {v}, Attrs{{"dtype", Attr(dtype)}});
  }

  // Whether it has operands to narrow, as it asks for them, and gives one tensor of float32.
  bool takes(const graph::CallNode& call, Precision precision) const {
    bool some_wide = false, some_narrow = false, all_narrow = true;
    std::function<void(const Value&)> look = [&](const Value& v) {
      if (graph::as<graph::TupleNode>(v)) return graph::visit_operands(v, look);
      if (as<TupleTypeNode>(v->type)) all_narrow = false;
      if (!is_wide(v)) return;
      const bool is_narrow = narrow_.contains(v.get());
      some_wide = true;
      some_narrow = some_narrow || is_narrow;
      all_narrow = all_narrow && (is_narrow || v->kind == graph::ValueKind::constant);
    };
    for (const Value& arg : call.args) look(arg);
    const auto* result = as<TensorTypeNode>(call.type);
    if (!result || result->dtype != dtypes::float32) return false;
    return precision == Precision::always ? some_wide : some_narrow && all_narrow;
  }

  Value narrow_operand(const Value& v) const {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      std::vector<Value> fields;
      for (const Value& field : tuple->fields) fields.push_back(narrow_operand(field));
      return graph::make_tuple(std::move(fields));
    }
    if (!is_wide(v)) return v;
    const auto it = narrow_.find(v.get());
    return it == narrow_.end() ? cast_to(v, dtype_) : it->second;
  }
};

}  // namespace

Result<Module> to_mixed_precision(const Module& module, const OpTable& ops,
                                  const MixedPrecisionOptions& options) {
  if (options.dtype != dtypes::float16 && options.dtype != dtypes::bfloat16) {
    return error(DiagnosticKind::bad_argument, {},
                 "mixed precision of {}, expected float16 or bfloat16", options.dtype.to_string());
  }
  std::map<std::string_view, Precision> precisions;
  for (std::string_view name : usually_always) precisions[name] = Precision::always;
  for (std::string_view name : usually_follow) precisions[name] = Precision::follow;
  const std::pair<const std::vector<std::string>*, Precision> lists[] = {
      {&options.always, Precision::always},
      {&options.follow, Precision::follow},
      {&options.never, Precision::never}};
  std::map<std::string_view, Precision> given;
  for (const auto& [names, precision] : lists) {
    for (const std::string& name : *names) {
      if (!ops.find(name)) {
        return error(DiagnosticKind::unknown_name, {},
                     "mixed precision: no operator is called `{}`", name);
      }
      if (!given.emplace(name, precision).second) {
        return error(DiagnosticKind::bad_argument, {},
                     "mixed precision: operator `{}` is given twice", name);
      }
      precisions[name] = precision;
    }
  }
  Narrower narrower(options, std::move(precisions));
  return rebuild_functions(module, ops,
                           [&](Builder& b, const graph::CallNode& call, const Span& span) {
                             return narrower.narrow(b, call, span);
                           });
}

}  // namespace repose

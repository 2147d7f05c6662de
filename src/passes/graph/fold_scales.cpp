// Folds constant scales and shifts of channels into the constant weights before them.
#include "passes/graph/fold_scales.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/rebuild.h"
#include "passes/graph/rewrite_calls.h"

namespace repose {

namespace {

using graph::CallNode;
using graph::ConstantNode;
using graph::Value;

std::string_view op_name(const CallNode& call) {
  return call.op ? std::string_view(call.op->name) : std::string_view();
}

// The elements of a float32 or float64 array.
std::optional<std::vector<double>> elements_of(const ArrayNode& a) {
  if (a.dtype != dtypes::float32 && a.dtype != dtypes::float64) return std::nullopt;
  std::vector<double> elements(static_cast<size_t>(a.num_elements()));
  for (size_t i = 0; i < elements.size(); ++i) {
    elements[i] = a.load(static_cast<int64_t>(i)).f;
  }
  return elements;
}

Array array_of(std::vector<int64_t> shape, DType dtype, const std::vector<double>& elements) {
  Ref<ArrayNode> result = make_array(std::move(shape), dtype);
  for (size_t i = 0; i < elements.size(); ++i) {
    result->store(static_cast<int64_t>(i), Scalar::of_float(elements[i], dtype));
  }
  return result;
}

// ---- Batch normalisation
// -------------------------------------------------------------------------

// What batch normalisation with constant statistics multiplies by and adds, for each channel.
struct ScaleAndShift {
  std::vector<double> scale, shift;
};

std::optional<ScaleAndShift> constants_of(const CallNode& call) {
  std::vector<std::vector<double>> of;
  for (size_t i = 1; i < 5; ++i) {
    const auto* constant = graph::as<ConstantNode>(call.args[i]);
    auto elements = constant ? elements_of(*constant->data) : std::nullopt;
    if (!elements || (i > 1 && elements->size() != of[0].size())) return std::nullopt;
    of.push_back(std::move(*elements));
  }
  const bool center = call.attrs.get_bool("center"), scales = call.attrs.get_bool("scale");
  ScaleAndShift result;
  for (size_t c = 0; c < of[0].size(); ++c) {
    const double gamma = scales ? of[0][c] : 1, beta = center ? of[1][c] : 0;
    const double scale = gamma / std::sqrt(of[3][c] + call.attrs.get_float("epsilon"));
    result.scale.push_back(scale);
    result.shift.push_back(beta - of[2][c] * scale);
  }
  return result;
}

Result<Value> without_batch_norm(Builder& b, const CallNode& call, const Span&) {
  if (op_name(call) != "nn.batch_norm_inference") return Value();
  const TensorTypeNode* x = graph::tensor_of(call.args[0]);
  if (x->dtype != dtypes::float32 && x->dtype != dtypes::float64) return Value();
  const auto constants = constants_of(call);
  if (!constants || !x->shape) return Value();
  const int64_t given = call.attrs.get_int("axis");
  const int64_t after = given < 0 ? -1 - given : x->rank - 1 - given;
  std::vector<int64_t> shape(static_cast<size_t>(after) + 1, 1);
  shape[0] = static_cast<int64_t>(constants->scale.size());
  auto constant = [&](const std::vector<double>& elements) {
    return graph::make_constant(array_of(shape, x->dtype, elements));
  };
  const Value scaled =
      graph::make_op_call(*b.ops().find("multiply"), {call.args[0], constant(constants->scale)});
  return graph::make_op_call(*b.ops().find("add"), {scaled, constant(constants->shift)});
}

bool has_constant_batch_norm(const Module& module) {
  bool found = false;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
      const auto* call = graph::as<CallNode>(b.value);
      found = found || (call && op_name(*call) == "nn.batch_norm_inference" && constants_of(*call));
    });
  }
  return found;
}

// ---- Scales and shifts behind weights
// ------------------------------------------------------------

// Where output channels stand in the result (counted from its last dimension) and in the weight.
struct Channels {
  size_t from_last = 0, of_weight = 0;
};

std::optional<Channels> channels_of(const CallNode& call) {
  const std::string_view name = op_name(call);
  const TensorTypeNode* weight = call.args.size() > 1 ? graph::tensor_of(call.args[1]) : nullptr;
  if (!weight || weight->rank < 2) return std::nullopt;
  const size_t rank = static_cast<size_t>(weight->rank);
  if (name == "matmul") return Channels{0, rank - 1};
  if (name.substr(0, 7) != "nn.conv") return std::nullopt;
  if (name.find("_transpose") != std::string_view::npos && call.attrs.get_int("groups") != 1) {
    return std::nullopt;
  }
  const Attr* out = call.attrs.find("out_layout");
  const bool own = out && out->as_string() && !out->as_string()->empty();
  const std::string image = own ? *out->as_string() : call.attrs.get_string("data_layout");
  const size_t channel = image.find('C'), output = call.attrs.get_string("kernel_layout").find('O');
  if (channel >= rank || output >= rank) return std::nullopt;
  return Channels{rank - 1 - channel, output};
}

// A constant that has one value for each of `channels`, in a dimension that stands `from_last`.
std::optional<std::vector<double>> per_channel(const Value& v, const TensorTypeNode& result,
                                               size_t from_last, size_t channels) {
  const auto* constant = graph::as<ConstantNode>(v);
  if (!constant || constant->data->dtype != result.dtype ||
      constant->data->shape.size() > static_cast<size_t>(result.rank)) {
    return std::nullopt;
  }
  const std::vector<int64_t>& shape = constant->data->shape;
  for (size_t d = 0; d < shape.size(); ++d) {
    if (shape[d] != 1 && shape.size() - 1 - d != from_last) return std::nullopt;
  }
  auto elements = elements_of(*constant->data);
  if (elements && elements->size() == 1) elements->resize(channels, (*elements)[0]);
  if (!elements || elements->size() != channels) return std::nullopt;
  return elements;
}

template <class T>
void scale_elements(std::byte* bytes, size_t count, size_t inner,
                    const std::vector<double>& scale) {
  for (size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes + i * sizeof(T), sizeof(T));
    value = static_cast<T>(value * scale[i / inner % scale.size()]);
    std::memcpy(bytes + i * sizeof(T), &value, sizeof(T));
  }
}

Value scaled_weight(const ConstantNode& weight, size_t dimension,
                    const std::vector<double>& scale) {
  const ArrayNode& from = *weight.data;
  Ref<ArrayNode> to = make_array(from.shape, from.dtype);
  std::memcpy(to->mutable_bytes(), from.bytes, from.num_bytes);
  size_t inner = 1;
  for (size_t d = dimension + 1; d < from.shape.size(); ++d) {
    inner *= static_cast<size_t>(from.shape[d]);
  }
  const size_t count = static_cast<size_t>(from.num_elements());
  if (from.dtype == dtypes::float32) {
    scale_elements<float>(to->mutable_bytes(), count, inner, scale);
  } else {
    scale_elements<double>(to->mutable_bytes(), count, inner, scale);
  }
  return graph::make_constant(to, weight.weight_name);
}

// A product by a constant, and what of the bindings behind it goes into its weight and its shift.
struct Product {
  const CallNode* call = nullptr;
  Channels channels;
  std::vector<double> scale, shift;  // of each output channel
  const CallNode* add = nullptr;     // the binding that adds the shift; null: none yet
  bool changed = false;              // more than that one shift
  Value value;                       // the variable that has all of this
};

class ScaleFolder {
 public:
  ScaleFolder(const Module& module, const OpTable& ops) : result_(module), ops_(ops) {}

  Module run() {
    for (const std::string& name : result_.names()) {
      const graph::Function f = result_.graph_function(name);
      if (!f) continue;
      count_uses(f->body);
      graph::visit_bindings(f->body, true, [&](const graph::Binding& b) { note(b); });
    }
    for (const Product& p : products_) {
      if (p.changed) replace(p);
    }
    if (replaced_.empty()) return result_;
    rewrite_calls(result_, [&](const CallNode& call, const Type&) -> Value {
      const auto it = replaced_.find(&call);
      return it == replaced_.end() ? nullptr : it->second;
    });
    return eliminate_dead_code(result_);
  }

 private:
  void count_uses(const graph::Body& body) {
    std::function<void(const Value&)> count = [&](const Value& v) {
      ++uses_[v.get()];
      graph::visit_operands(v, count);
    };
    graph::visit_bindings(body, true, [&](const graph::Binding& b) {
      if (graph::as<graph::VariableNode>(b.value)) count(b.value);
      graph::visit_operands(b.value, count);
      if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
        count(choice->then_body->result);
        count(choice->else_body->result);
      } else if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
        count(closure->body->result);
      }
    });
    count(body->result);
  }

  void note(const graph::Binding& b) {
    const auto* call = graph::as<CallNode>(b.value);
    if (!call || b.cast) return;
    begin(b, *call);
    const std::string_view name = op_name(*call);
    const bool scales = name == "multiply", subtracts = name == "subtract";
    if (!scales && !subtracts && name != "add") return;
    // The constant is the second operand, or either of those that commute.
    for (size_t i = 0; i < (subtracts ? size_t{1} : size_t{2}); ++i) {
      const auto known = product_of_.find(call->args[i].get());
      if (known == product_of_.end() || uses_[call->args[i].get()] != 1) continue;
      Product& p = products_[known->second];
      const auto of_channels = per_channel(call->args[1 - i], *graph::tensor_of(p.value),
                                           p.channels.from_last, p.scale.size());
      if (!of_channels || !structural_equal(b.var->type, p.value->type)) continue;
      for (size_t c = 0; c < p.scale.size(); ++c) {
        const double e = (*of_channels)[c];
        if (scales) p.scale[c] *= e;
        p.shift[c] = scales ? p.shift[c] * e : subtracts ? p.shift[c] - e : p.shift[c] + e;
      }
      if (!scales && !p.add) {
        p.add = call;
        p.value = b.var;
      } else {
        p.changed = true;
        replaced_[call] = p.value;
      }
      product_of_[b.var.get()] = known->second;
      return;
    }
  }

  // Is it a product by a constant whose channels are known?
  void begin(const graph::Binding& b, const CallNode& call) {
    const auto channels = channels_of(call);
    const TensorTypeNode* result = as<TensorTypeNode>(b.var->type);
    const auto* weight = channels ? graph::as<ConstantNode>(call.args[1]) : nullptr;
    if (!weight || !result || !result->shape || result->dtype != weight->data->dtype) return;
    if (result->dtype != dtypes::float32 && result->dtype != dtypes::float64) return;
    const int64_t count = weight->data->shape[channels->of_weight];
    Product p;
    p.call = &call;
    p.channels = *channels;
    p.scale.assign(static_cast<size_t>(count), 1);
    p.shift.assign(static_cast<size_t>(count), 0);
    p.value = b.var;
    product_of_[b.var.get()] = products_.size();
    products_.push_back(std::move(p));
  }

  void replace(const Product& p) {
    const bool is_scaled =
        std::any_of(p.scale.begin(), p.scale.end(), [](double e) { return e != 1; });
    std::vector<Value> args = p.call->args;
    if (is_scaled) {
      args[1] = scaled_weight(*graph::as<ConstantNode>(args[1]), p.channels.of_weight, p.scale);
      replaced_[p.call] = with_operands(*p.call, std::move(args));
    }
    if (!p.add) return;
    // The product is whichever operand is no constant.
    const size_t at = graph::as<ConstantNode>(p.add->args[0]) ? 1 : 0;
    std::vector<int64_t> shape(p.channels.from_last + 1, 1);
    shape[0] = static_cast<int64_t>(p.shift.size());
    const DType dtype = graph::tensor_of(p.value)->dtype;
    replaced_[p.add] = make_ref<CallNode>(
        ops_.find("add"), nullptr,
        std::vector<Value>{p.add->args[at],
                           graph::make_constant(array_of(std::move(shape), dtype, p.shift))},
        Attrs{}, std::vector<Type>{}, p.add->type);
  }

  static Value with_operands(const CallNode& call, std::vector<Value> args) {
    return make_ref<CallNode>(call.op, call.callee, std::move(args), call.attrs, call.type_args,
                              call.type);
  }

  Module result_;
  const OpTable& ops_;
  std::unordered_map<const graph::ValueNode*, int> uses_;
  std::vector<Product> products_;
  std::unordered_map<const graph::ValueNode*, size_t> product_of_;
  std::unordered_map<const CallNode*, Value> replaced_;
};

}  // namespace

Result<Module> fold_scales(const Module& module, const OpTable& ops) {
  if (!has_constant_batch_norm(module)) return ScaleFolder(module, ops).run();
  REPOSE_TRY(plain, rebuild_functions(module, ops, without_batch_norm));
  return ScaleFolder(plain, ops).run();
}

}  // namespace repose

// Folds batch normalisation into the weights of the convolution before it.
#include "passes/graph/fold_batch_norm.h"

#include "ops/composite.h"
#include "passes/graph/rewrite_patterns.h"

namespace repose {

namespace {

using graph::Value;

// Extents of 1 but for the channels, which stand `at`.
Dims channel_shape(const Expr& channels, int rank, int at) {
  Dims shape(static_cast<size_t>(rank), make_int(1));
  shape[static_cast<size_t>(at)] = channels;
  return shape;
}

// The pattern for one kind of convolution, with or without the tuple of `nn.batch_norm`.
PatternRule rule(const char* conv, const char* image, const char* kernel, bool is_tuple) {
  const Pattern x = pattern::any(), w = pattern::any();
  const Pattern product =
      pattern::call(conv, {x, w}, {{"data_layout", image}, {"kernel_layout", kernel}});
  const Pattern gamma = pattern::any(), beta = pattern::any(), mean = pattern::any(),
                var = pattern::any();
  const char* name = is_tuple ? "nn.batch_norm" : "nn.batch_norm_inference";
  const Pattern norm = pattern::call(name, {product, gamma, beta, mean, var}, {{"axis", 1}});
  PatternRule result{fmt::format("{} and {}", conv, name),
                     {{is_tuple ? pattern::item(norm, 0) : norm}, {}},
                     nullptr};
  result.replace = [=](Rebuilding& r, const PatternMatch& match) -> Result<std::vector<Value>> {
    const graph::CallNode &conv_call = *match.calls.at(product.get()),
                          &norm_call = *match.calls.at(norm.get());
    auto value = [&](const Pattern& p) { return match.values.at(p.get()); };
    const TensorTypeNode *tw = graph::tensor_of(value(w)), *tv = graph::tensor_of(value(var));
    const bool is_known = tw && tv && tw->shape && tv->shape && tw->dtype == tv->dtype &&
                          (tw->dtype == dtypes::float32 || tw->dtype == dtypes::float64) &&
                          !conv_call.attrs.get_dtype("out_dtype");
    const std::string out = conv_call.attrs.get_string("out_layout");
    if (!is_known || (!out.empty() && out != image)) return std::vector<Value>{};
    const OpTable& ops = r.builder.ops();
    auto apply = [&](const char* op, std::vector<Value> operands) {
      return graph::make_op_call(*ops.find(op), std::move(operands));
    };
    const Expr channels = (*tw->shape)[0];
    const Value epsilon = scalar_constant(tw->dtype, norm_call.attrs.get_float("epsilon"));
    Value scale = apply("rsqrt", {apply("add", {value(var), epsilon})});
    if (norm_call.attrs.get_bool("scale")) scale = apply("multiply", {value(gamma), scale});
    REPOSE_TRY(s, r.builder.emit(scale, "scale"));
    Value shift = apply("negative", {apply("multiply", {value(mean), s})});
    if (norm_call.attrs.get_bool("center")) shift = apply("add", {value(beta), shift});
    const Value weight =
        apply("multiply", {value(w), reshaped(s, channel_shape(channels, tw->rank, 0))});
    const Value y = graph::make_op_call(*conv_call.op, {value(x), weight}, conv_call.attrs);
    return std::vector<Value>{
        apply("add", {y, reshaped(shift, channel_shape(channels, tw->rank, 1))})};
  };
  return result;
}

}  // namespace

Result<Module> fold_batch_norm(const Module& module, const OpTable& ops) {
  std::vector<PatternRule> rules;
  for (const bool is_tuple : {false, true}) {
    rules.push_back(rule("nn.conv1d", "NCW", "OIW", is_tuple));
    rules.push_back(rule("nn.conv2d", "NCHW", "OIHW", is_tuple));
    rules.push_back(rule("nn.conv3d", "NCDHW", "OIDHW", is_tuple));
  }
  return rewrite_patterns(module, ops, rules);
}

}  // namespace repose

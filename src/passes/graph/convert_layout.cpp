// Gives convolutions and pools the layouts that someone wishes.
#include "passes/graph/convert_layout.h"

#include <algorithm>

#include "ops/composite.h"
#include "passes/graph/rebuild.h"
#include "passes/graph/rewrite_patterns.h"

namespace repose {

namespace {

using graph::Value;

// The axes by which a tensor of layout `from` is permuted to be one of layout `to`.
std::vector<int64_t> axes_between(const std::string& from, const std::string& to) {
  std::vector<int64_t> axes;
  for (char c : to) axes.push_back(static_cast<int64_t>(from.find(c)));
  return axes;
}

bool is_permutation_of(std::string a, std::string b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  return a == b && std::adjacent_find(a.begin(), a.end()) == a.end();
}

const char* data_attribute(const OpDef& op) {
  for (const AttrSpec& spec : op.attrs) {
    for (const char* name : {"data_layout", "layout"}) {
      if (std::string_view(spec.name) == name) return name;
    }
  }
  return nullptr;
}

bool has_attribute(const OpDef& op, const char* name) {
  return std::any_of(op.attrs.begin(), op.attrs.end(),
                     [&](const AttrSpec& spec) { return std::string_view(spec.name) == name; });
}

Result<void> check_wishes(const OpTable& ops, const LayoutWishes& wishes) {
  for (const auto& [name, wish] : wishes) {
    const OpDef* op = ops.find(name);
    const char* data = op ? data_attribute(*op) : nullptr;
    if (!data) {
      return error(DiagnosticKind::bad_usage, {}, "`{}` is no operator with a layout", name);
    }
    for (const auto& [attribute, wished] :
         {std::pair(data, &wish.data), std::pair("kernel_layout", &wish.kernel)}) {
      if (wished->empty()) continue;
      const auto spec = std::find_if(op->attrs.begin(), op->attrs.end(), [&](const AttrSpec& s) {
        return std::string_view(s.name) == attribute;
      });
      const std::string* usual =
          spec != op->attrs.end() && spec->absent ? spec->absent->as_string() : nullptr;
      if (usual && is_permutation_of(*usual, *wished)) continue;
      return error(DiagnosticKind::bad_usage, {}, "`{}`: layout `{}`, expected the letters of `{}`",
                   name, *wished, usual ? *usual : "no weight");
    }
  }
  return {};
}

Value permuted_if(Value v, const std::string& from, const std::string& to) {
  return from == to ? v : permuted(std::move(v), axes_between(from, to));
}

// The call in the layouts of `wish`, and its result in the layout that it had; null: nothing to do.
Value in_layout(const graph::CallNode& call, const LayoutWish& wish) {
  const char* attribute = data_attribute(*call.op);
  const std::string data = call.attrs.get_string(attribute);
  const std::string kernel = call.attrs.get_string("kernel_layout");
  const std::string given_out = call.attrs.get_string("out_layout");
  const std::string out = given_out.empty() ? data : given_out;
  const std::string wished_data = wish.data.empty() ? data : wish.data;
  const std::string wished_kernel = wish.kernel.empty() ? kernel : wish.kernel;
  const bool is_plain = is_permutation_of(data, wished_data) &&
                        is_permutation_of(out, wished_data) &&
                        (kernel == wished_kernel || is_permutation_of(kernel, wished_kernel));
  const bool is_done = data == wished_data && out == wished_data && kernel == wished_kernel;
  if (!is_plain || is_done || !has_shapes(call)) return nullptr;
  std::vector<Value> args = call.args;
  args[0] = permuted_if(args[0], data, wished_data);
  Attrs attrs = call.attrs;
  attrs.set(attribute, wished_data);
  if (has_attribute(*call.op, "kernel_layout")) {
    args[1] = permuted_if(args[1], kernel, wished_kernel);
    attrs.set("kernel_layout", wished_kernel);
  }
  if (!given_out.empty()) attrs.set("out_layout", wished_data);
  return permuted_if(graph::make_op_call(*call.op, std::move(args), std::move(attrs)), wished_data,
                     out);
}

// ---- Permutations
// ----------------------------------------------------------------------------------------

std::vector<int64_t> axes_of(const graph::CallNode& call) {
  std::vector<int64_t> axes;
  const int64_t rank = graph::tensor_of(call.args[0])->rank;
  const Attr* given = call.attrs.find("axes");
  if (given && !given->is_none()) {
    for (int64_t a : call.attrs.get_ints("axes")) axes.push_back(a < 0 ? a + rank : a);
  } else {
    for (int64_t a = rank; a-- > 0;) axes.push_back(a);
  }
  return axes;
}

PatternRule cancel_rule() {
  const Pattern x = pattern::any();
  const Pattern inner = pattern::shared(pattern::call("permute_dims", {x}));
  const Pattern outer = pattern::call("permute_dims", {inner});
  PatternRule rule{"permute_dims of permute_dims", {{outer}, {}}, nullptr};
  rule.replace = [=](Rebuilding&, const PatternMatch& match) -> Result<std::vector<Value>> {
    const graph::CallNode &first = *match.calls.at(inner.get()),
                          &second = *match.calls.at(outer.get());
    if (graph::tensor_of(first.args[0])->rank < 0) return std::vector<Value>{};
    const std::vector<int64_t> before = axes_of(first);
    std::vector<int64_t> axes;
    bool is_identity = true;
    for (int64_t a : axes_of(second)) {
      axes.push_back(before[static_cast<size_t>(a)]);
      is_identity = is_identity && axes.back() + 1 == static_cast<int64_t>(axes.size());
    }
    const Value& v = match.values.at(x.get());
    return std::vector<Value>{is_identity ? v : permuted(v, axes)};
  };
  return rule;
}

constexpr const char* unary_operators[] = {"nn.relu", "nn.gelu", "nn.silu", "nn.leakyrelu",
                                           "sigmoid", "tanh",    "exp",     "negative",
                                           "clip",    "abs",     "sqrt",    "astype"};
constexpr const char* binary_operators[] = {"add",    "subtract", "multiply",
                                            "divide", "maximum",  "minimum"};

PatternRule sink_unary(const char* op) {
  const Pattern x = pattern::any(), p = pattern::call("permute_dims", {x});
  const Pattern y = std::string_view(op) == "clip"
                        ? pattern::call(op, {p, pattern::any(), pattern::any()})
                        : pattern::call(op, {p});
  PatternRule rule{fmt::format("{} of permute_dims", op), {{y}, {}}, nullptr};
  rule.replace = [=](Rebuilding& r, const PatternMatch& match) -> Result<std::vector<Value>> {
    const graph::CallNode& call = *match.calls.at(y.get());
    std::vector<Value> args{match.values.at(x.get())};
    for (size_t i = 1; i < call.args.size(); ++i) args.push_back(r.now(call.args[i]));
    return std::vector<Value>{permuted(graph::make_op_call(*call.op, std::move(args), call.attrs),
                                       axes_of(*match.calls.at(p.get())))};
  };
  return rule;
}

// Both permuted alike.
PatternRule sink_binary(const char* op) {
  const Pattern a = pattern::any(), b = pattern::any();
  const Pattern p = pattern::call("permute_dims", {a}), q = pattern::call("permute_dims", {b});
  const Pattern y = pattern::call(op, {p, q});
  PatternRule rule{fmt::format("{} of permute_dims", op), {{y}, {}}, nullptr};
  rule.replace = [=](Rebuilding&, const PatternMatch& match) -> Result<std::vector<Value>> {
    const graph::CallNode &first = *match.calls.at(p.get()), &second = *match.calls.at(q.get());
    const int rank = graph::tensor_of(first.args[0])->rank;
    const bool is_alike = rank >= 0 && rank == graph::tensor_of(second.args[0])->rank &&
                          axes_of(first) == axes_of(second);
    if (!is_alike) return std::vector<Value>{};
    const graph::CallNode& call = *match.calls.at(y.get());
    const Value sum = graph::make_op_call(
        *call.op, {match.values.at(a.get()), match.values.at(b.get())}, call.attrs);
    return std::vector<Value>{permuted(sum, axes_of(first))};
  };
  return rule;
}

// One permuted, the other a constant or parameter that broadcasts, such as a bias: that is permuted
// the other way.
PatternRule sink_beside_weight(const char* op, bool is_left) {
  const Pattern a = pattern::any(), w = pattern::any();
  const Pattern p = pattern::call("permute_dims", {a});
  const Pattern y = is_left ? pattern::call(op, {p, w}) : pattern::call(op, {w, p});
  PatternRule rule{fmt::format("{} of permute_dims and a weight", op), {{y}, {}}, nullptr};
  rule.replace = [=](Rebuilding&, const PatternMatch& match) -> Result<std::vector<Value>> {
    const graph::CallNode& first = *match.calls.at(p.get());
    const Value& weight = match.values.at(w.get());
    const TensorTypeNode *ta = graph::tensor_of(first.args[0]), *tw = graph::tensor_of(weight);
    if (!tw || !tw->shape || ta->rank < 0 || tw->rank > ta->rank) return std::vector<Value>{};
    const auto large = std::count_if(tw->shape->begin(), tw->shape->end(),
                                     [](const Expr& d) { return !is_const_int(d, 1); });
    if (large > 1) return std::vector<Value>{};
    const std::vector<int64_t> axes = axes_of(first);
    std::vector<int64_t> back(axes.size());
    for (size_t i = 0; i < axes.size(); ++i) {
      back[static_cast<size_t>(axes[i])] = static_cast<int64_t>(i);
    }
    Dims shape(static_cast<size_t>(ta->rank - tw->rank), make_int(1));
    shape.insert(shape.end(), tw->shape->begin(), tw->shape->end());
    Dims moved;
    for (int64_t axis : back) moved.push_back(shape[static_cast<size_t>(axis)]);
    // All extents but one are 1: a reshape permutes.
    const Value other = reshaped(weight, std::move(moved));
    const graph::CallNode& call = *match.calls.at(y.get());
    const Value& v = match.values.at(a.get());
    const std::vector<Value> args =
        is_left ? std::vector<Value>{v, other} : std::vector<Value>{other, v};
    return std::vector<Value>{permuted(graph::make_op_call(*call.op, args, call.attrs), axes)};
  };
  return rule;
}

std::vector<PatternRule> permutation_rules() {
  std::vector<PatternRule> rules{cancel_rule()};
  for (const char* op : unary_operators) rules.push_back(sink_unary(op));
  for (const char* op : binary_operators) {
    rules.push_back(sink_binary(op));
    rules.push_back(sink_beside_weight(op, true));
    rules.push_back(sink_beside_weight(op, false));
  }
  return rules;
}

}  // namespace

LayoutWishes channels_last() {
  return {{"nn.conv1d", {"NWC", "OWI"}},     {"nn.conv2d", {"NHWC", "OHWI"}},
          {"nn.conv3d", {"NDHWC", "ODHWI"}}, {"nn.max_pool1d", {"NWC", ""}},
          {"nn.max_pool2d", {"NHWC", ""}},   {"nn.max_pool3d", {"NDHWC", ""}},
          {"nn.avg_pool1d", {"NWC", ""}},    {"nn.avg_pool2d", {"NHWC", ""}},
          {"nn.avg_pool3d", {"NDHWC", ""}},  {"nn.adaptive_avg_pool2d", {"NHWC", ""}}};
}

Result<Module> convert_layout(const Module& module, const OpTable& ops,
                              const LayoutWishes& wishes) {
  if (auto checked = check_wishes(ops, wishes); !checked.ok()) return checked.errors();
  bool any = false;
  RebuildHooks hooks;
  hooks.call = [&](Builder&, const graph::CallNode& call, const Span&) -> Result<Value> {
    const auto wish = call.op ? wishes.find(std::string(call.op->name)) : wishes.end();
    const Value converted = wish == wishes.end() ? nullptr : in_layout(call, wish->second);
    any = any || converted;
    return converted;
  };
  REPOSE_TRY(result, rebuild_functions(module, ops, hooks));
  return any ? rewrite_patterns(result, ops, permutation_rules()) : module;
}

}  // namespace repose

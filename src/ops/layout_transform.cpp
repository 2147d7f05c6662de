// layout_transform: the elements of x at other places, as an index map says: y[map(i…)] = x[i…].
//   C1: the map is `lambda i, j, …: (e0, e1, …)` with a parameter for each dimension of x, whose
//       results are sums of parameters and of their parts `i // c` and `i % c`, times constants.
//   C2: the parts of a parameter make it whole: `i // 16` and `i % 16`, or `i // 32`, `i // 8 % 4`
//       and `i % 8`. Where 16 doesn't divide the dimension, `pad_value` (None: 0) fills up what x
//       doesn't reach.
//   C3: each part stands in one result, with the product of the extents behind it as its factor:
//       `i * 16 + j` where j has 16 values. A result 0 is a dimension of extent 1.
// The separators of axes say nothing here: memory has one dimension.
#include "ops/layout_transform.h"

#include <algorithm>
#include <cstdlib>

#include "ops/gradient.h"
#include "script/syntax.h"

namespace repose {

namespace {

using script::Node;
using script::NodeKind;

// factor * (parameter // divisor % modulus); a modulus of 0: without.
struct Part {
  size_t parameter = 0;
  int64_t factor = 1, divisor = 1, modulus = 0;
};

struct IndexMap {
  std::vector<std::string> parameters;
  std::vector<std::vector<Part>> results;
};

std::optional<int64_t> integer_of(const Node& node) {
  if (node.kind == NodeKind::integer) return std::strtoll(node.text.c_str(), nullptr, 10);
  if (node.kind == NodeKind::call && node.kids.size() == 2) return integer_of(*node.kids[1]);
  return std::nullopt;
}

// One expression of a map as a sum of parts; nothing: it is none.
std::optional<std::vector<Part>> parts_of(const Node& node,
                                          const std::vector<std::string>& parameters) {
  if (node.kind == NodeKind::name) {
    const auto it = std::find(parameters.begin(), parameters.end(), node.text);
    if (it == parameters.end()) return std::nullopt;
    return std::vector<Part>{Part{static_cast<size_t>(it - parameters.begin())}};
  }
  if (const auto value = integer_of(node)) {
    return *value == 0 ? std::optional(std::vector<Part>{}) : std::nullopt;
  }
  std::string op = node.text;
  std::vector<const Node*> sides(node.kids.begin(), node.kids.end());
  if (node.kind == NodeKind::call && sides.size() == 3) {
    const std::string callee = script::callee_name(&node);
    op = callee == "T.floordiv" ? "//" : callee == "T.floormod" ? "%" : "";
    sides.erase(sides.begin());
  } else if (node.kind != NodeKind::binary) {
    return std::nullopt;
  }
  if (op == "*" && integer_of(*sides[0])) std::swap(sides[0], sides[1]);
  auto left = parts_of(*sides[0], parameters);
  if (!left) return std::nullopt;
  if (op == "+") {
    auto right = parts_of(*sides[1], parameters);
    if (!right) return std::nullopt;
    left->insert(left->end(), right->begin(), right->end());
    return left;
  }
  const auto c = integer_of(*sides[1]);
  if (!c || *c < 1) return std::nullopt;
  if (op == "*") {
    for (Part& p : *left) p.factor *= *c;
    return left;
  }
  if (left->size() != 1 || left->front().factor != 1) return std::nullopt;
  Part& p = left->front();
  if (p.modulus % *c != 0) return std::nullopt;
  if (op == "//") {
    p.divisor *= *c;
    p.modulus /= *c;
    if (p.modulus == 1) return std::nullopt;
    return left;
  }
  if (op != "%") return std::nullopt;
  p.modulus = *c;
  return left;
}

std::optional<IndexMap> parsed_map(const std::string& text) {
  script::SyntaxTree tree;
  tree.source = make_text_source("index_map", text);
  Diagnostics problems;
  const Node* lambda = script::parse_fragment(tree, tree.source->text, {}, problems);
  if (!lambda || lambda->kind != NodeKind::lambda) return std::nullopt;
  IndexMap map;
  const size_t begin = text.find("lambda") + 6, end = text.find(':');
  std::string name;
  for (size_t i = begin; i <= end; ++i) {
    if (text[i] != ',' && text[i] != ':') {
      if (text[i] != ' ') name += text[i];
    } else if (!name.empty()) {
      map.parameters.push_back(std::exchange(name, {}));
    }
  }
  const Node& body = *lambda->kids[0];
  std::vector<const Node*> results{&body};
  if (script::is_list(body)) results.assign(body.kids.begin(), body.kids.end());
  for (const Node* result : results) {
    auto parts = parts_of(*result, map.parameters);
    if (!parts) return std::nullopt;
    map.results.push_back(std::move(*parts));
  }
  return map;
}

std::string text_of_map(const graph::CallNode& call) {
  const AttrDict* dict = call.attrs.find("index_map")->as_dict();
  const std::string* text = dict && dict->size() == 1 ? dict->front().second.as_string()
                                                      : call.attrs.find("index_map")->as_string();
  return text ? *text : "";
}

// How the dimensions of x are split, put in another order, and joined.
struct Relayout {
  Dims padded, split;          // x's dimensions as multiples of the divisors, and their parts
  std::vector<int64_t> order;  // of the parts in the results
  Dims joined;                 // the dimensions of the result
  std::vector<std::pair<Expr, int64_t>> factors;  // what has to be equal, C3
};

std::optional<Relayout> relayout(const IndexMap& map, const Dims& shape) {
  if (map.parameters.size() != shape.size()) return std::nullopt;
  std::vector<std::vector<Part>> parts(shape.size());  // of each parameter
  for (const std::vector<Part>& result : map.results) {
    for (const Part& p : result) parts[p.parameter].push_back(p);
  }
  Relayout r;
  std::vector<std::pair<Part, int64_t>> places;  // of each part in `split`
  for (size_t k = 0; k < shape.size(); ++k) {
    auto& own = parts[k];
    std::sort(own.begin(), own.end(),
              [](const Part& a, const Part& b) { return a.divisor > b.divisor; });
    if (own.empty() || own[0].modulus != 0 || own.back().divisor != 1) return std::nullopt;  // C2
    for (size_t i = 1; i < own.size(); ++i) {
      if (own[i].modulus == 0 || own[i].divisor * own[i].modulus != own[i - 1].divisor) {
        return std::nullopt;
      }
    }
    const Expr whole = canonical(ceil_div(shape[k], make_int(own[0].divisor)));
    r.padded.push_back(canonical(whole * own[0].divisor));
    for (const Part& p : own) {
      places.emplace_back(p, static_cast<int64_t>(r.split.size()));
      r.split.push_back(p.modulus ? make_int(p.modulus) : whole);
    }
  }
  for (std::vector<Part> result : map.results) {
    std::stable_sort(result.begin(), result.end(),
                     [](const Part& a, const Part& b) { return a.factor > b.factor; });
    Expr extent = make_int(1);
    for (size_t i = result.size(); i-- > 0;) {
      r.factors.emplace_back(extent, result[i].factor);
      const auto place = std::find_if(places.begin(), places.end(), [&](const auto& known) {
        return known.first.parameter == result[i].parameter &&
               known.first.divisor == result[i].divisor;
      });
      extent = canonical(extent * r.split[static_cast<size_t>(place->second)]);
    }
    r.joined.push_back(extent);
    for (const Part& p : result) {
      const auto place = std::find_if(places.begin(), places.end(), [&](const auto& known) {
        return known.first.parameter == p.parameter && known.first.divisor == p.divisor;
      });
      r.order.push_back(place->second);
    }
  }
  return r;
}

double pad_value_of(const graph::CallNode& call) {
  const Attr& given = *call.attrs.find("pad_value");
  if (const int64_t* i = given.as_int()) return static_cast<double>(*i);
  if (const Expr* e = given.as_expr()) {
    if (const auto* f = as<FloatImmNode>(*e)) return f->value;
    if (const auto* i = as<IntImmNode>(*e)) return static_cast<double>(i->value);
  }
  return given.as_float() ? *given.as_float() : 0;
}

graph::Value compose_layout_transform(const graph::CallNode& call) {
  const Dims& shape = *graph::tensor_of(call.args[0])->shape;
  const Relayout r = *relayout(*parsed_map(text_of_map(call)), shape);
  graph::Value y = call.args[0];
  Dims widths;
  bool pads = false;
  for (size_t d = 0; d < shape.size(); ++d) {
    const Expr more = canonical(r.padded[d] - shape[d]);
    pads = pads || !is_const_int(more, 0);
    widths.insert(widths.end(), {make_int(0), more});
  }
  if (pads) {
    y = graph::make_op_call(op_nn_pad(), {y, graph::make_shape(widths)},
                            Attrs{{"pad_value", Attr(pad_value_of(call))}});
  }
  y = reshaped(permuted(reshaped(y, r.split), r.order), r.joined);
  return y;
}

Result<Type> infer_layout_transform(InferContext& context, const graph::CallNode& call) {
  REPOSE_TRY(x, tensor_arg(context, call, 0));
  const std::string text = text_of_map(call);
  const auto map = parsed_map(text);
  const auto refused = [&](const char* why) {
    return error(DiagnosticKind::unsupported_feature, context.span(),
                 "`layout_transform`: the map `{}` {}", text, why);
  };
  if (!map) return refused("is no sum of dimensions and their parts times constants");  // C1
  if (x->rank >= 0 && static_cast<size_t>(x->rank) != map->parameters.size()) {
    return error(DiagnosticKind::rank_mismatch, context.span(),
                 "`layout_transform`: the map `{}` has {} parameters, operand 0 has rank {}", text,
                 map->parameters.size(), x->rank);
  }
  if (!x->shape) return ranked_like(*x, static_cast<int>(map->results.size()), x->dtype);
  const auto plan = relayout(*map, *x->shape);
  if (!plan) return refused("doesn't put all parts of each dimension into one place each");  // C2
  for (const auto& [extent, factor] : plan->factors) {                                       // C3
    REPOSE_REQUIRE(require_equal(context, call.op->name, extent, "the extent behind a part",
                                 make_int(factor), "its factor in the map"));
  }
  return composite_type(context, compose_layout_transform(call));
}

}  // namespace

graph::Value laid_out(graph::Value x, const std::string& map) {
  return graph::make_op_call(op_layout_transform(), {std::move(x)},
                             Attrs{{"index_map", Attr(AttrDict{{Attr("index_map"), Attr(map)}})}});
}

const OpDef& op_layout_transform() {
  static const OpDef def{
      .name = "layout_transform",
      .args = {{"x"}},
      .attrs = {{"index_map", AttrKind::any},
                {"pad_value", AttrKind::any, Attr()},
                {"axis_separators", AttrKind::any, Attr()},
                {"input_axis_separators", AttrKind::any, Attr()}},
      .infer = infer_layout_transform,
      .lower = lower_composite<compose_layout_transform>,
      .gradient = composed_gradient<lower_composite<compose_layout_transform>>,
      .doc =
          "the elements at the places that an index map says, such as `lambda n, c: (n, c // 16, "
          "c % 16)`; `pad_value` where nothing comes to lie"};
  return def;
}

}  // namespace repose

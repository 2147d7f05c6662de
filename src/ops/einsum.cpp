// einsum: sums of products in Einstein's notation, "ij,jk->ik". A letter names a dimension; those
// that the result lacks are summed over; one that an operand has twice takes its diagonal. "..."
// stands for any dimensions, which are broadcast. Without "->" the result has "..." and the letters
// that occur once, in alphabetical order.
//   C1: there is a list of letters for each operand, as many as its rank ("...": at most); the
//       result's letters are distinct and occur in operands, and it has "..." where an operand has.
//   C2: all operands have one dtype, a number; float16 and bfloat16 accumulate in float32.
//   C3: dimensions of one letter are equal.
#include <algorithm>
#include <map>

#include "ops/gradient.h"

namespace repose {

namespace {

// Dimensions by number: letters, and from `ellipsis` on those of "...", counted from the right.
using Labels = std::vector<int>;
constexpr int ellipsis = 256;

struct EinsumTerms {
  std::vector<Labels> operands;
  Labels result;
  bool has_ellipsis = false;
};

Diagnostic subscripts_error(const Span& span, const std::string& subscripts,
                            const std::string& why) {
  return error(DiagnosticKind::bad_attribute, span, "`einsum`: subscripts \"{}\": {}", subscripts,
               why);
}

// "ab...c" of a tensor of this rank.
Result<Labels> read_labels(const std::string& all, const std::string& term, int rank,
                           const Span& span) {
  const size_t dots = term.find("...");
  const size_t letters = term.size() - (dots == std::string::npos ? 0 : 3);
  const bool fits = dots == std::string::npos ? letters == static_cast<size_t>(rank)
                                              : letters <= static_cast<size_t>(rank);
  Labels labels;
  for (size_t i = 0; i < term.size(); ++i) {
    if (i == dots) {
      for (int d = rank - static_cast<int>(letters); d-- > 0;) labels.push_back(ellipsis + d);
      i += 2;
    } else if (std::isalpha(static_cast<unsigned char>(term[i]))) {
      labels.push_back(term[i]);
    } else {
      return subscripts_error(span, all, fmt::format("`{}` is no letter", term[i]));
    }
  }
  if (fits) return labels;
  return subscripts_error(span, all, fmt::format("\"{}\" of an operand of rank {}", term, rank));
}

std::vector<std::string> terms_of(std::string list) {
  std::vector<std::string> terms{""};
  for (char c : list) {
    if (c == ',') {
      terms.emplace_back();
    } else if (c != ' ') {
      terms.back().push_back(c);
    }
  }
  return terms;
}

Labels implied_result(const EinsumTerms& terms, int broadcast_rank) {
  Labels result;
  for (int d = broadcast_rank; d-- > 0;) result.push_back(ellipsis + d);
  std::map<int, int> count;
  for (const Labels& labels : terms.operands) {
    for (int label : labels) ++count[label];
  }
  for (const auto& [label, times] : count) {
    if (label < ellipsis && times == 1) result.push_back(label);
  }
  return result;
}

// C1, from the operands' ranks.
Result<EinsumTerms> read_subscripts(const std::string& subscripts, const std::vector<int>& ranks,
                                    const Span& span) {
  const size_t arrow = subscripts.find("->");
  const std::vector<std::string> parts = terms_of(subscripts.substr(0, arrow));
  if (parts.size() != ranks.size()) {
    return subscripts_error(span, subscripts,
                            fmt::format("{} terms for {} operands", parts.size(), ranks.size()));
  }
  EinsumTerms terms;
  int broadcast_rank = 0;
  for (size_t k = 0; k < parts.size(); ++k) {
    REPOSE_TRY(labels, read_labels(subscripts, parts[k], ranks[k], span));
    terms.has_ellipsis = terms.has_ellipsis || parts[k].find("...") != std::string::npos;
    for (int label : labels) broadcast_rank = std::max(broadcast_rank, label - ellipsis + 1);
    terms.operands.push_back(labels);
  }
  if (arrow == std::string::npos) {
    terms.result = implied_result(terms, broadcast_rank);
    return terms;
  }
  const std::vector<std::string> result = terms_of(subscripts.substr(arrow + 2));
  if (result.size() != 1) return subscripts_error(span, subscripts, "more than one result");
  const bool has_dots = result[0].find("...") != std::string::npos;
  if (has_dots != terms.has_ellipsis && (has_dots || broadcast_rank > 0)) {
    return subscripts_error(span, subscripts, "the result and an operand need \"...\"");
  }
  const int letters = static_cast<int>(result[0].size()) - (has_dots ? 3 : 0);
  REPOSE_TRY(labels, read_labels(subscripts, result[0], letters + broadcast_rank, span));
  for (size_t i = 0; i < labels.size(); ++i) {
    const bool known =
        std::any_of(terms.operands.begin(), terms.operands.end(), [&](const Labels& operand) {
          return std::find(operand.begin(), operand.end(), labels[i]) != operand.end();
        });
    const auto rest = labels.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    if (known && std::find(rest, labels.end(), labels[i]) == labels.end()) continue;
    return subscripts_error(span, subscripts,
                            fmt::format("`{}` of the result is {}", static_cast<char>(labels[i]),
                                        known ? "given twice" : "in no operand"));
  }
  terms.result = labels;
  return terms;
}

using Extents = std::map<int, Expr>;

Result<Extents> label_extents(InferContext& context, const EinsumTerms& terms,
                              const std::vector<const TensorTypeNode*>& types) {
  Extents extents;
  for (size_t k = 0; k < types.size(); ++k) {
    for (size_t d = 0; d < terms.operands[k].size(); ++d) {
      const int label = terms.operands[k][d];
      const Expr& dim = (*types[k]->shape)[d];
      const auto [known, is_new] = extents.emplace(label, dim);
      if (is_new) continue;
      if (label >= ellipsis) {
        REPOSE_TRY(both, broadcast_shapes(context, "einsum", {known->second}, {dim}));
        known->second = both[0];
        continue;
      }
      REPOSE_REQUIRE(require_equal(  // C3
          context, "einsum", known->second,
          fmt::format("a dimension `{}`", static_cast<char>(label)), dim,
          fmt::format("dimension {} of operand {}", d, k)));
      if (is_constant(dim)) known->second = dim;
    }
  }
  return extents;
}

std::vector<const TensorTypeNode*> member_types(const graph::CallNode& call) {
  std::vector<const TensorTypeNode*> types;
  for (const Type& field : as<TupleTypeNode>(call.args[0]->type)->fields) {
    types.push_back(as<TensorTypeNode>(field));
  }
  return types;
}

Result<EinsumTerms> terms_of_call(const graph::CallNode& call, const Span& span = {}) {
  std::vector<int> ranks;
  for (const TensorTypeNode* t : member_types(call)) ranks.push_back(t->rank);
  return read_subscripts(call.attrs.get_string("subscripts"), ranks, span);
}

Result<Type> infer_einsum(InferContext& context, const graph::CallNode& call) {
  const std::vector<const TensorTypeNode*> types = member_types(call);
  if (types.empty()) {
    return error(DiagnosticKind::wrong_arity, context.span(), "`einsum` of no tensors");
  }
  bool ranked = true, shaped = true;
  for (size_t k = 0; k < types.size(); ++k) {
    const DType dtype = types[k]->dtype, first = types[0]->dtype;
    if (dtype && (!is_number_dtype(dtype) || (first && dtype != first))) {  // C2
      return error(DiagnosticKind::dtype_mismatch, context.span(),
                   "`einsum`: operand {} has dtype {}, expected {}", k, dtype.to_string(),
                   k == 0 ? "a number" : first.to_string());
    }
    ranked = ranked && types[k]->rank >= 0;
    shaped = shaped && types[k]->shape;
  }
  if (!ranked) return ranked_like(*types[0], -1, types[0]->dtype);
  REPOSE_TRY(terms, terms_of_call(call, context.span()));
  if (!shaped) {
    return ranked_like(*types[0], static_cast<int>(terms.result.size()), types[0]->dtype);
  }
  REPOSE_TRY(extents, label_extents(context, terms, types));
  Dims out;
  for (int label : terms.result) out.push_back(extents.at(label));
  return tensor_like(*types[0], std::move(out), types[0]->dtype);
}

// Of one or two operands.
std::vector<te::Tensor> einsum_rule(const graph::CallNode& call,
                                    const std::vector<te::Tensor>& in) {
  const EinsumTerms terms = *terms_of_call(call);
  const Dims& shape = result_shape(call);
  Extents extents;
  for (size_t d = 0; d < shape.size(); ++d) extents.emplace(terms.result[d], shape[d]);
  Labels summed;
  Dims box;
  for (size_t k = 0; k < in.size(); ++k) {
    for (size_t d = 0; d < terms.operands[k].size(); ++d) {
      const Expr& dim = in[k].shape()[d];
      if (!extents.emplace(terms.operands[k][d], dim).second) continue;
      summed.push_back(terms.operands[k][d]);
      box.push_back(dim);
    }
  }
  const DType dtype = in[0].dtype(), sum = accumulator_dtype(dtype);  // C2
  auto product = [&](const te::Indices& i, const te::Indices& r) {
    Extents index;
    for (size_t d = 0; d < i.size(); ++d) index.emplace(terms.result[d], i[d]);
    for (size_t d = 0; d < r.size(); ++d) index.emplace(summed[d], r[d]);
    Expr value;
    for (size_t k = 0; k < in.size(); ++k) {
      te::Indices at;
      for (size_t d = 0; d < terms.operands[k].size(); ++d) {
        const int label = terms.operands[k][d];
        const Expr& dim = in[k].shape()[d];
        at.push_back(label < ellipsis ? index.at(label)
                                      : broadcast_index(dim, extents.at(label), index.at(label)));
      }
      const Expr element = make_cast(sum, in[k](std::move(at)));
      value = value ? value * element : element;
    }
    return value;
  };
  if (summed.empty()) {
    return {te::compute(
        shape, [&](const te::Indices& i) { return make_cast(dtype, product(i, {})); }, "einsum")};
  }
  return {cast_stage(te::reduce(shape, te::Reducer::sum, box, product, "einsum"), dtype)};
}

// The first two operands become one, with the letters that come later.
graph::Value first_pair(const graph::CallNode& call, const std::vector<graph::Value>& operands) {
  const std::string subscripts = call.attrs.get_string("subscripts");
  const size_t arrow = subscripts.find("->");
  std::vector<std::string> terms = terms_of(subscripts.substr(0, arrow));
  std::string result;
  if (arrow != std::string::npos) {
    result = terms_of(subscripts.substr(arrow + 2))[0];
  } else {
    for (int label : (*terms_of_call(call)).result) {
      if (label < ellipsis) result.push_back(static_cast<char>(label));
    }
    if (subscripts.find("...") != std::string::npos) result.insert(0, "...");
  }
  std::string later = result, kept;
  for (size_t k = 2; k < terms.size(); ++k) later += terms[k];
  for (char c : terms[0] + terms[1]) {
    if (c == '.' || kept.find(c) != std::string::npos) continue;
    if (later.find(c) != std::string::npos) kept.push_back(c);
  }
  const std::string pair = terms[0] + "," + terms[1];
  if (pair.find("...") != std::string::npos) kept.insert(0, "...");
  auto einsum = [](std::vector<graph::Value> values, std::string text) {
    return graph::make_op_call(op_einsum(), {graph::make_tuple(std::move(values))},
                               Attrs{{"subscripts", Attr(std::move(text))}});
  };
  std::vector<graph::Value> values{einsum({operands[0], operands[1]}, pair + "->" + kept)};
  values.insert(values.end(), operands.begin() + 2, operands.end());
  std::string rest = kept;
  for (size_t k = 2; k < terms.size(); ++k) rest += "," + terms[k];
  return einsum(std::move(values), rest + "->" + result);
}

Result<graph::Value> lower_einsum(Builder& b, const graph::CallNode& call) {
  const std::vector<graph::Value> operands = te::tensor_operands(call);
  if (operands.size() <= 2) return te::lower<einsum_rule>(b, call);
  return first_pair(call, operands);
}

// Labels as letters: those of "..." become letters too.
class Letters {
 public:
  std::string of(const Labels& labels) {
    std::string text;
    for (int label : labels) {
      const auto next = static_cast<int>(letters_.size());
      const auto [it, is_new] =
          letters_.emplace(label, static_cast<char>(next < 26 ? 'a' + next : 'A' + next - 26));
      text.push_back(it->second);
    }
    return text;
  }

 private:
  std::map<int, char> letters_;
};

Labels labels_in_both(const Labels& a, const std::vector<Labels>& others) {
  Labels both;
  for (int label : a) {
    for (const Labels& other : others) {
      if (std::find(other.begin(), other.end(), label) == other.end()) continue;
      both.push_back(label);
      break;
    }
  }
  return both;
}

// Into one operand: the product of g and the other, with the labels that the operand shares with
// them; along others, over which it alone was summed, the same everywhere.
graph::Value flow_into(const Pullback& p, const EinsumTerms& terms, const Extents& extents,
                       const std::vector<graph::Value>& operands, size_t k) {
  Letters letters;
  std::vector<Labels> others{terms.result};
  std::vector<graph::Value> factors{p.gradients[0]};
  std::string subscripts = letters.of(terms.result);
  for (size_t o = 0; o < operands.size(); ++o) {
    if (o == k) continue;
    Dims full;
    for (int label : terms.operands[o]) full.push_back(extents.at(label));
    factors.push_back(broadcast(operands[o], full));
    others.push_back(terms.operands[o]);
    subscripts += "," + letters.of(terms.operands[o]);
  }
  const Labels& own = terms.operands[k];
  const Labels shared = labels_in_both(own, others);
  graph::Value flow =
      graph::make_op_call(op_einsum(), {graph::make_tuple(std::move(factors))},
                          Attrs{{"subscripts", Attr(subscripts + "->" + letters.of(shared))}});
  Dims ones, full;
  for (int label : own) {
    const bool has = std::find(shared.begin(), shared.end(), label) != shared.end();
    full.push_back(extents.at(label));
    ones.push_back(has ? full.back() : make_int(1));
  }
  if (shared.size() < own.size()) {
    flow = broadcast({reshaped(flow, ones), result_dtype(p.call)}, full);
  }
  return collapsed(flow, full, *graph::tensor_of(operands[k])->shape);
}

Gradients einsum_gradient(Builder& b, const Pullback& p) {
  const std::vector<graph::Value> operands = members_of(p.call.args[0]);
  if (operands.size() > 2) return gradient_through(b, p, first_pair(p.call, operands));
  const EinsumTerms terms = *terms_of_call(p.call);
  Extents extents;
  for (size_t d = 0; d < terms.result.size(); ++d) {
    extents.emplace(terms.result[d], result_shape(p.call)[d]);
  }
  const std::vector<const TensorTypeNode*> types = member_types(p.call);
  for (size_t k = 0; k < operands.size(); ++k) {
    Labels sorted = terms.operands[k];
    std::sort(sorted.begin(), sorted.end());
    if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
      return error(DiagnosticKind::unsupported_feature, {},
                   "`einsum` with subscripts \"{}\" takes a diagonal, which has no gradient",
                   p.call.attrs.get_string("subscripts"));
    }
    for (size_t d = 0; d < terms.operands[k].size(); ++d) {
      extents.emplace(terms.operands[k][d], (*types[k]->shape)[d]);
    }
  }
  std::vector<graph::Value> flows;
  for (size_t k = 0; k < operands.size(); ++k) {
    flows.push_back(flow_into(p, terms, extents, operands, k));
  }
  return std::vector<graph::Value>{graph::make_tuple(std::move(flows))};
}

}  // namespace

const OpDef& op_einsum() {
  static const OpDef def{
      .name = "einsum",
      .args = {{"operands", ArgKind::tensors}},
      .attrs = {{"subscripts", AttrKind::string}},
      .infer = infer_einsum,
      .lower = lower_einsum,
      .gradient = einsum_gradient,
      .doc =
          "sums of products of tensors in Einstein's notation: \"ij,jk->ik\", with \"...\" for "
          "dimensions that are broadcast; more than two operands are taken from the left"};
  return def;
}

}  // namespace repose

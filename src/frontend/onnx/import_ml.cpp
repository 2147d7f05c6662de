// The domain ai.onnx.ml over numbers: scalers, encoders, linear models, support vectors, trees.
// Strings, as labels or categories, are not supported.
#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"
#include "frontend/onnx/tensor_data.h"

namespace repose::onnx {
namespace {

template <class T>
Operand constant_of(const std::vector<T>& values, DType dtype) {
  auto array = make_array({static_cast<int64_t>(values.size())}, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    array->store(static_cast<int64_t>(i),
                 dtype.is_float() ? Scalar::of_float(static_cast<double>(values[i]), dtype)
                                  : Scalar::of_int(static_cast<int64_t>(values[i]), dtype));
  }
  return graph::make_constant(Array(array));
}

Result<void> refuse_strings(NodeContext& c, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const Attribute* a = c.find(name);
    if (!a) continue;
    const auto* list = a->get<std::vector<std::string_view>>();
    if (list && list->empty()) continue;
    return c.fail(DiagnosticKind::unsupported_feature,
                  "attribute `{}` has strings, which are not supported", name);
  }
  return {};
}

#define REFUSE_STRINGS(...) \
  if (auto refused = refuse_strings(c, {__VA_ARGS__}); !refused.ok()) return refused.errors()

Result<std::vector<float>> required_numbers(NodeContext& c, const char* name) {
  REPOSE_TRY(values, c.numbers(name));
  if (values) return *values;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
}

Result<std::vector<int64_t>> required_integers(NodeContext& c, const char* name) {
  REPOSE_TRY(values, c.integers(name));
  if (values) return *values;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
}

// The operand in float32; models take integers too.
Result<Operand> float_input(NodeContext& c, size_t i = 0) {
  REPOSE_TRY(x, c.input(i));
  return c.cast(x, dtypes::float32);
}

// The same as rows of features: a vector is one row.
Result<Operand> rows_of(NodeContext& c, const Operand& x) {
  REPOSE_TRY(dims, c.shape(x));
  if (dims.size() == 1) return c.reshape(x, {make_int(1), dims[0]});
  if (dims.size() == 2) return x;
  return c.fail(DiagnosticKind::rank_mismatch, "operand 0 has rank {}, expected 1 or 2",
                dims.size());
}

Result<Operand> rows_input(NodeContext& c) {
  REPOSE_TRY(x, float_input(c));
  return rows_of(c, x);
}

// ---- Features
// ------------------------------------------------------------------------------------

// (x - offset) * scale
Result<Operand> scaler(NodeContext& c) {
  REPOSE_TRY(x, float_input(c));
  REPOSE_TRY(offset, required_numbers(c, "offset"));
  REPOSE_TRY(scale, required_numbers(c, "scale"));
  Composite m(c);
  const Operand centred = m.subtract(x, constant_of(offset, dtypes::float32));
  return m.result(m.multiply(centred, constant_of(scale, dtypes::float32)));
}

Result<Operand> normalizer(NodeContext& c) {
  REPOSE_TRY(x, float_input(c));
  REPOSE_TRY(norm, c.string("norm", "MAX"));
  Composite m(c);
  Operand size;
  if (norm == "MAX") {
    size = m.max(m.unary("abs", x), {-1});
  } else if (norm == "L1") {
    size = m.sum(m.unary("abs", x), {-1});
  } else if (norm == "L2") {
    size = m.unary("sqrt", m.sum(m.unary("square", x), {-1}));
  } else {
    return c.fail(DiagnosticKind::bad_attribute, "attribute `norm` is \"{}\"", printable(norm));
  }
  // Rows of zeros stay.
  return m.result(m.divide(x, m.where(m.equal(size, 0.0), 1.0, size)));
}

Result<Operand> binarizer(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(threshold, c.number("threshold", 0));
  Composite m(c);
  return m.result(m.cast(m.greater(x, threshold), c.dtype(x)));
}

// Elements of the last axis.
Result<Operand> array_feature_extractor(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(given, c.input(1));
  REPOSE_TRY(rank, c.rank(x));
  Composite m(c);
  const Dims d = m.shape(given);
  Expr count = make_int(1);
  for (const Expr& e : d) count = count * e;
  const Operand indices = m.reshape(given, {canonical(count)});
  const Operand rows = rank == 1 ? m.unsqueeze(x, {0}) : x;
  return m.result(m.gather(rows, indices, -1));
}

// Rows side by side.
Result<Operand> feature_vectorizer(NodeContext& c) {
  REPOSE_TRY(parts, c.all_inputs());
  REPOSE_TRY(widths, c.integers("inputdimensions"));
  if (widths && widths->size() != parts.size()) {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `inputdimensions` has {} values for {} operands", widths->size(),
                  parts.size());
  }
  Composite m(c);
  std::vector<Operand> columns;
  for (size_t i = 0; i < parts.size(); ++i) {
    Operand x = m.cast(parts[i], dtypes::float32);
    Dims d = m.shape(x);
    if (d.size() == 1) {
      x = m.unsqueeze(x, {0});
      d = m.shape(x);
    }
    d = m.shape(x, 2, i);
    if (widths && !is_const_int(d[1], (*widths)[i])) {  // cut, or zeros behind
      x = m.pad(x, 1, make_int(0), simplify(make_int((*widths)[i]) - d[1], c.facts()));
    }
    columns.push_back(x);
  }
  return m.result(m.concat(columns, 1));
}

// Another value for each element that is the replaced one (NaN too).
Result<Operand> imputer(NodeContext& c) {
  REPOSE_TRY(x, c.input(0));
  const DType dtype = c.dtype(x);
  Composite m(c);
  Operand hit, values;
  if (dtype.is_float()) {
    REPOSE_TRY(replaced, c.number("replaced_value_float", 0));
    REPOSE_TRY(given, required_numbers(c, "imputed_value_floats"));
    hit = std::isnan(replaced) ? m.unary("isnan", x) : m.equal(x, replaced);
    values = constant_of(given, dtype);
  } else {
    REPOSE_TRY(replaced, c.integer("replaced_value_int64", 0));
    REPOSE_TRY(given, required_integers(c, "imputed_value_int64s"));
    hit = m.equal(x, graph::make_constant(make_scalar_array(Scalar::of_int(replaced, dtype))));
    values = constant_of(given, dtype);
  }
  return m.result(m.where(hit, values, x));
}

// 1 at the place of the element's category along a new last axis.
Result<Operand> one_hot_encoder(NodeContext& c) {
  REFUSE_STRINGS("cats_strings");
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(categories, required_integers(c, "cats_int64s"));
  REPOSE_TRY(zeros, c.flag("zeros", true));
  if (!zeros) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "attribute `zeros` is 0: unknown categories as errors are not supported");
  }
  Composite m(c);
  const Operand keys = m.unsqueeze(m.cast(x, dtypes::int64), {-1});
  return m.result(m.cast(m.equal(keys, constant_of(categories, dtypes::int64)), dtypes::float32));
}

// ---- Labels
// --------------------------------------------------------------------------------------

// A list of numbers that a LabelEncoder has under one of several names.
Result<Operand> encoder_list(NodeContext& c, const std::string& prefix) {
  REFUSE_STRINGS((prefix + "_strings").c_str());
  if (c.find(prefix + "_floats")) {
    REPOSE_TRY(values, required_numbers(c, (prefix + "_floats").c_str()));
    return constant_of(values, dtypes::float32);
  }
  if (c.find(prefix + "_int64s")) {
    REPOSE_TRY(values, required_integers(c, (prefix + "_int64s").c_str()));
    return constant_of(values, dtypes::int64);
  }
  if (const Attribute* a = c.find(prefix + "_tensor")) {
    const Tensor* t = a->tensor();
    if (!t || t->data_type == DataType::string) {
      return c.fail(DiagnosticKind::unsupported_feature,
                    "attribute `{}_tensor` is no tensor of numbers", prefix);
    }
    return make_constant_of(c.model(), *t);
  }
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}_…` is missing", prefix);
}

// The value of the last key that is equal (NaN is equal to NaN), or the default.
Result<Operand> label_encoder(NodeContext& c) {
  REFUSE_STRINGS("classes_strings");
  REPOSE_TRY(x, c.input(0));
  REPOSE_TRY(keys, encoder_list(c, "keys"));
  REPOSE_TRY(values, encoder_list(c, "values"));
  const DType dtype = c.dtype(values);
  Operand absent = c.scalar(dtype, dtype.is_float() ? -0.0 : -1);
  if (dtype.is_float() && c.find("default_float")) {
    REPOSE_TRY(number, c.number("default_float", 0));
    absent = c.scalar(dtype, number);
  } else if (!dtype.is_float() && c.find("default_int64")) {
    REPOSE_TRY(number, c.integer("default_int64", 0));
    absent = graph::make_constant(make_scalar_array(Scalar::of_int(number, dtype)));
  } else if (const Attribute* a = c.find("default_tensor"); a && a->tensor()) {
    REPOSE_TRY(given, make_constant_of(c.model(), *a->tensor()));
    REPOSE_TRY(cast, c.cast(given, dtype));
    REPOSE_TRY(scalar, c.reshape(cast, {}));
    absent = scalar;
  }
  Composite m(c);
  const Dims d = m.shape(keys, 1, 0), v = m.shape(values, 1, 0);
  m.require(eq(d[0], v[0]), "{0} keys and {1} values", {d[0], v[0]});
  if (is_const_int(d[0], 0)) return m.result(m.broadcast(absent, m.shape(x)));
  const Operand column = m.unsqueeze(x, {-1}), key = m.cast(keys, c.dtype(x));
  Operand hits = m.equal(column, key);
  if (c.dtype(x).is_float()) {
    hits = m.either(hits, m.both(m.unary("isnan", column), m.unary("isnan", key)));
  }
  const Operand place = m.where(hits, m.arange(d[0], dtypes::int64), -1.0);
  const Operand last = m.max(place, {-1}, false);
  const Operand found = m.gather_inside(values, m.maximum(last, 0.0), 0);
  return m.result(m.where(m.less(last, 0.0), absent, found));
}

// ---- Scores
// --------------------------------------------------------------------------------------

// The inverse of the error function after Winitzki, as ONNX Runtime computes PROBIT.
Operand probit(Composite& m, const Operand& x) {
  const Operand y = m.subtract(m.multiply(x, 2.0), 1.0);
  const Operand log = m.unary("log", m.multiply(m.subtract(1.0, y), m.add(y, 1.0)));
  constexpr double pi = 3.14159265358979323846, a = 0.147;
  const Operand v = m.add(m.multiply(log, 0.5), 2 / (pi * a));
  const Operand v2 = m.divide(log, a);
  const Operand root =
      m.unary("sqrt", m.subtract(m.unary("sqrt", m.subtract(m.multiply(v, v), v2)), v));
  return m.multiply(m.multiply(m.unary("sign", y), root), std::sqrt(2.0));
}

Result<Operand> post_transformed(NodeContext& c, const Operand& scores, const std::string& name) {
  Composite m(c);
  if (name == "NONE" || name.empty()) return scores;
  if (name == "LOGISTIC") return m.result(m.unary("sigmoid", scores));
  if (name == "SOFTMAX") return m.result(m.call("nn.softmax", {scores}, {{"axis", -1}}));
  if (name == "PROBIT") return m.result(probit(m, scores));
  if (name == "SOFTMAX_ZERO") {  // scores of 0 stay 0
    const Operand zero = m.equal(scores, 0.0);
    const double lowest = -std::numeric_limits<double>::infinity();
    const Operand weights = m.call("nn.softmax", {m.where(zero, lowest, scores)}, {{"axis", -1}});
    return m.result(m.where(zero, 0.0, weights));
  }
  return c.fail(DiagnosticKind::bad_attribute, "attribute `post_transform` is \"{}\"",
                printable(name));
}

Result<std::string> post_transform_of(NodeContext& c) {
  return c.string("post_transform", "NONE");
}

// Labels of classes, int64, of the best scores.
Operand labels_of(Composite& m, const Operand& scores, const std::vector<int64_t>& classes) {
  const Operand best = m.call("argmax", {scores}, {{"axis", 1}});
  return m.gather_inside(constant_of(classes, dtypes::int64), best, 0);
}

// ---- Linear models
// -------------------------------------------------------------------------------

// x * coefficients' + intercepts, a row of coefficients for each result.
Result<Operand> linear_scores(NodeContext& c, int64_t results) {
  REPOSE_TRY(x, rows_input(c));
  REPOSE_TRY(coefficients, required_numbers(c, "coefficients"));
  REPOSE_TRY(intercepts, c.numbers("intercepts"));
  const int64_t count = static_cast<int64_t>(coefficients.size());
  if (results < 1 || count % results != 0) {
    return c.fail(DiagnosticKind::bad_attribute, "{} coefficients for {} results", count, results);
  }
  Composite m(c);
  const Operand weight = m.reshape(constant_of(coefficients, dtypes::float32),
                                   {make_int(results), make_int(count / results)});
  Operand y = m.matmul(x, m.permute(weight, {1, 0}));
  if (intercepts && !intercepts->empty()) y = m.add(y, constant_of(*intercepts, dtypes::float32));
  return m.result(y);
}

Result<Operand> linear_regressor(NodeContext& c) {
  REPOSE_TRY(targets, c.integer("targets", 1));
  REPOSE_TRY(transform, post_transform_of(c));
  REPOSE_TRY(scores, linear_scores(c, targets));
  return post_transformed(c, scores, transform);
}

// Scores as they are given of two classes: those of one as (-s, s), or (1 - s, s) of probabilities.
Result<Values> linear_classifier(NodeContext& c) {
  REFUSE_STRINGS("classlabels_strings");
  REPOSE_TRY(classes, required_integers(c, "classlabels_ints"));
  REPOSE_TRY(transform, post_transform_of(c));
  REPOSE_TRY(intercepts, c.numbers("intercepts"));
  const int64_t count = static_cast<int64_t>(classes.size());
  const bool is_binary = count == 2 && intercepts && intercepts->size() == 1;
  REPOSE_TRY(scores, linear_scores(c, is_binary ? 1 : count));
  Composite m(c);
  if (!is_binary) {
    REPOSE_TRY(y, post_transformed(c, scores, transform));
    return m.results({labels_of(m, scores, classes), y});
  }
  const Operand place = m.cast(m.greater(m.squeeze(scores, {1}), 0.0), dtypes::int64);
  const Operand labels = m.gather_inside(constant_of(classes, dtypes::int64), place, 0);
  if (transform == "LOGISTIC") {
    const Operand p = m.unary("sigmoid", scores);
    return m.results({labels, m.concat({m.subtract(1.0, p), p}, 1)});
  }
  const Operand both = m.concat({m.unary("negative", scores), scores}, 1);
  REPOSE_TRY(y, post_transformed(c, both, transform));
  return m.results({labels, y});
}

// ---- Support vectors
// -----------------------------------------------------------------------------

// The kernel's values of rows and support vectors: (rows, vectors).
Result<Operand> kernel_values(NodeContext& c, Composite& m, const Operand& x,
                              const Operand& vectors) {
  REPOSE_TRY(kernel, c.string("kernel_type", "LINEAR"));
  REPOSE_TRY(params, c.numbers("kernel_params"));
  auto param = [&](size_t i) {
    return params && i < params->size() ? static_cast<double>((*params)[i]) : 0.0;
  };
  const double gamma = param(0), offset = param(1), degree = param(2);
  if (kernel == "RBF") {
    const Operand apart = m.subtract(m.unsqueeze(x, {1}), m.unsqueeze(vectors, {0}));
    const Operand squares = m.sum(m.unary("square", apart), {2}, false);
    return m.result(m.unary("exp", m.multiply(squares, -gamma)));
  }
  const Operand product = m.matmul(x, m.permute(vectors, {1, 0}));
  if (kernel == "LINEAR") return m.result(product);
  const Operand moved = m.add(m.multiply(product, gamma), offset);
  if (kernel == "POLY") return m.result(m.power(moved, degree));
  if (kernel == "SIGMOID") return m.result(m.unary("tanh", moved));
  return c.fail(DiagnosticKind::bad_attribute, "attribute `kernel_type` is \"{}\"",
                printable(kernel));
}

Result<Operand> support_vectors(NodeContext& c, int64_t count) {
  REPOSE_TRY(values, required_numbers(c, "support_vectors"));
  const int64_t total = static_cast<int64_t>(values.size());
  if (count < 1 || total % count != 0) {
    return c.fail(DiagnosticKind::bad_attribute, "{} numbers of {} support vectors", total, count);
  }
  return c.reshape(constant_of(values, dtypes::float32),
                   {make_int(count), make_int(total / count)});
}

Result<Operand> svm_regressor(NodeContext& c) {
  REPOSE_TRY(x, rows_input(c));
  REPOSE_TRY(count, c.integer("n_supports", 0));
  REPOSE_TRY(one_class, c.flag("one_class", false));
  REPOSE_TRY(coefficients, required_numbers(c, "coefficients"));
  REPOSE_TRY(rho, required_numbers(c, "rho"));
  REPOSE_TRY(transform, post_transform_of(c));
  const int64_t terms = static_cast<int64_t>(coefficients.size());
  if (rho.empty()) return c.fail(DiagnosticKind::bad_attribute, "attribute `rho` is empty");
  Composite m(c);
  const Operand column =
      m.reshape(constant_of(coefficients, dtypes::float32), {make_int(terms), make_int(1)});
  Operand y;
  if (count > 0) {
    REPOSE_TRY(vectors, support_vectors(c, count));
    REPOSE_TRY(values, kernel_values(c, m, x, vectors));
    y = m.matmul(values, column);
  } else {  // a linear model
    y = m.matmul(x, column);
  }
  y = m.add(y, static_cast<double>(rho[0]));
  if (one_class) y = m.where(m.greater(y, 0.0), m.scalar(dtypes::float32, 1), -1.0);
  if (!m.ok()) return m.result(y);
  return post_transformed(c, y, transform);
}

// One vote of each pair of classes for one of the two; the class with the most votes wins.
Result<Values> svm_classifier(NodeContext& c) {
  REFUSE_STRINGS("classlabels_strings");
  REPOSE_TRY(x, rows_input(c));
  REPOSE_TRY(classes, required_integers(c, "classlabels_ints"));
  REPOSE_TRY(per_class, c.integers("vectors_per_class"));
  REPOSE_TRY(coefficients, required_numbers(c, "coefficients"));
  REPOSE_TRY(rho, required_numbers(c, "rho"));
  REPOSE_TRY(transform, post_transform_of(c));
  const int64_t count = static_cast<int64_t>(classes.size());
  REPOSE_TRY(platt, c.numbers("prob_a"));
  if (platt && !platt->empty()) {
    return c.fail(DiagnosticKind::unsupported_feature,
                  "attribute `prob_a`: probabilities after Platt are not supported");
  }
  Composite m(c);
  if (!per_class || per_class->empty()) {  // a linear model
    const int64_t total = static_cast<int64_t>(coefficients.size());
    if (count < 1 || total % count != 0 || rho.empty()) {
      return c.fail(DiagnosticKind::bad_attribute, "{} coefficients for {} classes", total, count);
    }
    const Operand weight = m.reshape(constant_of(coefficients, dtypes::float32),
                                     {make_int(count), make_int(total / count)});
    const Operand scores =
        m.add(m.matmul(x, m.permute(weight, {1, 0})), static_cast<double>(rho[0]));
    if (!m.ok()) return m.results({});
    REPOSE_TRY(y, post_transformed(c, scores, transform));
    return m.results({labels_of(m, scores, classes), y});
  }
  std::vector<int64_t> first{0};
  for (int64_t n : *per_class) first.push_back(first.back() + n);
  const int64_t vectors = first.back();
  const int64_t pairs = count * (count - 1) / 2;
  if (static_cast<int64_t>(per_class->size()) != count || count < 2 || count > 256 ||
      static_cast<int64_t>(coefficients.size()) != vectors * (count - 1) ||
      static_cast<int64_t>(rho.size()) < pairs) {
    return c.fail(DiagnosticKind::bad_attribute,
                  "{} classes with {} support vectors, {} coefficients and {} thresholds", count,
                  vectors, coefficients.size(), rho.size());
  }
  // The weight of each vector in the decision of each pair.
  auto weights = make_array({vectors, pairs}, dtypes::float32);
  std::vector<float> thresholds;
  std::vector<int64_t> winners, losers;
  for (int64_t i = 0, p = 0; i < count; ++i) {
    for (int64_t j = i + 1; j < count; ++j, ++p) {
      auto put = [&](int64_t of, int64_t row) {
        for (int64_t v = first[static_cast<size_t>(of)]; v < first[static_cast<size_t>(of) + 1];
             ++v) {
          const float w = coefficients[static_cast<size_t>(row * vectors + v)];
          weights->store(v * pairs + p, Scalar::of_float(static_cast<double>(w), dtypes::float32));
        }
      };
      put(i, j - 1);
      put(j, i);
      thresholds.push_back(rho[static_cast<size_t>(p)]);
      winners.push_back(i);
      losers.push_back(j);
    }
  }
  REPOSE_TRY(points, support_vectors(c, vectors));
  REPOSE_TRY(values, kernel_values(c, m, x, points));
  const Operand decisions = m.add(m.matmul(values, graph::make_constant(Array(weights))),
                                  constant_of(thresholds, dtypes::float32));
  const Operand chosen = m.where(m.greater(decisions, 0.0), constant_of(winners, dtypes::int64),
                                 constant_of(losers, dtypes::int64));
  const Operand votes =
      m.sum(m.cast(m.equal(m.unsqueeze(chosen, {2}), m.arange(make_int(count), dtypes::int64)),
                   dtypes::float32),
            {1}, false);
  const Operand labels = labels_of(m, votes, classes);
  if (!m.ok()) return m.results({});
  REPOSE_TRY(y, post_transformed(c, decisions, transform));
  if (count == 2) {  // the decision for each of the two
    return m.results({labels, m.concat({y, m.unary("negative", y)}, 1)});
  }
  return m.results({labels, y});
}

// ---- Trees
// ---------------------------------------------------------------------------------------

// What the operator `tree_ensemble` reads; modes as it numbers them.
struct Forest {
  std::vector<int64_t> roots, features, modes, missing, yes, no, targets;
  std::vector<double> thresholds, weights;
};
constexpr int64_t leaf_mode = 6;

// The operator's result for rows of floats: (rows, targets).
Result<Operand> forest_scores(NodeContext& c, const Operand& x, const Forest& f, int64_t targets,
                              const std::string& aggregate) {
  const DType whole = dtypes::int64, t = c.dtype(x);
  return c.call(
      "tree_ensemble",
      {x, constant_of(f.roots, whole), constant_of(f.features, whole), constant_of(f.thresholds, t),
       constant_of(f.modes, whole), constant_of(f.missing, whole), constant_of(f.yes, whole),
       constant_of(f.no, whole), constant_of(f.targets, whole), constant_of(f.weights, t)},
      {{"num_targets", targets}, {"aggregate", aggregate}});
}

// An error where a tree doesn't end: each node is reached from one other node at most.
Result<void> check_forest(NodeContext& c, const Forest& f) {
  const int64_t count = static_cast<int64_t>(f.features.size());
  std::vector<bool> reached(f.features.size());
  std::vector<int64_t> open = f.roots;
  while (!open.empty()) {
    const int64_t node = open.back();
    open.pop_back();
    if (node < 0 || node >= count) {
      return c.fail(DiagnosticKind::bad_attribute, "a tree refers to node {}, which is not there",
                    node);
    }
    if (reached[static_cast<size_t>(node)]) {
      return c.fail(DiagnosticKind::bad_attribute, "node {} is reached twice", node);
    }
    const size_t at = static_cast<size_t>(node);
    reached[at] = true;
    if (f.modes[at] == leaf_mode) continue;
    open.push_back(f.yes[at]);
    open.push_back(f.no[at]);
  }
  return {};
}

Result<int64_t> mode_number(NodeContext& c, std::string_view name) {
  constexpr std::string_view names[] = {"BRANCH_LEQ", "BRANCH_LT",  "BRANCH_GTE", "BRANCH_GT",
                                        "BRANCH_EQ",  "BRANCH_NEQ", "LEAF"};
  for (size_t i = 0; i < std::size(names); ++i) {
    if (names[i] == name) return static_cast<int64_t>(i);
  }
  return c.fail(DiagnosticKind::bad_attribute, "a node has the mode \"{}\"", printable(name));
}

// The older form: nodes named by tree and number, leaves' weights likewise (`prefix`_treeids, …).
Result<Forest> read_forest(NodeContext& c, const std::string& prefix) {
  for (const char* name : {"nodes_values_as_tensor", "base_values_as_tensor"}) {
    if (c.find(name)) {
      return c.fail(DiagnosticKind::unsupported_feature, "attribute `{}` is not supported", name);
    }
  }
  REPOSE_TRY(trees, required_integers(c, "nodes_treeids"));
  REPOSE_TRY(ids, required_integers(c, "nodes_nodeids"));
  REPOSE_TRY(features, required_integers(c, "nodes_featureids"));
  REPOSE_TRY(values, required_numbers(c, "nodes_values"));
  REPOSE_TRY(yes, required_integers(c, "nodes_truenodeids"));
  REPOSE_TRY(no, required_integers(c, "nodes_falsenodeids"));
  REPOSE_TRY(missing, c.integers("nodes_missing_value_tracks_true"));
  REPOSE_TRY(weight_trees, required_integers(c, (prefix + "_treeids").c_str()));
  REPOSE_TRY(weight_nodes, required_integers(c, (prefix + "_nodeids").c_str()));
  REPOSE_TRY(weight_ids, required_integers(c, (prefix + "_ids").c_str()));
  REPOSE_TRY(weights, required_numbers(c, (prefix + "_weights").c_str()));
  const Attribute* a = c.find("nodes_modes");
  const auto* modes = a ? a->get<std::vector<std::string_view>>() : nullptr;
  const size_t count = trees.size(), entries = weights.size();
  if (!modes || modes->size() != count || ids.size() != count || features.size() != count ||
      values.size() != count || yes.size() != count || no.size() != count ||
      (missing && !missing->empty() && missing->size() != count) ||
      weight_trees.size() != entries || weight_nodes.size() != entries ||
      weight_ids.size() != entries) {
    return c.fail(DiagnosticKind::bad_attribute, "the lists of nodes differ in length");
  }
  struct Hash {
    size_t operator()(const std::pair<int64_t, int64_t>& p) const {
      return std::hash<int64_t>()(p.first * 1000003 + p.second);
    }
  };
  std::unordered_map<std::pair<int64_t, int64_t>, int64_t, Hash> places;
  for (size_t i = 0; i < count; ++i) {
    if (!places.emplace(std::pair(trees[i], ids[i]), static_cast<int64_t>(i)).second) {
      return c.fail(DiagnosticKind::bad_attribute, "node {} of tree {} is there twice", ids[i],
                    trees[i]);
    }
  }
  auto place_of = [&](int64_t tree, int64_t id) {
    auto it = places.find({tree, id});
    return it == places.end() ? int64_t{-1} : it->second;
  };
  // The leaves' entries, those of one leaf side by side.
  std::vector<std::vector<size_t>> given(count);
  for (size_t k = 0; k < entries; ++k) {
    const int64_t at = place_of(weight_trees[k], weight_nodes[k]);
    if (at < 0) {
      return c.fail(DiagnosticKind::bad_attribute, "node {} of tree {} is not there",
                    weight_nodes[k], weight_trees[k]);
    }
    given[static_cast<size_t>(at)].push_back(k);
  }
  Forest f;
  std::vector<bool> is_child(count);
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(mode, mode_number(c, (*modes)[i]));
    const bool is_leaf = mode == leaf_mode;
    f.features.push_back(is_leaf ? 0 : features[i]);
    f.thresholds.push_back(values[i]);
    f.modes.push_back(mode);
    f.missing.push_back(missing && !missing->empty() ? (*missing)[i] : 0);
    f.yes.push_back(is_leaf ? static_cast<int64_t>(f.targets.size()) : place_of(trees[i], yes[i]));
    if (is_leaf) {
      for (size_t k : given[i]) {
        f.targets.push_back(weight_ids[k]);
        f.weights.push_back(weights[k]);
      }
    }
    f.no.push_back(is_leaf ? static_cast<int64_t>(f.targets.size()) : place_of(trees[i], no[i]));
    if (is_leaf) continue;
    for (int64_t child : {f.yes.back(), f.no.back()}) {
      if (child >= 0) is_child[static_cast<size_t>(child)] = true;
    }
  }
  for (size_t i = 0; i < count; ++i) {
    if (!is_child[i]) f.roots.push_back(static_cast<int64_t>(i));
  }
  if (auto checked = check_forest(c, f); !checked.ok()) return checked.errors();
  return f;
}

Result<Operand> with_base_values(NodeContext& c, const Operand& scores) {
  REPOSE_TRY(base, c.numbers("base_values"));
  if (!base || base->empty()) return scores;
  return c.call("add", {scores, constant_of(*base, dtypes::float32)});
}

Result<Operand> tree_regressor(NodeContext& c) {
  REPOSE_TRY(x, rows_input(c));
  REPOSE_TRY(targets, c.integer("n_targets", 1));
  REPOSE_TRY(aggregate, c.string("aggregate_function", "SUM"));
  REPOSE_TRY(transform, post_transform_of(c));
  REPOSE_TRY(forest, read_forest(c, "target"));
  const std::string name = aggregate == "SUM"       ? "sum"
                           : aggregate == "AVERAGE" ? "mean"
                           : aggregate == "MIN"     ? "min"
                           : aggregate == "MAX"     ? "max"
                                                    : "";
  if (name.empty() || targets < 1) {
    return c.fail(DiagnosticKind::bad_attribute, "the aggregate \"{}\" of {} targets",
                  printable(aggregate), targets);
  }
  REPOSE_TRY(scores, forest_scores(c, x, forest, targets, name));
  REPOSE_TRY(moved, with_base_values(c, scores));
  return post_transformed(c, moved, transform);
}

// Weights of two classes that all stand for one are the score of the second.
Result<Values> tree_classifier(NodeContext& c) {
  REFUSE_STRINGS("classlabels_strings");
  REPOSE_TRY(x, rows_input(c));
  REPOSE_TRY(classes, required_integers(c, "classlabels_int64s"));
  REPOSE_TRY(transform, post_transform_of(c));
  REPOSE_TRY(forest, read_forest(c, "class"));
  const int64_t count = static_cast<int64_t>(classes.size());
  if (count < 1) return c.fail(DiagnosticKind::bad_attribute, "there are no classes");
  const bool is_binary = count == 2 && !forest.targets.empty() &&
                         std::all_of(forest.targets.begin(), forest.targets.end(),
                                     [&](int64_t t) { return t == forest.targets[0]; });
  Composite m(c);
  if (!is_binary) {
    REPOSE_TRY(sums, forest_scores(c, x, forest, count, "sum"));
    REPOSE_TRY(scores, with_base_values(c, sums));
    REPOSE_TRY(y, post_transformed(c, scores, transform));
    return m.results({labels_of(m, scores, classes), y});
  }
  REPOSE_TRY(base, c.numbers("base_values"));
  const bool are_probabilities =
      std::all_of(forest.weights.begin(), forest.weights.end(), [](double w) { return w >= 0; });
  std::fill(forest.targets.begin(), forest.targets.end(), 0);
  REPOSE_TRY(sums, forest_scores(c, x, forest, 1, "sum"));
  Operand score = sums;
  if (base && !base->empty()) score = m.add(score, static_cast<double>(base->back()));
  const double limit = are_probabilities ? 0.5 : 0;
  const Operand place = m.cast(m.greater(m.squeeze(score, {1}), limit), dtypes::int64);
  const Operand labels = m.gather_inside(constant_of(classes, dtypes::int64), place, 0);
  const Operand other = are_probabilities ? m.subtract(1.0, score) : m.unary("negative", score);
  // As ONNX Runtime does, which knows no other transformation of one score.
  const bool is_logistic = transform == "LOGISTIC" && !are_probabilities;
  const Operand both = m.concat({other, score}, 1);
  return m.results({labels, is_logistic ? m.unary("sigmoid", both) : both});
}

// A list of numbers in an attribute that is a tensor.
Result<std::vector<double>> tensor_numbers(NodeContext& c, const char* name) {
  const Attribute* a = c.find(name);
  const Tensor* t = a ? a->tensor() : nullptr;
  if (!t) return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
  REPOSE_TRY(constant, make_constant_of(c.model(), *t));
  const Array& array = graph::as<graph::ConstantNode>(constant)->data;
  std::vector<double> values;
  for (int64_t i = 0; i < array->num_elements(); ++i) {
    const Scalar s = array->load(i);
    values.push_back(s.dtype.is_float() ? s.f : static_cast<double>(s.i));
  }
  return values;
}

// The newer form: inner nodes and leaves in lists of their own. A node that asks whether an element
// is in a set becomes a chain of nodes that compare it with each member.
Result<Forest> read_new_forest(NodeContext& c) {
  constexpr int64_t member_mode = 6;
  REPOSE_TRY(roots, required_integers(c, "tree_roots"));
  REPOSE_TRY(features, required_integers(c, "nodes_featureids"));
  REPOSE_TRY(yes, required_integers(c, "nodes_trueleafs"));
  REPOSE_TRY(no, required_integers(c, "nodes_falseleafs"));
  REPOSE_TRY(yes_ids, required_integers(c, "nodes_truenodeids"));
  REPOSE_TRY(no_ids, required_integers(c, "nodes_falsenodeids"));
  REPOSE_TRY(missing, c.integers("nodes_missing_value_tracks_true"));
  REPOSE_TRY(targets, required_integers(c, "leaf_targetids"));
  REPOSE_TRY(modes, tensor_numbers(c, "nodes_modes"));
  REPOSE_TRY(splits, tensor_numbers(c, "nodes_splits"));
  REPOSE_TRY(weights, tensor_numbers(c, "leaf_weights"));
  std::vector<double> members;
  if (c.find("membership_values")) {
    REPOSE_TRY(given, tensor_numbers(c, "membership_values"));
    members = given;
  }
  const size_t count = features.size();
  if (modes.size() != count || splits.size() != count || yes.size() != count ||
      no.size() != count || yes_ids.size() != count || no_ids.size() != count ||
      weights.size() != targets.size() ||
      (missing && !missing->empty() && missing->size() != count)) {
    return c.fail(DiagnosticKind::bad_attribute, "the lists of nodes differ in length");
  }
  Forest f;
  auto add = [&](int64_t feature, double threshold, int64_t mode, int64_t tracks, int64_t a,
                 int64_t b) {
    f.features.push_back(feature);
    f.thresholds.push_back(threshold);
    f.modes.push_back(mode);
    f.missing.push_back(tracks);
    f.yes.push_back(a);
    f.no.push_back(b);
    return static_cast<int64_t>(f.features.size()) - 1;
  };
  for (size_t i = 0; i < count; ++i) {
    const int64_t tracks = missing && !missing->empty() ? (*missing)[i] : 0;
    add(features[i], splits[i], static_cast<int64_t>(modes[i]), tracks, yes_ids[i], no_ids[i]);
  }
  // Leaves follow the nodes; each reference gets a leaf of its own.
  auto leaf = [&](int64_t k) -> int64_t {
    if (k < 0 || k >= static_cast<int64_t>(targets.size())) return -1;
    const int64_t begin = static_cast<int64_t>(f.targets.size());
    f.targets.push_back(targets[static_cast<size_t>(k)]);
    f.weights.push_back(weights[static_cast<size_t>(k)]);
    return add(0, 0, leaf_mode, 0, begin, begin + 1);
  };
  size_t next = 0;  // of the members
  for (size_t i = 0; i < count; ++i) {
    const bool is_member = static_cast<int64_t>(modes[i]) == member_mode;
    if (no[i] != 0) f.no[i] = leaf(no_ids[i]);
    if (!is_member) {
      if (modes[i] < 0 || modes[i] > 5) {
        return c.fail(DiagnosticKind::bad_attribute, "a node has the mode {}", modes[i]);
      }
      if (yes[i] != 0) f.yes[i] = leaf(yes_ids[i]);
      continue;
    }
    if (yes[i] == 0) {
      return c.fail(DiagnosticKind::unsupported_feature,
                    "a node of the mode MEMBER leads to another node, not to a leaf");
    }
    size_t at = i;
    const int64_t otherwise = f.no[i];
    bool is_first = true;
    for (; next < members.size() && !std::isnan(members[next]); ++next) {
      if (!is_first) {
        const int64_t more = add(features[i], 0, 4, f.missing[i], -1, otherwise);
        f.no[at] = more;
        at = static_cast<size_t>(more);
      }
      is_first = false;
      f.modes[at] = 4;  // ==
      f.thresholds[at] = members[next];
      const int64_t hit = leaf(yes_ids[i]);
      f.yes[at] = hit;
    }
    ++next;  // the NaN that ends the set
    if (is_first) {
      return c.fail(DiagnosticKind::bad_attribute, "a node of the mode MEMBER has no members");
    }
  }
  f.roots = roots;
  if (auto checked = check_forest(c, f); !checked.ok()) return checked.errors();
  return f;
}

Result<Operand> tree_ensemble(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(targets, c.integer("n_targets", 1));
  REPOSE_TRY(aggregate, c.integer("aggregate_function", 1));
  REPOSE_TRY(transform, c.integer("post_transform", 0));
  // In the type of the operand, where the attributes may have it too.
  REPOSE_TRY(x, c.dtype(given) == dtypes::float64 ? rows_of(c, given) : rows_input(c));
  REPOSE_TRY(forest, read_new_forest(c));
  constexpr const char* aggregates[] = {"mean", "sum", "min", "max"};
  constexpr const char* transforms[] = {"NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"};
  if (aggregate < 0 || aggregate > 3 || transform < 0 || transform > 4 || targets < 1) {
    return c.fail(DiagnosticKind::bad_attribute, "aggregate {}, transformation {} of {} targets",
                  aggregate, transform, targets);
  }
  REPOSE_TRY(scores, forest_scores(c, x, forest, targets, aggregates[aggregate]));
  return post_transformed(c, scores, transforms[transform]);
}

// The probabilities as a tensor, in the order of the classes.
Result<Operand> zip_map(NodeContext& c) {
  return c.input(0);
}

}  // namespace

std::span<const OperatorRow> ml_operators() {
  static constexpr OperatorRow rows[] = {
      {"ArrayFeatureExtractor", 1, one<array_feature_extractor>},
      {"Binarizer", 1, one<binarizer>},
      {"FeatureVectorizer", 1, one<feature_vectorizer>},
      {"Imputer", 1, one<imputer>},
      {"LabelEncoder", 2, one<label_encoder>},
      {"LinearClassifier", 1, linear_classifier},
      {"LinearRegressor", 1, one<linear_regressor>},
      {"Normalizer", 1, one<normalizer>},
      {"OneHotEncoder", 1, one<one_hot_encoder>},
      {"SVMClassifier", 1, svm_classifier},
      {"SVMRegressor", 1, one<svm_regressor>},
      {"Scaler", 1, one<scaler>},
      {"TreeEnsemble", 5, one<tree_ensemble>},
      {"TreeEnsembleClassifier", 1, tree_classifier},
      {"TreeEnsembleRegressor", 1, one<tree_regressor>},
      {"ZipMap", 1, one<zip_map>},
  };
  return rows;
}

}  // namespace repose::onnx

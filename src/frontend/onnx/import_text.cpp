// Texts as numbers of words.
#include <algorithm>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// Runs of words that are counted: those of one length, each with the column of its count and its
// weight.
struct Grams {
  int64_t length = 1;
  std::vector<int64_t> words;  // run after run
  std::vector<int64_t> columns;
  std::vector<float> weights;
};

struct Vocabulary {
  std::vector<Grams> grams;
  int64_t num_columns = 0;
};

Result<std::vector<int64_t>> required_list(NodeContext& c, const char* name) {
  REPOSE_TRY(values, c.integers(name));
  if (values && !values->empty()) return *values;
  return c.fail(DiagnosticKind::bad_attribute, "attribute `{}` is missing", name);
}

Result<Vocabulary> read_vocabulary(NodeContext& c) {
  if (const Attribute* strings = c.find("pool_strings")) {
    const auto* list = strings->get<std::vector<std::string_view>>();
    if (!list || !list->empty()) {
      return c.fail(DiagnosticKind::unsupported_feature,
                    "attribute `pool_strings` has strings, which are not supported");
    }
  }
  REPOSE_TRY(shortest, c.integer("min_gram_length"));
  REPOSE_TRY(longest, c.integer("max_gram_length"));
  REPOSE_TRY(pool, required_list(c, "pool_int64s"));
  REPOSE_TRY(starts, required_list(c, "ngram_counts"));
  REPOSE_TRY(columns, required_list(c, "ngram_indexes"));
  REPOSE_TRY(weights, c.numbers("weights"));
  if (weights && !weights->empty() && weights->size() != columns.size()) {
    return c.fail(DiagnosticKind::bad_attribute, "{} weights for {} runs", weights->size(),
                  columns.size());
  }
  if (shortest < 1 || longest < shortest) {
    return c.fail(DiagnosticKind::bad_attribute, "runs of {} to {} words are counted", shortest,
                  longest);
  }
  const auto end = static_cast<int64_t>(pool.size());
  Vocabulary v;
  size_t next_column = 0;
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t stop = i + 1 < starts.size() ? starts[i + 1] : end;
    Grams grams;
    grams.length = static_cast<int64_t>(i) + 1;
    if (starts[i] < 0 || stop < starts[i] || stop > end || (stop - starts[i]) % grams.length != 0) {
      return c.fail(DiagnosticKind::bad_attribute,
                    "`ngram_counts`: runs of {} words from {} to {} of a pool of {}", grams.length,
                    starts[i], stop, end);
    }
    grams.words.assign(pool.begin() + starts[i], pool.begin() + stop);
    for (int64_t k = 0; k < (stop - starts[i]) / grams.length; ++k, ++next_column) {
      if (next_column >= columns.size() || columns[next_column] < 0) {
        return c.fail(DiagnosticKind::bad_attribute, "`ngram_indexes` has no place for run {}",
                      next_column);
      }
      grams.columns.push_back(columns[next_column]);
      grams.weights.push_back(weights && !weights->empty() ? (*weights)[next_column] : 1);
    }
    const bool counts = grams.length >= shortest && grams.length <= longest;
    if (counts && !grams.columns.empty()) v.grams.push_back(std::move(grams));
  }
  v.num_columns = *std::max_element(columns.begin(), columns.end()) + 1;
  return v;
}

Operand list_constant(const std::vector<int64_t>& values) {
  Ref<ArrayNode> array = make_array({static_cast<int64_t>(values.size())}, dtypes::int64);
  for (size_t i = 0; i < values.size(); ++i) {
    array->store(static_cast<int64_t>(i), Scalar::of_int(values[i], dtypes::int64));
  }
  return graph::make_constant(Array(array));
}

Operand weights_of(const Grams& grams) {
  Ref<ArrayNode> array = make_array({static_cast<int64_t>(grams.weights.size())}, dtypes::float32);
  for (size_t i = 0; i < grams.weights.size(); ++i) {
    array->store(static_cast<int64_t>(i), Scalar::of_float(grams.weights[i], dtypes::float32));
  }
  return graph::make_constant(Array(array));
}

// How often each of the runs stands in a row of x (rows, words), with `step` from word to word:
// (rows, runs).
Operand count_runs(NodeContext& c, Composite& m, const Operand& x, const Grams& grams,
                   int64_t step) {
  const Dims d = m.shape(x, 2, 0);
  const auto num_runs = static_cast<int64_t>(grams.columns.size());
  const Expr places = simplify(max(d[1] - (grams.length - 1) * step, make_int(0)), c.facts());
  Operand all;
  for (int64_t k = 0; k < grams.length; ++k) {
    std::vector<int64_t> keys;
    for (int64_t run = 0; run < num_runs; ++run) {
      keys.push_back(grams.words[static_cast<size_t>(run * grams.length + k)]);
    }
    const Operand at = m.add(m.arange(places, dtypes::int64), static_cast<double>(k * step));
    const Operand words = m.unsqueeze(m.gather_inside(x, at, 1), {1});
    const Operand key = m.reshape(list_constant(keys), {make_int(num_runs), make_int(1)});
    const Operand same = m.equal(words, key);
    all = all ? m.both(all, same) : same;
  }
  return m.sum(m.cast(all, dtypes::float32), {2}, false);
}

Result<Operand> tf_idf_vectorizer(NodeContext& c) {
  REPOSE_TRY(given, c.input(0));
  REPOSE_TRY(rank, c.rank(given));
  REPOSE_TRY(mode, c.string("mode", ""));
  REPOSE_TRY(skips, c.integer("max_skip_count"));
  REPOSE_TRY(vocabulary, read_vocabulary(c));
  if (rank > 2 || (mode != "TF" && mode != "IDF" && mode != "TFIDF") || skips < 0) {
    return c.fail(DiagnosticKind::bad_argument, "rank {}, mode \"{}\", {} words are skipped", rank,
                  printable(mode), skips);
  }
  const int64_t columns = vocabulary.num_columns;
  Composite m(c);
  Operand x = m.cast(given, dtypes::int64);
  const Dims dims = m.shape(x);
  if (rank < 2) x = m.reshape(x, {make_int(1), rank == 0 ? make_int(1) : dims[0]});
  if (!m.ok()) return m.result(nullptr);
  const Expr rows = m.shape(x, 2, 0)[0];
  Operand y = m.zeros({rows, make_int(columns)}, dtypes::float32);
  for (const Grams& grams : vocabulary.grams) {
    Operand counts;
    for (int64_t step = 1; step <= (grams.length == 1 ? 1 : skips + 1); ++step) {
      const Operand found = count_runs(c, m, x, grams, step);
      counts = counts ? m.add(counts, found) : found;
    }
    if (mode == "IDF") counts = m.where(m.greater(counts, 0.0), weights_of(grams), 0.0);
    if (mode == "TFIDF") counts = m.multiply(counts, weights_of(grams));
    const Operand places = m.broadcast(
        list_constant(grams.columns), {rows, make_int(static_cast<int64_t>(grams.columns.size()))});
    y = m.call("scatter_elements", {y, places, counts}, {{"axis", 1}, {"reduction", "add"}});
  }
  return m.result(rank < 2 ? m.reshape(y, {make_int(columns)}) : y);
}

}  // namespace

std::span<const OperatorRow> text_operators() {
  static constexpr OperatorRow rows[] = {{"TfIdfVectorizer", 9, one<tf_idf_vectorizer>}};
  return rows;
}

}  // namespace repose::onnx

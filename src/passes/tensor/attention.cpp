// Attention: scores of rows become weights of a sum.
#include "passes/tensor/attention.h"

#include <algorithm>
#include <unordered_set>

#include "passes/tensor/classify.h"

namespace repose {

namespace {

bool contains(const std::vector<size_t>& axes, size_t axis) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

// A batch of products with `rows` among their rows, and with the axis behind it as their only
// columns.
std::optional<Contraction> match_product_of_rows(const Stage& s, size_t rows) {
  if (s.axes.size() != rows + 2 || !stores_identity(s)) return std::nullopt;
  auto matched = match_contraction(s);
  if (!matched || matched->batch_axes.empty() || !contains(matched->m_axes, rows) ||
      matched->n_axes != std::vector<size_t>{rows + 1}) {
    return std::nullopt;
  }
  return matched;
}

using Buffers = std::unordered_set<const BufferNode*>;

// Elementwise, or a reduction of a row.
bool handles_rows(const Stage& s, size_t rows) {
  if (!stores_identity(s) || s.axes.size() > rows + 2 || s.reduce_axes.size() > 1) return false;
  const bool own_axis = s.axes.size() == rows + 2 && !is_const_int(s.extents.back(), 1);
  if (s.is_reduction() && (own_axis || match_contraction(s))) return false;
  return true;
}

// Whether keys and values are one buffer each, and a task can take its queries on their own.
bool has_plain_factors(const Contraction& scores, const Contraction& sum) {
  const std::vector<Buffer> keys = loaded_buffers(scores.b), queries = loaded_buffers(scores.a);
  return keys.size() == 1 && loaded_buffers(sum.b).size() == 1 &&
         std::count(queries.begin(), queries.end(), keys[0]) == 0;
}

}  // namespace

bool loads_row(const Expr& e, const Stage& s, size_t shared, const Var& last) {
  const auto* load = as<LoadNode>(e);
  if (!load || load->args.size() != shared + 1 || load->args[shared] != last) return false;
  return std::equal(load->args.begin(), load->args.end() - 1, s.axes.begin());
}

std::optional<Attention> match_attention(const StagedProgram& p, const Facts& facts) {
  const std::vector<Stage>& stages = p.stages;
  if (stages.size() < 3 || stages[0].axes.size() < 2) return std::nullopt;
  Attention result{stages[0].axes.size() - 2, 0};
  const DType dtype = stages[0].target->dtype;
  const auto scores = match_product_of_rows(stages[0], result.rows);
  std::optional<Contraction> sum;
  if (!scores || !dtype.is_float()) return std::nullopt;
  Buffers made{stages[0].target.get()};
  bool reduces = false;
  for (size_t i = 1; i < stages.size(); ++i) {
    const Stage& s = stages[i];
    if (s.target->dtype != dtype || made.count(s.target.get())) return std::nullopt;
    if (reduces && !sum && (sum = match_product_of_rows(s, result.rows))) {
      result.sum = i;
    } else if (!handles_rows(s, result.rows) || (sum && s.is_reduction())) {
      return std::nullopt;
    }
    reduces = reduces || s.is_reduction();
    made.insert(s.target.get());
  }
  if (!sum || !has_plain_factors(*scores, *sum)) return std::nullopt;
  const Stage& last = stages[result.sum];
  const auto* weights = as<LoadNode>(sum->a);
  if (!weights || !made.count(weights->buffer.get()) || last.reduce_axes.size() != 1 ||
      !loads_row(sum->a, last, result.rows + 1, last.reduce_axes[0]) ||
      shared_prefix(p, facts) <= static_cast<int>(result.rows)) {
    return std::nullopt;
  }
  return result;
}

}  // namespace repose

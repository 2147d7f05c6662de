// Einsum: sums of products over named axes, as permutations, sums and matrix products. More than
// two operands are contracted pairwise, in an order that costs little.
#include <algorithm>
#include <array>
#include <cmath>

#include "frontend/common/composite.h"
#include "frontend/onnx/operator_table.h"

namespace repose::onnx {
namespace {

// A named axis: a letter, or, from `ellipsis` on, an axis that "..." stands for, counted from the
// right.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label ellipsis = 256;

bool contains(const Labels& list, Label l) {
  return std::find(list.begin(), list.end(), l) != list.end();
}

int64_t place_of(const Labels& list, Label l) {
  return std::find(list.begin(), list.end(), l) - list.begin();
}

// ---- The equation
// --------------------------------------------------------------------------------

struct Term {
  std::string letters;           // without the ellipsis
  std::optional<size_t> dots{};  // before that letter stands "..."
};

struct Equation {
  std::vector<Term> operands;
  std::optional<Term> result;  // none: implied
};

Result<Term> read_term(NodeContext& c, std::string_view text) {
  Term term;
  for (size_t i = 0; i < text.size(); ++i) {
    const char at = text[i];
    if (at == ' ') continue;
    if (text.substr(i, 3) == "..." && !term.dots) {
      term.dots = term.letters.size();
      i += 2;
    } else if ((at >= 'a' && at <= 'z') || (at >= 'A' && at <= 'Z')) {
      term.letters += at;
    } else {
      return c.fail(DiagnosticKind::bad_attribute,
                    "attribute `equation` has the term \"{}\", expected letters and \"...\"",
                    printable(text));
    }
  }
  return term;
}

Result<Equation> read_equation(NodeContext& c) {
  REPOSE_TRY(text, c.string("equation", ""));
  if (text.empty()) return c.fail(DiagnosticKind::bad_attribute, "attribute `equation` is missing");
  Equation equation;
  std::string_view terms = text;
  if (const size_t arrow = terms.find("->"); arrow != std::string_view::npos) {
    REPOSE_TRY(result, read_term(c, terms.substr(arrow + 2)));
    equation.result = result;
    terms = terms.substr(0, arrow);
  }
  while (true) {
    const size_t comma = terms.find(',');
    REPOSE_TRY(term, read_term(c, terms.substr(0, comma)));
    equation.operands.push_back(term);
    if (comma == std::string_view::npos) break;
    terms = terms.substr(comma + 1);
  }
  if (equation.operands.size() != c.num_inputs()) {
    return c.fail(DiagnosticKind::bad_attribute,
                  "attribute `equation` has {} terms for {} operands", equation.operands.size(),
                  c.num_inputs());
  }
  return equation;
}

// ---- Operands
// ------------------------------------------------------------------------------------

struct Part {
  Operand value;
  Labels labels;  // of its axes
};

// The labels of an operand of `rank` dimensions; the ellipsis stands for what no letter does.
Result<Labels> labels_of(NodeContext& c, const Term& term, int64_t rank, size_t i) {
  const int64_t hidden = rank - static_cast<int64_t>(term.letters.size());
  if (hidden < 0 || (hidden > 0 && !term.dots)) {
    return c.fail(DiagnosticKind::rank_mismatch,
                  "operand {} has rank {}, its term in the equation names {} axes", i, rank,
                  term.letters.size());
  }
  Labels labels(term.letters.begin(), term.letters.end());
  for (int64_t k = 0; term.dots && k < hidden; ++k) {
    labels.insert(labels.begin() + static_cast<int64_t>(*term.dots),
                  ellipsis + static_cast<Label>(k));
  }
  return labels;
}

// x with one axis instead of two of the same label: the diagonal. The two axes as rows of n + 1
// elements have it in their first column.
void take_diagonals(Composite& m, Part& p) {
  for (size_t second = 1; second < p.labels.size();) {
    const size_t first = static_cast<size_t>(place_of(p.labels, p.labels[second]));
    if (first == second) {
      ++second;
      continue;
    }
    const Dims dims = m.shape(p.value);
    if (!m.ok()) return;
    const Expr& n = dims[first];
    m.require(eq(n, dims[second]), "a diagonal of {0} rows and {1} columns", {n, dims[second]});
    std::vector<int64_t> order;
    Dims outer;
    Labels labels;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (d == first || d == second) continue;
      order.push_back(static_cast<int64_t>(d));
      outer.push_back(dims[d]);
      labels.push_back(p.labels[d]);
    }
    const int64_t at = static_cast<int64_t>(order.size());
    order.push_back(static_cast<int64_t>(first));
    order.push_back(static_cast<int64_t>(second));
    labels.push_back(p.labels[first]);
    auto with = [&](std::vector<Expr> last) {
      Dims d = outer;
      d.insert(d.end(), last.begin(), last.end());
      return d;
    };
    const Operand flat = m.reshape(m.permute(p.value, order), with({canonical(n * n)}));
    const Operand rows = m.reshape(m.pad(flat, at, make_int(0), n), with({n, canonical(n + 1)}));
    p.value = m.squeeze(m.slice(rows, at + 1, make_int(0), make_int(1)), {at + 1});
    p.labels = labels;
    second = 1;
  }
}

void sum_out(Composite& m, Part& p, const Labels& needed) {
  std::vector<int64_t> axes;
  Labels kept;
  for (size_t d = 0; d < p.labels.size(); ++d) {
    if (contains(needed, p.labels[d])) {
      kept.push_back(p.labels[d]);
    } else {
      axes.push_back(static_cast<int64_t>(d));
    }
  }
  if (axes.empty()) return;
  p.value = m.sum(p.value, axes, false);
  p.labels = kept;
}

void arrange(Composite& m, Part& p, const Labels& order) {
  std::vector<int64_t> axes;
  bool is_same = true;
  for (Label l : order) {
    axes.push_back(place_of(p.labels, l));
    is_same = is_same && axes.back() == static_cast<int64_t>(axes.size()) - 1;
  }
  if (!is_same) p.value = m.permute(p.value, axes);
  p.labels = order;
}

// ---- Pairs
// ---------------------------------------------------------------------------------------

Expr product(const Dims& dims, size_t begin, size_t end) {
  Expr result = make_int(1);
  for (size_t i = begin; i < end; ++i) result = result * dims[i];
  return canonical(result);
}

// Axes of extent 1 that broadcast against the other operand's go; where two extents may differ,
// they have to be equal.
void align_shared(NodeContext& c, Composite& m, Part& a, Part& b) {
  for (Label l : Labels(a.labels)) {
    if (!contains(b.labels, l) || !m.ok()) continue;
    const int64_t at_a = place_of(a.labels, l), at_b = place_of(b.labels, l);
    const Expr da = m.shape(a.value)[static_cast<size_t>(at_a)],
               db = m.shape(b.value)[static_cast<size_t>(at_b)];
    if (prove_equal(da, db, c.facts()) == Truth::yes) continue;
    if (is_const_int(da, 1)) {
      a.value = m.squeeze(a.value, {at_a});
      a.labels.erase(a.labels.begin() + at_a);
    } else if (is_const_int(db, 1)) {
      b.value = m.squeeze(b.value, {at_b});
      b.labels.erase(b.labels.begin() + at_b);
    } else {
      m.require(eq(da, db), "an axis has {0} elements in one operand and {1} in another", {da, db});
    }
  }
}

// The sum of a * b over what is not needed any more: a matrix product of (shared, own of a,
// summed) and (shared, summed, own of b).
Part contract(NodeContext& c, Composite& m, Part a, Part b, const Labels& needed) {
  align_shared(c, m, a, b);
  auto needed_with = [&](const Part& other) {
    Labels all = needed;
    all.insert(all.end(), other.labels.begin(), other.labels.end());
    return all;
  };
  sum_out(m, a, needed_with(b));
  sum_out(m, b, needed_with(a));
  Labels shared, summed, own_a, own_b;
  for (Label l : a.labels) {
    (!contains(b.labels, l) ? own_a : contains(needed, l) ? shared : summed).push_back(l);
  }
  for (Label l : b.labels) {
    if (!contains(a.labels, l)) own_b.push_back(l);
  }
  auto joined = [](std::initializer_list<Labels> lists) {
    Labels all;
    for (const Labels& list : lists) all.insert(all.end(), list.begin(), list.end());
    return all;
  };
  Part y{nullptr, joined({shared, own_a, own_b})};
  arrange(m, a, joined({shared, own_a, summed}));
  arrange(m, b, joined({shared, summed, own_b}));
  const Dims da = m.shape(a.value), db = m.shape(b.value);
  if (!m.ok()) return y;
  const size_t s = shared.size(), rows = s + own_a.size(), columns = s + summed.size();
  if (summed.empty()) {  // an outer product
    Dims column = da;
    column.resize(da.size() + own_b.size(), make_int(1));
    Dims row(db.begin(), db.begin() + static_cast<int64_t>(s));
    row.resize(rows, make_int(1));
    row.insert(row.end(), db.begin() + static_cast<int64_t>(s), db.end());
    y.value = m.multiply(m.reshape(a.value, column), m.reshape(b.value, row));
    return y;
  }
  const Dims batch(da.begin(), da.begin() + static_cast<int64_t>(s));
  auto matrix = [&](const Expr& first, const Expr& second) {
    Dims dims = batch;
    dims.push_back(first);
    dims.push_back(second);
    return dims;
  };
  // The summed extents as those of one operand: both are equal.
  const Expr extent = product(da, rows, da.size());
  const Operand left = m.reshape(a.value, matrix(product(da, s, rows), extent));
  const Operand right =
      m.reshape(b.value, matrix(product(db, s, columns), product(db, columns, db.size())));
  Dims out = batch;
  out.insert(out.end(), da.begin() + static_cast<int64_t>(s),
             da.begin() + static_cast<int64_t>(rows));
  out.insert(out.end(), db.begin() + static_cast<int64_t>(columns), db.end());
  y.value = m.reshape(m.matmul(left, right), out);
  return y;
}

// ---- The order
// -----------------------------------------------------------------------------------

// What an order costs, at samples of the symbols.
constexpr std::array<int64_t, 3> samples{8, 64, 1024};
using Cost = std::array<double, samples.size()>;

// Costs are compared by their geometric mean: an order that is bad for one size is bad.
double weight_of(const Cost& cost) {
  double total = 0;
  for (double x : cost) total += std::log(std::max(x, 1.0));
  return total;
}

// The extents of labels at the samples.
std::map<Label, Cost> sample_extents(Composite& m, const std::vector<Part>& parts) {
  std::map<Label, Cost> extents;
  for (const Part& p : parts) {
    const Dims dims = m.shape(p.value);
    for (size_t d = 0; d < dims.size() && d < p.labels.size(); ++d) {
      Cost& at = extents.try_emplace(p.labels[d], Cost{}).first->second;
      for (size_t k = 0; k < samples.size(); ++k) {
        VarMap values;
        for (const Var& v : free_vars(dims[d])) values[v.get()] = make_int(samples[k], v->dtype);
        int64_t value = samples[k];
        as_const_int(canonical(substitute(dims[d], values)), &value);
        at[k] = std::max(at[k], static_cast<double>(value));
      }
    }
  }
  return extents;
}

// Contracts all parts but one, always the pair whose product costs least beyond what it saves: for
// up to 8 operands the order with the lowest sum of costs of all.
class Order {
 public:
  Order(std::vector<Labels> parts, Labels result, std::map<Label, Cost> extents)
      : parts_(std::move(parts)), result_(std::move(result)), extents_(std::move(extents)) {}

  // Pairs of positions in a list to which each product is added.
  std::vector<std::pair<size_t, size_t>> best() {
    const size_t n = parts_.size();
    if (n > 8) return in_sequence(n);
    const size_t all = (size_t{1} << n) - 1;
    best_.assign(all + 1, {});
    for (size_t set = 1; set <= all; ++set) consider(set);
    std::vector<std::pair<size_t, size_t>> pairs;
    emit(all, pairs);
    return pairs;
  }

 private:
  struct Entry {
    Cost cost{};
    size_t left = 0;  // a subset; 0: one part
  };

  static std::vector<std::pair<size_t, size_t>> in_sequence(size_t n) {
    std::vector<std::pair<size_t, size_t>> pairs{{0, 1}};
    for (size_t i = 2; i < n; ++i) pairs.push_back({n + i - 2, i});
    return pairs;
  }

  Labels labels_in(size_t set, bool inside) const {
    Labels all;
    for (size_t i = 0; i < parts_.size(); ++i) {
      if (((set >> i) & 1) == (inside ? 1U : 0U)) {
        all.insert(all.end(), parts_[i].begin(), parts_[i].end());
      }
    }
    return all;
  }

  // The labels of the product of a set: those that something else needs.
  Labels kept(size_t set) const {
    Labels outside = labels_in(set, false), result;
    for (Label l : labels_in(set, true)) {
      const bool is_needed = contains(outside, l) || contains(result_, l);
      if (is_needed && !contains(result, l)) result.push_back(l);
    }
    return result;
  }

  void consider(size_t set) {
    Entry& entry = best_[set];
    if ((set & (set - 1)) == 0) return;
    for (size_t left = (set - 1) & set; left > 0; left = (left - 1) & set) {
      const size_t right = set & ~left;
      if (left < right) continue;
      Labels both = kept(left);
      for (Label l : kept(right)) {
        if (!contains(both, l)) both.push_back(l);
      }
      Cost cost;
      for (size_t k = 0; k < samples.size(); ++k) {
        double work = 1;
        for (Label l : both) work *= extents_.at(l)[k];
        cost[k] = work + best_[left].cost[k] + best_[right].cost[k];
      }
      if (entry.left == 0 || weight_of(cost) < weight_of(entry.cost)) entry = {cost, left};
    }
  }

  size_t emit(size_t set, std::vector<std::pair<size_t, size_t>>& pairs) const {
    const size_t left = best_[set].left;
    if (left == 0) {
      size_t i = 0;
      while (((set >> i) & 1) == 0) ++i;
      return i;
    }
    const size_t b = emit(set & ~left, pairs), a = emit(left, pairs);
    pairs.push_back({std::min(a, b), std::max(a, b)});
    return parts_.size() + pairs.size() - 1;
  }

  std::vector<Labels> parts_;
  Labels result_;
  std::map<Label, Cost> extents_;
  std::vector<Entry> best_;
};

// ---- All together
// --------------------------------------------------------------------------------

Result<Labels> result_labels(NodeContext& c, const Equation& equation, size_t hidden) {
  Term result;
  if (equation.result) {
    result = *equation.result;
  } else {  // letters that occur once, in their order
    std::map<char, int> count;
    for (const Term& t : equation.operands) {
      for (char l : t.letters) ++count[l];
    }
    for (const auto& [letter, times] : count) {
      if (times == 1) result.letters += letter;
    }
    result.dots = 0;
  }
  for (size_t i = 0; i < result.letters.size(); ++i) {
    const char letter = result.letters[i];
    bool is_there = false;
    for (const Term& t : equation.operands) {
      is_there = is_there || t.letters.find(letter) != std::string::npos;
    }
    if (!is_there || result.letters.find(letter) != i) {
      return c.fail(DiagnosticKind::bad_attribute, "attribute `equation`: the result names `{}` {}",
                    letter, is_there ? "twice" : "which no operand has");
    }
  }
  const int64_t rank = static_cast<int64_t>(result.letters.size() + (result.dots ? hidden : 0));
  return labels_of(c, result, rank, c.num_inputs());
}

Result<Operand> einsum(NodeContext& c) {
  REPOSE_TRY(equation, read_equation(c));
  REPOSE_TRY(operands, c.all_inputs());
  Composite m(c);
  std::vector<Part> parts;
  size_t hidden = 0;
  for (size_t i = 0; i < operands.size(); ++i) {
    REPOSE_TRY(dims, c.shape(operands[i]));
    const int64_t rank = static_cast<int64_t>(dims.size());
    REPOSE_TRY(labels, labels_of(c, equation.operands[i], rank, i));
    hidden = std::max(hidden, labels.size() - equation.operands[i].letters.size());
    parts.push_back({operands[i], labels});
    take_diagonals(m, parts.back());
  }
  REPOSE_TRY(result, result_labels(c, equation, hidden));
  if (!m.ok()) return m.result(nullptr);
  if (parts.size() > 1) {
    std::vector<Labels> labels;
    for (const Part& p : parts) labels.push_back(p.labels);
    for (const auto& [first, second] : Order(labels, result, sample_extents(m, parts)).best()) {
      const Part a = std::exchange(parts[first], {}), b = std::exchange(parts[second], {});
      Labels needed = result;
      for (const Part& p : parts) needed.insert(needed.end(), p.labels.begin(), p.labels.end());
      parts.push_back(contract(c, m, a, b, needed));
    }
  }
  Part& whole = parts.back();
  sum_out(m, whole, result);
  arrange(m, whole, result);
  return m.result(whole.value);
}

}  // namespace

std::span<const OperatorRow> einsum_operators() {
  static constexpr OperatorRow rows[] = {{"Einsum", 12, one<einsum>}};
  return rows;
}

}  // namespace repose::onnx

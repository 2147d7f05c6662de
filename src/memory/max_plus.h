// Sums of sizes and largest ones of them, as offsets and peaks are made of: max(2 * a + b, 3 * b).
//
// A sum is a combination of terms (products of symbols, or sizes that no polynomial describes)
// with integer coefficients. Of the sums of a maximum, those that never exceed another are dropped.
#pragma once

#include <limits>
#include <map>

#include "expr/polynomial.h"
#include "memory/sample.h"

namespace repose {

class MaxPlus {
 public:
  using Terms = std::vector<std::pair<int, int64_t>>;  // (term, coefficient), ascending
  // One sum, with its values at the samples.
  struct Sum {
    Terms terms;
    std::vector<int64_t> values;
  };
  using Max = std::vector<Sum>;  // the largest; never empty

  MaxPlus(const Facts& facts, const std::vector<SymbolValues>& samples)
      : facts_(facts), samples_(samples) {}

  // A size: >= 0, canonical, over symbols that the samples have values for.
  Sum sum_of(const Expr& size);
  Sum zero() const;
  Sum add(const Sum& a, const Sum& b, int64_t scale = 1) const;  // a + scale * b
  Max add(const Max& a, const Sum& b) const;
  // The larger of the two.
  Max larger(Max a, const Max& b);
  // Is a <= b for all values of the symbols, as far as can be seen quickly.
  bool at_most(const Sum& a, const Sum& b);
  // Adds a sum to a maximum (here also of none).
  void insert(Max& m, const Sum& s);
  Expr to_expr(const Sum& s) const;
  Expr to_expr(const Max& m) const;

 private:
  bool covered(Terms rest);
  bool term_at_most(int a, int b);
  bool grows_to(const Expr& a, const Expr& b, int depth);
  bool factors_grow_to(const Factors& a, const Factors& b, int depth);
  bool atom_grows_to(const Expr& a, const Expr& b, int depth);
  int term(const Factors& factors);
  int opaque_term(const Expr& e, std::vector<int64_t> values);
  bool plain(const Sum& s) const;
  std::vector<int64_t> values_of(const Expr& e) const;

  const Facts& facts_;
  const std::vector<SymbolValues>& samples_;
  std::vector<Expr> terms_;  // each >= 0
  std::vector<bool> is_plain_;
  std::vector<std::vector<int64_t>> term_values_;  // per term: at the samples
  std::map<Terms, bool> proven_;  // differences that the prover was asked about: are they >= 0?
  std::map<std::pair<int, int>, bool> at_most_;  // terms
  int proofs_left_ = 2000;
};

}  // namespace repose

// The Omega test.
#include "expr/linear.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "expr/polynomial.h"

namespace repose {

namespace {

// Sums of two, and doubling, stay within int64; products are checked.
constexpr int64_t max_number = int64_t{1} << 60;
constexpr size_t max_rows = 256;
constexpr int max_splinters = 64;
constexpr int64_t max_weight = 1 << 20;  // of a coefficient, in choosing

// Column 0 is the constant.
using Row = std::vector<int64_t>;

struct System {
  size_t columns = 1;
  std::vector<Row> zeros;    // sum == 0
  std::vector<Row> at_most;  // sum <= 0
};

class Omega {
 public:
  explicit Omega(int* budget) : budget_(budget) {}

  Solvable run(System s) {
    if (Solvable r = solve_equalities(s); r != Solvable::yes) return r;
    while (true) {
      if (Solvable r = tidy(s); r != Solvable::yes) return r;
      if (!s.zeros.empty()) {  // two inequalities met
        if (Solvable r = solve_equalities(s); r != Solvable::yes) return r;
        continue;
      }
      if (s.at_most.empty()) return Solvable::yes;
      if (drop_one_sided(s)) continue;
      Choice c = choose(s);
      if (!c.exact) return inexact(s, c.column);
      if (!project(s, c.column, Shadow::real)) return Solvable::unknown;
    }
  }

 private:
  enum class Shadow : uint8_t { real, dark };

  struct Choice {
    size_t column = 0;
    bool exact = false;
    int64_t cost = 0;
  };

  // out = a * x + b * y
  static bool combine(int64_t a, const Row& x, int64_t b, const Row& y, Row* out) {
    out->resize(x.size());
    for (size_t i = 0; i < x.size(); ++i) {
      int64_t p, q, sum;
      if (__builtin_mul_overflow(a, x[i], &p) || __builtin_mul_overflow(b, y[i], &q)) return false;
      if (__builtin_add_overflow(p, q, &sum) || sum > max_number || sum < -max_number) return false;
      (*out)[i] = sum;
    }
    return true;
  }

  static int64_t content(const Row& r) {
    int64_t g = 0;
    for (size_t i = 1; i < r.size() && g != 1; ++i) g = std::gcd(g, r[i]);
    return g;
  }

  static void divide(Row& r, int64_t g) {
    for (size_t i = 1; i < r.size(); ++i) r[i] /= g;
  }

  bool spend(size_t rows) {
    *budget_ -= static_cast<int>(rows);
    return *budget_ >= 0;
  }

  // ---- Equalities ----

  // yes: none is left.
  Solvable solve_equalities(System& s) {
    while (!s.zeros.empty()) {
      if (!spend(1 + s.at_most.size() / 4)) return Solvable::unknown;
      // The first with a coefficient of 1 or -1, or the one with the smallest.
      size_t row = 0, column = 0;
      int64_t least = 0;
      for (size_t i = 0; i < s.zeros.size() && least != 1;) {
        Row& r = s.zeros[i];
        const int64_t g = content(r);
        if (g == 0 ? r[0] != 0 : r[0] % g != 0) return Solvable::no;
        if (g == 0) {
          std::swap(r, s.zeros.back());
          s.zeros.pop_back();
          continue;
        }
        r[0] /= g;
        if (g > 1) divide(r, g);
        for (size_t k = 1; k < r.size() && least != 1; ++k) {
          const int64_t size = std::abs(r[k]);
          if (size != 0 && (least == 0 || size < least)) least = size, row = i, column = k;
        }
        ++i;
      }
      if (s.zeros.empty()) break;
      if (!(least == 1 ? substitute(s, row, column) : reduce(s, row, column))) {
        return Solvable::unknown;
      }
    }
    return Solvable::yes;
  }

  // The variable's coefficient is 1 or -1: adds multiples of the equality to all other rows.
  static bool substitute(System& s, size_t row, size_t column) {
    const Row equality = std::move(s.zeros[row]);
    if (row + 1 < s.zeros.size()) s.zeros[row] = std::move(s.zeros.back());
    s.zeros.pop_back();
    Row out;
    for (auto* rows : {&s.zeros, &s.at_most}) {
      for (Row& r : *rows) {
        if (r[column] == 0) continue;
        if (!combine(1, r, -r[column] * equality[column], equality, &out)) return false;
        r = out;
      }
    }
    return true;
  }

  // x = y - sum of round(a_i / a) * x_i, in place of x: leaves smaller coefficients in the row.
  static bool reduce(System& s, size_t row, size_t column) {
    Row factors(s.zeros[row].size(), 0);
    const int64_t a = s.zeros[row][column];
    for (size_t i = 1; i < factors.size(); ++i) {
      if (i == column) continue;
      int64_t twice = 2 * s.zeros[row][i] * (a < 0 ? -1 : 1), m = std::abs(a);
      factors[i] = floor_quotient(twice + m, 2 * m);
    }
    for (auto* rows : {&s.zeros, &s.at_most}) {
      for (Row& r : *rows) {
        if (r[column] == 0) continue;
        Row out;
        if (!combine(1, r, -r[column], factors, &out)) return false;
        r = out;
      }
    }
    return true;
  }

  // ---- Inequalities ----

  // Divides, rounds, keeps the sharpest of those alike; two that meet become an equality. no: two
  // contradict each other.
  Solvable tidy(System& s) {
    if (!spend(s.at_most.size())) return Solvable::unknown;
    std::vector<Row> kept;
    kept.reserve(s.at_most.size());
    for (Row& r : s.at_most) {
      int64_t g = content(r);
      if (g == 0) {
        if (r[0] > 0) return Solvable::no;
        continue;
      }
      r[0] = -floor_quotient(-r[0], g);
      if (g > 1) divide(r, g);
      kept.push_back(std::move(r));
    }
    // Same coefficients side by side, the sharpest first.
    std::sort(kept.begin(), kept.end(), [](const Row& a, const Row& b) {
      int c = compare_coefficients(a, b);
      return c != 0 ? c < 0 : a[0] > b[0];
    });
    kept.erase(
        std::unique(kept.begin(), kept.end(),
                    [](const Row& a, const Row& b) { return compare_coefficients(a, b) == 0; }),
        kept.end());
    s.at_most = std::move(kept);
    return meet(s);
  }

  static int compare_coefficients(const Row& a, const Row& b) {
    for (size_t i = 1; i < a.size(); ++i) {
      if (a[i] != b[i]) return a[i] < b[i] ? -1 : 1;
    }
    return 0;
  }

  // s + c <= 0 and -s + d <= 0: nothing is left where c + d > 0, and s = -c where c + d = 0.
  static Solvable meet(System& s) {
    Row opposite;
    std::vector<size_t> met;
    for (size_t i = 0; i < s.at_most.size(); ++i) {
      const Row& r = s.at_most[i];
      opposite.resize(r.size());
      for (size_t k = 0; k < r.size(); ++k) opposite[k] = -r[k];
      auto it = std::lower_bound(
          s.at_most.begin(), s.at_most.end(), opposite,
          [](const Row& a, const Row& b) { return compare_coefficients(a, b) < 0; });
      if (it == s.at_most.end() || compare_coefficients(*it, opposite) != 0) continue;
      if (r[0] + (*it)[0] > 0) return Solvable::no;
      if (r[0] + (*it)[0] < 0) continue;
      met.push_back(i);
      size_t other = static_cast<size_t>(it - s.at_most.begin());
      if (i < other) s.zeros.push_back(r);
    }
    for (size_t k = met.size(); k-- > 0;) {
      s.at_most.erase(s.at_most.begin() + static_cast<std::ptrdiff_t>(met[k]));
    }
    return Solvable::yes;
  }

  // A variable without an upper or a lower bound can be as large or small as its rows want.
  static bool drop_one_sided(System& s) {
    bool dropped = false;
    for (size_t k = 1; k < s.columns; ++k) {
      bool lower = false, upper = false;
      for (const Row& r : s.at_most) {
        lower = lower || r[k] < 0;
        upper = upper || r[k] > 0;
      }
      if (lower == upper) continue;
      std::erase_if(s.at_most, [&](const Row& r) { return r[k] != 0; });
      dropped = true;
    }
    return dropped;
  }

  // Exact eliminations first, then the one that makes the fewest rows.
  static Choice choose(const System& s) {
    Choice best;
    for (size_t k = 1; k < s.columns; ++k) {
      int64_t lowers = 0, uppers = 0, widest_lower = 0, widest_upper = 0;
      for (const Row& r : s.at_most) {
        if (r[k] < 0) lowers++, widest_lower = std::max(widest_lower, -r[k]);
        if (r[k] > 0) uppers++, widest_upper = std::max(widest_upper, r[k]);
      }
      if (lowers == 0) continue;
      Choice c{k, widest_lower == 1 || widest_upper == 1, lowers * uppers - lowers - uppers};
      if (!c.exact) c.cost += std::min({widest_lower, widest_upper, max_weight}) * lowers;
      if (best.column == 0 || (c.exact != best.exact ? c.exact : c.cost < best.cost)) best = c;
    }
    return best;
  }

  // Every lower bound against every upper bound.
  bool project(System& s, size_t column, Shadow shadow) {
    std::vector<Row> kept;
    std::vector<const Row*> lowers, uppers;
    for (Row& r : s.at_most) {
      if (r[column] < 0) lowers.push_back(&r);
      if (r[column] > 0) uppers.push_back(&r);
    }
    Row out;
    for (const Row* low : lowers) {
      for (const Row* up : uppers) {
        int64_t a = (*up)[column], b = -(*low)[column], g = std::gcd(a, b);
        if (shadow == Shadow::dark) g = 1;
        if (!combine(a / g, *low, b / g, *up, &out)) return false;
        if (shadow == Shadow::dark) {
          int64_t gap;
          if (__builtin_mul_overflow(a - 1, b - 1, &gap) || gap > max_number) return false;
          out[0] += gap;
        }
        kept.push_back(out);
        if (kept.size() > max_rows) return false;
      }
    }
    if (!spend(kept.size())) return false;
    for (Row& r : s.at_most) {
      if (r[column] == 0) kept.push_back(std::move(r));
    }
    s.at_most = std::move(kept);
    return true;
  }

  Solvable inexact(const System& s, size_t column) {
    System real = s;
    if (project(real, column, Shadow::real)) {
      if (run(std::move(real)) == Solvable::no) return Solvable::no;
    }
    System dark = s;
    if (!project(dark, column, Shadow::dark)) return Solvable::unknown;
    Solvable inside = run(std::move(dark));
    if (inside == Solvable::yes) return inside;
    Solvable outside = splinters(s, column);
    return outside == Solvable::no ? inside : outside;
  }

  // A solution outside the dark shadow lies close above a lower bound.
  Solvable splinters(const System& s, size_t column) {
    int64_t a = 0;
    for (const Row& r : s.at_most) a = std::max(a, r[column]);
    Solvable result = Solvable::no;
    for (const Row& r : s.at_most) {
      const int64_t b = -r[column];
      if (b <= 1) continue;
      int64_t product;
      if (__builtin_mul_overflow(a, b, &product)) return Solvable::unknown;
      const int64_t last = (product - a - b) / a;
      if (last > max_splinters) return Solvable::unknown;
      for (int64_t i = 0; i <= last; ++i) {
        if (!spend(s.at_most.size())) return Solvable::unknown;
        System splinter = s;
        splinter.zeros.push_back(r);
        splinter.zeros.back()[0] += i;
        Solvable one = run(std::move(splinter));
        if (one == Solvable::yes) return one;
        if (one == Solvable::unknown) result = one;
      }
    }
    return result;
  }

  int* budget_;
};

}  // namespace

Solvable solve(const std::vector<LinearConstraint>& constraints, int* budget) {
  // Columns for the variables that occur.
  std::vector<size_t> columns;
  System s;
  for (const LinearConstraint& c : constraints) {
    for (const auto& [variable, coefficient] : c.terms) {
      size_t v = static_cast<size_t>(variable);
      if (v >= columns.size()) columns.resize(v + 1, 0);
      if (columns[v] == 0) columns[v] = s.columns++;
    }
  }
  for (const LinearConstraint& c : constraints) {
    Row row(s.columns, 0);
    row[0] = c.constant;
    for (const auto& [variable, coefficient] : c.terms) {
      int64_t& k = row[columns[static_cast<size_t>(variable)]];
      if (__builtin_add_overflow(k, coefficient, &k)) return Solvable::unknown;
    }
    for (int64_t k : row) {
      if (k > max_number || k < -max_number) return Solvable::unknown;
    }
    (c.is_zero ? s.zeros : s.at_most).push_back(std::move(row));
  }
  return Omega(budget).run(std::move(s));
}

}  // namespace repose

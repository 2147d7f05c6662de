// From conditions to constraints.
#include "expr/constraints.h"

#include <algorithm>

#include "expr/interval.h"
#include "expr/polynomial_bounds.h"

namespace repose {

namespace {

constexpr size_t max_monomials = 160;
constexpr size_t max_degree = 6;

Polynomial plus(Polynomial p, int64_t k) {
  p.add_constant(k);
  return p;
}

}  // namespace

// ---- Monomials ----------------------------------------------------------------------------------

int Constraints::intern_atom(const Expr& e) {
  std::vector<int>& alike = atoms_by_hash_[e->hash()];
  for (int i : alike) {
    if (structural_equal(atoms_[static_cast<size_t>(i)], e)) return i;
  }
  int index = static_cast<int>(atoms_.size());
  alike.push_back(index);
  atoms_.push_back(e);
  atom_variables_.push_back(-1);
  return index;
}

int Constraints::find(const std::vector<int>& atoms, uint64_t hash) {
  for (int v : monomials_by_hash_[hash]) {
    if (monomial(v).atoms == atoms) return v;
  }
  return -1;
}

int Constraints::intern(const std::vector<int>& atoms) {
  uint64_t hash = atoms.size();
  for (int a : atoms) hash = hash * 1000003 + static_cast<uint64_t>(a);
  if (int known = find(atoms, hash); known >= 0) return known;
  if (atoms.size() > max_degree) return -1;
  if (atoms.size() > 1) {
    for (int a : atoms) {
      if (intern({a}) < 0) return -1;
    }
    // The definition of a quotient has its product with the divisor.
    if (int known = find(atoms, hash); known >= 0) return known;
  }
  if (monomials_.size() >= max_monomials) return -1;
  has_products_ = has_products_ || atoms.size() > 1;
  int variable = static_cast<int>(monomials_.size());
  monomials_by_hash_[hash].push_back(variable);
  monomials_.emplace_back();
  MonomialInfo& info = monomials_.back();
  info.atoms = atoms;
  Polynomial p(1);
  for (int a : atoms) p = p * Polynomial::atom(atoms_[static_cast<size_t>(a)]);
  info.range = bounds_of(p, facts_);
  // A quotient by what is always 0 has no value, and no limits.
  if (is_empty(info.range)) info.range = {};
  if (atoms.size() == 1) {
    size_t index = static_cast<size_t>(atoms[0]);
    atom_variables_[index] = variable;
    Expr atom = atoms_[index];
    define(atom, &info.definition);
  }
  return variable;
}

int Constraints::product(int a, int b) {
  const auto &x = monomial(a).atoms, &y = monomial(b).atoms;
  std::vector<int> both(x.size() + y.size());
  std::merge(x.begin(), x.end(), y.begin(), y.end(), both.begin());
  return intern(both);
}

int Constraints::quotient(int a, int b) {
  const auto &x = monomial(a).atoms, &y = monomial(b).atoms;
  if (y.size() >= x.size() || !std::includes(x.begin(), x.end(), y.begin(), y.end())) return -1;
  std::vector<int> rest;
  std::set_difference(x.begin(), x.end(), y.begin(), y.end(), std::back_inserter(rest));
  return intern(rest);
}

bool Constraints::multiply(const LinearConstraint& row, int z, LinearConstraint* out) {
  out->is_zero = row.is_zero;
  out->constant = 0;
  out->terms.clear();
  for (const auto& [variable, coefficient] : row.terms) {
    int v = product(variable, z);
    if (v < 0) return false;
    out->terms.emplace_back(v, coefficient);
  }
  if (row.constant != 0) out->terms.emplace_back(z, row.constant);
  return true;  // products with one monomial are as different as the monomials
}

bool Constraints::convert(const Polynomial& p, bool is_zero, LinearConstraint* out) {
  if (p.failed) return false;
  out->is_zero = is_zero;
  out->constant = p.constant;
  out->terms.clear();
  for (const Term& t : p.terms) {
    std::vector<int> atoms;
    for (const Expr& f : t.factors) atoms.push_back(intern_atom(f));
    std::sort(atoms.begin(), atoms.end());
    int v = intern(atoms);
    if (v < 0) return false;
    out->terms.emplace_back(v, t.coefficient);
  }
  return true;
}

// ---- Conditions ---------------------------------------------------------------------------------

void Constraints::at_most_zero(const Polynomial& p, Branch* branch) {
  LinearConstraint row;
  if (convert(p, false, &row)) branch->rows.push_back(std::move(row));
}

void Constraints::zero(const Polynomial& p, Branch* branch) {
  LinearConstraint row;
  if (convert(p, true, &row)) branch->rows.push_back(std::move(row));
}

void Constraints::compare(const Expr& c, bool holds, Branch* branch) {
  Polynomial d = polynomial_of(c->args[0]) - polynomial_of(c->args[1]);
  Polynomial opposite = negated(d);
  ExprKind kind = c->kind;
  if (kind == ExprKind::eq || kind == ExprKind::ne) {
    if ((kind == ExprKind::eq) == holds) return zero(d, branch);
    Clause either;
    either.branches.resize(2);
    at_most_zero(plus(d, 1), &either.branches[0]);
    at_most_zero(plus(opposite, 1), &either.branches[1]);
    branch->clauses.push_back(std::move(either));
    return;
  }
  bool less = kind == ExprKind::lt || kind == ExprKind::le;
  bool strict = kind == ExprKind::lt || kind == ExprKind::gt;
  if (!holds) less = !less, strict = !strict;
  at_most_zero(plus(less ? d : opposite, strict ? 1 : 0), branch);
}

void Constraints::add(const Expr& c, bool holds, Branch* branch) {
  switch (c->kind) {
    case ExprKind::int_imm:
      if (is_const_int(c, 0) == holds) at_most_zero(Polynomial(1), branch);
      return;
    case ExprKind::logical_not:
      return add(c->args[0], !holds, branch);
    case ExprKind::logical_and:
    case ExprKind::logical_or: {
      if ((c->kind == ExprKind::logical_and) == holds) {
        add(c->args[0], holds, branch);
        add(c->args[1], holds, branch);
        return;
      }
      Clause either;
      either.branches.resize(2);
      add(c->args[0], holds, &either.branches[0]);
      add(c->args[1], holds, &either.branches[1]);
      branch->clauses.push_back(std::move(either));
      return;
    }
    case ExprKind::select:
    case ExprKind::if_then_else: {
      Clause either;
      either.branches.resize(2);
      for (bool taken : {true, false}) {
        Branch& one = either.branches[taken ? 0 : 1];
        add(c->args[0], taken, &one);
        add(c->args[taken ? 1 : 2], holds, &one);
      }
      branch->clauses.push_back(std::move(either));
      return;
    }
    default:
      if (is_compare(c->kind) && is_scalar_index(c->args[0])) compare(c, holds, branch);
  }
}

// ---- Definitions --------------------------------------------------------------------------------

bool Constraints::is_nonzero(const Expr& e) const {
  return std::any_of(nonzero_.begin(), nonzero_.end(),
                     [&](const Expr& n) { return structural_equal(n, e); });
}

void Constraints::define(const Expr& atom, Branch* out) {
  if (!is_scalar_index(atom)) return;
  switch (atom->kind) {
    case ExprKind::floor_div:
    case ExprKind::floor_mod:
      return define_quotient(atom, out);
    case ExprKind::div:
    case ExprKind::mod:
      return define_truncated(atom, out);
    case ExprKind::min:
    case ExprKind::max:
      return define_extremum(atom, out);
    case ExprKind::select:
    case ExprKind::if_then_else:
      return define_choice(atom, out);
    case ExprKind::var:
      return define_residue(atom, facts_.range_of(Var(as<VarNode>(atom))), out);
    default:
      return;
  }
}

void Constraints::define_quotient(const Expr& atom, Branch* out) {
  Polynomial x = polynomial_of(atom->args[0]), q = polynomial_of(atom->args[1]);
  if (q.is_zero()) return;
  Interval range = bounds_of(q, facts_);
  // Of a remainder: by the quotient.
  auto rows = [&](Branch* branch, bool positive) {
    if (atom->kind == ExprKind::floor_mod) {
      Expr quotient = make_binary(ExprKind::floor_div, atom->args[0], atom->args[1]);
      return zero(Polynomial::atom(atom) - x + q * polynomial_of(quotient), branch);
    }
    Polynomial rest = x - q * Polynomial::atom(atom);  // from 0 to q - 1, or from q + 1 to 0
    at_most_zero(positive ? negated(rest) : rest, branch);
    at_most_zero(plus(positive ? rest - q : q - rest, 1), branch);
  };
  if (range.lower > 0 || range.upper < 0) return rows(out, range.lower > 0);
  Clause sign;
  sign.branches.resize(is_nonzero(atom->args[1]) ? 2 : 3);
  at_most_zero(plus(negated(q), 1), &sign.branches[0]);
  rows(&sign.branches[0], true);
  at_most_zero(plus(q, 1), &sign.branches[1]);
  rows(&sign.branches[1], false);
  if (sign.branches.size() == 3) zero(q, &sign.branches[2]);
  out->clauses.push_back(std::move(sign));
}

// By a positive constant: x // q for x >= 0, -(-x // q) for x <= 0.
void Constraints::define_truncated(const Expr& atom, Branch* out) {
  int64_t c;
  if (!as_const_int(atom->args[1], &c) || c <= 0) return;
  Polynomial x = polynomial_of(atom->args[0]);
  if (x.failed) return;
  Clause sign;
  sign.branches.resize(2);
  for (bool negative : {false, true}) {
    Branch& one = sign.branches[negative];
    Polynomial size = negative ? negated(x) : x, value = Polynomial::atom(atom);
    if (size.failed) return;
    at_most_zero(negative ? plus(x, 1) : negated(x), &one);
    ExprKind kind = atom->kind == ExprKind::div ? ExprKind::floor_div : ExprKind::floor_mod;
    Polynomial whole = polynomial_of(make_binary(kind, to_expr(size), atom->args[1]));
    zero(negative ? value + whole : value - whole, &one);
  }
  out->clauses.push_back(std::move(sign));
}

void Constraints::define_extremum(const Expr& atom, Branch* out) {
  Polynomial m = Polynomial::atom(atom);
  Clause either;
  either.branches.resize(2);
  for (size_t i = 0; i < 2; ++i) {
    Polynomial above = m - polynomial_of(atom->args[i]);
    zero(above, &either.branches[i]);
    at_most_zero(atom->kind == ExprKind::min ? above : negated(above), out);
  }
  out->clauses.push_back(std::move(either));
}

void Constraints::define_choice(const Expr& atom, Branch* out) {
  if (atom->args[0]->dtype != dtypes::boolean) return;
  Clause either;
  either.branches.resize(2);
  for (bool taken : {true, false}) {
    Branch& one = either.branches[taken ? 0 : 1];
    add(atom->args[0], taken, &one);
    zero(Polynomial::atom(atom) - polynomial_of(atom->args[taken ? 1 : 2]), &one);
  }
  out->clauses.push_back(std::move(either));
}

void Constraints::define_residue(const Expr& atom, const Interval& range, Branch* out) {
  if (range.divisor <= 1) return;
  Polynomial multiple = Polynomial::atom(make_var("k", dtypes::index, VarRole::value));
  multiple.scale(range.divisor);
  zero(Polynomial::atom(atom) - plus(multiple, range.remainder), out);
}

}  // namespace repose

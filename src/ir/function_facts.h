// What a graph function's attributes declare about its symbols; what its calls and checks
// say of themselves.
#pragma once

#include "ir/graph.h"

namespace repose {

// Whether the operator, or the type of the function, says that a call has no effects. A failing
// check is none.
bool is_pure_call(const graph::CallNode& call);

// A function that its author, or a pass, marked to stay together: it has the attribute `Composite`
// (a name) or `Primitive`. Its operators become kernels of their own, and nothing is moved in or
// out.
bool is_group(const graph::FunctionNode& f);

// Whether a call is one of a tensor program with results of its own; or also one that overwrites
// operands (`call_tir_inplace`).
bool is_call_tir(const graph::CallNode& call);
bool is_program_call(const graph::CallNode& call);

// Whether `v` calls the operator `check`; and the condition that the call requires, null if `v` is
// no such call or if its condition is no known expression.
bool is_check(const graph::Value& v);
Expr check_condition(const graph::Value& v);
// What a match_cast of tensors says: each dimension equals that of the value. Empty for others.
std::vector<Expr> cast_equalities(const graph::Binding& b);
// A binding that gives a size a name: `n1 = match_cast(prim_value(value), Prim(value="n1"))`, where
// nothing before binds `n1`, which only the caller knows. Its symbol stays one atom of formulas
// (Facts::define).
struct SizeName {
  Var name;
  Expr value;
};
std::optional<SizeName> size_name(const graph::Binding& b);
graph::Binding make_size_name(const Var& name, const Expr& value, Span span);

// The checks and the names of sizes that a body begins with, as long as they mention nothing but
// the parameters' symbols and each other: what is known once they have run is known at entry.
std::vector<graph::Binding> head_of(const graph::Function& f);

// Whether a check only states what an operator guarantees, so that it never fails.
bool is_promise(const graph::Value& v);

// The attributes that declare ranges: dictionaries from symbol names to integers.
inline constexpr const char* range_attributes[] = {"tir_var_lower_bound", "tir_var_upper_bound",
                                                   "tir_var_divisor"};

// The range that they declare of a symbol; a dimension is at least 0. Entries that are no such
// numbers are left out: attribute_problems reports them.
Interval declared_range(const Attrs& attrs, const std::string& name, VarRole role);
void erase_range(Attrs& attrs, const std::string& name);

// These of the symbols of the parameters, as facts.
Facts declared_facts(const graph::Function& f);

// Whether the attribute relax.force_pure lets a pure function make impure calls.
bool is_forced_pure(const Attrs& attrs);

// The same, and what the checks at the head of the body say: a declared range of a sum, for
// example. For what happens after those checks.
Facts facts_after_checks(const graph::Function& f);

// Two symbols of the parameters that have to be equal by a check outside of branches.
struct EqualSymbols {
  Var a, b;
  Span span;
};
std::vector<EqualSymbols> equal_symbols(const graph::Function& f);

// That such symbols are called differently, which strict names don't allow.
Diagnostic different_names(const std::string& a, const std::string& b, const Span& span);

// The attribute `donate` of a function: pairs of a result (tuples flattened) and the parameter
// whose memory a caller may give for it. Entries that are no such numbers are left out: the
// verifier reports them.
std::vector<std::pair<size_t, size_t>> donations(const graph::Function& f);

// The entry of symbol `name` in the dictionary attribute `key`; null if there is none.
const Attr* symbol_attr(const Attrs& attrs, const char* key, const std::string& name);

}  // namespace repose

// Walks from a dimension back to the inputs that it comes from.
#include "driver/explain.h"

#include <algorithm>
#include <charconv>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "driver/known_facts.h"
#include "host/interface.h"
#include "ir/function_facts.h"
#include "passes/graph/inline_functions.h"
#include "passes/graph/rebuild.h"

namespace repose {

namespace {

using graph::Value;

constexpr int max_depth = 40;           // of a derivation
constexpr size_t max_named_steps = 4;   // operators named in a row that keep a dimension
constexpr size_t max_known_facts = 12;  // listed for a symbol

// A dimension of a tensor or shape, an element of a small tensor, or a scalar.
struct Place {
  enum class Kind { dimension, element, scalar };
  Value value;
  Kind kind = Kind::dimension;
  size_t index = 0;
  Expr expr;
};

// Known elements of every operand, and what is known outside of branches.
struct Knowledge {
  Module module;
  std::unordered_map<const graph::ValueNode*, std::vector<Expr>> elements;
  KnownFacts facts;
};

// The module with calls of its functions inlined, and what is known of the values of `function`.
Result<Knowledge> learn(const Module& module, const OpTable& ops, const std::string& function) {
  Knowledge known;
  REPOSE_TRY(flat, inline_functions(module, ops));
  auto visit = [&](Builder& b, const graph::CallNode& call, const Span&) -> Result<Value> {
    std::function<void(const Value&)> note = [&](const Value& v) {
      if (const auto* elements = b.elements_of(v)) known.elements[v.get()] = *elements;
      if (v->kind == graph::ValueKind::tuple) graph::visit_operands(v, note);
    };
    for (const Value& arg : call.args) note(arg);
    return Value();
  };
  REPOSE_TRY(rebuilt, rebuild_functions(flat, ops, visit));
  known.module = std::move(rebuilt);
  known.facts = facts_at_end(known.module.graph_function(function), known.elements, known.module);
  return known;
}

class Explainer {
 public:
  Explainer(const graph::Function& f, FunctionInterface interface, const Knowledge& known)
      : f_(f), interface_(std::move(interface)), known_(known) {
    graph::visit_bindings(f->body, true,
                          [&](const graph::Binding& b) { bindings_.emplace(b.var.get(), &b); });
  }

  Result<Derivation> run(const std::string& query) {
    const size_t colon = query.rfind(':');
    if (colon != std::string::npos) {
      if (auto place = output_place(query.substr(0, colon), query.substr(colon + 1))) {
        return derive(fmt::format("output `{}`, dimension {}",
                                  interface_.outputs[place->first].name, place->second.index),
                      place->second, 0);
      }
    }
    if (auto symbol = find_symbol(query)) return about_symbol(*symbol);
    return no_such(query);
  }

 private:
  // ---- What is asked about
  // -----------------------------------------------------------------------

  static bool number(const std::string& text, size_t* value) {
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *value);
    return ec == std::errc() && end == text.data() + text.size() && !text.empty();
  }

  void collect(const Value& v, std::vector<std::pair<Value, const TensorTypeNode*>>& leaves) {
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const Value& field : tuple->fields) collect(field, leaves);
    } else {
      leaves.emplace_back(v, as<TensorTypeNode>(v->type));
    }
  }

  // The number of an output, and its dimension.
  std::optional<std::pair<size_t, Place>> output_place(const std::string& name,
                                                       const std::string& axis_text) {
    size_t axis = 0, output = interface_.outputs.size();
    if (!number(axis_text, &axis)) return std::nullopt;
    for (size_t i = 0; i < interface_.outputs.size(); ++i) {
      if (interface_.outputs[i].name == name) output = i;
    }
    if (output == interface_.outputs.size() && !number(name, &output)) return std::nullopt;
    if (output >= interface_.outputs.size()) return std::nullopt;
    if (axis >= interface_.outputs[output].dims.size()) return std::nullopt;
    std::vector<std::pair<Value, const TensorTypeNode*>> leaves;
    Value result = f_->body->result;
    if (auto it = bindings_.find(result.get());
        it != bindings_.end() && it->second->value->kind == graph::ValueKind::tuple) {
      result = it->second->value;
    }
    collect(result, leaves);
    Place place;
    place.index = axis;
    if (output < leaves.size() && leaves[output].second && leaves[output].second->shape &&
        axis < leaves[output].second->shape->size()) {
      place.value = leaves[output].first;
      place.expr = (*leaves[output].second->shape)[axis];
    } else {  // a member of a tuple that a call gives
      place.value = result;
      place.expr = interface_.outputs[output].dims[axis];
    }
    return std::pair{output, place};
  }

  Var find_symbol_in(const Type& type, const std::string& name) const {
    for (const Var& v : binding_symbols(type)) {
      if (v->name == name) return v;
    }
    return nullptr;
  }

  std::optional<Var> find_symbol(const std::string& name) const {
    for (const SymbolInfo& s : interface_.symbols) {
      if (s.name == name || s.symbol->name == name) return s.symbol;
    }
    for (const Alias& alias : aliases()) {
      for (const SymbolInfo& s : interface_.symbols) {
        if (alias.name == name && s.name == alias.stays) return s.symbol;
      }
    }
    std::optional<Var> found;
    graph::visit_bindings(f_->body, true, [&](const graph::Binding& b) {
      if (found) return;
      if (Var v = find_symbol_in(b.var->type, name)) found = v;
    });
    return found;
  }

  Diagnostic no_such(const std::string& query) const {
    std::string outputs, symbols;
    for (const ValueInfo& v : interface_.outputs) {
      outputs +=
          fmt::format("{}`{}` (rank {})", outputs.empty() ? "" : ", ", v.name, v.dims.size());
    }
    for (const SymbolInfo& s : interface_.symbols) {
      symbols += fmt::format("{}`{}`", symbols.empty() ? "" : ", ", s.name);
    }
    return error(DiagnosticKind::bad_usage, {},
                 "--why `{}`: expected OUTPUT:AXIS or a symbol; outputs are {}; symbols are {}",
                 query, outputs.empty() ? "none" : outputs, symbols.empty() ? "none" : symbols);
  }

  // ---- Symbols
  // -----------------------------------------------------------------------------------

  // A name that the importer replaced by another one, because a node needs the two equal.
  struct Alias {
    std::string name, stays, node;
  };
  std::vector<Alias> aliases() const {
    std::vector<Alias> list;
    const Attr* dict = f_->attrs.find("symbol_aliases");
    if (!dict || !dict->as_dict()) return list;
    for (const auto& [alias, entry] : *dict->as_dict()) {
      const AttrList* pair = entry.as_list();
      if (!alias.as_string() || !pair || pair->size() != 2) continue;
      const std::string *stays = (*pair)[0].as_string(), *node = (*pair)[1].as_string();
      if (stays && node) list.push_back({*alias.as_string(), *stays, *node});
    }
    return list;
  }

  std::string text(const Expr& e) const { return dim_text(e, interface_.symbols); }

  std::string range_text(const Interval& range) const {
    std::string low = range.lower == Interval::minus_infinity ? "" : fmt::format("{}", range.lower);
    std::string high = range.upper == Interval::plus_infinity ? "" : fmt::format("{}", range.upper);
    std::string result = low + ".." + high;
    if (range.divisor == 1) return result;
    result += range.remainder == 0 ? fmt::format(", a multiple of {}", range.divisor)
                                   : fmt::format(", {} modulo {}", range.remainder, range.divisor);
    return result;
  }

  // Where a symbol is bound, its range, other names for it, and conditions known of it.
  Derivation about_symbol(const Var& v) {
    Derivation d{
        fmt::format("symbol `{}`: {}", text(v), range_text(known_.facts.at_end.range_of(v))), {}};
    for (const SymbolInfo& s : interface_.symbols) {
      if (s.symbol.get() != v.get()) continue;
      d.from.push_back({fmt::format("bound by dimension {} of input `{}`", s.axis,
                                    interface_.inputs[static_cast<size_t>(s.input)].name),
                        {}});
      for (const ValueInfo& input : interface_.inputs) {
        for (size_t axis = 0; axis < input.dims.size(); ++axis) {
          if (!uses_var(input.dims[axis], v)) continue;
          if (&input == &interface_.inputs[static_cast<size_t>(s.input)] &&
              axis == static_cast<size_t>(s.axis)) {
            continue;
          }
          d.from.push_back({fmt::format("dimension {} of input `{}` is `{}`: checked at entry",
                                        axis, input.name, input.dim_texts[axis]),
                            {}});
        }
      }
      add_aliases(s.name, d);
    }
    if (const graph::Binding* b = binder_of(v)) d.from.push_back(bound_inside(v, *b));
    add_conditions(v, d);
    return d;
  }

  void add_aliases(const std::string& name, Derivation& d) const {
    for (const Alias& alias : aliases()) {
      if (alias.stays != name) continue;
      d.from.push_back(
          {fmt::format("stands for `{}` too, which {} needs equal", alias.name, alias.node), {}});
    }
  }

  // Which steps narrowed the range, what they and operators make sure of.
  void add_conditions(const Var& v, Derivation& d) const {
    size_t n = 0;
    for (const FactSource& source : known_.facts.sources) {
      for (const auto& [symbol, range] : source.ranges) {
        if (symbol != v || n++ >= max_known_facts) continue;
        d.from.push_back({fmt::format("{}: {} makes sure of {}", range_text(range),
                                      source_name(*source.binding), text(source.condition)),
                          {}});
      }
    }
    n = 0;
    for (const Expr& c : known_.facts.at_end.conditions()) {
      if (!uses_var(c, v) || n++ >= max_known_facts) continue;
      d.from.push_back({fmt::format("known: {}{}", text(c), from_source(c)), {}});
    }
    for (const auto& [var, value] : known_.facts.at_end.equalities()) {
      if (var != v.get()) continue;
      const std::string source = from_source(eq(v, value));
      d.from.push_back({fmt::format("known: it equals {}{}", text(value), source), {}});
    }
  }

  std::string from_source(const Expr& condition) const {
    for (const FactSource& source : known_.facts.sources) {
      for (const Expr& learned : source.learned) {
        if (structural_equal(learned, condition)) return ", by " + source_name(*source.binding);
      }
    }
    return "";
  }

  // A check is named by the operator that its message begins with.
  std::string source_name(const graph::Binding& b) const {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!is_check(b.value)) return b.cast ? fmt::format("match_cast{}", place(b)) : step_name(b);
    const std::string message = call->attrs.get_string("message");
    const size_t end = message.find('`', 1);
    const bool names_operator = message.starts_with('`') && end != std::string::npos;
    return (names_operator ? message.substr(0, end + 1) : "a check") + place(b);
  }

  static std::string place(const graph::Binding& b) {
    return b.span ? fmt::format(" ({})", b.span.to_string()) : "";
  }

  // The binding whose type introduces a symbol; null for those of parameters.
  const graph::Binding* binder_of(const Var& v) const {
    for (const graph::Variable& p : f_->params) {
      for (const Var& bound : binding_symbols(p->type)) {
        if (bound == v) return nullptr;
      }
    }
    const graph::Binding* found = nullptr;
    graph::visit_bindings(f_->body, true, [&](const graph::Binding& b) {
      if (found) return;
      for (const Var& bound : binding_symbols(b.var->type)) {
        if (bound == v) found = bindings_.at(b.var.get());
      }
    });
    return found;
  }

  Derivation bound_inside(const Var& v, const graph::Binding& b) {
    if (const auto named = size_name(b)) return about_name(*named, b);
    const std::string how = b.cast ? "match_cast" : step_name(b);
    return {fmt::format("bound where {} gives `{}` of type `{}`: the data decides `{}`", how,
                        b.var->name, to_string(b.var->type), text(v)),
            {}};
  }

  // A name of a size: what it stands for, and what names in that stand for.
  Derivation about_name(const SizeName& named, const graph::Binding& b) {
    Derivation d{fmt::format("stands for `{}`, computed{}", text(named.value), place(b)), {}};
    for (const Var& v : free_vars(named.value)) {
      const graph::Binding* inner = binder_of(v);
      if (!inner) continue;
      const auto other = size_name(*inner);
      if (other && named_.size() < max_known_facts && named_.insert(v.get()).second) {
        Derivation of_other{fmt::format("symbol `{}`", text(v)), {}};
        of_other.from.push_back(about_name(*other, *inner));
        d.from.push_back(std::move(of_other));
      }
    }
    return d;
  }

  // ---- Steps
  // -------------------------------------------------------------------------------------

  // "`concat` (node `/Concat_3`)"
  std::string step_name(const graph::Binding& b) const {
    std::string what = "a binding";
    if (const auto* call = graph::as<graph::CallNode>(b.value)) {
      if (call->op) {
        what = fmt::format("`{}`", call->op->name);
      } else if (const auto* g = graph::as<graph::GlobalNode>(call->callee)) {
        what = fmt::format("a call of `{}`", g->name);
      }
    } else if (b.value->kind == graph::ValueKind::if_) {
      what = "`if`";
    }
    return what + place(b);
  }

  void places_of(const Value& v, std::vector<Place>& out) const {
    auto add_dims = [&](const Dims& dims) {
      for (size_t i = 0; i < dims.size(); ++i) {
        out.push_back({v, Place::Kind::dimension, i, dims[i]});
      }
    };
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const Value& field : tuple->fields) places_of(field, out);
      return;
    }
    if (const auto* t = as<TensorTypeNode>(v->type); t && t->shape) add_dims(*t->shape);
    if (const auto* s = as<ShapeTypeNode>(v->type); s && s->dims) add_dims(*s->dims);
    if (const auto* p = as<PrimTypeNode>(v->type); p && p->value) {
      out.push_back({v, Place::Kind::scalar, 0, p->value});
    }
    auto it = known_.elements.find(v.get());
    if (it == known_.elements.end()) return;
    for (size_t i = 0; i < it->second.size(); ++i) {
      if (it->second[i]) out.push_back({v, Place::Kind::element, i, it->second[i]});
    }
  }

  std::vector<Place> operand_places(const graph::Binding& b) const {
    std::vector<Place> places;
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      places_of(choice->then_body->result, places);
      places_of(choice->else_body->result, places);
    } else if (b.value->kind == graph::ValueKind::variable ||
               b.value->kind == graph::ValueKind::tuple) {
      places_of(b.value, places);
    } else if (const auto* get = graph::as<graph::TupleGetNode>(b.value)) {
      auto it = bindings_.find(get->tuple.get());
      if (it == bindings_.end()) {
        places_of(get->tuple, places);
      } else if (const auto* tuple = graph::as<graph::TupleNode>(it->second->value)) {
        places_of(tuple->fields[static_cast<size_t>(get->index)], places);
      } else {
        return operand_places(*it->second);
      }
    } else {
      graph::visit_operands(b.value, [&](const Value& v) { places_of(v, places); });
    }
    return places;
  }

  // The operand's dimension that the place repeats: at the same position if there is a choice.
  static const Place* repeated(const Place& at, const std::vector<Place>& operands) {
    const Place* best = nullptr;
    for (const Place& p : operands) {
      if (!structural_equal(p.expr, at.expr)) continue;
      if (!best) best = &p;
      if (p.kind == at.kind && p.index == at.index) return &p;
    }
    return best;
  }

  // Of which operands' dimensions an expression that no operand has is made.
  static std::vector<Place> parts(const Expr& e, const std::vector<Place>& operands) {
    std::vector<Place> result;
    for (const Place& p : operands) {
      const std::vector<Var> used = free_vars(p.expr);
      const bool fits = !used.empty() && std::all_of(used.begin(), used.end(),
                                                     [&](const Var& v) { return uses_var(e, v); });
      const bool is_new = std::none_of(result.begin(), result.end(), [&](const Place& q) {
        return structural_equal(p.expr, q.expr);
      });
      if (fits && is_new) result.push_back(p);
    }
    return result;
  }

  std::string describe(const Place& p) const {
    std::string name = "a value";
    if (const auto* v = graph::as<graph::VariableNode>(p.value)) {
      name = fmt::format("`{}`", v->name);
      for (size_t i = 0; i < f_->params.size(); ++i) {
        if (f_->params[i].get() == v) name = fmt::format("input `{}`", interface_.inputs[i].name);
      }
    } else if (p.value->kind == graph::ValueKind::constant) {
      name = "a constant";
    } else if (p.value->kind == graph::ValueKind::shape) {
      name = "a shape";
    } else if (p.value->kind == graph::ValueKind::prim_value) {
      return "a scalar";
    }
    switch (p.kind) {
      case Place::Kind::dimension:
        return fmt::format("dimension {} of {}", p.index, name);
      case Place::Kind::element:
        return fmt::format("element {} of {}", p.index, name);
      case Place::Kind::scalar:
        return fmt::format("the scalar {}", name);
    }
    return name;
  }

  static std::string kept_by(const std::vector<std::string>& steps) {
    std::string list;
    for (size_t i = 0; i < steps.size(); ++i) {
      const bool middle = steps.size() > max_named_steps + 1 && i >= max_named_steps / 2 &&
                          i + max_named_steps / 2 < steps.size();
      if (middle && i == max_named_steps / 2) {
        list += fmt::format(", {} more", steps.size() - max_named_steps);
      }
      if (!middle) list += (list.empty() ? "" : ", ") + steps[i];
    }
    return "kept by " + list;
  }

  // `label`: what the place is called where it is asked about.
  Derivation derive(const std::string& label, Place at, int depth) {
    Derivation d{fmt::format("{}: `{}`", label, text(at.expr)), {}};
    std::vector<std::string> kept;
    while (true) {
      auto it = bindings_.find(at.value.get());
      if (it == bindings_.end() || it->second->cast) break;
      const std::vector<Place> operands = operand_places(*it->second);
      const Place* same = repeated(at, operands);
      if (!same) break;
      const auto kind = it->second->value->kind;
      if (kind == graph::ValueKind::call || kind == graph::ValueKind::if_) {
        kept.push_back(step_name(*it->second));
      }
      at = *same;
    }
    if (!kept.empty()) d.from.push_back({kept_by(kept), {}});
    end_of_chain(at, depth, kept.empty(), d);
    return d;
  }

  // What the place at the end of a chain of operators that keep it comes from. `is_start`: nothing
  // stands between it and what `d` speaks of.
  void end_of_chain(const Place& at, int depth, bool is_start, Derivation& d) {
    const bool again = !visited_.insert({at.value.get(), at.kind, at.index}).second;
    auto it = bindings_.find(at.value.get());
    if (is_constant(at.expr)) {
      d.from.push_back(
          {it == bindings_.end() ? describe(at) : "a constant, from " + step_name(*it->second),
           {}});
      return;
    }
    if (it == bindings_.end()) {
      if (is_start && depth > 0) {
        if (!again) add_symbols(at.expr, d);
        return;
      }
      Derivation input{fmt::format("{}: `{}`", describe(at), text(at.expr)), {}};
      if (!again) add_symbols(at.expr, input);
      d.from.push_back(std::move(input));
      return;
    }
    const graph::Binding& b = *it->second;
    if (b.cast) {
      Derivation cast{fmt::format("match_cast ({}) to `{}`", b.span ? b.span.to_string() : "inside",
                                  to_string(b.cast)),
                      {}};
      if (!again) add_symbols(at.expr, cast);
      d.from.push_back(std::move(cast));
      return;
    }
    Derivation made{fmt::format("made by {}", step_name(b)), {}};
    if (again) {
      made.text += ", as above";
    } else if (depth < max_depth) {
      for (const Place& part : parts(at.expr, operand_places(b))) {
        made.from.push_back(derive("from " + describe(part), part, depth + 1));
      }
      if (made.from.empty()) add_symbols(at.expr, made);
    }
    d.from.push_back(std::move(made));
  }

  void add_symbols(const Expr& e, Derivation& d) {
    for (const Var& v : free_vars(e)) {
      if (told_.insert(v.get()).second) d.from.push_back(about_symbol(v));
    }
  }

  const graph::Function& f_;
  const FunctionInterface interface_;
  const Knowledge& known_;
  std::unordered_map<const graph::ValueNode*, const graph::Binding*> bindings_;
  std::unordered_set<const VarNode*> named_;  // whose definitions were told
  std::set<std::tuple<const graph::ValueNode*, Place::Kind, size_t>> visited_;
  std::set<const VarNode*> told_;
};

void print(const Derivation& d, int indent, std::string& out) {
  out.append(static_cast<size_t>(indent), ' ');
  out += d.text + "\n";
  for (const Derivation& from : d.from) print(from, indent + 2, out);
}

}  // namespace

std::string to_string(const Derivation& derivation) {
  std::string out;
  print(derivation, 0, out);
  return out;
}

Result<Derivation> explain(const Module& module, const OpTable& ops, const std::string& function,
                           const std::string& query) {
  if (!module.graph_function(function)) {
    return error(DiagnosticKind::bad_usage, {}, "the module has no graph function `{}`", function);
  }
  REPOSE_TRY(known, learn(module, ops, function));
  const graph::Function f = known.module.graph_function(function);
  REPOSE_TRY(interface, function_interface(function, f));
  return Explainer(f, std::move(interface), known).run(query);
}

}  // namespace repose

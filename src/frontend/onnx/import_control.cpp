// Control flow: If, Loop. Their graphs are imported in place: as branches of an `if`, as the body
// of a loop.
#include <algorithm>

#include "base/message_text.h"
#include "frontend/onnx/importer.h"
#include "frontend/onnx/sequences.h"

namespace repose::onnx {

using graph::Variable;

namespace {

// A symbol of the loop that is being tried, or one that its body binds, is unknown outside.
bool is_known(const Expr& e, const Builder& b) {
  const std::vector<Var> symbols = free_vars(e);
  return std::all_of(symbols.begin(), symbols.end(),
                     [&](const Var& v) { return b.binds(v.get()); });
}

Operand bool_constant(bool value) {
  Ref<ArrayNode> array = make_array({}, dtypes::boolean);
  array->store(0, Scalar::of_int(value, dtypes::boolean));
  return graph::make_constant(Array(array));
}

std::vector<std::string_view> names_of(const std::vector<Value>& values) {
  std::vector<std::string_view> names;
  for (const Value& v : values) names.push_back(v.name);
  return names;
}

}  // namespace

NodeContext Importer::context_of(const Control& c) {
  std::string name(c.node.op_type);
  for (size_t i = c.node.outputs.size(); i-- > 0;) {
    if (!c.node.outputs[i].empty()) name = c.node.outputs[i];
  }
  return NodeContext({&builder_, &model_, &c.node, &c.around.attributes, c.inputs, c.around.opset,
                      c.span, identifier(name), &quantized_, nullptr});
}

// The results of a graph whose own values are in `inner`; null where the import of one failed,
// which has been reported then.
Result<Values> Importer::import_graph(const Graph& graph, Scope& inner, const Surroundings& around,
                                      const Span& span) {
  if (auto added = add_initializers(graph, inner); !added.ok()) return added.errors();
  const size_t before = num_failures();
  import_nodes(graph.nodes, inner, around, names_of(graph.outputs));
  Values results;
  for (const Value& output : graph.outputs) {
    if (!inner.knows(output.name)) {
      if (num_failures() != before) return Values(graph.outputs.size());
      return error(DiagnosticKind::missing_value, span, "output `{}` is produced by nothing",
                   printable(output.name));
    }
    REPOSE_TRY(value, find_value(output.name, inner));
    if (is_sequence(value)) {
      return error(DiagnosticKind::unsupported_feature, span,
                   "output `{}` of a branch or a loop's body is a sequence",
                   printable(output.name));
    }
    results.push_back(value);
  }
  return results;
}

// ---- If
// ------------------------------------------------------------------------------------------

// A bool of rank 0, or a prim value.
Result<Operand> Importer::condition_of(const NodeContext& c, const Operand& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->dtype != dtypes::boolean) {
    return c.fail(DiagnosticKind::dtype_mismatch, "the condition has dtype {}, expected bool",
                  t->dtype.to_string());
  }
  const std::vector<Expr>* known = builder_.elements_of(v);
  if (known && known->size() == 1 && (*known)[0]) {
    const Truth truth = prove((*known)[0], builder_.facts());
    return graph::make_prim(truth == Truth::unknown ? (*known)[0] : make_bool(truth == Truth::yes));
  }
  if (t->rank == 0) return v;
  return NodeContext(c).reshape(v, {});
}

// One of two branches: its results, or (where that failed) nothing that fits.
Result<Operand> Importer::import_branch(const Graph& graph, Scope& scope, const Control& c,
                                        const Rest* rest) {
  Scope inner;
  inner.outer = &scope;
  REPOSE_TRY(results, import_graph(graph, inner, c.around, c.span));
  if (rest) {
    Scope side;
    side.outer = &scope;
    for (size_t i = 0; i < c.node.outputs.size(); ++i) {
      if (c.node.outputs[i].empty()) continue;
      side.values[c.node.outputs[i]] = i < results.size() ? results[i] : nullptr;
    }
    import_in_order(rest->nodes, rest->order, side, c.around, rest->wanted);
    results.clear();
    for (std::string_view name : rest->wanted) {
      if (!side.knows(name)) return Operand();
      REPOSE_TRY(value, find_value(name, side));
      results.push_back(value);
    }
  }
  if (std::find(results.begin(), results.end(), nullptr) != results.end()) return Operand();
  return results.size() == 1 ? results[0] : graph::make_tuple(std::move(results));
}

namespace {

// What is known of the elements of a value, or of each member of a tuple.
using Elements = std::vector<std::optional<std::vector<Expr>>>;

Elements elements_in(const Builder& b, const Operand& v) {
  if (!v) return {};
  Elements all;
  const auto* tuple = graph::as<graph::TupleNode>(v);
  for (const Operand& member : tuple ? tuple->fields : std::vector<Operand>{v}) {
    const std::vector<Expr>* known = b.elements_of(member);
    all.push_back(known ? std::optional(*known) : std::nullopt);
  }
  return all;
}

// Those that both branches have, each a choice by the condition; of a condition that only the data
// tells, those that are equal.
Elements join_elements(const Builder& b, const Operand& condition, const Elements& yes,
                       const Elements& no) {
  const auto* prim = graph::as<graph::PrimValueNode>(condition);
  auto join = [&](const Expr& x, const Expr& y) -> Expr {
    if (!x || !y || !is_known(x, b) || !is_known(y, b)) return nullptr;
    if (structural_equal(x, y)) return x;
    return prim && x->dtype == y->dtype ? make_select(prim->value, x, y) : nullptr;
  };
  Elements all;
  for (size_t i = 0; i < yes.size(); ++i) {
    all.emplace_back();
    if (!yes[i] || !no[i] || yes[i]->size() != no[i]->size()) continue;
    std::vector<Expr> joined;
    for (size_t k = 0; k < yes[i]->size(); ++k) {
      joined.push_back(join((*yes[i])[k], (*no[i])[k]));
    }
    if (std::find(joined.begin(), joined.end(), nullptr) == joined.end()) {
      all.back() = std::move(joined);
    }
  }
  return all;
}

// What no values of the symbols make right, and nothing that is only missing here.
bool is_wrong(const Diagnostic& d) {
  switch (d.kind) {
    case DiagnosticKind::rank_mismatch:
    case DiagnosticKind::shape_mismatch:
    case DiagnosticKind::bad_argument:
      return true;
    default:
      return false;
  }
}

}  // namespace

// Both branches; nothing where one of them could not be imported. If that is because it is wrong
// (traced models have such branches, for sizes that they never see), the next attempt leaves it
// out.
Result<Importer::Joined> Importer::import_branches(const Operand& condition,
                                                   const Graph& then_graph, const Graph& else_graph,
                                                   const Control& c, const Rest* rest) {
  const Operand nothing = graph::make_prim(make_int(0));
  const size_t failures = num_failures(), errors = errors_.size();
  NodePath wrong;
  std::string why;
  size_t num_wrong = 0;
  auto branch = [&](const Graph& graph, int side) {
    const size_t before = errors_.size();
    path_.emplace_back(&c.node, side);
    auto result = import_branch(graph, c.scope, c, rest);
    if (!result.ok()) report(result.errors());
    const auto own = std::span(errors_).subspan(before);
    if (!own.empty() && std::all_of(own.begin(), own.end(), is_wrong)) {
      wrong = path_;
      why = own[0].text;
      ++num_wrong;
    }
    path_.pop_back();
    return result.ok() ? *result : nullptr;
  };
  builder_.begin_if(condition, c.span);
  const Operand yes = branch(then_graph, 1);
  const Elements of_yes = elements_in(builder_, yes);
  builder_.begin_else(yes ? yes : nothing);
  const Operand no = branch(else_graph, 0);
  const Elements of_no = elements_in(builder_, no);
  REPOSE_TRY(joined, builder_.end_if(yes && no ? no : nothing, context_of(c).name()));
  const bool nothing_else = num_failures() - failures == errors_.size() - errors;
  if (num_wrong == 1 && nothing_else && (yes || no)) {
    errors_.resize(errors);
    found_dead_.emplace(std::move(wrong), std::move(why));
    return Joined{};
  }
  if (!yes || !no) return Joined{};
  return Joined{joined, join_elements(builder_, condition, of_yes, of_no)};
}

// The condition, or (where one of the branches is known to be wrong) that the other one is taken,
// which is checked.
Result<Operand> Importer::decide(const NodeContext& c, const Node& node, const Operand& condition) {
  NodePath path = path_;
  path.emplace_back(&node, 0);
  for (const int side : {1, 0}) {
    path.back().second = side;
    const auto it = dead_.find(path);
    if (it == dead_.end()) continue;
    const auto* prim = graph::as<graph::PrimValueNode>(condition);
    REPOSE_TRY(holds, prim ? Result<Expr>(prim->value) : truth_of(c, condition));
    auto required = builder_.require(
        side ? make_not(holds) : holds,
        fmt::format("`If`: the branch that is taken cannot run: {}", escaped(it->second)), {},
        c.span());
    if (!required.ok()) return required.errors();
    return graph::make_prim(make_bool(side == 0));
  }
  return condition;
}

Result<Values> Importer::import_if(const Control& c) {
  NodeContext context = context_of(c);
  REPOSE_TRY(given, context.input(0));
  REPOSE_TRY(asked, condition_of(context, given));
  REPOSE_TRY(condition, decide(context, c.node, asked));
  const auto* prim = graph::as<graph::PrimValueNode>(condition);
  int64_t known = 0;
  if (prim && as_const_int(prim->value, &known)) {
    REPOSE_TRY(graph, context.graph(known ? "then_branch" : "else_branch"));
    Scope inner;
    inner.outer = &c.scope;
    return import_graph(*graph, inner, c.around, c.span);
  }
  REPOSE_TRY(then_graph, context.graph("then_branch"));
  REPOSE_TRY(else_graph, context.graph("else_branch"));
  if (then_graph->outputs.size() != else_graph->outputs.size()) {
    return context.fail(DiagnosticKind::bad_model, "the branches give {} and {} values",
                        then_graph->outputs.size(), else_graph->outputs.size());
  }
  REPOSE_TRY(joined, import_branches(condition, *then_graph, *else_graph, c, nullptr));
  const size_t count = then_graph->outputs.size();
  if (!joined.value) return Values(count);
  REPOSE_TRY(results, members(joined.value, count, context.name(), c.span));
  for (size_t i = 0; i < count; ++i) {
    const auto* variable = graph::as<graph::VariableNode>(results[i]);
    if (variable && joined.elements[i]) {
      builder_.set_elements(Variable(variable), *joined.elements[i]);
    }
    const TensorTypeNode* t = graph::tensor_of(results[i]);
    if (t && t->shape && t->dtype) continue;
    if (t && t->dtype && splits_.size() + found_splits_.size() < max_splits) {
      found_splits_.insert(&c.node);  // the next attempt has what follows in both branches
      return Values(count);
    }
    return context.fail(DiagnosticKind::unsupported_feature,
                        "its branches give result {} in different {}", i,
                        t && t->dtype ? "ranks" : "dtypes");
  }
  return results;
}

// An `If` whose branches differ in rank: what follows stands in both of them.
bool Importer::import_split(const Control& c, const Rest& rest) {
  NodeContext context = context_of(c);
  auto attempt = [&]() -> Result<bool> {
    REPOSE_TRY(given, context.input(0));
    REPOSE_TRY(asked, condition_of(context, given));
    REPOSE_TRY(condition, decide(context, c.node, asked));
    const auto* prim = graph::as<graph::PrimValueNode>(condition);
    if (prim && is_constant(prim->value)) return false;
    REPOSE_TRY(then_graph, context.graph("then_branch"));
    REPOSE_TRY(else_graph, context.graph("else_branch"));
    REPOSE_TRY(joined, import_branches(condition, *then_graph, *else_graph, c, &rest));
    if (!joined.value) return true;
    REPOSE_TRY(results, members(joined.value, rest.wanted.size(), context.name(), c.span));
    for (size_t i = 0; i < results.size(); ++i) {
      const TensorTypeNode* t = graph::tensor_of(results[i]);
      if (!t || !t->shape || !t->dtype) {
        return context.fail(DiagnosticKind::unsupported_feature,
                            "its branches lead to `{}` in different {}", printable(rest.wanted[i]),
                            t && t->dtype ? "ranks" : "dtypes");
      }
      c.scope.values[rest.wanted[i]] = results[i];
    }
    return true;
  };
  auto done = attempt();
  if (!done.ok()) report(done.errors());
  return !done.ok() || *done;
}

// The members of a tuple of `count` values, or the one value.
Result<Values> Importer::members(const Operand& v, size_t count, const std::string& name,
                                 const Span& span) {
  if (count == 1) return Values{v};
  Values all;
  for (size_t i = 0; i < count; ++i) {
    REPOSE_TRY(member, builder_.emit(graph::make_tuple_get(v, static_cast<int>(i)), name, span));
    all.push_back(member);
  }
  return all;
}

// ---- Loops
// ---------------------------------------------------------------------------------------

namespace {

// What is known of a value that a loop carries: its type in an iteration, from what the attempts to
// import the body have shown.
struct Carried {
  enum class Kind { same, linear, free };
  struct Dim {
    Kind kind = Kind::same;
    Expr step;  // of `linear`: what an iteration adds
  };
  bool is_invariant = false;  // the body gives what it gets: it is no carried value at all
  std::vector<Dim> dims;

  Dims at(const Dims& init, const Expr& i) const {
    Dims shape;
    for (size_t d = 0; d < dims.size(); ++d) {
      if (dims[d].kind == Kind::free) {
        shape.push_back(make_var("d", dtypes::index, VarRole::dimension));
      } else if (dims[d].kind == Kind::linear) {
        shape.push_back(canonical(init[d] + i * dims[d].step));
      } else {
        shape.push_back(init[d]);
      }
    }
    return shape;
  }
};

}  // namespace

Result<Importer::LoopResults> Importer::import_loop_body(const Control& c, const LoopNode& loop) {
  NodeContext context = context_of(c);
  const size_t num_carried = loop.inits.size();
  const size_t first_result = loop.has_flag ? 1 : 0;
  const size_t num_stacked = loop.num_stacked;
  std::vector<Carried> carried(num_carried);
  std::vector<const TensorTypeNode*> types;
  for (size_t k = 0; k < num_carried; ++k) {
    if (!loop.inits[k]) {
      return context.fail(DiagnosticKind::wrong_arity, "initial value {} is missing", k);
    }
    types.push_back(graph::tensor_of(loop.inits[k]));
    if (!types[k]->shape || !types[k]->dtype) {
      return context.fail(DiagnosticKind::unsupported_feature,
                          "initial value {} has the type `{}`; its rank has to be known", k,
                          to_string(loop.inits[k]->type));
    }
    carried[k].dims.resize(types[k]->shape->size());
  }
  Operand flag = loop.flag;
  Expr limit = loop.limit;
  std::vector<LoopBuilder::Row> rows;
  bool knows_rows = num_stacked == 0;
  Diagnostics first_errors;
  // Each attempt knows more of the types than the one before, or takes less for granted.
  for (int attempts = 0;; ++attempts) {
    LoopBuilder::Fields fields{&builder_, c.span, context.name(), limit,
                               {},        flag,   rows,           loop.limit_is_size || !flag};
    for (size_t k = 0; k < num_carried; ++k) {
      if (!carried[k].is_invariant) fields.inits.push_back(loop.inits[k]);
    }
    LoopBuilder build(std::move(fields));
    std::vector<repose::Type> here;
    for (size_t k = 0; k < num_carried; ++k) {
      if (carried[k].is_invariant) continue;
      here.push_back(
          tensor_type(carried[k].at(*types[k]->shape, build.counter()), types[k]->dtype));
    }
    if (auto begun = build.begin_body(here); !begun.ok()) return begun.errors();

    Values params;
    for (size_t k = 0, next = 0; k < num_carried; ++k) {
      params.push_back(carried[k].is_invariant ? loop.inits[k] : Operand(build.carried()[next++]));
    }
    const Diagnostics before = errors_;
    path_.emplace_back(&c.node, 3 + attempts);
    auto results = loop.body(build.counter(), params);
    path_.pop_back();
    if (!results.ok()) report(results.errors());
    const bool failed =
        !results.ok() || std::find(results->begin(), results->end(), nullptr) != results->end();
    bool again = false;
    if (failed) {
      // What was taken for granted of sizes may be what stands in the way.
      build.drop_body();
      if (first_errors.empty()) first_errors = errors_;
      for (Carried& value : carried) {
        for (Carried::Dim& d : value.dims) {
          if (value.is_invariant || d.kind == Carried::Kind::free) continue;
          d.kind = Carried::Kind::free;
          again = true;
        }
      }
      if (again && !has_to_start_again()) {
        errors_ = before;
        continue;
      }
      errors_ = first_errors;
      return LoopResults{Values(num_carried), Values(num_stacked)};
    }
    const Operand goes_on = loop.has_flag ? (*results)[0] : nullptr;
    if (flag && limit && is_known_true(goes_on)) {
      // The first test alone decides: all iterations, or none.
      build.drop_body();
      REPOSE_TRY(begins, truth_of(context, flag));
      limit = simplify(make_select(begins, limit, make_int(0)), builder_.facts());
      flag = nullptr;
      continue;
    }
    if (loop.has_flag && !flag && !is_known_true(goes_on)) {
      flag = bool_constant(true);
      again = true;
    }
    for (size_t k = 0; k < num_carried; ++k) {
      if (carried[k].is_invariant) continue;
      const Operand& next = (*results)[first_result + k];
      if (next == params[k]) {
        carried[k].is_invariant = true;
        again = true;
        continue;
      }
      const TensorTypeNode* t = graph::tensor_of(next);
      const TensorTypeNode* given = graph::tensor_of(params[k]);
      if (t->dtype != given->dtype || t->rank != given->rank || !t->shape) {
        const Diagnostic problem =
            context.fail(DiagnosticKind::type_mismatch,
                         "carried value {} has the type `{}`, the body makes `{}` of it", k,
                         to_string(params[k]->type), to_string(next->type));
        build.drop_body();
        return problem;
      }
      for (size_t d = 0; d < carried[k].dims.size(); ++d) {
        Carried::Dim& dim = carried[k].dims[d];
        if (dim.kind == Carried::Kind::free) continue;
        const Expr &have = (*t->shape)[d], &now = (*given->shape)[d];
        const Expr wanted = dim.kind == Carried::Kind::linear ? canonical(now + dim.step) : now;
        if (prove_equal(have, wanted, builder_.facts()) == Truth::yes) continue;
        again = true;
        dim.step = simplify(have - now, builder_.facts());
        dim.kind = dim.kind == Carried::Kind::same ? Carried::Kind::linear : Carried::Kind::free;
      }
    }
    if (!knows_rows) {
      for (size_t k = 0; k < num_stacked; ++k) {
        const Operand& row = (*results)[first_result + num_carried + k];
        const TensorTypeNode* t = graph::tensor_of(row);
        if (!t || !t->shape || !t->dtype) {
          build.drop_body();
          return context.fail(DiagnosticKind::unsupported_feature,
                              "scan output {} has the type `{}`; its rank has to be known", k,
                              to_string(row->type));
        }
      }
    }
    std::vector<LoopBuilder::Row> found_rows;
    for (size_t k = 0; k < num_stacked; ++k) {
      const TensorTypeNode* t = graph::tensor_of((*results)[first_result + num_carried + k]);
      found_rows.push_back({{}, t->dtype});
      for (const Expr& d : *t->shape) {
        found_rows.back().dims.push_back(simplify(d, builder_.facts()));
      }
    }
    if (again || !knows_rows) {
      build.drop_body();
      for (Carried& value : carried) {
        for (Carried::Dim& d : value.dims) {
          if (d.kind == Carried::Kind::linear && !is_known(d.step, builder_)) {
            d.kind = Carried::Kind::free;
          }
        }
      }
      // Rows are asked for where nothing else is going to change.
      if (!again) {
        for (LoopBuilder::Row& row : found_rows) {
          for (Expr& d : row.dims) {
            if (!is_known(d, builder_)) d = nullptr;
          }
        }
        rows = std::move(found_rows);
        knows_rows = true;
      }
      continue;
    }
    Values next, stacked;
    for (size_t k = 0; k < num_carried; ++k) {
      if (!carried[k].is_invariant) next.push_back((*results)[first_result + k]);
    }
    for (size_t k = 0; k < num_stacked; ++k) {
      stacked.push_back((*results)[first_result + num_carried + k]);
    }
    REPOSE_TRY(goes_on_flag,
               flag ? condition_tensor(context, goes_on) : Result<Operand>(Operand()));
    REPOSE_TRY(done, build.end_body(next, goes_on_flag, stacked));
    LoopResults all;
    for (size_t k = 0, at = 0; k < num_carried; ++k) {
      all.carried.push_back(carried[k].is_invariant ? loop.inits[k] : done.carried[at++]);
    }
    all.stacked = std::move(done.stacked);
    return all;
  }
}

bool Importer::is_known_true(const Operand& v) const {
  const std::vector<Expr>* known = builder_.elements_of(v);
  return known && known->size() == 1 && (*known)[0] &&
         prove((*known)[0], builder_.facts()) == Truth::yes;
}

// A condition as a tensor of rank 0.
Result<Operand> Importer::condition_tensor(const NodeContext& c, const Operand& v) {
  const TensorTypeNode* t = graph::tensor_of(v);
  if (t->dtype != dtypes::boolean) {
    return c.fail(DiagnosticKind::dtype_mismatch, "the condition has dtype {}, expected bool",
                  t->dtype.to_string());
  }
  return t->rank == 0 ? Result<Operand>(v) : NodeContext(c).reshape(v, {});
}

// A graph whose inputs are given.
Result<Values> Importer::import_body(const Control& c, const Graph& body, const Values& inputs) {
  Scope inner;
  inner.outer = &c.scope;
  for (size_t i = 0; i < inputs.size(); ++i) inner.values[body.inputs[i].name] = inputs[i];
  return import_graph(body, inner, c.around, c.span);
}

// A condition of the data as an expression.
Result<Expr> Importer::truth_of(const NodeContext& c, const Operand& v) {
  NodeContext context = c;
  REPOSE_TRY(number, context.cast(v, dtypes::int64));
  REPOSE_TRY(elements, context.elements(number, "condition"));
  return ne(elements.at(0), make_int(0));
}

// Without a condition the loop goes on as long as the body's says so, as ONNX Runtime has it.
Result<Values> Importer::import_loop(const Control& c) {
  if (std::any_of(c.inputs.begin(), c.inputs.end(), is_sequence)) return import_building_loop(c);
  NodeContext context = context_of(c);
  REPOSE_TRY(body, context.graph("body"));
  const size_t num_carried = c.node.inputs.size() < 2 ? 0 : c.node.inputs.size() - 2;
  if (body->inputs.size() != 2 + num_carried || body->outputs.size() < 1 + num_carried) {
    return context.fail(DiagnosticKind::bad_model,
                        "{} values are carried, but the body takes {} and gives {}", num_carried,
                        body->inputs.size(), body->outputs.size());
  }
  LoopNode loop;
  loop.has_flag = true;
  loop.num_stacked = body->outputs.size() - 1 - num_carried;
  for (size_t k = 0; k < num_carried; ++k) loop.inits.push_back(context.optional(2 + k));
  if (context.has(0)) {
    REPOSE_TRY(elements, context.elements(context.optional(0), "trip_count"));
    if (elements.size() != 1) {
      return context.fail(DiagnosticKind::bad_argument, "the trip count has {} elements",
                          elements.size());
    }
    const Expr zero = make_int(0);
    loop.limit = prove_le(zero, elements[0], builder_.facts()) == Truth::yes
                     ? elements[0]
                     : simplify(max(elements[0], zero), builder_.facts());
  }
  if (context.has(1) && !is_known_true(context.optional(1))) {
    REPOSE_TRY(flag, condition_tensor(context, context.optional(1)));
    loop.flag = flag;
  }
  if (loop.limit) {
    // Where a condition ends the loop, a limit is often just large.
    constexpr int64_t most_rows = int64_t{1} << 20;
    int64_t limit = 0;
    const bool is_number = as_const_int(loop.limit, &limit);
    const std::vector<Var> symbols = free_vars(loop.limit);
    loop.limit_is_size = is_number ? limit <= most_rows
                                   : std::all_of(symbols.begin(), symbols.end(), [](const Var& v) {
                                       return v->role == VarRole::dimension;
                                     });
  }
  loop.body = [&, body](const Expr& i, const Values& carried) -> Result<Values> {
    Composite m(context);
    REPOSE_TRY(number, m.result(m.number(i, dtypes::int64)));
    Values inputs{number, bool_constant(true)};
    inputs.insert(inputs.end(), carried.begin(), carried.end());
    return import_body(c, *body, inputs);
  };
  REPOSE_TRY(results, import_loop_body(c, loop));
  Values all = std::move(results.carried);
  all.insert(all.end(), results.stacked.begin(), results.stacked.end());
  return all;
}

}  // namespace repose::onnx

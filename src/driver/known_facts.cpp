// What is known of the symbols of a graph function, and which of its bindings makes sure of it.
#include "driver/known_facts.h"

#include <algorithm>
#include <unordered_set>

#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/structural.h"

namespace repose {

namespace {

using Elements = std::unordered_map<const graph::ValueNode*, std::vector<Expr>>;

// Collects what a type rule promises of its result.
class PromiseContext : public InferContext {
 public:
  PromiseContext(const Facts& facts, FoundBroadcasts& found, const Elements& elements,
                 const Module& module, Span span)
      : facts_(facts),
        found_(found),
        elements_(elements),
        module_(module),
        span_(std::move(span)) {}
  const Facts& facts() const override { return facts_; }
  FoundBroadcasts& found_broadcasts() override { return found_; }
  const std::vector<Expr>* elements_of(const graph::Value& v) const override {
    auto it = elements_.find(v.get());
    return it == elements_.end() ? nullptr : &it->second;
  }
  Result<void> require(const Expr& condition, const std::string& message,
                       std::vector<Expr>) override {
    if (message.empty()) promises.push_back(condition);
    return {};
  }
  const Module& module() const override { return module_; }
  Span span() const override { return span_; }

  std::vector<Expr> promises;

 private:
  const Facts& facts_;
  FoundBroadcasts& found_;
  const Elements& elements_;
  const Module& module_;
  const Span span_;
};

class FactLog {
 public:
  FactLog(const graph::Function& f, const Elements& elements, const Module& module)
      : elements_(elements), module_(module) {
    known_.at_end = declared_facts(f);
    for (const graph::Variable& p : f->params) bind(p->type);
    graph::visit_bindings(f->body, false, [&](const graph::Binding& b) { binding(b); });
  }

  KnownFacts take() { return std::move(known_); }

 private:
  // Whether the type binds a symbol that wasn't bound.
  bool bind(const Type& t) {
    bool is_new = false;
    for (const Var& v : binding_symbols(t)) is_new = bound_.insert(v.get()).second || is_new;
    return is_new;
  }

  void binding(const graph::Binding& b) {
    const bool binds = bind(b.var->type);
    if (const Expr condition = check_condition(b.value)) {
      learn(b, condition);
    } else if (const auto named = size_name(b)) {
      known_.at_end.define(named->name, named->value);
    } else if (b.cast) {
      for (const Expr& equality : cast_equalities(b)) learn(b, equality);
    } else if (binds) {
      promises(b);
    }
  }

  // The type rule makes symbols of its own, which stand for those of the binding, in order.
  void promises(const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!call || !call->op) return;
    PromiseContext context(known_.at_end, found_, elements_, module_, b.span);
    auto type = call->op->infer(context, *call);
    if (!type.ok()) return;
    const std::vector<Var> theirs = binding_symbols(*type), ours = binding_symbols(b.var->type);
    if (theirs.size() != ours.size()) return;
    VarMap symbols;
    for (size_t i = 0; i < ours.size(); ++i) symbols.emplace(theirs[i].get(), ours[i]);
    for (const Expr& promise : context.promises) learn(b, substitute(promise, symbols));
  }

  void learn(const graph::Binding& b, const Expr& condition) {
    const Facts before = known_.at_end;
    Facts& facts = known_.at_end;
    facts.assume(condition);
    FactSource source{&b, condition, {}, {}};
    for (const Var& v : free_vars(condition)) {
      const Interval range = facts.range_of(v);
      if (range != before.range_of(v)) source.ranges.emplace_back(v, range);
    }
    for (const Expr& c : facts.conditions()) note(c, source);
    for (const auto& [var, value] : facts.equalities()) note(eq(Var(var), value), source);
    if (!source.ranges.empty() || !source.learned.empty()) {
      known_.sources.push_back(std::move(source));
    }
  }

  void note(const Expr& c, FactSource& source) {
    const bool is_known = std::any_of(conditions_.begin(), conditions_.end(),
                                      [&](const Expr& e) { return structural_equal(e, c); });
    if (is_known) return;
    conditions_.push_back(c);
    source.learned.push_back(c);
  }

  const Elements& elements_;
  const Module& module_;
  KnownFacts known_;
  FoundBroadcasts found_;
  std::unordered_set<const VarNode*> bound_;
  std::vector<Expr> conditions_;
};

}  // namespace

KnownFacts facts_at_end(const graph::Function& f, const Elements& elements, const Module& module) {
  return FactLog(f, elements, module).take();
}

}  // namespace repose

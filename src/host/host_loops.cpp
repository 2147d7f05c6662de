// Loops in host code: what is carried has a home; one without a bound asks for memory as it grows.
#include <algorithm>

#include "base/message_text.h"
#include "host/host_lowering.h"
#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/while_loop.h"

namespace repose {

void HostLowering::lower_loop(const graph::Binding& b, const LoopRange& loop) {
  ++position_;
  REPOSE_CHECK(position_ == loop.enter, "the host passes positions as liveness does");
  const Type& init = loop.call->args[2]->type;
  const Type carried = carried_type(*loop.body, init);
  if (!is_native(b.span, carried)) return;
  OpenLoop open;
  VarMap first;
  match_symbols(carried, init, first);
  const Indices cell{make_int(0)};
  for (const Var& v : binding_symbols(carried)) {
    if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
    open.symbols.push_back(v);
    open.symbol_cells.push_back(
        make_buffer(v->name + "_cell", {make_int(1)}, dtypes::index, Scope::local));
    out_->allocate(open.symbol_cells.back());
    out_->add(tir::make<tir::StoreNode>(open.symbol_cells.back(), cell, first.at(v.get())));
  }
  check_fit(b, init, carried, first, "the initial value");
  enter_homes(b, loop, open);
  fill_dead();
  Buffer goes_on = make_buffer("goes_on", {make_int(1)}, dtypes::boolean, Scope::local);
  out_->allocate(goes_on);
  out_->add(tir::make<tir::StoreNode>(goes_on, cell, make_bool(true)));

  Statements iteration;
  Statements* outer = std::exchange(out_, &iteration);
  const std::vector<Expr> saved = handles_, saved_blocks = block_handles_;
  const std::vector<OpenRegion> saved_regions = regions_;
  for (size_t i = 0; i < open.symbols.size(); ++i) {
    out_->let(open.symbols[i], make_load(open.symbol_cells[i], cell));
  }
  for (size_t i = 0; i < loop.leaves.size(); ++i) {
    if (!open.data_cells[i]) continue;
    Var data = handle_var(plan_.live.storages[loop.leaves[i].home].definition->name);
    out_->let(data, make_load(open.data_cells[i], cell));
    block_handles_[plan_.aliases.block_of[loop.leaves[i].home]] = data;
  }
  const Expr condition = lower_test(b, loop, carried);
  Statements step;
  out_ = &step;
  open_regions();
  fill_dead();
  body(loop.body->body);
  lower_back(b, loop, carried, open);
  out_ = &iteration;
  iteration.add(tir::make<tir::IfNode>(condition, step.finish(),
                                       tir::make<tir::StoreNode>(goes_on, cell, make_bool(false)),
                                       b.span));
  out_ = outer;
  handles_ = saved;
  block_handles_ = saved_blocks;
  regions_ = saved_regions;
  out_->add(tir::make<tir::WhileNode>(make_load(goes_on, cell), iteration.finish(), b.span));
  leave_loop(b, loop, carried, open);
}

// Native code carries tensors, and numbers and shapes whose values are expressions.
bool HostLowering::is_native(const Span& span, const Type& t) {
  const auto* tensor = as<TensorTypeNode>(t);
  const auto* shape = as<ShapeTypeNode>(t);
  const auto* prim = as<PrimTypeNode>(t);
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    return std::all_of(tuple->fields.begin(), tuple->fields.end(),
                       [&](const Type& field) { return is_native(span, field); });
  }
  if ((tensor && tensor->shape) || (shape && shape->dims) || (prim && prim->value)) return true;
  refuse(span, fmt::format("`while_loop` over a value of type {}", quoted(to_string(t))));
  return false;
}

// Dimensions of carried values that may differ from what the parameters say.
void HostLowering::check_fit(const graph::Binding& b, const Type& have, const Type& want,
                             const VarMap& symbols, const char* what) {
  auto check = [&](const Dims& h, const Dims& w) {
    for (size_t i = 0; i < h.size() && i < w.size(); ++i) {
      const Expr expected = canonical(substitute(w[i], symbols));
      if (structural_equal(h[i], expected) || prove_equal(h[i], expected, facts_) == Truth::yes) {
        continue;
      }
      out_->check(
          canonical(eq(h[i], expected)),
          fmt::format("{}: a dimension of {} is {{0}}, expected {} = {{1}}", quoted(b.var->name),
                      what, quoted(dim_text(w[i], interface_.symbols))),
          {h[i], expected}, b.span);
    }
  };
  if (const auto *h = as<TupleTypeNode>(have), *w = as<TupleTypeNode>(want); h && w) {
    for (size_t i = 0; i < h->fields.size() && i < w->fields.size(); ++i) {
      check_fit(b, h->fields[i], w->fields[i], symbols, what);
    }
  } else if (const auto* h = as<TensorTypeNode>(have), *w = as<TensorTypeNode>(want); h && w) {
    if (h->shape && w->shape) check(*h->shape, *w->shape);
  } else if (const auto* h = as<ShapeTypeNode>(have), *w = as<ShapeTypeNode>(want); h && w) {
    if (h->dims && w->dims) check(*h->dims, *w->dims);
  } else if (const auto* h = as<PrimTypeNode>(have), *w = as<PrimTypeNode>(want); h && w) {
    if (h->value && w->value) check({h->value}, {w->value});
  }
}

// Asks for the home's region, which holds nothing then, and keeps the address in the cell.
Expr HostLowering::ask_for_home(int home, const Buffer& cell, const Expr& bytes) {
  const int region = plan_.region_of[plan_.aliases.block_of[home]];
  Var data = handle_var(plan_.live.storages[home].definition->name);
  Var size = make_var(data->name + "_bytes", dtypes::index, VarRole::let);
  out_->let(size, bytes);
  out_->let(data, make_call(Intrinsic::arena_region, dtypes::handle,
                            {make_int(static_cast<int64_t>(region)), size}));
  out_->add(tir::make<tir::StoreNode>(cell, Indices{make_int(0)}, data));
  return data;
}

// Before the concatenation `s` is made in a home: moves it to the other region, with room for as
// much again, where it has too little.
void HostLowering::grow_for(int s) {
  for (const auto& [home, concatenation] : plan_.aliases.appended) {
    if (concatenation != s) continue;
    const GrowingHome& cells = growing_.at(home);
    const Indices cell{make_int(0)};
    const int region = plan_.region_of[plan_.aliases.block_of[home]];
    Var needed = make_var("needed_bytes", dtypes::index, VarRole::let);
    out_->let(needed, plan_.live.storages[s].bytes);
    auto move_to = [&](bool second) {
      Statements moves;
      Statements* outer = std::exchange(out_, &moves);
      Var room = make_var("room_bytes", dtypes::index, VarRole::let);
      Var data = handle_var(plan_.live.storages[home].definition->name);
      out_->let(room, needed * 2);
      out_->let(data, make_call(Intrinsic::arena_region, dtypes::handle,
                                {make_int(region + (second ? 1 : 0)), room}));
      copy(data, make_load(cells.data, cell), plan_.live.storages[home].bytes);
      out_->add(tir::make<tir::StoreNode>(cells.data, cell, data));
      out_->add(tir::make<tir::StoreNode>(cells.room, cell, room));
      out_->add(tir::make<tir::StoreNode>(cells.is_second, cell, make_bool(second)));
      out_ = outer;
      return moves.finish();
    };
    tir::Stmt to_first = move_to(false), to_second = move_to(true);
    out_->add(tir::make<tir::IfNode>(
        lt(make_load(cells.room, cell), needed),
        tir::make<tir::IfNode>(make_load(cells.is_second, cell), to_first, to_second)));
    Var data = handle_var(plan_.live.storages[home].definition->name);
    out_->let(data, make_load(cells.data, cell));
    block_handles_[plan_.aliases.block_of[home]] = data;
    for (int member : plan_.aliases.blocks[plan_.aliases.block_of[home]].members) {
      handles_[member] = nullptr;  // views of it are elsewhere now
    }
  }
}

bool HostLowering::same_place(int a, int b) const {
  return plan_.aliases.block_of[a] == plan_.aliases.block_of[b] &&
         structural_equal(plan_.aliases.begin_bytes[a], plan_.aliases.begin_bytes[b]);
}

bool HostLowering::is_there(const std::vector<int>& storages, int home) const {
  return storages.size() == 1 && same_place(storages[0], home);
}

void HostLowering::enter_homes(const graph::Binding& b, const LoopRange& loop, OpenLoop& open) {
  const std::vector<Expr> data = places(loop.call->args[2]);
  const std::vector<const TensorTypeNode*> types = tensor_leaves(loop.call->args[2]->type);
  for (size_t i = 0; i < loop.leaves.size(); ++i) {
    const int home = loop.leaves[i].home;
    open.data_cells.emplace_back();
    const int region = plan_.region_of[plan_.aliases.block_of[home]];
    Expr to;
    if (region >= 0 && plan_.regions[region].home == home) {
      Buffer cell = make_buffer(fmt::format("{}_data_{}", b.var->name, i), {make_int(1)},
                                dtypes::handle, Scope::local);
      out_->allocate(cell);
      open.data_cells.back() = cell;
      to = ask_for_home(home, cell, size_bytes(*types[i]));
      if (plan_.aliases.appended.contains(home)) keep_room(home, cell, size_bytes(*types[i]));
    } else {
      to = handle(home);
    }
    if (!is_there(loop.leaves[i].inits, home)) copy(to, data[i], size_bytes(*types[i]));
  }
}

void HostLowering::keep_room(int home, const Buffer& data, const Expr& bytes) {
  const Indices cell{make_int(0)};
  const std::string& name = plan_.live.storages[home].definition->name;
  GrowingHome cells{data, make_buffer(name + "_room", {make_int(1)}, dtypes::index, Scope::local),
                    make_buffer(name + "_is_second", {make_int(1)}, dtypes::boolean, Scope::local)};
  out_->allocate(cells.room);
  out_->allocate(cells.is_second);
  out_->add(tir::make<tir::StoreNode>(cells.room, cell, bytes));
  out_->add(tir::make<tir::StoreNode>(cells.is_second, cell, make_bool(false)));
  growing_.emplace(home, std::move(cells));
}

// The test, and what it says.
Expr HostLowering::lower_test(const graph::Binding& b, const LoopRange& loop, const Type& carried) {
  const Type tested = carried_type(*loop.cond, loop.call->args[2]->type);
  VarMap symbols;
  match_symbols(tested, carried, symbols);
  for (const Var& v : binding_symbols(tested)) {
    if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
    out_->let(v, symbols.at(v.get()));
  }
  check_fit(b, carried, tested, symbols, "what is carried");
  open_regions();
  body(loop.cond->body);
  ++position_;
  return condition_of(loop.cond->body->result);
}

// What the body gives goes to the homes; the symbols get the values of the next iteration.
void HostLowering::lower_back(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                              const OpenLoop& open) {
  ++position_;
  const Value& result = loop.body->body->result;
  const std::vector<const TensorTypeNode*> types = tensor_leaves(result->type);
  std::vector<Expr> data = places(result);
  VarMap next;
  for (const Var& v : binding_symbols(carried)) {
    if (std::find(open.symbols.begin(), open.symbols.end(), v) == open.symbols.end()) {
      next.emplace(v.get(), v);
    }
  }
  match_symbols(carried, result->type, next);
  check_fit(b, result->type, carried, next, "what the body gives");
  for (size_t i = 0; i < loop.leaves.size(); ++i) {
    const int own = loop.leaves[i].copy;
    if (own < 0) continue;
    const Expr to = handle(own);
    copy(to, data[i], size_bytes(*types[i]));
    data[i] = to;
  }
  fill_dead();
  ++position_;
  for (size_t i = 0; i < loop.leaves.size(); ++i) {
    const LoopRange::Leaf& leaf = loop.leaves[i];
    if (leaf.copy < 0 && is_there(leaf.results, leaf.home)) continue;
    const Expr bytes = size_bytes(*types[i]);
    if (!open.data_cells[i]) {
      copy(handle(leaf.home), data[i], bytes);
      continue;
    }
    copy(ask_for_home(leaf.home, open.data_cells[i], bytes), data[i], bytes);
  }
  const Indices cell{make_int(0)};
  std::vector<Var> values;  // all are computed before any cell changes
  for (const Var& v : open.symbols) {
    values.push_back(make_var(v->name + "_next", dtypes::index, VarRole::let));
    out_->let(values.back(), next.at(v.get()));
  }
  for (size_t i = 0; i < open.symbols.size(); ++i) {
    out_->add(tir::make<tir::StoreNode>(open.symbol_cells[i], cell, values[i]));
  }
}

void HostLowering::leave_loop(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                              const OpenLoop& open) {
  ++position_;
  const Indices cell{make_int(0)};
  VarMap last;
  for (size_t i = 0; i < open.symbols.size(); ++i) {
    last.emplace(open.symbols[i].get(), make_load(open.symbol_cells[i], cell));
  }
  VarMap results;
  match_symbols(b.var->type, carried, results);
  for (const Var& v : binding_symbols(b.var->type)) {
    if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
    out_->let(v, substitute(results.at(v.get()), last));
  }
  for (size_t i = 0; i < loop.leaves.size(); ++i) {
    if (!open.data_cells[i]) continue;
    Var data = handle_var(b.var->name);
    out_->let(data, make_load(open.data_cells[i], cell));
    block_handles_[plan_.aliases.block_of[loop.leaves[i].home]] = data;
  }
  // What the loop needed to its end is dead now.
  fill_dead(loop.back, [&](const Block& block) { return block.first() < loop.enter; });
  fill_dead();
}

}  // namespace repose

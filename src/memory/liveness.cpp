// Which storage every tensor of a graph function lives in, and when.
#include "memory/liveness.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/while_loop.h"

namespace repose {

int count_tensors(const Type& t) {
  return static_cast<int>(tensor_leaves(t).size());
}

bool is_view(const graph::CallNode& call) {
  return call.op && (call.op->name == "reshape" || call.op->name == "view");
}

bool is_held(const Type& t) {
  const auto* tensor = as<TensorTypeNode>(t);
  return t->kind == TypeKind::any || (tensor && (!tensor->shape || !tensor->dtype));
}

bool names_held(const graph::Binding& b) {
  return b.cast && !graph::as<graph::CallNode>(b.value) && is_held(b.value->type) &&
         !is_held(b.cast);
}

std::vector<int64_t> overwritten_args(const graph::CallNode& call, const Type& result) {
  if (call.op->name == "call_tir_inplace" || call.op->name == "call_inplace_packed")
    return call.attrs.get_ints("inplace_indices");
  return std::vector<int64_t>(static_cast<size_t>(count_tensors(result)), -1);
}

VarMap program_symbols(const tir::PrimFuncNode& program, const graph::CallNode& call,
                       const Type& result) {
  VarMap symbols;
  std::vector<const TensorTypeNode*> buffers;
  std::vector<Expr> scalars;
  for (const graph::Value& a : graph::as<graph::TupleNode>(call.args[1])->fields) {
    if (const auto* p = graph::as<graph::PrimValueNode>(a)) {
      scalars.push_back(p->value);
    } else {
      buffers.push_back(graph::tensor_of(a));
    }
  }
  const std::vector<int64_t> overwritten = overwritten_args(call, result);
  const std::vector<const TensorTypeNode*> results = tensor_leaves(result);
  for (size_t r = 0; r < results.size(); ++r) {
    if (overwritten.at(r) < 0) buffers.push_back(results[r]);
  }
  size_t next_buffer = 0, next_scalar = 0;
  for (const tir::Param& p : program.params) {
    if (!p.buffer) {
      symbols.emplace(p.var.get(), scalars.at(next_scalar++));
      continue;
    }
    REPOSE_CHECK(next_buffer < buffers.size(), "call_tir gives every buffer of the program");
    const TensorTypeNode* t = buffers[next_buffer++];
    for (size_t d = 0; d < p.buffer->shape.size(); ++d) {
      if (const auto* v = as<VarNode>(p.buffer->shape[d])) symbols.emplace(v, (*t->shape)[d]);
    }
  }
  return symbols;
}

Expr view_offset_bytes(const graph::CallNode& view) {
  if (view.op->name != "view") return make_int(0);
  const Expr& elements = graph::as<graph::PrimValueNode>(view.args[1])->value;
  return canonical(size_bytes(elements, graph::tensor_of(view.args[0])->dtype));
}

namespace {

// Sizes of tensor types: one expression for equal shapes, so that whoever compares or evaluates
// sizes does it once a shape, not once a tensor.
class Sizes {
 public:
  Expr operator()(const TensorTypeNode& t) {
    if (!t.shape) return size_bytes(t);
    uint64_t hash = static_cast<uint64_t>(t.dtype.bits);
    for (const Expr& d : *t.shape) hash = hash * 0x9e3779b97f4a7c15 + d->hash();
    std::vector<std::pair<const TensorTypeNode*, Expr>>& bucket = known_[hash];
    for (const auto& [other, bytes] : bucket) {
      if (other->dtype == t.dtype && same_shape(*other->shape, *t.shape)) {
        return bytes;
      }
    }
    bucket.emplace_back(&t, size_bytes(t));
    return bucket.back().second;
  }

 private:
  static bool same_shape(const Dims& a, const Dims& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const Expr& x, const Expr& y) { return structural_equal(x, y); });
  }

  std::unordered_map<uint64_t, std::vector<std::pair<const TensorTypeNode*, Expr>>> known_;
};

// Forward over the function: storages and their definitions, who uses which where.
class Numbering {
 public:
  Liveness result;
  std::vector<std::vector<int>> uses;  // per position: storages (roots) that are read

  void run(const graph::Function& f) {
    next();  // position 0: entry
    for (size_t i = 0; i < f->params.size(); ++i) {
      Places places;
      for (int k = count_tensors(f->params[i]->type); k > 0; --k) {
        Storage s;
        s.kind = Storage::Kind::input;
        s.input = static_cast<int>(i);
        places.push_back({add(std::move(s))});
      }
      result.places[f->params[i].get()] = std::move(places);
      know(f->params[i]->type);
    }
    for (const graph::Binding& b : head_of(f)) know(b.var->type);
    visit_body(f->body);
    next();
    use(f->body->result);
    result.num_positions = static_cast<int>(uses.size());
  }

 private:
  int position() const { return static_cast<int>(uses.size()) - 1; }
  void next() { uses.emplace_back(); }
  int next_position() {
    next();
    return position();
  }

  int add(Storage s) {
    result.storages.push_back(std::move(s));
    return static_cast<int>(result.storages.size()) - 1;
  }

  void know(const Type& t) {
    for (const Var& v : binding_symbols(t)) result.symbol_positions.emplace(v.get(), position());
  }

  const Places& places_of(const graph::Value& v) {
    if (auto it = result.places.find(v.get()); it != result.places.end()) return it->second;
    Places places;
    if (const auto* constant = graph::as<graph::ConstantNode>(v)) {
      Storage s;
      s.kind = Storage::Kind::constant;
      s.constant = constant;
      places.push_back({add(std::move(s))});
    } else if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const graph::Value& field : tuple->fields) {
        const Places own = places_of(field);
        places.insert(places.end(), own.begin(), own.end());
      }
    } else if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      const Places whole = places_of(get->tuple);
      const auto* type = as<TupleTypeNode>(get->tuple->type);
      size_t begin = 0;
      for (int i = 0; i < get->index; ++i) begin += count_tensors(type->fields[i]);
      const size_t n = count_tensors(type->fields[get->index]);
      places.assign(whole.begin() + begin, whole.begin() + begin + n);
    }
    return result.places[v.get()] = std::move(places);
  }

  void use(const graph::Value& v) {
    for (const std::vector<int>& place : places_of(v)) {
      for (int s : place) uses.back().push_back(result.root(s));
    }
  }

  // New storage for each tensor of a call's result.
  void define(const graph::Variable& var) {
    Places places;
    for (const TensorTypeNode* tensor : tensor_leaves(var->type)) {
      if (!tensor->shape || !tensor->dtype) {
        places.emplace_back();
        continue;
      }
      Storage s;
      s.bytes = sizes_(*tensor);
      s.first = position();
      s.definition = var.get();
      places.push_back({add(std::move(s))});
    }
    result.places[var.get()] = std::move(places);
  }

  // Results that overwrite arguments: where those are.
  void define_in_place(const graph::Variable& var, const graph::CallNode& call) {
    const std::vector<int64_t> overwritten = overwritten_args(call, var->type);
    const auto& args = graph::as<graph::TupleNode>(call.args[1])->fields;
    define(var);
    Places& places = result.places[var.get()];
    for (size_t r = 0; r < places.size(); ++r) {
      if (overwritten.at(r) < 0) continue;
      const Places of = places_of(args[static_cast<size_t>(overwritten[r])]);
      if (of.at(0).size() != 1) continue;
      const int root = result.root(of[0][0]);
      if (result.storages[root].kind == Storage::Kind::computed) places[r] = of[0];
    }
  }

  void define_view(const graph::Variable& var, const graph::CallNode& call) {
    const Places of = places_of(call.args[0]);
    const Expr offset = view_offset_bytes(call);
    if (is_const_int(offset, 0) && call.op->name == "reshape") {
      result.places[var.get()] = of;
      return;
    }
    std::vector<int> place;
    for (int s : of.at(0)) {
      Storage view;
      view.kind = Storage::Kind::view;
      view.base = result.root(s);
      const Expr& begin = result.storages[s].offset_bytes;
      view.offset_bytes = begin ? canonical(begin + offset) : offset;
      view.bytes = sizes_(*as<TensorTypeNode>(var->type));
      view.first = position();
      view.definition = var.get();
      place.push_back(add(std::move(view)));
    }
    result.places[var.get()] = {std::move(place)};
  }

  void visit_body(const graph::Body& body) {
    for (const graph::Block& block : body->blocks) {
      for (const graph::Binding& b : block.bindings) visit_binding(b);
    }
  }

  void visit_if(const graph::Binding& b, const graph::IfNode& choice) {
    BranchJoin join;
    next();
    use(choice.condition);
    join.then_begin = position() + 1;
    visit_body(choice.then_body);
    next();
    use(choice.then_body->result);
    join.then_end = position();
    join.else_begin = position() + 1;
    visit_body(choice.else_body);
    next();
    use(choice.else_body->result);
    join.else_end = position();
    next();
    join.join = position();
    Places joined = places_of(choice.then_body->result);
    const Places other = places_of(choice.else_body->result);
    for (size_t i = 0; i < joined.size() && i < other.size(); ++i) {
      join.leaves.emplace_back(joined[i], other[i]);
      for (int s : other[i]) {
        if (std::find(joined[i].begin(), joined[i].end(), s) == joined[i].end()) {
          joined[i].push_back(s);
        }
      }
    }
    joined.resize(tensor_leaves(b.var->type).size());  // other ones where branches differ in kind
    result.places[b.var.get()] = std::move(joined);
    result.joins.push_back(std::move(join));
  }

  // Storages for the tensors of parameters that a loop carries.
  void define_homes(LoopRange& loop, const Type& init_type, const graph::Value& init) {
    const Places inits = places_of(init);
    for (const graph::Variable& p : loop.body->params) {
      Places places;
      for (const TensorTypeNode* tensor : tensor_leaves(p->type)) {
        Storage s;
        s.bytes = sizes_(*tensor);
        s.first = loop.enter;
        s.definition = p.get();
        LoopRange::Leaf leaf;
        leaf.home = add(std::move(s));
        const size_t k = loop.leaves.size();
        if (k < inits.size()) leaf.inits = inits[k];
        places.push_back({leaf.home});
        loop.leaves.push_back(std::move(leaf));
      }
      result.places[p.get()] = std::move(places);
    }
    size_t next_home = 0;
    for (const graph::Variable& p : loop.cond->params) {
      Places places;
      for (int k = count_tensors(p->type); k > 0; --k) {
        places.push_back({loop.leaves.at(next_home++).home});
      }
      result.places[p.get()] = std::move(places);
    }
    REPOSE_CHECK(static_cast<int>(inits.size()) == count_tensors(init_type),
                 "every tensor is somewhere");
  }

  // What the body gives is copied to the homes at once: what lies in one, by way of a copy.
  void find_results(LoopRange& loop) {
    const Places results = places_of(loop.body->body->result);
    const std::vector<const TensorTypeNode*> types = tensor_leaves(loop.body->body->result->type);
    auto is_home = [&](int s) {
      return std::any_of(loop.leaves.begin(), loop.leaves.end(),
                         [&](const LoopRange::Leaf& leaf) { return leaf.home == result.root(s); });
    };
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      LoopRange::Leaf& leaf = loop.leaves[i];
      leaf.results = results.at(i);
      const bool stays = leaf.results.size() == 1 && leaf.results[0] == leaf.home;
      if (stays || std::none_of(leaf.results.begin(), leaf.results.end(), is_home)) continue;
      Storage copy;
      copy.bytes = sizes_(*types.at(i));
      copy.first = position();
      copy.definition = result.storages[static_cast<size_t>(leaf.home)].definition;
      leaf.copy = add(std::move(copy));
    }
  }

  void visit_loop(const graph::Binding& b, const graph::CallNode& call, const LoopClosures& parts) {
    LoopRange loop;
    loop.call = &call;
    loop.cond = parts.cond;
    loop.body = parts.body;
    loop.enter = next_position();
    const size_t first_storage = result.storages.size();
    use(call.args[2]);
    define_homes(loop, call.args[2]->type, call.args[2]);
    for (const graph::Variable& p : loop.cond->params) know(p->type);
    loop.test_begin = position() + 1;
    visit_body(loop.cond->body);
    loop.test_end = next_position();
    use(loop.cond->body->result);
    for (const LoopRange::Leaf& leaf : loop.leaves)
      use_storage(leaf.home);  // the loop may end here
    for (const graph::Variable& p : loop.body->params) know(p->type);
    loop.body_begin = position() + 1;
    visit_body(loop.body->body);
    loop.body_end = next_position();
    use(loop.body->body->result);
    find_results(loop);
    loop.back = next_position();
    for (const LoopRange::Leaf& leaf : loop.leaves) {
      if (leaf.copy >= 0) {
        use_storage(leaf.copy);
      } else {
        for (int s : leaf.results) use_storage(result.root(s));
      }
    }
    // The next iteration needs what comes from outside again.
    std::vector<int> outer;
    for (int p = loop.test_begin; p < loop.back; ++p) {
      for (int s : uses[static_cast<size_t>(p)]) {
        if (static_cast<size_t>(s) < first_storage) outer.push_back(s);
      }
    }
    std::sort(outer.begin(), outer.end());
    outer.erase(std::unique(outer.begin(), outer.end()), outer.end());
    for (int s : outer) use_storage(s);
    loop.exit = next_position();
    Places places;
    for (const LoopRange::Leaf& leaf : loop.leaves) {
      use_storage(leaf.home);
      places.push_back({leaf.home});
    }
    result.places[b.var.get()] = std::move(places);
    result.loops.push_back(std::move(loop));
  }

  void use_storage(int s) { uses.back().push_back(s); }

  // What the host gives is copied once its symbols are known. What the call reads is kept until
  // then: the host may have given back some of it.
  void receive(const graph::Binding& b) {
    know(b.var->type);
    next();
    graph::visit_operands(b.value, [&](const graph::Value& v) { use(v); });
    result.positions[b.var.get()] = position();
    define(b.var);
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (!call || call->op->name != "call_inplace_packed") return;
    // Arguments that it overwrites are copied before the call.
    const std::vector<int64_t> overwritten = overwritten_args(*call, b.var->type);
    const Places& places = result.places[b.var.get()];
    for (size_t r = 0; r < places.size(); ++r) {
      if (overwritten.at(r) < 0 || places[r].empty()) continue;
      result.storages[static_cast<size_t>(places[r][0])].first = position() - 1;
      use_storage(places[r][0]);
    }
  }

  void visit_binding(const graph::Binding& b) {
    if (const auto* closure = graph::as<graph::FunctionNode>(b.value)) {
      closures_[b.var.get()] = closure;
      result.positions.emplace(b.var.get(), next_position());
      return;
    }
    if (const auto* loop = graph::as<graph::CallNode>(b.value); loop && is_while_loop(*loop)) {
      if (const auto parts = loop_closures(*loop, closures_)) {
        visit_loop(b, *loop, *parts);
        know(b.var->type);
        result.positions.emplace(b.var.get(), position());
        return;
      }
    }
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      visit_if(b, *choice);
      know(b.var->type);
      result.positions.emplace(b.var.get(), position());
      return;
    }
    next();
    result.positions.emplace(b.var.get(), position());
    graph::visit_operands(b.value, [&](const graph::Value& v) { use(v); });
    const auto* call = graph::as<graph::CallNode>(b.value);
    if ((call && is_packed_call(*call)) || names_held(b)) return receive(b);
    if (call && is_view(*call)) {
      define_view(b.var, *call);
    } else if (call) {
      if (call->op && call->op->name == "call_tir_inplace") {
        define_in_place(b.var, *call);
      } else {
        define(b.var);
      }
      if (is_program_call(*call)) result.calls.push_back({position(), call, b.var.get()});
    } else {
      result.places[b.var.get()] = Places(places_of(b.value));
    }
    know(b.var->type);
  }

  Sizes sizes_;
  Closures closures_;
};

// Backward over the positions: from a use down to the definition, branch by branch.
class Backward {
 public:
  Backward(Liveness& live, const std::vector<std::vector<int>>& uses)
      : live_(live),
        uses_(uses),
        definitions_(uses.size()),
        rewritten_(uses.size()),
        ranges_(live.storages.size()),
        join_at_(uses.size(), -1) {
    for (const LoopRange& loop : live.loops) {
      for (const LoopRange::Leaf& leaf : loop.leaves) {
        rewritten_[static_cast<size_t>(loop.back)].push_back(leaf.home);
      }
    }
    for (size_t s = 0; s < live.storages.size(); ++s) {
      if (live.storages[s].kind == Storage::Kind::computed) {
        definitions_[static_cast<size_t>(live.storages[s].first)].push_back(static_cast<int>(s));
      }
    }
    for (size_t j = 0; j < live.joins.size(); ++j) {
      join_at_[static_cast<size_t>(live.joins[j].join)] = static_cast<int>(j);
    }
  }

  void run() {
    Open open;
    walk(live_.num_positions - 1, 0, open);
    close(open, 0);
    for (size_t s = 0; s < live_.storages.size(); ++s) {
      live_.storages[s].live = make_live_set(std::move(ranges_[s]));
    }
  }

 private:
  using Open = std::unordered_map<int, int>;  // live storages, and the position to which

  void walk(int from, int to, Open& open) {
    for (int p = from; p >= to; --p) {
      const int j = join_at_[static_cast<size_t>(p)];
      if (j >= 0) {
        p = walk_branches(live_.joins[static_cast<size_t>(j)], open);
        continue;
      }
      for (int s : rewritten_[static_cast<size_t>(p)]) end(s, p, open);
      for (int s : uses_[static_cast<size_t>(p)]) {
        if (live_.storages[static_cast<size_t>(s)].kind == Storage::Kind::constant) {
          ranges_[static_cast<size_t>(s)].push_back({0, p});  // there anyway: no branch matters
        } else {
          open.emplace(s, p);
        }
      }
      for (int s : definitions_[static_cast<size_t>(p)]) end(s, p, open);
    }
  }

  // Going backward: `s` is written at `p`.
  void end(int s, int p, Open& open) {
    auto it = open.find(s);
    ranges_[static_cast<size_t>(s)].push_back({p, it == open.end() ? p : it->second});
    if (it != open.end()) open.erase(it);
  }

  // From the join to the condition; gives the first position of the branches.
  int walk_branches(const BranchJoin& join, Open& open) {
    close(open, join.join);
    auto defined_in = [&](int s, int begin, int end) {
      const Storage& storage = live_.storages[static_cast<size_t>(s)];
      return storage.kind == Storage::Kind::computed && storage.first >= begin &&
             storage.first <= end;
    };
    Open in_then, in_else;
    for (const auto& [s, last] : open) {
      if (!defined_in(s, join.else_begin, join.else_end)) in_then.emplace(s, join.then_end);
      if (!defined_in(s, join.then_begin, join.then_end)) in_else.emplace(s, join.else_end);
    }
    walk(join.else_end, join.else_begin, in_else);
    close(in_else, join.else_begin);
    walk(join.then_end, join.then_begin, in_then);
    close(in_then, join.then_begin);
    open.clear();
    const int condition = join.then_begin - 1;
    for (const Open& branch : {in_then, in_else}) {
      for (const auto& [s, last] : branch) open.emplace(s, condition);
    }
    return join.then_begin;
  }

  void close(const Open& open, int first) {
    for (const auto& [s, last] : open) ranges_[static_cast<size_t>(s)].push_back({first, last});
  }

  Liveness& live_;
  const std::vector<std::vector<int>>& uses_;
  std::vector<std::vector<int>> definitions_;
  std::vector<std::vector<int>> rewritten_;  // homes at the back of a loop, which reads them first
  std::vector<std::vector<LiveRange>> ranges_;
  std::vector<int> join_at_;
};

}  // namespace

const LoopRange* Liveness::loop_of(const graph::CallNode& call) const {
  const auto it = std::find_if(loops.begin(), loops.end(),
                               [&](const LoopRange& loop) { return loop.call == &call; });
  return it == loops.end() ? nullptr : &*it;
}

Liveness liveness(const graph::Function& f) {
  Numbering numbering;
  numbering.run(f);
  Backward(numbering.result, numbering.uses).run();
  return std::move(numbering.result);
}

}  // namespace repose

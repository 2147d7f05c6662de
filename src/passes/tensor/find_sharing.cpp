// Which results of tensor programs may lie in the bytes of operands.
#include "passes/tensor/find_sharing.h"

#include <algorithm>

#include "ir/function_facts.h"
#include "passes/graph/rewrite_calls.h"
#include "passes/tensor/classify.h"

namespace repose {

namespace {

struct StageLoad {
  Buffer buffer;
  std::vector<Expr> indices;
};

std::vector<StageLoad> loads_of_stage(const Stage& s) {
  std::vector<StageLoad> loads;
  auto collect = [&](const Expr& e) {
    visit(e, [&](const Expr& node) {
      if (const auto* load = as<LoadNode>(node)) loads.push_back({load->buffer, node->args});
      return true;
    });
  };
  collect(s.value);
  if (s.init) collect(s.init);
  for (const std::vector<Expr>* list : {&s.indices, &s.extents, &s.reduce_extents}) {
    for (const Expr& e : *list) collect(e);
  }
  return loads;
}

bool is_compact(const Buffer& b) {
  return b->strides.empty() && !b->offset_elems;
}

Expr product_from(const Buffer& b, size_t d) {
  Expr p = make_int(1);
  for (; d < b->shape.size(); ++d) p = p * b->shape[d];
  return canonical(p);
}

// The element's position in row-major order. Axes that have one value count as 0.
Expr flat_index(const Stage& s, const Buffer& b, const std::vector<Expr>& indices) {
  Expr flat = make_int(0);
  for (size_t d = 0; d < indices.size(); ++d) flat = flat * b->shape[d] + indices[d];
  VarMap zero;
  for (size_t i = 0; i < s.axes.size(); ++i) {
    if (is_const_int(s.extents[i], 1)) zero.emplace(s.axes[i].get(), make_int(0));
  }
  return substitute(flat, zero);
}

class Program {
 public:
  explicit Program(const StagedProgram& p) : p_(p), prefix_(static_cast<size_t>(shared_prefix(p))) {
    for (const Stage& s : p.stages) loads_.push_back(loads_of_stage(s));
    for (size_t k = 0; k < p.stages.size(); ++k) writer_[p.stages[k].target.get()] = k;
  }

  std::vector<Sharing::InPlace> in_place() const {
    std::vector<Sharing::InPlace> pairs;
    for (size_t r = 0; r < p_.params.size(); ++r) {
      const Buffer& result = p_.params[r].buffer;
      if (!result || !writer_.contains(result.get())) continue;
      for (size_t x = 0; x < p_.params.size(); ++x) {
        const Buffer& operand = p_.params[x].buffer;
        if (!operand || writer_.contains(operand.get())) continue;
        if (may_share(result, operand)) pairs.push_back({r, x});
      }
    }
    return pairs;
  }

 private:
  bool may_share(const Buffer& result, const Buffer& operand) const {
    if (result->dtype.size_bytes() != operand->dtype.size_bytes() || result->dtype.bits < 8 ||
        operand->dtype.bits < 8 || !is_compact(result) || !is_compact(operand)) {
      return false;
    }
    const size_t k = writer_.at(result.get());
    const Stage& stage = p_.stages[k];
    if (!stores_identity(stage)) return false;
    for (size_t m = 0; m < loads_.size(); ++m) {
      for (const StageLoad& load : loads_[m]) {
        if (load.buffer != operand) continue;
        const bool safe = m == k  ? reads_in_place(stage, result, load)
                          : m < k ? reads_own_row(p_.stages[m], result, load)
                                  : false;
        if (!safe) return false;
      }
    }
    return true;
  }

  // The element that is read stands where the result's element is written.
  static bool reads_in_place(const Stage& s, const Buffer& result, const StageLoad& load) {
    const Expr read = flat_index(s, load.buffer, load.indices);
    const Expr written = flat_index(s, result, s.indices);
    return is_const_int(simplify(read - written, axis_facts(s)), 0);
  }

  // The element that is read lies in the bytes of the result's row: the leading axes that all
  // stages share say which, and rows have equally many elements in both.
  bool reads_own_row(const Stage& s, const Buffer& result, const StageLoad& load) const {
    if (load.indices.size() < prefix_ || result->shape.size() < prefix_) return false;
    for (size_t d = 0; d < prefix_; ++d) {
      if (load.indices[d] != s.axes[d] ||
          prove_equal(load.buffer->shape[d], result->shape[d]) != Truth::yes) {
        return false;
      }
    }
    return prove_equal(product_from(load.buffer, prefix_), product_from(result, prefix_)) ==
           Truth::yes;
  }

  const StagedProgram& p_;
  const size_t prefix_;
  std::vector<std::vector<StageLoad>> loads_;
  std::unordered_map<const BufferNode*, size_t> writer_;
};

int param_of(const StagedProgram& p, const Buffer& b) {
  for (size_t i = 0; i < p.params.size(); ++i) {
    if (p.params[i].buffer == b) return static_cast<int>(i);
  }
  return -1;
}

// The only stage of a program that moves elements into its only result, in order.
const Stage* only_copy(const StagedProgram& p) {
  if (p.stages.size() != 1 || !p.allocated.empty()) return nullptr;
  const Stage& s = p.stages[0];
  if (s.is_reduction() || !stores_identity(s) || !is_compact(s.target) ||
      param_of(p, s.target) < 0) {
    return nullptr;
  }
  return &s;
}

// A concatenation along axis `a`, before which every extent is 1:
// if a < e0: x0[.., a, ..] else if a < e1: x1[.., a - e0, ..] else …
std::vector<size_t> match_concatenation(const StagedProgram& p) {
  const Stage* s = only_copy(p);
  if (!s || s->axes.empty()) return {};
  size_t axis = 0;
  while (axis + 1 < s->axes.size() && is_const_int(s->extents[axis], 1)) ++axis;
  std::vector<size_t> parts;
  Expr begin = make_int(0), rest = s->value;
  while (rest) {
    const auto choice = rest->kind == ExprKind::if_then_else ? rest : nullptr;
    const auto* load = as<LoadNode>(choice ? choice->args[1] : rest);
    const int param = load ? param_of(p, load->buffer) : -1;
    if (param < 0 || !is_compact(load->buffer) || load->dtype != s->target->dtype ||
        load->args.size() != s->axes.size()) {
      return {};
    }
    for (size_t d = 0; d < s->axes.size(); ++d) {
      const Expr wanted = d == axis ? s->axes[d] - begin : Expr(s->axes[d]);
      const Expr zero = make_int(0);
      const bool same = structural_equal(canonical(load->args[d]), canonical(wanted)) ||
                        (d < axis && is_const_int(load->args[d], 0));
      const bool fits =
          d == axis || prove_equal(load->buffer->shape[d], s->target->shape[d]) == Truth::yes;
      if (!same || !fits) return {};
    }
    parts.push_back(static_cast<size_t>(param));
    const Expr end = canonical(begin + load->buffer->shape[axis]);
    if (choice &&
        !structural_equal(canonical(choice->args[0]), canonical(lt(s->axes[axis], end)))) {
      return {};
    }
    if (!choice && prove_equal(end, s->extents[axis]) != Truth::yes) return {};
    begin = end;
    rest = choice ? choice->args[2] : nullptr;
  }
  return parts.size() < 2 ? std::vector<size_t>{} : parts;
}

std::vector<int64_t> as_ints(const std::vector<size_t>& list) {
  return {list.begin(), list.end()};
}

Attrs with_sharing(Attrs attrs, const Sharing& sharing) {
  std::vector<int64_t> pairs;
  for (const auto& [result, operand] : sharing.in_place) {
    pairs.push_back(static_cast<int64_t>(result));
    pairs.push_back(static_cast<int64_t>(operand));
  }
  if (!pairs.empty()) attrs.set("in_place", Attr(pairs));
  if (!sharing.concatenation.empty()) {
    attrs.set("concatenation", Attr(as_ints(sharing.concatenation)));
  }
  return attrs;
}

// The call as a view of its operand: the program's scalars are known from the call.
graph::Value as_view(const OpTable& ops, const graph::CallNode& call, const Type& type,
                     const tir::PrimFunc& f, const ContiguousCopy& copy) {
  const auto& args = graph::as<graph::TupleNode>(call.args[1])->fields;
  const auto* tensor = as<TensorTypeNode>(type);
  if (!tensor || !tensor->shape || copy.operand >= args.size()) return nullptr;
  VarMap scalars;
  for (size_t i = 0; i < args.size(); ++i) {
    const auto* prim = graph::as<graph::PrimValueNode>(args[i]);
    if (prim && !f->params[i].buffer) scalars.emplace(f->params[i].var.get(), prim->value);
  }
  const Expr offset = canonical(substitute(copy.offset_elems, scalars));
  for (const Var& v : free_vars(copy.offset_elems)) {
    if (!scalars.contains(v.get())) return nullptr;
  }
  return make_ref<graph::CallNode>(
      ops.find("view"), nullptr,
      std::vector<graph::Value>{args[copy.operand], graph::make_prim(offset),
                                graph::make_shape(*tensor->shape)},
      Attrs{}, std::vector<Type>{}, type);
}

}  // namespace

Sharing find_sharing(const StagedProgram& p) {
  if (p.stages.empty()) return {};
  return {Program(p).in_place(), match_concatenation(p)};
}

std::optional<ContiguousCopy> match_contiguous_copy(const StagedProgram& p) {
  const Stage* s = only_copy(p);
  if (!s) return std::nullopt;
  const auto* load = as<LoadNode>(s->value);
  const int operand = load ? param_of(p, load->buffer) : -1;
  if (operand < 0 || !is_compact(load->buffer) || load->dtype != s->target->dtype ||
      s->target->dtype.bits < 8) {
    return std::nullopt;
  }
  const Expr offset =
      simplify(flat_index(*s, load->buffer, load->args) - flat_index(*s, s->target, s->indices),
               axis_facts(*s));
  for (const Var& axis : s->axes) {
    if (uses_var(offset, axis)) return std::nullopt;
  }
  bool reads = false;  // an offset that data decides
  visit(offset, [&](const Expr& e) {
    reads = reads || e->kind == ExprKind::load || e->kind == ExprKind::call;
    return true;
  });
  if (reads) return std::nullopt;
  return ContiguousCopy{static_cast<size_t>(operand), offset};
}

Sharing sharing_of(const tir::PrimFuncNode& f) {
  Sharing sharing;
  const std::vector<int64_t> pairs = f.attrs.get_ints("in_place");
  for (size_t i = 0; i + 1 < pairs.size(); i += 2) {
    sharing.in_place.push_back({static_cast<size_t>(pairs[i]), static_cast<size_t>(pairs[i + 1])});
  }
  for (int64_t p : f.attrs.get_ints("concatenation")) {
    sharing.concatenation.push_back(static_cast<size_t>(p));
  }
  return sharing;
}

Attrs with_moved_params(const tir::PrimFuncNode& f, const std::vector<size_t>& moved) {
  Sharing sharing = sharing_of(f);
  auto move = [&](size_t& param) {
    if (param < moved.size()) param = moved[param];
  };
  for (auto& [result, operand] : sharing.in_place) {
    move(result);
    move(operand);
  }
  for (size_t& param : sharing.concatenation) move(param);
  return with_sharing(f.attrs, sharing);
}

Module find_sharing(const Module& module, const OpTable& ops) {
  Module result = module;
  std::unordered_map<std::string, ContiguousCopy> copies;
  for (const std::string& name : module.names()) {
    tir::PrimFunc f = module.prim_func(name);
    if (!f) continue;
    const std::optional<StagedProgram> staged = to_stages(f);
    if (!staged) continue;
    const Sharing sharing = find_sharing(*staged);
    if (!sharing.in_place.empty() || !sharing.concatenation.empty()) {
      result.set(name, tir::make_prim_func(f->params, f->body, f->is_private,
                                           with_sharing(f->attrs, sharing), f->span));
    }
    if (auto copy = match_contiguous_copy(*staged)) copies.emplace(name, std::move(*copy));
  }
  rewrite_calls(result, [&](const graph::CallNode& call, const Type& type) -> graph::Value {
    if (!is_call_tir(call)) return nullptr;
    const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
    auto it = copies.find(name);
    if (it == copies.end()) return nullptr;
    return as_view(ops, call, type, module.prim_func(name), it->second);
  });
  return result;
}

}  // namespace repose

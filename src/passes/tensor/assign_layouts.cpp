// Keeps images with channels last where convolutions by constants want them so.
#include "passes/tensor/assign_layouts.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "ir/function_facts.h"
#include "passes/graph/eliminate_common_subexpressions.h"
#include "passes/graph/eliminate_dead_code.h"
#include "passes/graph/rebuild.h"
#include "passes/tensor/classify.h"

namespace repose {

namespace {

using graph::Value;

// Moves member `channel` behind the others.
template <class T>
std::vector<T> moved_last(std::vector<T> list, size_t channel) {
  const auto at = list.begin() + static_cast<int64_t>(channel);
  std::rotate(at, at + 1, list.end());
  return list;
}

// The dimension of a buffer that comes last, by buffer. One that is last already stands here too.
using Channels = std::unordered_map<const BufferNode*, size_t>;

// Calls `f` with every load of the stage.
void visit_loads(const Stage& s, const std::function<void(const LoadNode&)>& f) {
  visit(s.value, [&](const Expr& e) {
    if (const auto* load = as<LoadNode>(e)) f(*load);
    return true;
  });
}

std::optional<size_t> position_in(const std::vector<Var>& axes, const Expr& e) {
  for (size_t i = 0; i < axes.size(); ++i) {
    if (e == axes[i]) return i;
  }
  return std::nullopt;
}

// What a contraction asks for: its columns last in the result, the reduction last in the factor
// that is no constant.
bool ask_of_contraction(const StagedProgram& p, const std::vector<bool>& is_constant,
                        Channels& channels) {
  const Stage& main = p.stages[0];
  if (main.axes.size() < 3) return false;
  const auto c = match_contraction(main);
  if (!c || !c->batch_axes.empty() || c->m_axes.size() != 1 ||
      c->n_axes.size() + 1 != main.axes.size())
    return false;
  // Of `a` and `b`, `b` varies along the last axis: here it is the image, `a` the weight.
  const std::vector<Buffer> weights = loaded_buffers(c->a), images = loaded_buffers(c->b);
  if (weights.size() != 1 || images.size() != 1) return false;
  bool constant = false;
  for (size_t i = 0; i < is_constant.size(); ++i) {
    constant = constant || (is_constant[i] && p.params[i].buffer == weights[0]);
  }
  if (!constant) return false;
  std::optional<size_t> channel;
  visit_loads(main, [&](const LoadNode& load) {
    if (load.buffer != images[0]) return;
    for (size_t d = 0; d < load.args.size(); ++d) {
      if (position_in(main.reduce_axes, load.args[d])) channel = d;
    }
  });
  if (!channel) return false;
  channels[images[0].get()] = *channel;
  channels[main.target.get()] = c->m_axes[0];
  return true;
}

// The program makes an image with channels first of one with channels last.
bool puts_channels_first(const StagedProgram& p) {
  const Stage& s = p.stages[0];
  const auto* load = as<LoadNode>(s.value);
  if (p.stages.size() != 1 || s.is_reduction() || !stores_identity(s) || !load) return false;
  const std::vector<Var> last = s.axes.size() == 4 ? moved_last(s.axes, 1) : s.axes;
  if (last.size() != 4 || load->args.size() != 4) return false;
  for (size_t d = 0; d < 4; ++d) {
    if (load->args[d] != last[d]) return false;
  }
  return true;
}

// A product of rows by columns that does not ask reads its operands as they are. Depthwise
// convolutions are none: without rows, they are loops over channels.
bool has_matrix_product(const StagedProgram& p) {
  return std::any_of(p.stages.begin(), p.stages.end(), [](const Stage& s) {
    const auto c = match_contraction(s);
    return c && !c->m_axes.empty();
  });
}

// Is the variable one of the terms of a sum?
bool is_term(const Var& v, const Expr& e) {
  if (e->kind == ExprKind::add || e->kind == ExprKind::sub) {
    return is_term(v, e->args[0]) || (e->kind == ExprKind::add && is_term(v, e->args[1]));
  }
  return e == v;
}

// The axis of a stage along which it reads channels: that axis comes last in what it stores.
// Nothing where it reads none, or along no axis of its own.
std::optional<size_t> channel_of_stage(const Stage& s, const Channels& channels) {
  std::optional<size_t> found;
  visit_loads(s, [&](const LoadNode& load) {
    const auto it = channels.find(load.buffer.get());
    if (it == channels.end() || found) return;
    const size_t d = it->second;
    // The one that steps by one channel, where several are in it.
    for (size_t i = 0; i < s.axes.size(); ++i) {
      if (!uses_var(load.args[d], s.axes[i])) continue;
      if (!found || is_term(s.axes[i], load.args[d])) found = i;
    }
    // Summed up, and kept as a dimension of one element.
    if (!found && d < s.axes.size() && load.args.size() == s.axes.size() &&
        is_const_int(s.extents[d], 1)) {
      found = d;
    }
  });
  return found;
}

// Carries channels from what stages read to what they store. False where a stage stores in an order
// of its own.
bool follow_channels(const StagedProgram& p, Channels& channels) {
  for (const Stage& s : p.stages) {
    if (!stores_identity(s)) return false;
    if (channels.count(s.target.get())) continue;
    if (const auto axis = channel_of_stage(s, channels)) channels.emplace(s.target.get(), *axis);
  }
  return true;
}

// Operands that are read along the channels of what is stored, in other dimensions than their last.
void ask_of_operands(const StagedProgram& p, size_t inputs, Channels& channels) {
  auto has_one_row = [](const Dims& shape, size_t channel) {
    for (size_t d = channel + 1; d < shape.size(); ++d) {
      if (!is_const_int(shape[d], 1)) return false;
    }
    return true;
  };
  for (const Stage& s : p.stages) {
    const auto own = channels.find(s.target.get());
    if (own == channels.end()) continue;
    visit_loads(s, [&](const LoadNode& load) {
      const bool is_input =
          std::any_of(p.params.begin(), p.params.begin() + static_cast<int64_t>(inputs),
                      [&](const tir::Param& param) { return param.buffer == load.buffer; });
      if (!is_input || channels.count(load.buffer.get())) return;
      for (size_t d = 0; d < load.args.size(); ++d) {
        if (load.args[d] == s.axes[own->second] && !has_one_row(load.buffer->shape, d)) {
          channels.emplace(load.buffer.get(), d);
          return;
        }
      }
    });
  }
}

// The program over buffers whose channels come last.
tir::PrimFunc with_channels_last(StagedProgram p, const Channels& channels) {
  tir::BufferMap moved;
  auto renew = [&](Buffer& b) {
    const auto it = channels.find(b.get());
    if (it == channels.end()) return;
    Buffer own = make_buffer(b->name, moved_last(b->shape, it->second), b->dtype);
    moved.emplace(b.get(), own);
    b = own;
  };
  for (tir::Param& param : p.params) {
    if (param.buffer) renew(param.buffer);
  }
  for (Buffer& b : p.allocated) renew(b);
  for (Stage& s : p.stages) {
    s.value = rewrite(s.value, [&](const Expr& e) -> Expr {
      const auto* load = as<LoadNode>(e);
      const auto it = load ? channels.find(load->buffer.get()) : channels.end();
      if (it == channels.end()) return e;
      return make_load(moved.at(load->buffer.get()), moved_last(load->args, it->second));
    });
    const auto it = channels.find(s.target.get());
    if (it == channels.end()) continue;
    s.target = moved.at(s.target.get());
    s.axes = moved_last(s.axes, it->second);
    s.extents = moved_last(s.extents, it->second);
    s.indices = moved_last(s.indices, it->second);
  }
  return from_stages(p);
}

// The constant with dimension `channel` behind the others.
Array constant_moved_last(const ArrayNode& from, size_t channel) {
  Ref<ArrayNode> to = make_array(moved_last(from.shape, channel), from.dtype);
  const size_t bytes = static_cast<size_t>(from.dtype.size_bytes());
  auto count = [&](size_t begin, size_t end) {
    return std::accumulate(from.shape.begin() + static_cast<int64_t>(begin),
                           from.shape.begin() + static_cast<int64_t>(end), int64_t{1},
                           std::multiplies<>());
  };
  const int64_t outer = count(0, channel), middle = from.shape[channel],
                inner = count(channel + 1, from.shape.size());
  const std::byte* source = from.bytes;
  if (from.dtype.is_packed()) {
    for (int64_t k = 0; k < outer * middle * inner; ++k) {
      const int64_t o = k / (middle * inner), m = k / inner % middle, i = k % inner;
      to->store((o * inner + i) * middle + m, from.load(k));
    }
    return to;
  }
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t m = 0; m < middle; ++m) {
      for (int64_t i = 0; i < inner; ++i, source += bytes) {
        std::memcpy(to->mutable_bytes() + static_cast<size_t>((o * inner + i) * middle + m) * bytes,
                    source, bytes);
      }
    }
  }
  return to;
}

class LayoutAssigner {
 public:
  Result<Value> operator()(Builder& b, const graph::CallNode& call, const Span& span) {
    if (!is_call_tir(call)) return Value();
    const auto* result = as<TensorTypeNode>(call.type_args.at(0));
    const std::string& name = graph::as<graph::GlobalNode>(call.args[0])->name;
    const tir::PrimFunc f = b.module().prim_func(name);
    const auto& args = graph::as<graph::TupleNode>(call.args[1])->fields;
    if (call.type_args.size() != 1 || !result || !f || f->params.size() != args.size() + 1)
      return Value();
    bool has_forms = false, has_constants = false;
    for (const Value& a : args) {
      has_forms = has_forms || forms_.count(a.get());
      has_constants = has_constants || graph::as<graph::ConstantNode>(a);
    }
    if (!has_forms && result->rank != 4 && !(has_constants && result->rank > 2)) return Value();
    const auto staged = to_stages(f);
    if (!staged || staged->stages.empty()) return Value();
    if (puts_channels_first(*staged)) {
      REPOSE_TRY(plain, b.emit(Value(&call), "", span));
      forms_[plain.get()] = {1, args[0], plain};
      return Value(plain);
    }

    Channels channels;
    std::vector<bool> is_constant;
    for (const Value& a : args) is_constant.push_back(graph::as<graph::ConstantNode>(a) != nullptr);
    const bool asks = ask_of_contraction(*staged, is_constant, channels);
    if (!asks) {
      if (!has_forms || has_matrix_product(*staged)) return Value();
      for (size_t i = 0; i < args.size(); ++i) {
        const auto known = forms_.find(args[i].get());
        if (known != forms_.end()) {
          channels.emplace(f->params[i].buffer.get(), known->second.channel);
        }
      }
    }
    if (!follow_channels(*staged, channels)) return Value();
    if (!asks) ask_of_operands(*staged, args.size(), channels);

    std::vector<Value> operands = args;
    for (size_t i = 0; i < args.size(); ++i) {
      if (!f->params[i].buffer) continue;
      const auto wanted = channels.find(f->params[i].buffer.get());
      if (wanted == channels.end()) continue;
      REPOSE_TRY(other, form_of(b, args[i], wanted->second));
      operands[i] = other;
    }
    const auto own = channels.find(f->params.back().buffer.get());
    const Type type = own == channels.end() ? call.type_args[0] : moved_type(*result, own->second);
    const std::string moved = b.module().add_prim_func(name, with_channels_last(*staged, channels));
    changed_ = true;
    REPOSE_TRY(y, b.emit(make_call_tir(b.ops(), moved, std::move(operands), {type}), "", span));
    if (own == channels.end() || own->second + 1 == result->shape->size()) return Value(y);
    REPOSE_TRY(plain, moved_back(b, y, own->second));
    REPOSE_TRY(variable, b.emit(plain, "", span));
    forms_[variable.get()] = {own->second, y, variable};
    return Value(variable);
  }

  bool changed() const { return changed_; }

 private:
  struct Form {
    size_t channel = 0;  // of `plain`
    Value last;          // the same with that dimension last
    Value plain;         // kept alive
  };

  static Type moved_type(const TensorTypeNode& t, size_t channel) {
    return tensor_type(moved_last(*t.shape, channel), t.dtype);
  }

  // `value` with `channel` last.
  Result<Value> form_of(Builder& b, const Value& value, size_t channel) {
    const auto known = forms_.find(value.get());
    if (known != forms_.end() && known->second.channel == channel) return known->second.last;
    const TensorTypeNode& type = *graph::tensor_of(value);
    if (channel + 1 == type.shape->size()) return value;
    if (const auto* constant = graph::as<graph::ConstantNode>(value)) {
      Value last = graph::make_constant(constant_moved_last(*constant->data, channel),
                                        constant->weight_name);
      forms_.try_emplace(value.get(), Form{channel, last, value});
      return last;
    }
    REPOSE_TRY(call, te::emit_te(b, "permute_dims", {value}, [&](const auto& in) {
                 return std::vector<te::Tensor>{te::compute(
                     moved_last(in[0].shape(), channel),
                     [&](const te::Indices& i) {
                       te::Indices at = i;
                       const auto last = at.begin() + static_cast<int64_t>(channel);
                       std::rotate(last, at.end() - 1, at.end());
                       return in[0](at);
                     },
                     "permute_dims")};
               }));
    // Not kept: it may stand in a branch that others don't see. Equal ones are made one at the end.
    REPOSE_TRY(last, b.emit(call));
    changed_ = true;
    return Value(last);
  }

  // `last` with its last dimension at `channel`.
  static Result<Value> moved_back(Builder& b, const Value& last, size_t channel) {
    return te::emit_te(b, "permute_dims", {last}, [&](const auto& in) {
      std::vector<Expr> shape = in[0].shape();
      std::rotate(shape.begin() + static_cast<int64_t>(channel), shape.end() - 1, shape.end());
      return std::vector<te::Tensor>{te::compute(
          shape, [&](const te::Indices& i) { return in[0](moved_last(i, channel)); },
          "permute_dims")};
    });
  }

  std::unordered_map<const graph::ValueNode*, Form> forms_;
  bool changed_ = false;
};

}  // namespace

Result<Module> assign_layouts(const Module& module, const OpTable& ops) {
  LayoutAssigner assigner;
  REPOSE_TRY(result, rebuild_functions(module, ops, std::ref(assigner)));
  if (!assigner.changed()) return module;
  return eliminate_dead_code(eliminate_common_subexpressions(result));
}

}  // namespace repose

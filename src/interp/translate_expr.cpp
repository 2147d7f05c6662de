// Scalar expressions as nodes that evaluate themselves. Arithmetic is eval_binary, eval_cast and
// eval_intrinsic; this file adds variables, loads, vectors and calls.
#include <unordered_set>

#include "interp/program_code.h"

namespace repose::interp {

namespace {

constexpr int max_depth = 4000;  // of an expression: evaluation recurs over it

Scalar make_handle(int memory, int64_t offset) {
  return Scalar{dtypes::handle, offset, static_cast<double>(memory)};
}

struct ConstantCode : ExprCode {
  ConstantCode(const Expr& e, Scalar value) : ExprCode(e), value(value) {}
  Scalar eval(Frame&, int) const override { return value; }
  const Scalar value;
};

struct VariableCode : ExprCode {
  VariableCode(const Expr& e, int slot) : ExprCode(e), slot(slot) {}
  Scalar eval(Frame& frame, int lane) const override { return frame.slots[slot + lane]; }
  const int slot;  // of the first lane
};

// A node with several parents: evaluated once in a whole expression (and lane).
struct SharedCode : ExprCode {
  SharedCode(const ExprCode* value, int place)
      : ExprCode(value->source), value(value), place(place) {}
  Scalar eval(Frame& frame, int lane) const override {
    const Frame::Remembered& known = frame.remembered[place];
    if (known.time == frame.time && known.lane == lane) return known.value;
    const Scalar result = value->eval(frame, lane);
    frame.remembered[place] = {frame.time, lane, result};
    return result;
  }
  const ExprCode* const value;
  const int place;
};

struct BinaryCode : ExprCode {
  BinaryCode(const Expr& e, const ExprCode* a, const ExprCode* b)
      : ExprCode(e), kind(e->kind), a(a), b(b) {}
  Scalar eval(Frame& frame, int lane) const override {
    const Scalar x = a->at(frame, lane);
    if (kind == ExprKind::logical_and && !x.i) return x;  // the other side is not evaluated
    if (kind == ExprKind::logical_or && x.i) return x;
    const auto result = eval_binary(kind, x, b->at(frame, lane));
    if (!result) frame.fail_arithmetic(source);
    return *result;
  }
  const ExprKind kind;
  const ExprCode *const a, *const b;
};

struct NotCode : ExprCode {
  NotCode(const Expr& e, const ExprCode* a) : ExprCode(e), a(a) {}
  Scalar eval(Frame& frame, int lane) const override {
    const Scalar x = a->at(frame, lane);
    const bool is_bool = x.dtype.is_bool();
    return Scalar::of_int(is_bool ? !x.i : ~x.i, x.dtype);
  }
  const ExprCode* const a;
};

struct CastCode : ExprCode {
  CastCode(const Expr& e, const ExprCode* a) : ExprCode(e), to(e->dtype.element()), a(a) {}
  Scalar eval(Frame& frame, int lane) const override {
    const auto result = eval_cast(to, a->at(frame, lane));
    if (!result) frame.fail_arithmetic(source);
    return *result;
  }
  const DType to;
  const ExprCode* const a;
};

struct ChoiceCode : ExprCode {
  ChoiceCode(const Expr& e, const std::vector<const ExprCode*>& args)
      : ExprCode(e),
        is_lazy(e->kind == ExprKind::if_then_else),
        condition(args[0]),
        a(args[1]),
        b(args[2]) {}
  Scalar eval(Frame& frame, int lane) const override {
    const bool first = condition->at(frame, lane).i != 0;
    if (is_lazy) return (first ? a : b)->at(frame, lane);
    const Scalar x = a->at(frame, lane), y = b->at(frame, lane);
    return first ? x : y;
  }
  const bool is_lazy;
  const ExprCode *const condition, *const a, *const b;
};

struct RampCode : ExprCode {
  RampCode(const Expr& e, const ExprCode* base, const ExprCode* stride)
      : ExprCode(e), base(base), stride(stride) {}
  Scalar eval(Frame& frame, int lane) const override {
    const Scalar step = stride->at(frame, 0);
    const auto way = eval_binary(ExprKind::mul, step, Scalar::of_int(lane, step.dtype));
    const auto result = way ? eval_binary(ExprKind::add, base->at(frame, 0), *way) : std::nullopt;
    if (!result) frame.fail_arithmetic(source);
    return *result;
  }
  const ExprCode *const base, *const stride;
};

struct BroadcastCode : ExprCode {
  BroadcastCode(const Expr& e, const ExprCode* a) : ExprCode(e), a(a) {}
  Scalar eval(Frame& frame, int) const override { return a->at(frame, 0); }
  const ExprCode* const a;
};

struct LoadCode : ExprCode {
  LoadCode(const Expr& e, int view, std::vector<const ExprCode*> indices)
      : ExprCode(e), place{view, std::move(indices)} {}
  Scalar eval(Frame& frame, int lane) const override {
    const int64_t i = place.element(frame, lane);
    return frame.views[place.view].cells.load(i);
  }
  const PlaceCode place;
};

struct IntrinsicCode : ExprCode {
  IntrinsicCode(const Expr& e, const std::vector<const ExprCode*>& args)
      : ExprCode(e),
        intrinsic(as<repose::CallNode>(e)->intrinsic),
        dtype(e->dtype.element()),
        args(args) {}
  Scalar eval(Frame& frame, int lane) const override {
    Scalar values[3];
    for (size_t i = 0; i < args.size(); ++i) values[i] = args[i]->at(frame, lane);
    const auto result = eval_intrinsic(intrinsic, dtype, values, static_cast<int>(args.size()));
    if (!result) frame.fail_arithmetic(source);
    return *result;
  }
  const Intrinsic intrinsic;
  const DType dtype;
  const std::vector<const ExprCode*> args;
};

// The lanes of a vector in the order that machine code has: halves onto each other, an odd last
// lane waits for the next round.
struct VectorReduceCode : ExprCode {
  VectorReduceCode(const Expr& e, ExprKind kind, const ExprCode* a)
      : ExprCode(e), kind(kind), a(a) {}
  Scalar eval(Frame& frame, int) const override {
    std::vector<Scalar> lanes;
    for (int i = 0; i < a->lanes; ++i) lanes.push_back(a->eval(frame, i));
    while (lanes.size() > 1) {
      const size_t half = lanes.size() / 2;
      for (size_t i = 0; i < half; ++i) {
        const auto combined = eval_binary(kind, lanes[i], lanes[half + i]);
        if (!combined) frame.fail_arithmetic(source);
        lanes[i] = *combined;
      }
      if (lanes.size() % 2) lanes[half] = lanes.back();
      lanes.resize(lanes.size() - half);
    }
    return lanes[0];
  }
  const ExprKind kind;
  const ExprCode* const a;
};

struct BufferDataCode : ExprCode {
  BufferDataCode(const Expr& e, int view, std::vector<const ExprCode*> indices)
      : ExprCode(e), place{view, std::move(indices)} {}
  Scalar eval(Frame& frame, int) const override {
    const View& v = frame.views[place.view];
    const int64_t bytes = v.cells.dtype.offset_bytes(place.element_unchecked(frame));
    return make_handle(v.memory, v.origin_bytes + bytes);
  }
  const PlaceCode place;
};

struct CheckIndexCode : ExprCode {
  CheckIndexCode(const Expr& e, const ExprCode* index, const ExprCode* extent)
      : ExprCode(e), index(index), extent(extent) {}
  Scalar eval(Frame& frame, int lane) const override {
    const Scalar i = index->at(frame, lane), n = extent->at(frame, lane);
    if (i.i >= 0 && i.i < n.i) return i;
    const auto* op = as<StringImmNode>(source->args[2]);
    const std::string& place = as<repose::CallNode>(source)->name;
    frame.fail(DiagnosticKind::out_of_bounds,
               "`{}`: index {} is out of range for a dimension of {}{}", op ? op->value : "", i.i,
               n.i, place.empty() ? "" : " (in " + place + ")");
  }
  const ExprCode *const index, *const extent;
};

struct ByteOffsetCode : ExprCode {
  ByteOffsetCode(const Expr& e, const ExprCode* handle, const ExprCode* bytes)
      : ExprCode(e), handle(handle), bytes(bytes) {}
  Scalar eval(Frame& frame, int) const override {
    Scalar result = handle->at(frame, 0);
    if (__builtin_add_overflow(result.i, bytes->at(frame, 0).i, &result.i)) {
      frame.fail_arithmetic(source);
    }
    return result;
  }
  const ExprCode *const handle, *const bytes;
};

struct CallProgramCode : ExprCode {
  CallProgramCode(const Expr& e, std::vector<const ExprCode*> args)
      : ExprCode(e), args(std::move(args)) {}
  Scalar eval(Frame& frame, int) const override {
    std::vector<Scalar> values;
    for (const ExprCode* a : args) {  // a string at the end says where the call comes from
      if (a->source->kind != ExprKind::string_imm) values.push_back(a->at(frame, 0));
    }
    const std::string& name = as<repose::CallNode>(source)->name;
    frame.machine.call(name, frame.module, values, *frame.span);
    ++frame.time;  // what loads remember is out of date
    return Scalar::of_int(0, source->dtype);
  }
  const std::vector<const ExprCode*> args;
};

struct CopyBytesCode : ExprCode {
  CopyBytesCode(const Expr& e, std::vector<const ExprCode*> args)
      : ExprCode(e), args(std::move(args)) {}
  Scalar eval(Frame& frame, int) const override {
    const Scalar to = args[0]->at(frame, 0), from = args[1]->at(frame, 0);
    const int64_t bytes = args[2]->at(frame, 0).i;
    const Memory target = memory(frame, to, bytes), origin = memory(frame, from, bytes);
    if (!target.is_writable) frame.fail(DiagnosticKind::ill_formed, "copies into an operand");
    if (bytes > 0) std::copy_n(origin.data + from.i, bytes, target.data + to.i);
    if (target.written) std::fill_n(target.written + to.i, bytes, 1);
    ++frame.time;
    return Scalar::of_int(0, source->dtype);
  }
  Memory memory(Frame& frame, const Scalar& handle, int64_t bytes) const {
    const Memory& m = frame.machine.memory(handle, *frame.span);
    if (bytes < 0 || handle.i < 0 || bytes > m.bytes - handle.i) {
      frame.fail(DiagnosticKind::out_of_bounds, "`copy_bytes` of {} bytes at {} of {}", bytes,
                 handle.i, m.bytes);
    }
    return m;
  }
  const std::vector<const ExprCode*> args;
};

}  // namespace

// ---- Places -------------------------------------------------------------------------------------

int64_t PlaceCode::element(Frame& frame, int lane) const {
  const View& v = frame.views[view];
  int64_t at = v.offset;
  for (size_t d = 0; d < indices.size(); ++d) {
    const int64_t i = indices[d]->at(frame, lane).i;
    if (i < 0 || i >= v.shape[d]) {
      frame.fail(DiagnosticKind::out_of_bounds,
                 "index {} of buffer `{}` is `{}` = {}, the dimension is {}", d,
                 frame.code.buffers[view]->name, repose::to_string(indices[d]->source), i,
                 v.shape[d]);
    }
    at += i * v.strides[d];
  }
  if (at < 0 || at >= v.count) {
    frame.fail(DiagnosticKind::out_of_bounds,
               "an element of buffer `{}` lies outside of its memory: element {} of {}",
               frame.code.buffers[view]->name, at, v.count);
  }
  return at;
}

int64_t PlaceCode::element_unchecked(Frame& frame) const {
  const View& v = frame.views[view];
  int64_t at = v.offset, way = 0;
  for (size_t d = 0; d < indices.size(); ++d) {
    if (__builtin_mul_overflow(indices[d]->at(frame, 0).i, v.strides[d], &way) ||
        __builtin_add_overflow(at, way, &at)) {
      frame.fail_arithmetic(indices[d]->source);
    }
  }
  return at;
}

// ---- Translation --------------------------------------------------------------------------------

int ExprTranslator::bind(const Var& v) {
  const auto [it, is_new] = slots_.emplace(v.get(), code_.num_slots);
  if (is_new) code_.num_slots += v->dtype.lanes;
  return it->second;
}

int ExprTranslator::declare(const Buffer& b) {
  const auto [it, is_new] = views_.emplace(b.get(), static_cast<int>(code_.buffers.size()));
  if (is_new) code_.buffers.push_back(b);
  return it->second;
}

int ExprTranslator::view_of(const Buffer& b) const {
  auto it = views_.find(b.get());
  if (it == views_.end()) {
    fail(DiagnosticKind::ill_formed, "buffer `{}` is used where it is not declared", b->name);
  }
  return it->second;
}

const ExprCode* ExprTranslator::translate(const Expr& root) {
  parents_.clear();
  done_.clear();
  std::unordered_set<const ExprNode*> seen;
  visit(root, [&](const Expr& e) {
    if (!seen.insert(e.get()).second) return false;
    for (const Expr& a : e->args) ++parents_[a.get()];
    return true;
  });
  return node(root, 0);
}

const ExprCode* ExprTranslator::node(const Expr& e, int depth) {
  if (auto it = done_.find(e.get()); it != done_.end()) return it->second;
  if (depth > max_depth) {
    fail(DiagnosticKind::nesting_too_deep, "an expression is nested more than {} deep", max_depth);
  }
  std::vector<const ExprCode*> args;
  for (const Expr& a : e->args) args.push_back(node(a, depth + 1));
  const ExprCode* result = make(e, args);
  if (parents_[e.get()] > 1 && !e->args.empty()) {
    result = add<SharedCode>(result, code_.num_remembered++);
  }
  done_.emplace(e.get(), result);
  return result;
}

const ExprCode* ExprTranslator::make(const Expr& e, const std::vector<const ExprCode*>& args) {
  switch (e->kind) {
    case ExprKind::int_imm:
      return add<ConstantCode>(e, Scalar{e->dtype, as<IntImmNode>(e)->value, 0});
    case ExprKind::float_imm:
      return add<ConstantCode>(e, Scalar{e->dtype, 0, as<FloatImmNode>(e)->value});
    case ExprKind::string_imm:
      return add<ConstantCode>(e, Scalar{dtypes::none, 0, 0});
    case ExprKind::var: {
      const auto* v = as<VarNode>(e);
      auto it = slots_.find(v);
      if (it != slots_.end()) return add<VariableCode>(e, it->second);
      const bool is_symbol = v->role == VarRole::dimension || v->role == VarRole::value;
      fail(is_symbol ? DiagnosticKind::unbound_symbol : DiagnosticKind::ill_formed,
           "variable `{}` is used where it is not bound", v->name);
    }
    case ExprKind::load:
      return add<LoadCode>(e, view_of(as<LoadNode>(e)->buffer), args);
    case ExprKind::call:
      return make_call(e, args);
    case ExprKind::cast:
      return add<CastCode>(e, args[0]);
    case ExprKind::logical_not:
    case ExprKind::bit_not:
      return add<NotCode>(e, args[0]);
    case ExprKind::select:
    case ExprKind::if_then_else:
      return add<ChoiceCode>(e, args);
    case ExprKind::ramp:
      return add<RampCode>(e, args[0], args[1]);
    case ExprKind::broadcast:
      return add<BroadcastCode>(e, args[0]);
    default:
      return add<BinaryCode>(e, args[0], args[1]);
  }
}

const ExprCode* ExprTranslator::make_call(const Expr& e, const std::vector<const ExprCode*>& args) {
  const auto* call = as<repose::CallNode>(e);
  switch (call->intrinsic) {
    case Intrinsic::vector_reduce_add:
      return add<VectorReduceCode>(e, ExprKind::add, args[0]);
    case Intrinsic::vector_reduce_mul:
      return add<VectorReduceCode>(e, ExprKind::mul, args[0]);
    case Intrinsic::vector_reduce_min:
      return add<VectorReduceCode>(e, ExprKind::min, args[0]);
    case Intrinsic::vector_reduce_max:
      return add<VectorReduceCode>(e, ExprKind::max, args[0]);
    case Intrinsic::buffer_data: {
      const auto* load = as<LoadNode>(e->args[0]);
      if (!load)
        fail(DiagnosticKind::ill_formed, "`buffer_data` of what is no element of a buffer");
      std::vector<const ExprCode*> indices;
      for (const Expr& i : load->args) indices.push_back(node(i, 0));
      return add<BufferDataCode>(e, view_of(load->buffer), std::move(indices));
    }
    case Intrinsic::check_index:
      return add<CheckIndexCode>(e, args[0], args[1]);
    case Intrinsic::byte_offset:
      return add<ByteOffsetCode>(e, args[0], args[1]);
    case Intrinsic::call_program:
      return add<CallProgramCode>(e, args);
    case Intrinsic::prefetch:  // an interpreter has no caches to fill
      return add<ConstantCode>(e, Scalar{e->dtype, 0, 0});
    case Intrinsic::copy_bytes:
      return add<CopyBytesCode>(e, args);
    case Intrinsic::call_extern:
    case Intrinsic::call_packed:
      fail(DiagnosticKind::unsupported_feature, "the function `{}` is not known to the interpreter",
           call->name);
    default:
      break;
  }
  if (!intrinsic_is_pure(call->intrinsic)) {
    fail(DiagnosticKind::unsupported_feature, "`{}` has a meaning in host functions only",
         intrinsic_name(call->intrinsic));
  }
  return add<IntrinsicCode>(e, args);
}

}  // namespace repose::interp

// Running translated programs: frames, views, arguments.
#include "interp/program_machine.h"

#include "interp/program_code.h"

namespace repose::interp {

namespace {

constexpr int max_program_depth = 64;  // of programs that call programs

}  // namespace

// ---- Frames and views ---------------------------------------------------------------------------

Frame::Frame(ProgramMachine& machine, const ProgramCode& code, const Module* module,
             const Span& span)
    : machine(machine),
      code(code),
      module(module),
      span(code.func->span ? &code.func->span : &span),
      slots(code.num_slots),
      views(std::make_unique<View[]>(code.buffers.size())),
      allocated(code.buffers.size()),
      handles(code.buffers.size()),
      remembered(code.num_remembered),
      first_memory(machine.memories_.size()) {}

Frame::~Frame() {
  machine.memories_.resize(first_memory);
}

void Frame::fail_text(DiagnosticKind kind, const std::string& text) const {
  interp::fail(kind, *span, "`{}`: {}", code.name, text);
}

void Frame::fail_arithmetic(const Expr& e) const {
  fail(DiagnosticKind::run_time_check,
       "`{}` has no value: it overflows, divides by zero, or is not defined", repose::to_string(e));
}

std::vector<int64_t> eval_all(Frame& frame, const std::vector<const ExprCode*>& exprs) {
  std::vector<int64_t> result;
  for (const ExprCode* e : exprs) result.push_back(e->run(frame).i);
  return result;
}

std::vector<int64_t> compact_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) {
    // Where this overflows, an extent is 0 or the size was refused.
    if (__builtin_mul_overflow(strides[d], shape[d], &strides[d - 1])) strides[d - 1] = 0;
  }
  return strides;
}

void open_view(Frame& frame, const BufferCode& b, const Scalar& handle) {
  View& view = frame.views[b.view];
  const Memory& m = frame.machine.memory(handle, *frame.span);
  const std::string& name = b.buffer->name;
  if (handle.i < 0 || handle.i > m.bytes) {
    frame.fail(DiagnosticKind::out_of_bounds,
               "buffer `{}` begins at byte {} of a memory of {} bytes", name, handle.i, m.bytes);
  }
  view.shape = eval_all(frame, b.shape);
  if (array_bytes(view.shape, b.buffer->dtype) < 0) {
    frame.fail(DiagnosticKind::too_large, "buffer `{}` has the shape ({})", name,
               fmt::join(view.shape, ", "));
  }
  view.strides = b.strides.empty() ? compact_strides(view.shape) : eval_all(frame, b.strides);
  view.offset = b.offset ? b.offset->run(frame).i : 0;
  view.cells.dtype = b.buffer->dtype;
  view.cells.bytes = m.data + handle.i;
  view.cells.num_bytes = static_cast<size_t>(m.bytes - handle.i);
  const DType dtype = b.buffer->dtype;
  view.count = dtype.is_packed() ? (m.bytes - handle.i) * (8 / dtype.bits)
                                 : (m.bytes - handle.i) / dtype.size_bytes();
  view.origin_bytes = handle.i;
  view.memory = static_cast<int>(handle.f);
  view.written = m.written ? m.written + handle.i : nullptr;
  view.is_writable = m.is_writable;
}

// ---- The machine --------------------------------------------------------------------------------

ProgramMachine::ProgramMachine(Limits& limits) : limits_(limits) {}
ProgramMachine::~ProgramMachine() = default;

Memory& ProgramMachine::memory(const Scalar& handle, const Span& span) {
  const auto i = static_cast<size_t>(handle.f);
  if (!handle.dtype.is_handle() || i >= memories_.size()) {
    fail(DiagnosticKind::ill_formed, span, "a handle of no buffer is used");
  }
  return memories_[i];
}

const ProgramCode& ProgramMachine::code_of(const std::string& name, const tir::PrimFunc& f) {
  auto it = codes_.find(f.get());
  if (it == codes_.end()) it = codes_.emplace(f.get(), translate(name, f)).first;
  return *it->second;
}

void ProgramMachine::execute(const ProgramCode& code, Frame& frame,
                             const std::vector<Scalar>& params) {
  limits_.step(*frame.span);
  if (depth_ >= max_program_depth) {
    fail(DiagnosticKind::nesting_too_deep, *frame.span, "more than {} nested calls of programs",
         max_program_depth);
  }
  struct Deeper {
    int& depth;
    explicit Deeper(int& depth) : depth(++depth) {}
    ~Deeper() { --depth; }
  } deeper(depth_);
  for (size_t i = 0; i < code.params.size(); ++i) {
    const ParamCode& p = code.params[i];
    if (p.slot >= 0) frame.slots[p.slot] = params[i];
  }
  for (size_t i = 0; i < code.params.size(); ++i) {
    if (code.params[i].buffer) open_view(frame, *code.params[i].buffer, params[i]);
  }
  code.body->run(frame);
}

namespace {

// The value of a scalar parameter: integers are taken for each other, as texts do.
Scalar scalar_argument(const Frame& frame, const tir::Param& p, const Scalar& value) {
  const DType want = p.var->dtype;
  if (value.dtype == want) return value;
  const bool both_integers = value.dtype.is_any_int() && want.is_any_int();
  const auto cast = both_integers ? eval_cast(want, value) : std::nullopt;
  if (!cast || cast->i != value.i) {
    frame.fail(DiagnosticKind::dtype_mismatch, "parameter `{}` of dtype {} is given {} of dtype {}",
               p.var->name, want.to_string(), to_string(value), value.dtype.to_string());
  }
  return *cast;
}

void check_array(const Frame& frame, const tir::Param& p, const ArrayNode* array) {
  const Buffer& b = p.buffer;
  if (!array) {
    frame.fail(DiagnosticKind::type_mismatch, "buffer `{}` is given a scalar", b->name);
  }
  if (array->dtype != b->dtype) {
    frame.fail(DiagnosticKind::dtype_mismatch, "buffer `{}` of dtype {} is given a tensor of {}",
               b->name, b->dtype.to_string(), array->dtype.to_string());
  }
  if (array->shape.size() != b->shape.size()) {
    frame.fail(DiagnosticKind::rank_mismatch, "buffer `{}` of rank {} is given a tensor of rank {}",
               b->name, b->shape.size(), array->shape.size());
  }
}

// Compares what a buffer says of its dimensions and layout with the array it is given.
void check_shape(Frame& frame, const BufferCode& b, const ArrayNode& array) {
  const std::vector<int64_t> want = eval_all(frame, b.shape);
  const std::vector<int64_t> strides = eval_all(frame, b.strides);
  const std::vector<int64_t> compact = compact_strides(array.shape);
  for (size_t d = 0; d < want.size(); ++d) {
    if (want[d] != array.shape[d]) {
      frame.fail(DiagnosticKind::run_time_check,
                 "dimension {} of buffer `{}` is {}, expected `{}` = {}", d, b.buffer->name,
                 array.shape[d], repose::to_string(b.buffer->shape[d]), want[d]);
    }
    if (!strides.empty() && want[d] > 1 && strides[d] != compact[d]) {
      frame.fail(DiagnosticKind::run_time_check,
                 "dimension {} of buffer `{}` has stride {}, the tensor is compact", d,
                 b.buffer->name, strides[d]);
    }
  }
}

void check_written(const Frame& frame, const Buffer& b, const ArrayNode& array,
                   const std::vector<uint8_t>& written) {
  const DType dtype = array.dtype;
  for (size_t byte = 0; byte < written.size(); ++byte) {
    if (written[byte]) continue;
    int64_t element = static_cast<int64_t>(byte);
    element = dtype.is_packed() ? element * (8 / dtype.bits) : element / dtype.size_bytes();
    std::vector<int64_t> at(array.shape.size());
    for (size_t d = at.size(); d-- > 0; element /= array.shape[d]) {
      at[d] = element % array.shape[d];
    }
    frame.fail(DiagnosticKind::ill_formed, "element ({}) of its result `{}` is never written",
               fmt::join(at, ", "), b->name);
  }
}

}  // namespace

void ProgramMachine::run(const std::string& name, const tir::PrimFunc& f, const Module* module,
                         const std::vector<ProgramArgument>& args, const Span& span) {
  const ProgramCode& code = code_of(name, f);
  Frame frame(*this, code, module, span);
  if (args.size() != f->params.size()) {
    frame.fail(DiagnosticKind::wrong_arity, "{} parameters are given {} values", f->params.size(),
               args.size());
  }
  std::vector<Scalar> params;
  std::vector<std::vector<uint8_t>> written(args.size());
  std::unordered_map<const VarNode*, int64_t> symbols;
  auto bind = [&](const Expr& e, int64_t value) {
    if (const auto* v = e ? as<VarNode>(e) : nullptr) symbols.emplace(v, value);
  };
  for (size_t i = 0; i < args.size(); ++i) {
    const tir::Param& p = f->params[i];
    const ArrayNode* array = args[i].array.get();
    if (!p.buffer) {
      if (array)
        frame.fail(DiagnosticKind::type_mismatch, "scalar `{}` is given a tensor", p.var->name);
      params.push_back(scalar_argument(frame, p, args[i].scalar));
      continue;
    }
    check_array(frame, p, array);
    if (args[i].is_result) written[i].resize(array->num_bytes);
    Memory m{args[i].array->mutable_bytes(), static_cast<int64_t>(array->num_bytes), nullptr,
             args[i].is_writable};
    if (args[i].is_result) m.written = written[i].data();
    params.push_back(Scalar{dtypes::handle, 0, static_cast<double>(add_memory(m))});
    for (size_t d = 0; d < array->shape.size(); ++d) bind(p.buffer->shape[d], array->shape[d]);
    const std::vector<int64_t> strides = compact_strides(array->shape);
    for (size_t d = 0; d < p.buffer->strides.size(); ++d) bind(p.buffer->strides[d], strides[d]);
    bind(p.buffer->offset_elems, 0);
  }
  for (size_t i = 0; i < code.symbols.size(); ++i) {
    const Var& v = code.symbols[i];
    frame.slots[code.symbol_slots[i]] = Scalar::of_int(symbols.at(v.get()), v->dtype);
  }
  for (size_t i = 0; i < args.size(); ++i) {  // shapes may mention scalars
    if (code.params[i].slot >= 0) frame.slots[code.params[i].slot] = params[i];
  }
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].array) check_shape(frame, *code.params[i].buffer, *args[i].array);
  }
  execute(code, frame, params);
  frame.span = f->span ? &f->span : &span;
  for (size_t i = 0; i < args.size(); ++i) {
    if (args[i].is_result) check_written(frame, f->params[i].buffer, *args[i].array, written[i]);
  }
}

void ProgramMachine::call(const std::string& name, const Module* module,
                          const std::vector<Scalar>& values, const Span& span) {
  const tir::PrimFunc f = module ? module->prim_func(name) : nullptr;
  if (!f) {
    fail(DiagnosticKind::unknown_name, span, "the called program `{}` is not in the module", name);
  }
  const ProgramCode& code = code_of(name, f);
  Frame frame(*this, code, module, span);
  const size_t count = f->params.size();
  if (values.size() != count + code.symbols.size()) {
    frame.fail(DiagnosticKind::wrong_arity, "{} parameters and {} symbols are given {} values",
               count, code.symbols.size(), values.size());
  }
  std::vector<Scalar> params;
  for (size_t i = 0; i < count; ++i) {
    const tir::Param& p = f->params[i];
    params.push_back(p.buffer ? values[i] : scalar_argument(frame, p, values[i]));
  }
  for (size_t i = 0; i < code.symbols.size(); ++i) {
    frame.slots[code.symbol_slots[i]] = Scalar::of_int(values[count + i].i, code.symbols[i]->dtype);
  }
  execute(code, frame, params);
}

}  // namespace repose::interp

// The C interface of compiled models, for the interpreter's values.
#include "text/native.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/dlpack_code.h"
#include "codegen/llvm/codegen.h"
#include "codegen/llvm/target_llvm.h"
#include "driver/compile.h"
#include "driver/pipeline.h"
#include "ops/ops.h"
#include "repose/repose.h"
#include "support/slow_build.h"

namespace repose::testing_text {

namespace {

DLTensor tensor_of(const Array& array) {
  DLTensor t{};
  t.data = const_cast<std::byte*>(array->bytes);
  t.device = {kDLCPU, 0};
  t.ndim = static_cast<int32_t>(array->shape.size());
  t.dtype = {dlpack_code(array->dtype), array->dtype.bits, 1};
  t.shape = const_cast<int64_t*>(array->shape.data());
  return t;
}

Array array_of(const DLTensor& t) {
  Ref<ArrayNode> array = make_array(std::vector<int64_t>(t.shape, t.shape + t.ndim),
                                    dtype_of_dlpack(t.dtype.code, t.dtype.bits).value());
  if (array->num_bytes) {
    std::memcpy(array->mutable_bytes(), static_cast<const char*>(t.data) + t.byte_offset,
                array->num_bytes);
  }
  return array;
}

void add_tensors(const HostValue& v, std::vector<Array>& out) {
  if (const Array a = v.tensor()) {
    out.push_back(a);
  } else if (const auto* tuple = v.tuple()) {
    for (const HostValue& field : *tuple) add_tensors(field, out);
  } else if (const auto* shape = v.shape()) {
    Ref<ArrayNode> array = make_array({static_cast<int64_t>(shape->size())}, dtypes::int64);
    for (size_t i = 0; i < shape->size(); ++i) {
      array->store(static_cast<int64_t>(i), Scalar::of_int((*shape)[i], dtypes::int64));
    }
    out.push_back(array);
  } else if (const Scalar* s = v.scalar()) {
    const bool is_index = s->dtype.is_index();
    Ref<ArrayNode> array = make_array({}, is_index ? dtypes::int64 : s->dtype);
    array->store(0, is_index ? Scalar::of_int(s->i, dtypes::int64) : *s);
    out.push_back(array);
  }
}

Outcome refused(std::string why) {
  Outcome o;
  o.kind = Outcome::Kind::refused;
  o.error = std::move(why);
  return o;
}

}  // namespace

HostValue as_native(const HostValue& v) {
  std::vector<Array> arrays;
  add_tensors(v, arrays);
  if (arrays.size() == 1) return arrays[0];
  return HostValue::Tuple(arrays.begin(), arrays.end());
}

std::vector<HostValue> as_native(const std::vector<HostValue>& args) {
  std::vector<Array> arrays;
  for (const HostValue& arg : args) add_tensors(arg, arrays);
  return {arrays.begin(), arrays.end()};
}

NativeModule::NativeModule(NativeModule&& other) noexcept
    : model_(std::exchange(other.model_, nullptr)), printed_(std::move(other.printed_)) {}
NativeModule& NativeModule::operator=(NativeModule&& other) noexcept {
  std::swap(model_, other.model_);
  std::swap(printed_, other.printed_);
  return *this;
}
NativeModule::~NativeModule() {
  if (model_) repose_unload(model_);
}

Result<NativeModule> NativeModule::load(const Module& module,
                                        std::span<const repose_packed_entry> packed_functions) {
  CompileOptions options;
  REPOSE_TRY(target, host_target());
  options.pipeline.target = target;
  options.pipeline.verify = !is_slow_build;  // other builds verify the same modules after each pass
  REPOSE_TRY(compiled, compile(module, standard_ops(), options));
  char path[] = "/tmp/repose-text-test-XXXXXX";
  const int file = mkstemp(path);
  if (file < 0) return error(DiagnosticKind::cannot_write, {}, "cannot make a file in /tmp");
  close(file);
  auto written = write_artifact(compiled, Emit::shared, path);
  repose_options load_options = repose_default_options();
  load_options.num_threads = 2;
  load_options.packed_functions = packed_functions.data();
  load_options.num_packed_functions = static_cast<int32_t>(packed_functions.size());
  auto printed = std::make_shared<std::string>();
  load_options.print = [](void* user, const char* text) {
    *static_cast<std::string*>(user) += std::string(text) + "\n";
  };
  load_options.print_user = printed.get();
  repose_model* model = nullptr;
  const int32_t status = written.ok() ? repose_load(path, &load_options, &model) : -1;
  std::remove(path);
  if (!written.ok()) return written.errors();
  if (status != REPOSE_OK) {
    return error(DiagnosticKind::cannot_read, {}, "{}", repose_last_error(nullptr));
  }
  return NativeModule(model, std::move(printed));
}

Outcome NativeModule::call(const std::string& function, const std::vector<HostValue>& args) const {
  const int32_t index = repose_find_function(model_, function.c_str());
  if (index < 0) return refused("no function `" + function + "`");
  repose_function info{};
  info.struct_size = sizeof info;
  if (repose_get_function(model_, index, &info) != REPOSE_OK) {
    return refused(repose_last_error(model_));
  }
  std::vector<DLTensor> tensors;
  std::vector<const DLTensor*> inputs;
  const std::vector<HostValue> arrays = as_native(args);
  for (const HostValue& array : arrays) tensors.push_back(tensor_of(array.tensor()));
  for (const DLTensor& t : tensors) inputs.push_back(&t);
  std::vector<DLManagedTensorVersioned*> results(static_cast<size_t>(info.num_outputs));
  printed_->clear();
  const int32_t status =
      repose_call(model_, index, inputs.data(), static_cast<int32_t>(inputs.size()), nullptr,
                  info.num_outputs, results.data());
  if (status != REPOSE_OK) return refused(repose_last_error(model_));
  HostValue::Tuple values;
  for (DLManagedTensorVersioned* result : results) {
    values.emplace_back(array_of(result->dl_tensor));
    result->deleter(result);
  }
  Outcome o;
  o.value = values.size() == 1 ? values[0] : HostValue(std::move(values));
  o.printed = *printed_;
  return o;
}

// ---- Programs -----------------------------------------------------------------------------------

namespace {

// What stands in the 64 bits of a scalar parameter: an integer extended, or a float's bits.
int64_t slot_of(const Scalar& value) {
  if (!value.dtype.is_float()) return value.i;
  Ref<ArrayNode> bits = make_array({1}, value.dtype);
  bits->store(0, value);
  int64_t slot = 0;
  std::memcpy(&slot, bits->bytes, bits->num_bytes);
  return slot;
}

}  // namespace

Result<NativeProgram> NativeProgram::load(const tir::PrimFunc& f) {
  NativeProgram program;
  program.func_ = f;
  std::vector<tir::Param> params = f->params;
  for (const Var& v : tir::bound_symbols(*f)) {
    program.symbols_.push_back(v);
    params.push_back(tir::scalar_param(v));
  }
  REPOSE_TRY(target, host_target());
  CodegenOptions options;
  options.debug_bounds = true;
  const tir::PrimFunc whole = tir::make_prim_func(params, f->body, f->is_private, f->attrs);
  REPOSE_TRY(code, compile_in_process(finish_program(whole), target, options));
  program.code_ = std::move(code);
  return program;
}

Outcome NativeProgram::call(const std::vector<HostValue>& args) const {
  std::vector<Ref<ArrayNode>> copies;
  std::vector<void*> buffers;
  std::vector<int64_t> scalars;
  std::vector<int64_t> sizes(symbols_.size());
  HostValue::Tuple results;
  for (size_t i = 0; i < args.size(); ++i) {
    if (const Scalar* s = args[i].scalar()) {
      scalars.push_back(slot_of(*s));
      continue;
    }
    const Array in = args[i].tensor();
    Ref<ArrayNode> copy = make_array(in->shape, in->dtype);
    std::copy(in->bytes, in->bytes + in->num_bytes, copy->mutable_bytes());
    buffers.push_back(copy->mutable_bytes());
    results.emplace_back(copy);
    copies.push_back(std::move(copy));
    const std::vector<Expr>& shape = func_->params[i].buffer->shape;
    for (size_t d = 0; d < shape.size(); ++d) {
      auto symbol = std::find_if(symbols_.begin(), symbols_.end(),
                                 [&](const Var& v) { return v.get() == shape[d].get(); });
      if (symbol != symbols_.end()) sizes[symbol - symbols_.begin()] = in->shape[d];
    }
  }
  scalars.insert(scalars.end(), sizes.begin(), sizes.end());
  auto done = code_->call(buffers.data(), scalars.data());
  if (!done.ok()) return refused(to_string(done.errors()));
  Outcome o;
  o.value = HostValue(std::move(results));
  return o;
}

}  // namespace repose::testing_text

// Packed functions: compiled models beside the interpreter, with the same functions of the host.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "base/dlpack_code.h"
#include "interp/interpreter.h"
#include "repose/compiler.hpp"
#include "repose/repose.h"

namespace repose {
namespace {

// ---- The host's functions -----------------------------------------------------------------------

int64_t count_of(const DLTensor& t) {
  int64_t count = 1;
  for (int k = 0; k < t.ndim; ++k) count *= t.shape[k];
  return count;
}
float* floats(const DLTensor& t) {
  return static_cast<float*>(t.data);
}

std::atomic<int> live_tensors{0};

struct Owned {
  DLManagedTensorVersioned tensor{};
  std::vector<int64_t> shape, strides;
  std::vector<double> data;  // room for any elements
};

// A tensor for the model; strides empty: null.
DLManagedTensorVersioned* make(std::vector<int64_t> shape, DLDataType dtype,
                               std::vector<int64_t> strides = {}, size_t room = 0) {
  auto* owned = new Owned;
  owned->shape = std::move(shape);
  owned->strides = std::move(strides);
  DLTensor& t = owned->tensor.dl_tensor;
  t.device = {kDLCPU, 0};
  t.ndim = static_cast<int32_t>(owned->shape.size());
  t.dtype = dtype;
  t.shape = owned->shape.data();
  t.strides = owned->strides.empty() ? nullptr : owned->strides.data();
  owned->data.resize(static_cast<size_t>(count_of(t)) + room + 1);
  t.data = owned->data.data();
  owned->tensor.manager_ctx = owned;
  owned->tensor.deleter = [](DLManagedTensorVersioned* self) {
    delete static_cast<Owned*>(self->manager_ctx);
    --live_tensors;
  };
  ++live_tensors;
  return &owned->tensor;
}
constexpr DLDataType f32{kDLFloat, 32, 1}, f64{kDLFloat, 64, 1};

void give(repose_packed_call* call, int i, DLManagedTensorVersioned* t) {
  call->results[i].kind = REPOSE_VALUE_TENSOR;
  call->results[i].as.result = t;
}
int32_t refuse(repose_packed_call* call, const char* text) {
  std::snprintf(call->error, call->error_bytes, "%s", text);
  return 1;
}

struct Host {
  int calls = 0;
  int live_objects = 0;
  std::string log;
};
Host& host_of(void* user) {
  ++static_cast<Host*>(user)->calls;
  return *static_cast<Host*>(user);
}

// (x, out): out = 2 x.
int32_t twice(void* user, repose_packed_call* call) {
  host_of(user);
  if (call->num_arguments != 2 || call->num_written != 1) return refuse(call, "wrong arguments");
  const DLTensor &x = *call->arguments[0].as.tensor, &y = *call->arguments[1].as.tensor;
  for (int64_t i = 0; i < count_of(x); ++i) floats(y)[i] = 2 * floats(x)[i];
  return 0;
}

// (x): the elements above 0.
int32_t positive(void* user, repose_packed_call* call) {
  host_of(user);
  const DLTensor& x = *call->arguments[0].as.tensor;
  std::vector<float> found;
  for (int64_t i = 0; i < count_of(x); ++i) {
    if (floats(x)[i] > 0) found.push_back(floats(x)[i]);
  }
  auto* result = make({static_cast<int64_t>(found.size())}, f32);
  std::copy(found.begin(), found.end(), floats(result->dl_tensor));
  give(call, 0, result);
  return 0;
}

// (x of (n, m)): x transposed by strides, n m, (m, n), any element above 0.
int32_t several(void* user, repose_packed_call* call) {
  host_of(user);
  const DLTensor& x = *call->arguments[0].as.tensor;
  const int64_t n = x.shape[0], m = x.shape[1];
  auto* t = make({m, n}, f32, {1, m});
  std::copy_n(floats(x), n * m, floats(t->dl_tensor));
  give(call, 0, t);
  call->results[1].kind = REPOSE_VALUE_INT;
  call->results[1].as.integer = n * m;
  if (call->results[2].kind != REPOSE_VALUE_SHAPE || call->results[2].count != 2) {
    return refuse(call, "a shape of two members was to be expected");
  }
  call->results[2].as.dims[0] = m;
  call->results[2].as.dims[1] = n;
  call->results[3].kind = REPOSE_VALUE_BOOL;
  call->results[3].as.integer = n * m > 0 && floats(x)[0] > 0;
  return 0;
}

// (x, y): x += y, in place.
int32_t accumulate(void* user, repose_packed_call* call) {
  host_of(user);
  const DLTensor &x = *call->arguments[0].as.tensor, &y = *call->arguments[1].as.tensor;
  for (int64_t i = 0; i < count_of(x); ++i) floats(x)[i] += floats(y)[i];
  return 0;
}

// (x): what was given, without a copy: the host's own tensor that shares its memory.
int32_t identity(void* user, repose_packed_call* call) {
  host_of(user);
  const DLTensor& x = *call->arguments[0].as.tensor;
  auto* t = make({x.shape, x.shape + x.ndim}, x.dtype);
  t->dl_tensor.data = x.data;
  give(call, 0, t);
  return 0;
}

// (kind): a float32 tensor that is not as promised.
int32_t wrong(void* user, repose_packed_call* call) {
  host_of(user);
  switch (call->arguments[0].as.integer) {
    case 0:
      give(call, 0, make({3}, f64));
      return 0;
    case 1:
      give(call, 0, make({3, 1}, f32));
      return 0;
    case 2:
      give(call, 0, make({5}, f32));
      return 0;
    case 3:
      call->results[0].kind = REPOSE_VALUE_INT;
      call->results[0].as.integer = 42;
      return 0;
    case 4:
      return refuse(call, "no luck today");
    case 5:
      return 1;
    default:
      give(call, 0, make({3}, f32));
      return 0;
  }
}

// An object, and its use.
int32_t open_box(void* user, repose_packed_call* call) {
  Host& host = host_of(user);
  ++host.live_objects;
  call->results[0].kind = REPOSE_VALUE_OBJECT;
  call->results[0].as.object = &host;
  call->results[0].deleter = [](void* object) { --static_cast<Host*>(object)->live_objects; };
  return 0;
}
int32_t from_box(void* user, repose_packed_call* call) {
  Host& host = host_of(user);
  if (call->arguments[0].kind != REPOSE_VALUE_OBJECT || call->arguments[0].as.object != &host) {
    return refuse(call, "no box");
  }
  const int64_t n = call->arguments[1].as.integer;
  auto* t = make({n}, f32);
  for (int64_t i = 0; i < n; ++i) floats(t->dl_tensor)[i] = static_cast<float>(i);
  give(call, 0, t);
  return 0;
}

// Writes down what it is given.
int32_t note(void* user, repose_packed_call* call) {
  Host& host = host_of(user);
  for (int i = 0; i < call->num_arguments; ++i) {
    const repose_packed_value& v = call->arguments[i];
    host.log += std::to_string(v.kind) + ":";
    if (v.kind == REPOSE_VALUE_INT || v.kind == REPOSE_VALUE_BOOL)
      host.log += std::to_string(v.as.integer);
    if (v.kind == REPOSE_VALUE_FLOAT) host.log += std::to_string(v.as.number);
    if (v.kind == REPOSE_VALUE_TEXT) host.log += v.as.text;
    if (v.kind == REPOSE_VALUE_DTYPE) host.log += std::to_string(v.as.dtype.bits);
    for (int k = 0; v.kind == REPOSE_VALUE_SHAPE && k < v.count; ++k)
      host.log += std::to_string(v.as.dims[k]) + ",";
    for (int k = 0; v.kind == REPOSE_VALUE_TUPLE && k < v.count; ++k)
      host.log += std::to_string(v.as.items[k].kind) + ",";
    for (int k = 0; v.kind == REPOSE_VALUE_TENSOR && k < v.as.tensor->ndim; ++k)
      host.log += std::to_string(v.as.tensor->shape[k]) + "/" +
                  std::to_string(v.as.tensor->strides[k]) + ",";
    host.log += " ";
  }
  host.log += ";";
  return 0;
}

std::vector<repose_packed_entry> entries(Host& host) {
  return {{"test.twice", twice, &host},       {"test.positive", positive, &host},
          {"test.several", several, &host},   {"test.accumulate", accumulate, &host},
          {"test.identity", identity, &host}, {"test.wrong", wrong, &host},
          {"test.open_box", open_box, &host}, {"test.from_box", from_box, &host},
          {"test.note", note, &host}};
}

// ---- Running a module both ways -----------------------------------------------------------------

struct Ran {
  std::vector<Array> values;
  std::string error, printed;
  Host host;
};

Array array_of(const DLTensor& t) {
  Ref<ArrayNode> array =
      make_array({t.shape, t.shape + t.ndim}, dtype_of_dlpack(t.dtype.code, t.dtype.bits).value());
  if (array->num_bytes) std::memcpy(array->mutable_bytes(), t.data, array->num_bytes);
  return array;
}

void collect(const HostValue& v, std::vector<Array>& out) {
  if (v.tensor()) out.push_back(v.tensor());
  if (!v.tuple()) return;
  for (const HostValue& field : *v.tuple()) collect(field, out);
}

Ran interpreted(const Module& module, const std::vector<Array>& args) {
  Ran ran;
  const auto functions = entries(ran.host);
  InterpretOptions options;
  options.print = [&](const std::string& text) { ran.printed += text + "\n"; };
  options.packed_functions = functions.data();
  options.num_packed_functions = functions.size();
  {
    auto result = interpret(module, standard_ops(), "main", {args.begin(), args.end()}, options);
    if (result.ok()) collect(*result, ran.values);
    if (!result.ok()) ran.error = result.errors()[0].text;
  }
  return ran;
}

struct Loaded {
  repose_model* model = nullptr;
  std::string error;
  ~Loaded() { repose_unload(model); }
};

std::string compiled(const Module& module) {
  std::string path = testing::TempDir() + "repose_packed_test.so";
  auto done = compile(module, path);
  EXPECT_TRUE(done.ok()) << to_string(done.errors());
  return done.ok() ? path : "";
}

Ran called(repose_model* model, const std::vector<Array>& args) {
  Ran ran;
  std::vector<DLTensor> tensors;
  std::vector<const DLTensor*> inputs;
  for (const Array& a : args) {
    DLTensor t{};
    t.data = const_cast<std::byte*>(a->bytes);
    t.device = {kDLCPU, 0};
    t.ndim = static_cast<int32_t>(a->shape.size());
    t.dtype = {dlpack_code(a->dtype), a->dtype.bits, 1};
    t.shape = const_cast<int64_t*>(a->shape.data());
    tensors.push_back(t);
  }
  for (const DLTensor& t : tensors) inputs.push_back(&t);
  repose_function info{};
  EXPECT_EQ(repose_get_function(model, 0, &info), REPOSE_OK);
  std::vector<DLManagedTensorVersioned*> results(static_cast<size_t>(info.num_outputs) + 1);
  const int32_t status = repose_call(model, 0, inputs.data(), static_cast<int32_t>(inputs.size()),
                                     nullptr, info.num_outputs, results.data());
  if (status != REPOSE_OK) ran.error = repose_last_error(model);
  for (int i = 0; status == REPOSE_OK && i < info.num_outputs; ++i) {
    ran.values.push_back(array_of(results[static_cast<size_t>(i)]->dl_tensor));
    results[static_cast<size_t>(i)]->deleter(results[static_cast<size_t>(i)]);
  }
  return ran;
}

// Twice in one model: the second call meets what the first has left.
Ran native(const Module& module, const std::vector<Array>& args) {
  const std::string path = compiled(module);
  Host host;
  std::string printed;
  const auto functions = entries(host);
  repose_options options = repose_default_options();
  options.packed_functions = functions.data();
  options.num_packed_functions = static_cast<int32_t>(functions.size());
  options.print = [](void* user, const char* text) {
    *static_cast<std::string*>(user) += std::string(text) + "\n";
  };
  options.print_user = &printed;
  Loaded loaded;
  EXPECT_EQ(repose_load(path.c_str(), &options, &loaded.model), REPOSE_OK)
      << repose_last_error(nullptr);
  if (!loaded.model) return {};
  called(loaded.model, args);
  host.calls = 0;
  host.log.clear();
  printed.clear();
  Ran ran = called(loaded.model, args);
  ran.host = host;
  ran.printed = printed;
  return ran;
}

Module module_of(const std::string& text) {
  auto module = parse(text);
  EXPECT_TRUE(module.ok()) << to_string(module.errors());
  return module.ok() ? *module : Module();
}

Array numbers(std::vector<int64_t> shape) {
  Ref<ArrayNode> array = make_array(std::move(shape), dtypes::float32);
  for (int64_t i = 0; i < array->num_elements(); ++i) {
    array->store(i, Scalar::of_float(static_cast<double>(i * 7 % 5) - 1.5, dtypes::float32));
  }
  return array;
}

// Both ways give the same; gives what native code does.
Ran expect_same(const std::string& text, const std::vector<Array>& args) {
  const Module module = module_of(text);
  const Ran want = interpreted(module, args), have = native(module, args);
  EXPECT_EQ(want.error, have.error);
  EXPECT_EQ(want.printed, have.printed);
  EXPECT_EQ(want.host.calls, have.host.calls);
  EXPECT_EQ(want.host.log, have.host.log);
  EXPECT_EQ(want.host.live_objects, 0);
  EXPECT_EQ(have.host.live_objects, 0);
  EXPECT_EQ(live_tensors, 0);
  EXPECT_EQ(want.values.size(), have.values.size());
  for (size_t i = 0; i < std::min(want.values.size(), have.values.size()); ++i) {
    EXPECT_EQ(to_string(HostValue(want.values[i])), to_string(HostValue(have.values[i])));
    EXPECT_TRUE(
        want.values[i]->num_bytes == have.values[i]->num_bytes &&
        (want.values[i]->num_bytes == 0 || std::memcmp(want.values[i]->bytes, have.values[i]->bytes,
                                                       want.values[i]->num_bytes) == 0));
  }
  return have;
}

constexpr int64_t sizes[] = {0, 1, 7};

// ---- Calls --------------------------------------------------------------------------------------

TEST(Packed, ResultsInBuffersOfThePlan) {
  for (const int64_t n : sizes) {
    const Ran ran = expect_same(R"(
@R.function
def main(x: R.Tensor(("n", 3), "float32")):
    n = T.int64()
    with R.dataflow():
        a = R.add(x, x)
        b = R.call_dps_packed("test.twice", (a,), out_sinfo=R.Tensor((n, 3), "float32"))
        c = R.multiply(b, a)
        R.output(c)
    return c
)",
                                {numbers({n, 3})});
    EXPECT_EQ(ran.host.calls, 1);
    EXPECT_EQ(ran.values.size(), 1u);
  }
}

TEST(Packed, ResultsWhoseSizeTheHostDecides) {
  for (const int64_t n : sizes) {
    expect_same(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    n, k = T.int64(), T.int64()
    with R.dataflow():
        a = R.add(x, x)
        p = R.call_pure_packed("test.positive", a, sinfo_args=[R.Tensor((k,), "float32")])
        q = R.call_pure_packed("test.positive", x, sinfo_args=[R.Tensor(ndim=1, dtype="float32")])
        r = R.add(p, R.const(1, "float32"))
        s = R.concat((r, q), axis=0)
        R.output(s)
    return s
)",
                {numbers({n})});
  }
}

TEST(Packed, ResultsOfEveryKind) {
  for (const int64_t n : sizes) {
    expect_same(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n", 3), "float32")):
    n, k, u, v = T.int64(), T.int64(), T.int64(), T.int64()
    all = R.call_pure_packed("test.several", x, sinfo_args=[R.Tensor((3, n), "float32"),
        R.Prim(value=k), R.Shape((u, v)), R.Prim("bool")])
    t = all[0]
    y = R.reshape(t, R.shape([k]))
    z = R.reshape(t, R.shape([v, u]))
    w = R.add(z, R.full(R.shape([n, 3]), R.const(2, "float32"), "float32"))
    _ = R.print(all, format="{}")
    return (y, w)
)",
                {numbers({n, 3})});
  }
}

TEST(Packed, OverwritesItsArgumentsOnly) {
  for (const int64_t n : sizes) {
    expect_same(R"(
@R.function
def main(x: R.Tensor(("n",), "float32"), y: R.Tensor(("n",), "float32")):
    n = T.int64()
    with R.dataflow():
        a = R.add(x, y)
        b = R.call_inplace_packed("test.accumulate", a, y, inplace_indices=[0], sinfo_args=[R.Tensor((n,), "float32")])
        c = R.call_inplace_packed("test.accumulate", x, b, inplace_indices=[0], sinfo_args=[R.Tensor((n,), "float32")])
        d = R.add(c, x)
        R.output(b, d)
    return (b, d)
)",
                {numbers({n}), numbers({n})});
  }
}

// A function may give its own argument: it isn't written over before it is copied.
TEST(Packed, GivesWhatItWasGiven) {
  for (const int64_t n : sizes) {
    expect_same(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    a = R.add(x, x)
    b = R.call_pure_packed("test.identity", a, sinfo_args=[R.Tensor((n,), "float32")])
    c = R.call_pure_packed("test.identity", b, sinfo_args=[R.Tensor((n,), "float32")])
    return c
)",
                {numbers({n})});
  }
}

TEST(Packed, HoldsObjectsAndTensorsOfUnknownType) {
  for (const int64_t n : sizes) {
    const Ran ran = expect_same(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n, k = T.int64(), T.int64()
    box: R.Any = R.call_packed("test.open_box")
    any: R.Any = R.call_packed("test.from_box", box, R.prim_value(n), sinfo_args=[R.Any])
    t = R.match_cast(any, R.Tensor((k,), "float32"))
    u: R.Tensor = R.call_packed("test.from_box", box, R.prim_value(n), sinfo_args=[R.Tensor])
    v = R.match_cast(u, R.Tensor((n,), "float32"))
    _ = R.call_packed("test.note", any, u, sinfo_args=R.Tuple())
    return R.add(R.add(t, v), x)
)",
                                {numbers({n})});
    EXPECT_EQ(ran.host.calls, 4);
  }
}

TEST(Packed, TakesArgumentsOfEveryKind) {
  expect_same(R"(
@I.ir_module
class M:
    host = R.ExternFunc("test.note")

    @R.function(pure=False)
    def main(x: R.Tensor(("n", 3), "float32")):
        n = T.int64()
        both = (x, R.shape([n, 4]))
        f = R.ExternFunc("test.note")
        _ = R.call_packed("test.note", x, R.prim_value(n * 2), R.prim_value(T.float32(0.5)), R.shape([n, 1]), R.str("text"), R.dtype("int16"), both, R.const([1, 2], "int32"), R.prim_value(n > 1), None, sinfo_args=R.Tuple())
        _1 = M.host(x)
        _2 = f(x)
        return x
)",
              {numbers({2, 3})});
}

// ---- Effects ------------------------------------------------------------------------------------

TEST(Packed, EffectsKeepTheirOrderAndNumber) {
  for (const int64_t n : sizes) {
    const Ran ran = expect_same(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    _ = R.print(x, R.prim_value(n), format="x = {0}, {1} of it, {0}")
    a = R.add(x, x)
    _1 = R.call_packed("test.note", R.prim_value(1), sinfo_args=R.Tuple())
    unused = R.call_packed("test.positive", a, sinfo_args=[R.Tensor(ndim=1, dtype="float32")])
    _2 = R.call_packed("test.note", R.prim_value(2), sinfo_args=R.Tuple())
    b = R.multiply(a, a)
    _3 = R.print(a, R.shape([n, 2]), R.str("end"))
    _4 = R.call_packed("test.note", R.prim_value(2), sinfo_args=R.Tuple())
    _5 = R.print(R.const([0.1, -0.0, 1e30, 5e-7, 123456789.0, 65504.0], "float32"), R.const([True, False]), R.const([1e16, 2.5], "float64"), R.const([1.5], "float16"), R.const([-3], "int8"), R.const([200], "uint8"))
    return b
)",
                                {numbers({n})});
    EXPECT_EQ(ran.host.log, "1:1 ;1:2 ;1:2 ;");
    EXPECT_EQ(ran.host.calls, 4);
  }
}

TEST(Packed, EffectsInBranchesAndLoops) {
  for (const int64_t n : sizes) {
    const Ran ran = expect_same(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    @R.function
    def cond(i: R.Prim(value="i"), acc: R.Tensor((n,), "float32")) -> R.Prim("bool"):
        i = T.int64()
        return R.prim_value(i < 3)
    @R.function
    def body(i: R.Prim(value="i"), acc: R.Tensor((n,), "float32")):
        i = T.int64()
        y = R.call_pure_packed("test.identity", acc, sinfo_args=[R.Tensor((n,), "float32")])
        z = R.add(y, x)
        return (R.prim_value(i + 1), z)
    done = R.while_loop(cond, body, (R.prim_value(0), x))
    t = done[1]
    if R.prim_value(n > 1):
        _1 = R.call_packed("test.note", R.prim_value(10), sinfo_args=R.Tuple())
        r = R.call_packed("test.identity", t, sinfo_args=[R.Tensor((n,), "float32")])
    else:
        _2 = R.print(t)
        r = R.add(t, t)
    return r
)",
                                {numbers({n})});
    EXPECT_EQ(ran.host.log, n > 1 ? "1:10 ;" : "");
    EXPECT_EQ(ran.host.calls, n > 1 ? 5 : 3);
  }
}

TEST(Packed, AssertionsFailWithTheirText) {
  const char* text = R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32"), flag: R.Tensor((), "bool")):
    n = T.int64()
    _ = R.print(R.str("before"))
    _1 = R.assert_op(R.prim_value(n < 5), R.prim_value(n), format="n is {}, too many")
    _2 = R.assert_op(flag, x, format="flag is off: {0}")
    _3 = R.print(R.str("behind"))
    return x
)";
  auto flag = [](bool on) {
    Ref<ArrayNode> a = make_array({}, dtypes::boolean);
    a->store(0, Scalar::of_int(on, dtypes::boolean));
    return Array(a);
  };
  EXPECT_EQ(expect_same(text, {numbers({2}), flag(true)}).error, "");
  EXPECT_EQ(expect_same(text, {numbers({7}), flag(true)}).error, "n is 7, too many");
  EXPECT_EQ(expect_same(text, {numbers({2}), flag(false)}).error,
            "flag is off: float32(2)[-1.5, 0.5]");
}

// ---- Refusals -----------------------------------------------------------------------------------

TEST(Packed, RefusesResultsThatAreNotAsDeclared) {
  auto error_of = [](int kind, int64_t n) {
    return expect_same(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    y = R.call_packed("test.wrong", R.prim_value()" +
                           std::to_string(kind) + R"(), sinfo_args=[R.Tensor((n,), "float32")])
    return R.add(y, x)
)",
                       {numbers({n})})
        .error;
  };
  EXPECT_EQ(error_of(6, 3), "");
  EXPECT_EQ(error_of(0, 3), "`y` has dtype float64, expected float32");
  EXPECT_EQ(error_of(1, 3), "`y` has rank 2, expected 1");
  EXPECT_EQ(error_of(2, 3), "`y`: dimension 0 is 5, expected `n` = 3");
  EXPECT_EQ(error_of(3, 3), "`y` is 42, expected `R.Tensor((n,), dtype=\"float32\")`");
  EXPECT_EQ(error_of(4, 3), "`test.wrong`: no luck today");
  EXPECT_EQ(error_of(5, 3), "`test.wrong`: it failed and said nothing");
}

TEST(Packed, RefusesToLoadWithoutItsFunctions) {
  const std::string path = compiled(module_of(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    n = T.int64()
    _ = R.call_packed("test.note", x, sinfo_args=R.Tuple())
    _1 = R.call_packed("nobody.has", x, sinfo_args=R.Tuple())
    y = R.call_dps_packed("nobody.else", (x,), out_sinfo=R.Tensor((n,), "float32"))
    return y
)"));
  Host host;
  const auto functions = entries(host);
  repose_options options = repose_default_options();
  options.packed_functions = functions.data();
  options.num_packed_functions = static_cast<int32_t>(functions.size());
  Loaded loaded;
  EXPECT_EQ(repose_load(path.c_str(), &options, &loaded.model), REPOSE_CANNOT_LOAD);
  EXPECT_NE(std::string(repose_last_error(nullptr))
                .find("packed functions that nothing provides: `nobody.has`, `nobody.else`"),
            std::string::npos)
      << repose_last_error(nullptr);
  options.allow_missing_functions = 1;
  ASSERT_EQ(repose_load(path.c_str(), &options, &loaded.model), REPOSE_OK);
  EXPECT_EQ(called(loaded.model, {numbers({3})}).error,
            "`nobody.has`: nothing provided it when the model was loaded");
  EXPECT_EQ(host.calls, 1);
  options.packed_functions = nullptr;
  repose_model* none = nullptr;
  EXPECT_EQ(repose_load(path.c_str(), &options, &none), REPOSE_INVALID_ARGUMENT);
}

TEST(Packed, OptionsComeBeforeWhatIsRegistered) {
  const Module module = module_of(R"(
@R.function(pure=False)
def main(x: R.Tensor(("n",), "float32")):
    _ = R.call_packed("registered.note", x, sinfo_args=R.Tuple())
    return x
)");
  const std::string path = compiled(module);
  Host first, second, own;
  Loaded a, b, c, d;
  EXPECT_EQ(repose_register("", note, &first), REPOSE_INVALID_ARGUMENT);
  EXPECT_EQ(repose_register("registered.note", note, &first), REPOSE_OK);
  EXPECT_EQ(repose_load(path.c_str(), nullptr, &a.model), REPOSE_OK);
  EXPECT_EQ(repose_register("registered.note", note, &second), REPOSE_OK);
  EXPECT_EQ(repose_load(path.c_str(), nullptr, &b.model), REPOSE_OK);
  const repose_packed_entry entry{"registered.note", note, &own};
  repose_options options = repose_default_options();
  options.packed_functions = &entry;
  options.num_packed_functions = 1;
  EXPECT_EQ(repose_load(path.c_str(), &options, &c.model), REPOSE_OK);
  EXPECT_EQ(repose_register("registered.note", nullptr, nullptr), REPOSE_OK);
  EXPECT_EQ(repose_load(path.c_str(), nullptr, &d.model), REPOSE_CANNOT_LOAD);
  for (repose_model* model : {a.model, b.model, b.model, c.model}) {
    EXPECT_EQ(called(model, {numbers({2})}).error, "");
  }
  EXPECT_EQ(first.calls, 1);
  EXPECT_EQ(second.calls, 2);
  EXPECT_EQ(own.calls, 1);
}

// Calls at once have contexts, and so values, of their own.
TEST(Packed, SeveralThreadsCallAtOnce) {
  const std::string path = compiled(module_of(R"(
@R.function
def main(x: R.Tensor(("n",), "float32")):
    n, k = T.int64(), T.int64()
    p = R.call_pure_packed("test.positive", x, sinfo_args=[R.Tensor((k,), "float32")])
    return R.add(p, p)
)"));
  const repose_packed_entry entry{"test.positive",
                                  [](void*, repose_packed_call* call) {
                                    Host host;
                                    return positive(&host, call);
                                  },
                                  nullptr};
  repose_options options = repose_default_options();
  options.packed_functions = &entry;
  options.num_packed_functions = 1;
  Loaded loaded;
  ASSERT_EQ(repose_load(path.c_str(), &options, &loaded.model), REPOSE_OK);
  std::atomic<int> wrong_results{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t n = t; n < 200; n += 4) {
        const Array x = numbers({n});
        int64_t above = 0;
        for (int64_t i = 0; i < n; ++i) above += x->load(i).f > 0;
        const Ran ran = called(loaded.model, {x});
        if (ran.values.size() != 1 || ran.values[0]->shape[0] != above) ++wrong_results;
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(wrong_results, 0);
  EXPECT_EQ(live_tensors, 0);
}

}  // namespace
}  // namespace repose

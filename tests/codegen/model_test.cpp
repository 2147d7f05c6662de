// Whole models: host functions, tables and symbols, as shared libraries with a runtime of the
// tests.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "jit.h"
#include "runtime/abi.h"

namespace repose::test {
namespace {

using tir::make_prim_func;
using tir::make_seq;
using tir::Stmt;
using I = Intrinsic;

Expr index(int64_t v) {
  return make_int(v);
}
Expr host(I i, std::vector<Expr> args, DType dtype = dtypes::handle, std::string name = "") {
  return make_call(i, dtype, std::move(args), std::move(name));
}
Stmt evaluate(Expr e) {
  return tir::make<tir::EvaluateNode>(std::move(e));
}
Stmt let(const Var& v, Expr value, Stmt body) {
  return tir::make<tir::LetNode>(v, std::move(value), std::move(body));
}
Var handle(const std::string& name) {
  return make_var(name, dtypes::handle, VarRole::handle);
}
Var let_var(const std::string& name) {
  return make_var(name, dtypes::index, VarRole::let);
}

// A kernel that writes out[i] = a[i] + w[i] for i < n.
tir::PrimFunc add_kernel() {
  Var n = make_var("n"), i = loop_var("i");
  Buffer a = make_buffer("a", {n}, dtypes::uint8), w = make_buffer("w", {n}, dtypes::uint8),
         out = make_buffer("out", {n}, dtypes::uint8);
  Stmt body =
      loop(i, n, store(out, {i}, make_load(a, {i}) + make_load(w, {i})), tir::ForKind::parallel);
  return make_prim_func(
      {tir::buffer_param(a), tir::buffer_param(w), tir::buffer_param(out), tir::scalar_param(n)},
      body);
}

// main(x: (n,)) = x + weights + weights, by way of the arena.
ModelImage small_model(int extra_kernels = 0) {
  ModelImage image;
  image.name = "small";
  image.metadata_json = "{\"a\": \"b\"}";
  image.weights_bytes = 4096;
  image.kernels.emplace_back("add", add_kernel());
  for (int i = 0; i < extra_kernels; ++i)
    image.kernels.emplace_back("extra" + std::to_string(i), add_kernel());
  Var n = let_var("n"), bytes = let_var("bytes"), x = handle("x"), w = handle("w"), t = handle("t"),
      y = handle("y");
  auto call_add = [&](Expr a, Expr b, Expr out) {
    return evaluate(host(I::call_program, {a, b, out, n}, dtypes::int32, "add"));
  };
  Stmt body = make_seq({call_add(x, w, t), call_add(t, w, y)});
  body = let(y, host(I::output_data, {index(0), n, n * 2}), body);
  body = let(t, host(I::byte_offset, {host(I::arena_region, {index(0), bytes}), index(64)}), body);
  body = let(w, host(I::weight_data, {index(1)}), body);
  body = let(x, host(I::input_data, {index(0)}), body);
  body = let(bytes, n * 1000 + 64, body);
  Stmt check = tir::make<tir::AssertNode>(make_binary(ExprKind::gt, n, index(1)), "`x`: n is {0}",
                                          std::vector<Expr>{n});
  body = let(n, host(I::input_dim, {index(0), index(0)}, dtypes::index), make_seq({check, body}));
  ModelFunction f;
  f.name = "main";
  f.inputs = {{"x", dtypes::uint8, {{-1, "n"}}, {}, -1}};
  f.outputs = {{"y", dtypes::bfloat16, {{-1, "n"}, {3, "3"}}, {-1, 1}, 0}};
  f.symbols = {{"n", 2, 4096, 8}};
  f.run = make_prim_func({}, body);
  Buffer total = make_buffer("bytes", {index(1)}, dtypes::int64),
         dims = make_buffer("dims", {index(2)}, dtypes::int64);
  Var m = let_var("m");
  auto put = [&](const Buffer& b, int64_t k, Expr e) {
    return store(b, {index(k)}, make_cast(dtypes::int64, std::move(e)));
  };
  f.sizes = make_prim_func({tir::buffer_param(total), tir::buffer_param(dims)},
                           let(m, host(I::sizes_symbol, {index(0)}, dtypes::index),
                               make_seq({put(total, 0, m * 1000 + 64), put(dims, 0, m),
                                         put(dims, 1, floor_div(index(1000), m))})));
  image.functions.push_back(f);
  return image;
}

class Library {
 public:
  Library(const std::vector<std::string>& objects, const std::string& name) {
    std::string folder = ::testing::TempDir() + "repose_" + name + "_" + std::to_string(getpid());
    std::string command = std::string(REPOSE_C_COMPILER) +
                          " -shared -fPIC -O1 -I" REPOSE_SOURCE_DIR " -o " + folder +
                          ".so " REPOSE_SOURCE_DIR "/tests/codegen/fake_runtime.c";
    for (size_t i = 0; i < objects.size(); ++i) {
      std::string path = folder + "_" + std::to_string(i) + ".o";
      std::ofstream(path, std::ios::binary) << objects[i];
      command += " " + path;
      files_.push_back(path);
    }
    files_.push_back(folder + ".so");
    EXPECT_EQ(std::system(command.c_str()), 0);
    handle_ = dlopen((folder + ".so").c_str(), RTLD_NOW | RTLD_LOCAL);
    EXPECT_TRUE(handle_) << dlerror();
  }
  ~Library() {
    if (handle_) dlclose(handle_);
    for (const std::string& f : files_) std::remove(f.c_str());
  }
  template <class T>
  T* symbol(const char* name) const {
    return reinterpret_cast<T*>(dlsym(handle_, name));
  }
  const repose_rt_model& model() const { return *symbol<const repose_rt_model*()>("test_model")(); }

 private:
  void* handle_ = nullptr;
  std::vector<std::string> files_;
};

std::vector<std::string> objects_of(const ModelImage& image, const CodegenOptions& options = {}) {
  auto objects = generate_objects(image, target("x86-64-v3"), options);
  EXPECT_TRUE(objects.ok());
  return *objects;
}

TEST(models, tables_describe_the_functions) {
  Library library(objects_of(small_model()), "tables");
  const repose_rt_model& m = library.model();
  EXPECT_EQ(m.struct_size, sizeof(repose_rt_model));
  EXPECT_EQ(m.abi_version, REPOSE_RT_ABI_VERSION);
  EXPECT_STREQ(m.name, "small");
  EXPECT_STREQ(m.metadata, "{\"a\": \"b\"}");
  EXPECT_EQ(m.metadata_bytes, 10);
  EXPECT_EQ(m.weights[1], 20);
  EXPECT_EQ(m.weights_bytes, 4096);
  EXPECT_STREQ(m.cpu, "x86-64-v3");
  std::vector<std::string> features;
  for (const char* const* f = m.cpu_features; *f; ++f) features.push_back(*f);
  EXPECT_EQ(features, target("x86-64-v3").required_features);
  ASSERT_EQ(m.num_functions, 1);
  const repose_rt_function& f = m.functions[0];
  EXPECT_STREQ(f.name, "main");
  ASSERT_EQ(f.num_inputs, 1);
  ASSERT_EQ(f.num_outputs, 1);
  ASSERT_EQ(f.num_symbols, 1);
  EXPECT_STREQ(f.inputs[0].name, "x");
  EXPECT_EQ(f.inputs[0].dtype_code, 1);
  EXPECT_EQ(f.inputs[0].dtype_bits, 8);
  EXPECT_EQ(f.inputs[0].rank, 1);
  EXPECT_EQ(f.inputs[0].dims[0].size, -1);
  EXPECT_STREQ(f.inputs[0].dims[0].text, "n");
  EXPECT_EQ(f.inputs[0].strides, nullptr);
  EXPECT_EQ(f.inputs[0].aliases_input, -1);
  EXPECT_EQ(f.outputs[0].dtype_code, 4);
  EXPECT_EQ(f.outputs[0].dtype_bits, 16);
  EXPECT_EQ(f.outputs[0].dims[1].size, 3);
  EXPECT_EQ(f.outputs[0].strides[0], -1);
  EXPECT_EQ(f.outputs[0].aliases_input, 0);
  EXPECT_STREQ(f.symbols[0].name, "n");
  EXPECT_EQ(f.symbols[0].lower, 2);
  EXPECT_EQ(f.symbols[0].upper, 4096);
  EXPECT_EQ(f.symbols[0].divisor, 8);
  auto* ffi = library.symbol<int(void*, const void*, int32_t, void*)>("__tvm_ffi_main");
  ASSERT_TRUE(ffi);
  EXPECT_EQ(ffi(nullptr, nullptr, 7, nullptr), 7);
  for (const char* hidden :
       {"repose_rt_this_model", "repose_run_main", "repose_kernel_add", "repose_weights"}) {
    EXPECT_FALSE(library.symbol<void>(hidden)) << hidden;
  }
}

struct Call {
  uint8_t x[4] = {1, 2, 3, 4};
  void* inputs[1] = {x};
  int64_t dims[1] = {4};
  const int64_t* shapes[1] = {dims};
  repose_rt_frame frame{};
  explicit Call(const repose_rt_model& m) : frame{inputs, shapes, m.weights, 1, nullptr} {}
};

TEST(models, host_functions_check_allocate_and_call) {
  // One module, and several with calls between them.
  for (int extra : {0, 40}) {
    Library library(objects_of(small_model(extra), {.threads = 2}), "run" + std::to_string(extra));
    const repose_rt_function& f = library.model().functions[0];
    Call call(library.model());
    uint8_t y[4] = {};
    void** outputs = library.symbol<void*>("test_outputs");
    auto* dims = library.symbol<int64_t[4]>("test_output_dims");
    outputs[0] = y;
    EXPECT_EQ(f.run(&call.frame), 0);
    EXPECT_EQ((std::vector<int>(y, y + 4)),
              (std::vector<int>{1 + 40, 2 + 60, 3, 4}));  // weights from byte 1
    EXPECT_EQ(library.symbol<int64_t>("test_region_bytes")[0], 4064);
    EXPECT_EQ(dims[0][0], 4);
    EXPECT_EQ(dims[0][1], 8);

    const char* message = library.symbol<char>("test_message");
    call.dims[0] = 1;
    EXPECT_EQ(f.run(&call.frame), REPOSE_RT_REFUSED);
    EXPECT_STREQ(message, "`x`: n is {0} 1");
    call.dims[0] = INT64_MAX / 500;
    EXPECT_EQ(f.run(&call.frame), REPOSE_RT_OVERFLOW);
    EXPECT_TRUE(std::string_view(message).starts_with("a size does not fit in 64 bits: `n * "))
        << message;
    call.dims[0] = 4;
    outputs[0] = nullptr;
    EXPECT_EQ(f.run(&call.frame), REPOSE_RT_REFUSED);
    *library.symbol<int>("test_fail_region") = 1;
    EXPECT_EQ(f.run(&call.frame), REPOSE_RT_OUT_OF_MEMORY);
  }
}

TEST(models, the_memory_query_computes_bytes_and_dimensions) {
  Library library(objects_of(small_model()), "sizes");
  const repose_rt_function& f = library.model().functions[0];
  Call call(library.model());
  int64_t symbol = 8, bytes = 0, dims[2] = {};
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, dims), 0);
  EXPECT_EQ(bytes, 8064);
  EXPECT_EQ(dims[0], 8);
  EXPECT_EQ(dims[1], 125);
  bytes = 0;
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, nullptr), 0);
  EXPECT_EQ(bytes, 8064);
  symbol = INT64_MAX;
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, dims), REPOSE_RT_OVERFLOW);
  symbol = 0;
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, dims), REPOSE_RT_REFUSED);
  EXPECT_STREQ(library.symbol<char>("test_message"), "a size is divided by zero: `1000 // m`");
}

TEST(models, a_size_that_is_not_chosen_may_overflow) {
  ModelImage image = small_model();
  Buffer total = make_buffer("bytes", {index(1)}, dtypes::int64),
         dims = make_buffer("dims", {index(2)}, dtypes::int64);
  Var m = let_var("m");
  Expr safe = make_select(eq(m, index(0)), index(-1), floor_div(index(100), m));
  image.functions[0].sizes =
      make_prim_func({tir::buffer_param(total), tir::buffer_param(dims)},
                     let(m, host(I::sizes_symbol, {index(0)}, dtypes::index),
                         store(total, {index(0)}, make_cast(dtypes::int64, safe))));
  Library library(objects_of(image), "select");
  const repose_rt_function& f = library.model().functions[0];
  Call call(library.model());
  int64_t symbol = 0, bytes = 0;
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, nullptr), 0);
  EXPECT_EQ(bytes, -1);
  symbol = 7;
  EXPECT_EQ(f.sizes(&call.frame, &symbol, &bytes, nullptr), 0);
  EXPECT_EQ(bytes, 14);
}

TEST(models, objects_depend_on_the_image_alone) {
  ModelImage image = small_model(40);
  std::vector<std::string> once = objects_of(image, {.threads = 1});
  EXPECT_GT(once.size(), 1u);
  EXPECT_EQ(once, objects_of(image, {.threads = 3}));
}

TEST(models, objects_call_nothing_but_the_runtime_and_memory_functions) {
  // Everything that other compilers take from libgcc or libm.
  Buffer h = vector_buffer("h", dtypes::float16, 16), d = vector_buffer("d", dtypes::float64, 16),
         l = vector_buffer("l", dtypes::uint64, 16), b = vector_buffer("b", dtypes::bfloat16, 16);
  std::vector<Stmt> body;
  for (bool vector : {false, true}) {
    Expr i = vector ? make_ramp(index(0), index(1), 16) : index(0);
    Expr x = make_load(h, {i}), y = make_load(d, {i}), z = make_load(l, {i});
    int n = x->dtype.lanes;
    auto to = [&](DType t, Expr e) { return make_cast(t.with_lanes(n), std::move(e)); };
    body.push_back(store(h, {i}, x * to(dtypes::float16, y) + to(dtypes::float16, z)));
    body.push_back(store(
        b, {i}, make_binary(ExprKind::mod, to(dtypes::bfloat16, y), to(dtypes::bfloat16, x))));
    body.push_back(store(d, {i},
                         make_call(I::fma, y->dtype,
                                   {make_binary(ExprKind::mod, y, to(dtypes::float64, z)), y,
                                    make_call(I::round, y)})));
    body.push_back(store(l, {i}, make_call(I::pow, floor_div(z, to(dtypes::uint64, y)), z)));
  }
  tir::PrimFunc f = make_prim_func(
      {tir::buffer_param(h), tir::buffer_param(d), tir::buffer_param(l), tir::buffer_param(b)},
      make_seq(body));
  for (const char* level : {"x86-64-v2", "x86-64-v3", "x86-64-v4"}) {
    Result<std::string> text = generate_text("everything", f, target(level), CodeText::assembly);
    ASSERT_TRUE(text.ok());
    for (size_t at = text->find("@PLT"); at != std::string::npos; at = text->find("@PLT", at + 1)) {
      size_t begin = text->find_last_of(" \t", at) + 1;
      ADD_FAILURE() << level << " calls " << text->substr(begin, at - begin);
    }
  }
}

TEST(models, unknown_targets_are_refused) {
  Result<Target> t = find_target("x86-64-v9");
  ASSERT_FALSE(t.ok());
  EXPECT_EQ(t.errors()[0].kind, DiagnosticKind::bad_usage);
}

}  // namespace
}  // namespace repose::test

// Load and run compiled models: the public C interface (C11 and C++11 or later, Linux).
//
// A compiled model is a shared library that depends on libc alone and exports one symbol of this
// interface, `repose_api_v1`: a table of functions. Everything else here is header-only: link
// nothing but libc (with glibc before 2.34, libdl). Any number of models lives in one process.
//
//   repose_options options = repose_default_options();
//   repose_model* model = NULL;
//   if (repose_load("minilm.so", &options, &model) != REPOSE_OK) puts(repose_last_error(NULL));
//   DLManagedTensorVersioned* result = NULL;
//   if (repose_call(model, 0, inputs, 3, NULL, 1, &result) != REPOSE_OK)
//     puts(repose_last_error(model));
//   ...
//   result->deleter(result);
//   repose_unload(model);
//
// Conventions. Functions return a repose_status; a failure leaves its text for the calling thread
// (repose_last_error) and everything else as it was. Strings are UTF-8, end in a zero byte and,
// like every array that a query returns, belong to the model: valid until it is unloaded. Sizes are
// in bytes unless a name says otherwise; strides are in elements. Structs begin with `struct_size`
// where they can grow: the inline functions below fill it in.
//
// Threads. All functions except repose_unload may be called from any number of threads at once on
// one model. A child of fork() may use a model that its parent loaded: it gets threads of its own,
// started by its first call. Calls that other threads of the parent had in progress don't exist in
// the child. Not async-signal-safe.
#pragma once

#include <stddef.h>
#include <stdint.h>

// ---- DLPack ------------------------------------------------------------------------------------
// The tensor structs of DLPack 1.x. A program that also uses dlpack.h includes it first; then its
// definitions are used.
#if defined(DLPACK_DLPACK_H_)
#if !defined(DLPACK_MAJOR_VERSION)
#error "repose.h needs the dlpack.h of DLPack 1.0 or later"
#endif
#else

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
  uint32_t major;
  uint32_t minor;
} DLPackVersion;

#ifdef __cplusplus
typedef enum : int32_t {
#else
typedef enum {
#endif
  kDLCPU = 1,
  kDLCUDA = 2,
  kDLCUDAHost = 3,
  kDLOpenCL = 4,
  kDLVulkan = 7,
  kDLMetal = 8,
  kDLVPI = 9,
  kDLROCM = 10,
  kDLROCMHost = 11,
  kDLExtDev = 12,
  kDLCUDAManaged = 13,
  kDLOneAPI = 14,
  kDLWebGPU = 15,
  kDLHexagon = 16,
  kDLMAIA = 17,
  kDLTrn = 18
} DLDeviceType;

typedef struct {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;

typedef enum {
  kDLInt = 0U,
  kDLUInt = 1U,
  kDLFloat = 2U,
  kDLOpaqueHandle = 3U,
  kDLBfloat = 4U,
  kDLComplex = 5U,
  kDLBool = 6U,
  kDLFloat8_e3m4 = 7U,
  kDLFloat8_e4m3 = 8U,
  kDLFloat8_e4m3b11fnuz = 9U,
  kDLFloat8_e4m3fn = 10U,
  kDLFloat8_e4m3fnuz = 11U,
  kDLFloat8_e5m2 = 12U,
  kDLFloat8_e5m2fnuz = 13U,
  kDLFloat8_e8m0fnu = 14U,
  kDLFloat6_e2m3fn = 15U,
  kDLFloat6_e3m2fn = 16U,
  kDLFloat4_e2m1fn = 17U
} DLDataTypeCode;

typedef struct {
  uint8_t code;    // DLDataTypeCode
  uint8_t bits;    // of one element
  uint16_t lanes;  // 1 for ordinary tensors
} DLDataType;

typedef struct {
  void* data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t* shape;        // ndim entries; may be null if ndim is 0
  int64_t* strides;      // ndim entries, in elements; null: compact, row-major
  uint64_t byte_offset;  // of the first element from `data`
} DLTensor;

typedef struct DLManagedTensorVersioned {
  DLPackVersion version;
  void* manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned* self);  // frees the tensor and `self`
  uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;

#ifdef __cplusplus
}
#endif
#endif  // DLPACK_DLPACK_H_

#ifdef __cplusplus
extern "C" {
#endif

// ---- Types -------------------------------------------------------------------------------------

#define REPOSE_API_VERSION 1

typedef enum {
  REPOSE_OK = 0,
  REPOSE_REFUSED = 1,           // the model refused an input, an output or a value in them
  REPOSE_OUT_OF_MEMORY = 2,     // an allocation failed, or the memory limit is reached
  REPOSE_OVERFLOW = 3,          // a size does not fit in 64 bits
  REPOSE_INVALID_ARGUMENT = 4,  // a bad index, count, option or null pointer
  REPOSE_BUSY = 5,              // every context is in use and the options say to fail then
  REPOSE_CANNOT_LOAD = 6,       // no such file, no model in it, or another interface version
  REPOSE_UNSUPPORTED_CPU = 7,   // the model was compiled for a CPU feature that this one lacks
  REPOSE_INTERNAL = 8,          // a bug in the compiler or the runtime
  REPOSE_PACKED_FAILED = 9      // a function of the host that the model calls has failed
} repose_status;

// What a call does that finds every context in use.
typedef enum {
  REPOSE_BUSY_WAIT = 0,  // sleeps until one is free
  REPOSE_BUSY_GROW = 1,  // makes one more, which is freed after the call
  REPOSE_BUSY_FAIL = 2   // returns REPOSE_BUSY
} repose_when_busy;

// Where a model gets the memory of its arenas and of the results that it allocates. Called by the
// threads that call the model, possibly at once. All zero: the C library, which serves what little
// else there is: the state of models, contexts (once each) and threads.
typedef struct repose_allocator {
  void* user;  // passed to both functions
  // At least `bytes` bytes (> 0), aligned to `alignment` (a power of two); null if there are none.
  void* (*allocate)(void* user, size_t bytes, size_t alignment);
  // Frees what `allocate` returned for `bytes`.
  void (*deallocate)(void* user, void* memory, size_t bytes);
} repose_allocator;

// Threads to compute with: the host's own, or another model's (repose_get_thread_pool).
typedef struct repose_thread_pool {
  void* user;  // passed to parallel_for
  // Runs task(closure, i) exactly once for each i in [0, count), in any order, on any threads, and
  // returns when all have returned. `count` is at most num_threads: tasks share the work between
  // them. Called from several threads at once, but never from within a task of the same model. Must
  // not throw.
  void (*parallel_for)(void* user, void (*task)(void* closure, int32_t i), void* closure,
                       int32_t count);
  int32_t num_threads;  // how many tasks run at once at most (>= 1): what work is divided by
  int32_t reserved;
} repose_thread_pool;

// ---- Packed functions --------------------------------------------------------------------------
// What a model calls by name (R.call_packed and its kin, docs/ir.md): functions of the host.

// What a value passed to or by such a function is.
typedef enum {
  REPOSE_VALUE_NONE = 0,
  REPOSE_VALUE_INT = 1,     // as.integer
  REPOSE_VALUE_FLOAT = 2,   // as.number
  REPOSE_VALUE_BOOL = 3,    // as.integer: 0 or 1
  REPOSE_VALUE_TENSOR = 4,  // as.tensor; of a result as.result
  REPOSE_VALUE_SHAPE = 5,   // as.dims: `count` of them
  REPOSE_VALUE_TEXT = 6,    // as.text: `count` bytes of UTF-8, and a zero byte
  REPOSE_VALUE_DTYPE = 7,   // as.dtype
  REPOSE_VALUE_TUPLE = 8,   // as.items: `count` of them
  REPOSE_VALUE_OBJECT = 9   // as.object: one that a function of the host gave, for another
} repose_value_kind;

typedef struct repose_packed_value {
  int32_t kind;   // repose_value_kind
  int32_t count;  // of dims, bytes or items; of a tensor: 1 where the function may write it
  union {
    int64_t integer;
    double number;
    DLTensor* tensor;
    DLManagedTensorVersioned* result;
    int64_t* dims;
    const char* text;
    DLDataType dtype;
    const struct repose_packed_value* items;
    void* object;
  } as;
  // Of an object in a result: ends it, when the call of the model is over. May be null.
  void (*deleter)(void* object);
} repose_packed_value;

// One call of a function of the host. All of it, with the memory of arguments, is lent until the
// function returns.
typedef struct repose_packed_call {
  uint32_t struct_size;
  int32_t num_arguments;
  // Tensors are compact, on the CPU, and have strides. None may be written, except the last
  // `num_written` of R.call_dps_packed, whose elements the function sets, and those that
  // R.call_inplace_packed overwrites.
  const repose_packed_value* arguments;
  int32_t num_written;
  int32_t num_results;
  // What the function gives, tuples flattened. On entry an entry's kind is what the model expects,
  // NONE where it takes anything but a shape, a text, a dtype or a tuple. A shape's dims and count
  // are set then: the function writes the members there. A tensor (any strides, on the CPU) becomes
  // the model's, which ends it by its deleter; so does an object.
  repose_packed_value* results;
  // Where a function that fails writes why: UTF-8 with a zero byte, empty on entry.
  char* error;
  size_t error_bytes;
  const char* name;  // by which the model calls it
} repose_packed_call;

// 0 for success; another number for a failure: then the call of the model ends with
// REPOSE_PACKED_FAILED and the text, and tensors and objects among the results are still ended.
// Called by the thread that called the model, so by several at once where several do. May call
// models, this one too (as one more call that runs at once). Must not throw or jump out.
typedef int32_t (*repose_packed_function)(void* user, repose_packed_call* call);

typedef struct repose_packed_entry {
  const char* name;
  repose_packed_function function;
  void* user;  // passed to it
} repose_packed_entry;

// How to run a model. Zero in any field is its default. Start from repose_default_options().
typedef struct repose_options {
  uint32_t struct_size;
  // Threads that work on one call, the calling one included. 0: the environment's
  // REPOSE_NUM_THREADS if it is a positive number, else as many as the process's CPU affinity and
  // the CPU quota of its control group (version 2 or 1) allow. Never influences a result's bits.
  int32_t num_threads;
  // How long an idle thread of the pool spins for more work before it sleeps, in microseconds, at
  // most: it adapts to what comes. 0: 50, or no spinning where there are more threads than CPUs.
  // -1: sleep at once.
  int32_t spin_microseconds;
  // Calls that run at once; each holds one context (its arena), which later calls use again. 0: 8.
  int32_t max_contexts;
  int32_t when_busy;  // repose_when_busy
  int32_t reserved;
  // Upper bound of the memory of all contexts together (their arenas, in which threads have their
  // workspaces; not results, which are the caller's). A call that would exceed it first frees what
  // idle contexts hold, then fails with REPOSE_OUT_OF_MEMORY before it computes anything; the text
  // says how much it needs. Where data decides a size, it fails when that is known. 0: none.
  int64_t memory_limit_bytes;
  repose_allocator allocator;
  // Threads to use instead of an own pool if parallel_for is not null (then num_threads and
  // spin_microseconds are not used). Must outlive the model.
  repose_thread_pool thread_pool;
  // Upper bound of the operations of one call: elements that kernels store, those of a reduction
  // once a step, so about how often the innermost loops run. A call that would exceed it fails with
  // REPOSE_REFUSED before it computes anything; where data decides, before the kernel that would,
  // and the text names the node. For models and data that nobody vouches for: a size in the data
  // may ask for any number of steps without any memory. 0: none.
  int64_t operations_limit;
  // Functions that the model may call: looked up here first, then among those of repose_register,
  // then among the global functions of TVM FFI where the process has its library. Read while the
  // model is loaded; the functions and what their `user` points at must outlive the model.
  const repose_packed_entry* packed_functions;
  int32_t num_packed_functions;
  // 1: one that nothing provides is refused when the model calls it, not when it is loaded (to ask
  // a model what it is). 0: then.
  int32_t allow_missing_functions;
  // Gets what R.print says, one text a call, without a newline; null: a line of standard output.
  // Called as functions of the host are.
  void (*print)(void* user, const char* text);
  void* print_user;
} repose_options;

typedef struct repose_info {
  uint32_t struct_size;
  int32_t num_functions;
  const char* name;           // of the model
  const char* cpu;            // what it was compiled for: "x86-64-v3"
  const char* metadata_json;  // inputs, outputs, symbols, source, target, memory formula
  int64_t metadata_bytes;     // without the zero byte
  int64_t weights_bytes;
  int32_t num_threads;  // that work on one call
  int32_t reserved;
} repose_info;

// What a model uses at the moment.
typedef struct repose_usage {
  uint32_t struct_size;
  int32_t num_contexts;  // that exist
  int32_t num_busy;      // of these, in use by calls
  int32_t num_workers;   // threads of the model's own pool that are running
  int64_t context_bytes;
} repose_usage;

typedef struct repose_function {
  uint32_t struct_size;
  int32_t num_inputs, num_outputs, num_symbols;
  const char* name;
} repose_function;

typedef struct repose_dim {
  int64_t size;      // the extent if it is known, else -1
  const char* text;  // as the model has it: "384", "seq", "past + new"
} repose_dim;

// An input or an output. The tensor contract, for each that a caller gives: device CPU, lanes 1,
// this dtype and rank, dimensions >= 0 that fit the model's symbols, first element aligned to the
// element's size, and strides that are compact (row-major) or as declared; strides of extents 0 and
// 1 don't count, null strides mean compact. Inputs may overlap each other; an output overlaps
// nothing, except the input it is declared to reuse, if it begins at the same address.
typedef struct repose_value {
  uint32_t struct_size;
  int32_t rank;
  const char* name;  // the model's own name, not only identifiers
  DLDataType dtype;
  int32_t aliases_input;   // the input whose memory this output may be given; -1: none
  const repose_dim* dims;  // rank entries
  // null: compact; else rank entries. -1: compact relative to the next; -2: an expression over the
  // symbols (the metadata has its text), which a call checks
  const int64_t* strides;
} repose_value;

// A dimension that inputs bind, and its range (inclusive).
typedef struct repose_symbol {
  uint32_t struct_size;
  int32_t reserved;
  const char* name;
  int64_t lower, upper;  // upper INT64_MAX: unbounded
  int64_t divisor;       // its values are multiples of this (1: all)
} repose_symbol;

// One run of a kernel, in a model that was compiled for profiles (`repose compile --profile`).
typedef struct repose_kernel_run {
  int32_t function;
  int32_t kernel;  // position in the list `profile` of the function's metadata, which names it
  int64_t begin_ns, end_ns;  // CLOCK_MONOTONIC; end_ns is 0 where it has not ended, or failed
  // What it had to do at these sizes: operations on floating-point numbers (a multiplication and an
  // addition are two, a function such as exp is one), and bytes of the arrays that it is given,
  // each counted once.
  double flops, read_bytes, written_bytes;
} repose_kernel_run;

// Where the runs of kernels are recorded, in the order in which they begin.
typedef struct repose_profile {
  uint32_t struct_size;
  uint32_t reserved;
  repose_kernel_run* runs;  // max_runs of them
  int64_t max_runs;
  int64_t num_runs;  // how many there were: those beyond max_runs are not recorded
} repose_profile;

struct repose_api;

// A loaded model. What follows the members belongs to the model's own runtime.
typedef struct repose_model {
  const struct repose_api* api;
  void* library;     // the loader's: handle of dlopen, or null
  int library_file;  // the loader's: open file of a library that came from memory, or -1
} repose_model;

// The table that a compiled model exports. Its functions are those below, without the loading.
typedef struct repose_api {
  uint32_t struct_size;
  uint32_t version;  // REPOSE_API_VERSION
  // Makes a model. options may be null. On failure *model is null and the text is in
  // error[0 .. error_bytes), cut there.
  int32_t (*create)(const repose_options* options, repose_model** model, char* error,
                    size_t error_bytes);
  void (*destroy)(repose_model* model);
  const char* (*last_error)(const repose_model* model);
  int32_t (*get_info)(repose_model* model, repose_info* info);
  int32_t (*get_usage)(repose_model* model, repose_usage* usage);
  int32_t (*find_function)(const repose_model* model, const char* name);
  int32_t (*get_function)(repose_model* model, int32_t function, repose_function* info);
  int32_t (*get_input)(repose_model* model, int32_t function, int32_t i, repose_value* value);
  int32_t (*get_output)(repose_model* model, int32_t function, int32_t i, repose_value* value);
  int32_t (*get_symbol)(repose_model* model, int32_t function, int32_t i, repose_symbol* symbol);
  int32_t (*memory_needed)(repose_model* model, int32_t function, const int64_t* symbols,
                           int32_t num_symbols, int64_t* arena_bytes, int64_t* output_dims);
  int32_t (*call)(repose_model* model, int32_t function, const DLTensor* const* inputs,
                  int32_t num_inputs, DLTensor* const* outputs, int32_t num_outputs,
                  DLManagedTensorVersioned** results);
  int32_t (*trim)(repose_model* model, int64_t* freed_bytes);
  int32_t (*get_thread_pool)(repose_model* model, repose_thread_pool* pool);
  int32_t (*set_profile)(repose_model* model, repose_profile* profile);
} repose_api;

// Declares the table of a model that is linked into the program: made with `--name minilm`, it is
// REPOSE_DECLARE_MODEL(minilm), opened with repose_open(&minilm_repose_api_v1, &options, &model).
#ifdef __cplusplus
#define REPOSE_DECLARE_MODEL(name) extern "C" const repose_api name##_repose_api_v1
#else
#define REPOSE_DECLARE_MODEL(name) extern const repose_api name##_repose_api_v1
#endif

#ifdef __cplusplus
}
#endif

// ---- Loading (REPOSE_NO_LOADER: leave it out, the types above remain) ---------------------------
#ifndef REPOSE_NO_LOADER

#include <dlfcn.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __cplusplus
#include <sys/mman.h>  // memfd_create
extern "C" {
#else
extern int memfd_create(const char* name, unsigned int flags);  // not declared in strict C11
#endif

// The calling thread's text of the last failed load. One for all files of the program.
__extension__ __attribute__((weak, visibility("hidden"))) __thread char repose_loader_error[1024];

// The text of the calling thread's last failure on `model`, or "". Valid until that thread's next
// failure on it, or its unloading. model null: the last failed load.
static inline const char* repose_last_error(const repose_model* model) {
  return model == NULL ? repose_loader_error : model->api->last_error(model);
}

static inline int32_t repose_loader_fail(const char* text, const char* more) {
  size_t used = strlen(text), room = sizeof repose_loader_error - 1;
  size_t rest = strlen(more);
  if (used > room) used = room;
  if (rest > room - used) rest = room - used;
  memmove(repose_loader_error, text, used);
  memcpy(repose_loader_error + used, more, rest);
  repose_loader_error[used + rest] = 0;
  return REPOSE_CANNOT_LOAD;
}

static inline repose_options repose_default_options(void) {
  repose_options options;
  memset(&options, 0, sizeof options);
  options.struct_size = (uint32_t)sizeof options;
  return options;
}

// The functions of repose_register. One list for all files of the program.
typedef struct repose_packed_list {
  repose_packed_entry* entries;
  int32_t count;
  int32_t is_locked;
} repose_packed_list;
__extension__ __attribute__((weak, visibility("hidden"))) repose_packed_list repose_registered;

static inline void repose_lock_registered(void) {
  while (__atomic_exchange_n(&repose_registered.is_locked, 1, __ATOMIC_ACQUIRE)) sched_yield();
}
static inline void repose_unlock_registered(void) {
  __atomic_store_n(&repose_registered.is_locked, 0, __ATOMIC_RELEASE);
}

// Makes `function` what models call by `name`, for all that this program (or library) loads from
// now on; in place of one of that name, which models loaded before keep. function null: none. From
// any thread.
static inline int32_t repose_register(const char* name, repose_packed_function function,
                                      void* user) {
  repose_packed_list* list = &repose_registered;
  repose_packed_entry* entries;
  char* copy;
  int32_t i = 0;
  if (name == NULL || name[0] == 0) {
    repose_loader_fail("repose_register: the name is null or empty", "");
    return REPOSE_INVALID_ARGUMENT;
  }
  copy = (char*)malloc(strlen(name) + 1);
  repose_lock_registered();
  entries =
      (repose_packed_entry*)realloc(list->entries, ((size_t)list->count + 1) * sizeof *entries);
  if (entries != NULL) list->entries = entries;
  if (copy == NULL || entries == NULL) {
    repose_unlock_registered();
    free(copy);
    repose_loader_fail("repose_register: there is no memory for ", name);
    return REPOSE_OUT_OF_MEMORY;
  }
  while (i < list->count && strcmp(entries[i].name, name) != 0) ++i;
  if (i < list->count) {
    free(copy);
  } else {
    entries[list->count++].name = strcpy(copy, name);
  }
  entries[i].function = function;
  entries[i].user = user;
  repose_unlock_registered();
  return REPOSE_OK;
}

// Opens a model by its table: one that is linked into the program. options may be null.
static inline int32_t repose_open(const repose_api* api, const repose_options* options,
                                  repose_model** model) {
  repose_options all = repose_default_options();
  repose_packed_entry* functions;
  size_t own, registered;
  int32_t status;
  *model = NULL;
  if (api->struct_size < sizeof(repose_api) || api->version != REPOSE_API_VERSION)
    return repose_loader_fail("the model has another interface version than this program", "");
  if (options != NULL && options->struct_size <= sizeof all)
    memcpy(&all, options, options->struct_size);
  // What is wrong with the options is the model's to say.
  if (__atomic_load_n(&repose_registered.count, __ATOMIC_RELAXED) == 0 ||
      (options != NULL &&
       (options->struct_size < sizeof(uint32_t) || options->struct_size > sizeof all)) ||
      all.num_packed_functions < 0 ||
      (all.num_packed_functions > 0 && all.packed_functions == NULL))
    return api->create(options, model, repose_loader_error, sizeof repose_loader_error);
  all.struct_size = (uint32_t)sizeof all;
  repose_lock_registered();
  own = (size_t)all.num_packed_functions;
  registered = (size_t)repose_registered.count;
  functions = (repose_packed_entry*)malloc((own + registered) * sizeof *functions);
  if (functions != NULL) {
    if (own > 0) memcpy(functions, all.packed_functions, own * sizeof *functions);
    memcpy(functions + own, repose_registered.entries, registered * sizeof *functions);
  }
  repose_unlock_registered();
  if (functions == NULL) {
    repose_loader_fail("cannot load the model: there is no memory for a list", "");
    return REPOSE_OUT_OF_MEMORY;
  }
  all.packed_functions = functions;
  all.num_packed_functions = (int32_t)(own + registered);
  status = api->create(&all, model, repose_loader_error, sizeof repose_loader_error);
  free(functions);
  return status;
}

// Internal: whether the ELF file `path` lacks what its headers say that it holds. dlopen maps a
// file without a look at its length, and touching what lies behind the end of one that was cut off
// ends the process. 0 also for files that are something else: dlopen says what.
static inline int repose_is_cut_off(const char* path) {
  FILE* file = fopen(path, "rbe");
  unsigned char head[64], entry[56];
  uint64_t bytes, segments, sections;
  uint16_t num_segments, segment_bytes, num_sections, section_bytes;
  int cut = 0, i;
  if (file == NULL) return 0;
  if (fread(head, 1, sizeof head, file) != sizeof head ||
      memcmp(head, "\177ELF\2\1", 6) != 0 /* 64 bits, little-endian */ ||
      fseek(file, 0, SEEK_END) != 0) {
    fclose(file);
    return 0;
  }
  bytes = (uint64_t)ftell(file);
  memcpy(&segments, head + 32, 8);
  memcpy(&sections, head + 40, 8);
  memcpy(&segment_bytes, head + 54, 2);
  memcpy(&num_segments, head + 56, 2);
  memcpy(&section_bytes, head + 58, 2);
  memcpy(&num_sections, head + 60, 2);
  cut = sections > bytes || bytes - sections < (uint64_t)num_sections * section_bytes;
  for (i = 0; i < num_segments && !cut; ++i) {
    const uint64_t at = segments + (uint64_t)i * segment_bytes;
    uint64_t begin, length;
    cut = segments > bytes || at > bytes || fseek(file, (long)at, SEEK_SET) != 0 ||
          fread(entry, 1, sizeof entry, file) != sizeof entry;
    if (cut) break;
    memcpy(&begin, entry + 8, 8);
    memcpy(&length, entry + 32, 8);
    cut = begin > bytes || length > bytes - begin;
  }
  fclose(file);
  return cut;
}

// Internal: opens the library `path` as dlopen takes it. Takes over `file` (-1: none) on success.
static inline int32_t repose_load_library(const char* path, int file, const repose_options* options,
                                          repose_model** model) {
  int32_t status;
  const repose_api* api;
  void* library;
  *model = NULL;
  if (repose_is_cut_off(path))
    return repose_loader_fail("cannot load the model: the file was cut off: ", path);
  library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) {
    const char* reason = dlerror();
    return repose_loader_fail("cannot load the model: ", reason == NULL ? path : reason);
  }
  api = (const repose_api*)dlsym(library, "repose_api_v1");
  status = api == NULL ? repose_loader_fail(path, ": no `repose_api_v1`: not a compiled model")
                       : repose_open(api, options, model);
  if (status != REPOSE_OK) {
    dlclose(library);
    return status;
  }
  (*model)->library = library;
  (*model)->library_file = file;
  return REPOSE_OK;
}

// Loads the compiled model in the file `path` (never searched for elsewhere). options may be null.
// Loading a file twice gives two models with contexts and threads of their own; their weights are
// shared. On failure *model is null.
static inline int32_t repose_load(const char* path, const repose_options* options,
                                  repose_model** model) {
  char local[4096];
  size_t length = strlen(path);
  *model = NULL;
  if (strchr(path, '/') != NULL) return repose_load_library(path, -1, options, model);
  if (length == 0 || length + 3 > sizeof local)
    return repose_loader_fail("cannot load the model: bad path ", path);
  memcpy(local, "./", 2);  // without a slash, dlopen would search the system's folders
  memcpy(local + 2, path, length + 1);
  return repose_load_library(local, -1, options, model);
}

// Loads a compiled model from `bytes` bytes of memory, which may be freed afterwards.
static inline int32_t repose_load_memory(const void* data, size_t bytes,
                                         const repose_options* options, repose_model** model) {
  char path[40] = "/proc/self/fd/";
  char* end = path + strlen(path);
  int digits = 1, rest, file = memfd_create("repose-model", 1u /* MFD_CLOEXEC */);
  int32_t status;
  size_t done = 0;
  *model = NULL;
  if (file < 0) return repose_loader_fail("cannot load the model: memfd_create failed", "");
  while (done < bytes) {
    ssize_t wrote = write(file, (const char*)data + done, bytes - done);
    if (wrote <= 0) {
      close(file);
      return repose_loader_fail("cannot load the model: no memory for a copy", "");
    }
    done += (size_t)wrote;
  }
  for (rest = file; rest >= 10; rest /= 10) ++digits;
  end[digits] = 0;
  for (rest = file; digits > 0; rest /= 10) end[--digits] = (char)('0' + rest % 10);
  // The file stays open while the model is loaded: dlopen knows libraries by name, so that no
  // other may get this one meanwhile.
  status = repose_load_library(path, file, options, model);
  if (status != REPOSE_OK) close(file);
  return status;
}

// Ends a model: no call may be in progress or follow. Joins its threads and frees its contexts.
// Results that it allocated stay valid, except with an allocator hook: delete those before.
static inline void repose_unload(repose_model* model) {
  void* library;
  int file;
  if (model == NULL) return;
  library = model->library;
  file = model->library_file;
  model->api->destroy(model);
  if (library != NULL) dlclose(library);
  if (file >= 0) close(file);
}

// ---- Queries -----------------------------------------------------------------------------------
// Functions, inputs, outputs and symbols are numbered from 0.

static inline int32_t repose_get_info(repose_model* model, repose_info* info) {
  info->struct_size = (uint32_t)sizeof *info;
  return model->api->get_info(model, info);
}

static inline int32_t repose_get_usage(repose_model* model, repose_usage* usage) {
  usage->struct_size = (uint32_t)sizeof *usage;
  return model->api->get_usage(model, usage);
}

// The number of the function `name`, or -1 where there is none (or name is null).
static inline int32_t repose_find_function(const repose_model* model, const char* name) {
  return model->api->find_function(model, name);
}

static inline int32_t repose_get_function(repose_model* model, int32_t function,
                                          repose_function* info) {
  info->struct_size = (uint32_t)sizeof *info;
  return model->api->get_function(model, function, info);
}

static inline int32_t repose_get_input(repose_model* model, int32_t function, int32_t i,
                                       repose_value* value) {
  value->struct_size = (uint32_t)sizeof *value;
  return model->api->get_input(model, function, i, value);
}

static inline int32_t repose_get_output(repose_model* model, int32_t function, int32_t i,
                                        repose_value* value) {
  value->struct_size = (uint32_t)sizeof *value;
  return model->api->get_output(model, function, i, value);
}

static inline int32_t repose_get_symbol(repose_model* model, int32_t function, int32_t i,
                                        repose_symbol* symbol) {
  symbol->struct_size = (uint32_t)sizeof *symbol;
  return model->api->get_symbol(model, function, i, symbol);
}

// What a call would need where symbol i has the value symbols[i] (num_symbols: all of them):
// the bytes of its arena, which are all that it takes besides results, with this model's number of
// threads; and the dimensions of all outputs, one output after another (as many as their ranks
// together; output_dims may be null). Where data decides a size, an upper bound; -1 where there is
// none: then the text of repose_last_error names what the data decides. Fails where a value is
// outside its range, a call would refuse these values at entry, or a size overflows.
static inline int32_t repose_memory_needed(repose_model* model, int32_t function,
                                           const int64_t* symbols, int32_t num_symbols,
                                           int64_t* arena_bytes, int64_t* output_dims) {
  return model->api->memory_needed(model, function, symbols, num_symbols, arena_bytes, output_dims);
}

// ---- Running -----------------------------------------------------------------------------------

// Calls a function. inputs: num_inputs tensors, read only, the caller's throughout.
// outputs: null, or num_outputs entries; entry i is the tensor that receives output i (its shape
// must be the output's; nothing but its elements is written), or null.
// results: num_outputs entries; where no output tensor was given, entry i becomes a new tensor
// (compact or as declared, 64-byte aligned) that the caller owns and ends with its `deleter`, which
// any thread may call; other entries become null. May be null if every output tensor is given.
// On failure all entries are null, and given output tensors have undefined elements.
static inline int32_t repose_call(repose_model* model, int32_t function,
                                  const DLTensor* const* inputs, int32_t num_inputs,
                                  DLTensor* const* outputs, int32_t num_outputs,
                                  DLManagedTensorVersioned** results) {
  return model->api->call(model, function, inputs, num_inputs, outputs, num_outputs, results);
}

// Frees the memory of contexts that no call uses; *freed_bytes (may be null): how much.
static inline int32_t repose_trim(repose_model* model, int64_t* freed_bytes) {
  return model->api->trim(model, freed_bytes);
}

// The threads that a model computes with, to give to other models (repose_options.thread_pool),
// which must be unloaded before this one. While one call uses them, another computes alone.
static inline int32_t repose_get_thread_pool(repose_model* model, repose_thread_pool* pool) {
  return model->api->get_thread_pool(model, pool);
}

// Records the kernels that calls run from now on in `profile`, which has to stay until the calls
// that began meanwhile are over; null: no more. A failure where the model was not compiled for
// profiles.
static inline int32_t repose_set_profile(repose_model* model, repose_profile* profile) {
  if (profile != NULL) profile->struct_size = (uint32_t)sizeof *profile;
  return model->api->set_profile(model, profile);
}

#ifdef __cplusplus
}
#endif
#endif  // REPOSE_NO_LOADER

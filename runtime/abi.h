// The contract between generated code and the runtime: what a compiled model contains, and what it
// may call. Plain C, fixed layouts: src/codegen builds these tables as LLVM constants, field by
// field in this order. Not a public header (that is include/repose/repose.h).
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define REPOSE_RT_ABI_VERSION 1

// Statuses of kernels and host functions: 0, or one of these (then the error text is recorded).
// Others are those of repose.h.
enum {
  REPOSE_RT_OK = 0,
  REPOSE_RT_REFUSED = 1,        // a check on inputs or data failed
  REPOSE_RT_OUT_OF_MEMORY = 2,  // the arena or a result could not be allocated
  REPOSE_RT_OVERFLOW = 3,       // a size does not fit
};

// One call in progress. Generated code reads the fields below and passes the pointer on; what
// follows them belongs to the runtime (which derives its own struct from this one).
typedef struct repose_rt_frame {
  void* const* input_data;  // per input: its first element (byte_offset applied)
  // Per input: its dimensions (the rank was checked before). Where the declaration has a stride
  // that is an expression (-2), all its strides in elements follow.
  const int64_t* const* input_shape;
  const uint8_t* weights;  // base of the model's weights, 64-byte aligned
  int64_t num_threads;     // how many pieces of a parallel loop run at once at most; >= 1
  // Memory of the kernel's own, 64-byte aligned: the host function sets it before the call. In a
  // body of a parallel loop: this piece's.
  void* workspace;
} repose_rt_frame;

// ---- Provided by the runtime, called by generated code -----------------------------------------

// Records an error text and returns `status`. `message` is UTF-8 in which {0}, {1}, … stand for
// decimal values[0], values[1], …; count values are given. "{{" and "}}" stand for braces (as in
// names: messages are made with them doubled).
int32_t repose_rt_fail(repose_rt_frame* frame, int32_t status, const char* message,
                       const int64_t* values, int32_t count);

// Appends " (in <origin>)" to the recorded error text: which node of the model the failure comes
// from.
void repose_rt_fail_in(repose_rt_frame* frame, const char* origin);

// Counts operations (elements that kernels store) of this call, before they are done. A status
// other than 0: they are more than the model's limit (recorded).
int32_t repose_rt_count(repose_rt_frame* frame, double operations);

// In models that are compiled for profiles: around each kernel. `number` is its position among the
// function's profiled calls in the metadata; flops and bytes are what it has to do.
void repose_rt_kernel_begins(repose_rt_frame* frame, int32_t number, double flops,
                             double read_bytes, double written_bytes);
void repose_rt_kernel_ends(repose_rt_frame* frame);

// Memory of region `region` of this call's arena (0 is the first; further regions exist where data
// decides sizes): at least `bytes` bytes, 64-byte aligned, not initialised, valid until the call
// ends or, in a loop, asks again: what the region held is lost then. By the host function. Null:
// out of memory (recorded; return REPOSE_RT_OUT_OF_MEMORY).
void* repose_rt_region(repose_rt_frame* frame, int32_t region, int64_t bytes);

// The buffer of result `i`, whose dimensions are now known: the caller's (after its shape was
// compared with `dims`; the check names the output) or newly allocated. Null: refused or out of
// memory (recorded; *status is what to return). Once per result. A result that is declared to reuse
// an input may be that input's memory (then it begins at the same address) or not; code is right in
// both cases.
void* repose_rt_output(repose_rt_frame* frame, int32_t i, const int64_t* dims, int32_t rank,
                       int32_t* status);

// ---- Packed functions (packed_call.cpp). Integers, booleans too, are int64_t, so that one
// intrinsic of host functions, `call_runtime`, serves them all. Those that return int32_t return a
// status.
//
// The arguments of the call that comes are pushed one after another. A dimension belongs to the
// next tensor or shape. A tuple takes the last `count` values.
int32_t repose_rt_push_dim(repose_rt_frame* frame, int64_t size);
int32_t repose_rt_push_tensor(repose_rt_frame* frame, void* data, int64_t dtype_code,
                              int64_t dtype_bits, int64_t rank);
int32_t repose_rt_push_shape(repose_rt_frame* frame, int64_t rank);
int32_t repose_rt_push_int(repose_rt_frame* frame, int64_t value);
int32_t repose_rt_push_bool(repose_rt_frame* frame, int64_t value);
int32_t repose_rt_push_float(repose_rt_frame* frame, double value);
int32_t repose_rt_push_text(repose_rt_frame* frame, const char* text);
int32_t repose_rt_push_dtype(repose_rt_frame* frame, int64_t dtype_code, int64_t dtype_bits);
int32_t repose_rt_push_none(repose_rt_frame* frame);
int32_t repose_rt_push_tuple(repose_rt_frame* frame, int64_t count);
// What place `held` holds.
int32_t repose_rt_push_held(repose_rt_frame* frame, int64_t held);
// The tensor that was pushed last may be written.
int32_t repose_rt_may_write(repose_rt_frame* frame);
// One more result of that call, of this repose_value_kind; members of a shape, else 0.
int32_t repose_rt_expect(repose_rt_frame* frame, int64_t kind, int64_t count);

// Calls packed function `number` of the model. Its results are held in the places from `held` on,
// whose former values end. The last `num_written` arguments are to be written.
int32_t repose_rt_call_packed(repose_rt_frame* frame, int64_t number, int64_t num_written,
                              int64_t held);
// Fills the pushed values in for {} and {0}, {1}, … of the format, or writes them one after another
// where it is empty, and prints that; or fails with it.
int32_t repose_rt_print(repose_rt_frame* frame, const char* format);
int32_t repose_rt_refuse(repose_rt_frame* frame, const char* format);

// Whether a held value is such a tensor, shape or number; `name` and `type` are for the message.
int32_t repose_rt_check_tensor(repose_rt_frame* frame, int64_t held, int64_t dtype_code,
                               int64_t dtype_bits, int64_t rank, const char* name,
                               const char* type);
int32_t repose_rt_check_shape(repose_rt_frame* frame, int64_t held, int64_t rank, const char* name,
                              const char* type);
int32_t repose_rt_check_number(repose_rt_frame* frame, int64_t held, int64_t dtype_code,
                               int64_t dtype_bits, const char* name, const char* type);
// A dimension of a checked tensor or shape; the value of a checked integer or bool.
int64_t repose_rt_held_dim(repose_rt_frame* frame, int64_t held, int64_t axis);
int64_t repose_rt_held_int(repose_rt_frame* frame, int64_t held);
// Copies a checked tensor's elements; the value stays.
int32_t repose_rt_copy_held(repose_rt_frame* frame, int64_t held, void* to);
// Ends the value.
int32_t repose_rt_drop_held(repose_rt_frame* frame, int64_t held);

// Runs body(frame, closure, begin, end) over a partition of [0, extent) on the pool, in pieces of
// at least `grain` iterations (>= 1); returns when all are done. The partition never influences a
// result. A nonzero status of a body is returned (of the piece with the smallest begin). Each body
// gets a frame of its own with the same fields, which it passes to the functions here, and whose
// workspace is one of num_threads parts of `workspaces`, of `workspace_bytes` each: no other piece
// has it at the same time. A loop inside a body runs in that body's thread.
typedef int32_t (*repose_rt_body)(repose_rt_frame* frame, void* closure, int64_t begin,
                                  int64_t end);
int32_t repose_rt_parallel(repose_rt_frame* frame, repose_rt_body body, void* closure,
                           int64_t extent, int64_t grain, void* workspaces,
                           int64_t workspace_bytes);

// ---- Provided by generated code, read by the runtime -------------------------------------------

typedef struct repose_rt_dim {
  int64_t size;  // the known extent, or -1
  const char*
      text;  // the expression as written in messages and queries: "seq", "past + new", "384"
} repose_rt_dim;

typedef struct repose_rt_value {
  const char* name;    // original name in the model
  uint8_t dtype_code;  // DLPack: kDLInt 0, kDLUInt 1, kDLFloat 2, kDLBfloat 4, kDLBool 6
  uint8_t dtype_bits;
  uint16_t reserved;
  int32_t rank;
  const repose_rt_dim* dims;  // rank entries
  // Rank entries in elements, or null: compact. -1: compact here. -2 (inputs only): an expression,
  // which generated code compares with what the tensor has.
  const int64_t* strides;
  int32_t aliases_input;  // donation: this output reuses input i; -1: none
  int32_t reserved2;
} repose_rt_value;

typedef struct repose_rt_symbol {
  const char* name;
  int64_t lower, upper, divisor;  // the declared or derived range, inclusive; upper INT64_MAX: none
} repose_rt_symbol;

typedef struct repose_rt_function {
  const char* name;
  int32_t num_inputs, num_outputs, num_symbols;
  int32_t num_regions;  // of the arena
  const repose_rt_value* inputs;
  const repose_rt_value* outputs;
  const repose_rt_symbol* symbols;  // the dimension symbols that inputs bind, in binding order
  // Checks, computes sizes, allocates, runs the kernels. Returns a status.
  int32_t (*run)(repose_rt_frame* frame);
  // Bytes of arena that a call with these symbol values takes (*bytes), and the dimensions of the
  // outputs, one after another (output_dims, may be null). Returns a status: a size that overflows
  // or a declared range that is violated is an error. Where data decides a size, an upper bound;
  // where there is none, *bytes is -1.
  int32_t (*sizes)(repose_rt_frame* frame, const int64_t* symbols, int64_t* bytes,
                   int64_t* output_dims);
  // Where *bytes is -1: what decides it, as a text. Else null.
  const char* unbounded;
  int32_t num_held;  // places for results of packed functions
  int32_t reserved;
} repose_rt_function;

// x86-64 features a model was compiled for; checked when it is loaded. Bits: see runtime/cpu.cpp.
typedef struct repose_rt_model {
  uint32_t struct_size;
  uint32_t abi_version;
  const char* name;
  const char* metadata;    // JSON, UTF-8, ends in a zero byte
  int64_t metadata_bytes;  // without the zero byte
  const uint8_t* weights;  // null if there are none
  int64_t weights_bytes;
  const char* cpu;  // "x86-64-v3", for messages
  const char* const*
      cpu_features;  // LLVM feature names that the code needs ("avx2", …), null-terminated
  int32_t num_functions;
  int32_t is_profiled;  // calls repose_rt_kernel_begins
  const repose_rt_function* functions;
  const char* const* packed_functions;  // names of those that functions call
  int32_t num_packed_functions;
  int32_t reserved;
} repose_rt_model;

// The generated object defines this symbol (hidden visibility).
extern const repose_rt_model repose_rt_this_model;

// Calls function `index` of this model by the TVM FFI convention; the generated object exports, for
// each graph function, `int __tvm_ffi_<name>(void* self, const void* args, int32_t n, void*
// result)` that forwards to this.
int repose_rt_tvm_ffi_call(int32_t index, const void* args, int32_t num_args, void* result);

#ifdef __cplusplus
}
#endif

// Tensor programs to LLVM functions.
#pragma once

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "codegen/llvm/arithmetic.h"
#include "codegen/llvm/codegen.h"
#include "expr/structural_key.h"
#include "ir/workspace.h"

namespace repose::codegen {

// Thrown inside this folder for programs that are valid and not covered; generate_* return it.
struct Unsupported {
  Diagnostic diagnostic;
};

// Fields of repose_rt_frame.
enum FrameField : unsigned {
  frame_input_data,
  frame_input_shape,
  frame_weights,
  frame_num_threads,
  frame_workspace
};

// What the functions of one LLVM module share.
class ModuleEmitter {
 public:
  ModuleEmitter(llvm::Module& module, const Target& target, const CodegenOptions& options);

  // Declares kernel `name`, to be called or defined. Hidden where another module may call it.
  llvm::Function* declare_kernel(const std::string& name, const tir::PrimFunc& f, bool hidden);
  void define_kernel(const std::string& name, const tir::PrimFunc& f);
  llvm::Function* define_run(const std::string& name, const tir::PrimFunc& f);
  llvm::Function* define_sizes(const std::string& name, const tir::PrimFunc& f);
  // int32_t name(frame, void* const* buffers, const int64_t* scalars): calls the kernel.
  llvm::Function* define_entry(const std::string& name, const std::string& kernel,
                               const tir::PrimFunc& f);

  llvm::Function* kernel(const std::string& name) const;  // InternalError if it was not declared
  llvm::FunctionCallee runtime(const std::string& name);  // a function of runtime/abi.h
  llvm::FunctionCallee runtime(const std::string& name, llvm::FunctionType* type);
  llvm::Constant* string(const std::string& text);  // its address
  // A constant in memory, aligned to 8 bytes: private, or visible to other objects of the model
  // (then `value` may be null: a byte that another object defines).
  llvm::GlobalVariable* define_constant(const std::string& name, llvm::Constant* value,
                                        bool hidden = false);

  llvm::Module& module;
  const Target& target;
  const CodegenOptions& options;
  llvm::StructType* const frame_type;

 private:
  std::unordered_map<std::string, llvm::Function*> kernels_;
  std::unordered_map<std::string, llvm::Constant*> strings_;
  int num_constants_ = 0;
};

// Kernels compute indices without checks; host functions check index arithmetic and may use the
// host intrinsics; `sizes` is a host function of the memory query.
enum class Mode { kernel, parallel_body, host, sizes };

class FunctionEmitter {
 public:
  FunctionEmitter(ModuleEmitter& owner, llvm::Function* function, Mode mode);

  void bind(const Var& var, llvm::Value* value) { vars_[var.get()] = value; }
  void bind(const Buffer& buffer, llvm::Value* data) { buffers_[buffer.get()] = data; }
  void bind_num_threads(const Var& var);  // to what the frame says
  void set_symbols(llvm::Value* symbols) { symbols_ = symbols; }
  llvm::IRBuilder<>& builder() { return b_; }
  // Storage on the stack, in the entry block.
  llvm::AllocaInst* stack(llvm::Type* type, int64_t count, int align_bytes,
                          const std::string& name);
  // Emits `body`, and a return of 0 at its end.
  void run(const tir::Stmt& body);
  // Emits the memory that `workspace` takes (region 0 of the frame), for the kernel called next.
  void take_workspace(const Workspace& workspace);

 private:
  // ---- Statements (emit_stmt.cpp)
  void emit(const tir::Stmt& s);
  void emit_for(const tir::ForNode& f);
  void emit_loop(const tir::ForNode& f, llvm::Value* begin, llvm::Value* end);
  void emit_parallel(const tir::ForNode& f);
  llvm::Function* outline(const tir::ForNode& f, const struct Captures& captures,
                          llvm::StructType* closure_type);
  void emit_store(const tir::StoreNode& s);
  void emit_if(const tir::IfNode& s);
  void emit_while(const tir::WhileNode& s);
  void emit_assert(const tir::AssertNode& s);
  void plan_workspace(const tir::Stmt& body);
  llvm::Value* workspace_begin();
  llvm::Value* field(FrameField i);  // its address
  struct Memory;                     // where an element, or a vector of them, lies
  bool is_terminated() { return b_.GetInsertBlock()->getTerminator() != nullptr; }
  llvm::BasicBlock* block(const std::string& name);
  // Records an error and returns its status, in a block of its own, where `failed` holds.
  void fail_if(llvm::Value* failed, int status, const std::string& message,
               const std::vector<llvm::Value*>& values);
  // `origin`: appended to the error's text ("" for nothing).
  void return_if_nonzero(llvm::Value* status, const std::string& origin = "");

  // ---- Expressions (emit_expr.cpp)
  llvm::Value* emit(const Expr& e);
  llvm::Value* emit_new(const Expr& e);
  // With values remembered until the end of the scope; what a branch computes is not visible after
  // it.
  struct Scope;
  struct Branch;
  llvm::Value* emit_binary(const Expr& e);
  llvm::Value* emit_logic(const Expr& e);
  llvm::Value* emit_select(const Expr& e, bool lazy);
  llvm::Value* emit_branches(const Expr& e);
  llvm::Value* emit_under(llvm::Value* mask, const Expr& e);
  llvm::Value* emit_call(const CallNode& c);
  llvm::Value* emit_host_call(const CallNode& c);
  llvm::Value* emit_address(const CallNode& c);
  llvm::Value* emit_check_index(const CallNode& c);
  llvm::Value* emit_call_program(const CallNode& c);
  llvm::Value* emit_call_extern(const CallNode& c);
  llvm::Value* emit_output(const CallNode& c);
  llvm::Value* emit_call_runtime(const CallNode& c);
  llvm::Value* emit_load(const LoadNode& load);
  llvm::Value* emit_lanes_below(const Expr& e);
  // Index arithmetic of addresses: never checked, the host has checked sizes.
  llvm::Value* emit_index(const Expr& e);
  // ---- Sizes of host functions (emit_size.cpp)
  // The bits are null where it cannot happen.
  struct Size {
    llvm::Value* value = nullptr;
    llvm::Value* overflows = nullptr;
    llvm::Value* divides_by_zero = nullptr;
  };
  bool is_host() const { return mode_ == Mode::host || mode_ == Mode::sizes; }
  bool is_size(const Expr& e);
  llvm::Value* emit_checked(const Expr& e);
  Size emit_size(const Expr& e);
  Size emit_new_size(const Expr& e);
  Size emit_size_arithmetic(const Expr& e);
  llvm::Value* either(llvm::Value* a, llvm::Value* b);
  llvm::Value* both(llvm::Value* condition, llvm::Value* b);

  // ---- Parts of long host functions (host_parts.cpp)
  void split_if_long();
  llvm::Value* here(llvm::Value* v);
  void finish_parts();

  bool reads_memory(const Expr& e);
  bool is_nonnegative(const Expr& e);

  // ---- Addresses (memory.cpp)
  // An index that is base + lane * stride; nothing for one that is not.
  struct Linear {
    Expr base, stride;
  };
  static std::optional<Linear> linear(const Expr& e);
  // An element's number as a sum of what stays while the innermost loop runs, what doesn't, and a
  // constant: what stays is added to the buffer's address, once and outside of the loop, so that
  // loads of a loop share what moves, and differ by constants.
  struct Address {
    llvm::Value *fixed, *moving;
    int64_t known = 0;
  };
  void add_terms(Address& address, const Expr& e, llvm::Value* stride);
  bool moves(const Expr& e);
  Memory locate(const Buffer& buffer, const std::vector<Expr>& indices);
  std::vector<llvm::Value*> strides_of(const Buffer& buffer);
  void check_bounds(const Buffer& buffer, const std::vector<Expr>& indices, llvm::Value* mask);
  llvm::Value* load(const Memory& memory, DType dtype, llvm::Value* mask);
  llvm::Value* load_pairs(const Memory& memory, DType dtype, llvm::Value* mask);  // stride 2
  void store(const Memory& memory, DType dtype, llvm::Value* value, llvm::Value* mask);
  llvm::Value* lane_offsets(const Memory& memory);  // in elements; a scalar for one lane
  llvm::Value* lane_pointers(const Memory& memory);
  // Elements that share their bytes (packed_memory.cpp).
  struct PackedPlace {
    llvm::Value *byte, *shift;
  };
  PackedPlace packed_place(DType dtype, llvm::Value* data, llvm::Value* offset);
  llvm::Value* load_packed(const Memory& memory, DType dtype, llvm::Value* mask);
  void store_packed(const Memory& memory, DType dtype, llvm::Value* value, llvm::Value* mask);
  llvm::Value* data_of(const Buffer& buffer);

  ModuleEmitter& owner_;
  llvm::Function* function_;
  const Mode mode_;
  llvm::IRBuilder<> b_;
  Arithmetic arithmetic_;
  llvm::Value* frame_;
  llvm::Value* symbols_ = nullptr;
  llvm::Value* mask_ = nullptr;  // lanes whose memory may be read; null: all
  bool unchecked_ = false;       // inside an address of a host function
  // Inside a number of operations: an extent that has no value stands in a loop that doesn't run.
  bool may_be_anything_ = false;
  int parallel_bodies_ = 0;

  std::unordered_map<const VarNode*, llvm::Value*> vars_;
  std::unordered_map<const BufferNode*, llvm::Value*> buffers_;
  std::unordered_map<const BufferNode*, llvm::Value*> workspace_;  // planned at entry
  llvm::Value* workspace_end_ = nullptr;  // behind them; null: at the beginning
  std::unordered_set<const VarNode*> nonnegative_;
  std::unordered_set<const VarNode*> moving_;  // variables of the innermost loop's iterations
  std::vector<std::unordered_map<Expr, llvm::Value*>> memo_;  // keeps its keys alive
  // Of a host function: sizes that were computed, by structure, for each branch that is open. What
  // is in the map of an open branch was emitted where it dominates what comes next.
  std::vector<std::unordered_map<Expr, Size, StructuralHash, StructuralEqual>> sizes_{1};
  std::unordered_map<Expr, bool> reads_memory_;

  // The first part; null while there is only one.
  llvm::Function* first_part_ = nullptr;
  llvm::AllocaInst* first_state_ = nullptr;
  llvm::Value* state_ = nullptr;  // in this part
  int num_parts_ = 1;
  size_t num_emitted_ = 0;                           // expressions, in this part
  std::unordered_map<llvm::Value*, int64_t> slots_;  // of the state, by the value in its own part
  std::unordered_map<llvm::Value*, llvm::Value*> here_;  // in this part
};

// What is emitted while it lives doesn't always run.
struct FunctionEmitter::Branch {
  explicit Branch(FunctionEmitter& e) : emitter(e) { emitter.sizes_.emplace_back(); }
  ~Branch() { emitter.sizes_.pop_back(); }
  FunctionEmitter& emitter;
};

struct FunctionEmitter::Scope {
  explicit Scope(FunctionEmitter& e) : emitter(e) { emitter.memo_.emplace_back(); }
  ~Scope() { emitter.memo_.pop_back(); }
  FunctionEmitter& emitter;
};

struct FunctionEmitter::Memory {
  llvm::Value* data = nullptr;
  llvm::Type* element = nullptr;
  llvm::Value* offset = nullptr;  // elements: of the element, or of lane 0, or a vector of them
  llvm::Value* stride =
      nullptr;  // between lanes, where the offset is a scalar and the access a vector
  int lanes = 1;
};

// Used variables and buffers that `s` does not define, in order of first occurrence. Buffers'
// shapes, strides and offsets count.
struct Captures {
  std::vector<Var> vars;
  std::vector<Buffer> buffers;
  bool declares_views = false;  // a DeclareNode stands inside
};
Captures captures_of(const tir::Stmt& s);

}  // namespace repose::codegen

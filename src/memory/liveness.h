// Which storage every tensor of a graph function lives in, and when.
//
// Input: a function after fusion, in which everything is a call_tir, a view (`reshape`, `view`), a
// tuple, a shape computation, a check, a match_cast, an `if`, a closure, a loop over two closures,
// or a call of a packed function. Positions number what runs, in the order of execution: the
// bindings, and for an `if` its condition, its first branch, the end of that, its second branch,
// the end of that, and the join; for what a packed function gives, the call, after which symbols
// are known, and the copy to storages of the plan. An execution passes the positions of one of the
// two branches. Those of a loop are in LoopRange; what is between its test and its exit is passed
// as often as it runs.
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/module.h"
#include "ir/packed_call.h"
#include "memory/live_set.h"

namespace repose {

// Something that holds the bytes of one or more tensors.
struct Storage {
  enum class Kind { input, constant, computed, view };
  Kind kind = Kind::computed;
  int input = -1;  // position of the parameter, for `input`
  const graph::ConstantNode* constant = nullptr;
  int base = -1;      // for `view`: the storage that it is a part of, itself no view
  Expr offset_bytes;  // for `view`: where it begins in `base`
  Expr bytes;         // canonical; of the tensor that defines it
  int first = 0;      // position that writes it
  // The positions at which its bytes must be kept: from the definition to the last use (through
  // any alias), along each branch on its own.
  LiveSet live;
  const graph::VariableNode* definition = nullptr;
};

// Where the tensors of a value are: one list of storages per tensor leaf of its type (tuples
// flattened). More than one: the result of an `if`, whose branches put it in different places.
using Places = std::vector<std::vector<int>>;

// A call of a tensor program. A result that overwrites an argument (call_tir_inplace) lies where
// that does; where that is an input, a constant, or in one of two places, it has a storage of its
// own, to which the argument is copied first.
struct KernelCall {
  int position = 0;
  const graph::CallNode* call = nullptr;
  const graph::VariableNode* result = nullptr;
};

// The join of an `if`: what each leaf of its result may be, by branch.
struct BranchJoin {
  int then_begin = 0, then_end = 0;  // positions of the first branch, inclusive
  int else_begin = 0, else_end = 0;
  int join = 0;
  std::vector<std::pair<std::vector<int>, std::vector<int>>> leaves;  // storages of each branch
};

// A loop. Each tensor that it carries has a home: a storage that is written at `enter` and, with
// what the body gives, at `back`.
struct LoopRange {
  const graph::CallNode* call = nullptr;
  const graph::FunctionNode *cond = nullptr, *body = nullptr;
  int enter = 0;                     // the initial values are copied to the homes
  int test_begin = 0, test_end = 0;  // the test, inclusive; symbols of the body are known after it
  int body_begin = 0, body_end = 0;
  int back = 0;  // results of the body are copied to the homes
  int exit = 0;
  struct Leaf {
    int home = -1;
    int copy = -1;                    // a storage for the result between body_end and back, or -1
    std::vector<int> inits, results;  // where the initial value and the body's result may be
  };
  std::vector<Leaf> leaves;
  bool contains(int position) const { return test_begin <= position && position <= back; }
};

struct Liveness {
  std::vector<Storage> storages;
  std::unordered_map<const graph::ValueNode*, Places> places;
  std::vector<KernelCall> calls;
  std::vector<BranchJoin> joins;
  std::vector<LoopRange> loops;  // inner ones before the loops around them
  // The position after which a symbol is known; 0: at entry, or by names of sizes at the head.
  std::unordered_map<const VarNode*, int> symbol_positions;
  // Of each binding by its variable; of an `if`, that of its join, of a loop, that of its exit.
  std::unordered_map<const graph::ValueNode*, int> positions;
  int num_positions = 0;

  // The storage that holds the bytes of `s`: itself, or what it is a view of.
  int root(int s) const { return storages[s].base < 0 ? s : storages[s].base; }
  // The loop that a call is; null for other calls.
  const LoopRange* loop_of(const graph::CallNode& call) const;
};

// The number of tensor leaves of a type (tuples flattened; other types have none).
int count_tensors(const Type& t);
// A call that makes no bytes of its own: its result lies in its first operand.
bool is_view(const graph::CallNode& call);
// A value that the plan has no place for, as its type doesn't say how large it is: what a packed
// function gave stays with the runtime.
bool is_held(const Type& t);
// A match_cast that names the type of one.
bool names_held(const graph::Binding& b);
// Per result of a call of a program (tuples flattened) the argument that it overwrites, or -1.
std::vector<int64_t> overwritten_args(const graph::CallNode& call, const Type& result);
// What the symbols and scalar parameters of a program are in a call of it.
VarMap program_symbols(const tir::PrimFuncNode& program, const graph::CallNode& call,
                       const Type& result);
// Where a view begins in its operand, in bytes.
Expr view_offset_bytes(const graph::CallNode& view);

Liveness liveness(const graph::Function& f);

}  // namespace repose

// Which storage every tensor of a graph function lives in, and for how long.
//
// Input: a function after fusion, in which everything is a call_tir, a view (`reshape`), a tuple, a
// shape computation, a check, a match_cast or an `if`. Positions number its bindings in the order
// of execution, those of branches included (first branch, then second).
#pragma once

#include <unordered_map>
#include <vector>

#include "ir/module.h"

namespace repose {

// Something that holds the bytes of one or more tensors.
struct Storage {
  enum class Kind { input, constant, computed };
  Kind kind = Kind::computed;
  int input = -1;  // position of the parameter, for `input`
  const graph::ConstantNode* constant = nullptr;
  Expr bytes;     // canonical; of the tensor that defines it
  int first = 0;  // position that writes it
  int last = 0;   // last position that reads it (through any alias)
  const graph::VariableNode* definition = nullptr;
};

// Where the tensors of a value are: one list of storages per tensor leaf of its type (tuples
// flattened). More than one: the result of an `if`, whose branches put it in different places.
using Places = std::vector<std::vector<int>>;

struct Liveness {
  std::vector<Storage> storages;
  std::unordered_map<const graph::ValueNode*, Places> places;
  int num_positions = 0;
};

// The number of tensor leaves of a type (tuples flattened; other types have none).
int count_tensors(const Type& t);
// A call that makes no bytes of its own: its result is its first operand in another shape.
bool is_view(const graph::CallNode& call);

Liveness liveness(const graph::Function& f);

}  // namespace repose

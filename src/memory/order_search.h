// Orders of kernels with a low peak, for sizes that are known: the search behind order_bindings.
#pragma once

#include <cstdint>
#include <vector>

namespace repose {

struct OrderProblem {
  struct Node {
    std::vector<int> after;   // nodes that come before it; their numbers are smaller
    std::vector<int> reads;   // values, each once
    std::vector<int> writes;  // values, each written by one node
    // Of each list, the first value that dies here gives its bytes to what is written: an operand
    // that is written over, a part of a concatenation that is in place.
    std::vector<std::vector<int>> reused;
    int64_t scratch = 0;  // bytes that it needs besides, while it runs
  };
  std::vector<Node> nodes;        // in an order that is allowed
  std::vector<int64_t> sizes;     // per value, in bytes
  std::vector<bool> kept;         // per value: needed after the last node
  std::vector<bool> from_before;  // per value: there before the first node
};

// The most bytes that live at one time.
int64_t peak_of(const OrderProblem& problem, const std::vector<int>& order);

// An order, of all nodes, whose peak is at most that of the given one (0, 1, 2, …). Up to 64 nodes
// by a beam search over sets of nodes that have run, which is exact while the beam holds all; more
// by greedy choice and such searches in windows around the peak.
std::vector<int> search_order(const OrderProblem& problem);

}  // namespace repose

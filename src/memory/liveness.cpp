// Which storage every tensor of a graph function lives in, and for how long.
#include "memory/liveness.h"

#include <algorithm>

#include "ir/op.h"

namespace repose {

int count_tensors(const Type& t) {
  if (as<TensorTypeNode>(t)) return 1;
  int n = 0;
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    for (const Type& field : tuple->fields) n += count_tensors(field);
  }
  return n;
}

bool is_view(const graph::CallNode& call) {
  return call.op && call.op->name == "reshape";
}

namespace {

class Analysis {
 public:
  Liveness result;

  void run(const graph::Function& f) {
    for (size_t i = 0; i < f->params.size(); ++i) {
      Places places;
      for (int k = count_tensors(f->params[i]->type); k > 0; --k) {
        Storage s;
        s.kind = Storage::Kind::input;
        s.input = static_cast<int>(i);
        places.push_back({add(std::move(s))});
      }
      result.places[f->params[i].get()] = std::move(places);
    }
    visit_body(f->body);
    use(f->body->result, position_);
    result.num_positions = position_ + 1;
  }

 private:
  int add(Storage s) {
    result.storages.push_back(std::move(s));
    return static_cast<int>(result.storages.size()) - 1;
  }

  const Places& places_of(const graph::Value& v) {
    if (auto it = result.places.find(v.get()); it != result.places.end()) return it->second;
    Places places;
    if (const auto* constant = graph::as<graph::ConstantNode>(v)) {
      Storage s;
      s.kind = Storage::Kind::constant;
      s.constant = constant;
      places.push_back({add(std::move(s))});
    } else if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const graph::Value& field : tuple->fields) {
        const Places own = places_of(field);
        places.insert(places.end(), own.begin(), own.end());
      }
    } else if (const auto* get = graph::as<graph::TupleGetNode>(v)) {
      const Places whole = places_of(get->tuple);
      const auto* type = as<TupleTypeNode>(get->tuple->type);
      size_t begin = 0;
      for (int i = 0; i < get->index; ++i) begin += count_tensors(type->fields[i]);
      const size_t n = count_tensors(type->fields[get->index]);
      places.assign(whole.begin() + begin, whole.begin() + begin + n);
    }
    return result.places[v.get()] = std::move(places);
  }

  void use(const graph::Value& v, int position) {
    for (const std::vector<int>& place : places_of(v)) {
      for (int s : place) result.storages[s].last = std::max(result.storages[s].last, position);
    }
  }

  // New storage for each tensor of a call's result.
  void define(const graph::Variable& var, int position) {
    Places places;
    auto add_leaves = [&](auto&& self, const Type& t) -> void {
      if (const auto* tensor = as<TensorTypeNode>(t)) {
        Storage s;
        s.bytes = size_bytes(*tensor);
        s.first = s.last = position;
        s.definition = var.get();
        places.push_back({add(std::move(s))});
      } else if (const auto* tuple = as<TupleTypeNode>(t)) {
        for (const Type& field : tuple->fields) self(self, field);
      }
    };
    add_leaves(add_leaves, var->type);
    result.places[var.get()] = std::move(places);
  }

  void visit_body(const graph::Body& body) {
    for (const graph::Block& block : body->blocks) {
      for (const graph::Binding& b : block.bindings) visit_binding(b);
    }
  }

  void visit_binding(const graph::Binding& b) {
    if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
      use(choice->condition, ++position_);
      visit_body(choice->then_body);
      use(choice->then_body->result, ++position_);
      visit_body(choice->else_body);
      use(choice->else_body->result, ++position_);
      Places joined = places_of(choice->then_body->result);
      const Places other = places_of(choice->else_body->result);
      for (size_t i = 0; i < joined.size() && i < other.size(); ++i) {
        joined[i].insert(joined[i].end(), other[i].begin(), other[i].end());
        // A branch's result must survive the other branch's code as written here.
        for (int s : joined[i]) result.storages[s].last = position_;
      }
      result.places[b.var.get()] = std::move(joined);
      return;
    }
    const int position = ++position_;
    graph::visit_operands(b.value, [&](const graph::Value& v) { use(v, position); });
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && is_view(*call)) {
      result.places[b.var.get()] = Places(places_of(call->args[0]));
    } else if (call) {
      define(b.var, position);
    } else {
      result.places[b.var.get()] = Places(places_of(b.value));
    }
  }

  int position_ = 0;
};

}  // namespace

Liveness liveness(const graph::Function& f) {
  Analysis analysis;
  analysis.run(f);
  return std::move(analysis.result);
}

}  // namespace repose

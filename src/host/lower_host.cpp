// Graph function + memory plan -> host program: bindings, calls, branches, results.
#include "host/lower_host.h"

#include <algorithm>

#include "base/message_text.h"
#include "host/check_inputs.h"
#include "host/host_lowering.h"
#include "host/make_sizes.h"
#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/while_loop.h"
#include "passes/tensor/find_sharing.h"

namespace repose {

namespace {

// Do the program's own messages say which call they are about?
bool says_places(const tir::PrimFuncNode& f) {
  bool found = false;
  tir::visit_all_exprs(f.body, [&](const Expr& root) {
    visit(root, [&](const Expr& e) {
      const auto* call = as<CallNode>(e);
      found = found || (call && call->intrinsic == Intrinsic::check_index && !call->name.empty());
      return !found;
    });
  });
  return found;
}

}  // namespace

tir::Stmt HostLowering::lower(const graph::Function& f) {
  facts_ = facts_after_checks(f);
  handles_.resize(plan_.live.storages.size());
  block_handles_.resize(plan_.aliases.blocks.size());
  regions_.resize(plan_.regions.size());
  check_inputs(root_, interface_);
  body(f->body);
  begin();
  finish_results(f->body->result);
  return out_->finish();
}

PackedContext HostLowering::packed_context() {
  PackedContext context;
  context.place = [this](const Value& v, size_t i) -> Expr {
    if (joined_.contains(v.get())) return place(v, i);
    auto it = plan_.live.places.find(v.get());
    const bool has_place = it != plan_.live.places.end() && !it->second.at(i).empty();
    return has_place ? place(v, i) : nullptr;
  };
  context.shape = [this](const Value& v) -> std::optional<Dims> {
    auto it = host_dims_.find(v.get());
    return it == host_dims_.end() ? std::nullopt : std::optional(it->second);
  };
  context.match = [this](const Span& span, const std::string& what, const Expr& want,
                         const Expr& have) { match(span, what, want, have); };
  context.refuse = [this](const Span& span, const std::string& what) { refuse(span, what); };
  return context;
}

void HostLowering::body(const graph::Body& b) {
  for (const graph::Block& block : b->blocks) {
    for (const graph::Binding& binding : block.bindings) this->binding(binding);
  }
}

void HostLowering::refuse(const Span& span, const std::string& what) {
  problems.push_back(
      error(DiagnosticKind::unsupported_feature, span, "{} runs in the interpreter only", what));
}

void HostLowering::binding(const graph::Binding& b) {
  if (!is_check(b.value) && !size_name(b)) begin();
  if (const auto* choice = graph::as<graph::IfNode>(b.value)) {
    lower_if(b, *choice);
    open_regions();
    return;
  }
  if (const auto* call = graph::as<graph::CallNode>(b.value)) {
    if (const LoopRange* loop = plan_.live.loop_of(*call)) {
      lower_loop(b, *loop);
      open_regions();
      return;
    }
  }
  ++position_;
  packed_.note(b);
  const auto* c = graph::as<graph::CallNode>(b.value);
  if ((c && is_packed_call(*c)) || names_held(b)) return lower_received(b, c);
  if (c) {
    lower_call(b, *c);
  } else if (auto it = host_dims_.find(b.value.get()); it != host_dims_.end()) {
    host_dims_[b.var.get()] = it->second;
  }
  alias_joined(b);
  if (b.cast) lower_cast(b);
  fill_dead();
  open_regions();
}

// What the host gives: the call or the match_cast, then the copy to its place (liveness.h).
void HostLowering::lower_received(const graph::Binding& b, const graph::CallNode* call) {
  if (call) {
    begin_kernel(std::string(call->op->name), b);
    packed_.call(*out_, b);
    end_kernel();
  } else {
    packed_.name_held(*out_, b);
  }
  if (call && b.cast) lower_cast(b);
  fill_dead();
  open_regions();
  ++position_;
  std::vector<Expr> to = call_places(b.var);
  if (call) {
    const bool overwrites = call->op->name == "call_inplace_packed";
    const std::vector<int64_t> overwritten =
        overwrites ? overwritten_args(*call, b.var->type) : std::vector<int64_t>(to.size(), -1);
    for (size_t r = 0; r < to.size(); ++r) {
      if (overwritten.at(r) >= 0) to[r] = nullptr;
    }
  }
  if (problems.empty()) packed_.receive(*out_, b, to);
  fill_dead();
  open_regions();
}

// Views and members of joined values live where those do.
void HostLowering::alias_joined(const graph::Binding& b) {
  Value source = b.value;
  Expr begin = make_int(0);
  if (const auto* c = graph::as<graph::CallNode>(b.value)) {
    if (!is_view(*c)) return;
    source = c->args[0];
    begin = view_offset_bytes(*c);
  }
  if (const auto* get = graph::as<graph::TupleGetNode>(source)) {
    auto it = joined_.find(get->tuple.get());
    if (it == joined_.end()) return;
    const auto* type = as<TupleTypeNode>(get->tuple->type);
    size_t begin = 0;
    for (int i = 0; i < get->index; ++i) begin += count_tensors(type->fields[i]);
    const size_t n = count_tensors(type->fields[get->index]);
    joined_[b.var.get()] = {it->second.begin() + begin, it->second.begin() + begin + n};
    return;
  }
  auto is_joined = [&](const Value& v) { return joined_.count(v.get()) != 0; };
  bool any = is_joined(source);
  if (const auto* tuple = graph::as<graph::TupleNode>(source)) {
    for (const Value& field : tuple->fields) any = any || is_joined(field);
  }
  if (!any) return;
  std::vector<Expr> handles = places(source);
  if (!is_const_int(begin, 0)) handles[0] = offset_handle(handles[0], begin, b.var->name);
  joined_[b.var.get()] = std::move(handles);
}

void HostLowering::lower_call(const graph::Binding& b, const graph::CallNode& c) {
  if (!c.op) {
    const auto* g = graph::as<graph::GlobalNode>(c.callee);
    return refuse(b.span, g ? fmt::format("the recursive function `{}`", g->name)
                            : std::string("a call of a closure"));
  }
  if (is_program_call(c)) return lower_call_tir(b, c);
  if (c.op->name == "check") return add_check(*out_, interface_, b);
  if (c.op->name == "tensor_to_shape") return lower_tensor_to_shape(b, c);
  if (is_dps_packed(c)) {
    begin_kernel(std::string(c.op->name), b);
    packed_.call_dps(*out_, b, call_places(b.var));
    return end_kernel();
  }
  if (c.op->name == "print") return packed_.print(*out_, b);
  if (c.op->name == "assert_op") return packed_.assert_that(*out_, b, condition_of(c.args[0]));
  if (is_view(c) || c.op->name == "shape_of" || c.op->name == "null_value") return;
  refuse(b.span, is_while_loop(c) ? "`while_loop` over functions that are not written in place"
                                  : fmt::format("`{}`", c.op->name));
}

void HostLowering::lower_call_tir(const graph::Binding& b, const graph::CallNode& c) {
  auto in_place = plan_.aliases.parts_to_copy.find(&c);
  if (in_place != plan_.aliases.parts_to_copy.end()) {
    grow_for(plan_.live.places.at(b.var.get())[0][0]);
    return copy_parts(b, c, in_place->second);
  }
  const std::string& program = graph::as<graph::GlobalNode>(c.args[0])->name;
  tir::PrimFunc f = module_.prim_func(program);
  REPOSE_CHECK(f != nullptr, "call_tir names a tensor program of the module");
  const auto* args = graph::as<graph::TupleNode>(c.args[1]);
  std::vector<Expr> operands;
  std::vector<const TensorTypeNode*> buffers;  // per buffer parameter
  for (const Value& a : args->fields) {
    if (const auto* p = graph::as<graph::PrimValueNode>(a)) {
      operands.push_back(p->value);
      continue;
    }
    operands.push_back(place(a));
    buffers.push_back(graph::tensor_of(a));
  }
  const Places& results = plan_.live.places.at(b.var.get());
  const std::vector<int64_t> overwritten = overwritten_args(c, b.var->type);
  const std::vector<const TensorTypeNode*> types = tensor_leaves(b.var->type);
  for (size_t r = 0; r < results.size(); ++r) {
    const Expr to = handle(results[r][0]);
    if (overwritten.at(r) < 0) {
      operands.push_back(to);
      buffers.push_back(types[r]);
      continue;
    }
    Expr& operand = operands.at(static_cast<size_t>(overwritten[r]));
    if (lies_in(args->fields[static_cast<size_t>(overwritten[r])], results[r][0])) continue;
    begin_copy("copy_to_overwrite", b.span, size_bytes(*types[r]));
    copy(to, operand, size_bytes(*types[r]));
    end_kernel();
    operand = to;
  }

  const VarMap symbols = program_symbols(*f, c, b.var->type);
  check_shapes(b, program, *f, buffers, symbols);
  for (const Var& v : tir::bound_symbols(*f)) operands.push_back(symbols.at(v.get()));
  if (auto it = plan_.workspaces.find(&c); it != plan_.workspaces.end()) {
    operands.push_back(block_handle(it->second, program + "_workspace"));
  }
  const std::string place = b.span ? place_text(b.span) : quoted(program);
  if (!counted_.contains(&c)) count(operations_of(c, b.var->type), place);
  if (b.span && !says_places(*f)) operands.push_back(make_string(place));
  begin_kernel(program, b);
  out_->evaluate(make_call(Intrinsic::call_program, dtypes::int32, std::move(operands), program));
  end_kernel();
}

// A concatenation, some of whose parts are where they belong: copies the others.
void HostLowering::copy_parts(const graph::Binding& b, const graph::CallNode& c,
                              const std::vector<size_t>& to_copy) {
  const std::string& program = graph::as<graph::GlobalNode>(c.args[0])->name;
  const auto& args = graph::as<graph::TupleNode>(c.args[1])->fields;
  const Expr whole = handle(plan_.live.places.at(b.var.get())[0][0]);
  Expr begin = make_int(0);
  for (size_t p : sharing_of(*module_.prim_func(program)).concatenation) {
    const Expr bytes = size_bytes(*graph::tensor_of(args[p]));
    if (std::find(to_copy.begin(), to_copy.end(), p) != to_copy.end()) {
      const Expr to = offset_handle(whole, begin, b.var->name);
      begin_copy(program, b.span, bytes);
      out_->evaluate(make_call(Intrinsic::copy_bytes, dtypes::int32, {to, place(args[p]), bytes}));
      end_kernel();
    }
    begin = canonical(begin + bytes);
  }
}

// Dimensions that may differ from what the program says of its buffers (in modules written by
// hand).
void HostLowering::check_shapes(const graph::Binding& b, const std::string& program,
                                const tir::PrimFuncNode& f,
                                const std::vector<const TensorTypeNode*>& buffers,
                                const VarMap& symbols) {
  size_t next = 0;
  for (const tir::Param& p : f.params) {
    if (!p.buffer) continue;
    const Dims& have = *buffers[next++]->shape;
    for (size_t d = 0; d < have.size(); ++d) {
      const Expr want = canonical(substitute(p.buffer->shape[d], symbols));
      if (prove_equal(have[d], want, facts_) == Truth::yes) continue;
      out_->check(eq(have[d], want),
                  fmt::format("{}: dimension {} of buffer {} is {{0}}, expected {} = {{1}}",
                              quoted(program), d, quoted(p.buffer->name),
                              quoted(dim_text(want, interface_.symbols))),
                  {have[d], want}, b.span);
    }
  }
}

// Reads the members of a shape from memory.
void HostLowering::lower_tensor_to_shape(const graph::Binding& b, const graph::CallNode& c) {
  const auto* type = as<ShapeTypeNode>(b.var->type);
  if (type->dims) return;
  const TensorTypeNode* t = graph::tensor_of(c.args[0]);
  Buffer buffer = make_buffer(b.var->name, *t->shape, t->dtype);
  out_->declare(buffer, place(c.args[0]));
  std::vector<Expr> dims;
  for (int i = 0; i < type->rank; ++i) {
    Var v = make_var(fmt::format("{}_{}", b.var->name, i), dtypes::index, VarRole::value);
    std::vector<Expr> at;
    if (!t->shape->empty()) at.push_back(make_int(i));
    out_->let(v, make_cast(dtypes::index, make_load(buffer, std::move(at))));
    dims.push_back(v);
  }
  host_dims_[b.var.get()] = std::move(dims);
}

void HostLowering::lower_cast(const graph::Binding& b) {
  if (const auto named = size_name(b); named && bound_here_.insert(named->name.get()).second) {
    return out_->let(named->name, named->value);
  }
  Dims want, have;
  if (const auto *w = as<TensorTypeNode>(b.cast), *h = as<TensorTypeNode>(b.value->type); w && h) {
    if (w->shape) want = *w->shape;
    if (h->shape) have = *h->shape;
  } else if (const auto* w = as<ShapeTypeNode>(b.cast), *h = as<ShapeTypeNode>(b.value->type);
             w && h) {
    if (w->dims) want = *w->dims;
    if (h->dims) {
      have = *h->dims;
    } else if (auto it = host_dims_.find(b.value.get()); it != host_dims_.end()) {
      have = it->second;
    }
  } else if (const auto* w = as<PrimTypeNode>(b.cast), *h = as<PrimTypeNode>(b.value->type);
             w && h && w->value) {
    if (!h->value) return refuse(b.span, "a match_cast of a number which no expression gives");
    return match(b.span, quoted(b.var->name), w->value, h->value);
  }
  if (want.size() != have.size()) return refuse(b.span, "a match_cast of an unknown rank");
  for (size_t i = 0; i < want.size(); ++i) {
    match(b.span, fmt::format("{}: dimension {}", quoted(b.var->name), i), want[i], have[i]);
  }
}

// Binds a symbol that nothing has bound yet; else what is wanted is required.
void HostLowering::match(const Span& span, const std::string& what, const Expr& want,
                         const Expr& have) {
  const auto* v = as<VarNode>(want);
  if (v && !bound_here_.count(v) && !is_parameter_symbol(v)) {
    bound_here_.insert(v);
    out_->let(Var(v), have);
    if (v->role == VarRole::dimension) {
      out_->check(le(make_int(0), Var(v)), what + " is {0}, which is negative", {Var(v)}, span);
    }
    return;
  }
  const std::string expected =
      is_constant(want) ? "" : quoted(dim_text(want, interface_.symbols)) + " = ";
  out_->check(canonical(eq(have, want)),
              fmt::format("{} is {{0}}, expected {}{{1}}", what, expected), {have, want}, span);
}

bool HostLowering::is_parameter_symbol(const VarNode* v) const {
  return find_symbol(interface_, v) != nullptr;
}

// A bool: a prim value, or the element of a tensor.
Expr HostLowering::condition_of(const Value& v) {
  if (const auto* p = graph::as<graph::PrimValueNode>(v)) return p->value;
  if (const auto* p = as<PrimTypeNode>(v->type)) {
    if (p->value) return p->value;
    if (const Expr held = packed_.held_number(*out_, v)) return ne(held, make_int(0));
    refuse({}, "a condition that is a number which no expression gives");
    return make_bool(true);
  }
  const TensorTypeNode* t = graph::tensor_of(v);
  Buffer flag = make_buffer("condition", *t->shape, dtypes::boolean);
  out_->declare(flag, place(v));
  return make_load(flag, Indices(t->shape->size(), make_int(0)));
}

namespace {

// Whether a type says what is in it, and the dimensions of each tensor, if only names of them.
bool has_shapes(const Type& t) {
  if (const auto* tuple = as<TupleTypeNode>(t)) {
    return std::all_of(tuple->fields.begin(), tuple->fields.end(), has_shapes);
  }
  const auto* tensor = as<TensorTypeNode>(t);
  return tensor ? tensor->shape.has_value() : t->kind != TypeKind::any;
}

}  // namespace

// Branches leave handles of their results, and dimensions that only they know, in cells.
void HostLowering::lower_if(const graph::Binding& b, const graph::IfNode& choice) {
  ++position_;
  const Expr condition = condition_of(choice.condition);
  ask_for_results_of_branches();
  if (!has_shapes(b.var->type)) {
    for (const BranchJoin& join : plan_.live.joins) {
      if (join.then_begin == position_ + 1) position_ = join.join;
    }
    return refuse(b.span, fmt::format("an `if` that gives a value of type {}",
                                      quoted(to_string(b.var->type))));
  }
  const int leaves = count_tensors(b.var->type);
  std::vector<Var> fresh = binding_symbols(b.var->type);
  std::vector<Buffer> cells, dim_cells;
  for (int i = 0; i < leaves; ++i) {
    cells.push_back(make_buffer(fmt::format("{}_data_{}", b.var->name, i), {make_int(1)},
                                dtypes::handle, Scope::local));
    out_->allocate(cells.back());
  }
  std::vector<Var> join_symbols;
  for (const Var& v : fresh) {
    if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
    join_symbols.push_back(v);
    dim_cells.push_back(make_buffer(v->name + "_cell", {make_int(1)}, dtypes::index, Scope::local));
    out_->allocate(dim_cells.back());
  }
  auto branch = [&](const graph::Body& branch_body) {
    Statements inner;
    Statements* outer = std::exchange(out_, &inner);
    const std::vector<Expr> saved = handles_, saved_blocks = block_handles_;
    const std::vector<OpenRegion> saved_regions = regions_;
    this->body(branch_body);
    ++position_;
    std::vector<Expr> data = places(branch_body->result);
    const Indices first{make_int(0)};
    for (int i = 0; i < leaves; ++i) {
      inner.add(tir::make<tir::StoreNode>(cells[i], first, data[i]));
    }
    VarMap values;
    match_symbols(b.var->type, branch_body->result->type, values);
    for (size_t i = 0; i < join_symbols.size(); ++i) {
      inner.add(tir::make<tir::StoreNode>(dim_cells[i], first, values.at(join_symbols[i].get())));
    }
    out_ = outer;
    handles_ = saved;  // names of the branch end with it
    block_handles_ = saved_blocks;
    regions_ = saved_regions;
    return inner.finish();
  };
  tir::Stmt then_stmt = branch(choice.then_body);
  tir::Stmt else_stmt = branch(choice.else_body);
  out_->add(tir::make<tir::IfNode>(condition, then_stmt, else_stmt, b.span));
  const Indices first{make_int(0)};
  for (size_t i = 0; i < join_symbols.size(); ++i) {
    out_->let(join_symbols[i], make_load(dim_cells[i], first));
  }
  std::vector<Expr> data;
  for (int i = 0; i < leaves; ++i) {
    Var v = handle_var(b.var->name);
    out_->let(v, make_load(cells[i], first));
    data.push_back(v);
  }
  joined_[b.var.get()] = std::move(data);
  ++position_;
}

void HostLowering::copy(const Expr& to, const Expr& from, const Expr& bytes) {
  out_->evaluate(make_call(Intrinsic::copy_bytes, dtypes::int32, {to, from, bytes}));
}

void HostLowering::finish_results(const Value& result) {
  std::vector<Expr> sources = places(result);
  check_donations(result);
  // Donated ones last: their memory may be an input's, which the others may still read.
  for (const bool donated : {false, true}) copy_results(sources, donated);
}

// A result that is an input must not be overwritten before it is copied.
void HostLowering::check_donations(const Value& result) {
  const Places& places = plan_.live.places.at(result.get());
  for (size_t r = 0; r < places.size(); ++r) {
    if (interface_.outputs[r].reuses_input < 0) continue;
    for (int s : places[r]) {
      const Storage& storage = plan_.live.storages[s];
      if (storage.kind != Storage::Kind::input) continue;
      for (size_t other = 0; other < places.size(); ++other) {
        if (other == r || interface_.outputs[other].reuses_input != storage.input) continue;
        problems.push_back(error(DiagnosticKind::unsupported_feature, {},
                                 "result {} is input {}, whose memory is donated to result {}", r,
                                 quoted(interface_.inputs[storage.input].name), other));
      }
    }
  }
}

void HostLowering::copy_results(const std::vector<Expr>& sources, bool donated) {
  for (size_t r = 0; r < plan_.aliases.copied_results.size(); ++r) {
    if (!plan_.aliases.copied_results[r]) continue;
    if ((interface_.outputs[r].reuses_input >= 0) != donated) continue;
    const ValueInfo& info = interface_.outputs[r];
    Expr data = result_handle(static_cast<int>(r), "result");
    Expr elements = make_int(1);
    for (const Expr& d : info.dims) elements = elements * d;
    const Expr bytes = size_bytes(elements, info.dtype);
    begin_copy("copy_result", {}, bytes);
    out_->evaluate(make_call(Intrinsic::copy_bytes, dtypes::int32, {data, sources[r], bytes}));
    end_kernel();
  }
}

Result<HostFunction> lower_to_host(const Module& module, const std::string& name,
                                   const MemoryPlan& plan, WeightTable& weights,
                                   std::vector<std::string>& packed_functions,
                                   const HostOptions& options) {
  graph::Function f = module.graph_function(name);
  REPOSE_CHECK(f != nullptr, "a graph function of that name");
  REPOSE_TRY(interface, function_interface(name, f));
  HostFunction result;
  result.interface = interface;
  HostLowering lowering(module, plan, weights, packed_functions, result.interface, options);
  tir::Stmt body = lowering.lower(f);
  if (!lowering.problems.empty()) return lowering.problems;
  result.run = tir::make_prim_func({tir::scalar_param(plan.num_threads)}, std::move(body), false,
                                   {}, f->span);
  result.profiled = std::move(lowering.profiled);
  result.num_held = lowering.num_held();
  result.sizes = make_sizes(result.interface, f, plan);
  return result;
}

}  // namespace repose

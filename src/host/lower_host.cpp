// Graph function + memory plan -> host program.
#include "host/lower_host.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "base/message_text.h"
#include "host/check_inputs.h"
#include "host/lower_packed.h"
#include "host/make_sizes.h"
#include "host/place_blocks.h"
#include "ir/function_facts.h"
#include "ir/op.h"
#include "ir/operations.h"
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

using graph::Value;
using Indices = std::vector<Expr>;

Var handle_var(std::string name) {
  return make_var(std::move(name), dtypes::handle, VarRole::handle);
}

class HostLowering {
 public:
  HostLowering(const Module& module, const MemoryPlan& plan, WeightTable& weights,
               std::vector<std::string>& packed_functions, const FunctionInterface& interface,
               const HostOptions& options)
      : module_(module),
        plan_(plan),
        weights_(weights),
        interface_(interface),
        profiles_(options.profiles),
        packed_(packed_functions, packed_context()) {
    if (options.debug_memory) find_last_uses();
  }

  Diagnostics problems;
  std::vector<ProfiledCall> profiled;

  tir::Stmt lower(const graph::Function& f) {
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

  int num_held() const { return packed_.num_held(); }

 private:
  PackedContext packed_context() {
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

  // Takes the arena once the checks at the head have passed: the plan may rely on them.
  void begin() {
    if (std::exchange(has_begun_, true)) return;
    for (const auto& [name, value] : plan_.limit_names) out_->let(name, value);
    count_at_entry();
    open_regions();
  }

  void open_regions() {
    if (!has_begun_) return;
    for (size_t r = 0; r < plan_.regions.size(); ++r) {
      const Region& region = plan_.regions[r];
      const bool at_entry = region.position == 0;
      if (region.home >= 0) continue;  // the loop asks for it
      if ((region.position != position_ && !at_entry) || regions_[r].base) continue;
      if (is_const_int(region.bytes, 0)) continue;
      regions_[r].placed = place_blocks(*out_, region, static_cast<int>(r));
      Var base = handle_var(fmt::format("arena_{}", r));
      out_->let(base, make_call(Intrinsic::arena_region, dtypes::handle,
                                {make_int(static_cast<int64_t>(r)), regions_[r].placed.bytes}));
      regions_[r].base = base;
      if (!dead_after_.empty()) fill(base, regions_[r].placed.bytes);
    }
  }

  // ---- Debugging of the plan -------------------------------------------------------------------

  void find_last_uses() {
    dead_after_.resize(static_cast<size_t>(plan_.live.num_positions) + 1);
    for (size_t b = 0; b < plan_.aliases.blocks.size(); ++b) {
      if (plan_.region_of[b] < 0) continue;
      for (const LiveRange& r : plan_.aliases.blocks[b].live) {
        dead_after_[static_cast<size_t>(r.last)].push_back(static_cast<int>(b));
      }
    }
  }

  void fill(const Expr& data, const Expr& bytes) {
    out_->evaluate(make_call(Intrinsic::fill_bytes, dtypes::int32, {data, bytes}));
  }

  // A range that ends at a binding ends with a use; at the ends of branches, bytes may be needed
  // after the join. Of what a branch has opened, nothing is known behind it.
  void fill_dead() {
    fill_dead(position_, [](const Block&) { return true; });
  }
  void fill_dead(int position, const std::function<bool(const Block&)>& takes) {
    if (dead_after_.empty()) return;
    for (int b : dead_after_[static_cast<size_t>(position)]) {
      if (!takes(plan_.aliases.blocks[b])) continue;
      const Region& region = plan_.regions[plan_.region_of[b]];
      if (!regions_[plan_.region_of[b]].base) continue;
      fill(block_handle(b, "dead"), region.sizes[plan_.position_in[b]]);
    }
  }

  // The handle of a block; one in the arena gets its name here, where it is first written.
  Expr block_handle(int b, const std::string& name) {
    if (block_handles_[b]) return block_handles_[b];
    const Block& block = plan_.aliases.blocks[b];
    auto storage = [&]() -> const Storage& { return plan_.live.storages[block.members[0]]; };
    switch (block.kind) {
      case Storage::Kind::input:
        return make_call(Intrinsic::input_data, dtypes::handle, {make_int(storage().input)});
      case Storage::Kind::constant:
        return make_call(Intrinsic::weight_data, dtypes::handle,
                         {make_int(weights_.place(storage().constant->data))});
      default:
        break;
    }
    if (block.result >= 0) return block_handles_[b] = result_handle(block.result, name);
    Var v = handle_var(name);
    const OpenRegion& region = regions_[plan_.region_of[b]];
    if (!region.base) {  // an empty region: every block in it has no bytes
      out_->let(v, make_call(Intrinsic::weight_data, dtypes::handle, {make_int(0)}));
    } else {
      Var offset = make_var(name + "_offset", dtypes::index, VarRole::let);
      out_->let(offset, region.placed.offset(plan_.position_in[b]));
      out_->let(v, make_call(Intrinsic::byte_offset, dtypes::handle, {region.base, offset}));
    }
    return block_handles_[b] = v;
  }

  // The handle of a storage: where it begins in its block.
  Expr handle(int s) {
    if (handles_[s]) return handles_[s];
    const Storage& storage = plan_.live.storages[s];
    const std::string name = storage.definition ? storage.definition->name : "v";
    Expr block = block_handle(plan_.aliases.block_of[s], name);
    const Expr& begin = plan_.aliases.begin_bytes[s];
    if (is_const_int(begin, 0)) return block;
    return handles_[s] = offset_handle(block, begin, name);
  }

  Expr offset_handle(const Expr& base, const Expr& bytes, const std::string& name) {
    Var begin = make_var(name + "_begin", dtypes::index, VarRole::let);
    Var v = handle_var(name);
    out_->let(begin, bytes);
    out_->let(v, make_call(Intrinsic::byte_offset, dtypes::handle, {base, begin}));
    return v;
  }

  Expr result_handle(int r, const std::string& name) {
    Var v = handle_var(name);
    std::vector<Expr> args{make_int(r)};
    for (const Expr& d : interface_.outputs[r].dims) args.push_back(d);
    out_->let(v, make_call(Intrinsic::output_data, dtypes::handle, std::move(args)));
    return v;
  }

  // Where tensor leaf `i` of a value is.
  Expr place(const Value& v, size_t i = 0) {
    if (auto it = joined_.find(v.get()); it != joined_.end()) return it->second.at(i);
    // An alias of a joined value (a view, a member of a tuple) was recorded with its own handles.
    const std::vector<int>& storages = plan_.live.places.at(v.get()).at(i);
    return handle(storages.at(0));
  }

  std::vector<Expr> places(const Value& v) {
    if (auto it = joined_.find(v.get()); it != joined_.end()) return it->second;
    std::vector<Expr> result;
    if (const auto* tuple = graph::as<graph::TupleNode>(v)) {
      for (const Value& field : tuple->fields) {
        for (Expr& e : places(field)) result.push_back(std::move(e));
      }
      return result;
    }
    for (int i = 0; i < count_tensors(v->type); ++i) result.push_back(place(v, i));
    return result;
  }

  void body(const graph::Body& b) {
    for (const graph::Block& block : b->blocks) {
      for (const graph::Binding& binding : block.bindings) this->binding(binding);
    }
  }

  void refuse(const Span& span, const std::string& what) {
    problems.push_back(
        error(DiagnosticKind::unsupported_feature, span, "{} runs in the interpreter only", what));
  }

  void binding(const graph::Binding& b) {
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
  void lower_received(const graph::Binding& b, const graph::CallNode* call) {
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

  // Where the tensors of a call's result are to be; null where the plan has no place for one.
  std::vector<Expr> call_places(const graph::Variable& var) {
    std::vector<Expr> to;
    for (const std::vector<int>& storages : plan_.live.places.at(var.get())) {
      to.push_back(storages.empty() ? Expr() : handle(storages[0]));
    }
    return to;
  }

  // Views and members of joined values live where those do.
  void alias_joined(const graph::Binding& b) {
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

  void lower_call(const graph::Binding& b, const graph::CallNode& c) {
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

  void lower_call_tir(const graph::Binding& b, const graph::CallNode& c) {
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

  // Is storage `s` where the value is?
  bool lies_in(const Value& v, int s) const {
    auto it = plan_.live.places.find(v.get());
    return it != plan_.live.places.end() && it->second.at(0) == std::vector<int>{s};
  }

  // ---- Profiling -------------------------------------------------------------------------------

  void begin_kernel(const std::string& kernel, CallProfile profile) {
    if (!profiles_) return;
    out_->evaluate(
        make_call(Intrinsic::kernel_begins, dtypes::int32,
                  {make_int(static_cast<int64_t>(profiled.size())), std::move(profile.flops),
                   std::move(profile.read_bytes), std::move(profile.written_bytes)}));
    profiled.push_back({kernel, std::move(profile.nodes)});
  }

  void begin_kernel(const std::string& kernel, const graph::Binding& b) {
    if (!profiles_) return;
    auto known = profiles_->find(b.var.get());
    if (known != profiles_->end()) return begin_kernel(kernel, known->second);
    begin_copy(kernel, b.span, make_int(0));
  }

  void begin_copy(const std::string& kernel, const Span& span, const Expr& bytes) {
    if (!profiles_) return;
    const Expr none = make_float(0, dtypes::float64);
    const Expr moved = make_cast(dtypes::float64, bytes);
    begin_kernel(kernel,
                 {span ? std::vector<std::string>{place_text(span)} : std::vector<std::string>{},
                  none, moved, moved});
  }

  void end_kernel() {
    if (profiles_) out_->evaluate(make_call(Intrinsic::kernel_ends, dtypes::int32, {}));
  }

  // Of kernels that always run at sizes known at entry, operations are counted all at once, before
  // any runs.
  Operations operations_of(const graph::CallNode& call, const Type& result) {
    const std::string& program = graph::as<graph::GlobalNode>(call.args[0])->name;
    const tir::PrimFunc f = module_.prim_func(program);
    auto [known, is_new] = operations_.try_emplace(program);
    if (is_new) known->second = repose::operations_of(f);
    Operations here;
    here.add(known->second, program_symbols(*f, call, result));
    return here;
  }

  void count(const Operations& operations, const std::string& place) {
    if (operations.is_zero()) return;
    out_->evaluate(make_call(Intrinsic::count_operations, dtypes::int32,
                             {operations.to_expr(), make_string(place)}));
  }

  bool always_runs(int position) const {
    const auto& loops = plan_.live.loops;
    if (std::any_of(loops.begin(), loops.end(),
                    [&](const LoopRange& loop) { return loop.contains(position); })) {
      return false;
    }
    return std::none_of(plan_.live.joins.begin(), plan_.live.joins.end(),
                        [&](const BranchJoin& join) {
                          return join.then_begin <= position && position <= join.else_end;
                        });
  }

  bool is_known_at_entry(const Operations& operations) const {
    const std::vector<Var> symbols = free_vars(operations.to_expr());
    return std::all_of(symbols.begin(), symbols.end(), [&](const Var& v) {
      auto it = plan_.live.symbol_positions.find(v.get());
      return it != plan_.live.symbol_positions.end() && it->second == 0;
    });
  }

  void count_at_entry() {
    Operations all;
    for (const KernelCall& k : plan_.live.calls) {
      if (plan_.aliases.parts_to_copy.contains(k.call) || !always_runs(k.position)) continue;
      const Operations own = operations_of(*k.call, k.result->type);
      if (!is_known_at_entry(own)) continue;
      all.add(own, {});
      counted_.insert(k.call);
    }
    count(all, "");
  }

  // A concatenation, some of whose parts are where they belong: copies the others.
  void copy_parts(const graph::Binding& b, const graph::CallNode& c,
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
        out_->evaluate(
            make_call(Intrinsic::copy_bytes, dtypes::int32, {to, place(args[p]), bytes}));
        end_kernel();
      }
      begin = canonical(begin + bytes);
    }
  }

  // Dimensions that may differ from what the program says of its buffers (in modules written by
  // hand).
  void check_shapes(const graph::Binding& b, const std::string& program, const tir::PrimFuncNode& f,
                    const std::vector<const TensorTypeNode*>& buffers, const VarMap& symbols) {
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
  void lower_tensor_to_shape(const graph::Binding& b, const graph::CallNode& c) {
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

  void lower_cast(const graph::Binding& b) {
    if (const auto named = size_name(b); named && bound_here_.insert(named->name.get()).second) {
      return out_->let(named->name, named->value);
    }
    Dims want, have;
    if (const auto *w = as<TensorTypeNode>(b.cast), *h = as<TensorTypeNode>(b.value->type);
        w && h) {
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
  void match(const Span& span, const std::string& what, const Expr& want, const Expr& have) {
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

  bool is_parameter_symbol(const VarNode* v) const { return find_symbol(interface_, v) != nullptr; }

  // A bool: a prim value, or the element of a tensor.
  Expr condition_of(const Value& v) {
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

  // Whether a type says what is in it, and the dimensions of each tensor, if only names of them.
  static bool has_shapes(const Type& t) {
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      return std::all_of(tuple->fields.begin(), tuple->fields.end(), has_shapes);
    }
    const auto* tensor = as<TensorTypeNode>(t);
    return tensor ? tensor->shape.has_value() : t->kind != TypeKind::any;
  }

  // Branches leave handles of their results, and dimensions that only they know, in cells.
  void lower_if(const graph::Binding& b, const graph::IfNode& choice) {
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
      dim_cells.push_back(
          make_buffer(v->name + "_cell", {make_int(1)}, dtypes::index, Scope::local));
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

  // ---- Loops
  // ------------------------------------------------------------------------------------

  // A home without a bound that keeps what it holds when it grows: in one of two regions.
  struct GrowingHome {
    Buffer data;       // its address
    Buffer room;       // how many bytes it may take there
    Buffer is_second;  // in which of the regions
  };

  // What differs from one iteration to the next in names: symbols that the carried values bind, and
  // addresses of homes that have no bound, each in a cell.
  struct OpenLoop {
    std::vector<Var> symbols;
    std::vector<Buffer> symbol_cells;
    std::vector<Buffer> data_cells;  // per leaf; null: the address never changes
  };

  void lower_loop(const graph::Binding& b, const LoopRange& loop) {
    ++position_;
    REPOSE_CHECK(position_ == loop.enter, "the host passes positions as liveness does");
    const Type& init = loop.call->args[2]->type;
    const Type carried = carried_type(*loop.body, init);
    if (!is_native(b.span, carried)) return;
    OpenLoop open;
    VarMap first;
    match_symbols(carried, init, first);
    const Indices cell{make_int(0)};
    for (const Var& v : binding_symbols(carried)) {
      if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
      open.symbols.push_back(v);
      open.symbol_cells.push_back(
          make_buffer(v->name + "_cell", {make_int(1)}, dtypes::index, Scope::local));
      out_->allocate(open.symbol_cells.back());
      out_->add(tir::make<tir::StoreNode>(open.symbol_cells.back(), cell, first.at(v.get())));
    }
    check_fit(b, init, carried, first, "the initial value");
    enter_homes(b, loop, open);
    fill_dead();
    Buffer goes_on = make_buffer("goes_on", {make_int(1)}, dtypes::boolean, Scope::local);
    out_->allocate(goes_on);
    out_->add(tir::make<tir::StoreNode>(goes_on, cell, make_bool(true)));

    Statements iteration;
    Statements* outer = std::exchange(out_, &iteration);
    const std::vector<Expr> saved = handles_, saved_blocks = block_handles_;
    const std::vector<OpenRegion> saved_regions = regions_;
    for (size_t i = 0; i < open.symbols.size(); ++i) {
      out_->let(open.symbols[i], make_load(open.symbol_cells[i], cell));
    }
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      if (!open.data_cells[i]) continue;
      Var data = handle_var(plan_.live.storages[loop.leaves[i].home].definition->name);
      out_->let(data, make_load(open.data_cells[i], cell));
      block_handles_[plan_.aliases.block_of[loop.leaves[i].home]] = data;
    }
    const Expr condition = lower_test(b, loop, carried);
    Statements step;
    out_ = &step;
    open_regions();
    fill_dead();
    body(loop.body->body);
    lower_back(b, loop, carried, open);
    out_ = &iteration;
    iteration.add(tir::make<tir::IfNode>(condition, step.finish(),
                                         tir::make<tir::StoreNode>(goes_on, cell, make_bool(false)),
                                         b.span));
    out_ = outer;
    handles_ = saved;
    block_handles_ = saved_blocks;
    regions_ = saved_regions;
    out_->add(tir::make<tir::WhileNode>(make_load(goes_on, cell), iteration.finish(), b.span));
    leave_loop(b, loop, carried, open);
  }

  // Native code carries tensors, and numbers and shapes whose values are expressions.
  bool is_native(const Span& span, const Type& t) {
    const auto* tensor = as<TensorTypeNode>(t);
    const auto* shape = as<ShapeTypeNode>(t);
    const auto* prim = as<PrimTypeNode>(t);
    if (const auto* tuple = as<TupleTypeNode>(t)) {
      return std::all_of(tuple->fields.begin(), tuple->fields.end(),
                         [&](const Type& field) { return is_native(span, field); });
    }
    if ((tensor && tensor->shape) || (shape && shape->dims) || (prim && prim->value)) return true;
    refuse(span, fmt::format("`while_loop` over a value of type {}", quoted(to_string(t))));
    return false;
  }

  // Dimensions of carried values that may differ from what the parameters say.
  void check_fit(const graph::Binding& b, const Type& have, const Type& want, const VarMap& symbols,
                 const char* what) {
    auto check = [&](const Dims& h, const Dims& w) {
      for (size_t i = 0; i < h.size() && i < w.size(); ++i) {
        const Expr expected = canonical(substitute(w[i], symbols));
        if (structural_equal(h[i], expected) || prove_equal(h[i], expected, facts_) == Truth::yes) {
          continue;
        }
        out_->check(
            canonical(eq(h[i], expected)),
            fmt::format("{}: a dimension of {} is {{0}}, expected {} = {{1}}", quoted(b.var->name),
                        what, quoted(dim_text(w[i], interface_.symbols))),
            {h[i], expected}, b.span);
      }
    };
    if (const auto *h = as<TupleTypeNode>(have), *w = as<TupleTypeNode>(want); h && w) {
      for (size_t i = 0; i < h->fields.size() && i < w->fields.size(); ++i) {
        check_fit(b, h->fields[i], w->fields[i], symbols, what);
      }
    } else if (const auto* h = as<TensorTypeNode>(have), *w = as<TensorTypeNode>(want); h && w) {
      if (h->shape && w->shape) check(*h->shape, *w->shape);
    } else if (const auto* h = as<ShapeTypeNode>(have), *w = as<ShapeTypeNode>(want); h && w) {
      if (h->dims && w->dims) check(*h->dims, *w->dims);
    } else if (const auto* h = as<PrimTypeNode>(have), *w = as<PrimTypeNode>(want); h && w) {
      if (h->value && w->value) check({h->value}, {w->value});
    }
  }

  // Asks for the home's region, which holds nothing then, and keeps the address in the cell.
  Expr ask_for_home(int home, const Buffer& cell, const Expr& bytes) {
    const int region = plan_.region_of[plan_.aliases.block_of[home]];
    Var data = handle_var(plan_.live.storages[home].definition->name);
    Var size = make_var(data->name + "_bytes", dtypes::index, VarRole::let);
    out_->let(size, bytes);
    out_->let(data, make_call(Intrinsic::arena_region, dtypes::handle,
                              {make_int(static_cast<int64_t>(region)), size}));
    out_->add(tir::make<tir::StoreNode>(cell, Indices{make_int(0)}, data));
    return data;
  }

  // Before the concatenation `s` is made in a home: moves it to the other region, with room for as
  // much again, where it has too little.
  void grow_for(int s) {
    for (const auto& [home, concatenation] : plan_.aliases.appended) {
      if (concatenation != s) continue;
      const GrowingHome& cells = growing_.at(home);
      const Indices cell{make_int(0)};
      const int region = plan_.region_of[plan_.aliases.block_of[home]];
      Var needed = make_var("needed_bytes", dtypes::index, VarRole::let);
      out_->let(needed, plan_.live.storages[s].bytes);
      auto move_to = [&](bool second) {
        Statements moves;
        Statements* outer = std::exchange(out_, &moves);
        Var room = make_var("room_bytes", dtypes::index, VarRole::let);
        Var data = handle_var(plan_.live.storages[home].definition->name);
        out_->let(room, needed * 2);
        out_->let(data, make_call(Intrinsic::arena_region, dtypes::handle,
                                  {make_int(region + (second ? 1 : 0)), room}));
        copy(data, make_load(cells.data, cell), plan_.live.storages[home].bytes);
        out_->add(tir::make<tir::StoreNode>(cells.data, cell, data));
        out_->add(tir::make<tir::StoreNode>(cells.room, cell, room));
        out_->add(tir::make<tir::StoreNode>(cells.is_second, cell, make_bool(second)));
        out_ = outer;
        return moves.finish();
      };
      tir::Stmt to_first = move_to(false), to_second = move_to(true);
      out_->add(tir::make<tir::IfNode>(
          lt(make_load(cells.room, cell), needed),
          tir::make<tir::IfNode>(make_load(cells.is_second, cell), to_first, to_second)));
      Var data = handle_var(plan_.live.storages[home].definition->name);
      out_->let(data, make_load(cells.data, cell));
      block_handles_[plan_.aliases.block_of[home]] = data;
      for (int member : plan_.aliases.blocks[plan_.aliases.block_of[home]].members) {
        handles_[member] = nullptr;  // views of it are elsewhere now
      }
    }
  }

  void copy(const Expr& to, const Expr& from, const Expr& bytes) {
    out_->evaluate(make_call(Intrinsic::copy_bytes, dtypes::int32, {to, from, bytes}));
  }

  bool same_place(int a, int b) const {
    return plan_.aliases.block_of[a] == plan_.aliases.block_of[b] &&
           structural_equal(plan_.aliases.begin_bytes[a], plan_.aliases.begin_bytes[b]);
  }
  bool is_there(const std::vector<int>& storages, int home) const {
    return storages.size() == 1 && same_place(storages[0], home);
  }

  void enter_homes(const graph::Binding& b, const LoopRange& loop, OpenLoop& open) {
    const std::vector<Expr> data = places(loop.call->args[2]);
    const std::vector<const TensorTypeNode*> types = tensor_leaves(loop.call->args[2]->type);
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      const int home = loop.leaves[i].home;
      open.data_cells.emplace_back();
      const int region = plan_.region_of[plan_.aliases.block_of[home]];
      Expr to;
      if (region >= 0 && plan_.regions[region].home == home) {
        Buffer cell = make_buffer(fmt::format("{}_data_{}", b.var->name, i), {make_int(1)},
                                  dtypes::handle, Scope::local);
        out_->allocate(cell);
        open.data_cells.back() = cell;
        to = ask_for_home(home, cell, size_bytes(*types[i]));
        if (plan_.aliases.appended.contains(home)) keep_room(home, cell, size_bytes(*types[i]));
      } else {
        to = handle(home);
      }
      if (!is_there(loop.leaves[i].inits, home)) copy(to, data[i], size_bytes(*types[i]));
    }
  }

  void keep_room(int home, const Buffer& data, const Expr& bytes) {
    const Indices cell{make_int(0)};
    const std::string& name = plan_.live.storages[home].definition->name;
    GrowingHome cells{
        data, make_buffer(name + "_room", {make_int(1)}, dtypes::index, Scope::local),
        make_buffer(name + "_is_second", {make_int(1)}, dtypes::boolean, Scope::local)};
    out_->allocate(cells.room);
    out_->allocate(cells.is_second);
    out_->add(tir::make<tir::StoreNode>(cells.room, cell, bytes));
    out_->add(tir::make<tir::StoreNode>(cells.is_second, cell, make_bool(false)));
    growing_.emplace(home, std::move(cells));
  }

  // The test, and what it says.
  Expr lower_test(const graph::Binding& b, const LoopRange& loop, const Type& carried) {
    const Type tested = carried_type(*loop.cond, loop.call->args[2]->type);
    VarMap symbols;
    match_symbols(tested, carried, symbols);
    for (const Var& v : binding_symbols(tested)) {
      if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
      out_->let(v, symbols.at(v.get()));
    }
    check_fit(b, carried, tested, symbols, "what is carried");
    open_regions();
    body(loop.cond->body);
    ++position_;
    return condition_of(loop.cond->body->result);
  }

  // What the body gives goes to the homes; the symbols get the values of the next iteration.
  void lower_back(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                  const OpenLoop& open) {
    ++position_;
    const Value& result = loop.body->body->result;
    const std::vector<const TensorTypeNode*> types = tensor_leaves(result->type);
    std::vector<Expr> data = places(result);
    VarMap next;
    for (const Var& v : binding_symbols(carried)) {
      if (std::find(open.symbols.begin(), open.symbols.end(), v) == open.symbols.end()) {
        next.emplace(v.get(), v);
      }
    }
    match_symbols(carried, result->type, next);
    check_fit(b, result->type, carried, next, "what the body gives");
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      const int own = loop.leaves[i].copy;
      if (own < 0) continue;
      const Expr to = handle(own);
      copy(to, data[i], size_bytes(*types[i]));
      data[i] = to;
    }
    fill_dead();
    ++position_;
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      const LoopRange::Leaf& leaf = loop.leaves[i];
      if (leaf.copy < 0 && is_there(leaf.results, leaf.home)) continue;
      const Expr bytes = size_bytes(*types[i]);
      if (!open.data_cells[i]) {
        copy(handle(leaf.home), data[i], bytes);
        continue;
      }
      copy(ask_for_home(leaf.home, open.data_cells[i], bytes), data[i], bytes);
    }
    const Indices cell{make_int(0)};
    std::vector<Var> values;  // all are computed before any cell changes
    for (const Var& v : open.symbols) {
      values.push_back(make_var(v->name + "_next", dtypes::index, VarRole::let));
      out_->let(values.back(), next.at(v.get()));
    }
    for (size_t i = 0; i < open.symbols.size(); ++i) {
      out_->add(tir::make<tir::StoreNode>(open.symbol_cells[i], cell, values[i]));
    }
  }

  void leave_loop(const graph::Binding& b, const LoopRange& loop, const Type& carried,
                  const OpenLoop& open) {
    ++position_;
    const Indices cell{make_int(0)};
    VarMap last;
    for (size_t i = 0; i < open.symbols.size(); ++i) {
      last.emplace(open.symbols[i].get(), make_load(open.symbol_cells[i], cell));
    }
    VarMap results;
    match_symbols(b.var->type, carried, results);
    for (const Var& v : binding_symbols(b.var->type)) {
      if (is_parameter_symbol(v.get()) || !bound_here_.insert(v.get()).second) continue;
      out_->let(v, substitute(results.at(v.get()), last));
    }
    for (size_t i = 0; i < loop.leaves.size(); ++i) {
      if (!open.data_cells[i]) continue;
      Var data = handle_var(b.var->name);
      out_->let(data, make_load(open.data_cells[i], cell));
      block_handles_[plan_.aliases.block_of[loop.leaves[i].home]] = data;
    }
    // What the loop needed to its end is dead now.
    fill_dead(loop.back, [&](const Block& block) { return block.first() < loop.enter; });
    fill_dead();
  }

  // A result's buffer is asked for once: before the branches, where they use it.
  void ask_for_results_of_branches() {
    for (const BranchJoin& join : plan_.live.joins) {
      if (join.then_begin != position_ + 1) continue;
      for (size_t b = 0; b < plan_.aliases.blocks.size(); ++b) {
        const Block& block = plan_.aliases.blocks[b];
        const bool used = std::any_of(block.members.begin(), block.members.end(), [&](int s) {
          const int first = plan_.live.storages[s].first;
          return first >= join.then_begin && first <= join.else_end;
        });
        if (block.result >= 0 && used) block_handle(static_cast<int>(b), "result");
      }
    }
  }

  void finish_results(const Value& result) {
    std::vector<Expr> sources = places(result);
    check_donations(result);
    // Donated ones last: their memory may be an input's, which the others may still read.
    for (const bool donated : {false, true}) copy_results(sources, donated);
  }

  // A result that is an input must not be overwritten before it is copied.
  void check_donations(const Value& result) {
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

  void copy_results(const std::vector<Expr>& sources, bool donated) {
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

  const Module& module_;
  const MemoryPlan& plan_;
  WeightTable& weights_;
  const FunctionInterface& interface_;
  const CallProfiles* profiles_;  // null: no profile
  PackedCalls packed_;
  Statements root_;
  Statements* out_ = &root_;
  Facts facts_;  // once the checks at the head have passed
  int position_ = 0;
  bool has_begun_ = false;  // the checks at the head are behind
  struct OpenRegion {
    Expr base;  // null: not open, or without bytes
    PlacedBlocks placed;
  };
  std::vector<OpenRegion> regions_;
  std::vector<Expr> handles_;                 // per storage that doesn't begin where its block does
  std::vector<Expr> block_handles_;           // per block
  std::vector<std::vector<int>> dead_after_;  // per position: blocks; empty: no debugging
  std::unordered_map<const graph::ValueNode*, std::vector<Expr>> joined_;
  std::unordered_map<int, GrowingHome> growing_;
  std::unordered_map<const graph::ValueNode*, Dims> host_dims_;  // shapes that data decides
  std::unordered_set<const VarNode*> bound_here_;
  std::unordered_map<std::string, Operations> operations_;  // of programs
  std::unordered_set<const graph::CallNode*> counted_;      // at entry
};

}  // namespace

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

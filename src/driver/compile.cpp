// From a module to an artifact.
#include "driver/compile.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <unordered_set>

#include "codegen/llvm/codegen.h"
#include "codegen/llvm/link.h"
#include "codegen/llvm/link_output.h"
#include "driver/call_origins.h"
#include "driver/peak_text.h"
#include "host/check_inputs.h"
#include "ir/function_facts.h"
#include "ir/op.h"
#include "passes/graph/eliminate_dead_code.h"

namespace repose {

namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_counted_functions = 256;  // as deep as calls of functions nest

Json describe_dims(const Dims& dims, const std::vector<SymbolInfo>& symbols) {
  Json list = Json::array();
  for (const Expr& d : dims) {
    int64_t size = 0;
    if (as_const_int(d, &size)) {
      list.push_back(size);
    } else {
      list.push_back(dim_text(d, symbols));
    }
  }
  return list;
}

Json describe_values(const std::vector<ValueInfo>& values, const std::vector<SymbolInfo>& symbols) {
  Json list = Json::array();
  for (const ValueInfo& v : values) {
    Json value{{"name", v.name},
               {"dtype", v.dtype.to_string()},
               {"shape", describe_dims(v.dims, symbols)}};
    if (!v.strides.empty()) value["strides"] = describe_dims(v.strides, symbols);
    if (v.reuses_input >= 0) value["reuses_input"] = v.reuses_input;
    list.push_back(std::move(value));
  }
  return list;
}

// Kernel calls of a host function, in order.
std::vector<std::string> kernel_calls(const tir::PrimFunc& f) {
  std::vector<std::string> names;
  tir::visit_all_exprs(f->body, [&](const Expr& e) {
    const auto* call = as<CallNode>(e);
    if (call && call->intrinsic == Intrinsic::call_program) names.push_back(call->name);
  });
  return names;
}

// The operators that a function calls, those of functions that it mentions included.
void count_operators(const Module& module, const std::string& name, std::set<std::string>& seen,
                     std::map<std::string, int>& counts) {
  const graph::Function f = module.graph_function(name);
  if (!f || !seen.insert(name).second) return;
  std::vector<std::string> mentioned;
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    const auto* call = graph::as<graph::CallNode>(b.value);
    if (call && call->op && !is_check(b.value)) ++counts[std::string(call->op->name)];
    graph::visit_operands(b.value, [&](const graph::Value& v) {
      if (const auto* g = graph::as<graph::GlobalNode>(v)) mentioned.push_back(g->name);
    });
  });
  if (seen.size() >= max_counted_functions) return;
  for (const std::string& next : mentioned) count_operators(module, next, seen, counts);
}

Json describe_conditions(const CompiledFunction& f) {
  Json list = Json::array();
  for (const Expr& c : f.conditions) list.push_back(dim_text(c, f.host.interface.symbols));
  return list;
}

// Other names of a symbol: an operator needs dimensions of these names equal.
std::vector<std::string> other_names(const graph::Function& f, const std::string& symbol) {
  std::vector<std::string> names;
  const Attr* aliases = f->attrs.find("symbol_aliases");
  if (!aliases || !aliases->as_dict()) return names;
  for (const auto& [name, entry] : *aliases->as_dict()) {
    const AttrList* pair = entry.as_list();
    const std::string* stays = pair && !pair->empty() ? (*pair)[0].as_string() : nullptr;
    if (stays && *stays == symbol && name.as_string()) names.push_back(*name.as_string());
  }
  return names;
}

// The names of sizes: those known at entry, then those that the data decides.
Json describe_sizes(const CompiledFunction& f, const graph::Function& function) {
  Json list = Json::array();
  std::unordered_set<const VarNode*> listed;
  for (const SymbolInfo& s : f.host.interface.symbols) listed.insert(s.symbol.get());
  auto add = [&](const Var& name, const Expr& value) {
    if (!listed.insert(name.get()).second) return;
    list.push_back({{"name", name->name}, {"value", dim_text(value, f.host.interface.symbols)}});
  };
  for (const auto& [name, value] : f.plan.names) add(name, value);
  graph::visit_bindings(function->body, true, [&](const graph::Binding& b) {
    if (const auto named = size_name(b)) add(named->name, named->value);
  });
  return list;
}

// What the arena takes at a few sizes, for those who are shown that instead of a long formula: with
// one thread, at sizes near these that the conditions at entry allow.
Json describe_arena_samples(const CompiledFunction& f) {
  Json samples = Json::array();
  for (const int64_t wanted : {1, 64, 512}) {
    SymbolValues values{{f.plan.num_threads.get(), 1}};
    Json at = Json::object();
    for (const SymbolInfo& s : f.host.interface.symbols) {
      Facts range;
      range.restrict(s.symbol, s.range);
      const int64_t value = nearest_value(s.symbol, wanted, range);
      values.emplace(s.symbol.get(), value);
      at[s.name] = value;
    }
    evaluate_names(f.plan.names, values);
    const bool allowed = std::all_of(f.conditions.begin(), f.conditions.end(), [&](const Expr& c) {
      return evaluate(c, values).value_or(0) != 0;
    });
    const std::optional<PlanAt> plan = allowed ? plan_at(f.plan, values) : std::nullopt;
    if (plan) samples.push_back({{"at", std::move(at)}, {"bytes", plan->arena_bytes}});
  }
  return samples;
}

std::string make_metadata(const CompiledModel& model) {
  Json root;
  root["format"] = 1;
  root["name"] = model.options.name;
  root["source"] = model.options.source;
  root["cpu"] = model.options.pipeline.target.cpu;
  root["weights_bytes"] = model.weights.num_bytes();
  if (!model.packed_functions.empty()) root["packed_functions"] = model.packed_functions;
  root["functions"] = Json::array();
  for (const CompiledFunction& f : model.functions) {
    const FunctionInterface& interface = f.host.interface;
    const graph::Function function = model.module.graph_function(interface.name);
    Json symbols = Json::array();
    for (const SymbolInfo& s : interface.symbols) {
      Json symbol{{"name", s.name},
                  {"from", interface.inputs[s.input].name},
                  {"axis", s.axis},
                  {"lower", std::max<int64_t>(0, s.range.lower)}};
      if (s.range.upper != Interval::plus_infinity) symbol["upper"] = s.range.upper;
      if (s.range.divisor != 1) symbol["divisor"] = s.range.divisor;
      if (auto names = other_names(function, s.name); !names.empty()) symbol["other_names"] = names;
      symbols.push_back(std::move(symbol));
    }
    const PeakText peak = peak_text(f);
    Json parts = Json::array();
    for (const auto& [name, value] : peak.parts) {
      parts.push_back({{"name", name}, {"value", value}});
    }
    root["functions"].push_back(
        Json{{"name", interface.name},
             {"inputs", describe_values(interface.inputs, interface.symbols)},
             {"outputs", describe_values(interface.outputs, interface.symbols)},
             {"symbols", symbols},
             {"sizes", describe_sizes(f, function)},
             {"conditions", describe_conditions(f)},
             {"operators", f.operators},
             {"arena_bytes", peak.formulas},
             {"arena_parts", parts},
             {"arena_samples", describe_arena_samples(f)},
             {"kernels", kernel_calls(f.host.run)}});
    if (!model.options.profile) continue;
    Json profiled = Json::array();
    for (const ProfiledCall& c : f.host.profiled) {
      profiled.push_back({{"kernel", c.kernel}, {"nodes", c.nodes}});
    }
    root["functions"].back()["profile"] = std::move(profiled);
  }
  // A file name may be any bytes.
  return root.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<ValueDescriptor> describe(const std::vector<ValueInfo>& values) {
  std::vector<ValueDescriptor> list;
  for (const ValueInfo& v : values) {
    ValueDescriptor d;
    d.name = v.name;
    d.dtype = v.dtype;
    for (size_t i = 0; i < v.dims.size(); ++i) {
      DimDescriptor dim;
      dim.text = v.dim_texts[i];
      as_const_int(v.dims[i], &dim.size);
      d.dims.push_back(std::move(dim));
    }
    for (const Expr& s : v.strides) {
      int64_t stride = -2;  // an expression, which the host function checks
      as_const_int(s, &stride);
      d.strides.push_back(stride);
    }
    d.aliases_input = v.reuses_input;
    list.push_back(std::move(d));
  }
  return list;
}

// Generated code must not take for granted that parameters are apart that the plan puts together.
void mark_overlaps(CompiledModel& model) {
  std::map<std::string, std::set<size_t>> all;
  for (const CompiledFunction& f : model.functions) {
    for (const auto& [name, params] : f.plan.aliases.overlapping_params) {
      all[name].insert(params.begin(), params.end());
    }
  }
  for (auto& [name, f] : model.kernels) {
    auto it = all.find(name);
    if (it == all.end()) continue;
    Attrs attrs = f->attrs;
    attrs.set("may_alias_params", Attr(std::vector<int64_t>(it->second.begin(), it->second.end())));
    f = tir::make_prim_func(f->params, f->body, f->is_private, attrs, f->span);
  }
}

// What its functions call: from outside nobody calls programs, public ones or not, and one that no
// function calls may have symbols that are no parameters.
Module called_programs(const Module& module) {
  Module called = module;
  for (const std::string& name : module.names()) {
    const tir::PrimFunc f = module.prim_func(name);
    if (f && !f->is_private)
      called.set(name, tir::make_prim_func(f->params, f->body, true, f->attrs, f->span));
  }
  return eliminate_dead_code(called);
}

// Finishes the module's programs.
Result<Workspaces> finish_programs(CompiledModel& model) {
  const WorkStep step(model.reports, "finish_programs");
  Workspaces workspaces;
  Diagnostics problems;
  const Module called = called_programs(model.module);
  for (const std::string& name : called.names()) {
    tir::PrimFunc f = model.module.prim_func(name);
    if (!f) continue;
    const WorkPart part(name);
    f = finish_program(f);
    auto workspace = workspace_of(name, f);
    if (workspace.ok()) {
      workspaces.emplace(name, *workspace);
    } else {
      problems.insert(problems.end(), workspace.errors().begin(), workspace.errors().end());
    }
    model.kernels.emplace_back(name, std::move(f));
  }
  if (!problems.empty()) return problems;
  return workspaces;
}

// Shows the kernels as code is generated from them, and the functions that call them.
void show(const CompiledModel& model) {
  const auto& after = model.options.pipeline.after_pass;
  if (!after) return;
  Module kernels = model.module;
  for (const auto& [name, f] : model.kernels) kernels.set(name, f);
  after("finish_programs", kernels);
  Module hosts;
  for (const CompiledFunction& f : model.functions) {
    const std::string& name = f.host.interface.name;
    hosts.add_prim_func(name, f.host.run);
    if (f.host.sizes) hosts.add_prim_func(name + "_sizes", f.host.sizes);
  }
  after("lower_to_host", hosts);
}

ModelImage make_image(const CompiledModel& model) {
  ModelImage image;
  image.name = model.options.name;
  image.metadata_json = model.metadata;
  image.is_profiled = model.options.profile;
  image.weights_bytes = static_cast<uint64_t>(model.weights.num_bytes());
  image.kernels = model.kernels;
  image.packed_functions = model.packed_functions;
  for (const CompiledFunction& f : model.functions) {
    const FunctionInterface& interface = f.host.interface;
    ModelFunction out;
    out.name = interface.name;
    out.inputs = describe(interface.inputs);
    out.outputs = describe(interface.outputs);
    for (const SymbolInfo& s : interface.symbols) {
      SymbolDescriptor d;
      d.name = s.name;
      d.lower = std::max<int64_t>(0, s.range.lower);
      if (s.range.upper != Interval::plus_infinity) d.upper = s.range.upper;
      d.divisor = s.range.divisor;
      out.symbols.push_back(std::move(d));
    }
    out.run = f.host.run;
    out.sizes = f.host.sizes;
    out.num_regions = static_cast<int>(f.plan.regions.size());
    out.unbounded = undecided_text(f);
    out.num_held = f.host.num_held;
    image.functions.push_back(std::move(out));
  }
  return image;
}

}  // namespace

std::string undecided_text(const CompiledFunction& f) {
  std::string symbols;
  for (const Var& v : f.plan.undecided) {
    symbols += fmt::format("{}`{}`", symbols.empty() ? "" : ", ", v->name);
  }
  if (symbols.empty()) return "";
  return fmt::format("the data decides {}, and nothing known before the call is an upper bound",
                     symbols);
}

std::optional<std::vector<Work>> work_at(const CompiledFunction& f,
                                         const std::vector<int64_t>& sizes) {
  SymbolValues values{{f.plan.num_threads.get(), 1}};
  const std::vector<SymbolInfo>& symbols = f.host.interface.symbols;
  for (size_t i = 0; i < symbols.size(); ++i) values.emplace(symbols[i].symbol.get(), sizes[i]);
  evaluate_names(f.plan.names, values);
  auto number = [&](const Expr& e) -> std::optional<double> {
    const std::optional<Scalar> s = evaluate(e, [&](const Var& v) -> std::optional<Scalar> {
      auto it = values.find(v.get());
      if (it == values.end()) return std::nullopt;
      return Scalar::of_int(it->second, v->dtype);
    });
    return s ? std::optional<double>(s->f) : std::nullopt;
  };
  std::vector<Work> all;
  for (const CallProfile& call : f.work) {
    const auto flops = number(call.flops), read = number(call.read_bytes),
               written = number(call.written_bytes);
    if (!flops || !read || !written) return std::nullopt;
    all.push_back({*flops, *read + *written});
  }
  return all;
}

const std::vector<std::string>& steps_after_pipeline() {
  static const std::vector<std::string> names = {"finish_programs", "lower_to_host"};
  return names;
}

Result<CompiledModel> compile(const Module& module, const OpTable& ops,
                              const CompileOptions& options) {
  CompiledModel model;
  model.options = options;
  CallOrigins origins;
  PipelineOptions pipeline = options.pipeline;
  const bool counts_work = options.profile || options.count_work;
  if (counts_work) {
    pipeline.after_pass = [&](const std::string& pass, const Module& now) {
      origins.after_pass(pass, now);
      if (options.pipeline.after_pass) options.pipeline.after_pass(pass, now);
    };
  }
  REPOSE_TRY(lowered, run_pipeline(module, ops, pipeline, &model.reports));
  model.module = std::move(lowered);
  CallProfiles profiles;
  if (counts_work) profiles = origins.profiles();
  REPOSE_TRY(workspaces, finish_programs(model));
  Diagnostics problems;
  {
    const WorkStep step(model.reports, "plan_memory");
    for (const std::string& name : model.module.names()) {
      graph::Function f = model.module.graph_function(name);
      if (!f || f->is_private) continue;
      auto interface = function_interface(name, f);
      if (!interface.ok()) {
        problems.insert(problems.end(), interface.errors().begin(), interface.errors().end());
        continue;
      }
      HostOptions host_options;
      host_options.debug_memory = options.debug_memory;
      if (options.profile) host_options.profiles = &profiles;
      PlanOptions plan_options;
      plan_options.reuse = options.reuse_memory;
      plan_options.workspaces = &workspaces;
      for (const ValueInfo& output : interface->outputs) {
        plan_options.donated_results.push_back(output.reuses_input >= 0);
      }
      MemoryPlan plan = plan_memory(f, model.module, facts_after_checks(f), plan_options);
      auto host = lower_to_host(model.module, name, plan, model.weights, model.packed_functions,
                                host_options);
      if (!host.ok()) {
        problems.insert(problems.end(), host.errors().begin(), host.errors().end());
        continue;
      }
      std::map<std::string, int> operators;
      std::set<std::string> seen;
      count_operators(module, name, seen, operators);
      std::vector<Expr> conditions;
      for (const graph::Binding& b : head_of(f)) {
        if (const Expr condition = check_condition(b.value)) conditions.push_back(condition);
      }
      std::vector<CallProfile> work;
      for (const KernelCall& k : plan.live.calls) {
        if (auto it = profiles.find(k.result); it != profiles.end()) work.push_back(it->second);
      }
      model.functions.push_back({std::move(*host), std::move(plan), std::move(operators),
                                 std::move(conditions), std::move(work)});
    }
  }
  if (!problems.empty()) return problems;
  mark_overlaps(model);
  if (model.functions.empty()) {
    return error(DiagnosticKind::bad_model, {},
                 "the module has no public graph function to compile");
  }
  model.metadata = make_metadata(model);
  show(model);
  return model;
}

Result<void> write_file(const std::string& given_path, std::string_view contents) {
  REPOSE_TRY(path, output_target(given_path));
  const std::string aside = path + ".tmp." + std::to_string(getpid());
  auto fail = [&](const char* what) -> Diagnostic {
    const std::string reason = std::strerror(errno);
    std::remove(aside.c_str());
    return error(DiagnosticKind::cannot_write, {}, "cannot {} `{}`: {}", what, path, reason);
  };
  std::FILE* file = std::fopen(aside.c_str(), "wb");
  if (!file) return fail("write");
  const bool written = std::fwrite(contents.data(), 1, contents.size(), file) == contents.size();
  if (std::fclose(file) != 0 || !written) return fail("write");
  if (std::rename(aside.c_str(), path.c_str()) != 0) return fail("replace");
  return {};
}

Result<void> write_artifact(CompiledModel& model, Emit kind, const std::string& path) {
  CodegenOptions options;
  options.threads = model.options.threads;
  const Target& target = model.options.pipeline.target;
  const ModelImage image = make_image(model);
  if (kind == Emit::llvm || kind == Emit::assembly) {
    const WorkStep step(model.reports, "generate_code");
    REPOSE_TRY(
        text, generate_text(image, target, kind == Emit::llvm ? CodeText::llvm : CodeText::assembly,
                            options));
    return write_file(path, text);
  }
  LinkInput link;
  std::vector<std::string> objects;
  {
    const WorkStep step(model.reports, "generate_code");
    REPOSE_TRY(generated, generate_objects(image, target, options));
    objects = std::move(generated);
  }
  for (const std::string& o : objects) link.objects.emplace_back(o.data(), o.size());
  for (const WeightTable::Piece& piece : model.weights.pieces()) {
    link.weights.push_back({static_cast<uint64_t>(piece.offset), piece.array->bytes,
                            static_cast<uint64_t>(piece.array->num_bytes)});
  }
  link.weights_bytes = static_cast<uint64_t>(model.weights.num_bytes());
  link.name_prefix = model.options.name_prefix;
  const WorkStep step(model.reports, "link");
  return kind == Emit::shared ? link_shared(link, path) : link_relocatable(link, path);
}

}  // namespace repose

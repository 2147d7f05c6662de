// Modules as text, and what both levels share: names, types, attributes, constants.
#include "script/printer.h"

#include "script/lexer.h"
#include "script/print_names.h"

namespace repose {

namespace script {

// ---- Names
// ---------------------------------------------------------------------------------------

UniqueNames::UniqueNames(const std::string& module_name)
    : taken_{"R", "T", "I", "cls", "range", "inf", "nan", "min", "max", "tirx", module_name} {}

std::string UniqueNames::fresh(const std::string& hint) {
  std::string name;
  for (char c : hint) {
    bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || static_cast<unsigned char>(c) >= 0x80;  // as the lexer has it
    name += ok ? c : '_';
  }
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) name.insert(0, "v");
  if (is_keyword(name)) name += '_';
  if (taken_.insert(name).second) return name;
  int& counter = counters_[name];
  while (true) {
    std::string candidate = name + "_" + std::to_string(++counter);
    if (taken_.insert(candidate).second) return candidate;
  }
}

const std::string& UniqueNames::of(const void* node, const std::string& hint) {
  auto it = names_.find(node);
  if (it == names_.end()) it = names_.emplace(node, fresh(hint)).first;
  return it->second;
}

const std::string* UniqueNames::find(const void* node) const {
  auto it = names_.find(node);
  return it == names_.end() ? nullptr : &it->second;
}

std::string WeightNames::name_of(const graph::ConstantNode& constant) {
  auto known = names_.find(constant.data.get());
  if (known != names_.end()) return known->second;
  std::string stem = constant.weight_name.empty() ? "weight" : constant.weight_name;
  std::string name = stem;
  for (int i = 1; !taken_.insert(name).second; ++i) name = stem + "_" + std::to_string(i);
  names_.emplace(constant.data.get(), name);
  if (options_.on_weight) options_.on_weight(name, constant.data);
  return name;
}

// ---- Types and attributes
// ------------------------------------------------------------------------

std::string TextPrinter::var(const VarNode& v) const {
  if (const std::string* known = names_.find(&v)) return *known;
  symbols_.push_back(&v);
  return names_.of(&v, v.name);
}

std::string TextPrinter::dim(const Expr& e, bool quoted) const {
  std::string text = expr(e);
  return quoted && e->kind != ExprKind::int_imm ? print_string(text) : text;
}

std::string TextPrinter::dims(const std::vector<Expr>& list, bool quoted) const {
  std::string out;
  for (size_t i = 0; i < list.size(); ++i) out += (i ? ", " : "") + dim(list[i], quoted);
  return out;
}

std::string TextPrinter::shape(const std::vector<Expr>& list, bool quoted) const {
  return "(" + dims(list, quoted) + (list.size() == 1 ? ",)" : ")");
}

std::string TextPrinter::type(const Type& t, bool quoted) const {
  if (const auto* tensor = as<TensorTypeNode>(t)) {
    std::vector<std::string> parts;
    if (tensor->shape) parts.push_back(shape(*tensor->shape, quoted));
    if (tensor->dtype) parts.push_back("dtype=" + print_string(tensor->dtype.to_string()));
    if (!tensor->shape && tensor->rank >= 0) parts.push_back(fmt::format("ndim={}", tensor->rank));
    if (!tensor->strides.empty())
      parts.push_back("strides=[" + dims(tensor->strides, quoted) + "]");
    if (!tensor->device.empty()) parts.push_back("vdevice=" + print_string(tensor->device));
    return fmt::format("R.Tensor({})", fmt::join(parts, ", "));
  }
  if (const auto* s = as<ShapeTypeNode>(t)) {
    if (s->dims) return "R.Shape([" + dims(*s->dims, quoted) + "])";
    return s->rank >= 0 ? fmt::format("R.Shape(ndim={})", s->rank) : "R.Shape";
  }
  if (const auto* p = as<PrimTypeNode>(t)) {
    if (!p->value) return "R.Prim(" + print_string(p->dtype.to_string()) + ")";
    return "R.Prim(value=" + dim(p->value, quoted) + ")";
  }
  auto list = [&](const std::vector<Type>& types) {
    std::string out;
    for (size_t i = 0; i < types.size(); ++i) out += (i ? ", " : "") + type(types[i], quoted);
    return out;
  };
  if (const auto* tuple = as<TupleTypeNode>(t)) return "R.Tuple(" + list(tuple->fields) + ")";
  if (const auto* f = as<FunctionTypeNode>(t)) {
    const char* pure = f->pure ? "True" : "False";
    if (f->opaque)
      return fmt::format("R.Callable(ret={}, purity={})", type(f->result, quoted), pure);
    std::string params = list(f->params) + (f->params.size() == 1 ? "," : "");
    return fmt::format("R.Callable(({}), {}, {})", params, type(f->result, quoted), pure);
  }
  return "R.Object";
}

std::string TextPrinter::attr(const Attr& a) const {
  if (a.is_none()) return "None";
  if (const bool* b = a.as_bool()) return *b ? "True" : "False";
  if (const int64_t* i = a.as_int()) return std::to_string(*i);
  if (const double* d = a.as_float()) {
    std::string text = print_float(*d, dtypes::float64);
    return text[0] == '"' ? text.substr(1, text.size() - 2) : text;  // inf, nan
  }
  if (const std::string* s = a.as_string()) return print_string(*s);
  if (const DType* t = a.as_dtype()) return "R.dtype(" + print_string(t->to_string()) + ")";
  if (const Expr* e = a.as_expr()) {
    int64_t value = 0;
    bool index = (*e)->dtype.is_index() && as_const_int(*e, &value);
    return index ? fmt::format("T.index({})", value) : expr(*e);
  }
  std::string out;
  if (const AttrList* list = a.as_list()) {
    for (const Attr& item : *list) out += (out.empty() ? "" : ", ") + attr(item);
    return "[" + out + "]";
  }
  const AttrDict& dict = *a.as_dict();
  const std::string* first = dict.empty() ? nullptr : dict[0].first.as_string();
  if (first && *first == "index_map" && dict.size() == 1 && dict[0].second.as_string()) {
    return "T.index_map(" + *dict[0].second.as_string() + ")";
  }
  if (first && *first == "vdevice" && dict.size() == 3) {
    return fmt::format("I.vdevice({}, {}, {})", attr(dict[0].second), attr(dict[1].second),
                       attr(dict[2].second));
  }
  for (const auto& [key, value] : dict) {
    out += (out.empty() ? "" : ", ") + attr(key) + ": " + attr(value);
  }
  return "{" + out + "}";
}

std::string TextPrinter::attr_dict(const Attrs& attrs) const {
  std::string out;
  for (const auto& [name, value] : attrs) {
    out += (out.empty() ? "" : ", ") + print_string(name) + ": " + attr(value);
  }
  return "{" + out + "}";
}

// ---- Constants
// -----------------------------------------------------------------------------------

namespace {

std::string print_element(const Scalar& s) {
  if (s.dtype.is_float()) {
    std::string text = print_float(s.f, s.dtype);
    return text[0] == '"' ? text.substr(1, text.size() - 2) : text;
  }
  if (s.dtype.is_bool()) return s.i ? "True" : "False";
  return s.dtype.is_uint() ? std::to_string(static_cast<uint64_t>(s.i)) : std::to_string(s.i);
}

std::string print_elements(const ArrayNode& data, size_t axis, int64_t* next) {
  if (axis == data.shape.size()) return print_element(data.load((*next)++));
  std::string out = "[";
  for (int64_t i = 0; i < data.shape[axis]; ++i) {
    if (i) out += ", ";
    out += print_elements(data, axis + 1, next);
  }
  return out + "]";
}

}  // namespace

std::string print_constant(const graph::ConstantNode& c, WeightNames& weights) {
  const ArrayNode& data = *c.data;
  int64_t count = data.num_elements();
  std::string sizes;
  for (size_t i = 0; i < data.shape.size(); ++i) {
    sizes += (i ? ", " : "") + std::to_string(data.shape[i]);
  }
  if (data.shape.size() == 1) sizes += ",";
  std::string dtype = print_string(data.dtype.to_string());
  if (count > weights.options().max_inline_elements) {
    return fmt::format("R.weight({}, R.Tensor(({}), dtype={}))", print_string(weights.name_of(c)),
                       sizes, dtype);
  }
  std::string name =
      c.weight_name.empty() ? "" : fmt::format(", name={}", print_string(c.weight_name));
  if (count == 0) return fmt::format("R.const([], {}, shape=({}){})", dtype, sizes, name);
  int64_t next = 0;
  return fmt::format("R.const({}, {}{})", print_elements(data, 0, &next), dtype, name);
}

}  // namespace script

// ---- Modules
// -------------------------------------------------------------------------------------

using namespace script;

namespace {

constexpr const char* import_line = "from repose.script import ir as I, relax as R, tir as T\n";

std::string finish(std::string text) {
  while (text.ends_with("\n\n")) text.pop_back();
  return text;
}

}  // namespace

std::string print(const Module& module, const PrintOptions& options) {
  WeightNames weights(options);
  UniqueNames names(module.name);
  TextPrinter text(names);
  Lines out;
  out.append(import_line);
  out.blank();
  out.add("@I.ir_module");
  out.add(fmt::format("class {}:", UniqueNames("").fresh(module.name)));
  out.indent();
  if (!module.attrs.empty()) out.add("I.module_attrs(" + text.attr_dict(module.attrs) + ")");
  if (!module.global_infos.empty()) {
    out.add("I.module_global_infos(" + text.attr_dict(module.global_infos) + ")");
  }
  if (module.names().empty() && module.attrs.empty() && module.global_infos.empty()) {
    out.add("pass");
  }
  bool first = module.attrs.empty() && module.global_infos.empty();
  for (const std::string& name : module.names()) {
    if (!first) out.blank();
    first = false;
    const Definition& d = *module.find(name);
    if (const auto* f = std::get_if<graph::Function>(&d)) {
      print_graph_function(out, **f, name, module.name, weights);
    } else if (const auto* p = std::get_if<tir::PrimFunc>(&d)) {
      print_prim_func(out, **p, name, module.name);
    } else {
      const auto& e = std::get<ExternFunc>(d);
      std::string type = e.type ? ", " + text.type(e.type, true) : "";
      out.add(fmt::format("{} = R.ExternFunc({}{})", name, print_string(e.symbol), type));
    }
  }
  return finish(out.text());
}

std::string print(const graph::Function& f, const std::string& name, const PrintOptions& options) {
  WeightNames weights(options);
  Lines out;
  print_graph_function(out, *f, name, "Module", weights);
  return finish(out.text());
}

std::string print(const tir::PrimFunc& f, const std::string& name, const PrintOptions&) {
  Lines out;
  print_prim_func(out, *f, name, "Module");
  return finish(out.text());
}

std::string print(const tir::Stmt& s, const PrintOptions&) {
  Lines out;
  print_statements(out, s);
  return out.text();
}

}  // namespace repose

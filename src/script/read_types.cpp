// Annotations of the text as types.
#include "script/read_types.h"

#include "script/literal.h"
#include "script/suggest.h"

namespace repose::script {

namespace {

// "R.Tensor" of R.Tensor(…) and of R.Tensor.
std::string annotation_name(const Node& node) {
  return dotted_name(node.kind == NodeKind::call ? *node.kids[0] : node);
}

const Node* positional(const Node& node, size_t i) {
  return node.kind == NodeKind::call && i + 1 < node.kids.size() ? node.kids[i + 1] : nullptr;
}

// A name, or a string that holds nothing else; "" otherwise.
std::string bare_name(const Node& node) {
  if (node.kind == NodeKind::name) return node.text;
  if (node.kind != NodeKind::string) return "";
  std::string_view text = node.text;
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return is_identifier(text) ? std::string(text) : "";
}

}  // namespace

void TypeReader::visit_binding_names(
    const Node& annotation,
    const std::function<void(const Node&, const std::string&, VarRole)>& bind) {
  std::string name = annotation_name(annotation);
  auto visit_dims = [&](const Node* list, VarRole role) {
    if (!list || !is_list(*list)) return;
    for (const Node* dim : list->kids) {
      std::string bare = bare_name(*dim);
      if (!bare.empty()) bind(*dim, bare, role);
    }
  };
  if (name == "R.Tensor") {
    const Node* shape = keyword_argument(annotation, "shape");
    visit_dims(shape ? shape : positional(annotation, 0), VarRole::dimension);
  } else if (name == "R.Shape") {
    visit_dims(positional(annotation, 0), VarRole::value);
  } else if (name == "R.Prim") {
    if (const Node* value = keyword_argument(annotation, "value")) {
      std::string bare = bare_name(*value);
      if (!bare.empty()) bind(*value, bare, VarRole::value);
    }
  } else if (name == "R.Tuple") {
    for (size_t i = 0; const Node* field = positional(annotation, i); ++i) {
      if (is_list(*field)) {
        for (const Node* inner : field->kids) visit_binding_names(*inner, bind);
      } else {
        visit_binding_names(*field, bind);
      }
    }
  }
}

void TypeReader::visit_names(const Node& annotation,
                             const std::function<void(const Node&, const std::string&)>& visit) {
  std::string callee = annotation_name(annotation);
  if (callee == "R.Callable") return;  // its symbols are its own
  bool is_type = callee.starts_with("R.");
  switch (annotation.kind) {
    case NodeKind::name:
      visit(annotation, annotation.text);
      return;
    case NodeKind::attribute:
      return;
    case NodeKind::string: {
      std::string bare = bare_name(annotation);
      if (!bare.empty()) return visit(annotation, bare);
      Position first = annotation.at;
      Diagnostics ignored;
      Node* inner = parse_fragment(context_.tree, annotation.text, first, ignored);
      if (inner) visit_names(*inner, visit);
      return;
    }
    case NodeKind::call: {
      bool tensor = callee == "R.Tensor";
      for (size_t i = 1; i < annotation.kids.size(); ++i) {
        const Node& kid = *annotation.kids[i];
        bool is_dtype = kid.kind == NodeKind::string && (is_type || i == 1);  // "float32"
        if (!is_dtype && !(tensor && i > 1)) visit_names(kid, visit);
      }
      for (const Keyword& k : annotation.keywords) {
        if (k.name == "shape" || k.name == "value" || k.name == "strides") {
          visit_names(*k.value, visit);
        }
      }
      return;
    }
    default:
      // A chain of operators may be long: down its left spine without recursion.
      std::vector<const Node*> spine{&annotation};
      while (spine.back()->kind == NodeKind::binary) spine.push_back(spine.back()->kids[0]);
      if (spine.size() > 1) visit_names(*spine.back(), visit);
      for (size_t i = spine.size() - 1; i-- > 0;) visit_names(*spine[i]->kids[1], visit);
      if (spine.size() == 1) {
        for (const Node* kid : annotation.kids) {
          if (kid) visit_names(*kid, visit);
        }
      }
      return;
  }
}

std::optional<Dims> TypeReader::read_dims(const Node& list) {
  if (!is_list(list)) {
    context_.fail(DiagnosticKind::syntax, list.at, "expected a list of dimensions");
    return std::nullopt;
  }
  auto dims = exprs_.read_shape(list);
  if (!dims) return std::nullopt;
  for (size_t i = 0; i < dims->size(); ++i) {
    int64_t value = 0;
    if (as_const_int((*dims)[i], &value) && value < 0) {
      context_.fail(DiagnosticKind::bad_literal, list.kids[i]->at, "a negative dimension");
      return std::nullopt;
    }
  }
  return dims;
}

Type TypeReader::read(const Node& a) {
  if (a.kind == NodeKind::none) return void_type();
  const bool is_of_value = a.kind == NodeKind::attribute &&
                           (a.text == "ty" || a.text == "struct_info") &&
                           a.kids[0]->kind == NodeKind::name;
  if (Type t = is_of_value && type_of_value ? type_of_value(a.kids[0]->text) : nullptr) return t;
  std::string name = annotation_name(a);
  if (name == "R.Tensor") return read_tensor(a);
  if (name == "R.Shape") return read_shape(a);
  if (name == "R.Prim") return read_prim(a);
  if (name == "R.Callable") return read_callable(a);
  if (name == "R.Object" || name == "R.Any" || name == "object") return any_type();
  if (name == "R.Tuple") {
    std::vector<Node*> given;
    if (a.kind == NodeKind::call) given.assign(a.kids.begin() + 1, a.kids.end());
    if (given.size() == 1 && is_list(*given[0])) given = given[0]->kids;
    std::vector<Type> fields;
    for (const Node* f : given) {
      Type t = read(*f);
      if (!t) return nullptr;
      fields.push_back(std::move(t));
    }
    return tuple_type(std::move(fields));
  }
  if (name.starts_with("T.")) {
    if (auto dtype = DType::parse(name.substr(2))) return prim_type(*dtype);
  }
  return context_.fail(DiagnosticKind::syntax, a.at, "expected a type such as `R.Tensor(…)`{}",
                       suggest(name, {"R.Tensor", "R.Shape", "R.Prim", "R.Tuple", "R.Callable",
                                      "R.Object", "R.Any"}));
}

bool TypeReader::read_device(const Node& v, std::string* device) {
  if (v.kind == NodeKind::none) return true;
  if (v.kind == NodeKind::string) {
    *device = v.text;
    return true;
  }
  if (v.kind == NodeKind::call && dotted_name(*v.kids[0]) == "I.vdevice" && v.kids.size() > 1 &&
      v.kids[1]->kind == NodeKind::string) {
    auto index = v.kids.size() > 2 ? constant_integer(*v.kids[2]) : std::optional<int64_t>(0);
    *device = v.kids[1]->text + ":" + std::to_string(index.value_or(0));
    return true;
  }
  context_.fail(DiagnosticKind::bad_argument, v.at, "expected a device such as \"llvm:0\"");
  return false;
}

Type TypeReader::read_tensor(const Node& a) {
  if (a.kind != NodeKind::call) return tensor_type_of_rank(-1, {});
  const Node* shape = keyword_argument(a, "shape");
  const Node* dtype_node = keyword_argument(a, "dtype");
  const Node* strides_node = keyword_argument(a, "strides");
  size_t next = 0;
  if (const Node* first = positional(a, 0)) {
    if (first->kind == NodeKind::string && !positional(a, 1)) {  // R.Tensor("float32")
      if (!dtype_node) dtype_node = first;
    } else if (!shape) {
      shape = first;
    }
    next = 1;
  }
  if (const Node* second = positional(a, next)) {
    if (!dtype_node) dtype_node = second;
    if (positional(a, next + 2)) {
      return context_.fail(DiagnosticKind::wrong_arity, positional(a, next + 2)->at,
                           "too many arguments of `R.Tensor`");
    }
  }
  const Node* third = positional(a, next + 1);
  if (shape && shape->kind == NodeKind::none) shape = nullptr;
  DType dtype;
  if (dtype_node && dtype_node->kind != NodeKind::none) {
    auto d = exprs_.read_dtype(*dtype_node);
    if (!d) return nullptr;
    dtype = *d;
  }
  std::string device;
  int64_t rank = -1;
  if (third && !read_device(*third, &device)) return nullptr;
  for (const Keyword& k : a.keywords) {
    if (k.name == "vdevice") {
      if (!read_device(*k.value, &device)) return nullptr;
    } else if (k.name == "ndim") {
      auto value = constant_integer(*k.value);
      if (!value || *value < -1 || *value > 1024) {
        return context_.fail(DiagnosticKind::bad_argument, k.value->at, "expected a rank");
      }
      rank = *value;
    } else if (k.name != "shape" && k.name != "dtype" && k.name != "strides") {
      return context_.fail(DiagnosticKind::bad_argument, k.at, "`R.Tensor` has no `{}`{}", k.name,
                           suggest(k.name, {"shape", "dtype", "ndim", "vdevice", "strides"}));
    }
  }
  if (!shape) return tensor_type_of_rank(static_cast<int>(rank), dtype, device);
  auto dims = read_dims(*shape);
  if (!dims) return nullptr;
  if (rank >= 0 && static_cast<size_t>(rank) != dims->size()) {
    return context_.fail(DiagnosticKind::rank_mismatch, a.at,
                         "`ndim={}` of a shape of {} dimensions", rank, dims->size());
  }
  Dims strides;
  if (strides_node && strides_node->kind != NodeKind::none) {
    auto s = read_dims(*strides_node);
    if (!s) return nullptr;
    if (s->size() != dims->size()) {
      return context_.fail(DiagnosticKind::rank_mismatch, strides_node->at,
                           "{} strides for {} dimensions", s->size(), dims->size());
    }
    strides = std::move(*s);
  }
  return tensor_type(std::move(*dims), dtype, std::move(strides), std::move(device));
}

Type TypeReader::read_shape(const Node& a) {
  if (a.kind != NodeKind::call) return shape_type_of_rank(-1);
  if (const Node* dims = positional(a, 0); dims && dims->kind != NodeKind::none) {
    if (!is_list(*dims)) {
      return context_.fail(DiagnosticKind::syntax, dims->at, "expected a list of members");
    }
    auto members = exprs_.read_shape(*dims);
    return members ? shape_type(std::move(*members)) : nullptr;
  }
  int64_t rank = -1;
  if (const Node* ndim = keyword_argument(a, "ndim")) {
    auto value = constant_integer(*ndim);
    if (!value || *value < -1 || *value > 1024) {
      return context_.fail(DiagnosticKind::bad_argument, ndim->at, "expected a rank");
    }
    rank = *value;
  }
  return shape_type_of_rank(static_cast<int>(rank));
}

Type TypeReader::read_prim(const Node& a) {
  if (const Node* value = keyword_argument(a, "value")) {
    Expr e = exprs_.read_quoted(*value, {});
    return e ? prim_type_of(std::move(e)) : nullptr;
  }
  const Node* dtype_node = positional(a, 0);
  if (!dtype_node) dtype_node = keyword_argument(a, "dtype");
  if (!dtype_node) {
    return context_.fail(DiagnosticKind::wrong_arity, a.at, "`R.Prim` needs a dtype or `value=`");
  }
  auto dtype = exprs_.read_dtype(*dtype_node);
  return dtype ? prim_type(*dtype) : nullptr;
}

Type TypeReader::read_callable(const Node& a) {
  const Node* result = keyword_argument(a, "ret");
  const Node* purity = keyword_argument(a, "purity");
  const Node* params = keyword_argument(a, "params");
  if (a.kind != NodeKind::call) return opaque_function_type(any_type(), false);
  if (!params) params = positional(a, 0);
  if (!result) result = positional(a, 1);
  if (!purity) purity = positional(a, 2);
  bool pure = !purity || purity->text != "False";
  if (enter_callable) enter_callable(a);
  Type type;
  std::vector<Type> fields;
  bool ok = true;
  if (params) {
    std::vector<const Node*> list{params};
    if (is_list(*params)) list.assign(params->kids.begin(), params->kids.end());
    for (const Node* p : list) {
      fields.push_back(read(*p));
      ok = ok && fields.back();
    }
  }
  Type r = ok ? (result ? read(*result) : any_type()) : nullptr;
  if (leave_callable) leave_callable();
  if (!r) return nullptr;
  return params ? function_type(std::move(fields), r, pure) : opaque_function_type(r, pure);
}

}  // namespace repose::script

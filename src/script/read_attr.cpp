// Attributes of the text as values.
#include "script/read_attr.h"

#include "script/literal.h"

namespace repose::script {

std::optional<Attr> read_attr(ReadContext& context, ExprReader& reader, const Node& node) {
  switch (node.kind) {
    case NodeKind::none:
      return Attr();
    case NodeKind::boolean:
      return Attr(node.text == "True");
    case NodeKind::string:
      return Attr(node.text);
    case NodeKind::lambda:
      return Attr(AttrDict{{Attr("index_map"), Attr(node.text)}});
    case NodeKind::list:
    case NodeKind::tuple: {
      AttrList list;
      for (const Node* kid : node.kids) {
        auto item = read_attr(context, reader, *kid);
        if (!item) return std::nullopt;
        list.push_back(std::move(*item));
      }
      return Attr(std::move(list));
    }
    case NodeKind::dict: {
      AttrDict dict;
      for (size_t i = 0; i < node.kids.size(); i += 2) {
        auto key = read_attr(context, reader, *node.kids[i]);
        auto value = key ? read_attr(context, reader, *node.kids[i + 1]) : std::nullopt;
        if (!value) return std::nullopt;
        dict.emplace_back(std::move(*key), std::move(*value));
      }
      return Attr(std::move(dict));
    }
    default:
      break;
  }
  if (is_literal(node)) {
    if (!is_integer_literal(node)) {
      Expr number = make_float_literal(context, node, dtypes::float64);
      if (!number) return std::nullopt;
      return Attr(as<FloatImmNode>(number)->value);
    }
    auto value = constant_integer(node);
    if (value) return Attr(*value);
    context.fail(DiagnosticKind::bad_literal, node.at, "this integer doesn't fit 64 bits");
    return std::nullopt;
  }
  if (node.kind == NodeKind::call) {
    std::string callee = dotted_name(*node.kids[0]);
    if (callee == "R.dtype" || callee == "T.dtype") {
      auto dtype = reader.read_dtype(node);
      if (!dtype) return std::nullopt;
      return Attr(*dtype);
    }
    if (callee == "R.prim_value" && node.kids.size() == 2) {
      return read_attr(context, reader, *node.kids[1]);
    }
    if (callee == "R.str" && node.kids.size() == 2 && node.kids[1]->kind == NodeKind::string) {
      return Attr(node.kids[1]->text);
    }
    if (callee == "T.index_map" && node.kids.size() == 2 &&
        node.kids[1]->kind == NodeKind::lambda) {
      return Attr(AttrDict{{Attr("index_map"), Attr(node.kids[1]->text)}});
    }
    if (callee == "I.vdevice") {
      AttrDict dict{
          {Attr("vdevice"), Attr("")}, {Attr("index"), Attr(0)}, {Attr("scope"), Attr("global")}};
      for (size_t i = 1; i < node.kids.size() && i <= dict.size(); ++i) {
        auto value = read_attr(context, reader, *node.kids[i]);
        if (!value) return std::nullopt;
        dict[i - 1].second = std::move(*value);
      }
      return Attr(std::move(dict));
    }
  }
  Expr e = reader.read(node);
  if (!e) return std::nullopt;
  return Attr(e);
}

bool read_attr_dict(ReadContext& context, ExprReader& reader, const Node& node, Attrs* attrs) {
  if (node.kind != NodeKind::dict) {
    context.fail(DiagnosticKind::bad_argument, node.at, "expected a dictionary");
    return false;
  }
  for (size_t i = 0; i < node.kids.size(); i += 2) {
    if (node.kids[i]->kind != NodeKind::string) {
      context.fail(DiagnosticKind::bad_argument, node.kids[i]->at, "expected a string as key");
      return false;
    }
    auto value = read_attr(context, reader, *node.kids[i + 1]);
    if (!value) return false;
    std::string key = node.kids[i]->text;
    if (key.starts_with("tirx.")) key = "tir." + key.substr(5);
    attrs->set(std::move(key), std::move(*value));
  }
  return true;
}

}  // namespace repose::script

// Modules: definitions by name, signatures first, then bodies in an order in which types are known.
#include "script/parser.h"

#include <algorithm>
#include <map>
#include <set>

#include "script/captured_names.h"
#include "script/read_attr.h"
#include "script/read_graph.h"
#include "script/read_tensor.h"
#include "script/read_types.h"
#include "script/syntax.h"

namespace repose {

using namespace script;

namespace {

enum class DefinitionKind { graph, tensor, external };

struct DefinitionText {
  DefinitionKind kind;
  std::string name;
  Position at;
  const Statement* statement;
};

class NoNames : public NameScope {
 public:
  Expr find_variable(const Node&) override { return nullptr; }
};

class FileReader {
 public:
  FileReader(SyntaxTree& tree, Diagnostics& errors, const OpTable& ops, const ParseOptions& options)
      : tree_(tree), context_{tree, errors}, builder_(ops), options_(options) {}

  Result<Module> read();

 private:
  SyntaxTree& tree_;
  ReadContext context_;
  Builder builder_;
  const ParseOptions& options_;
  std::vector<std::string> symbols_;
  std::vector<DefinitionText> definitions_;
  std::map<std::string, size_t> by_name_;

  void add_definition(DefinitionKind kind, const std::string& name, const Position& at,
                      const Statement* s);
  void read_class(const Statement& s);
  void read_function(const Statement& s);
  bool read_module_info(const Statement& s);
  void read_definitions();
  void read_external(ModuleReader& module, const DefinitionText& d);
  void read_graph_functions(ModuleReader& module);
  Diagnostics sorted_errors() const;
  std::set<std::string> names_in(const Statement& s) const;
};

void FileReader::add_definition(DefinitionKind kind, const std::string& name, const Position& at,
                                const Statement* s) {
  if (!by_name_.emplace(name, definitions_.size()).second) {
    context_.fail(DiagnosticKind::ill_formed, at, "the module has two definitions of `{}`", name);
    return;
  }
  definitions_.push_back({kind, name, at, s});
}

void FileReader::read_function(const Statement& s) {
  std::string decorator = decorator_name(s);
  if (decorator == "R.function") {
    add_definition(DefinitionKind::graph, s.name, s.name_at, &s);
  } else if (decorator == "T.prim_func") {
    add_definition(DefinitionKind::tensor, s.name, s.name_at, &s);
  } else {
    context_.fail(DiagnosticKind::syntax, s.at,
                  "expected `@R.function` or `@T.prim_func` before `{}`", s.name);
  }
}

bool FileReader::read_module_info(const Statement& s) {
  if (s.kind != SyntaxKind::expression) return false;
  std::string callee = callee_name(s.value);
  bool is_attrs = callee == "I.module_attrs", is_infos = callee == "I.module_global_infos";
  if (!is_attrs && !is_infos) return false;
  if (s.value->kids.size() != 2) {
    context_.fail(DiagnosticKind::wrong_arity, s.at, "`{}` takes one dictionary", callee);
    return true;
  }
  NoNames names;
  ExprReader exprs(context_, names);
  Module& module = builder_.module();
  read_attr_dict(context_, exprs, *s.value->kids[1],
                 is_attrs ? &module.attrs : &module.global_infos);
  return true;
}

void FileReader::read_class(const Statement& s) {
  if (decorator_name(s) != "I.ir_module") {
    context_.fail(DiagnosticKind::syntax, s.at, "expected `@I.ir_module` before a class");
    return;
  }
  builder_.module().name = s.name;
  for (const Statement* inner : s.body) {
    if (inner->kind == SyntaxKind::function) {
      read_function(*inner);
    } else if (inner->kind == SyntaxKind::assign && inner->target->kind == NodeKind::name &&
               callee_name(inner->value) == "R.ExternFunc") {
      add_definition(DefinitionKind::external, inner->target->text, inner->at, inner);
    } else if (inner->kind != SyntaxKind::pass && !read_module_info(*inner) &&
               !(inner->kind == SyntaxKind::expression && inner->value->kind == NodeKind::string)) {
      context_.fail(DiagnosticKind::syntax, inner->at,
                    "expected a function, `I.module_attrs` or `I.module_global_infos`");
    }
  }
}

void FileReader::read_external(ModuleReader& module, const DefinitionText& d) {
  const Node& call = *d.statement->value;
  if (call.kids.size() < 2 || call.kids.size() > 3 || call.kids[1]->kind != NodeKind::string) {
    context_.fail(DiagnosticKind::wrong_arity, call.at,
                  "`R.ExternFunc` takes a symbol and, perhaps, a type");
    return;
  }
  ExternFunc e{call.kids[1]->text, nullptr};
  Type type = opaque_function_type(any_type(), false);
  if (call.kids.size() == 3) {
    // Symbols of its type are its own.
    class Symbols : public NameScope {
     public:
      Expr find_variable(const Node& name) override {
        Expr& e = vars_[name.text];
        if (!e) e = make_var(name.text, dtypes::index);
        return e;
      }

     private:
      std::map<std::string, Expr> vars_;
    } names;
    ExprReader exprs(context_, names);
    TypeReader types(context_, exprs);
    e.type = types.read(*call.kids[2]);
    if (!e.type) return;
    type = e.type;
  }
  module.signatures[d.name] = type;
  builder_.module().set(d.name, std::move(e));
}

// Every name that a function mentions alone or after `cls.`.
std::set<std::string> FileReader::names_in(const Statement& s) const {
  std::set<std::string> names;
  std::vector<const Statement*> statements{&s};
  std::vector<const Node*> nodes;
  while (!statements.empty() || !nodes.empty()) {
    if (!nodes.empty()) {
      const Node* n = nodes.back();
      nodes.pop_back();
      if (!n) continue;
      if (n->kind == NodeKind::name || n->kind == NodeKind::attribute) names.insert(n->text);
      nodes.insert(nodes.end(), n->kids.begin(), n->kids.end());
      for (const Keyword& k : n->keywords) nodes.push_back(k.value);
      continue;
    }
    const Statement* top = statements.back();
    statements.pop_back();
    nodes.push_back(top->value);
    statements.insert(statements.end(), top->body.begin(), top->body.end());
    statements.insert(statements.end(), top->orelse.begin(), top->orelse.end());
  }
  return names;
}

void FileReader::read_graph_functions(ModuleReader& module) {
  std::map<std::string, std::unique_ptr<GraphFunctionReader>> readers;
  for (const DefinitionText& d : definitions_) {
    if (d.kind != DefinitionKind::graph) continue;
    auto reader = std::make_unique<GraphFunctionReader>(module, *d.statement);
    if (!reader->read_signature()) {
      module.poisoned.insert(d.name);
      continue;
    }
    // A stand-in until the body is read: it has the type that calls need.
    if (Type type = reader->type()) {
      const auto* f = as<FunctionTypeNode>(type);
      auto body = make_ref<graph::BodyNode>(std::vector<graph::Block>{},
                                            graph::make_variable("result", f->result));
      builder_.module().set(
          d.name, make_ref<graph::FunctionNode>(reader->params(), body, f->result, f->pure, false,
                                                Attrs{}, tree_.span(d.at)));
      module.signatures[d.name] = type;
    }
    readers[d.name] = std::move(reader);
  }
  // Callees without a return annotation come first: their types follow from their bodies.
  std::set<std::string> done;
  for (const DefinitionText& d : definitions_) {
    if (!readers.count(d.name)) continue;
    std::vector<std::string> stack{d.name};
    std::set<std::string> open;
    while (!stack.empty()) {
      std::string name = stack.back();
      if (done.count(name)) {
        stack.pop_back();
        continue;
      }
      if (open.insert(name).second) {
        for (const std::string& used : names_in(*definitions_[by_name_[name]].statement)) {
          bool waits = readers.count(used) && !module.signatures.count(used) && !open.count(used) &&
                       !done.count(used);
          if (waits) stack.push_back(used);
        }
        if (stack.back() != name) continue;
      }
      stack.pop_back();
      done.insert(name);
      if (!readers[name]->read_body()) {
        module.poisoned.insert(name);
      } else if (const auto f = builder_.module().graph_function(name)) {
        module.signatures[name] = f->type;
      }
    }
  }
}

void FileReader::read_definitions() {
  ModuleReader module{context_, builder_, options_, builder_.module().name, symbols_, {},
                      {},       {},       {}};
  for (const DefinitionText& d : definitions_) {
    module.globals[d.name] = d.kind == DefinitionKind::tensor;
    builder_.module().set(d.name, ExternFunc{});  // keeps the order of the text
  }
  for (const DefinitionText& d : definitions_) {
    if (d.kind == DefinitionKind::tensor) {
      tir::PrimFunc f = read_prim_func(context_, *d.statement, symbols_);
      if (f) {
        builder_.module().set(d.name, f);
      } else {
        module.poisoned.insert(d.name);
      }
    } else if (d.kind == DefinitionKind::external) {
      read_external(module, d);
    }
  }
  read_graph_functions(module);
}

// In the order of the text.
Diagnostics FileReader::sorted_errors() const {
  Diagnostics errors = context_.errors;
  std::stable_sort(errors.begin(), errors.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::pair(a.span.line, a.span.column) < std::pair(b.span.line, b.span.column);
  });
  if (errors.size() > max_errors) {
    const size_t more = errors.size() - max_errors;
    errors.resize(max_errors);
    errors.back().notes.push_back({{}, fmt::format("{} more errors are not shown", more)});
  }
  return errors;
}

Result<Module> FileReader::read() {
  if (options_.captured) replace_captured_names(context_, options_.captured, &symbols_);
  bool has_class = false;
  for (const Statement* s : tree_.top) {
    switch (s->kind) {
      case SyntaxKind::import:
      case SyntaxKind::pass:
        break;
      case SyntaxKind::class_:
        if (has_class) {
          context_.fail(DiagnosticKind::ill_formed, s->at, "a second module in one file");
        } else {
          read_class(*s);
        }
        has_class = true;
        break;
      case SyntaxKind::function:
        read_function(*s);
        break;
      case SyntaxKind::assign: {
        if (s->target->kind == NodeKind::name && callee_name(s->value).ends_with("TypeVar")) {
          symbols_.push_back(s->target->text);
          break;
        }
        context_.fail(DiagnosticKind::syntax, s->at, "expected a module or a function");
        break;
      }
      case SyntaxKind::expression:
        if (s->value->kind == NodeKind::string) break;
        [[fallthrough]];
      default:
        context_.fail(DiagnosticKind::syntax, s->at, "expected a module or a function");
        break;
    }
  }
  read_definitions();
  if (options_.warnings) {
    for (const Diagnostic& d : builder_.warnings()) options_.warnings->push_back(d);
    for (const Diagnostic& d : context_.warnings) options_.warnings->push_back(d);
  }
  if (!context_.errors.empty()) return sorted_errors();
  return builder_.module();
}

}  // namespace

Result<Module> parse_module(const Ref<const Source>& text, const OpTable& ops,
                            const ParseOptions& options) {
  SyntaxTree tree;
  tree.source = text;
  Diagnostics errors;
  parse_syntax(tree, errors);
  return FileReader(tree, errors, ops, options).read();
}

Result<Expr> parse_expr(std::string_view text, const SymbolLookup& symbols) {
  class Symbols : public NameScope {
   public:
    explicit Symbols(const SymbolLookup& lookup) : lookup_(lookup) {}
    Expr find_variable(const Node& name) override { return lookup_(name.text); }

   private:
    const SymbolLookup& lookup_;
  } names(symbols);
  SyntaxTree tree;
  tree.source = make_text_source("expression", std::string(text));
  Diagnostics errors;
  ReadContext context{tree, errors};
  Node* node = parse_fragment(tree, tree.source->text, {}, errors);
  if (!node) return errors;
  ExprReader reader(context, names);
  Expr e = reader.scalar(*node, reader.read(*node, dtypes::index));
  if (!e) return errors;
  if (!e->dtype.is_index() && !e->dtype.is_bool()) {
    return error(DiagnosticKind::dtype_mismatch, context.span(*node),
                 "an expression of dtype `{}`, expected an index or a condition",
                 e->dtype.to_string());
  }
  return e;
}

}  // namespace repose

// Reading models, with what is declared of their dimensions.
#include "driver/read_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "driver/declare_dims.h"
#include "frontend/onnx/import.h"
#include "frontend/onnx/reader.h"
#include "frontend/relay/import.h"
#include "frontend/relay/parser.h"
#include "frontend/torch/import.h"
#include "frontend/torch/reader.h"
#include "ir/function_facts.h"
#include "ops/ops.h"
#include "script/parser.h"
#include "script/safetensors.h"

namespace repose {

namespace fs = std::filesystem;

namespace {

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  size_t begin = 0;
  while (begin <= text.size()) {
    size_t end = text.find(at, begin);
    if (end == std::string::npos) end = text.size();
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool parse_number(const std::string& text, int64_t* value) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return ec == std::errc() && end == text.data() + text.size();
}

// Not a range: a dimension's name, or an expression that begins with one.
bool is_name(const std::string& text) {
  return !text.empty() && (std::isalpha(static_cast<unsigned char>(text[0])) || text[0] == '_');
}

}  // namespace

Result<void> add_dim(DeclaredDims& dims, const std::string& name, std::string text,
                     const std::string& option) {
  const auto bad = [&, given = text] {
    return error(DiagnosticKind::bad_usage, {},
                 "{} `{}={}`: expected LOW..HIGH, either bound may be missing, with %DIVISOR after "
                 "it, or a size, or the name of another dimension",
                 option, name, given);
  };
  const auto twice = [&] {
    return error(DiagnosticKind::bad_usage, {}, "{}: `{}` is given twice", option, name);
  };
  if (name.empty()) return bad();
  if (is_name(text)) {
    if (!dims.same.emplace(name, text).second) return twice();
    return {};
  }
  const std::string item = name + "=" + text;
  Interval interval;
  interval.lower = 0;
  if (size_t percent = text.find('%'); percent != std::string::npos) {
    if (!parse_number(text.substr(percent + 1), &interval.divisor) || interval.divisor < 1) {
      return bad();
    }
    text = text.substr(0, percent);
  }
  const size_t dots = text.find("..");
  if (dots == std::string::npos) {
    if (!parse_number(text, &interval.lower)) return bad();
    interval.upper = interval.lower;
  } else {
    const std::string low = text.substr(0, dots), high = text.substr(dots + 2);
    if (!low.empty() && !parse_number(low, &interval.lower)) return bad();
    if (!high.empty() && !parse_number(high, &interval.upper)) return bad();
  }
  if (interval.lower < 0 || is_empty(tightened(interval))) {
    return error(DiagnosticKind::bad_usage, {}, "{} `{}`: no size lies in that range", option,
                 item);
  }
  if (!dims.ranges.emplace(name, interval).second) return twice();
  return {};
}

Result<DeclaredDims> parse_dims(const std::vector<std::string>& specs, const std::string& option) {
  DeclaredDims result;
  for (const std::string& spec : specs) {
    for (const std::string& item : split(spec, ',')) {
      const size_t equal = item.rfind('=');
      if (equal == std::string::npos || equal == 0) {
        return error(DiagnosticKind::bad_usage, {},
                     "{} `{}`: expected NAME=LOW..HIGH, NAME=SIZE or NAME=OTHERNAME", option, item);
      }
      auto added = add_dim(result, item.substr(0, equal), item.substr(equal + 1), option);
      if (!added.ok()) return added.errors();
    }
  }
  return result;
}

Result<void> add_shape(DeclaredDims& dims, const std::string& input, const std::string& shape,
                       const std::string& option) {
  std::vector<std::string> parts;
  if (!shape.empty()) parts = split(shape, ',');
  for (const std::string& dim : parts) {
    int64_t size = 0;
    if (is_name(dim) || (parse_number(dim, &size) && size >= 0)) continue;
    return error(DiagnosticKind::bad_usage, {},
                 "{} `{}={}`: the dimension `{}` is neither a size nor begins with a name", option,
                 input, shape, dim);
  }
  if (!dims.shapes.emplace(input, std::move(parts)).second) {
    return error(DiagnosticKind::bad_usage, {}, "{}: `{}` is given twice", option, input);
  }
  return {};
}

Result<void> parse_shape(DeclaredDims& dims, const std::string& spec, const std::string& option) {
  const size_t equal = spec.find('=');
  if (equal == std::string::npos || equal == 0) {
    return error(DiagnosticKind::bad_usage, {}, "{} `{}`: expected INPUT=DIM,DIM,…", option, spec);
  }
  return add_shape(dims, spec.substr(0, equal), spec.substr(equal + 1), option);
}

Result<std::string> read_file(const std::string& path, size_t most) {
  auto cannot_read = [&](const std::string& why) {
    return error(DiagnosticKind::cannot_read, {}, "cannot read `{}`: {}", path, why);
  };
  std::error_code ec;
  if (fs::is_directory(path, ec)) return cannot_read("it is a folder");
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) return cannot_read(std::strerror(errno));
  std::string contents;
  char chunk[1 << 16];
  while (contents.size() < most) {
    const size_t wanted = std::min(sizeof chunk, most - contents.size());
    const size_t got = std::fread(chunk, 1, wanted, file);
    contents.append(chunk, got);
    if (got < wanted) break;
  }
  const int failure = std::ferror(file) ? errno : 0;
  std::fclose(file);
  if (failure) return cannot_read(std::strerror(failure));
  return contents;
}

namespace {

// Text if the name or the first bytes say so; protobuf has control characters early.
bool looks_like_text(const std::string& path, const std::string& start) {
  const std::string extension = fs::path(path).extension();
  if (extension == ".onnx") return false;
  if (extension == ".relax" || extension == ".py" || extension == ".txt" || extension == ".relay") {
    return true;
  }
  return std::none_of(start.begin(), start.end(), [](unsigned char c) {
    return c < 32 && c != '\n' && c != '\r' && c != '\t';
  });
}

// Dimensions of one function that an operator needs equal have one name.
Result<void> require_one_name(const Module& module) {
  Diagnostics problems;
  for (const std::string& name : module.names()) {
    const graph::Function f = module.graph_function(name);
    if (!f) continue;
    for (const EqualSymbols& equal : equal_symbols(f)) {
      problems.push_back(different_names(equal.a->name, equal.b->name, equal.span));
    }
  }
  if (!problems.empty()) return problems;
  return {};
}

Result<void> refuse_shapes(const std::string& path, const ReadModelOptions& o) {
  if (o.dims.shapes.empty()) return {};
  return error(DiagnosticKind::bad_usage, {},
               "the shape of `{}` is declared, but `{}` is text, which says it itself",
               o.dims.shapes.begin()->first, path);
}

Result<Module> read_relay(const std::string& path, const ReadModelOptions& o) {
  if (auto ok = refuse_shapes(path, o); !ok.ok()) return ok.errors();
  REPOSE_TRY(text, read_file(path));
  REPOSE_TRY(module,
             import_relay(make_text_source(path, std::move(text)), standard_ops(), !o.strict_dims));
  if (o.strict_dims) {
    if (auto one = require_one_name(module); !one.ok()) return one.errors();
  }
  return declare_dims(module, o.dims.ranges, o.dims.same);
}

Result<Module> read_text(const std::string& path, const ReadModelOptions& o) {
  if (auto ok = refuse_shapes(path, o); !ok.ok()) return ok.errors();
  REPOSE_TRY(text, read_file(path));
  ParseOptions options;
  fs::path weights = path;
  weights.replace_extension(".safetensors");
  std::error_code ec;
  if (fs::exists(weights, ec)) {
    REPOSE_TRY(loaded, read_safetensors(weights));
    options.weights = [loaded](std::string_view name) -> Array { return loaded.find(name); };
  }
  REPOSE_TRY(module,
             parse_module(make_text_source(path, std::move(text)), standard_ops(), options));
  if (o.strict_dims) {
    if (auto one = require_one_name(module); !one.ok()) return one.errors();
  }
  return declare_dims(module, o.dims.ranges, o.dims.same);
}

ImportOptions import_options(const ReadModelOptions& o) {
  ImportOptions options;
  options.dims = o.dims.ranges;
  options.same_dims = o.dims.same;
  options.shapes = o.dims.shapes;
  options.strict_dims = o.strict_dims;
  return options;
}

}  // namespace

bool is_artifact(const std::string& path) {
  auto start = read_file(path, 4);
  return start.ok() && *start == "\177ELF";
}

Result<void> refuse_artifact(const std::string& path) {
  if (!is_artifact(path)) return {};
  return error(DiagnosticKind::bad_usage, {},
               "`{}` is an artifact: give the model that it was made from", path);
}

Result<Module> read_model(const std::string& path, const ReadModelOptions& o,
                          Diagnostics* warnings) {
  REPOSE_TRY(start, read_file(path, 512));
  if (auto model = refuse_artifact(path); !model.ok()) return model.errors();
  if (torch::Archive::looks_like(start)) {
    REPOSE_TRY(program, torch::read_program_file(path));
    return import_torch(program, standard_ops(), import_options(o), warnings);
  }
  if (looks_like_text(path, start)) {
    const bool is_relay = fs::path(path).extension() == ".relay" || relay::looks_like_relay(start);
    return is_relay ? read_relay(path, o) : read_text(path, o);
  }
  REPOSE_TRY(model, onnx::read_model_file(path));
  return import_onnx(model, standard_ops(), import_options(o), warnings);
}

Result<Module> read_onnx_bytes(std::shared_ptr<const std::string> bytes, const std::string& name,
                               const ReadModelOptions& o, Diagnostics* warnings) {
  onnx::ReadOptions options;
  options.name = name;
  options.owner = bytes;
  REPOSE_TRY(model, onnx::read_model(std::as_bytes(std::span(*bytes)), options));
  return import_onnx(model, standard_ops(), import_options(o), warnings);
}

Result<Module> read_torch_bytes(std::shared_ptr<const std::string> bytes, const std::string& name,
                                const ReadModelOptions& o, Diagnostics* warnings,
                                std::map<std::string, Array, std::less<>> weights) {
  REPOSE_TRY(program, torch::read_program(std::as_bytes(std::span(*bytes)), name, bytes));
  program.given = std::move(weights);
  return import_torch(program, standard_ops(), import_options(o), warnings);
}

}  // namespace repose

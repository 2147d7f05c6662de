// Linking: what LLD is told for a shared library and for an object, and what is done to its output.
#include "codegen/llvm/link.h"

#include <llvm/BinaryFormat/ELF.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "codegen/llvm/elf_merge.h"
#include "codegen/llvm/elf_weights.h"
#include "codegen/llvm/link_lld.h"
#include "codegen/llvm/link_output.h"
#include "runtime_blob.h"

namespace repose {
namespace {

constexpr std::string_view api_symbol = "repose_api_v1";
constexpr std::string_view tvm_ffi_prefix = "__tvm_ffi_";

struct LinkTarget {
  std::string_view name;
  std::string_view emulation;
  uint16_t machine;
};
constexpr LinkTarget link_targets[] = {{"x86_64-linux", "elf_x86_64", llvm::ELF::EM_X86_64}};

const LinkTarget* find_target(std::string_view name) {
  for (const LinkTarget& target : link_targets) {
    if (target.name == name) return &target;
  }
  return nullptr;
}

bool is_identifier(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return is_letter(c) || (c >= '0' && c <= '9');
  });
}

Result<void> check_input(const LinkInput& input) {
  if (!input.name_prefix.empty() && !is_identifier(input.name_prefix)) {
    return error(DiagnosticKind::bad_usage, {},
                 "`{}` cannot prefix symbols: expected letters, digits and `_`, not a digit first",
                 input.name_prefix);
  }
  if (find_target(input.target) == nullptr) {
    return error(DiagnosticKind::unsupported_feature, {}, "cannot link for `{}`: expected `{}`",
                 input.target, link_targets[0].name);
  }
  return {};
}

Result<LinkRuntime> runtime_of(const LinkInput& input) {
  if (input.runtime) return *input.runtime;
  const RuntimeBlob* blob = find_runtime_blob(input.target);
  if (blob == nullptr) {
    return error(DiagnosticKind::unsupported_feature, {},
                 "cannot link for `{}`: this compiler has no runtime for it", input.target);
  }
  return LinkRuntime{blob->object, blob->libc_stub};
}

std::string prefixed(const std::string& prefix, std::string_view name) {
  return prefix.empty() ? std::string(name) : fmt::format("{}_{}", prefix, name);
}

std::span<const char> as_chars(std::span<const unsigned char> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The files of one link, and LLD's arguments.
struct Command {
  std::string output;
  std::vector<std::string> arguments;
  std::vector<MemoryFile> files;

  // `option` is put before the path: "--version-script=".
  Result<void> add(std::string name, std::span<const char> bytes, std::string_view option = "") {
    REPOSE_TRY(file, MemoryFile::create(std::move(name), bytes, output));
    arguments.push_back(std::string(option) + file.path());
    files.push_back(std::move(file));
    return {};
  }
};

// What both kinds of file are made of: generated code, the runtime, weights.
std::vector<NamedObject> parts(const LinkInput& input, const LinkRuntime& runtime,
                               const std::string& weights) {
  std::vector<NamedObject> result;
  for (size_t i = 0; i < input.objects.size(); ++i) {
    result.push_back({fmt::format("generated code {}", i), input.objects[i]});
  }
  if (!runtime.object.empty()) result.push_back({"runtime", as_chars(runtime.object)});
  result.push_back({"weights", weights});
  return result;
}

Result<void> run(const Command& command, OutputFile& file) {
  if (auto r = run_lld(command.arguments, command.files, file.aside_path(), file.path()); !r)
    return r;
  return file.reopen();
}

}  // namespace

Result<void> link_shared(const LinkInput& input, const std::string& path) {
  if (auto r = check_input(input); !r) return r;
  REPOSE_TRY(runtime, runtime_of(input));
  REPOSE_TRY(file, OutputFile::create(path));
  const LinkTarget& target = *find_target(input.target);
  Command command{file.aside_path(), {"-m", std::string(target.emulation)}, {}};
  for (const char* argument :
       {"-shared", "-z", "now", "-z", "relro", "-z", "noexecstack", "-z", "defs", "-z", "text",
        "--gc-sections", "--hash-style=gnu", "--build-id=none", "--eh-frame-hdr", "-Bsymbolic"}) {
    command.arguments.emplace_back(argument);
  }
  const std::string weights = weights_object(input.weights_bytes, target.machine);
  for (const NamedObject& part : parts(input, runtime, weights)) {
    if (auto r = check_object(part); !r) return r;
    if (auto r = command.add(part.name, part.bytes); !r) return r;
  }
  if (!runtime.libc_stub.empty()) {
    if (auto r = command.add("libc.so.6", as_chars(runtime.libc_stub)); !r) return r;
  }
  const std::string api = prefixed(input.name_prefix, api_symbol);
  if (api != api_symbol) {
    command.arguments.push_back(fmt::format("--defsym={}={}", api, api_symbol));
  }
  const std::string exports =
      fmt::format("{{ global: {}; {}; {}*; local: *; }};\n", api_symbol, api, tvm_ffi_prefix);
  if (auto r = command.add("list of exports", exports, "--version-script="); !r) return r;
  if (input.weights_bytes > 0) {
    const std::string_view script = weights_script;
    if (auto r = command.add("place of weights", script); !r) return r;
  }
  if (auto r = run(command, file); !r) return r;
  if (input.weights_bytes > 0) {
    if (auto r = append_weights(file, input.weights, input.weights_bytes); !r) return r;
  }
  return file.commit(0755);
}

Result<void> link_relocatable(const LinkInput& input, const std::string& path) {
  if (auto r = check_input(input); !r) return r;
  if (input.weights_bytes > max_static_weights_bytes) {
    return error(DiagnosticKind::unsupported_feature, {},
                 "an object for static linking holds at most {} bytes of weights, the model has {}",
                 max_static_weights_bytes, input.weights_bytes);
  }
  REPOSE_TRY(runtime, runtime_of(input));
  REPOSE_TRY(file, OutputFile::create(path));
  const std::string weights =
      weights_object(input.weights_bytes, find_target(input.target)->machine);
  bool has_api = false;
  const auto export_name = [&](std::string_view name) -> std::optional<std::string> {
    if (name == api_symbol) {
      has_api = true;
      return prefixed(input.name_prefix, api_symbol);
    }
    if (!name.starts_with(tvm_ffi_prefix)) return std::nullopt;
    const std::string_view function = name.substr(tvm_ffi_prefix.size());
    return std::string(tvm_ffi_prefix) + prefixed(input.name_prefix, function);
  };
  REPOSE_TRY(object, merge_objects(parts(input, runtime, weights), export_name));
  if (!has_api) {
    return error(DiagnosticKind::link_failed, {}, "cannot link `{}`: symbol not defined: {}", path,
                 api_symbol);
  }
  if (auto r = file.write_at(0, object.data(), object.size()); !r) return r;
  if (input.weights_bytes > 0) {
    if (auto r = append_weights(file, input.weights, input.weights_bytes); !r) return r;
  }
  return file.commit(0644);
}

}  // namespace repose

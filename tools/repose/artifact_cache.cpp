// Artifacts by what they are made from.
#include "artifact_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "content_hash.h"
#include "script/printer.h"

namespace repose::cli {

namespace {

namespace fs = std::filesystem;

// A file's bytes in memory, as long as it lives.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat about{};
    if (file >= 0 && fstat(file, &about) == 0 && about.st_size > 0) {
      void* memory =
          mmap(nullptr, static_cast<size_t>(about.st_size), PROT_READ, MAP_PRIVATE, file, 0);
      if (memory != MAP_FAILED) {
        bytes_ = {static_cast<const char*>(memory), static_cast<size_t>(about.st_size)};
      }
    }
    if (file >= 0) ::close(file);
  }
  ~MappedFile() {
    if (!bytes_.empty()) munmap(const_cast<char*>(bytes_.data()), bytes_.size());
  }
  MappedFile(const MappedFile&) = delete;

  std::string_view bytes() const { return bytes_; }  // none where it cannot be read

 private:
  std::string_view bytes_;
};

// Constants and places, which the text of a function leaves out.
void add_values(const graph::Function& f, ContentHash& hash) {
  std::function<void(const graph::Value&)> add = [&](const graph::Value& v) {
    if (const auto* constant = graph::as<graph::ConstantNode>(v)) {
      hash.add(constant->data->bytes, static_cast<size_t>(constant->data->num_bytes));
    } else if (!graph::as<graph::VariableNode>(v)) {
      graph::visit_operands(v, add);
    }
  };
  graph::visit_bindings(f->body, true, [&](const graph::Binding& b) {
    hash.add(b.span.to_string());
    if (b.span) hash.add(b.span.source->name);
    add(b.value);
    const auto* choice = graph::as<graph::IfNode>(b.value);
    if (choice) {
      add(choice->then_body->result);
      add(choice->else_body->result);
    }
  });
  add(f->body->result);
}

}  // namespace

std::string artifact_key(const ReadModel& model, const ModelOptions& o, Emit kind) {
  ContentHash hash;
  hash.add(MappedFile("/proc/self/exe").bytes());
  hash.add(print(model.module));
  for (const std::string& name : model.module.names()) {
    if (const graph::Function f = model.module.graph_function(name)) add_values(f, hash);
  }
  const CompileOptions& options = model.options;
  const Target& target = options.pipeline.target;
  for (const std::string& text : {target.name, target.triple, target.cpu, target.features,
                                  options.name, options.name_prefix, options.source}) {
    hash.add(text);
  }
  for (const std::string& feature : target.required_features) hash.add(feature);
  for (const std::string& pass : options.pipeline.disabled) hash.add(pass);
  for (const std::string& file : {o.schedule_file, o.tuned_file}) {
    hash.add(file.empty() ? std::string_view() : MappedFile(file).bytes());
  }
  for (const int64_t number : {int64_t{target.vector_bits}, int64_t{target.vector_registers},
                               target.l1_bytes, target.l2_bytes, target.l3_bytes}) {
    hash.add(number);
  }
  for (const bool flag : {options.reuse_memory, options.debug_memory, options.profile}) {
    hash.add(int64_t{flag});
  }
  hash.add(static_cast<int64_t>(kind));
  return hash.text();
}

Result<ArtifactCache> ArtifactCache::open(const std::string& folder) {
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec || access(folder.c_str(), W_OK) != 0) {
    return error(DiagnosticKind::cannot_write, {}, "--cache: cannot write into `{}`: {}", folder,
                 ec ? ec.message() : std::strerror(errno));
  }
  ArtifactCache cache;
  cache.folder_ = folder;
  return cache;
}

Result<bool> ArtifactCache::fetch(const std::string& key, const std::string& output) const {
  const MappedFile kept(folder_ + "/" + key);
  if (kept.bytes().empty()) return false;
  if (auto written = write_file(output, kept.bytes()); !written.ok()) return written.errors();
  return true;
}

Result<void> ArtifactCache::keep(const std::string& key, const std::string& artifact) const {
  const MappedFile made(artifact);
  return write_file(folder_ + "/" + key, made.bytes());
}

}  // namespace repose::cli

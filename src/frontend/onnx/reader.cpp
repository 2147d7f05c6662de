// Reads a model from bytes or from a file, and turns what the decoder throws into diagnostics.
#include "frontend/onnx/reader.h"

#include <filesystem>
#include <new>

#include "frontend/onnx/external_data.h"
#include "frontend/onnx/model_reader.h"

namespace repose::onnx {

Result<Model> read_model(std::span<const std::byte> bytes, const ReadOptions& options) {
  Span span{make_text_source(options.name, "")};
  std::string_view message(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (message.empty()) return error(DiagnosticKind::bad_model, span, "the file is empty");
  if (message.starts_with("version https://git-lfs.")) {
    return error(DiagnosticKind::bad_model, span,
                 "is a pointer of git-lfs, expected the model that it stands for (`git lfs pull`)");
  }
  ModelReader reader;
  try {
    Model model = reader.read_model(message);
    model.source = span.source;
    model.owner = options.owner;
    model.external_files = std::make_shared<ExternalFiles>(options.folder);
    return model;
  } catch (const WireError& e) {
    return error(e.kind, span, "`{}`: {} (at byte {})", reader.place(), e.text,
                 e.at - message.data());
  } catch (const std::bad_alloc&) {
    return error(DiagnosticKind::too_large, span, "`{}`: the model does not fit into memory",
                 reader.place());
  }
}

Result<Model> read_model_file(const std::string& path) {
  REPOSE_TRY(file, MappedFile::open(path));
  file->expect_jumps(true);
  std::string folder = std::filesystem::path(path).parent_path().string();
  auto model = read_model(file->bytes(), {.name = path, .folder = folder, .owner = file});
  file->expect_jumps(false);
  return model;
}

}  // namespace repose::onnx

// Reads ONNX files into the structs of model.h, without copying their contents.
//
// The reader checks that the bytes are a well-formed model: wire format, one payload per attribute
// that fits its type, nesting of graphs and of types up to 64, a graph with outputs, nodes with
// operators. It does not check what names refer to, nor operators, nor tensor contents
// (tensor_data.h does, when they are asked for). It throws nothing, and needs memory in proportion
// to the structure of the file, weights apart.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/diagnostic.h"
#include "frontend/onnx/model.h"

namespace repose::onnx {

inline constexpr int max_nesting = 64;

// Maps and reads a file. The model keeps the mapping alive; external data is looked for in the
// file's folder. Errors: cannot_read, bad_model, missing_value, too_large, unsupported_feature.
Result<Model> read_model_file(const std::string& path);

struct ReadOptions {
  std::string name = "model";         // in messages
  std::optional<std::string> folder;  // of external data; without it there can be none
  std::shared_ptr<const void> owner;  // keeps the bytes alive; without it the caller does
};

Result<Model> read_model(std::span<const std::byte> bytes, const ReadOptions& options = {});

}  // namespace repose::onnx

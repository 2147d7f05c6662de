// Reads .pt2 archives (`torch.export.save`) into the structs of program.h, without copying weights.
//
// The reader checks that each part has the form of PyTorch's schema. It does not check what names
// refer to, nor operators. It throws nothing.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/diagnostic.h"
#include "frontend/torch/program.h"

namespace repose::torch {

// Maps and reads a file. Errors: cannot_read, bad_model, unsupported_feature.
Result<Program> read_program_file(const std::string& path);
// `name` is for messages; `owner` keeps the bytes alive, without it the caller does.
Result<Program> read_program(std::span<const std::byte> bytes, const std::string& name,
                             std::shared_ptr<const void> owner = nullptr);

}  // namespace repose::torch

// Models from files: ONNX, exported programs of PyTorch, text of the IR or of Relay, by their
// contents, with dimensions declared.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "expr/interval.h"
#include "ir/module.h"

namespace repose {

// What is declared of dimensions: ranges by name, as `<input>_<axis>` or by a sum of such names;
// and names, or sums, that are one.
struct DeclaredDims {
  std::map<std::string, Interval> ranges;
  std::map<std::string, std::string> same;
  // Of inputs of unknown rank: a size, a name or a sum of names for each dimension.
  std::map<std::string, std::vector<std::string>> shapes;
};
// `text` is "1..512%8" (each part may be missing), a size, or the name of the dimension that
// `name` is equal to. Messages begin with `option`.
Result<void> add_dim(DeclaredDims& dims, const std::string& name, std::string text,
                     const std::string& option);
// Lists of "batch=1..,seq=1..512%8,past+new=..4096,batch_size=batch".
Result<DeclaredDims> parse_dims(const std::vector<std::string>& specs,
                                const std::string& option = "--dim");

// The shape of one input, as in "batch,3,h,w". Messages begin with `option`.
Result<void> add_shape(DeclaredDims& dims, const std::string& input, const std::string& shape,
                       const std::string& option);
// "x=batch,3,h,w".
Result<void> parse_shape(DeclaredDims& dims, const std::string& spec,
                         const std::string& option = "--shape");

struct ReadModelOptions {
  DeclaredDims dims;
  bool strict_dims = false;  // an error where differently named dimensions have to be equal
};

// Reads an .onnx file, a .pt2 archive, text of Relay or IR text (by its contents: what is none of
// them is reported as IR text), with the weights beside it. `warnings`, if given, gets what is odd
// in the model.
Result<Module> read_model(const std::string& path, const ReadModelOptions& options = {},
                          Diagnostics* warnings = nullptr);
// The same for an ONNX model in memory, which has no external data. `name` is for messages.
Result<Module> read_onnx_bytes(std::shared_ptr<const std::string> bytes, const std::string& name,
                               const ReadModelOptions& options = {},
                               Diagnostics* warnings = nullptr);

// The same for a .pt2 archive in memory. `weights`: parameters and buffers, by their names in the
// program, that the archive need not hold; they are not copied.
Result<Module> read_torch_bytes(std::shared_ptr<const std::string> bytes, const std::string& name,
                                const ReadModelOptions& options = {},
                                Diagnostics* warnings = nullptr,
                                std::map<std::string, Array, std::less<>> weights = {});

// The contents of a file, or the first `most` bytes.
Result<std::string> read_file(const std::string& path, size_t most = std::string::npos);
bool is_artifact(const std::string& path);              // a shared library, by its contents
Result<void> refuse_artifact(const std::string& path);  // where only its model will do

}  // namespace repose

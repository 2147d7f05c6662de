// Registers a GoogleTest case for each case of tests/<folder>/<subject>.relax (or .relay), and runs
// all.
// BLESS=1 rewrites the expected texts; REPOSE_TEST_FILTER: only cases with this in their names.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "text/run_case.h"

namespace repose::testing_text {
namespace {

namespace fs = std::filesystem;

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool is_blessing() {
  return variable("BLESS") == "1";
}

struct LoadedFile {
  TextFile file;
  std::string full_path;
  std::map<size_t, std::string> blessed;
};

std::string read_file(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

class TextTest : public testing::Test {
 public:
  TextTest(LoadedFile& loaded, size_t number) : loaded_(loaded), number_(number) {}

  void TestBody() override {
    const TextFile& file = loaded_.file;
    const TextCase& c = file.cases[number_];
    RunOptions options;
    options.is_blessing = is_blessing();
    const CaseResult result = run_case(file, c, options);
    for (const std::string& text : result.failures) {
      ADD_FAILURE_AT(loaded_.full_path.c_str(), c.line) << text;
    }
    if (is_blessing() && c.expected && result.output && *c.expected != *result.output) {
      loaded_.blessed[number_] = *result.output;
    }
  }

 private:
  LoadedFile& loaded_;
  size_t number_;
};

class FileTest : public testing::Test {
 public:
  explicit FileTest(const LoadedFile& loaded) : loaded_(loaded) {}
  void TestBody() override {
    for (const std::string& text : loaded_.file.mistakes) ADD_FAILURE() << text;
  }

 private:
  const LoadedFile& loaded_;
};

std::string identifier(const std::string& text) {
  std::string name;
  for (char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c))) {
      name += c;
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  while (!name.empty() && name.back() == '_') name.pop_back();
  return name;
}

void register_file(LoadedFile& loaded, const std::string& filter) {
  const TextFile& file = loaded.file;
  const std::string suite = identifier(fs::path(file.path).replace_extension().string());
  auto add = [&](const std::string& name, int line, auto make) {
    if ((suite + "." + name).find(filter) == std::string::npos) return;
    testing::RegisterTest(suite.c_str(), name.c_str(), nullptr, nullptr, loaded.full_path.c_str(),
                          line, make);
  };
  add("file", 1, [&loaded]() -> testing::Test* { return new FileTest(loaded); });
  for (size_t i = 0; i < file.cases.size(); ++i) {
    const std::string title = identifier(file.cases[i].title);
    const std::string name = std::to_string(i + 1) + (title.empty() ? "" : "_" + title);
    add(name, file.cases[i].line,
        [&loaded, i]() -> testing::Test* { return new TextTest(loaded, i); });
  }
}

std::vector<std::unique_ptr<LoadedFile>> load_files() {
  std::vector<fs::path> paths;
  for (const fs::directory_entry& folder : fs::directory_iterator(REPOSE_TESTS_DIR)) {
    if (!folder.is_directory()) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder.path())) {
      const auto extension = entry.path().extension();
      if (extension == ".relax" || extension == ".relay") paths.push_back(entry.path());
    }
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::unique_ptr<LoadedFile>> files;
  for (const fs::path& path : paths) {
    auto loaded = std::make_unique<LoadedFile>();
    loaded->full_path = path.string();
    loaded->file = read_text_file(path.parent_path().filename() / path.filename(), read_file(path));
    files.push_back(std::move(loaded));
  }
  return files;
}

void write_blessed(const LoadedFile& loaded) {
  if (loaded.blessed.empty()) return;
  std::ofstream(loaded.full_path, std::ios::binary) << with_expected(loaded.file, loaded.blessed);
  std::cout << "blessed " << loaded.file.path << "\n";
}

// ctest starts shards of this program side by side. Each needs a report of its own; and as blessing
// rewrites whole files, the first does all of it. False: nothing is left for this one.
bool prepare_shard() {
  const std::string shard = variable("GTEST_SHARD_INDEX");
  if (shard.empty()) return true;
  if (is_blessing()) {
    unsetenv("GTEST_TOTAL_SHARDS");
    unsetenv("GTEST_SHARD_INDEX");
    return shard == "0";
  }
  const std::string folder = variable("GTEST_OUTPUT");
  if (folder.ends_with('/')) {
    setenv("GTEST_OUTPUT", (folder + "test_text_" + shard + ".xml").c_str(), 1);
  }
  return true;
}

}  // namespace
}  // namespace repose::testing_text

int main(int argc, char** argv) {
  using namespace repose::testing_text;
  if (!prepare_shard()) return 0;
  testing::InitGoogleTest(&argc, argv);
  const auto files = load_files();
  const std::string filter = variable("REPOSE_TEST_FILTER");
  for (const auto& loaded : files) register_file(*loaded, filter);
  const int status = RUN_ALL_TESTS();
  for (const auto& loaded : files) write_blessed(*loaded);
  return status;
}

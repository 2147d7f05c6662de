// Linking: shared libraries and objects for static linking, from the fixture model in fixture/.
#include "codegen/llvm/link.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <llvm/BinaryFormat/ELF.h>
#include <malloc.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "codegen/llvm/elf_merge.h"
#include "codegen/llvm/link_lld.h"
#include "codegen_link/fixture/fixture.h"
#include "repose/repose.h"
#include "support/elf_facts.h"

namespace repose {
namespace {

namespace fs = std::filesystem;
using repose::testing::elf_facts;
using repose::testing::ElfFacts;
using repose::testing::ElfSection;
using repose::testing::ElfSegment;
using Names = std::vector<std::string>;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

const std::string& fixture(const std::string& name) {
  static std::map<std::string, std::string> files;
  auto [it, is_new] = files.try_emplace(name);
  if (is_new) it->second = read_file(fs::path(FIXTURE_BINARY_DIR) / name);
  return it->second;
}

std::span<const unsigned char> as_bytes(const std::string& text) {
  return {reinterpret_cast<const unsigned char*>(text.data()), text.size()};
}

// A folder that goes away with the test.
class Link : public ::testing::Test {
 protected:
  Link() {
    std::string pattern = (fs::temp_directory_path() / "repose_link.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~Link() override { fs::remove_all(folder_); }

  std::string file(const std::string& name) const { return folder_ / name; }
  Names files() const {
    Names names;
    for (const auto& entry : fs::directory_iterator(folder_))
      names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  fs::path folder_;
};

LinkInput fixture_input(std::span<const unsigned char> weights = {}) {
  LinkInput input;
  input.objects = {fixture("model.o"), fixture("shared_name.o")};
  input.runtime = LinkRuntime{as_bytes(fixture("runtime.o")), as_bytes(fixture("libc_stub.so"))};
  if (!weights.empty()) input.weights = {{0, weights.data(), weights.size()}};
  input.weights_bytes = weights.size();
  return input;
}

std::vector<unsigned char> numbers(size_t count, unsigned seed = 7) {
  std::vector<unsigned char> result(count);
  for (unsigned char& byte : result)
    byte = static_cast<unsigned char>((seed = seed * 1664525 + 1013904223) >> 24);
  return result;
}

// A loaded library.
class Loaded {
 public:
  explicit Loaded(const std::string& path)
      : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) ADD_FAILURE() << ::dlerror();
  }
  ~Loaded() {
    if (handle_ != nullptr) ::dlclose(handle_);
  }
  Loaded(const Loaded&) = delete;

  void* symbol(const char* name) const {
    return handle_ == nullptr ? nullptr : ::dlsym(handle_, name);
  }
  const fixture_api* api(const char* name = "repose_api_v1") const {
    return static_cast<const fixture_api*>(symbol(name));
  }

 private:
  void* handle_;
};

void expect_ok(const Result<void>& result) {
  if (!result.ok()) ADD_FAILURE() << to_string(result.errors());
}

std::string program_output(const std::string& command) {
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  std::string out;
  char buffer[4096];
  while (size_t count = std::fread(buffer, 1, sizeof buffer, pipe)) out.append(buffer, count);
  const int status = ::pclose(pipe);
  return status == 0 ? out : out + "[status " + std::to_string(status) + "]";
}

std::string compile(const std::string& source, const Names& objects, const std::string& out) {
  std::string command =
      std::string(C_COMPILER) + " -I" PUBLIC_INCLUDE_DIR " " FIXTURE_SOURCE_DIR "/" + source;
  for (const std::string& object : objects) command += " " + object;
  return program_output(command + " -o " + out + " -lpthread -ldl");
}

TEST_F(Link, SharedWithoutWeights) {
  expect_ok(link_shared(fixture_input(), file("model.so")));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api(), nullptr);
  EXPECT_NE(model.api()->weights(), nullptr);
  EXPECT_EQ(model.api()->count(), 1) << "constructors have run";
  EXPECT_EQ(model.api()->count(), 2);
  EXPECT_EQ(files(), Names{"model.so"});
}

TEST_F(Link, SharedWithFewWeights) {
  const std::vector<unsigned char> weights = numbers(1000);
  expect_ok(link_shared(fixture_input(weights), file("model.so")));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api(), nullptr);
  EXPECT_EQ(std::memcmp(model.api()->weights(), weights.data(), weights.size()), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(model.api()->weights()) % 4096, 0u);
  std::vector<unsigned char> copied(weights.size());
  EXPECT_EQ(model.api()->first_bytes(copied.data(), 1000), 0) << "libc is reached";
  EXPECT_EQ(copied, weights);
}

TEST_F(Link, SharedWithManyWeights) {
  const std::vector<unsigned char> weights = numbers((50 << 20) + 13);
  expect_ok(link_shared(fixture_input(weights), file("model.so")));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api(), nullptr);
  EXPECT_EQ(std::memcmp(model.api()->weights(), weights.data(), weights.size()), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(model.api()->weights()) % 4096, 0u);
}

TEST_F(Link, PiecesLieAtTheirOffsets) {
  const std::vector<unsigned char> a = numbers(5), b = numbers(4000, 3), last = numbers(1, 9);
  LinkInput input = fixture_input();
  input.weights = {{64, a.data(), a.size()}, {128, b.data(), b.size()}, {8191, last.data(), 1}};
  input.weights_bytes = 8192;
  std::vector<unsigned char> expected(8192);
  std::copy(a.begin(), a.end(), expected.begin() + 64);
  std::copy(b.begin(), b.end(), expected.begin() + 128);
  expected.back() = last[0];

  expect_ok(link_shared(input, file("model.so")));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api(), nullptr);
  EXPECT_EQ(std::memcmp(model.api()->weights(), expected.data(), expected.size()), 0);
}

TEST_F(Link, OverlappingPiecesAreABug) {
  const std::vector<unsigned char> weights = numbers(100);
  LinkInput input = fixture_input();
  input.weights_bytes = 100;
  input.weights = {{0, weights.data(), 60}, {50, weights.data(), 50}};
  EXPECT_THROW((void)link_shared(input, file("model.so")), InternalError);
  input.weights = {{50, weights.data(), 51}};
  EXPECT_THROW((void)link_shared(input, file("model.so")), InternalError);
  EXPECT_EQ(files(), Names{});
}

// The first byte lies near the code, the last beyond what the small code model reaches.
TEST_F(Link, SharedWithMoreThanTwoGiB) {
  const std::vector<unsigned char> first = numbers(64), last = numbers(64, 5);
  LinkInput input = fixture_input();
  input.weights_bytes = (uint64_t{5} << 30) + 64;
  input.weights = {{0, first.data(), 64}, {uint64_t{5} << 30, last.data(), 64}};
  expect_ok(link_shared(input, file("model.so")));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api(), nullptr);
  EXPECT_EQ(std::memcmp(model.api()->weights(), first.data(), 64), 0);
  EXPECT_EQ(std::memcmp(model.api()->weights() + (uint64_t{5} << 30), last.data(), 64), 0);
}

TEST_F(Link, SharedNeedsLibcAndExportsTheApi) {
  const std::vector<unsigned char> weights = numbers(100);
  expect_ok(link_shared(fixture_input(weights), file("model.so")));
  const ElfFacts facts = elf_facts(file("model.so"));
  EXPECT_EQ(facts.needed, Names{"libc.so.6"});
  EXPECT_EQ(facts.exports, (Names{"__tvm_ffi_main", "repose_api_v1"}));
  EXPECT_EQ(facts.imports, (Names{"free", "malloc", "memcpy"}));
  EXPECT_EQ(facts.soname, "");
  EXPECT_EQ(facts.runpath, "");
  EXPECT_FALSE(facts.has_text_relocations);
  EXPECT_EQ(read_file(file("model.so")).find("fixture_dropped"), std::string::npos) << "unreached";
  EXPECT_EQ(read_file(file("model.so")).find(folder_.string()), std::string::npos);
  struct stat status;
  ASSERT_EQ(::stat(file("model.so").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0755u);
}

TEST_F(Link, SegmentsAreProtected) {
  const std::vector<unsigned char> weights = numbers(5000);
  expect_ok(link_shared(fixture_input(weights), file("model.so")));
  const ElfFacts facts = elf_facts(file("model.so"));
  bool has_stack = false, has_relro = false, has_weights = false;
  for (const ElfSegment& segment : facts.segments) {
    has_stack |= segment.type == llvm::ELF::PT_GNU_STACK;
    has_relro |= segment.type == llvm::ELF::PT_GNU_RELRO;
    has_weights |= segment.type == llvm::ELF::PT_LOAD && segment.file_bytes == 5000;
    const bool writable = (segment.flags & llvm::ELF::PF_W) != 0;
    EXPECT_FALSE(writable && (segment.flags & llvm::ELF::PF_X)) << "of type " << segment.type;
    if (segment.file_bytes == 5000) {
      EXPECT_EQ(segment.flags, uint32_t{llvm::ELF::PF_R});
    }
  }
  EXPECT_TRUE(has_stack);
  EXPECT_TRUE(has_relro);
  EXPECT_TRUE(has_weights);
  const ElfSection* section = facts.section(".weights");
  ASSERT_NE(section, nullptr);
  EXPECT_EQ(section->type, uint32_t{llvm::ELF::SHT_PROGBITS});
  EXPECT_EQ(section->offset % 4096, 0u);
}

TEST_F(Link, PrefixNamesTheApi) {
  LinkInput input = fixture_input();
  input.name_prefix = "minilm";
  expect_ok(link_shared(input, file("model.so")));
  EXPECT_EQ(elf_facts(file("model.so")).exports,
            (Names{"__tvm_ffi_main", "minilm_repose_api_v1", "repose_api_v1"}));
  const Loaded model(file("model.so"));
  ASSERT_NE(model.api("minilm_repose_api_v1"), nullptr);
  EXPECT_EQ(model.api("minilm_repose_api_v1"), model.api());
  EXPECT_EQ(model.api("minilm_repose_api_v1")->count(), 1);
}

TEST_F(Link, SameInputSameBytes) {
  const std::vector<unsigned char> weights = numbers(10000);
  expect_ok(link_shared(fixture_input(weights), file("first.so")));
  expect_ok(link_relocatable(fixture_input(weights), file("first.o")));
  // Other descriptors, another folder and another name.
  std::FILE* other = std::fopen("/dev/null", "r");
  fs::create_directory(folder_ / "below");
  expect_ok(link_shared(fixture_input(weights), file("below/other.so")));
  expect_ok(link_relocatable(fixture_input(weights), file("below/second.o")));
  std::fclose(other);
  EXPECT_TRUE(read_file(file("first.so")) == read_file(file("below/other.so")));
  EXPECT_TRUE(read_file(file("first.o")) == read_file(file("below/second.o")));
}

size_t open_descriptors() {
  return static_cast<size_t>(
      std::distance(fs::directory_iterator("/proc/self/fd"), fs::directory_iterator{}));
}

size_t allocated_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

TEST_F(Link, ManyLinksInOneProcess) {
  const std::vector<unsigned char> weights = numbers(100);
  const LinkInput good = fixture_input(weights);
  LinkInput bad = good;
  bad.objects = {fixture("undefined.o")};
  const auto link_all = [&](int count) {
    for (int i = 0; i < count; ++i) {
      expect_ok(link_shared(good, file("model.so")));
      expect_ok(link_relocatable(good, file("model.o")));
      EXPECT_FALSE(link_shared(bad, file("bad.so")).ok());
    }
  };
  link_all(20);
  const size_t descriptors = open_descriptors(), bytes = allocated_bytes();
  link_all(200);
  EXPECT_EQ(open_descriptors(), descriptors);
  EXPECT_LT(allocated_bytes(), bytes + (64 << 10));  // a sanitizer's allocator reports 0
}

TEST_F(Link, SeveralThreads) {
  const std::vector<unsigned char> weights = numbers(100);
  const LinkInput input = fixture_input(weights);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10; ++i) expect_ok(link_shared(input, file("same.so")));
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(files(), Names{"same.so"});
  const Loaded model(file("same.so"));
  EXPECT_NE(model.api(), nullptr);
}

void expect_error(const Result<void>& result, DiagnosticKind kind, const std::string& part) {
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.errors()[0].kind, kind);
  EXPECT_NE(result.errors()[0].text.find(part), std::string::npos) << to_string(result.errors());
}

TEST_F(Link, UndefinedSymbolIsNamed) {
  LinkInput input = fixture_input();
  input.objects.push_back(fixture("undefined.o"));
  ::testing::internal::CaptureStderr();
  const Result<void> result = link_shared(input, file("model.so"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  expect_error(result, DiagnosticKind::link_failed, "undefined symbol: fixture_nowhere");
  const std::string whole = to_string(result.errors());
  EXPECT_NE(whole.find("`generated code 2`"), std::string::npos) << whole;
  EXPECT_EQ(whole.find("/proc/"), std::string::npos) << whole;
  EXPECT_EQ(files(), Names{});
}

// In a process of its own, as LLD does not run again afterwards.
TEST_F(Link, GivingUpIsAnError) {
  const auto give_up = [&] {
    std::vector<MemoryFile> inputs;
    inputs.push_back(*MemoryFile::create("half a model", fixture("model.o").substr(0, 500), ""));
    const std::vector<std::string> arguments = {"-shared", inputs[0].path()};
    const Result<void> first = run_lld(arguments, inputs, file("model.so"), "model.so");
    const Result<void> again = link_shared(fixture_input(), file("again.so"));
    const bool is_good = !first.ok() && first.errors()[0].kind == DiagnosticKind::link_failed &&
                         first.errors()[0].text.find("`half a model`") != std::string::npos &&
                         !again.ok() && again.errors()[0].kind == DiagnosticKind::link_failed &&
                         again.errors()[0].text.find("cannot run again") != std::string::npos;
    std::_Exit(is_good && files().empty() ? 0 : 1);
  };
  EXPECT_EXIT(give_up(), ::testing::ExitedWithCode(0), "");
}

// LLD 19 writes through a pointer into an earlier link, unless each link mentions the same symbol.
TEST_F(Link, ObjectsWithAndWithoutGlobalOffsetTable) {
  LinkInput without = fixture_input();
  without.objects = {fixture("shared_name.o")};
  for (int i = 0; i < 50; ++i) {
    expect_ok(link_shared(fixture_input(), file("model.so")));
    EXPECT_FALSE(link_shared(without, file("model.so")).ok());
  }
}

TEST_F(Link, MissingApiIsNamed) {
  LinkInput input = fixture_input();
  input.runtime->object = {};
  expect_error(link_shared(input, file("model.so")), DiagnosticKind::link_failed, "repose_api_v1");
  expect_error(link_relocatable(input, file("model.o")), DiagnosticKind::link_failed,
               "repose_api_v1");
  EXPECT_EQ(files(), Names{});
}

TEST_F(Link, GarbageIsRefused) {
  const std::string garbage =
      "\x7f"
      "ELF and then nothing that makes sense, for a while longer than a header";
  LinkInput input = fixture_input();
  input.objects.push_back(garbage);
  expect_error(link_shared(input, file("model.so")), DiagnosticKind::link_failed,
               "generated code 2");
  expect_error(link_relocatable(input, file("model.o")), DiagnosticKind::link_failed,
               "generated code 2");
  std::string cut_off = fixture("model.o").substr(0, 500);
  input.objects.back() = cut_off;
  expect_error(link_shared(input, file("model.so")), DiagnosticKind::link_failed,
               "generated code 2");
  EXPECT_EQ(files(), Names{});
  expect_ok(link_shared(fixture_input(), file("model.so")));
}

TEST_F(Link, BadPrefixAndTarget) {
  LinkInput input = fixture_input();
  for (const char* prefix : {"mini-lm", "2lm", "a b", "x;"}) {
    input.name_prefix = prefix;
    expect_error(link_shared(input, file("model.so")), DiagnosticKind::bad_usage, prefix);
    expect_error(link_relocatable(input, file("model.o")), DiagnosticKind::bad_usage, prefix);
  }
  input.name_prefix = "";
  input.target = "pdp11-unix";
  expect_error(link_shared(input, file("model.so")), DiagnosticKind::unsupported_feature,
               "`pdp11-unix`");
  EXPECT_EQ(files(), Names{});
}

TEST_F(Link, CannotWrite) {
  const std::vector<unsigned char> weights = numbers(100);
  const LinkInput input = fixture_input(weights);
  fs::create_directory(folder_ / "folder");
  for (const std::string& path : {file("nowhere/model.so"), file("folder"), std::string()}) {
    expect_error(link_shared(input, path), DiagnosticKind::cannot_write, path);
    expect_error(link_relocatable(input, path), DiagnosticKind::cannot_write, path);
  }
  EXPECT_EQ(files(), Names{"folder"});
  EXPECT_TRUE(fs::is_empty(folder_ / "folder"));
}

TEST_F(Link, FailureKeepsTheOldFile) {
  expect_ok(link_shared(fixture_input(), file("model.so")));
  const std::string before = read_file(file("model.so"));
  LinkInput bad = fixture_input();
  bad.objects.push_back(fixture("undefined.o"));
  EXPECT_FALSE(link_shared(bad, file("model.so")).ok());
  EXPECT_TRUE(read_file(file("model.so")) == before);
  EXPECT_EQ(files(), Names{"model.so"});
}

// A limit on file sizes stands for a full disk: first LLD's own output, then the weights don't fit.
TEST_F(Link, DiskFull) {
  const std::vector<unsigned char> weights = numbers(1 << 20);
  const LinkInput input = fixture_input(weights);
  const auto old_handler = ::signal(SIGXFSZ, SIG_IGN);
  rlimit old_limit;
  ::getrlimit(RLIMIT_FSIZE, &old_limit);
  std::vector<Result<void>> results;
  for (const rlim_t bytes : {rlim_t{1000}, rlim_t{100000}}) {
    const std::string& loaded_before = fixture("libc_stub.so");
    ASSERT_FALSE(loaded_before.empty());
    const rlimit limit = {bytes, old_limit.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    results.push_back(link_shared(input, file("model.so")));
    results.push_back(link_relocatable(input, file("model.o")));
    ::setrlimit(RLIMIT_FSIZE, &old_limit);
  }
  ::signal(SIGXFSZ, old_handler);
  for (const Result<void>& result : results)
    expect_error(result, DiagnosticKind::cannot_write, "cannot");
  EXPECT_EQ(files(), Names{});
  expect_ok(link_shared(input, file("model.so")));
}

TEST_F(Link, ObjectExportsTheApiAlone) {
  const std::vector<unsigned char> weights = numbers(5000);
  LinkInput input = fixture_input(weights);
  expect_ok(link_relocatable(input, file("plain.o")));
  EXPECT_EQ(elf_facts(file("plain.o")).globals, (Names{"__tvm_ffi_main", "repose_api_v1"}));
  input.name_prefix = "one";
  expect_ok(link_relocatable(input, file("one.o")));
  const ElfFacts facts = elf_facts(file("one.o"));
  EXPECT_EQ(facts.globals, (Names{"__tvm_ffi_one_main", "one_repose_api_v1"}));
  EXPECT_EQ(facts.undefined, (Names{"free", "malloc", "memcpy"}));
  const ElfSection* section = facts.section(".weights");
  ASSERT_NE(section, nullptr);
  EXPECT_EQ(section->type, uint32_t{llvm::ELF::SHT_PROGBITS});
  EXPECT_EQ(section->flags, uint64_t{llvm::ELF::SHF_ALLOC});
  EXPECT_EQ(section->bytes, 5000u);
  EXPECT_EQ(read_file(file("one.o")).substr(section->offset, 5000),
            std::string(weights.begin(), weights.end()));
}

TEST_F(Link, ObjectLinksIntoAProgram) {
  const std::vector<unsigned char> weights = {42, 43};
  expect_ok(link_relocatable(fixture_input(weights), file("model.o")));
  EXPECT_EQ(compile("one_model.c", {file("model.o")}, file("program")), "");
  EXPECT_EQ(program_output(file("program")), "0 42 43\n");
}

TEST_F(Link, TwoModelsLinkIntoOneProgram) {
  for (const bool collect : {false, true}) {
    Names objects;
    for (const std::string name : {"one", "two"}) {
      const std::vector<unsigned char> weights(5000, name == "one" ? 1 : 2);
      LinkInput input = fixture_input(weights);
      input.name_prefix = name;
      expect_ok(link_relocatable(input, file(name + ".o")));
      objects.push_back(file(name + ".o"));
    }
    if (collect) objects.push_back("-Wl,--gc-sections");
    EXPECT_EQ(compile("two_models.c", objects, file("program")), "");
    EXPECT_EQ(program_output(file("program")), "3 1\n1 2\n0 0\n6 8 100\n");
  }
}

TEST_F(Link, ObjectWithoutWeights) {
  LinkInput one = fixture_input(), two = fixture_input();
  one.name_prefix = "one";
  two.name_prefix = "two";
  expect_ok(link_relocatable(one, file("one.o")));
  expect_ok(link_relocatable(two, file("two.o")));
  EXPECT_EQ(compile("two_models.c", {file("one.o"), file("two.o")}, file("program")), "");
}

// With the runtime that is embedded in the compiler.
TEST_F(Link, RealRuntime) {
  const std::vector<unsigned char> weights = numbers(5000);
  LinkInput input = fixture_input(weights);
  input.objects = {fixture("table.o")};
  input.runtime.reset();
  expect_ok(link_shared(input, file("model.so")));
  const ElfFacts facts = elf_facts(file("model.so"));
  EXPECT_EQ(facts.needed, Names{"libc.so.6"});
  EXPECT_EQ(facts.exports, (Names{"__tvm_ffi_main", "repose_api_v1"}));
  EXPECT_FALSE(facts.has_text_relocations);
  const Loaded model(file("model.so"));
  const auto* api = static_cast<const repose_api*>(model.symbol("repose_api_v1"));
  ASSERT_NE(api, nullptr);
  EXPECT_EQ(api->struct_size, sizeof(repose_api));

  Names objects;
  for (const std::string name : {"one", "two"}) {
    input.name_prefix = name;
    expect_ok(link_relocatable(input, file(name + ".o")));
    EXPECT_EQ(elf_facts(file(name + ".o")).globals,
              (Names{"__tvm_ffi_" + name + "_main", name + "_repose_api_v1"}));
    objects.push_back(file(name + ".o"));
  }
  EXPECT_EQ(compile("two_runtimes.c", objects, file("program")), "");
  EXPECT_EQ(program_output(file("program")), "two models\n");
}

// How names are resolved where objects are merged.

NamedObject named(const std::string& name) {
  return {name, fixture(name)};
}

std::optional<std::string> export_fixture(std::string_view name) {
  if (name.starts_with("fixture_")) return std::string(name);
  return std::nullopt;
}

TEST_F(Link, MergedGroupsAreOne) {
  const NamedObject objects[] = {named("shared_name.o"), named("shared_name_too.o")};
  const Result<std::string> merged = merge_objects(objects, export_fixture);
  ASSERT_TRUE(merged.ok()) << to_string(merged.errors());
  std::ofstream(file("merged.o"), std::ios::binary) << *merged;
  EXPECT_EQ(elf_facts(file("merged.o")).globals,
            (Names{"fixture_group_value", "fixture_other_group_value"}));
  EXPECT_EQ(compile("groups.c", {file("merged.o")}, file("program")), "");
  EXPECT_EQ(program_output(file("program")), "42 43\n")
      << "of two weak definitions the first is used";
}

TEST_F(Link, MergeRefusesTwoDefinitions) {
  const NamedObject objects[] = {named("model.o"), {"another", fixture("model.o")}};
  const Result<std::string> merged = merge_objects(objects, export_fixture);
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.errors()[0].text,
            "cannot link: duplicate symbol: fixture_weights (in `model.o` and `another`)");
}

TEST_F(Link, MergeRefusesUndefinedHiddenNames) {
  const NamedObject objects[] = {named("runtime.o")};
  const Result<std::string> merged = merge_objects(objects, export_fixture);
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.errors()[0].text,
            "cannot link: undefined hidden symbol: fixture_weights (used in `runtime.o`)");
}

TEST_F(Link, MergeRefusesLinkedFiles) {
  const NamedObject objects[] = {named("libc_stub.so")};
  const Result<std::string> merged = merge_objects(objects, export_fixture);
  ASSERT_FALSE(merged.ok());
  EXPECT_EQ(merged.errors()[0].text, "cannot link: `libc_stub.so`: not a relocatable object");
}

// Whatever the bytes of an object: an error or a result.
TEST_F(Link, MergeSurvivesDamagedObjects) {
  unsigned seed = 1;
  const auto random = [&](size_t below) {
    return (seed = seed * 1664525 + 1013904223) / 65536 % below;
  };
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = fixture("model.o");
    for (int k = 0; k < 1 + i % 4; ++k)
      damaged[random(damaged.size())] = static_cast<char>(random(256));
    if (i % 5 == 0) damaged.resize(random(damaged.size()));
    const NamedObject objects[] = {{"damaged", damaged}, named("runtime.o")};
    const Result<std::string> merged = merge_objects(objects, export_fixture);
    EXPECT_TRUE(merged.ok() || !merged.errors()[0].text.empty());
  }
}

TEST_F(Link, ObjectRefusesTooManyWeights) {
  LinkInput input = fixture_input();
  input.weights_bytes = max_static_weights_bytes + 1;
  expect_error(link_relocatable(input, file("model.o")), DiagnosticKind::unsupported_feature,
               "1992294401");
  EXPECT_EQ(files(), Names{});
}

TEST_F(Link, TimeOfALargeLink) {
  const std::vector<unsigned char> weights = numbers(100 << 20);
  const auto begin = std::chrono::steady_clock::now();
  expect_ok(link_shared(fixture_input(weights), file("model.so")));
  const auto middle = std::chrono::steady_clock::now();
  expect_ok(link_shared(fixture_input(), file("small.so")));
  const auto end = std::chrono::steady_clock::now();
  const auto ms = [](auto d) { return std::chrono::duration<double, std::milli>(d).count(); };
  std::printf("link with 100 MiB of weights: %.1f ms, without: %.1f ms\n", ms(middle - begin),
              ms(end - middle));
}

}  // namespace
}  // namespace repose

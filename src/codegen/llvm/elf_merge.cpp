// One relocatable object from several: sections side by side, one symbol table, relocations
// renumbered.
#include "codegen/llvm/elf_merge.h"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/Object/ELF.h>
#include <llvm/Support/Error.h>

#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "codegen/llvm/elf_bytes.h"

namespace repose {
namespace {

namespace elf = llvm::ELF;
using File = llvm::object::ELF64LEFile;
using Header = File::Elf_Ehdr;
using Section = File::Elf_Shdr;
using Symbol = File::Elf_Sym;
using Relocation = File::Elf_Rela;

constexpr uint64_t max_alignment = uint64_t{1} << 21;  // of a section: a huge page

struct Input {
  std::string name;
  File file;
  llvm::ArrayRef<Section> sections;
  llvm::ArrayRef<Symbol> symbols;
  llvm::StringRef names;
  std::vector<uint32_t> section_index;  // in the output, by index here; 0: dropped
  std::vector<uint32_t> symbol_index;
};

// All that the inputs say of one global name.
struct Name {
  std::string_view name;
  const Symbol* definition = nullptr;
  size_t input = 0;  // of the definition
  bool is_referenced = false;
  bool is_hidden = false;
  bool is_weak_reference = true;
  std::string first_user;
  uint32_t index = 0;  // in the output
};

Diagnostic bad_object(const std::string& name, std::string_view why) {
  return error(DiagnosticKind::link_failed, {}, "cannot link: `{}`: {}", name, why);
}

Diagnostic bad_object(const std::string& name, llvm::Error e) {
  return bad_object(name, llvm::toString(std::move(e)));
}

// Whether a name may have several such definitions.
bool is_shared(const Symbol& symbol) {
  return symbol.getBinding() == elf::STB_WEAK || symbol.getBinding() == elf::STB_GNU_UNIQUE;
}

bool is_kept(const Section& section, llvm::StringRef name) {
  switch (section.sh_type) {
    case elf::SHT_NULL:
    case elf::SHT_SYMTAB:
    case elf::SHT_STRTAB:
    case elf::SHT_GROUP:
    case elf::SHT_RELA:  // made anew for the sections that are kept
    case elf::SHT_LLVM_ADDRSIG:
    case elf::SHT_LLVM_CALL_GRAPH_PROFILE:
      return false;
    default:
      return name != ".note.gnu.property" && name != ".note.GNU-stack";
  }
}

Result<Input> open_input(const NamedObject& object) {
  auto file = File::create({object.bytes.data(), object.bytes.size()});
  if (!file) return bad_object(object.name, file.takeError());
  if (file->getHeader().e_type != elf::ET_REL)
    return bad_object(object.name, "not a relocatable object");
  auto sections = file->sections();
  if (!sections) return bad_object(object.name, sections.takeError());
  Input input{object.name, *file, *sections, {}, {}, {}, {}};
  for (const Section& section : *sections) {
    const uint64_t alignment = section.sh_addralign;
    if (alignment > max_alignment || (alignment & (alignment - 1)) != 0) {
      return bad_object(object.name, fmt::format("a section is aligned to {}", alignment));
    }
    if (section.sh_type == elf::SHT_REL || section.sh_type == elf::SHT_SYMTAB_SHNDX) {
      return bad_object(object.name, "unexpected kind of section");
    }
    if (section.sh_type != elf::SHT_SYMTAB) continue;
    auto symbols = file->symbols(&section);
    if (!symbols) return bad_object(object.name, symbols.takeError());
    auto names = file->getStringTableForSymtab(section);
    if (!names) return bad_object(object.name, names.takeError());
    input.symbols = *symbols;
    input.names = *names;
  }
  input.section_index.resize(sections->size());
  input.symbol_index.resize(input.symbols.size());
  return input;
}

// The output as it grows. Sections are numbered when they are added.
class Merger {
 public:
  explicit Merger(const ExportName& export_name) : export_name_(export_name) {}

  Result<void> read(std::span<const NamedObject> objects);
  Result<void> resolve();
  Result<void> add_sections();
  Result<void> add_symbols();
  Result<void> add_relocations();
  Result<std::string> finish();

 private:
  uint32_t add_section(Section header, std::string_view name, std::string_view contents);
  uint32_t add_symbol(Symbol symbol, std::string_view name, unsigned char binding);
  Result<Symbol> moved(const Input& input, const Symbol& symbol) const;
  Result<void> add_local_symbols(size_t input_index);
  Result<void> add_global_symbols();
  Result<void> define(size_t input_index, const Symbol& symbol, Name& entry);
  Result<void> note_references(const Input& input);

  const ExportName& export_name_;
  std::vector<Input> inputs_;
  std::vector<Name> names_;  // in the order in which they appear
  std::unordered_map<std::string_view, size_t> name_index_;

  std::vector<Section> sections_ = {Section{}};
  std::string contents_;  // behind the file's header
  std::string section_names_ = std::string(1, '\0');
  std::string symbols_;
  std::string symbol_names_ = std::string(1, '\0');
  uint32_t num_symbols_ = 0;
  uint32_t num_locals_ = 0;
};

Result<void> Merger::read(std::span<const NamedObject> objects) {
  for (const NamedObject& object : objects) {
    REPOSE_TRY(input, open_input(object));
    inputs_.push_back(std::move(input));
    if (inputs_.back().file.getHeader().e_machine != inputs_[0].file.getHeader().e_machine) {
      return bad_object(object.name, "made for another machine");
    }
  }
  return {};
}

Result<void> Merger::define(size_t input_index, const Symbol& symbol, Name& entry) {
  const Input& input = inputs_[input_index];
  if (symbol.st_shndx == elf::SHN_COMMON || symbol.st_shndx == elf::SHN_XINDEX) {
    return bad_object(input.name, fmt::format("unexpected kind of symbol: {}", entry.name));
  }
  const bool is_first = entry.definition == nullptr;
  if (!is_first && !is_shared(*entry.definition) && !is_shared(symbol)) {
    return error(DiagnosticKind::link_failed, {},
                 "cannot link: duplicate symbol: {} (in `{}` and `{}`)", entry.name,
                 inputs_[entry.input].name, input.name);
  }
  if (is_first || (is_shared(*entry.definition) && !is_shared(symbol))) {
    entry.definition = &symbol;
    entry.input = input_index;
  }
  return {};
}

// A symbol that no relocation uses is no reference (assemblers leave such ones behind).
Result<void> Merger::note_references(const Input& input) {
  for (const Section& section : input.sections) {
    if (section.sh_type != elf::SHT_RELA) continue;
    auto relocations = input.file.relas(section);
    if (!relocations) return bad_object(input.name, relocations.takeError());
    for (const Relocation& relocation : *relocations) {
      const uint32_t index = relocation.getSymbol(false);
      if (index >= input.symbols.size()) return bad_object(input.name, "relocation of no symbol");
      const Symbol& symbol = input.symbols[index];
      if (symbol.getBinding() == elf::STB_LOCAL || !symbol.isUndefined()) continue;
      auto name = symbol.getName(input.names);
      if (!name) return bad_object(input.name, name.takeError());
      Name& entry = names_[name_index_.at({name->data(), name->size()})];
      if (!entry.is_referenced) entry.first_user = input.name;
      entry.is_referenced = true;
      entry.is_hidden |= symbol.getVisibility() != elf::STV_DEFAULT;
      entry.is_weak_reference &= symbol.getBinding() == elf::STB_WEAK;
    }
  }
  return {};
}

Result<void> Merger::resolve() {
  for (size_t i = 0; i < inputs_.size(); ++i) {
    for (const Symbol& symbol : inputs_[i].symbols) {
      if (symbol.getBinding() == elf::STB_LOCAL) continue;
      auto name = symbol.getName(inputs_[i].names);
      if (!name) return bad_object(inputs_[i].name, name.takeError());
      const std::string_view text(name->data(), name->size());
      const auto [entry, is_new] = name_index_.try_emplace(text, names_.size());
      if (is_new) names_.emplace_back().name = text;
      if (symbol.isUndefined()) continue;
      if (auto r = define(i, symbol, names_[entry->second]); !r) return r;
    }
  }
  for (const Input& input : inputs_) {
    if (auto r = note_references(input); !r) return r;
  }
  return {};
}

uint32_t Merger::add_section(Section header, std::string_view name, std::string_view contents) {
  header.sh_name = add_string(section_names_, name);
  const uint64_t alignment = std::max<uint64_t>(header.sh_addralign, 1);
  const bool has_contents = header.sh_type != elf::SHT_NOBITS;
  if (has_contents) {
    const uint64_t end = sizeof(Header) + contents_.size();
    contents_.append((alignment - end % alignment) % alignment, '\0');
  }
  header.sh_offset = sizeof(Header) + contents_.size();
  if (has_contents) {
    header.sh_size = contents.size();
    contents_.append(contents);
  }
  sections_.push_back(header);
  return static_cast<uint32_t>(sections_.size() - 1);
}

Result<void> Merger::add_sections() {
  for (Input& input : inputs_) {
    for (size_t i = 0; i < input.sections.size(); ++i) {
      Section header = input.sections[i];
      auto name = input.file.getSectionName(header);
      if (!name) return bad_object(input.name, name.takeError());
      if (!is_kept(header, *name)) continue;
      std::string_view bytes;
      if (header.sh_type != elf::SHT_NOBITS) {
        auto contents = input.file.getSectionContents(header);
        if (!contents) return bad_object(input.name, contents.takeError());
        bytes = {reinterpret_cast<const char*>(contents->data()), contents->size()};
      }
      header.sh_flags = header.sh_flags & ~uint64_t{elf::SHF_GROUP};
      input.section_index[i] = add_section(header, {name->data(), name->size()}, bytes);
    }
    for (const uint32_t index : input.section_index) {
      if (index == 0) continue;
      Section& header = sections_[index];
      if (header.sh_link >= input.section_index.size()) return bad_object(input.name, "bad link");
      header.sh_link = input.section_index[header.sh_link];
    }
  }
  Section stack_note{};  // says that the stack need not be executable
  stack_note.sh_type = elf::SHT_PROGBITS;
  stack_note.sh_addralign = 1;
  add_section(stack_note, ".note.GNU-stack", {});
  return {};
}

uint32_t Merger::add_symbol(Symbol symbol, std::string_view name, unsigned char binding) {
  symbol.st_name = add_string(symbol_names_, name);
  symbol.setBindingAndType(binding, symbol.getType());
  symbol.st_other = elf::STV_DEFAULT;
  append_struct(symbols_, symbol);
  return num_symbols_++;
}

// The symbol with its section's number in the output, 0 where that was dropped.
Result<Symbol> Merger::moved(const Input& input, const Symbol& symbol) const {
  Symbol result = symbol;
  if (symbol.st_shndx == elf::SHN_ABS || symbol.st_shndx == elf::SHN_UNDEF) return result;
  if (symbol.st_shndx >= input.section_index.size())
    return bad_object(input.name, "symbol in no section");
  result.st_shndx = static_cast<uint16_t>(input.section_index[symbol.st_shndx]);
  return result;
}

Result<void> Merger::add_local_symbols(size_t input_index) {
  Input& input = inputs_[input_index];
  for (size_t i = 1; i < input.symbols.size(); ++i) {
    const Symbol& symbol = input.symbols[i];
    auto name = symbol.getName(input.names);
    if (!name) return bad_object(input.name, name.takeError());
    const std::string_view text(name->data(), name->size());
    const bool is_local = symbol.getBinding() == elf::STB_LOCAL;
    if (!is_local) {
      const Name& entry = names_[name_index_.at(text)];
      if (entry.definition != &symbol || export_name_(text)) continue;
    }
    REPOSE_TRY(local, moved(input, symbol));
    if (local.st_shndx == elf::SHN_UNDEF) continue;
    const uint32_t index = add_symbol(local, text, elf::STB_LOCAL);
    if (is_local) {
      input.symbol_index[i] = index;
    } else {
      names_[name_index_.at(text)].index = index;
    }
  }
  return {};
}

Result<void> Merger::add_global_symbols() {
  for (Name& entry : names_) {
    if (entry.definition != nullptr) {
      const std::optional<std::string> exported = export_name_(entry.name);
      if (!exported) continue;
      REPOSE_TRY(symbol, moved(inputs_[entry.input], *entry.definition));
      entry.index = add_symbol(symbol, *exported, elf::STB_GLOBAL);
    } else if (entry.is_referenced) {
      if (entry.is_hidden && !entry.is_weak_reference) {
        return error(DiagnosticKind::link_failed, {},
                     "cannot link: undefined hidden symbol: {} (used in `{}`)", entry.name,
                     entry.first_user);
      }
      entry.index = add_symbol(Symbol{}, entry.name,
                               entry.is_weak_reference ? elf::STB_WEAK : elf::STB_GLOBAL);
    }
  }
  return {};
}

Result<void> Merger::add_symbols() {
  add_symbol(Symbol{}, {}, elf::STB_LOCAL);
  for (size_t i = 0; i < inputs_.size(); ++i) {
    if (auto r = add_local_symbols(i); !r) return r;
  }
  num_locals_ = num_symbols_;
  if (auto r = add_global_symbols(); !r) return r;
  for (Input& input : inputs_) {
    for (size_t i = 1; i < input.symbols.size(); ++i) {
      if (input.symbols[i].getBinding() == elf::STB_LOCAL) continue;
      const llvm::StringRef name = llvm::cantFail(input.symbols[i].getName(input.names));
      input.symbol_index[i] = names_[name_index_.at({name.data(), name.size()})].index;
    }
  }
  return {};
}

Result<void> Merger::add_relocations() {
  for (const Input& input : inputs_) {
    for (const Section& section : input.sections) {
      if (section.sh_type != elf::SHT_RELA) continue;
      if (section.sh_info >= input.section_index.size()) return bad_object(input.name, "bad link");
      const uint32_t target = input.section_index[section.sh_info];
      if (target == 0) continue;
      std::string out;
      for (Relocation relocation : llvm::cantFail(input.file.relas(section))) {
        const uint32_t symbol = relocation.getSymbol(false);
        if (symbol != 0 && input.symbol_index[symbol] == 0) {
          return bad_object(input.name, "relocation of a symbol that is dropped");
        }
        relocation.setSymbol(input.symbol_index[symbol], false);
        append_struct(out, relocation);
      }
      const llvm::StringRef name = llvm::cantFail(input.file.getSectionName(section));
      Section header = section;
      header.sh_flags = elf::SHF_INFO_LINK;
      header.sh_info = target;
      add_section(header, {name.data(), name.size()}, out);
    }
  }
  return {};
}

Result<std::string> Merger::finish() {
  Section header{};
  header.sh_type = elf::SHT_SYMTAB;
  header.sh_addralign = alignof(uint64_t);
  header.sh_entsize = sizeof(Symbol);
  header.sh_info = num_locals_;
  const uint32_t symbols = add_section(header, ".symtab", symbols_);
  header = {};
  header.sh_type = elf::SHT_STRTAB;
  header.sh_addralign = 1;
  sections_[symbols].sh_link = add_section(header, ".strtab", symbol_names_);
  const uint32_t name = add_string(section_names_, ".shstrtab");
  const uint32_t names = add_section(header, {}, std::string(section_names_));
  sections_[names].sh_name = name;
  for (Section& section : sections_) {
    if (section.sh_type == elf::SHT_RELA) section.sh_link = symbols;
  }
  if (sections_.size() >= elf::SHN_LORESERVE) {
    return error(DiagnosticKind::link_failed, {}, "cannot link: {} sections are too many",
                 sections_.size());
  }

  Header file = inputs_[0].file.getHeader();
  while (contents_.size() % alignof(uint64_t) != 0) contents_.push_back('\0');
  file.e_shoff = sizeof(Header) + contents_.size();
  file.e_shnum = static_cast<uint16_t>(sections_.size());
  file.e_shstrndx = static_cast<uint16_t>(names);
  std::string out;
  append_struct(out, file);
  out += contents_;
  for (const Section& section : sections_) append_struct(out, section);
  return out;
}

}  // namespace

Result<void> check_object(const NamedObject& object) {
  REPOSE_TRY(input, open_input(object));
  for (const Section& section : input.sections) {
    auto name = input.file.getSectionName(section);
    if (!name) return bad_object(object.name, name.takeError());
    if (section.sh_type == elf::SHT_NOBITS) continue;
    auto contents = input.file.getSectionContents(section);
    if (!contents) return bad_object(object.name, contents.takeError());
  }
  return {};
}

Result<std::string> merge_objects(std::span<const NamedObject> objects,
                                  const ExportName& export_name) {
  REPOSE_CHECK(!objects.empty(), "there is nothing to merge");
  Merger merger(export_name);
  if (auto r = merger.read(objects); !r) return r.errors();
  if (auto r = merger.resolve(); !r) return r.errors();
  if (auto r = merger.add_sections(); !r) return r.errors();
  if (auto r = merger.add_symbols(); !r) return r.errors();
  if (auto r = merger.add_relocations(); !r) return r.errors();
  return merger.finish();
}

}  // namespace repose

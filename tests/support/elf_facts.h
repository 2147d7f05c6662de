// What an ELF file says about itself: what it exports, imports and needs, its segments and
// sections. For tests of linked models; read with LLVM's Object library (link repose_codegen).
#pragma once

#include <llvm/ADT/StringRef.h>
#include <llvm/Object/ELFObjectFile.h>
#include <llvm/Support/Error.h>
#include <llvm/Support/MemoryBuffer.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace repose::testing {

struct ElfSegment {
  uint32_t type = 0;   // PT_LOAD, …
  uint32_t flags = 0;  // PF_R | PF_W | PF_X
  uint64_t offset = 0, address = 0, file_bytes = 0, memory_bytes = 0, alignment = 0;
};

struct ElfSection {
  std::string name;
  uint32_t type = 0;
  uint64_t flags = 0, offset = 0, address = 0, bytes = 0, alignment = 0;
};

// All lists of names are sorted.
struct ElfFacts {
  std::vector<std::string> needed;            // DT_NEEDED
  std::string soname, runpath;                // empty: none
  std::vector<std::string> exports, imports;  // dynamic symbols, defined and undefined
  std::vector<std::string> globals,
      undefined;  // of the static symbol table: defined not local, undefined
  std::vector<ElfSegment> segments;
  std::vector<ElfSection> sections;
  bool has_text_relocations = false;

  const ElfSection* section(const std::string& name) const {
    for (const ElfSection& s : sections) {
      if (s.name == name) return &s;
    }
    return nullptr;
  }
};

namespace elf_facts_detail {

template <class T>
T get(llvm::Expected<T> value) {
  if (!value) throw std::runtime_error(llvm::toString(value.takeError()));
  return std::move(*value);
}

using File = llvm::object::ELF64LEFile;
using Shdr = File::Elf_Shdr;

inline void read_symbols(const File& file, const Shdr& table, std::vector<std::string>& defined,
                         std::vector<std::string>& undefined) {
  const llvm::StringRef names = get(file.getStringTableForSymtab(table));
  for (const auto& symbol : get(file.symbols(&table))) {
    if (symbol.getBinding() == llvm::ELF::STB_LOCAL) continue;
    (symbol.isUndefined() ? undefined : defined).push_back(get(symbol.getName(names)).str());
  }
}

inline void read_dynamic(const File& file, ElfFacts& facts) {
  llvm::StringRef names;
  for (const Shdr& section : get(file.sections())) {
    if (section.sh_type == llvm::ELF::SHT_DYNSYM)
      names = get(file.getStringTableForSymtab(section));
  }
  for (const auto& entry : get(file.dynamicEntries())) {
    const auto text = [&] { return std::string(names.data() + entry.getVal()); };
    switch (entry.getTag()) {
      case llvm::ELF::DT_NEEDED:
        facts.needed.push_back(text());
        break;
      case llvm::ELF::DT_SONAME:
        facts.soname = text();
        break;
      case llvm::ELF::DT_RPATH:
      case llvm::ELF::DT_RUNPATH:
        facts.runpath = text();
        break;
      case llvm::ELF::DT_TEXTREL:
        facts.has_text_relocations = true;
        break;
      default:
        break;
    }
  }
}

}  // namespace elf_facts_detail

// Throws std::runtime_error where `path` is no 64-bit little-endian ELF file.
inline ElfFacts elf_facts(const std::string& path) {
  using namespace elf_facts_detail;
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) throw std::runtime_error(path + ": " + buffer.getError().message());
  const File file = get(File::create((*buffer)->getBuffer()));

  ElfFacts facts;
  for (const auto& p : get(file.program_headers())) {
    facts.segments.push_back(
        {p.p_type, p.p_flags, p.p_offset, p.p_vaddr, p.p_filesz, p.p_memsz, p.p_align});
  }
  for (const Shdr& s : get(file.sections())) {
    facts.sections.push_back({get(file.getSectionName(s)).str(), s.sh_type, s.sh_flags, s.sh_offset,
                              s.sh_addr, s.sh_size, s.sh_addralign});
    if (s.sh_type == llvm::ELF::SHT_DYNSYM) read_symbols(file, s, facts.exports, facts.imports);
    if (s.sh_type == llvm::ELF::SHT_SYMTAB) read_symbols(file, s, facts.globals, facts.undefined);
  }
  if (file.getHeader().e_type != llvm::ELF::ET_REL) read_dynamic(file, facts);
  for (auto* names :
       {&facts.needed, &facts.exports, &facts.imports, &facts.globals, &facts.undefined}) {
    std::sort(names->begin(), names->end());
  }
  return facts;
}

}  // namespace repose::testing

// The weights' section: a writer of one small ELF object, and the headers of a linked file patched.
#include "codegen/llvm/elf_weights.h"

#include <llvm/BinaryFormat/ELF.h>

#include <cstring>
#include <string_view>

#include "codegen/llvm/elf_bytes.h"

namespace repose {
namespace {

using llvm::ELF::Elf64_Ehdr;
using llvm::ELF::Elf64_Phdr;
using llvm::ELF::Elf64_Shdr;
using llvm::ELF::Elf64_Sym;

constexpr char section_name[] = ".weights";

uint64_t align_up(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
}

template <class T>
T read_at(const std::string& bytes, uint64_t offset) {
  REPOSE_CHECK(offset <= bytes.size() && sizeof(T) <= bytes.size() - offset,
               "the linker's output is cut off");
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

Elf64_Ehdr object_header(uint16_t machine) {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, llvm::ELF::ElfMagic, 4);
  header.e_ident[llvm::ELF::EI_CLASS] = llvm::ELF::ELFCLASS64;
  header.e_ident[llvm::ELF::EI_DATA] = llvm::ELF::ELFDATA2LSB;
  header.e_ident[llvm::ELF::EI_VERSION] = llvm::ELF::EV_CURRENT;
  header.e_type = llvm::ELF::ET_REL;
  header.e_machine = machine;
  header.e_version = llvm::ELF::EV_CURRENT;
  header.e_ehsize = sizeof(Elf64_Ehdr);
  header.e_shentsize = sizeof(Elf64_Shdr);
  return header;
}

struct FoundSection {
  Elf64_Shdr header;
  uint64_t header_offset;
};

FoundSection find_weights_section(const std::string& image, const Elf64_Ehdr& header) {
  const auto header_at = [&](uint64_t i) { return header.e_shoff + i * sizeof(Elf64_Shdr); };
  // Beyond 65279 sections the header's fields overflow into section 0.
  const auto first = read_at<Elf64_Shdr>(image, header.e_shoff);
  const uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  const uint64_t names_index =
      header.e_shstrndx != llvm::ELF::SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  const auto names = read_at<Elf64_Shdr>(image, header_at(names_index));
  for (uint64_t i = 1; i < count; ++i) {
    const auto section = read_at<Elf64_Shdr>(image, header_at(i));
    const uint64_t name = names.sh_offset + section.sh_name;
    if (name < image.size() && std::string_view(image.c_str() + name) == section_name) {
      return {section, header_at(i)};
    }
  }
  REPOSE_CHECK(false, "the linker dropped the section `.weights`");
  return {};
}

// The segment that holds the section at this address and nothing else; returns its header's offset.
uint64_t find_weights_segment(const std::string& image, const Elf64_Ehdr& header,
                              const Elf64_Shdr& section) {
  for (uint64_t i = 0; i < header.e_phnum; ++i) {
    const uint64_t offset = header.e_phoff + i * sizeof(Elf64_Phdr);
    const auto segment = read_at<Elf64_Phdr>(image, offset);
    if (segment.p_type != llvm::ELF::PT_LOAD || segment.p_vaddr != section.sh_addr) continue;
    REPOSE_CHECK(segment.p_filesz == 0 && segment.p_memsz == section.sh_size &&
                     segment.p_flags == llvm::ELF::PF_R,
                 "the segment of `.weights` holds something else");
    return offset;
  }
  REPOSE_CHECK(false, "`.weights` has no segment of its own");
  return 0;
}

void check_pieces(std::span<const WeightPiece> pieces, uint64_t bytes) {
  uint64_t end = 0;
  for (const WeightPiece& piece : pieces) {
    REPOSE_CHECK(
        piece.offset >= end && piece.offset <= bytes && piece.bytes <= bytes - piece.offset,
        "pieces of weights overlap or lie outside");
    end = piece.offset + piece.bytes;
  }
}

}  // namespace

std::string weights_object(uint64_t bytes, uint16_t machine) {
  enum { null_section, weights, symbols, strings, stack_note, section_names, num_sections };
  Elf64_Shdr sections[num_sections] = {};
  std::string section_strings(1, '\0');
  std::string symbol_strings(1, '\0');

  Elf64_Sym symbol{};
  symbol.st_name = add_string(symbol_strings, "repose_weights");
  symbol.setBindingAndType(llvm::ELF::STB_GLOBAL, llvm::ELF::STT_OBJECT);
  symbol.st_other = llvm::ELF::STV_HIDDEN;
  symbol.st_shndx = weights;
  symbol.st_size = bytes;

  const auto describe = [&](int i, const char* name, uint32_t type, uint64_t alignment) {
    sections[i].sh_name = add_string(section_strings, name);
    sections[i].sh_type = type;
    sections[i].sh_addralign = alignment;
  };
  describe(weights, section_name, llvm::ELF::SHT_NOBITS, weights_alignment);
  sections[weights].sh_flags = llvm::ELF::SHF_ALLOC;
  sections[weights].sh_size = bytes;
  describe(symbols, ".symtab", llvm::ELF::SHT_SYMTAB, alignof(Elf64_Sym));
  sections[symbols].sh_entsize = sizeof(Elf64_Sym);
  sections[symbols].sh_link = strings;
  sections[symbols].sh_info = 1;  // the first symbol that is not local
  describe(strings, ".strtab", llvm::ELF::SHT_STRTAB, 1);
  describe(stack_note, ".note.GNU-stack", llvm::ELF::SHT_PROGBITS, 1);
  describe(section_names, ".shstrtab", llvm::ELF::SHT_STRTAB, 1);

  std::string out;
  Elf64_Ehdr header = object_header(machine);
  header.e_shnum = num_sections;
  header.e_shstrndx = section_names;
  header.e_shoff = sizeof(Elf64_Ehdr);
  append_struct(out, header);

  std::string contents;
  const auto add_contents = [&](int i, std::string_view data) {
    sections[i].sh_offset = sizeof(Elf64_Ehdr) + sizeof(sections) + contents.size();
    sections[i].sh_size = data.size();
    contents.append(data);
  };
  // LLD 19 keeps a pointer to the last link's _GLOBAL_OFFSET_TABLE_ and writes through it, freed or
  // not, unless this link mentions the symbol too. So each one does.
  Elf64_Sym global_offset_table{};
  global_offset_table.st_name = add_string(symbol_strings, "_GLOBAL_OFFSET_TABLE_");
  global_offset_table.setBindingAndType(llvm::ELF::STB_GLOBAL, llvm::ELF::STT_NOTYPE);
  std::string symbol_table(sizeof(Elf64_Sym), '\0');
  append_struct(symbol_table, symbol);
  append_struct(symbol_table, global_offset_table);
  add_contents(symbols, symbol_table);
  add_contents(strings, symbol_strings);
  add_contents(stack_note, {});
  add_contents(section_names, section_strings);
  sections[weights].sh_offset = sizeof(Elf64_Ehdr) + sizeof(sections);
  for (const Elf64_Shdr& section : sections) append_struct(out, section);
  return out + contents;
}

Result<void> append_weights(OutputFile& file, std::span<const WeightPiece> pieces, uint64_t bytes) {
  check_pieces(pieces, bytes);
  REPOSE_TRY(image, file.read_all());
  const auto header = read_at<Elf64_Ehdr>(image, 0);
  FoundSection section = find_weights_section(image, header);
  REPOSE_CHECK(section.header.sh_type == llvm::ELF::SHT_NOBITS && section.header.sh_size == bytes,
               "`.weights` is not what the linker was given");

  uint64_t begin = align_up(image.size(), weights_alignment);
  if (header.e_type == llvm::ELF::ET_DYN) {
    const uint64_t offset = find_weights_segment(image, header, section.header);
    auto segment = read_at<Elf64_Phdr>(image, offset);
    // File offset and address have to agree modulo the segment's alignment.
    begin = align_up(image.size(), segment.p_align) + segment.p_vaddr % segment.p_align;
    segment.p_offset = begin;
    segment.p_filesz = segment.p_memsz;
    if (auto r = file.write_at(offset, &segment, sizeof(segment)); !r) return r;
  }
  section.header.sh_type = llvm::ELF::SHT_PROGBITS;
  section.header.sh_offset = begin;
  if (auto r = file.write_at(section.header_offset, &section.header, sizeof(section.header)); !r) {
    return r;
  }
  for (const WeightPiece& piece : pieces) {
    if (auto r = file.write_at(begin + piece.offset, piece.data, piece.bytes); !r) return r;
  }
  return file.resize(begin + bytes);
}

}  // namespace repose

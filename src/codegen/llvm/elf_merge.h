// One relocatable object from several, with symbols of its own: what `ld -r` and then `objcopy
// --keep-global-symbols --redefine-syms` do. (LLD 19 cannot: as a library its `-r` crashes once it
// has linked a shared library in the same process.)
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/diagnostic.h"

namespace repose {

struct NamedObject {
  std::string name;  // for messages
  std::span<const char> bytes;
};

// Whether the tables of an object are whole: link_failed otherwise. (A malformed object makes LLD
// stop for good.)
Result<void> check_object(const NamedObject& object);

// Given the name of a global symbol that an object defines: the name to export it by, or none to
// make it local.
using ExportName = std::function<std::optional<std::string>(std::string_view)>;

// Sections are kept as they are, one behind the other; names are resolved as linkers do (a strong
// definition before a weak one, before the first of several weak ones), and what nothing defines
// stays undefined. Section groups are dissolved, as linkers match them by name, local or not; notes
// on properties of the whole object (.note.gnu.property) are dropped. The objects are for one
// 64-bit little-endian machine with RELA relocations. Errors: link_failed for an object that is not
// one, symbols defined twice, hidden symbols that nothing defines.
Result<std::string> merge_objects(std::span<const NamedObject> objects,
                                  const ExportName& export_name);

}  // namespace repose

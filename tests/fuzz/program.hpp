#pragma once

#include <string_view>
#include <vector>

#include <fuzz/reader.hpp>

/// What the programs around readers share.
namespace fuzz {

/// All readers that are linked with the program.
std::vector<const Reader*>& readers();

/// Feeds an input to a reader and looks at the error, if it throws one; false then.
bool run(const Reader& reader, const Folder& folder, std::string_view input);

}  // namespace fuzz

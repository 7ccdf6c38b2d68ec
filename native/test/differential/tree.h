// A whole tree as text, one line a name: equal trees give equal lines.
#pragma once

#include <string>
#include <vector>

std::vector<std::string> tree_lines(const std::string& directory);

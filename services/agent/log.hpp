// One line on stderr: the time, and what happened. Letters from outside that could fool a terminal become '?'.
#pragma once

#include <string_view>

namespace caisson::services::agent {

void log_line(std::string_view text);

} // namespace caisson::services::agent

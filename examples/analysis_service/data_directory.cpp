// SPDX-License-Identifier: Apache-2.0
#include "analysis_service/data_directory.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>

namespace analysis {

data_directory::data_directory(const std::string& path, std::string_view lock_name) : path_{path} {
  std::error_code failure;
  std::filesystem::create_directories(path_, failure);
  if (failure) throw std::runtime_error{fmt::format("data_dir '{}' cannot be created: {}", path_, failure.message())};
  lock_ = file_descriptor{::open(file(lock_name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock_.is_open()) {
    throw std::runtime_error{fmt::format("data_dir '{}' cannot be written to: {}", path_, std::generic_category().message(errno))};
  }
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0) {
    throw std::runtime_error{fmt::format("data_dir '{}' is in use by another process; give this one another directory", path_)};
  }
}

std::string data_directory::file(std::string_view name) const { return fmt::format("{}/{}", path_, name); }

}  // namespace analysis

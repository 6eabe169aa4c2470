// SPDX-License-Identifier: Apache-2.0
#include "analyzer/blob_hash.hpp"

#include <openssl/evp.h>

#include <cstddef>
#include <stdexcept>

namespace analysis {

namespace {

constexpr std::string_view digits = "0123456789abcdef";

void require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL cannot compute SHA-1");
}

}  // namespace

std::string to_hex(const blob_id& id) {
  std::string hex;
  hex.reserve(id.size() * 2);
  for (const std::uint8_t byte : id) {
    hex.push_back(digits[byte >> 4U]);
    hex.push_back(digits[byte & 15U]);
  }
  return hex;
}

std::optional<blob_id> blob_id_from_hex(std::string_view hex) noexcept {
  blob_id id{};
  if (hex.size() != id.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const auto value = digits.find(hex[i]);
    if (value == std::string_view::npos) return std::nullopt;
    id[i / 2] = static_cast<std::uint8_t>((std::size_t{id[i / 2]} << 4U) | value);
  }
  return id;
}

void blob_hasher::release::operator()(evp_md_ctx_st* context) const noexcept { EVP_MD_CTX_free(context); }
void blob_hasher::release::operator()(evp_md_st* algorithm) const noexcept { EVP_MD_free(algorithm); }

blob_hasher::blob_hasher() : algorithm_(EVP_MD_fetch(nullptr, "SHA1", nullptr)), context_(EVP_MD_CTX_new()) {
  require(algorithm_ != nullptr && context_ != nullptr);
}

void blob_hasher::start(std::uint64_t size) {
  require(EVP_DigestInit_ex2(context_.get(), algorithm_.get(), nullptr) == 1);
  const std::string header = "blob " + std::to_string(size);
  update({header.c_str(), header.size() + 1});
}

void blob_hasher::update(std::string_view bytes) {
  require(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

blob_id blob_hasher::finish() {
  blob_id id{};
  require(EVP_DigestFinal_ex(context_.get(), id.data(), nullptr) == 1);
  return id;
}

}  // namespace analysis

// SPDX-License-Identifier: Apache-2.0
#include "signature.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <stdexcept>

namespace spillway::detail {

sha256_digest sha256(std::string_view bytes) {
  sha256_digest digest;
  unsigned int length{0};
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1 || length != digest.size()) {
    throw std::runtime_error{"OpenSSL has no SHA-256"};
  }
  return digest;
}

sha256_digest hmac_sha256(std::string_view key, std::string_view bytes) {
  sha256_digest digest;
  unsigned int length{0};
  const auto* data = static_cast<const unsigned char*>(static_cast<const void*>(bytes.data()));
  if (HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data, bytes.size(), digest.data(), &length) == nullptr ||
      length != digest.size()) {
    throw std::runtime_error{"OpenSSL has no HMAC-SHA256"};
  }
  return digest;
}

bool same_bytes(std::string_view left, std::string_view right) noexcept {
  return left.size() == right.size() && CRYPTO_memcmp(left.data(), right.data(), left.size()) == 0;
}

}  // namespace spillway::detail

// SPDX-License-Identifier: Apache-2.0
#include "db/keyset/base64url.hpp"

#include <doctest/doctest.h>

#include <random>
#include <string>

using spillway::detail::base64url_chars;
using spillway::detail::base64url_decoded;
using spillway::detail::base64url_encoded;

TEST_CASE("base64url.is that of RFC 4648 without padding") {
  CHECK(base64url_encoded("") == "");
  CHECK(base64url_encoded("f") == "Zg");
  CHECK(base64url_encoded("fo") == "Zm8");
  CHECK(base64url_encoded("foo") == "Zm9v");
  CHECK(base64url_encoded("foobar") == "Zm9vYmFy");
  CHECK(base64url_encoded("\xff\xfe\xfd") == "__79");
  CHECK(base64url_encoded("\xfb\xef") == "--8");
}

TEST_CASE("base64url.comes back as it went in, whatever the bytes") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random{seed};
  for (std::size_t length = 0; length < 200; ++length) {
    std::string bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random());
    const auto text = base64url_encoded(bytes);
    CHECK(text.size() == base64url_chars(length));
    CHECK(base64url_decoded(text) == bytes);
  }
}

TEST_CASE("base64url.takes no other spelling of the same bytes") {
  for (const auto* text : {"Zg==", "Zh", "Zm9", "Z", "Zm9vY", "Zm9v\n", " Zm9v", "Zm+v", "Zm/v", "Zm9\x80"}) {
    CAPTURE(text);
    CHECK_FALSE(base64url_decoded(text).has_value());
  }
}

// SPDX-License-Identifier: Apache-2.0
#include "analyzer/blob_hash.hpp"

#include "run_program.hpp"
#include "support/temp_dir.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

using namespace analysis;

namespace {

std::string hash(std::string_view text, std::size_t piece) {
  blob_hasher hasher;
  hasher.start(text.size());
  for (std::size_t i = 0; i < text.size(); i += piece) hasher.update(text.substr(i, piece));
  return to_hex(hasher.finish());
}

}  // namespace

TEST_CASE("blob_hasher.gives_the_ids_of_git") {
  const spillway::tests::temp_dir dir;
  const std::string large(200'000, 'x');
  for (const std::string& text : {std::string(), std::string("a"), std::string("a\nb\r\n"), std::string("\0\xFF", 2), large}) {
    const std::string file = dir.write("file", text);
    const std::string expected = tests::output_of({"git", "hash-object", "--no-filters", file});
    REQUIRE(expected.size() == 41);
    CHECK(hash(text, 1 << 20) == expected.substr(0, 40));
    CHECK(hash(text, 7) == expected.substr(0, 40));
  }
}

TEST_CASE("blob_hasher.can_be_used_again") {
  blob_hasher hasher;
  hasher.start(1);
  hasher.update("a");
  const blob_id first = hasher.finish();
  hasher.start(1);
  hasher.update("a");
  CHECK(hasher.finish() == first);
}

TEST_CASE("blob_id.reads_back_from_hex") {
  const std::string hex = "0123456789abcdef0123456789abcdef01234567";
  REQUIRE(blob_id_from_hex(hex).has_value());
  CHECK(to_hex(*blob_id_from_hex(hex)) == hex);
  CHECK_FALSE(blob_id_from_hex("0123").has_value());
  CHECK_FALSE(blob_id_from_hex("0123456789ABCDEF0123456789abcdef01234567").has_value());
  CHECK_FALSE(blob_id_from_hex(hex + "0").has_value());
}

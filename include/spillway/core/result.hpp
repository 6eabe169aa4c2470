// SPDX-License-Identifier: Apache-2.0
/// @file
/// A value, or the reason why there is none.
#pragma once

#include <spillway/core/error.hpp>

#include <boost/system/result.hpp>

namespace spillway {

/// `value()` throws what the error stands for, `error()` never does, `if (r)` asks.
/// With the default `E`, `value()` throws boost::system::system_error.
template <class T, class E = error_code>
using result = boost::system::result<T, E>;

}  // namespace spillway

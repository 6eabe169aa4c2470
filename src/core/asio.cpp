// SPDX-License-Identifier: Apache-2.0
// The compiled half of Asio, once, so that no other file has to compile it.
#include <boost/asio/impl/src.hpp>

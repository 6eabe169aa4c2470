// SPDX-License-Identifier: Apache-2.0
// The compiled half of Beast, once, so that no other file has to compile it.
#include <boost/beast/src.hpp>

// SPDX-License-Identifier: Apache-2.0
module puddle_pool

go 1.21

require github.com/jackc/puddle/v2 v2.2.3

// SPDX-License-Identifier: Apache-2.0
module pgxpool_load

go 1.21

require github.com/jackc/pgx/v5 v5.9.2

# SPDX-License-Identifier: Apache-2.0
"""Point selects by SQLAlchemy on psycopg: load.py URL CALLERS SECONDS. Prints selects a second."""
import sys
import threading
import time

from sqlalchemy import create_engine, text

url, callers, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=8, max_overflow=0, isolation_level="AUTOCOMMIT",
                       connect_args={"prepare_threshold": 0})
select = text("SELECT abalance FROM pgbench_accounts WHERE aid = :aid")


def run(length):
    counts = [0] * callers
    began = time.monotonic()

    def caller(number):
        row = number * 7919
        while time.monotonic() - began < length:
            row = (row * 1103515245 + 12345) & 0xFFFFFFFF
            with engine.connect() as connection:
                connection.execute(select, {"aid": row % 100000 + 1}).scalar_one()
            counts[number] += 1

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - began)


run(0.5)
print(round(run(seconds)))

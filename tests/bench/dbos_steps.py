"""DBOS on SQLite: a workflow of six empty steps per order (run in ``.venv-bench``).

It prints one JSON object: ``orders``, ``seconds``. The figures are of the faster of two ways:
sequential, and with a thread pool.
"""

import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from dbos import DBOS

STEPS = 6
THREADS = 4


@DBOS.step()
def step(number: int) -> int:
    """Do nothing."""
    return number


@DBOS.workflow()
def order(number: int) -> int:
    """Run six steps."""
    for at in range(STEPS):
        step(number + at)
    return number


def main() -> None:
    """Run both ways and print the faster one's figures."""
    orders = int(sys.argv[1])
    logging.disable(logging.WARNING)
    with TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'dbos.sqlite'}"
        DBOS(config={"name": "bench", "system_database_url": url, "run_admin_server": False})
        DBOS.launch()
        order(-1)
        seconds = []
        started = time.perf_counter()
        for number in range(orders):
            order(number)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(order, range(orders, 2 * orders)))
        seconds.append(time.perf_counter() - started)
        DBOS.destroy()
    sys.stdout.write(json.dumps({"orders": orders, "seconds": min(seconds)}) + "\n")


if __name__ == "__main__":
    main()

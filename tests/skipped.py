"""``python -m tests.skipped DIR``: process a data directory to its end with skipped time.

`orders run` skips time in a sandbox only. A test with served orders uses the engine itself.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from infra.cli.commands.run import Run
from infra.local.clock import SkippingClock
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import platform

ROOT = Path(__file__).resolve().parents[1]


def work_to_the_end(data: Path, timeout: float = 120) -> Any:
    """Skip time in a separate process until nothing is due; return the result of `orders run`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.skipped", data],
        cwd=ROOT,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def main() -> None:
    """Print the result of a run without new orders."""
    directory = DataDirectory(Path(sys.argv[1]))
    with platform(directory, clock=SkippingClock()) as engine:
        result = Run(engine, directory).take(iter(()), None)
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    main()

"""Print the sizes of the output of ``sam build``: zipped for the upload, unpacked for Lambda."""

import io
import sys
import zipfile
from pathlib import Path

BUILD = Path(".aws-sam/build")
FUNCTION, CONSOLE, LAYER = "ValidateOrderFunction", "ConsoleFunction", "DependenciesLayer"
"""SAM builds ``services/`` once for all functions; the first one has one of the copies."""

MOST = 250.0
"""MB of a function and its layers together, unpacked (Lambda quotas)."""

_MB = 1_000_000


def main() -> int:
    """Print the sizes and the packages of the layer; return 1 if Lambda would refuse them."""
    sizes = {part: _sizes(BUILD / part) for part in (FUNCTION, CONSOLE, LAYER)}
    for part, (zipped, unpacked) in sizes.items():
        print(f"{part:<22} {zipped:6.2f} MB zipped, {unpacked:6.2f} MB unpacked")  # noqa: T201
    packages = sorted(
        path.name.removesuffix(".dist-info") for path in (BUILD / LAYER).rglob("*.dist-info")
    )
    print(f"in the layer: {', '.join(packages)}")  # noqa: T201
    largest = max(sizes[FUNCTION][1], sizes[CONSOLE][1])
    return int(largest + sizes[LAYER][1] > MOST)


def _sizes(folder: Path) -> tuple[float, float]:
    """Return the size of a folder in MB, zipped and unpacked."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in files:
            zipped.write(path, path.relative_to(folder))
    return archive.tell() / _MB, sum(path.stat().st_size for path in files) / _MB


if __name__ == "__main__":
    sys.exit(main())

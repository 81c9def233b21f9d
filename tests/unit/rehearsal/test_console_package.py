"""The package of the console's function on MiniStack: the built one, without compiled packages."""

import io
import zipfile
from pathlib import Path

import pytest

from tests.rehearsal import package
from tests.rehearsal.package import console_package


@pytest.fixture(autouse=True)
def _environment_of_ministack(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand for `.venv-ministack`, which the rehearsal alone installs."""
    root = tmp_path_factory.mktemp("ministack")
    (root / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    monkeypatch.setattr(package, "PYTHON", root / "bin" / "python")


def test_compiled_packages_and_bytecode_are_left_out(tmp_path: Path) -> None:
    files = [
        "infra/x.py",
        "infra/__pycache__/x.cpython-313.pyc",
        "mangum/__init__.py",
        "template.yaml",
        "orjson/__init__.py",
        "orjson/orjson.cpython-313.so",
    ]
    for name in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with zipfile.ZipFile(io.BytesIO(console_package(tmp_path))) as archive:
        names = set(archive.namelist())
    kept = {"infra/x.py", "mangum/__init__.py", "template.yaml"}
    assert names == kept | {"faulty_handler.py", "bootstrap"}

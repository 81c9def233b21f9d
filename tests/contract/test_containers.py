"""The Docker files, checked without Docker."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.settings.declared import settings

ROOT = Path(__file__).parents[2]
COMPOSE: Any = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def _stages() -> dict[str, list[str]]:
    stages: dict[str, list[str]] = {}
    for line in DOCKERFILE.replace("\\\n", " ").splitlines():
        words = line.split()
        if words[:1] == ["FROM"]:
            stages[words[-1]] = []
        elif words and not line.startswith("#"):
            list(stages.values())[-1].append(" ".join(words))
    return stages


def test_there_are_the_platform_step_functions_local_and_ministack() -> None:
    assert set(SERVICES) == {"orderflow", "stepfunctions-local", "test-sfn-local", "ministack"}


def test_the_client_of_step_functions_local_runs_the_mounted_tests() -> None:
    service = SERVICES["test-sfn-local"]
    [mounted] = [mount.split(":")[1] for mount in service["volumes"]]
    module = Path(service["command"][-1].replace(".", "/") + ".py")
    assert Path("/orderflow") / module.parent == Path(mounted)
    assert (ROOT / module).is_file()
    assert service["profiles"] == ["test"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_port_is_published_on_the_loopback_only(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("ports" in service) != ("network_mode" in service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_services_mounts_and_build_contexts_exist(name: str) -> None:
    service = SERVICES[name]
    for mount in service.get("volumes", []):
        source = mount.partition(":")[0]
        assert source in COMPOSE["volumes"] or (ROOT / source).exists()
    if "build" in service:
        assert service["build"]["target"] in _stages()
    else:
        assert service["image"].partition(":")[2] not in ("", "latest")


def test_the_mock_configuration_is_where_it_is_mounted() -> None:
    for name in ("stepfunctions-local", "ministack"):
        mounted = [mount.split(":")[1] for mount in SERVICES[name]["volumes"]]
        assert SERVICES[name]["environment"]["SFN_MOCK_CONFIG"] in mounted


@pytest.mark.parametrize("stage", ["ministack", "platform"])
def test_an_image_runs_as_an_unprivileged_user_with_a_health_check(stage: str) -> None:
    lines = _stages()[stage]
    user = lines.index("USER orderflow")
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert not any(line.startswith("RUN ") for line in lines[user:])
    assert "useradd --create-home --uid 10001 orderflow" in " ".join(_stages()["base"])


def test_images_are_built_from_the_locks_and_the_allowed_files() -> None:
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for lines in _stages().values():
        for line in lines:
            if line.startswith("COPY "):
                for source in line.split()[1:-1]:
                    assert (ROOT / source).exists()
                    assert f"!{source}" in let_in or "!requirements*.lock" in let_in
            if "pip install" in line:
                assert "--require-hashes" in line or "--no-index" in line


def platform_variables() -> dict[str, str]:
    [line] = [line for line in _stages()["platform"] if line.startswith("ENV ORDERS_")]
    return dict(pair.split("=", 1) for pair in line.split()[1:])


def test_the_platforms_container_needs_no_network_of_its_host() -> None:
    service = SERVICES["orderflow"]
    assert "network_mode" not in service
    variables = platform_variables()
    assert variables["ORDERS_HOST"] == "0.0.0.0"  # noqa: S104 - of the container
    for name in service["secrets"]:
        assert variables["ORDERS_TOKEN_FILE"] == f"/run/secrets/{name}"
        assert name in COMPOSE["secrets"]
    [volume] = service["volumes"]
    assert volume.endswith(f":{variables['ORDERS_DATA']}")


def test_each_variable_of_an_image_or_a_unit_is_a_setting() -> None:
    folder = ROOT / "infra" / "service"
    texts = [DOCKERFILE, *(path.read_text(encoding="utf-8") for path in folder.iterdir())]
    named = {name for text in texts for name in re.findall(r"ORDERS_[A-Z_]+", text)}
    known = {setting.variable for setting in settings().values()} | {"ORDERS_DATA"}
    assert named <= known
    assert {"ORDERS_HOST", "ORDERS_TOKEN_FILE"} <= named


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_accepts_the_unit_with_and_without_the_network(tmp_path: Path) -> None:
    folder = ROOT / "infra" / "service"
    unit = tmp_path / "orderflow.service"
    text = (folder / unit.name).read_text(encoding="utf-8")
    unit.write_text(text.replace("/opt/orderflow/.venv/bin/orders", sys.executable))
    for drop_in in (False, True):
        if drop_in:
            target = tmp_path / "orderflow.service.d" / "network.conf"
            target.parent.mkdir()
            shutil.copy(folder / "network.conf", target)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")

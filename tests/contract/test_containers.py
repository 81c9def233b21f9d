"""The files for Docker, which no engine here runs: what can be held to without one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

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
def test_a_port_is_published_on_the_loopback_alone(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert ("ports" in service) != ("network_mode" in service)


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_mounts_or_builds_is_there(name: str) -> None:
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
def test_an_image_runs_as_nobody_special_and_says_whether_it_is_well(stage: str) -> None:
    lines = _stages()[stage]
    user = lines.index("USER orderflow")
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert not any(line.startswith("RUN ") for line in lines[user:])
    assert "useradd --create-home --uid 10001 orderflow" in " ".join(_stages()["base"])


def test_images_are_built_from_the_locks_and_from_what_is_let_in() -> None:
    let_in = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for lines in _stages().values():
        for line in lines:
            if line.startswith("COPY "):
                for source in line.split()[1:-1]:
                    assert (ROOT / source).exists()
                    assert f"!{source}" in let_in or "!requirements*.lock" in let_in
            if "pip install" in line:
                assert "--require-hashes" in line or "--no-index" in line

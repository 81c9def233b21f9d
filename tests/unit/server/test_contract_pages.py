"""The contract over HTTP: every page, its version, and nothing else of the folder."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.contracts.folder import FOLDER
from infra.server.access import Access, Admission
from infra.server.contract_pages import DOCS, ContractPages
from kernel.events import CONTRACTS
from tests.unit.server.test_http_routes import Port


@pytest.fixture
def port(tmp_path: Path) -> Iterator[Port]:
    opened = Port(tmp_path)
    yield opened
    opened.database.close()


@pytest.mark.parametrize(
    ("path", "kind", "file"),
    [
        ("/openapi.json", "application/json", "openapi.json"),
        ("/asyncapi.json", "application/json", "asyncapi.json"),
        ("/schemas/order-created.json", "application/json", "order-created/schema.json"),
        ("/schemas/order-rejected.draft4.json", "application/json", None),
        ("/docs/", "text/html; charset=utf-8", "index.html"),
        ("/docs/sample_stock.csv", "text/csv; charset=utf-8", "sample_stock.csv"),
        ("/docs/order-failed/CHANGELOG.md", "text/markdown; charset=utf-8", None),
    ],
)
def test_a_page_is_the_file_with_its_type(
    port: Port, path: str, kind: str, file: str | None
) -> None:
    status, headers, body = port.ask("GET", path)
    assert (status, headers["content-type"]) == (200, kind)
    assert file is None or body == (FOLDER / file).read_bytes()
    assert headers["x-content-type-options"] == "nosniff"
    assert port.engine.events == []


def test_a_known_version_is_answered_without_its_body(port: Port) -> None:
    _, headers, body = port.ask("GET", "/openapi.json")
    tag = headers["etag"]
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        status, again, nothing = port.ask(
            "GET", "/openapi.json", headers={"If-None-Match": condition}
        )
        assert (status, again["etag"], nothing) == (304, tag, b"")
    assert port.ask("GET", "/openapi.json", headers={"If-None-Match": '"other"'})[2] == body
    assert port.ask("GET", "/asyncapi.json")[1]["etag"] != tag


def test_a_changed_file_has_another_tag(tmp_path: Path, port: Port) -> None:
    tags = set()
    for text in ("{}", "[]"):
        folder = tmp_path / text
        folder.mkdir()
        (folder / "openapi.json").write_text(text)
        port.application.contract = ContractPages(folder)
        tags.add(port.ask("GET", "/openapi.json")[1]["etag"])
    assert len(tags) == 2


def test_the_list_has_every_event_and_each_of_its_paths_is_served(port: Port) -> None:
    listed = json.loads(port.ask("GET", "/schemas")[2])["events"]
    assert [one["name"] for one in listed] == list(CONTRACTS)
    for one in listed:
        assert one["version"] == CONTRACTS[one["name"]].version
        assert json.loads(port.ask("GET", one["schema"])[2])["$id"].endswith(one["version"])
        assert port.ask("GET", one["registry_schema"])[0] == 200


def test_every_link_of_the_page_is_served(port: Port) -> None:
    page = port.ask("GET", DOCS)[2].decode()
    links = {link for link in re.findall(r'href="([^"#]+)"', page) if "://" not in link}
    assert len(links) > 50
    assert {link for link in links if port.ask("GET", DOCS + link)[0] != 200} == set()


def test_the_page_may_run_its_own_script_and_style_and_no_other(port: Port) -> None:
    policy = port.ask("GET", DOCS)[1]["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "style-src 'sha256-" in policy
    assert "unsafe" not in policy


def test_the_page_without_its_slash_is_redirected(port: Port) -> None:
    status, headers, _ = port.ask("GET", "/docs")
    assert (status, headers["location"]) == (308, "/docs/")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/../pyproject.toml",
        "/docs/%2e%2e/pyproject.toml",
        "/docs//etc/passwd",
        "/docs/baseline.json",
        "/schemas/../openapi.json",
        "/schemas/order-shipped.json",
        "/docs/clients",
        "/docs/\x00",
    ],
)
def test_nothing_else_is_served(port: Port, path: str) -> None:
    status, _, body = port.ask("GET", path)
    assert status == 404
    assert "/docs/" in json.loads(body)["detail"]


def test_another_method_is_refused(port: Port) -> None:
    status, headers, _ = port.ask("POST", "/openapi.json")
    assert (status, headers["allow"]) == (405, "GET, HEAD")


def test_another_host_gets_nothing(port: Port) -> None:
    assert port.ask("GET", "/openapi.json", headers={"Host": "evil.example"})[0] == 421


def test_the_contract_needs_no_token(port: Port, tmp_path: Path) -> None:
    from infra.server.tokens import read_tokens

    file = tmp_path / "tokens"
    file.write_text("a-token-of-some-length-1234567890 ada orders/read customer_id=C-1\n")
    file.chmod(0o600)
    port.application.access = Access(8080, None, Admission((), read_tokens(file)))
    assert port.ask("GET", "/docs/")[0] == 200
    assert port.ask("GET", "/orders/A-1")[0] == 401


def test_a_missing_page_names_the_contract(port: Port) -> None:
    assert "/docs/ has the contract" in json.loads(port.ask("GET", "/nothing")[2])["detail"]

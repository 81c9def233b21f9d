"""The console in this process: its pages, headers, access and limits, without a browser."""

import asyncio
import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.console import rendering
from infra.console.live import CREDIT, SHARE, UPDATE, Budget, Changes
from infra.console.pages import PAGES
from infra.console.readers import Readers, TooSlow
from infra.local.directory.data_directory import DataDirectory
from tests.fakes.console import Visitor, serving

POLICY_WORDS = ("default-src 'none'", "script-src 'self'", "frame-ancestors 'none'")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Serve an empty directory's platform to one visitor, in this process."""
    with serving(tmp_path_factory.mktemp("console") / "data") as served:
        yield served


AXE = Path(__file__).parents[1] / "browser" / "vendor"


@pytest.mark.parametrize("folder", [rendering.STATIC / "vendor", AXE])
def test_vendored_files_are_those_of_their_release(folder: Path) -> None:
    packages = json.loads((folder / "vendor.json").read_text())
    listed: dict[str, str] = {}
    for package in packages:
        assert all(package[field] for field in ("version", "license", "integrity"))
        listed |= {name: file["sha256"] for name, file in package["files"].items()}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    found.pop("vendor.json")
    assert found == listed


def test_an_empty_directory_shows_three_ways_to_begin(visitor: Visitor) -> None:
    page = visitor.get("/console/")
    assert page.status == 200
    assert [page.text.count(f'id="begin-{number}"') for number in (1, 2, 3)] == [1, 1, 1]
    assert 'value="full"' in page.text


def test_every_response_has_the_policy_and_forbids_caching(visitor: Visitor) -> None:
    for path in ("/console/", "/console/nowhere", "/console/sign-in"):
        page = visitor.get(path)
        policy = page.headers["content-security-policy"]
        assert all(words in policy for words in POLICY_WORDS), path
        assert "unsafe" not in policy
        assert page.headers["cache-control"] == "no-store"
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["x-frame-options"] == "DENY"


def test_static_files_are_cached_by_their_content(visitor: Visitor) -> None:
    page = visitor.get(rendering.static("console.css"))
    assert page.status == 200
    assert "immutable" in page.headers["cache-control"]
    assert visitor.get("/console/static/../page.py").status == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:8080"}, 303),
        ({"sec-fetch-site": "cross-site", "origin": "https://evil.example"}, 403),
        ({"sec-fetch-site": "same-site", "origin": "http://localhost:3000"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example:8080"}, 421),
        ({"host": "localhost:9"}, 421),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/json"}, 415),
    ],
)
def test_only_an_own_form_acts(visitor: Visitor, headers: dict[str, str], status: int) -> None:
    assert visitor.post("/console/theme", {"theme": "dark"}, headers).status == status


def test_another_sites_name_reads_nothing(visitor: Visitor) -> None:
    assert visitor.get("/console/", {"host": "evil.example:8080"}).status == 421


IMAGE = {"sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}
FRAME = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}
STREAM = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}
LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize("path", ["/console/queries/orders_by_status", "/console/live"])
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("kind", [IMAGE, FRAME, STREAM])
def test_another_sites_page_occupies_nothing(
    visitor: Visitor, path: str, site: str, kind: dict[str, str]
) -> None:
    page = visitor.get(path, {"sec-fetch-site": site, **kind})
    assert (page.status, "may link" in page.text) == (403, True)


@pytest.mark.parametrize(
    ("site", "kind"), [("cross-site", LINK), ("none", LINK), ("same-origin", FRAME)]
)
def test_a_link_of_another_site_opens_a_page(
    visitor: Visitor, site: str, kind: dict[str, str]
) -> None:
    assert visitor.get("/console/orders", {"sec-fetch-site": site, **kind}).status == 200


def test_a_get_of_an_action_changes_nothing(visitor: Visitor) -> None:
    assert visitor.get("/console/examples").status == 405


@pytest.mark.parametrize(
    "address", ["https://evil.example/", "//evil.example/console/", "/orders", "/console/\\evil"]
)
def test_a_form_never_leads_to_another_site(visitor: Visitor, address: str) -> None:
    page = visitor.post("/console/theme", {"theme": "dark", "to": address})
    assert page.headers["location"] == "/console/"


def test_a_form_above_its_limit_is_refused(visitor: Visitor) -> None:
    assert visitor.post("/console/theme", {"theme": "x" * 1_100_000}).status == 413
    assert visitor.post("/console/theme", {f"f{n}": "" for n in range(300)}).status == 400


def test_an_unknown_filter_is_a_page_with_the_way_out(visitor: Visitor) -> None:
    page = visitor.get("/console/?range=<script>alert(1)</script>")
    assert page.status == 400
    assert "15m, 1h, 24h" in page.text
    assert "<script>alert" not in page.text


def test_the_live_part_is_rendered_alone(visitor: Visitor) -> None:
    whole, part = visitor.get("/console/"), visitor.get("/console/", {"hx-target": "div#live"})
    assert "<html" in whole.text
    assert "<html" not in part.text
    assert part.text.strip() in whole.text


def test_a_browser_is_sent_to_the_console_and_a_program_is_not(visitor: Visitor) -> None:
    assert visitor.get("/", {"accept": "text/html,*/*"}).headers["location"] == "/console/"
    assert visitor.get("/", {"accept": "*/*"}).status == 404


def test_slow_queries_are_stopped(visitor: Visitor) -> None:
    readers = Readers(DataDirectory(visitor.data), deadline=0.05)
    endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    try:
        with pytest.raises(TooSlow, match="narrow its filters"):
            asyncio.run(readers.read(lambda database: database.row(endless)))
        assert asyncio.run(readers.read(lambda database: database.rows("select 1"))) is not None
    finally:
        readers.close()


def test_readers_cannot_write(visitor: Visitor) -> None:
    readers = Readers(DataDirectory(visitor.data))
    try:
        with pytest.raises(Exception, match="readonly"):
            asyncio.run(readers.read(lambda database: database.rows("delete from events")))
    finally:
        readers.close()


def test_updates_of_all_tabs_take_their_share_of_a_processor() -> None:
    budget, now, sent = Budget(0.0), 0.0, 0
    while now < 100:
        wait = budget.wait(now)
        now += wait
        budget.spend(UPDATE)
        sent += 1
    assert sent * UPDATE == pytest.approx(100 * SHARE + CREDIT, abs=2 * UPDATE)
    assert budget.wait(now + 60) == 0


def test_an_example_order_is_sent_and_followed(visitor: Visitor) -> None:
    page = visitor.post("/console/examples", {"example": "full"})
    assert page.status == 303
    assert page.headers["location"].startswith("/console/orders/EX-")
    assert visitor.post("/console/examples", {"example": "../../secret"}).status == 400


def test_tokens_bring_a_sign_in_and_scopes(tmp_path: Path) -> None:
    look, act, other = "l" * 40, "a" * 40, "o" * 40
    tokens = {look: "console/read", act: "orders/operate", other: "orders/read"}
    with serving(tmp_path / "data", tokens=tokens) as visitor:
        page = visitor.get("/console/")
        assert page.headers["location"] == "/console/sign-in?to=%2Fconsole%2F"
        assert visitor.get("/console/live").status == 401
        sent = visitor.post("/console/examples", {"example": "full"})
        assert (sent.status, "Nothing was done" in sent.text) == (401, True)
        assert visitor.rows("select count(*) from events") == [(0,)]
        for token in (other, "x" * 40, ""):
            assert visitor.post("/console/sign-in", {"token": token}).status == 403
        cookie = signed_in(visitor, look)
        assert visitor.get("/console/", cookie).status == 200
        assert visitor.post("/console/examples", {"example": "full"}, cookie).status == 403
        assert visitor.rows("select count(*) from events") == [(0,)]
        cookie = signed_in(visitor, act)
        sent = visitor.post("/console/examples", {"example": "full"}, cookie)
        assert sent.headers["location"].startswith("/console/orders/")
        visitor.post("/console/sign-out", {}, cookie)
        assert visitor.get("/console/", cookie).status == 303


def signed_in(visitor: Visitor, token: str) -> dict[str, Any]:
    page = visitor.post("/console/sign-in", {"token": token, "to": "/console/"})
    cookie = page.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=Strict"} <= set(cookie.split("; "))
    assert token not in cookie
    return {"cookie": cookie.partition(";")[0]}


def test_the_wheel_has_every_template_and_static_file(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    root = Path(__file__).parents[2]
    subprocess.run(build, cwd=root, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    folder = root / "infra" / "console"
    wanted = {
        str(path.relative_to(root))
        for part in ("templates", "static")
        for path in (folder / part).rglob("*")
        if path.is_file()
    }
    assert len(wanted) > 20
    assert wanted <= packed


def test_every_icon_and_key_of_the_navigation_exists_once() -> None:
    icons = (rendering.STATIC / "icons.svg").read_text()
    shown = [page for page in PAGES if page.title]
    assert all(f'<symbol id="{page.icon}"' in icons for page in shown), shown
    keys = [page.key for page in shown if page.key]
    assert len(keys) == len(set(keys))


def test_the_first_request_alone_imports_the_console() -> None:
    code = (
        "import sys, infra.cli.commands.serve\n"
        "print([name for name in ('starlette', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_streams_that_are_left_at_any_moment_disturb_no_other(visitor: Visitor) -> None:
    async def many() -> int:
        readers = Readers(DataDirectory(visitor.data))
        changes, seen = Changes(readers), 0

        async def follow(steps: int) -> None:
            nonlocal seen
            stream = changes.stream()
            async for _ in stream:
                seen += 1
                steps -= 1
                if not steps:
                    break
            await stream.aclose()  # type: ignore[attr-defined]

        staying = asyncio.create_task(follow(10))
        for _ in range(8):
            leaving = asyncio.create_task(follow(3))
            await asyncio.sleep(0.02)
            leaving.cancel()
            changes._notify()  # noqa: SLF001 - as its watcher does
            await asyncio.sleep(0.3)
        assert not staying.done() or staying.exception() is None
        assert changes.streams == (0 if staying.done() else 1)
        await changes.close()
        await staying
        readers.close()
        return seen

    assert asyncio.run(many()) >= 8

"""Signing in with a token, signing out, and the colours."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from infra.console.page import PREFIX, Page, Redirect, View, Visit
from storage.sqlite.database import Database


def own_address(address: str) -> str:
    """Return an address of the console, or its first page for any other."""
    try:
        parts = urlsplit(address)
    except ValueError:  # such as a bracket that is no IPv6 address
        return f"{PREFIX}/"
    is_own = not (parts.scheme or parts.netloc) and parts.path.startswith(f"{PREFIX}/")
    return address if is_own and "\\" not in address else f"{PREFIX}/"


def _ask(visit: Visit, _: Database) -> View | Redirect:
    to = own_address(visit.filter("to"))
    if visit.visitor.capabilities:
        return Redirect(to)
    return View("session/sign_in.html", "Sign in", {"to": to, "problem": ""})


async def _sign_in(visit: Visit, form: Mapping[str, str]) -> View | Redirect:
    to = own_address(form.get("to", ""))
    session = visit.session.begin(form.get("token", "").strip())
    if session is None:
        problem = "No token of the scopes console/read or orders/operate has this text."
        if visit.source.name:
            problem = "This is not the key of this console; the command has printed it."
        names = {"to": to, "problem": problem}
        return View("session/sign_in.html", "Sign in", names, 403)
    return Redirect(to, cookies=(visit.session.cookie(session),))


async def _sign_out(visit: Visit, _: Mapping[str, str]) -> Redirect:
    visit.session.end()
    return Redirect(f"{PREFIX}/sign-in", cookies=(visit.session.cookie(""),))


async def _theme(_: Visit, form: Mapping[str, str]) -> Redirect:
    theme = form.get("theme", "")
    theme = theme if theme in ("light", "dark") else ""
    lifetime = 31_536_000 if theme else 0
    cookie = (
        f"orderflow_theme={theme}; Path={PREFIX}; SameSite=Strict; HttpOnly; Max-Age={lifetime}"
    )
    return Redirect(own_address(form.get("to", "")), cookies=(cookie,))


PAGE = Page(
    name="session",
    title="",
    gets={"/sign-in": _ask},
    posts={"/sign-in": _sign_in, "/sign-out": _sign_out, "/theme": _theme},
    open_to_all=True,
)

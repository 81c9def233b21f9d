"""The pages of the hosted console: those of a stack, with the sign-in of the user pool."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from infra.console.hosted.callers import HostedCallers
from infra.console.hosted.sign_in import GOODBYE, RETURN, SignIn, SignInProblem
from infra.console.page import PREFIX, Page, Redirect, View, Visit, Visitor
from infra.console.pages.session import PAGE as OF_A_DIRECTORY
from infra.console.pages.session import own_address
from infra.console.stack.pages import PAGES as OF_A_STACK
from infra.console.stack.source import StackSource


def pages(sign_in: SignIn, callers: HostedCallers) -> Sequence[Page]:
    """Return the pages of a hosted console."""
    session = session_page(sign_in, callers)
    return tuple(session if page.name == session.name else page for page in OF_A_STACK)


def session_page(sign_in: SignIn, callers: HostedCallers) -> Page:
    """Return the page that signs in and out at the user pool."""

    def begin(visit: Visit, _: StackSource) -> Redirect:
        to = own_address(visit.filter("to"))
        if visit.visitor.capabilities:
            return Redirect(to)
        begun = sign_in.begin(to, visit.cookies)
        return Redirect(begun.address, cookies=begun.cookies)

    def finish(visit: Visit, _: StackSource) -> View | Redirect:
        try:
            finished = sign_in.finish(visit.query, visit.cookies)
        except SignInProblem as problem:
            if visit.visitor.capabilities:  # the browser's history has led here again
                return Redirect(f"{PREFIX}/")
            names = {"problem": str(problem), "next": ""}
            return View("session/hosted.html", "Not signed in", names, 403)
        visit.session.end()  # an earlier one of this browser, whose cookie is replaced
        cookie = visit.session.cookie(callers.begin(finished.user))
        return Redirect(finished.to, cookies=(cookie, finished.cookie))

    def ended(_: Visit, __: StackSource) -> View:
        return View("session/hosted.html", "Signed out", {"problem": "", "next": ""})

    async def sign_out(visit: Visit, _: Mapping[str, str]) -> View:
        visit.session.end()
        names = {
            "problem": "",
            "next": sign_in.goodbye(),
            "visitor": Visitor("", frozenset()),
        }
        cookies = (visit.session.cookie(""),)
        return View("session/hosted.html", "Signing out", names, cookies=cookies)

    return replace(
        OF_A_DIRECTORY,
        gets={
            "/sign-in": begin,
            RETURN.removeprefix(PREFIX): finish,
            GOODBYE.removeprefix(PREFIX): ended,
        },
        posts={"/sign-out": sign_out, "/theme": OF_A_DIRECTORY.posts["/theme"]},
    )

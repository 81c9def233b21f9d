"""The addresses of requests, as the links of a page have them."""

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from starlette.requests import Request

from infra.console.page import PREFIX


def path_of(request: Request) -> str:
    """Return the path of a request with its escapes, which the scope's path lacks."""
    return quote(request.scope["path"], safe="/:@!$&'()*+,;=~")


def sender_of(request: Request) -> str:
    """Return the console's page that sent a form, to reload it; empty if it is not known."""
    if request.method != "POST":
        return ""
    try:
        page = urlsplit(request.headers.get("referer", ""))
    except ValueError:
        return ""
    if page.netloc != request.headers.get("host") or not page.path.startswith(f"{PREFIX}/"):
        return ""
    kept = [(name, text) for name, text in parse_qsl(page.query) if name != "notice"]
    return page.path + (f"?{urlencode(kept)}" if kept else "")

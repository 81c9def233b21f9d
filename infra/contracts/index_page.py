"""The index page of the contracts: a start for producers and a reference for consumers.

It is one file of HTML without external resources; its style and its script are files next to this
module.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

from infra.contracts import snippets
from infra.contracts.baseline import Contract, present
from infra.contracts.changelog import Release
from infra.contracts.examples import Example
from infra.contracts.fields import Field, detail_fields
from infra.contracts.folder import (
    ASYNCAPI,
    CHANGELOG,
    EXAMPLES,
    INVALID,
    OPENAPI,
    REGISTRY_SCHEMA,
    SCHEMA,
    STOCK,
    slug,
)
from infra.contracts.good_to_know import good_to_know
from infra.contracts.participants import participants
from infra.contracts.sample_orders import examples
from kernel.events import MAX_EVENT_BYTES, REQUESTS, SOURCE
from kernel.money import WITH_THREE_DECIMALS, WITHOUT_DECIMALS

_STYLE = Path(__file__).with_name("index_page.css")
_SCRIPT = Path(__file__).with_name("index_page.js")

ANSWERS: Mapping[str, Sequence[str]] = {
    "Order Created": (
        "Order Completed",
        "Order Failed",
        "Order Backordered",
        "High Value Order Flagged",
        "Order Rejected",
    ),
    "Order Updated": ("Order Rejected",),
    "Order Cancelled": (
        "Order Cancellation Confirmed",
        "Order Cancellation Refused",
        "Payment Refunded",
        "Order Rejected",
    ),
}
"""Events that may follow a request."""

_TOKENS = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)'
)


def index_page(history: Mapping[str, Sequence[Release]]) -> str:
    """Return the page; ``history`` has the versions of each event, by detail type."""
    contracts = present()
    sections = "".join(
        _event(name, contract, history.get(name, ())) for name, contract in contracts.items()
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Orderflow events</title>
<style>
{_STYLE.read_text(encoding="utf-8")}</style>
<nav aria-label="Events">
<a class="brand" href="#top">Orderflow <b>events</b></a>
<input id="filter" type="search" placeholder="Filter events and fields" aria-label="Filter">
{_links("You send", [name for name in contracts if name in REQUESTS])}
{_links("Orderflow publishes", [name for name in contracts if name not in REQUESTS])}
{_links("Every event has", ["Metadata"])}
{_links("And", ["Good to know"])}
</nav>
<main id="top">
{_introduction()}
{good_to_know()}
{sections}{_metadata(contracts["Order Created"])}
<p id="nothing" hidden>No name of an event or a field matches.</p>
</main>
<script>
{_SCRIPT.read_text(encoding="utf-8")}</script>
</html>
"""


def _links(title: str, names: Sequence[str]) -> str:
    links = "".join(f'<a href="#{slug(name)}">{escape(name)}</a>' for name in names)
    return f'<div class="group"><h2>{title}</h2>{links}</div>'


def _introduction() -> str:
    return f"""<header>
<h1>Put an order on the bus</h1>
<p class="lede">The events that you can send to Orderflow, and the events that it publishes. Copy a
payload, send it with your SDK, and follow the order to its end.</p>
<dl class="facts">
<div><dt>Bus</dt><dd><code>{snippets.BUS}</code></dd></div>
<div><dt>Source</dt><dd><code>{SOURCE}</code></dd></div>
<div><dt>Largest event</dt><dd>{MAX_EVENT_BYTES // 1024} KiB</dd></div>
<div><dt>In one file</dt><dd><a href="{ASYNCAPI}">AsyncAPI 3.0</a></dd></div>
<div><dt>The HTTP API</dt><dd><a href="{OPENAPI}">OpenAPI 3.1</a></dd></div>
<div><dt>To try with</dt><dd><a href="{STOCK}">sample stock</a></dd></div>
</dl>
</header>
<section class="plain">
<h2>The first shipped order</h2>
{_code(snippets.first_order(examples()["Order Created"][0]), "Commands")}
<ul class="rules">
<li><b>Retries are safe.</b> The same event is one order, however often it arrives;
<code>metadata</code> is optional, and without it the content identifies the event.</li>
<li><b>Additional fields are allowed.</b> Orderflow and every consumer ignore unknown fields.</li>
<li><b>Amounts are numbers with at most two decimals.</b> The total is the sum of quantity times
unit price, to the cent, and more than 0. A price is the customer&rsquo;s price of a unit, with
discount and tax; shipping is a line of its own or in the prices. Amounts of a currency without
decimals ({_listed(WITHOUT_DECIMALS)}) are whole numbers. Currencies with three decimals
({_listed(WITH_THREE_DECIMALS)}) are not supported.</li>
<li><b>Text must be visible.</b> A name of blanks or zero-width characters is refused. A reason of
blanks counts as absent. An e-mail address must be valid for any mail server: ASCII letters,
digits, <code>!#$%&amp;'*+/=?^_`{{|}}~-</code> and single dots before the @; its domain may have
other letters. An optional field that is <code>null</code> is absent.</li>
<li><b>Requests may arrive in any order.</b> A cancellation or an update that arrives before its
order is kept for a day and applies from the order&rsquo;s first run. Of two updates of the same
field the later <code>timestamp</code> wins, in any order of arrival; a time more than a minute
ahead of our clock counts as now.</li>
<li><b>A refusal is reported.</b> An event that is refused changes nothing. It is quarantined, and
<a href="#order-rejected">Order Rejected</a> has its EventId, every problem and the way out.</li>
<li><b>Detail types are case-sensitive.</b> An event of another type or in another case is
refused.</li>
<li><b>A new order needs a new <code>order_id</code>.</b> The same id with other content is refused;
the first content remains. That includes failed and cancelled orders: a new payment is a new
order.</li>
<li><b>Only Orderflow publishes facts.</b> Send requests only: AWS refuses an
<code>Order Completed</code> from another sender, and one machine leaves it out of every
figure.</li>
</ul>
</section>
"""


def _listed(currencies: Iterable[str]) -> str:
    return ", ".join(sorted(currencies))


def _event(name: str, contract: Contract, history: Sequence[Release]) -> str:
    fields = [field for field in detail_fields(contract.schema) if not _is_common(field)]
    is_request = name in REQUESTS
    words = " ".join([name, *(field.name for field in fields)]).lower()
    shown = examples()[name]
    sender = (
        "You send it, or Orderflow&rsquo;s HTTP API does" if is_request else "Orderflow sends it"
    )
    return f"""<section class="event" id="{slug(name)}" data-words="{escape(words)}">
<h2><a href="#{slug(name)}">{escape(name)}</a>
<span class="badge {"in" if is_request else "out"}">{"request" if is_request else "fact"}</span>
<span class="badge">{contract.version}</span></h2>
<p class="meaning">{escape(contract.schema["description"])}</p>
<p class="muted">{sender}.{_answers(name)} {_readers(name)}</p>
{_ways(shown[0]) if is_request else _rule(shown[0])}
<h3>Fields of <code>detail</code></h3>
{_table(fields)}
<h3>Examples</h3>
{_examples(name, shown)}
<h3>Versions</h3>
{_versions(name, history)}
</section>
"""


def _readers(name: str) -> str:
    """Return the sentence that names an event's readers in the template."""
    readers = dict.fromkeys(str(reader) for reader in participants()[name].readers)
    listed = ", ".join(f"<code>{escape(reader)}</code>" for reader in readers)
    return f"Read by {listed}." if listed else "No rule of the template reads it."


def _answers(name: str) -> str:
    links = [f'<a href="#{slug(answer)}">{escape(answer)}</a>' for answer in ANSWERS.get(name, ())]
    if not links:
        return ""
    listed = " or ".join(filter(None, (", ".join(links[:-1]), links[-1])))
    when = " if it is refused" if len(links) == 1 else ""
    return f" It is answered with {listed}{when}."


def _ways(example: Example) -> str:
    """Return the ways to send an event, as tabs."""
    envelope = example.envelope
    ways = {
        "Payload": snippets.payload(envelope),
        "orders": snippets.orders_command(example),
        "AWS CLI": snippets.aws_command(envelope),
        "Python": snippets.client_lines(envelope),
        "boto3": snippets.boto3_lines(envelope),
        "JavaScript": snippets.javascript_lines(envelope),
    }
    panels = "".join(
        f'<div class="panel" data-tab="{label}">{_code(text, label)}</div>'
        for label, text in ways.items()
    )
    return f'<div class="tabs">{panels}</div>'


def _rule(example: Example) -> str:
    """Return the payload for a consumer, and the event pattern of a matching rule."""
    envelope = example.envelope
    panels = "".join(
        f'<div class="panel" data-tab="{label}">{_code(text, "Payload")}</div>'
        for label, text in {
            "Payload": snippets.payload(envelope),
            "Event pattern": snippets.pattern(envelope),
        }.items()
    )
    return (
        "<details><summary>Example and subscription</summary>"
        f'<div class="tabs">{panels}</div></details>'
    )


def _metadata(contract: Contract) -> str:
    """Return the section on the metadata of every event."""
    fields = [field for field in detail_fields(contract.schema) if _is_common(field)]
    words = " ".join(field.name for field in fields)
    return f"""<section class="event" id="metadata" data-words="{words}">
<h2><a href="#metadata">Metadata</a></h2>
<p class="meaning">The origin of an event, and its correlation with others.</p>
<p class="muted">Optional in requests: without an id, the content identifies an event.
Orderflow&rsquo;s own events always have it.</p>
<h3>Fields of <code>detail.metadata</code></h3>
{_table(fields)}
</section>
"""


def _is_common(field: Field) -> bool:
    return field.name.startswith("metadata.")


def _code(text: str, label: str) -> str:
    shown = _coloured(text) if label == "Payload" else escape(text, quote=False)
    return (
        f'<div class="code"><button class="copy" type="button" hidden>Copy</button>'
        f'<pre tabindex="0" aria-label="{escape(label)}">{shown}</pre></div>'
    )


def _coloured(text: str) -> str:
    def tag(match: re.Match[str]) -> str:
        return f'<i class="{match.lastgroup}">{escape(match[0], quote=False)}</i>'

    return _TOKENS.sub(tag, text)


def _table(fields: Sequence[Field]) -> str:
    rows = "".join(
        f'<tr><td><code>{_breakable(field.name)}</code>{_tag(field)}<td class="type">{field.type}'
        f"<td>{_described(field)}{_limits(field)}\n"
        for field in fields
    )
    return f'<table class="fields">\n<tr><th>Field<th>Type<th>Meaning and limits\n{rows}</table>'


def _described(field: Field) -> str:
    more = ' See <a href="#metadata">Metadata</a>.' if field.name == "metadata" else ""
    return escape(field.description) + more


def _breakable(name: str) -> str:
    return escape(name).replace(".", ".<wbr>").replace("_", "_<wbr>")


def _tag(field: Field) -> str:
    return ' <span class="required">required</span>' if field.required else ""


def _limits(field: Field) -> str:
    parts = [escape(field.limits)] if field.limits else []
    parts += [f"<code>{escape(field.pattern)}</code>"] if field.pattern else []
    return f' <span class="limits">{", ".join(parts)}</span>' if parts else ""


def _examples(name: str, shown: Sequence[Example]) -> str:
    links = "".join(
        f'<li><a href="{slug(name)}/{EXAMPLES}/{example.name}.json">{example.name}</a>'
        f" <span>{escape(example.shows)}</span></li>\n"
        for example in shown
    )
    return f'<ul class="examples">\n{links}</ul>'


def _versions(name: str, history: Sequence[Release]) -> str:
    lines = "".join(
        f"<li><b>{escape(release.version)}</b> {escape(' '.join(release.changes))}</li>\n"
        for release in history
    )
    files = {
        SCHEMA: "JSON Schema 2020-12",
        REGISTRY_SCHEMA: "EventBridge registry",
        CHANGELOG: "changelog",
        INVALID: "invalid examples",
    }
    links = " · ".join(
        f'<a href="{slug(name)}/{path}">{label}</a>' for path, label in files.items()
    )
    return f'<ul class="versions">\n{lines}</ul>\n<p class="files">{links}</p>'

"""Every setting of one machine: its name, its environment variable, its values.

A setting that is a parameter of ``template.yaml`` has that parameter's name, default, bounds and
description. The others are for one machine alone.
"""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

TEMPLATE = Path(__file__).resolve().parents[2] / "template.yaml"

_PARAMETERS = re.compile(r"^Parameters:\n(?:(?:[ #].*)?\n)+", re.MULTILINE)
"""The section of the parameters: the whole template takes 50 times as long to parse."""

Check = Callable[[str], str]
"""``text -> problem``: the permitted values, such as "a number from 1 to 5", or ''."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Parameters
    ----------
    name : str
        The name in the file of settings, and of the template's parameter if there is one.
    variable : str
        The environment variable.
    default : str
        The value without any source, as text.
    meaning : str
        One sentence for the operator.
    wanted : callable
        ``text -> problem``: the permitted values if the text is none of them, else an empty text.
    is_parameter : bool
        Whether it is a parameter of the template.
    is_list : bool
        Whether it is a list: separated by commas in a variable, a list in the file.
    """

    name: str
    variable: str
    default: str
    meaning: str
    wanted: Check
    is_parameter: bool = False
    is_list: bool = False


def _number(low: float, high: float | None, *, whole: bool = True) -> Check:
    """Return the check of a number between bounds."""
    kind = "a whole number" if whole else "a number"
    text = f"{kind} of at least {low:g}" if high is None else f"{kind} from {low:g} to {high:g}"

    def wanted(value: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return text
        fits = low <= number <= (float("inf") if high is None else high)
        plain = re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", value) is not None
        return "" if fits and plain else text

    return wanted


def _days(value: str) -> str:
    """Return the problem of a number of days, which may be empty."""
    return (
        ""
        if not value
        else _number(1, 36_500)(value)
        and ("a whole number of days from 1 to 36500, or empty to keep everything")
    )


def _command(value: str) -> str:
    """Return the problem of a command or a URL."""
    wanted = "a URL of http or https, or a command whose quotes are closed"
    if "://" in value.partition(" ")[0]:
        host = urlsplit(value)
        return "" if host.scheme in ("http", "https") and host.hostname else wanted
    try:
        shlex.split(value)
    except ValueError:
        return wanted
    return ""


def _anything(_: str) -> str:
    return ""


def _of_parameter(declared: Mapping[str, Any]) -> Check:
    """Return the check of a template's parameter (CloudFormation, Parameters)."""
    allowed = [str(value) for value in declared.get("AllowedValues", ())]
    if allowed:
        return lambda value: "" if value in allowed else f"one of {', '.join(allowed)}"
    if declared["Type"] == "Number":
        return _number(declared.get("MinValue", 0), declared.get("MaxValue"))
    pattern = declared.get("AllowedPattern")
    if pattern is None:
        return _anything
    reason = str(declared["ConstraintDescription"]).removeprefix("must be ")
    return lambda value: "" if re.search(pattern, value) else reason


@cache
def parameters() -> Mapping[str, Mapping[str, Any]]:
    """Return the declarations of the template's parameters."""
    found = _PARAMETERS.search(TEMPLATE.read_text("utf-8"))
    assert found is not None
    declared: dict[str, Mapping[str, Any]] = yaml.safe_load(found[0])["Parameters"]
    return declared


def _parameter(name: str, variable: str) -> Setting:
    declared = parameters()[name]
    return Setting(
        name,
        variable,
        str(declared["Default"]),
        str(declared["Description"]),
        _of_parameter(declared),
        is_parameter=True,
        is_list=declared["Type"] == "CommaDelimitedList",
    )


_BY_PARAMETER = {
    "RecoveryDelaySeconds": "ORDERS_RECOVERY_DELAY_SECONDS",
    "MaxAttempts": "ORDERS_MAX_ATTEMPTS",
    "LeaseSeconds": "ORDERS_LEASE_SECONDS",
    "QueueConcurrency": "ORDERS_QUEUE_CONCURRENCY",
    "HighValueThresholds": "ORDERS_HIGH_VALUE_THRESHOLDS",
    "HighValueApproval": "ORDERS_HIGH_VALUE_APPROVAL",
    "ApprovalSeconds": "ORDERS_APPROVAL_SECONDS",
    "ApprovalReviewer": "ORDERS_APPROVAL_REVIEWER",
    "PublicUrl": "ORDERS_PUBLIC_URL",
    "LogLevel": "ORDERS_LOG_LEVEL",
    "MailSender": "ORDERS_MAIL_SENDER",
    "CustomerClaim": "ORDERS_CUSTOMER_CLAIM",
    "CorsOrigins": "ORDERS_CORS_ORIGINS",
}
"""The template's parameters with an effect on one machine, and their variables."""

_OF_ONE_MACHINE = (
    Setting(
        "Workers",
        "ORDERS_WORKERS",
        "2",
        "Worker processes of `orders run` and `orders serve`; with 0 the engine's process"
        " runs the handlers.",
        _number(0, 64),
    ),
    Setting(
        "Host",
        "ORDERS_HOST",
        "127.0.0.1",
        "Address of `orders serve`; any other than a loopback address requires TokenFile.",
        lambda value: "" if value else "an address, such as 127.0.0.1",
    ),
    Setting(
        "Port",
        "ORDERS_PORT",
        "8080",
        "Port of `orders serve`; 0 is any free port.",
        _number(0, 65_535),
    ),
    Setting(
        "AllowedHosts",
        "ORDERS_ALLOWED_HOSTS",
        "",
        "Other names in Host headers that are answered; they need TokenFile.",
        _anything,
        is_list=True,
    ),
    Setting(
        "TokenFile",
        "ORDERS_TOKEN_FILE",
        "",
        "File of tokens, one on a line: TOKEN SUBJECT SCOPE …; empty serves local programs alone.",
        _anything,
    ),
    Setting(
        "Alert",
        "ORDERS_ALERT",
        "",
        "Command or URL that `orders serve` calls when its status changes to bad or good; empty:"
        " none.",
        _command,
    ),
    Setting(
        "LogMegabytes",
        "ORDERS_LOG_MEGABYTES",
        "10",
        "Size at which the log is rotated, in megabytes.",
        _number(1, 10_000),
    ),
    Setting(
        "LogFiles",
        "ORDERS_LOG_FILES",
        "5",
        "Rotated files of the log that are kept.",
        _number(0, 1_000),
    ),
    Setting(
        "OrderDays",
        "ORDERS_ORDER_DAYS",
        "",
        "Days after which a server prunes an ended order, with its events and runs; empty: never.",
        _days,
    ),
    Setting(
        "EventDays",
        "ORDERS_EVENT_DAYS",
        "",
        "Days after which a server prunes an event of the journal; empty: after the archive's 365.",
        _days,
    ),
    Setting(
        "HistoryDays",
        "ORDERS_HISTORY_DAYS",
        "",
        "Days after which a server prunes an ended run with its history; empty: never.",
        _days,
    ),
    Setting(
        "ParquetDays",
        "ORDERS_PARQUET_DAYS",
        "",
        "Days after which a server deletes a day of the analysts' files; empty: never.",
        _days,
    ),
)


@cache
def settings() -> Mapping[str, Setting]:
    """Return every setting by its name, in the order of the documents."""
    found = [_parameter(*each) for each in _BY_PARAMETER.items()]
    return {setting.name: setting for setting in (*found, *_OF_ONE_MACHINE)}

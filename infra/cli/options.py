"""Options that several commands share, and the place that they name."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from infra.local.directory.data_directory import DataDirectory
from infra.terminal import json_document

if TYPE_CHECKING:
    from infra.deployed.account import Account
    from infra.deployed.stack import DeployedStack

DATA = Path(".orderflow")

Data = Annotated[
    Path, typer.Option("--data", metavar="DIR", help="The data directory.", envvar="ORDERS_DATA")
]


def _want_json(value: bool) -> bool:
    json_document.want(wanted=value)
    return value


Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document and nothing else, for an error too.",
        callback=_want_json,
        is_eager=True,
    ),
]
Delivery = Annotated[
    str,
    typer.Option(
        "--delivery",
        metavar="NUMBER",
        help="The delivery's number: its units are added once, even if another has the same units.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=64,
        help="Worker processes; 0 runs handlers in this process. Default: the setting Workers.",
    ),
]
Otlp = Annotated[
    str | None,
    typer.Option(
        "--otlp", metavar="URL", help="Export traces and metrics to this OTLP/HTTP receiver."
    ),
]
_EndpointUrl = Annotated[
    str | None, typer.Option("--endpoint-url", help="An endpoint that answers for AWS.")
]
_Profile = Annotated[str | None, typer.Option(help="A profile of the AWS configuration.")]
_Region = Annotated[str | None, typer.Option(help="An AWS region.")]
_StackName = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="A deployed stack; orderflow, if only another of these options is set.",
    ),
]


@dataclass(frozen=True, slots=True)
class AccountOptions:
    """The options that name an AWS account; without any, a command works on this machine."""

    endpoint_url: _EndpointUrl = None
    profile: _Profile = None
    region: _Region = None

    @property
    def given(self) -> bool:
        """Whether any of these options is set."""
        return any(getattr(self, field.name) for field in fields(self))

    def account(self) -> "Account | None":
        """Return the named account, or None for this machine."""
        if not (self.endpoint_url or self.profile or self.region):
            return None
        from infra.deployed.account import Account

        return Account(self.endpoint_url, self.profile, self.region)


@dataclass(frozen=True, slots=True)
class StackOptions(AccountOptions):
    """The options that name a deployed stack; without any, a command works on this machine."""

    stack: _StackName = None

    def deployed_stack(self) -> "DeployedStack | None":
        """Return the named stack, or None for this machine."""
        if not self.given:
            return None
        from infra.deployed.account import Account
        from infra.deployed.stack import find

        return find(Account(self.endpoint_url, self.profile, self.region), self.stack)


def expand_options(command: Callable[..., None]) -> Callable[..., None]:
    """Replace each parameter of type `AccountOptions` or `StackOptions` by its options.

    Typer reads the options of a command from its signature, and calls it by keyword.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if _is_group(kind)}
    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        if name in groups:
            parameters += _options_of(groups[name])
        else:
            annotated = parameter.replace(kind=parameter.KEYWORD_ONLY, annotation=hints[name])
            parameters.append(annotated)

    @wraps(command)
    def expanded(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{field.name: values.pop(field.name) for field in fields(kind)})
        command(**values)

    vars(expanded)["__signature__"] = inspect.Signature(parameters)
    expanded.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return expanded


def _is_group(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, AccountOptions)


def _options_of(kind: type[AccountOptions]) -> list[inspect.Parameter]:
    hints: Mapping[str, Any] = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]


def checked_otlp(url: str | None) -> str | None:
    """Return the address of an OTLP receiver; raise `EndpointError` if it is none."""
    if url is not None:
        from infra.telemetry.otlp import check_endpoint

        check_endpoint(url)
    return url


def directory(data: Path) -> DataDirectory:
    """Return the data directory at a path."""
    return DataDirectory(data.absolute())

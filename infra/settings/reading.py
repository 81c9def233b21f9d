"""The values of the settings, from the environment, the file of settings, or their defaults."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.errors import Refusal
from infra.settings.declared import Setting, parameters, settings

NAME = "settings.toml"
"""The file of settings in a data directory; the variable ORDERS_SETTINGS names another file."""

OTHER_FILE = "ORDERS_SETTINGS"

DEFAULT = "default"


class SettingsError(Refusal):
    """A setting is invalid; the message names its source, its name, the problem and the remedy."""


@dataclass(frozen=True, slots=True)
class Value:
    """The value of a setting, and where it comes from."""

    setting: Setting
    text: str
    source: str
    """``default``, ``environment`` or the path of the file."""

    @property
    def parts(self) -> list[str]:
        """The value of a list."""
        return [part for part in map(str.strip, self.text.split(",")) if part]


class Settings:
    """The values of all settings in a data directory."""

    def __init__(self, values: Mapping[str, Value], file: Path) -> None:
        self.values = values
        self.file = file

    def text(self, name: str) -> str:
        """Return a value as text."""
        return self.values[name].text

    def number(self, name: str) -> int:
        """Return a whole number."""
        return int(self.text(name))

    def optional_number(self, name: str) -> int | None:
        """Return a whole number, or None if the value is empty."""
        return int(self.text(name)) if self.text(name) else None

    def parameters(self) -> dict[str, str]:
        """Return the template's parameters that are set other than by default."""
        return {
            name: value.text
            for name, value in self.values.items()
            if value.setting.is_parameter and value.source != DEFAULT
        }


def file_of(root: Path) -> Path:
    """Return the file of the settings of a data directory."""
    named = os.environ.get(OTHER_FILE)
    return Path(named).absolute() if named else root / NAME


def read(root: Path) -> Settings:
    """Return the settings of a data directory.

    The environment has precedence over the file, the file over the defaults.

    Raises
    ------
    SettingsError
        The file cannot be read, or a value is invalid.
    """
    file = file_of(root)
    written = _read_file(file)
    values = {}
    for name, setting in settings().items():
        given = os.environ.get(setting.variable)
        if given is not None:
            values[name] = _checked(setting, given, "environment", setting.variable)
        elif name in written:
            text = _text(setting, written[name], file)
            values[name] = _checked(setting, text, str(file), f"{file}: {name}")
        else:
            values[name] = Value(setting, setting.default, DEFAULT)
    return Settings(values, file)


def _checked(setting: Setting, text: str, source: str, place: str) -> Value:
    """Return a value, or raise the one error of a value that is not permitted."""
    text = text.strip()
    wanted = setting.wanted(text)
    if wanted:
        raise SettingsError(
            f"{place}: {text!r} is not {wanted}; correct it, or remove it for the default"
            f" ({setting.default or 'empty'})"
        )
    return Value(setting, text, source)


def _text(setting: Setting, value: Any, file: Path) -> str:
    """Return the text of a TOML value."""
    if setting.is_list and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        kinds = "a list of texts" if setting.is_list else "a text or a number"
        raise SettingsError(f"{file}: {setting.name}: is not {kinds}; write {kinds}")
    return str(value)


def _read_file(file: Path) -> Mapping[str, Any]:
    """Return the values of a file; a data directory needs none."""
    try:
        written = tomllib.loads(file.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if os.environ.get(OTHER_FILE):
            raise SettingsError(
                f"{OTHER_FILE}: {file} does not exist; create it, or unset the variable"
            ) from None
        return {}
    except OSError as error:
        raise SettingsError(
            f"{file}: cannot be read: {error.strerror}; make it readable, or remove it"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{file}: is not TOML: {error}; write lines such as MaxAttempts = 12"
        ) from None
    for name in written:
        if name not in settings():
            raise SettingsError(f"{file}: {name}: {_unknown(name)}")
    return written


def _unknown(name: str) -> str:
    if name in parameters():
        return "is a parameter for AWS alone; remove it"
    near = difflib.get_close_matches(name, settings(), 1, 0.6)
    hint = f"did you mean {near[0]}? " if near else ""
    return f"is not a setting; {hint}`orders config` lists them"

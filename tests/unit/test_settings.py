"""Settings of one machine: environment, file, default; one error for an invalid one."""

import re
import tomllib
from pathlib import Path

import pytest

from infra.cli.commands import config
from infra.local.directory.data_directory import DataDirectory
from infra.local.platform import stack_of
from infra.settings.declared import parameters, settings
from infra.settings.reading import NAME, SettingsError, read

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in settings().values():
        monkeypatch.delenv(setting.variable, raising=False)
    monkeypatch.delenv("ORDERS_SETTINGS", raising=False)


def write(root: Path, text: str) -> Path:
    (root / NAME).write_text(text)
    return root


def test_the_environment_precedes_the_file_and_the_file_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 'MaxAttempts = 3\nRecoveryDelaySeconds = 60\nLogLevel = "DEBUG"\n')
    monkeypatch.setenv("ORDERS_MAX_ATTEMPTS", "5")
    found = read(tmp_path)
    sources = {name: (value.text, value.source) for name, value in found.values.items()}
    assert sources["MaxAttempts"] == ("5", "environment")
    assert sources["RecoveryDelaySeconds"] == ("60", str(tmp_path / NAME))
    assert sources["LeaseSeconds"] == ("300", "default")
    assert found.parameters() == {
        "MaxAttempts": "5",
        "RecoveryDelaySeconds": "60",
        "LogLevel": "DEBUG",
    }


def test_the_functions_have_the_parameters_and_an_option_overrides_them(tmp_path: Path) -> None:
    write(tmp_path, 'MaxAttempts = 3\nCorsOrigins = ["http://localhost:3000", "http://b.example"]')
    stack = stack_of(DataDirectory(tmp_path))
    assert stack.functions["PauseOrderFunction"].variables["MAX_ATTEMPTS"] == "3"
    assert stack.cors is not None
    assert stack.cors.origins == ("http://localhost:3000", "http://b.example")
    stack = stack_of(DataDirectory(tmp_path), parameters={"MaxAttempts": "4"})
    assert stack.functions["PauseOrderFunction"].variables["MAX_ATTEMPTS"] == "4"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("MaxAttempts = 0", "MaxAttempts: '0' is not a whole number of at least 1; correct it"),
        ("MaxAttempts = 1.5", "MaxAttempts: '1.5' is not a whole number of at least 1"),
        ("MaxAttempts = true", "MaxAttempts: is not a text or a number"),
        ("MaxAtempts = 2", "MaxAtempts: is not a setting; did you mean MaxAttempts?"),
        ("zzz = 2", "zzz: is not a setting; `orders config` lists them"),
        ("AlarmTopic = ''", "AlarmTopic: is a parameter for AWS alone; remove it"),
        ("LogLevel = 'LOUD'", "'LOUD' is not one of DEBUG, INFO, WARN, ERROR"),
        ("Workers = 65", "'65' is not a whole number from 0 to 64"),
        ("HighValueThresholds = 'dollars'", "is not currencies with amounts, such as JPY=150000"),
        ("CorsOrigins = [1]", "CorsOrigins: is not a list of texts"),
        ("[MaxAttempts]\nx = 1", "MaxAttempts: is not a text or a number"),
        ("= 1", "is not TOML"),
    ],
)
def test_an_invalid_setting_is_one_error_with_name_problem_and_remedy(
    tmp_path: Path, line: str, problem: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        read(write(tmp_path, line))
    message = str(refused.value)
    assert message.startswith(f"{tmp_path / NAME}: ")
    assert problem in message
    assert "\n" not in message.replace("\n", "", message.count("is not TOML"))


def test_a_variable_is_refused_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDERS_PORT", "http")
    with pytest.raises(SettingsError, match=r"^ORDERS_PORT: 'http' is not a whole number from 0"):
        read(tmp_path)


def test_another_file_is_named_by_a_variable_and_has_to_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.toml"
    monkeypatch.setenv("ORDERS_SETTINGS", str(other))
    with pytest.raises(SettingsError, match=r"ORDERS_SETTINGS: .*other.toml does not exist"):
        read(tmp_path)
    other.write_text("Workers = 4\n")
    assert read(tmp_path).number("Workers") == 4


def test_each_default_is_permitted_and_each_parameter_is_the_templates(tmp_path: Path) -> None:
    for value in read(tmp_path).values.values():
        setting = value.setting
        assert setting.wanted(setting.default) == "", setting.name
        if setting.is_parameter:
            assert setting.meaning == parameters()[setting.name]["Description"]


def test_the_printed_line_of_a_setting_is_toml_with_its_value(tmp_path: Path) -> None:
    for name, value in read(tmp_path).values.items():
        line = config.line_of(value)
        assert list(tomllib.loads(line)) == [name]
        assert read(write(tmp_path, line)).values[name].text == value.text


def test_each_setting_is_in_the_page_of_operators() -> None:
    page = (ROOT / "docs" / "operating.md").read_text()
    for setting in settings().values():
        default = f"`{setting.default}`" if setting.default else ""
        row = f"| `{setting.name}` | `{setting.variable}` | {default} | {setting.meaning} |"
        assert row in page, setting.name


def test_each_parameter_of_a_functions_environment_is_a_setting() -> None:
    template = (ROOT / "template.yaml").read_text("utf-8")
    lines = re.findall(r"^ +[A-Z_]+: (!(?:Ref|Sub|If).*)$", template, re.MULTILINE)
    found = {name for name in parameters() for line in lines if re.search(rf"\b{name}\b", line)}
    assert found - settings().keys() == {"Tracing", "TraceSampling", "OpenTelemetryEndpoint"}


def test_the_approval_of_orders_is_a_setting_of_the_directory(tmp_path: Path) -> None:
    write(tmp_path, 'HighValueApproval = "on"\nApprovalSeconds = 90\n')
    functions = stack_of(DataDirectory(tmp_path)).functions
    assert functions["ProcessPaymentFunction"].variables["HIGH_VALUE_APPROVAL"] == "on"
    assert functions["RequestApprovalFunction"].variables["APPROVAL_SECONDS"] == "90"

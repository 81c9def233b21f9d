"""Help: topics, commands, completion, similar names, and the version."""

import os
import subprocess
from importlib.metadata import version

import pytest

from infra.cli.main import COMMANDS
from infra.cli.topics import topics
from tests.fakes.serving import COMMAND, orders


def completed(words: str) -> list[str]:
    environment = {"_ORDERS_COMPLETE": "complete_bash", "COMP_WORDS": words}
    environment["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    done = subprocess.run(
        [COMMAND], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_shell_completes_commands_and_options() -> None:
    assert completed("orders dea") == ["dead-letters"]
    assert completed("orders dead-letters dis") == ["discard"]
    assert completed("orders dead-letters jobs pa") == ["pause"]
    assert completed("orders prune --orders") == ["--orders-days"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_the_command(shell: str) -> None:
    script = orders("completion", shell).stdout
    assert "_ORDERS_COMPLETE" in script
    assert "orders" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_each_topic_is_printed_and_listed() -> None:
    listed = orders("help").stdout
    assert len(topics()) >= 3
    for name, section in topics().items():
        assert f"{name} " in listed
        done = orders("help", name)
        assert done.returncode == 0
        assert done.stdout.startswith(section.partition("\n")[0])
        assert "```" not in done.stdout
        assert "|--" not in done.stdout


def test_help_explains_a_command_and_refuses_another_word() -> None:
    assert orders("help", "dead-letters", "redrive").stdout.startswith(
        "Usage: orders dead-letters redrive"
    )
    assert orders("help", "dead-letters", "jobs", "undo").stdout.startswith(
        "Usage: orders dead-letters jobs undo"
    )
    for words in (("nope",), ("list", "nope"), ("dead-letters", "nope")):
        done = orders("help", *words)
        assert (done.returncode, "is no topic and no command" in done.stderr) == (1, True)


@pytest.mark.parametrize(
    "group", [(), ("dead-letters",), ("dead-letters", "jobs"), ("stock",), ("events",)]
)
def test_no_sentence_of_a_list_is_cut(group: tuple[str, ...]) -> None:
    done = orders(*group, "--help")
    _, _, listed = done.stdout.partition("Commands:")
    assert listed
    assert "..." not in listed


def test_a_mistyped_command_names_a_similar_one() -> None:
    assert "Did you mean 'list'?" in orders("lst").stderr
    assert "Did you mean" in orders("dead-letters", "lst").stderr
    assert "Did you mean 'cancel'?" in orders("dead-letters", "jobs", "cancle").stderr
    assert "list" in COMMANDS


def test_the_version_is_that_of_the_program() -> None:
    assert orders("--version").stdout.startswith(f"orders {version('orderflow')} ")

"""Definitions of state machines: an execution ends on the definition of its start."""

from collections.abc import Mapping
from hashlib import sha256

from infra.asl import Machine
from infra.local.directory.journal import Journal
from infra.local.template.loader import read_yaml
from infra.local.template.resources import compiled
from infra.local.template.stack import StateMachine
from infra.local.template.task_parameters import PARAMETERS


class Definitions:
    """The definitions in the journal, by their digests.

    ``current`` has the definition's id of each state machine of the template, ``compiled`` the
    definitions in memory.
    """

    def __init__(self, journal: Journal, machines: Mapping[str, StateMachine]) -> None:
        self.journal = journal
        self.compiled: dict[str, Machine] = {}
        self.current = {name: self._add(machine) for name, machine in machines.items()}

    def machine(self, definition: str, name: str) -> Machine:
        """Return a definition's machine; ``name`` is the state machine's."""
        machine = self.compiled.get(definition)
        if machine is None:
            row = self.journal.database.row("select body from definitions where id = ?", definition)
            assert row is not None
            place = f"definition {definition}"
            body = read_yaml(row[0], place)
            machine = self.compiled[definition] = compiled(body, name, place, PARAMETERS)
        return machine

    def _add(self, machine: StateMachine) -> str:
        """Journal a state machine's definition; return its id."""
        number = sha256(machine.definition.encode()).hexdigest()[:16]
        self.journal.batch.add(
            "insert into definitions values (?, ?) on conflict do nothing",
            number,
            machine.definition,
        )
        self.compiled[number] = machine.machine
        return number

"""The promises about jobs on dead letters and about replays, at any moment and at the end.

A job handles each of its items once, also after a crash: its counts add up to its items, its
position never goes back, its pace is kept, and an ended one does nothing more.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from storage.sqlite.database import Database
from tests.simulation.model import promise

ENDED = ("COMPLETED", "CANCELLED")
STATES: Mapping[str, str] = {
    "pause": "PAUSED",
    "resume": "RUNNING",
    "cancel": "CANCELLED",
    "cancel undo": "CANCELLED",
    "pause replay": "PAUSED",
    "resume replay": "RUNNING",
    "cancel replay": "CANCELLED",
}
"""The state that each acknowledged request promises."""

_SCOPE = (
    "select count(*) from events where archived and arrived_at >= ? and arrived_at < ? and seq <= ?"
)
_UNDONE = (
    "select undoes from letter_jobs where undoes is not null and state <> 'CANCELLED'"
    " group by undoes having count(*) > 1"
)
_BY = "select id from letter_jobs where who = ?"


@dataclass(slots=True)
class Paced:
    """The jobs and replays observed so far."""

    rows: dict[object, tuple[str, int, int]] = field(default_factory=dict)
    """The last state, position and number of handled items of each."""
    times: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    """When each job has handled its dead letters."""
    handled: set[tuple[int, int]] = field(default_factory=set)
    """The jobs with the dead letters that they have handled."""
    undoes: dict[int, int | None] = field(default_factory=dict)
    begun: Counter[int] = field(default_factory=Counter)
    """How often each job was resumed; the pace begins again then."""
    crashes: int = 0

    def done(self, job: int, letter: int, at: float) -> None:
        """Take an entry of a job in a dead letter's log."""
        message = f"job {job} handles dead letter {letter} twice"
        promise("jobs", (job, letter) not in self.handled, message)
        self.handled.add((job, letter))
        self.times[job].append(at)

    def crashed(self, effects: Counter[str]) -> None:
        """Count a crash in the middle of jobs and replays."""
        self.crashes += 1
        for key, (state, _, handled) in self.rows.items():
            if state == "RUNNING" and handled:
                effects[f"crash in a {'replay' if isinstance(key, str) else 'job'}"] += 1

    def check(self, store: Database) -> None:
        """Check each job's and replay's progress."""
        for row in store.rows("select * from letter_jobs"):
            number = row["id"]
            self.undoes[number] = row["undoes"]
            counted = 0 <= row["refused"] <= row["handled"] <= row["total"]
            done = row["handled"] - row["refused"]
            message = f"job {number}: {tuple(row)}, and {len(self.times[number])} are recorded"
            promise("jobs", counted and done == len(self.times[number]), message)
            self._progressed(number, row, row["handled"])
        for row in store.rows("select * from replays"):
            range_ = row["start_at"], row["end_at"], row["position"]
            [(passed,)] = store.rows(_SCOPE, *range_)
            message = f"replay {row['name']} has replayed {row['replayed']} of {passed} events"
            promise("replays", row["replayed"] == passed, message)
            self._progressed(row["name"], row, row["replayed"])
        for row in store.rows(_UNDONE):
            promise("jobs", condition=False, message=f"job {row[0]} is undone twice")

    def _progressed(self, key: object, row: Any, handled: int) -> None:
        now = row["state"], row["position"], handled
        before = self.rows.get(key, now)
        message = f"{key} is {now} after {before}"
        promise("jobs", now[1:] >= before[1:] and now[2] >= before[2], f"{message}: it went back")
        promise("jobs", before[0] not in ENDED or now == before, f"{message}: it had ended")
        held = before[0] == "PAUSED" and now[0] != "RUNNING" and now[0] != "COMPLETED"
        promise("jobs", not held or now[1] == before[1], f"{message}: it was paused")
        self.rows[key] = now

    def answered(
        self,
        store: Database,
        step: str,
        request: Mapping[str, Any],
        answer: Mapping[str, Any],
        effects: Counter[str],
    ) -> None:
        """Check that an acknowledged request has taken effect."""
        effects[step] += 1
        if step in {"redrive group", "discard group", "undo"}:
            ids = [row["id"] for row in store.rows(_BY, request["who"])]
            promise(
                "jobs",
                ids == [answer["job"]],
                f"{step} has the jobs {ids}, and is answered {answer}",
            )
        elif step in STATES:
            key = request["ReplayName"] if "ReplayName" in request else request["id"]
            state, wanted = self.rows[key][0], STATES[step]
            holds = state == wanted or (wanted == "RUNNING" and state == "COMPLETED")
            promise("jobs", holds, f"{key} is {state} after {step} was acknowledged")
            if step == "resume":
                self.begun[key] += 1

    def left(self, store: Database, effects: Counter[str]) -> None:
        """Check that each job has ended, and that its counts and its record add up."""
        for key, (state, _, handled) in self.rows.items():
            promise("jobs", state in ENDED, f"{key} is {state}, and nothing ends it")
            if state == "CANCELLED" and handled:
                effects["cancelled in the middle"] += 1
        for row in store.rows("select * from letter_jobs"):
            self._adds_up(store, row)
            self._kept_pace(row)
        for row in store.rows("select * from replays where state = 'COMPLETED'"):
            [(number,)] = store.rows(_SCOPE, row["start_at"], row["end_at"], row["last"])
            message = f"replay {row['name']} replayed {row['replayed']} of {number} events"
            promise("replays", row["replayed"] == number, message)

    def _adds_up(self, store: Database, row: Any) -> None:
        number = row["id"]
        members = store.rows("select letter, problem from letter_job_members where job = ?", number)
        problems = {each["letter"] for each in members if each["problem"] is not None}
        handled = {letter for job, letter in self.handled if job == number}
        message = (
            f"job {number} ({row['state']}) has {len(members)} of {row['total']} dead letters:"
        )
        message += f" {len(handled)} done, {len(problems)} refused, {row['refused']} counted"
        left = len(members) - len(handled) - len(problems)
        holds = len(members) == row["total"] and not handled & problems
        holds &= left == 0 if row["state"] == "COMPLETED" else left >= 0
        holds &= row["refused"] == len(problems)
        promise("jobs", holds, message)
        [recorded] = store.rows("select * from operator_actions where id = ?", row["recorded"])
        after = json.loads(recorded["after"])
        counts = after.get("done"), after.get("refused"), after.get("untouched")
        wanted = len(handled), len(problems), left
        holds = recorded["result"] == "DONE" and counts == wanted
        promise("jobs", holds, f"job {number} is recorded as {after}, and is {wanted}")

    def _kept_pace(self, row: Any) -> None:
        times, rate = self.times[row["id"]], row["rate"]
        if rate is None or not times:
            return
        most = 1 + self.crashes + self.begun[row["id"]] + rate * (times[-1] - times[0])
        message = f"job {row['id']} handled {len(times)} in {times[-1] - times[0]:.3f} s at {rate}"
        promise("jobs", len(times) <= most + 1e-6, message)

"""What a saga waits for, and how its steps stand: the parts of the answer of the query `progress`.

Dataclasses, which pydantic reads and writes as it does models: whoever shows what the ledger has on
record needs no models, which take time to import.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, cast

# The operator actions on a step: the updates of these names.
Verb = Literal["retry", "skip", "resolve"]


def verbs(*, undoing: bool, outside: bool) -> list[Verb]:
    """The operator actions that a step, or its undo, takes.

    What our own database undoes can neither be given up nor be undone by hand.
    """
    if not outside:
        return ["retry"]
    return ["retry", "skip", "resolve"] if undoing else ["retry", "resolve"]


@dataclass(frozen=True)
class StepProgress:
    """One step as `progress` shows it.

    `unknown`: its outcome is in doubt, and it is to be undone. `tries` of the step, or of its undo,
    had no success so far, or are those that the undo took; 0 of a step that is done, refused or
    failed. Read from the ledger, they are those on record, so that of a step or an undo that is
    tried again they may be fewer. `verbs` are the updates that it takes from an operator now.
    `since` when it has been in that state; `until` then an operator is asked.
    """

    # Unknown fields are refused.
    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as pydantic reads it

    name: str
    state: Literal[
        "running",
        "unknown",
        "resolving",
        "needs_attention",
        "done",
        "refused",
        "failed",
        "undoing",
        "undone",
        "skipped",
    ]
    detail: str | None = None
    tries: int = 0
    verbs: list[Verb] = field(default_factory=list)
    since: datetime | None = None
    until: datetime | None = None


# Any person; the word of the ledger.
ANY_USER = "user"


@dataclass(frozen=True)
class Wait:
    """One thing that a saga waits for, in the words of the search attributes: `state` is that of
    `SagaState` (or `orphaned`: no run carries the saga; `paused`: its run is open and does not run;
    `schedule`),
    `waits_for` that of `SagaStep`.

    `whom`: who is expected to act: an actor, `user` for any person, or nobody yet (empty: it is
    looked up, and an operator is asked at `until`). `undoing`: the undo of the step is what waits.
    `tries`, read from the ledger, are those on record: of what is tried again at least so many.
    `commands` are the exact next commands.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - as pydantic reads it

    waits_for: str
    state: Literal[
        "running",
        "resolving",
        "needs_attention",
        "compensating",
        "orphaned",
        "paused",
        "schedule",
        "case",
    ]
    whom: str
    since: datetime | None = None
    until: datetime | None = None
    undoing: bool = False
    tries: int = 0
    why: str | None = None
    commands: list[str] = field(default_factory=list)

    @property
    def takes_any_user(self) -> bool:
        """Whether any person may act: a capture is expected from the agent, and taken from any
        user too."""
        return self.whom == ANY_USER or (self.state == "running" and self.waits_for == "capture")


def decision_wait(
    saga_id: str, waits_for: str, whom: str, since: datetime | None, until: datetime | None
) -> Wait:
    """The wait of a saga for a decision, such as an approval."""
    commands = [f"amends {verb} {saga_id}" for verb in _DECISIONS.get(waits_for, ())]
    return Wait(
        waits_for=waits_for, state="running", whom=whom, since=since, until=until, commands=commands
    )


_DECISIONS: Mapping[str, tuple[str, str]] = {
    "approval": ("approve", "reject"),
    "capture": ("capture", "void"),
}


def step_wait(saga_id: str, step: StepProgress, *, undoing: bool) -> Wait | None:
    """The wait of a saga for a step, or for its undo; None for a step that goes on."""
    states = {"undoing": "compensating"}
    if step.state not in ("resolving", "needs_attention", "undoing"):
        return None
    if in_doubt := step.state == "resolving":
        commands = [f"amends saga {saga_id}", f"amends cancel {saga_id}"]
    else:
        commands = action_commands(saga_id, step.name, step.verbs)
    return Wait(
        waits_for=step.name,
        state=cast(Any, states.get(step.state, step.state)),
        whom="" if in_doubt else ANY_USER,
        since=step.since,
        until=step.until,
        undoing=undoing,
        tries=step.tries,
        why=step.detail,
        commands=commands,
    )


def orphan_wait(since: datetime | None, why: str) -> Wait:
    """The wait of a saga that no run carries, until a run takes it over. How long the grace time
    is, only the worker knows."""
    return Wait(
        waits_for="recovery",
        state="orphaned",
        whom=ANY_USER,
        since=since,
        why=f"{why}; the sweep acts after its grace time",
        commands=["amends sweep"],
    )


def paused_wait(
    saga_id: str,
    status: str = "paused",
    where: str = "",
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Wait:
    """The wait of a saga whose run is open and does not run, until somebody unpauses it. `status`
    is the name of the run's status; this version knows what to do about `paused` alone. `where`
    are the options with which the official CLI finds the server, as far as they are known. `until`:
    the deadline of the decision that it waited for, which goes on running."""
    why, verb = "paused in Temporal", "unpause"
    if status != "paused":
        why, verb = f"in {status} of Temporal, which this version does not know", "describe"
    return Wait(
        waits_for="unpause",
        state="paused",
        whom=ANY_USER,
        since=since,
        until=until,
        why=why,
        commands=[f"temporal workflow {verb} --workflow-id {saga_id}{where}"],
    )


def paused_words(saga_id: str, wait: Wait) -> str:
    """The wait of a saga whose run is open and does not run, in a line."""
    return f"{saga_id} is {wait.why}: {' or '.join(wait.commands)}"


def action_commands(saga_id: str, step: str, verbs: Sequence[str]) -> list[str]:
    """The commands of the operator actions on a step."""
    of = f"{saga_id} {_quoted(step)}"
    outcome = "" if "skip" in verbs else " --outcome done|failed"
    said = {
        "retry": f"amends retry {of}",
        "skip": f"amends skip {of} --reason TEXT",
        "resolve": f"amends resolve {of} --evidence TEXT{outcome}",
    }
    return [said[verb] for verb in verbs]


def _quoted(text: str) -> str:
    """The text as one word of a shell."""
    if re.fullmatch(r"[A-Za-z0-9@%+=:,./_-]+", text):
        return text
    return "'" + text.replace("'", "'\"'\"'") + "'"

"""The two commits that are measured, as a program makes them and as pgbench scripts.

`single`: the first event of a new aggregate, in one statement. `load`: an aggregate is loaded, the
decision sees its state, and one event is appended on the condition that nothing moved: two.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from random import randrange

from benchmarks.pgbench import Script, filled_in
from ledger.aggregates.agent import AgentRegistered, AgentState, agent_name
from ledger.aggregates.names import aggregate_type_of
from ledger.database import Database
from ledger.store.commit import Author, Decision, Loaded, Ref, commit
from ledger.store.decision import Head
from ledger.store.event_log import NO_HASH
from ledger.store.event_rows import writing
from ledger.store.statements import load_statement, write_statement

_NEW = 2**62
# Where the number of an aggregate stands in a value.
_BLANK = "@number@"

AUTHOR = Author(
    "user:bench",
    metadata={"workflow_id": "agent/bench", "run_id": "0198", "activity": "step", "attempt": 1},
)


@dataclass(frozen=True)
class Scenario:
    """One kind of commit, on an aggregate that is new or on one of `existing`, and the share of
    pgbench's rate that `ledger.commit` should reach with 16 at once."""

    name: str
    new: bool
    existing: int
    aim: float

    def number(self) -> int:
        return self.existing + randrange(_NEW) if self.new else randrange(self.existing)

    async def commit(self, database: Database, number: int) -> None:
        """As a program does it."""
        agent_id = f"bench-{number}"
        name = agent_name(agent_id)

        def decide(loaded: Loaded) -> Decision[None]:
            assert self.new or loaded[name] is not None
            return registered(agent_id)

        await commit(database, AUTHOR, [Ref(name, new=self.new)], decide)

    def script(self, number: str | None = None) -> Script:
        """The same statements for pgbench, with the values that ledger.commit would send.

        `number`: an expression of pgbench for the aggregate; else any.
        """
        low, high = (self.existing, _NEW) if self.new else (0, self.existing - 1)
        lines = [f"\\set number {number or f'random({low}, {high})'}"]
        head = self._head(f"agent/bench-{_BLANK}")
        loaded = Loaded({head.ref.aggregate: head}, None, {})
        made = writing(AUTHOR, loaded, registered(f"bench-{_BLANK}"))
        blanks = _Blanks()
        expressions = {name: blanks.expression(name, text) for name, text in made.values.items()}
        identity = "md5('agent/bench-' || :number::text)"
        version = "1" if self.new else _FROM_HEAD["p0e0_version"]
        of_event = f"overlay(overlay(({identity})::uuid::text placing '8' from 15 for 1)"
        of_event += f" placing lpad(to_hex({version}), 8, '0') from 29 for 8)"
        expressions |= {"p0_aggregate_id": identity, "p0e0_event_id": of_event, "id0": identity}
        if not self.new:
            loading = load_statement((("agent", None),), windows=False, locked=False)
            lines.append(filled_in(loading, expressions) + "\n\\gset")
            expressions |= _FROM_HEAD
        lines.append(filled_in(write_statement(made.parts, made.events), expressions) + ";")
        return Script("\n".join(lines) + "\n", blanks.variables)

    def _head(self, name: str) -> Head:
        ref, aggregate_type = Ref(name, new=self.new), aggregate_type_of(name)
        if self.new:
            return Head(ref, aggregate_type, None, 0, None, f"\\x{NO_HASH.hex()}")
        state = AgentState(agent_id=f"bench-{_BLANK}", user="user:bench", state="active")
        return Head(
            ref, aggregate_type, state, 1, datetime.now(UTC).isoformat(), f"\\x{NO_HASH.hex()}"
        )


def registered(agent_id: str) -> Decision[None]:
    event = AgentRegistered(agent_id=agent_id, user="user:bench")
    return Decision(None, [(agent_name(agent_id), event)])


_FROM_HEAD = {
    "p0_expected": ":head0::json->>'version'",
    "p0_version": "(:head0::json->>'version')::integer + 1",
    "p0e0_version": "(:head0::json->>'version')::integer + 1",
    "p0_head_at": ":head0::json->>'head_at'",
    "p0_head_hash": "(:head0::json->>'head_hash')::bytea",
}


class _Blanks:
    """Values of the product with blanks, as expressions of text variables and `:number`."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}

    def expression(self, name: str, text: str | None) -> str:
        if text is None:
            return "NULL"
        pieces = []
        for part in re.split(f"({_BLANK})", text):
            if part == _BLANK:
                pieces.append(":number::text")
            elif part:
                variable = f"{name}_{len(pieces)}"
                self.variables[variable] = part
                pieces.append(f":{variable}")
        return " || ".join(pieces)


def single(existing: int) -> Scenario:
    return Scenario("single statement", True, existing, aim=0.45)


def load(existing: int) -> Scenario:
    return Scenario("load, decide, write", False, existing, aim=0.30)

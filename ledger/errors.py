"""The errors of the ledger, in two kinds: the same call may succeed later, or will always fail.

    LedgerError
    ├── TryAgain                the same call may succeed later
    │   ├── DatabaseUnavailable the database can't be reached or is shutting down
    │   │   ├── EndedBySetting  a setting of the server, the role, the pooler or the address
    │   │   └── NoRoom          the server has no connection or no disk space left
    │   ├── Unwritable          a table of the ledger takes no writes
    │   ├── TooMuchContention   the commit lost every race in all its tries
    │   ├── ClockSetBack        the database's clock was set back into the closed past
    │   ├── StillOpen           events may yet be added at or before the point asked for
    │   ├── TableBusy           a rebuild or a migration could not have its tables for itself
    │   └── ShareLost           a process that verified a part of the ledger was killed
    └── NeverWorks              the same call will always fail
        ├── Fenced              the saga has moved on: this attempt belongs to an older epoch
        ├── NotAdmitted         the request is new, and breaks the rules of today
        ├── NotSigned           what is asked for is not signed by a valid key of its actor
        ├── InputChanged        the step or saga is known, with another input
        ├── StateRefused        the state does not allow it (already captured, not pending, ...)
        ├── IllegalTransition   an event can't follow in the state of its aggregate
        ├── NotFound            there is no such aggregate, or no such table
        │   └── NotThere        the aggregate has no such field, or did not exist at that time
        ├── Ambiguous           a short name may mean several aggregates
        ├── LogDamaged          the events of an aggregate can't be replayed
        ├── NotOwner            the database role may not do that
        └── Pooled              it needs a session of its own, and the address is a pooler's
Messages carry names, versions and numbers, never the data of a person.
"""

from collections.abc import Sequence


class LedgerError(Exception):
    """Root of the ledger's errors."""


class TryAgain(LedgerError):
    """The same call may succeed later: repeat it."""


class DatabaseUnavailable(TryAgain):
    """The database can't be reached: the commit did not happen, or a repeat will recognise it."""


class EndedBySetting(DatabaseUnavailable):
    """A setting ended the statement or refused the connection: change `setting`, which the message
    names. It did not happen, or a repeat will recognise it."""

    def __init__(self, message: str, setting: str) -> None:
        super().__init__(message)
        self.setting = setting


class NoRoom(DatabaseUnavailable):
    """The server is up, and has no connection or no disk space left: free what the message names,
    or try again later."""


class Unwritable(TryAgain):
    """A table takes no writes: the message names it and why. Give the role its rights, or end who
    locks it."""


class TooMuchContention(TryAgain):
    """Many commits meet on the same aggregate: repeat this one, or spread the load."""


class ClockSetBack(TryAgain):
    """The database server's clock was set back: correct it (docs/time-travel.md). Nothing was
    written."""


class TableBusy(TryAgain):
    """Another rebuild or migration runs, or somebody holds a table for long: the message names who.
    Nothing was changed."""


class ShareLost(TryAgain):
    """A verifying process was killed, and its part of the ledger is unchecked: verify again."""


class StillOpen(TryAgain):
    """Events may still be added at that point: ask again in `again_in_s`, wait longer, or end the
    transaction that the message names."""

    def __init__(self, message: str, again_in_s: float) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


class NeverWorks(LedgerError):
    """The same call will always fail: change the request."""


class Fenced(NeverWorks):
    """The saga is compensating or another run took it over. Nothing was written; stop."""


class NotAdmitted(NeverWorks):
    """The request is new, and breaks the rules of today: correct the fields of its `problems`
    (field and reason, never the value). Nothing was written."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {reason}" for field, reason in problems))
        self.problems = problems


class NotSigned(NeverWorks):
    """The signature is missing or not valid: sign what you ask for with your key. `reason` is the
    word of the contract. Nothing was written."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class InputChanged(NeverWorks):
    """The operation id or step was used with another input: use a new operation id."""


class StateRefused(NeverWorks):
    """The state does not allow the request. `reason` is a word a program may compare."""

    def __init__(self, message: str, reason: str = "state_refused") -> None:
        super().__init__(message)
        self.reason = reason


class IllegalTransition(NeverWorks):
    """The event can't follow in the state of its aggregate (`ledger.aggregates.transitions`): the
    decision has a defect, or `amends verify` finds damage. Nothing was written."""


class NotFound(NeverWorks):
    """No event of that aggregate exists: check the name (`amends log` lists all names)."""


class NotThere(NotFound):
    """The aggregate has no such field, or did not exist then: the message says what there is."""


class Ambiguous(NeverWorks):
    """The short name fits several aggregates: use one of the full names in the message."""


class LogDamaged(NeverWorks):
    """The events can't be replayed: run `amends verify`. Nothing was changed."""


class NotOwner(NeverWorks):
    """The database role is not the owner of the ledger: connect as the role of
    AMENDS_MIGRATION_URL."""


class MigrationRefused(NeverWorks):
    """The ledger holds a row that this version does not allow; nothing was changed. The message
    names the row, and what to do."""


class Pooled(NeverWorks):
    """A rebuild needs a session to itself: let AMENDS_MIGRATION_URL name PostgreSQL, not a
    pooler."""

"""What can go wrong in the ledger. Two kinds: try again, or it will never work.

    LedgerError
    ├── TryAgain                the same call may succeed later
    │   ├── DatabaseUnavailable the database can't be reached or is shutting down
    │   ├── TooMuchContention   the commit lost every race it was allowed to lose
    │   ├── ClockSetBack        the database's clock stands in a past that was answered for
    │   ├── StillOpen           events may yet be added at or before the point asked for
    │   ├── TableBusy           a rebuild could not have its table for itself
    │   └── ShareLost           a process that verified a part of the ledger was killed
    └── NeverWorks              the same call will always fail
        ├── Fenced              the saga has moved on: this attempt belongs to an older epoch
        ├── InputChanged        the step or saga is known, with another input
        ├── StateRefused        the state does not allow it (already captured, not pending, ...)
        ├── NotFound            there is no such aggregate, or no such table
        │   └── NotThere        it is known, and has no such field, or was not there at that time
        ├── Ambiguous           a short name may mean several aggregates
        ├── LogDamaged          the events of an aggregate can't be replayed
        └── NotOwner            the database role may not do that
Messages carry names, versions and numbers, never the data of a person.
"""


class LedgerError(Exception):
    """The root of the tree."""


class TryAgain(LedgerError):
    """Do the same again, later."""


class DatabaseUnavailable(TryAgain):
    """Look at the database; the commit did not happen, or will be recognised when repeated."""


class TooMuchContention(TryAgain):
    """Many commits meet on the same aggregate; repeat it, or spread the load."""


class ClockSetBack(TryAgain):
    """Set the clock of the database server right; see docs/time-travel.md. Nothing was written."""


class TableBusy(TryAgain):
    """Another rebuild runs, or a writer holds the table for long. Nothing was changed."""


class ShareLost(TryAgain):
    """Nothing is known of a part of the ledger. Verify again; look who killed the process."""


class StillOpen(TryAgain):
    """Ask again in `again_in_s`, or with more patience; end the transaction that it names."""

    def __init__(self, message: str, again_in_s: float) -> None:
        super().__init__(message)
        self.again_in_s = again_in_s


class NeverWorks(LedgerError):
    """Do not repeat it: change what you ask for."""


class Fenced(NeverWorks):
    """The saga is compensating or another run took it over. Nothing was written; stop."""


class InputChanged(NeverWorks):
    """The name was used with another input. Use a new operation id."""


class StateRefused(NeverWorks):
    """The state does not allow it. `reason` is a word a program may compare."""

    def __init__(self, message: str, reason: str = "state_refused") -> None:
        super().__init__(message)
        self.reason = reason


class NotFound(NeverWorks):
    """No event of that aggregate exists. Check the name (`amends log` lists them)."""


class NotThere(NotFound):
    """Ask for what the message says that there is."""


class Ambiguous(NeverWorks):
    """The short name fits several aggregates: use one of the full names in the message."""


class LogDamaged(NeverWorks):
    """A rebuild would hide the damage: look at it first (`amends verify`). Nothing was changed."""


class NotOwner(NeverWorks):
    """Connect under the role that owns the ledger (the one of AMENDS_MIGRATION_URL)."""

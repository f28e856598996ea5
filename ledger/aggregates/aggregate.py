"""Defines an aggregate type of the ledger: events, a state, a table and a pure `evolve`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from ledger.aggregates.columns import Columns
from ledger.aggregates.errors import RowUnreadable
from ledger.aggregates.errors import UnknownEvent as UnknownEvent
from ledger.aggregates.names import aggregate_id as aggregate_id
from ledger.aggregates.names import id_text as id_text

if TYPE_CHECKING:
    from sqlalchemy import Table

Payload = Mapping[str, Any]
# Makes the payload of the next version; pure: it returns a new one and leaves the old as it is.
Upcaster = Callable[[Payload], Payload]


class Event(BaseModel):
    """An immutable fact in the past tense. The class name is its `event_type` for ever.

    A change of fields is a new version: an upcaster more, which makes the payload of that version
    out of one of the version before. So `upcasters[0]` goes 1 -> 2, none is ever missing, and what
    is stored stays as it was written.
    """

    # Built when it is used first: a command reads a few of the many.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    upcasters: ClassVar[tuple[Upcaster, ...]] = ()
    # One more than there are upcasters; never set by hand.
    schema_version: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        cls.schema_version = 1 + len(cls.upcasters)


class State(BaseModel):
    """The state of one aggregate, folded from its events; each field is a column of the state
    row."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@dataclass(frozen=True)
class AggregateType:
    """An aggregate type. `name` is the first part of the names of its aggregates, `columns` are
    those of its state table."""

    name: str
    columns: Columns
    state: type[State]
    events: tuple[type[Event], ...]
    evolve: Callable[[Any, Any], State]

    @cached_property
    def _by_type(self) -> dict[str, type[Event]]:
        return {event.__name__: event for event in self.events}

    @cached_property
    def json_columns(self) -> frozenset[str]:
        """The names of the columns that hold JSON."""
        return frozenset(column.name for column in self.columns.columns if column.is_json)

    @property
    def selection(self) -> str:
        """`SELECT * FROM` the state table, to be followed by conditions: see `state_of`."""
        return f"SELECT * FROM ledger.{self.columns.name}"

    @property
    def table(self) -> "Table":
        """The state table as SQLAlchemy Core knows it: for who writes."""
        return self.columns.table

    def event(self, event_type: str, schema_version: int, payload: Payload) -> Event:
        """Reads a stored event of any version as the newest version of its model.

        Raises UnknownEvent for a type or a version that is not known here, ValueError for a payload
        that is none of its version.
        """
        known = self.known(event_type, schema_version)
        if schema_version < known.schema_version:
            payload = _upcast(known, schema_version, payload)
        # As model_validate, without its detours: half the time, for readers of millions.
        return cast(Event, known.__pydantic_validator__.validate_python(payload))

    def known(self, event_type: str, schema_version: int) -> type[Event]:
        """The model that reads events of this type and version. Raises UnknownEvent."""
        known = self._by_type.get(event_type)
        if known is None:
            raise UnknownEvent(
                f"{event_type} version {schema_version} is not an event of aggregate type "
                f"{self.name} in this version of Amends: a newer version wrote it; upgrade "
                f"before reading it"
            )
        if not 1 <= schema_version <= known.schema_version:
            raise UnknownEvent(
                f"{event_type} version {schema_version} is unknown to this version of Amends, "
                f"whose newest is version {known.schema_version}: a newer version wrote it; "
                f"upgrade before reading it"
            )
        return known

    def row(self, state: State) -> dict[str, Any]:
        """The columns of a state row, JSON columns as JSON values."""
        plain = vars(state).copy()
        if self.json_columns:
            return plain | state.model_dump(mode="json", include=set(self.json_columns))
        return plain

    def state_of(self, row: Mapping[str, Any]) -> State:
        """The state in a state row. Raises RowUnreadable, without values."""
        try:
            return self.state.model_validate({name: row[name] for name in self.state.model_fields})
        except ValidationError as error:
            places = [problem["loc"] for problem in error.errors(include_input=False)]
            columns = sorted({str(place[0]) for place in places if place})
        raise RowUnreadable(str(row["aggregate"]), columns)


def _upcast(known: type[Event], schema_version: int, payload: Payload) -> Payload:
    try:
        for upcast in known.upcasters[schema_version - 1 :]:
            payload = upcast(payload)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the payload does not fit {known.__name__} version {schema_version}"
        ) from error
    return payload

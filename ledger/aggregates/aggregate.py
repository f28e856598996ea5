"""Defines an aggregate type of the ledger: events, a state, a table and a pure `evolve`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self, dataclass_transform, get_type_hints

import msgspec

from ledger.aggregates.columns import Columns
from ledger.aggregates.errors import RowUnreadable, row_name
from ledger.aggregates.errors import UnknownEvent as UnknownEvent
from ledger.aggregates.names import aggregate_id as aggregate_id
from ledger.aggregates.names import id_text as id_text

if TYPE_CHECKING:
    from sqlalchemy import Table

Payload = Mapping[str, Any]
# Makes the payload of the next version; pure: it returns a new one and leaves the old as it is.
Upcaster = Callable[[Payload], Payload]


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _Frozen(msgspec.StructMeta):
    """Makes classes whose values are frozen and have no unknown fields, for type checkers too."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        kw_only: bool = False,
        omit_defaults: bool = False,
    ) -> Any:
        """Make one class."""
        return super().__new__(
            cls,
            name,
            bases,
            namespace,
            frozen=True,
            forbid_unknown_fields=True,
            kw_only=kw_only,
            omit_defaults=omit_defaults,
        )


class Value(msgspec.Struct, metaclass=_Frozen):
    """An immutable value with typed fields, in JSON as its fields by name.

    A type checker sees to the types of a value that is made here; what was stored is checked when
    it is read.
    """

    @classmethod
    def read(cls, value: Any) -> Self:
        """Reads a JSON object, or a row of the driver. Raises ValueError, without values, for
        missing and unknown fields and for other types."""
        return msgspec.convert(value, cls)

    def fields(self) -> dict[str, Any]:
        """The fields by name, as they are."""
        return {name: getattr(self, name) for name in self.__struct_fields__}

    def as_json(self) -> dict[str, Any]:
        """The value as a JSON object."""
        made: dict[str, Any] = msgspec.to_builtins(self)
        return made

    def changed(self, **fields: Any) -> Self:
        """The same value with other values in these fields."""
        return msgspec.structs.replace(self, **fields)


class Event(Value):
    """An immutable fact in the past tense. The class name is its `event_type` for ever.

    A change of fields is a new version: an upcaster more, which makes the payload of that version
    out of one of the version before. So `upcasters[0]` goes 1 -> 2, none is ever missing, and what
    is stored stays as it was written.
    """

    upcasters: ClassVar[tuple[Upcaster, ...]] = ()
    # One more than there are upcasters; never set by hand.
    schema_version: ClassVar[int] = 1

    def __init_subclass__(cls) -> None:
        cls.schema_version = 1 + len(cls.upcasters)


class State(Value):
    """The state of one aggregate, folded from its events; each field is a column of the state
    row."""


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
        return known.read(payload)

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
        return {
            name: msgspec.to_builtins(value) if name in self.json_columns else value
            for name, value in state.fields().items()
        }

    def state_of(self, row: Mapping[str, Any]) -> State:
        """The state in a state row. Raises RowUnreadable, without values."""
        fields = {name: row[name] for name in self.state.__struct_fields__}
        try:
            return self.state.read(fields)
        except ValueError:
            types = get_type_hints(self.state)
            wrong = [name for name, value in fields.items() if not _fits(value, types[name])]
        raise RowUnreadable(row_name(row), sorted(wrong))


def _fits(value: Any, type_hint: Any) -> bool:
    try:
        msgspec.convert(value, type_hint)
    except ValueError:
        return False
    return True


def _upcast(known: type[Event], schema_version: int, payload: Payload) -> Payload:
    try:
        for upcast in known.upcasters[schema_version - 1 :]:
            payload = upcast(payload)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError(
            f"the payload does not fit {known.__name__} version {schema_version}"
        ) from error
    return payload

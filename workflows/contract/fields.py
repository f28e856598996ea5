"""The base of all messages, and the types of their fields.

Amounts are integers in minor units, times and durations are ISO 8601 text. Unknown fields are
refused. Errors of these models name the field and the reason, never the value.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StrictInt,
)

from ledger.aggregates.money import MAX_MINOR
from ledger.aggregates.step_report import StepReport
from ledger.aggregates.time_zones import ZONES
from ledger.reading import read, written
from ledger.sagas.fingerprint import ASIDE, Fingerprint, filled
from ledger.store.canonical_json import canonical, digest
from ledger.times import duration_text, parse_duration

# Caller's context goes to every event of the saga, so it stays small.
MAX_METADATA_BYTES = 2_048
MAX_METADATA_DEPTH = 16


def _is_none(value: object) -> bool:
    return value is None


def _plain_text(text: str) -> str:
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _iso_duration(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise ValueError("an ISO 8601 duration such as PT10M or P1D is needed")
    return parse_duration(value)


def _known_zone(name: str) -> str:
    if name not in ZONES:
        raise ValueError("not an IANA time zone, such as America/Argentina/Buenos_Aires")
    return name


def _small_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(value, MAX_METADATA_DEPTH) > MAX_METADATA_DEPTH:
        raise ValueError(f"nested deeper than {MAX_METADATA_DEPTH} levels")
    try:
        size = len(canonical(value))
    except TypeError as error:
        raise ValueError("a float is not allowed: use an integer or a string") from error
    if size > MAX_METADATA_BYTES:
        raise ValueError(f"{size} bytes are too many: at most {MAX_METADATA_BYTES}")
    if _has_nul(value):
        raise ValueError("the character NUL is not allowed")
    return value


def _parts(value: JsonValue) -> list[JsonValue]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    return value if isinstance(value, list) else []


def _depth(value: JsonValue, limit: int) -> int:
    if limit < 0:
        return 1
    return 1 + max((_depth(part, limit - 1) for part in _parts(value)), default=0)


def _has_nul(value: JsonValue) -> bool:
    if isinstance(value, str):
        return "\0" in value
    return any(_has_nul(part) for part in _parts(value))


OperationId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
# `system:...` is Amends itself: no request may use such a name.
Actor = Annotated[str, Field(pattern=r"^(user|agent):[A-Za-z0-9._@+-]{1,64}$")]
User = Annotated[str, Field(pattern=r"^user:[A-Za-z0-9._@+-]{1,64}$")]
Line = Annotated[str, Field(max_length=200), AfterValidator(_plain_text)]
Metadata = Annotated[dict[str, JsonValue], AfterValidator(_small_json)]
Duration = Annotated[
    timedelta,
    # pydantic itself writes 366 days as P1Y1D, which has no fixed length.
    PlainSerializer(duration_text, return_type=str, when_used="json"),
    BeforeValidator(_iso_duration),
    Field(gt=timedelta(0), le=timedelta(days=366)),
]
TimeZone = Annotated[str, AfterValidator(_known_zone)]
# No part of a request where it is not given, as before there was such a field.
IfGiven = Field(exclude_if=_is_none)
StepText = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain_text)]
Limit = Annotated[StrictInt, Field(ge=0, le=MAX_MINOR)]


FirstDefaults = Mapping[str, JsonValue]


class Input(BaseModel):
    """The base of every message: frozen, and without unknown fields.

    `first_defaults` are the defaults of a request in the first version that had it, fixed for ever,
    whatever its fields say by now. No fingerprint contains them, since it is compared with those of
    years ago; and a run whose history does not tell what was admitted is older than any change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    first_defaults: ClassVar[FirstDefaults] = {}

    def by_first_defaults(self) -> Self:
        """The request as the first version read it."""
        return read(type(self), {**self.first_defaults, **self.as_given()})

    def as_given(self) -> dict[str, Any]:
        """The request as JSON, without what its author left out: the form in which to send it."""
        return written(self, exclude_unset=True)

    def fingerprint(self) -> Fingerprint:
        """What tells this request from another one under its operation id. Fields that are left out
        are no part of it, so one that a later version adds changes no fingerprint; fields that this
        version does not know any more are."""
        said = {name: value for name, value in self.as_given().items() if name not in ASIDE}
        # What is nested, as the first version wrote it: without its defaults.
        short = written(self, exclude_defaults=True, include=set(said))
        said |= {name: short[name] for name in said if name in short}
        spelled = {
            name: value
            for name, value in said.items()
            if name in self.first_defaults and value == self.first_defaults[name]
        }
        given = {name: value for name, value in said.items() if name not in spelled}
        try:
            return Fingerprint(
                given=digest(given),
                # What recovery starts a saga with is all there is, whatever fields came since.
                filled=sorted({filled(written(self)), filled(self.as_given())}),
                spelled=spelled,
            )
        except (TypeError, ValueError):
            # No version admits what has no exact form.
            return Fingerprint(given="")


class Signature(Input):
    """An Ed25519 signature in hexadecimal digits, the id of its key, and the name of the ledger
    that it is for, where that has one (docs/signatures.md)."""

    key: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    value: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]
    ledger: Annotated[Name | None, IfGiven] = None


class Signable(Input):
    """The base of a request and of the argument of an update: what its actor signs. In production
    the signature is needed."""

    signature: Annotated[Signature | None, IfGiven] = None


class Result(Input):
    """The base of the results of sagas. `unsigned`: the request, or a decision on it, was not
    signed, as only development allows."""

    unsigned: Annotated[bool, Field(exclude_if=lambda unsigned: not unsigned)] = False


# Left out where there is nothing to tell: a saga that completed did each step once.
Reports = Annotated[list[StepReport], Field(exclude_if=lambda reports: not reports)]

"""What was written before is read by structure alone, and the ledger's own models have no rules."""

from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from ledger.aggregates.aggregate import Event
from ledger.aggregates.registry import AGGREGATE_TYPES
from ledger.reading import read, read_json, written
from workflows.contract.progress import Progress
from workflows.contract.waits import Wait


def _never(_: Any) -> Any:
    raise ValueError("no")


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    count: Annotated[int, Field(ge=1, le=3)]
    # Fields may have the names of the words of a schema.
    pattern: Annotated[str, Field(pattern="^a$")] = "a"
    metadata: Annotated[dict[str, JsonValue], AfterValidator(_never)] = Field(default_factory=dict)


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, BeforeValidator(_never), Field(max_length=1)]
    inner: Inner | None = None
    many: Annotated[list[Inner], Field(max_length=1)] = Field(default_factory=list)
    within: Annotated[timedelta, Field(le=timedelta(hours=1))] = timedelta(minutes=1)
    word: Literal["a", "b"] = "a"

    @pydantic.model_validator(mode="after")
    def _no(self) -> "Outer":
        raise ValueError("no")


inners = st.fixed_dictionaries(
    {"count": st.integers(-(2**40), 2**40)},
    optional={
        "pattern": st.text(),
        "metadata": st.dictionaries(st.text(), st.text() | st.integers(0, 9)),
        "gone": st.integers(0, 9),
    },
)
outers = st.fixed_dictionaries(
    {"name": st.text()},
    optional={
        "inner": st.none() | inners,
        "many": st.lists(inners, max_size=3),
        "word": st.sampled_from(["a", "b"]),
        "gone": st.lists(st.text(), max_size=2),
    },
)


@given(outers)
def test_no_rule_refuses_a_value_and_no_field_is_lost(value: dict[str, Any]) -> None:
    with pytest.raises(pydantic.ValidationError):
        Outer.model_validate(value)
    assert written(read(Outer, value), exclude_unset=True) == value


def test_what_has_another_structure_is_refused() -> None:
    for value in ({}, {"name": 5}, {"name": "x", "inner": {}}, {"name": "x", "word": "c"}, 5):
        with pytest.raises(pydantic.ValidationError):
            read(Outer, value)


def test_a_dataclass_of_a_later_version_is_read_with_its_new_field() -> None:
    later = {"waits_for": "x", "state": "running", "whom": "user", "new": 1}
    progress = {"saga_id": "payment/x", "kind": "payment", "state": "running"}
    found = read(Progress, {**progress, "waits": [later]})
    assert found.waits == [Wait(waits_for="x", state="running", whom="user")]
    with pytest.raises(pydantic.ValidationError):
        read(Progress, {**progress, "waits": [{**later, "state": "asleep"}]})


def test_json_is_read_as_values_are() -> None:
    found = read_json(Outer, b'{"name": "long", "within": "P900D", "inner": {"count": 9}}')
    assert isinstance(found.inner, Inner)
    assert (found.within, found.inner.count) == (timedelta(days=900), 9)
    assert read_json(bool, b"true") is True


def test_a_value_that_the_rules_take_is_read_by_them() -> None:
    class Doubling(BaseModel):
        count: Annotated[int, Field(le=9), AfterValidator(lambda count: 2 * count)]

    assert read(Doubling, {"count": 2}).count == 4
    assert read(Doubling, {"count": 20}).count == 20


# What a JSON Schema says of a value beside its structure.
RULES = {"pattern", "multipleOf", *(f"{bound}imum" for bound in ("min", "max"))}
RULES |= {f"exclusive{bound}imum" for bound in ("Min", "Max")}
RULES |= {bound + of for bound in ("min", "max") for of in ("Length", "Items", "Properties")}


def keywords(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return set().union(*map(keywords, schema))
    if not isinstance(schema, dict):
        return set()
    return set(schema).union(*map(keywords, schema.values()))


def test_an_event_and_a_state_have_no_rules() -> None:
    kinds = AGGREGATE_TYPES.values()
    for model in [model for kind in kinds for model in (kind.state, *kind.events)]:
        assert keywords(msgspec.json.schema(model)) & RULES == set(), model


def test_a_rule_of_an_event_is_seen() -> None:
    class Limited(Event):
        name: Annotated[str, msgspec.Meta(max_length=9)]

    assert keywords(msgspec.json.schema(Limited)) & RULES == {"maxLength"}

"""The bytes of a JSON value are those of RFC 8785, whichever encoder gives them."""

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import assume, example, given
from hypothesis import strategies as st

from ledger.store.canonical_json import (
    MAX_SAFE_INTEGER,
    canonical,
    canonical_plain,
    canonical_string,
    canonical_text,
    decoded,
    read,
)

# Every character there is, with many of those that encoders treat in their own ways.
CHARACTERS = st.characters(exclude_categories=()) | st.sampled_from(
    '"\\/\b\f\n\r\t\x00\x1f\x7f\x80\u2028\ud7ff\ue000\ufb33\uffff\U00010000\U0001f600\U0010ffff'
)
TEXT = st.text(CHARACTERS, max_size=8)
INTEGERS = st.integers() | st.sampled_from(
    [sign * (MAX_SAFE_INTEGER + more) for sign in (1, -1) for more in (-1, 0, 1)]
)


def json_of(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves, lambda below: st.lists(below) | st.dictionaries(TEXT, below), max_leaves=20
    )


WRITTEN = st.text('aZ\té\n"\\漢\ud7ff', max_size=8)
FINITE = st.floats(allow_nan=False, allow_infinity=False)


EXACT = json_of(st.none() | st.booleans() | INTEGERS | TEXT)


def expected(value: Any) -> bytes:
    """What the library gives, or why it refuses."""
    try:
        return rfc8785.dumps(_big_integers_as_strings(value))
    except ValueError as error:
        return str(error).encode()


def _big_integers_as_strings(value: Any) -> Any:
    match value:
        case dict():
            return {key: _big_integers_as_strings(item) for key, item in value.items()}
        case list():
            return [_big_integers_as_strings(item) for item in value]
        case int() if abs(value) > MAX_SAFE_INTEGER:
            return str(value)
    return value


@given(EXACT)
@example({"\ufb33": 1, "\U0001f600": 2})
@example({"a": "\ud800"})
@example({"\ud800": 1})
@example([2**53, -(2**53), True, {"": {}}, []])
def test_gives_the_bytes_of_the_standard_or_refuses_as_its_library_does(value: Any) -> None:
    try:
        given_bytes = canonical(value)
    except ValueError as error:
        given_bytes = str(error).encode()
    assert given_bytes == expected(value)


@given(json_of(st.floats() | st.integers() | TEXT))
def test_refuses_a_float_wherever_it_stands(value: Any) -> None:
    assume(_holds_a_float(value))
    with pytest.raises(TypeError, match="no exact form"):
        canonical(value)


@given(json_of(st.none() | st.booleans() | FINITE | INTEGERS | TEXT), st.booleans())
@example({"\ufb33": 1, "\U0001f600": 2}, True)
@example({"\ufb33": 1, "\U0001f600": 2}, False)
@example([2**53 - 1, -(2**53) + 1, 2**53, -(2**53), 10**400], True)
@example({"b": 1.0, "a": "1.0"}, True)
def test_reads_a_text_to_its_value_and_says_what_has_an_easy_form(value: Any, escape: bool) -> None:
    text = json.dumps(value, ensure_ascii=escape)
    found, plain = read(text)
    assert found == decoded(text) == value
    if plain:
        # In a record too, as the hash takes it.
        assert canonical_plain(found) == canonical(value)
        assert canonical_plain({"b": found, "a": ""}) == canonical({"b": value, "a": ""})


@given(st.dictionaries(WRITTEN, st.integers(0, 2**53 - 1) | WRITTEN | st.lists(WRITTEN)))
def test_what_people_write_has_an_easy_form(value: Any) -> None:
    assert read(json.dumps(value, ensure_ascii=False)) == (value, True)
    assert canonical_plain(value) == rfc8785.dumps(value)


@pytest.mark.parametrize(
    "text", ['{"\ufb33": 1, "\U0001f600": 2}', '{"\\ufb33": 1}', "1.0", "-0.0", str(2**53), "1e2"]
)
def test_what_the_fast_way_may_get_wrong_has_no_easy_form(text: str) -> None:
    assert read(text) == (json.loads(text), False)


def test_what_python_can_not_read_stays_a_text_and_no_jsonb_is_null() -> None:
    for text in ("1" * 5000, '{"a": [' + "1" * 5000 + "]}", "[" * 10**5 + "]" * 10**5):
        assert read(text) == (text, False)
        assert decoded(text) == text
    assert read(None) == (decoded(None), True)


@pytest.mark.parametrize("depth", range(7, 12))
def test_reads_any_depth(depth: int) -> None:
    text = '{"b":[' * depth + '{"d":1,"c":"\x7f/\\t"}' + '],"a":null}' * depth
    value = json.loads(text)
    assert read(text)[0] == value
    assert canonical(value) == rfc8785.dumps(value)


# Half of a surrogate pair has no text in any encoding, and no database takes it.
@given(st.none() | st.text(CHARACTERS.filter(lambda one: not "\ud800" <= one <= "\udfff")))
def test_a_string_alone_has_the_text_that_any_value_has(value: str | None) -> None:
    assert canonical_string(value) == canonical_text(value)


def _holds_a_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_holds_a_float, value.values()))
    if isinstance(value, list):
        return any(map(_holds_a_float, value))
    return isinstance(value, float)


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object(), {"a": {"b": b""}}])
def test_refuses_what_is_not_json(value: Any) -> None:
    with pytest.raises(ValueError, match="unsupported type"):
        canonical(value)


def test_takes_tuples_for_lists_and_orders_keys() -> None:
    assert canonical({"b": (1, None), "a": True}) == b'{"a":true,"b":[1,null]}'

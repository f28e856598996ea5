"""Files of requests: what is refused, and what is read as it was written."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from starter.cli.documents import MAX_BYTES, read_json, read_yaml
from starter.client.errors import BadRequest, InvalidInput

_NEVER = "\x85\u2028\u2029\ufeff\ufffe\uffff"
_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters=_NEVER))
_NAME = st.text("abcn<", min_size=1)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAME, inner, max_size=4),
    max_leaves=20,
)


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(content: str | bytes) -> str:
        file = tmp_path / "request"
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(file)

    return write


@given(document=st.dictionaries(st.text("abc", min_size=1), _JSON, max_size=4))
def test_yaml_reads_json_as_json_does(
    document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("json") / "request"
    file.write_text(json.dumps(document, ensure_ascii=False))
    if "<<" not in file.read_text():
        assert read_yaml(str(file)) == read_json(str(file)) == document


@pytest.mark.parametrize(
    "text", ["2026-11-22", "2026-11-22T09:00:00Z", "12:30", "12:30:45", "no", "on", "007", "1_000"]
)
def test_what_yaml_reads_as_a_date_a_number_or_a_truth_stays_text(write: Any, text: str) -> None:
    assert read_yaml(write(f"operation_id: {text}\n")) == {"operation_id": text}


def test_json_scalars_keep_their_types_in_yaml(write: Any) -> None:
    text = "{a: 1, b: -2, c: true, d: null, e: 1.5, f: '1', g: ~, h: }"
    expected = {"a": 1, "b": -2, "c": True, "d": None, "e": 1.5, "f": "1", "g": None, "h": None}
    assert read_yaml(write(text)) == expected


def test_an_alias_that_is_used_reasonably_is_written_out(write: Any) -> None:
    text = "a: &spec {login: true}\nb: *spec\nc: {<<: *spec, more: 1}\n"
    login = {"login": True}
    assert read_yaml(write(text)) == {"a": login, "b": login, "c": {**login, "more": 1}}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [1", "line 1"),
        ("a: 1\nb: {c\n", "line "),
        ("a: 1\na: 2", "the field a occurs twice at line 2"),
        ("a: {b: 1, b: 2}", "the field b occurs twice"),
        ("1: 2", "put it in quotes"),
        ("a: !!timestamp 2026-11-22", "the tag timestamp is not allowed"),
        ("a: !!python/object/apply:os.system ['true']", "is not allowed"),
        ("a: !mine 1", "is not allowed"),
        ("a: &x [*x]", "aliases"),
        ("a: *nothing", "line 1"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: \x01", "character"),
        ("- a", "one object"),
        ("", "the file is empty"),
        ("just text", "one object"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_yaml_is_refused_with_the_place(write: Any, text: str, place: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_yaml(write(text))
    assert place in str(refused.value)
    assert "\n" not in str(refused.value)


def test_aliases_that_multiply_are_refused(write: Any) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(BadRequest, match="aliases expand to more than"):
        read_yaml(write("\n".join(lines)))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('{"a": 1', "line 1, column 8"),
        ('{"a": 1, "a": 2}', "a: the field occurs twice"),
        ('{"a": NaN}', "not numbers"),
        ('{"a": -Infinity}', "not numbers"),
        ("[1]", "one object"),
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": 1%s}' % ("0" * 5_000), "digits"),
    ],
)
def test_json_is_refused_with_the_place(write: Any, text: str, place: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_json(write(text))
    assert place in str(refused.value)


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_file_that_is_too_large_missing_or_not_utf8_is_refused(
    write: Any, read: Any, tmp_path: Path
) -> None:
    with pytest.raises(BadRequest, match=f"more than {MAX_BYTES} bytes"):
        read(write(b"a: " + b"x" * MAX_BYTES))
    with pytest.raises(BadRequest, match="No such file"):
        read(str(tmp_path / "nothing"))
    with pytest.raises(BadRequest, match="not UTF-8"):
        read(write(b'{"a": "\xff"}'))
    with pytest.raises(BadRequest, match="can't be read"):
        read(str(tmp_path))


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_dash_reads_stdin_which_is_called_stdin(
    read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(content: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))

    says(b'\xef\xbb\xbf{"a": 1}')
    assert read("-") == {"a": 1}
    for content in (b"", b"[1]", b"{", b"\xff"):
        says(content)
        with pytest.raises(BadRequest, match="stdin "):
            read("-")


@given(content=st.binary(max_size=200) | st.text().map(str.encode))
def test_any_content_is_read_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("any") / "request"
    file.write_bytes(content)
    for read in (read_json, read_yaml):
        with suppress(BadRequest):
            assert isinstance(read(str(file)), dict)


def test_the_loader_of_others_is_untouched() -> None:
    assert yaml.safe_load("a: no") == {"a": False}
    assert issubclass(InvalidInput, BadRequest)

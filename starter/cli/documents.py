"""Reads request files: YAML and JSON, without the surprises of either."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from starter.client.errors import BadRequest, InvalidInput

# A change has at most 200 resources; a megabyte is far more than they need.
MAX_BYTES = 1_048_576
# Aliases that multiply (the "billion laughs") make a small file large; 200 resources don't.
MAX_NODES = 100_000


def read_json(file: str) -> dict[str, Any]:
    """Read the JSON object in a file; `-` reads stdin. Raises BadRequest, naming the place."""
    text, file = _text(file), _called(file)
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise BadRequest(f"{file} is not JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise BadRequest(f"{file} is nested too deeply") from None
    except ValueError as error:
        # Python's own limit for the digits of an integer; its message names no value.
        raise BadRequest(f"{file} is not usable JSON: {error}") from None
    return _object(file, document)


def read_yaml(file: str) -> dict[str, Any]:
    """Read the YAML mapping in a file; `-` reads stdin. Raises BadRequest, naming the place.

    Scalars are read as in JSON: `2026-11-22`, `no`, `12:30` and `007` stay text.
    """
    text, file = _text(file), _called(file)
    try:
        return _object(file, _one_document(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise BadRequest(f"{file} is not usable YAML: {error.problem}{place}") from None
    except yaml.YAMLError:
        raise BadRequest(f"{file} is not YAML: a character in it is not allowed") from None
    except RecursionError:
        raise BadRequest(f"{file} is nested too deeply") from None


def _called(file: str) -> str:
    return "stdin" if file == "-" else file


def _text(file: str) -> str:
    name = _called(file)
    try:
        if file == "-":
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise BadRequest(f"{name} has more than {MAX_BYTES} bytes: split it")
        text = content.decode("utf-8-sig")
        if not text.strip():
            raise BadRequest("stdin is empty" if file == "-" else f"{file}: the file is empty")
        return text
    except OSError as error:
        raise BadRequest(f"{name} can't be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"{name} is not UTF-8: see byte {error.start}") from None


def _object(file: str, document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise BadRequest(f"{file} must hold one object with named fields")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidInput(twice, "the field occurs twice in one object")
    return fields


def _no_number(_: str) -> Any:
    raise ValueError("NaN and Infinity are not numbers")


class _JsonLike(yaml.SafeLoader):
    """YAML with the scalars of JSON. YAML 1.1 reads dates, 12:30 (as 750), `no` and 007 as other
    values than text; here they are text."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (declared so by PyYAML)


_RESOLVED = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"-?(0|[1-9][0-9]*)", list("-0123456789")),
    "float": (r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", list("-0123456789")),
    "merge": (r"<<", ["<"]),
}
_KNOWN_TAGS = {f"tag:yaml.org,2002:{name}" for name in (*_RESOLVED, "str", "seq", "map")}
for _name, (_pattern, _first) in _RESOLVED.items():
    _JsonLike.add_implicit_resolver(
        f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), _first
    )


def _one_document(text: str) -> Any:
    loader = _JsonLike(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check(node, {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check(node: yaml.Node, sizes: dict[int, float]) -> float:
    """Count the nodes with every alias written out. Raises for tags and names that are not
    accepted."""
    known = sizes.get(id(node))
    if known is not None:
        # Infinite: the node is being looked at, so it holds itself.
        return known
    sizes[id(node)] = math.inf
    if node.tag not in _KNOWN_TAGS:
        raise _refused(f"the tag {node.tag.rpartition(':')[2]} is not allowed", node)
    size = 1.0 + sum(_check(child, sizes) for child in _children(node))
    if size > MAX_NODES:
        raise _refused(f"its aliases expand to more than {MAX_NODES:,} values", node)
    sizes[id(node)] = size
    return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if not isinstance(node, yaml.MappingNode):
        return []
    names: set[str] = set()
    for key, _ in node.value:
        if key.tag not in {"tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"}:
            raise _refused("the name of a field must be text: put it in quotes", key)
        if key.value in names:
            raise _refused(f"the field {key.value} occurs twice", key)
        names.add(key.value)
    return [child for pair in node.value for child in pair]


def _refused(reason: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=reason, problem_mark=node.start_mark)

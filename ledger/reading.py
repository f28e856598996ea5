"""Reads what was written before, under whatever rules: a reader that refuses no value.

A model says what is admitted today. Where its rules refuse what an earlier version admitted, the
value is read by structure alone: without patterns, bounds, lengths, checks and forbidden fields.
Unknown fields are kept aside, in `model_extra`. Structure are the nesting, the types and the words
of a Literal: they may become wider, and never narrower.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, TypeVar, cast

import pydantic
from pydantic import BaseModel, TypeAdapter
from pydantic_core import CoreSchema, SchemaSerializer, SchemaValidator

Model = TypeVar("Model", bound=BaseModel)

# What wraps a schema to check or to convert its value.
_CHECKS = frozenset({"function-after", "function-before", "function-wrap"})
_BOUNDS = frozenset({"gt", "ge", "lt", "le", "multiple_of", "now_op", "tz_constraint"})
_LENGTHS = frozenset({"pattern", "min_length", "max_length", "allow_inf_nan"})
_RULES = _BOUNDS | _LENGTHS
# What a schema says beside its structure, for the writer and for JSON Schema.
_ASIDE = frozenset({"serialization", "metadata", "ref", "cls", "default", "discriminator"})

# What holds schemas by names that are no words of ours.
_BY_NAME = frozenset({"fields", "choices"})


def read(model: type[Model], value: Any) -> Model:
    """Reads a value as a model: under its rules, or, where they refuse it, by structure alone.

    Raises ValidationError for a value that lacks a needed field or has another structure.
    """
    try:
        return model.model_validate(value)
    except pydantic.ValidationError:
        return cast(Model, _structure(model).validate_python(value))


def read_json(type_hint: Any, text: bytes | str) -> Any:
    """Reads JSON by structure alone as a value of a type. Raises ValidationError."""
    return _structure(type_hint).validate_json(text)


def written(value: BaseModel, **options: Any) -> dict[str, Any]:
    """Dumps a model to JSON as it was read: with the fields that it does not know. `options` are
    those of `model_dump`."""
    return cast(dict[str, Any], _writer(type(value)).to_python(value, mode="json", **options))


@lru_cache(maxsize=1024)
def _writer(model: type[BaseModel]) -> SchemaSerializer:
    schema = structure(TypeAdapter(model).core_schema)
    return SchemaSerializer(cast(CoreSchema, schema), _use_prebuilt=False)


@lru_cache(maxsize=1024)
def _structure(type_hint: Any) -> SchemaValidator:
    schema = TypeAdapter(type_hint).core_schema
    # Without the validators that pydantic made for each model: those have the rules.
    return SchemaValidator(cast(CoreSchema, structure(schema)), _use_prebuilt=False)


def structure(schema: Any) -> Any:
    """The core schema of a type without its rules."""
    if isinstance(schema, list):
        return [structure(part) for part in schema]
    if isinstance(schema, tuple):
        return tuple(structure(part) for part in schema)
    if not isinstance(schema, Mapping):
        return schema
    kind = schema.get("type")
    if kind in _CHECKS:
        return _inner(schema)
    kept = {name: _part(name, part) for name, part in schema.items() if name not in _RULES}
    if kind in ("model", "dataclass"):
        kept["config"] = {**schema.get("config", {}), "extra_fields_behavior": "allow"}
    if kind in ("model", "model-fields"):
        kept.pop("extra_behavior", None)
    return kept


def _part(name: str, part: Any) -> Any:
    if name in _ASIDE:
        return part
    if name in _BY_NAME and isinstance(part, Mapping):
        # Names of fields, which may be the words of a schema.
        return {key: structure(each) for key, each in part.items()}
    return structure(part)


def _inner(schema: Mapping[str, Any]) -> Any:
    inner = structure(schema["schema"])
    # Others may refer to the whole by its name.
    return {**inner, "ref": schema["ref"]} if "ref" in schema else inner

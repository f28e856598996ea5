"""Checks the spec and the name of a resource by the model of its kind, as for a new request."""

from collections.abc import Mapping
from typing import Any

import pydantic

from activities.problems import problems_of
from activities.providers.kinds import Kinds


def spec_problems(
    kind: str, name: str, spec: Mapping[str, Any], kinds: Kinds
) -> list[tuple[str, str]]:
    """The rules of a kind that a resource breaks: field (`kind`, `name`, `spec.owner`) and
    reason."""
    model = kinds.get(kind)
    if model is None:
        return [("kind", f"unknown kind: one of {', '.join(sorted(kinds))} is needed")]
    problems = []
    try:
        model.check_name(name)
    except ValueError as error:
        problems.append(("name", str(error)))
    try:
        model.model_validate(spec)
    except pydantic.ValidationError as error:
        problems += [(f"spec.{field}", reason) for field, reason in problems_of(error)]
    return problems

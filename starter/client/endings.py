"""Words the end of a saga, from its recorded result."""

from collections.abc import Mapping
from typing import Any


def ended_as(result: Mapping[str, Any] | None, otherwise: str = "") -> str:
    """The state in a result, and the reason where that is another word: `denied (no_policy)`.

    A result may lack either: of a saga that failed there is none. Then it is `otherwise`.
    """
    told = result if isinstance(result, Mapping) else {}
    state, reason = (told.get(name) for name in ("state", "reason"))
    words = [str(state or otherwise)]
    if reason and reason != state:
        words.append(f"({reason})")
    return " ".join(word for word in words if word)


def changes_in(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The changes of resources that a result lists, each with `action`, `name` and `kind`. What is
    none is left out: a result may say anything, and a person must read the rest."""
    listed = result.get("changes")
    found = [
        each for each in (listed if isinstance(listed, list) else ()) if isinstance(each, dict)
    ]
    return [{"kind": "", **each} for each in found if {"action", "name"} <= each.keys()]

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

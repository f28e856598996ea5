"""The signature that a request or the argument of an update carries."""

from typing import Any

from ledger.sagas.signatures import Signed
from ledger.store.signed_form import FIELD


def signed_in(raw: tuple[Any, ...], saga_id: str, verb: str) -> Signed | None:
    """The signature of the one argument, which was read as its model, and what it is over: all
    else that was received, as it was received. None where nobody signed."""
    document = raw[0]
    if not (signature := document.get(FIELD)):
        return None
    says = {name: value for name, value in document.items() if name != FIELD}
    return Signed(saga_id=saga_id, verb=verb, says=says, **signature)


def signature_of(raw: tuple[Any, ...]) -> str | None:
    """The signature of the argument of an update; None where nobody signed."""
    signature = raw[0].get(FIELD) if isinstance(raw[0], dict) else None
    return str(signature["value"]) if signature else None

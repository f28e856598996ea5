"""Refuses the decisions on payments for anything else."""

from starter.client.errors import NotAllowed


def require_payment(verb: str, name: str) -> None:
    """Raises NotAllowed unless the name is that of a payment saga: it says what it is the name of,
    and what to do."""
    kind, _, rest = name.partition("/")
    if kind == "payment" and rest:
        return
    article = "an" if kind[:1] in "aeiou" else "a"
    what = f"{name} is {article} {kind}" if rest else f"{name} is no payment"
    raise NotAllowed(
        f"{what}, and only payments take {verb}: amends waiting lists what waits, with its commands"
    )

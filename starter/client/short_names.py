"""Shortens names of aggregates for people."""


def short(aggregate: str, saga_id: str | None = None) -> str:
    """The name of an aggregate for people: a long id is cut, and a step of the saga `saga_id` goes
    by its own name."""
    if saga_id and aggregate.startswith(f"step/{saga_id}/"):
        return f"step {aggregate.removeprefix(f'step/{saga_id}/')}"
    aggregate_type, _, rest = aggregate.partition("/")
    if aggregate_type == "step":
        saga, _, name = rest.rpartition("/")
        return f"step {name} of {saga}"
    return (
        f"{aggregate_type}/{rest[:8]}…"
        if aggregate_type in ("authorization", "transfer")
        else aggregate
    )

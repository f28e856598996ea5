"""The tables that the soak prints."""

from collections import Counter

from benchmarks.table import Table
from tests.soak.run import Plan, Soaked

# Per 1,000 sagas; see `Memory`.
MOST_GROWTH_MIB = 5.0


def told(plan: Plan, soaked: Soaked) -> str:
    """What went wrong and how it ended, the laws, the memory, and what it cost."""
    parts = [
        f"{plan.sagas:,} payments, {plan.at_once} at once, {plan.workers} workers, "
        f"{soaked.kills} of them killed on the way: {soaked.elapsed_s:.0f} s, "
        f"{soaked.ended / soaked.elapsed_s:.1f} a second",
        str(_ends(soaked)),
        str(_laws(soaked)),
        str(_memory(soaked)),
        str(_cost(soaked)),
        *soaked.unexpected,
    ]
    return "\n\n".join(parts)


def _ends(soaked: Soaked) -> Table:
    table = Table("trouble | sagas | ended as")
    for name, ends in {**soaked.ends, "all": sum(soaked.ends.values(), Counter[str]())}.items():
        told = ", ".join(f"{end} {count:,}" for end, count in sorted(ends.items()))
        table.add(name, f"{ends.total():,}", told)
    return table


def _laws(soaked: Soaked) -> Table:
    table = Table("law | found | holds")
    for law in soaked.laws:
        table.add(law.sentence, law.found, "yes" if law.holds else "NO")
    return table


def _memory(soaked: Soaked) -> Table:
    table = Table("memory of the worker that lived | MiB")
    for number, mib in enumerate(soaked.memory.quarters, 1):
        table.add(f"median of quarter {number}", f"{mib:.1f}")
    growth = f"{soaked.memory.growth_mib:+.1f} (at most {MOST_GROWTH_MIB:+.1f})"
    table.add("growth per 1,000 sagas, from quarter 2 to quarter 4", growth)
    return table


def _cost(soaked: Soaked) -> Table:
    table = Table("processor time of | ms per saga")
    for name, spent_s in soaked.cpu_s.items():
        table.add(name, f"{spent_s / soaked.ended * 1_000:.1f}")
    return table

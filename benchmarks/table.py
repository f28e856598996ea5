"""A table of the outcome, in Markdown."""


class Table:
    """Rows below a header, whose cells stand between `|`."""

    def __init__(self, header: str) -> None:
        self.header = [cell.strip() for cell in header.split("|")]
        self.rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        assert len(cells) == len(self.header), f"{len(cells)} cells below {len(self.header)}"
        self.rows.append(cells)

    def __str__(self) -> str:
        rows = (self.header, ["---"] * len(self.header), *self.rows)
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def factor(ratio: float, aim: float | None = None) -> str:
    """A ratio, and what it should reach."""
    return f"{ratio:.2f}" if aim is None else f"{ratio:.2f} (aim {aim:.2f})"

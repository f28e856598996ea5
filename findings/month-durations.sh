#!/usr/bin/env bash
# The ISO 8601 durations P1M and P1.5M.
# Guess: a month has no fixed length, so a library that makes a length of it refuses, or keeps months.
# Seen: pydantic makes 30 and 45 days; isodate keeps the months, and fails only when P1.5M is added to a
# date. A deadline of a month is another day with each.
#   pydantic 2.14.3, isodate 0.7.2
#   pydantic, P1M after 2026-02-01: 2026-03-03
#   isodate, P1M after 2026-02-01: 2026-03-01
#   pydantic, P1.5M after 2026-02-01: 45 days
#   isodate, P1.5M after 2026-02-01: ValueError
# What to do instead: for a length of time accept weeks, days and less only; refuse a Y, and an M before
# the T, in the text before pydantic reads it. Where a month is meant, keep the text, parse it with
# isodate, refuse fractions of a month, and add it to a stated start date.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  pydantic==2.14.3 isodate==0.7.2 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
from datetime import date, timedelta
from importlib.metadata import version

import isodate
from pydantic import TypeAdapter

print(*(f"{name} {version(name)}" for name in ("pydantic", "isodate")), sep=", ")
length = TypeAdapter(timedelta).validate_python
start = date(2026, 2, 1)


def after(text):
    try:
        return str(start + isodate.parse_duration(text))
    except Exception as error:
        return type(error).__name__


seen = {
    "pydantic, P1M": str(start + length("P1M")),
    "isodate, P1M": after("P1M"),
    "pydantic, P1.5M": f"{length('P1.5M').days} days",
    "isodate, P1.5M": after("P1.5M"),
}
for what, how in seen.items():
    print(f"{what} after {start}: {how}")
assert list(seen.values()) == ["2026-03-03", "2026-03-01", "45 days", "ValueError"], (
    "the behaviour has changed"
)
PY

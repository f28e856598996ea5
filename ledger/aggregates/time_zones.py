"""Names of the time zones that a policy may have, the same on every machine."""

from importlib.resources import files

# Read at the import, and not with `zoneinfo.available_timezones`: that opens files, which a run in
# the sandbox can't, and adds what differs from machine to machine (`localtime`).
ZONES = frozenset(files("tzdata").joinpath("zones").read_text().split())

#!/usr/bin/env bash
# Three libraries of canonical JSON, one number.
# Guess: libraries that implement RFC 8785 (JCS) agree, and read what they wrote.
# Seen: see the output; each of the three does another thing at 2^53 + 1 and at 1e16.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  rfc8785==0.1.4 jcs==0.2.1 canonicaljson==2.0.0 2>"$folder/pip.log" || { cat "$folder/pip.log"; exit 2; }
"$folder/venv/bin/python" - <<'PY'
import json
from importlib.metadata import version

import canonicaljson
import jcs
import rfc8785

print(*(f"{name} {version(name)}" for name in ("rfc8785", "jcs", "canonicaljson")), sep=", ")
large = 2**53 + 1


def told(dumps, value):
    try:
        return dumps(value).decode()
    except Exception as error:
        return type(error).__name__


seen = {
    "rfc8785, 2^53 + 1": told(rfc8785.dumps, large),
    "jcs, 2^53 + 1": told(jcs.canonicalize, large),
    "canonicaljson, 2^53 + 1": told(canonicaljson.encode_canonical_json, large),
    "rfc8785, 1e16": told(rfc8785.dumps, 1e16),
    "rfc8785, what it wrote for 1e16": told(rfc8785.dumps, json.loads(rfc8785.dumps(1e16))),
}
for what, how in seen.items():
    print(f"{what}: {how}")
assert list(seen.values()) == [
    "IntegerDomainError",
    "9007199254740992",
    "9007199254740993",
    "10000000000000000",
    "IntegerDomainError",
], "the behaviour has changed"
PY

#!/usr/bin/env bash
# Three libraries of canonical JSON, two large numbers. rfc8785 and jcs implement RFC 8785 (JCS);
# canonicaljson, by the authors of Matrix, has rules of its own.
# Guess: canonical JSON is one form, at least for two libraries of one RFC, and a library accepts what it
# wrote itself.
# Seen: at 2^53 + 1 each does another thing; jcs silently writes another number. At 1e16 rfc8785 and jcs
# agree, and canonicaljson differs. rfc8785 refuses its own 1e16, which json.loads reads as an int.
#   rfc8785 0.1.4, jcs 0.2.1, canonicaljson 2.0.0
#   2^53 + 1: rfc8785 IntegerDomainError, jcs 9007199254740992, canonicaljson 9007199254740993
#   1e16: rfc8785 10000000000000000, jcs 10000000000000000, canonicaljson 1e+16
#   1e16, written and read back: rfc8785 IntegerDomainError, jcs 10000000000000000, canonicaljson 1e+16
# What to do instead: write integers beyond 2^53 - 1 and floats as strings, and refuse them as numbers
# before one of these libraries sees them. All three write a string of digits alike.
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

libraries = {
    "rfc8785": rfc8785.dumps,
    "jcs": jcs.canonicalize,
    "canonicaljson": canonicaljson.encode_canonical_json,
}
print(*(f"{name} {version(name)}" for name in libraries), sep=", ")
large = 2**53 + 1


def told(dumps, value):
    try:
        return dumps(value).decode()
    except Exception as error:
        return type(error).__name__


seen = {
    "2^53 + 1": [told(dumps, large) for dumps in libraries.values()],
    "1e16": [told(dumps, 1e16) for dumps in libraries.values()],
    "1e16, written and read back": [
        told(dumps, json.loads(dumps(1e16))) for dumps in libraries.values()
    ],
}
for what, how in seen.items():
    print(f"{what}:", ", ".join(f"{name} {one}" for name, one in zip(libraries, how)))
assert seen == {
    "2^53 + 1": ["IntegerDomainError", "9007199254740992", "9007199254740993"],
    "1e16": ["10000000000000000", "10000000000000000", "1e+16"],
    "1e16, written and read back": ["IntegerDomainError", "10000000000000000", "1e+16"],
}, "the behaviour has changed"
assert {dumps(str(large)) for dumps in libraries.values()} == {b'"9007199254740993"'}, (
    "the strings differ: the behaviour has changed"
)
PY

"""The test vectors of docs/signatures.md, against our own code and the program on that page."""

import asyncio
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ledger.store.ed25519 import is_signed
from ledger.store.signed_form import key_id, signed_bytes
from starter.client.keys import read_key

DOCS = Path(__file__).parent.parent / "docs"
VECTORS: dict[str, Any] = json.loads((DOCS / "signature-vectors.json").read_text())
SIGNED: list[dict[str, Any]] = VECTORS["signed"]


def test_our_bytes_ids_and_signatures_are_those_of_the_vectors(tmp_path: Path) -> None:
    file = tmp_path / "key.pem"
    file.touch(0o600)
    file.write_text(VECTORS["private_key"])
    key = read_key(file)
    assert (key.public_key, key.id) == (VECTORS["public_key"], VECTORS["key"])
    assert key_id(VECTORS["public_key"]) == VECTORS["key"]
    for each in SIGNED:
        asked = each["saga"], each["verb"], each["document"], each.get("ledger")
        message = signed_bytes(*asked)
        assert message.decode() == each["bytes"], each["name"]
        named = {"ledger": each["ledger"]} if "ledger" in each else {}
        signature = {"key": key.id, "value": each["signature"], **named}
        assert key.signed(*asked)["signature"] == signature
        assert is_signed(key.public_key, each["signature"], message)
        assert not is_signed(key.public_key, each["signature"], message + b" ")
    for each in VECTORS["refused"]:
        with pytest.raises(ValueError, match="has no exact bytes"):
            signed_bytes("payment/x", "submit", each["document"])


async def test_the_program_on_the_page_makes_the_signatures_of_the_vectors(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is missing: install Node.js 20 or newer")
    [program] = re.findall(r"```javascript\n(.*?)```", (DOCS / "signatures.md").read_text(), re.S)
    each = "({ saga, verb, document, ledger }) => signed(KEY, saga, verb, document, ledger)"
    calls = f"console.log(JSON.stringify(SIGNED.map({each})));"
    given = f"const SIGNED = {json.dumps(SIGNED)}, KEY = {json.dumps(VECTORS['private_key'])};"
    file = tmp_path / "sign.mjs"
    file.write_text(f"{program}\n{given}\n{calls}\n")
    node = await asyncio.create_subprocess_exec(
        "node", str(file), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, wrong = await node.communicate()
    assert node.returncode == 0, wrong.decode()
    made = [document["signature"] for document in json.loads(said)]
    assert [signature["value"] for signature in made] == [each["signature"] for each in SIGNED]
    assert {signature["key"] for signature in made} == {VECTORS["key"]}

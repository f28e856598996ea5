"""`amends keys`: make keys, register and revoke them, list them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from starter.cli import options, output

if TYPE_CHECKING:
    from ledger.database import Database


@click.group()
def keys() -> None:
    """Make, register, revoke and list the keys that sign."""


@keys.command("make")
@click.argument("file")
@options.as_json
def make(file: str, as_json: bool) -> int:
    """Make a key: the private one goes to the new FILE, the public one is printed.

    FILE is read by its owner alone. AMENDS_KEY_FILE or --key names it to the other commands.
    """
    from starter.client.keys import make_key

    made = make_key(Path(file))
    if as_json:
        output.document({"key": made.id, "public_key": made.public_key})
        return 0
    output.line(f"key {made.id}, its private part in {file}")
    output.line(f"public key {made.public_key}")
    output.line(f"register it: amends keys add {made.public_key} --holder user:NAME")
    return 0


@keys.command("add")
@click.argument("public_key")
@click.option(
    "--holder", required=True, metavar="HOLDER", help="Whose key it is: user:NAME or agent:NAME."
)
@click.option("--from", "valid_from", metavar="TIME", help="When it becomes valid (default: now).")
@click.option("--until", "valid_until", metavar="TIME", help="When it ends to be valid.")
@options.actor
@options.reason
@options.operation_id
@options.as_json
def add(public_key: str, holder: str, as_json: bool, **asked: str | None) -> int:
    """Register PUBLIC_KEY (64 hexadecimal digits) as a key of HOLDER.

    A holder may have several, so that a new one takes the place of an old one without a pause.
    """
    return _change_key(as_json, asked, action="register", public_key=public_key, holder=holder)


@keys.command("revoke")
@click.argument("key")
@click.option("--holder", metavar="HOLDER", help="Whose key it is (default: as in the ledger).")
@options.actor
@options.reason
@options.operation_id
@options.as_json
def revoke(key: str, holder: str | None, as_json: bool, **asked: str | None) -> int:
    """Refuse what KEY (32 hexadecimal digits) signs from now on."""
    holder = holder or _holder_of(key)
    return _change_key(as_json, asked, action="revoke", key=key, holder=holder)


def _change_key(as_json: bool, asked: dict[str, str | None], **fields: Any) -> int:
    from starter.cli.story import submit
    from starter.client.validation import checked
    from workflows.contract.key import KeyRequest

    repeated = asked["operation_id"] is not None
    operation_id = asked.pop("operation_id") or options.new_operation_id()
    actor = options.person(asked.pop("actor"))
    said = {name: text for name, text in asked.items() if text is not None}
    written = {"operation_id": operation_id, "actor": actor, **said, **fields}
    return submit(checked(KeyRequest, written, repeated=repeated), written, as_json=as_json)


def _holder_of(key: str) -> str:
    from starter.client.errors import NotKnown

    for each in _listed(None):
        if each["key_id"] == key:
            return str(each["holder"])
    raise NotKnown(f"no key named {key!r} is registered: amends keys list lists them")


@keys.command("list")
@click.option("--holder", metavar="HOLDER", help="Only the keys of user:NAME or agent:NAME.")
@options.as_json
def list_keys(holder: str | None, as_json: bool) -> None:
    """List the keys in the ledger."""
    found = _listed(holder)
    if as_json:
        output.document(found)
        return
    names = ("key_id", "holder", "state", "valid_from", "valid_until", "revoked_at")
    rows = [tuple(str(each[name] or "") for name in names) for each in found]
    titles = ("key", "holder", "state", "from", "until", "revoked")
    output.table(titles, rows, empty="no key is registered")


def _listed(holder: str | None) -> list[dict[str, Any]]:
    from starter.cli.client import with_ledger

    async def work(database: "Database") -> list[dict[str, Any]]:
        from ledger.read.queries import keys

        return await keys(database, holder)

    return with_ledger(work)

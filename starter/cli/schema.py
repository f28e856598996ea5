"""`amends schema`: the public contract, or the input and the result of a workflow, as JSON
Schema."""

import click

from starter.cli import options, output
from starter.client.errors import BadRequest


@click.command()
@click.argument("workflow", required=False)
@click.option("--all", "whole", is_flag=True, help="The whole contract, in one document.")
@options.as_json
def schema(workflow: str | None, whole: bool, as_json: bool) -> None:
    """Print the JSON Schema of a workflow's input and result.

    With --all: of everything that a client sends and reads, with queues, ids, updates, failures and
    search attributes.
    """
    from workflows.contract.public import WORKFLOWS, contract, schema_of

    if whole and workflow is None:
        output.document(contract())
        return
    for each in WORKFLOWS:
        if each.name == workflow and not whole:
            output.document(schema_of(each))
            return
    names = ", ".join(each.name for each in WORKFLOWS)
    raise BadRequest(f"no such workflow: one of {names} is needed, or --all alone")

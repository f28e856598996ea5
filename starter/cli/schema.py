"""`amends schema`: the input and the result of a workflow as JSON Schema."""

import click

from starter.cli import options, output
from starter.client.errors import BadRequest


@click.command()
@click.argument("workflow")
@options.as_json
def schema(workflow: str, as_json: bool) -> None:
    """Print the JSON Schema of a workflow's input and result."""
    from workflows.contract.kinds import KINDS

    for kind in KINDS:
        if kind.workflow == workflow:
            output.document(
                {
                    "input": kind.request.model_json_schema(mode="validation"),
                    "result": kind.result.model_json_schema(mode="serialization"),
                }
            )
            return
    raise BadRequest(
        f"no such workflow: one of {', '.join(kind.workflow for kind in KINDS)} is needed"
    )

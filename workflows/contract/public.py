"""The public contract as data: workflows, updates, failures and search attributes, for clients of
any language. `amends schema --all` prints it; docs/contract.md says the same to people."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from workflows.contract.fields import Input
from workflows.contract.kinds import KINDS, PAYMENT, SWEEPS, Queue, repeat_id
from workflows.contract.progress import Progress
from workflows.contract.search_attributes import SEARCH_ATTRIBUTES
from workflows.contract.sweep import SWEEP, Recovered, RecoveryRequest, SweepRequest, Swept
from workflows.contract.updates import Approval, By, Capture, OperatorAction, Resolve, Skip

# Of every saga, beside `submit`, which takes the request; and of a payment.
_UPDATES: Mapping[str, type[BaseModel]] = {
    "cancel": By,
    "retry": OperatorAction,
    "skip": Skip,
    "resolve": Resolve,
}
_DECISIONS: Mapping[str, type[BaseModel]] = {
    "approve": Approval,
    "reject": By,
    "capture": Capture,
    "void": By,
}


@dataclass(frozen=True)
class PublicWorkflow:
    """A workflow that clients start by its `name`. `workflow_id` is a template; `updates` holds the
    model of the one argument of each update, and each update answers with `Progress`."""

    name: str
    workflow_id: str
    queue: Queue
    request: type[BaseModel]
    result: type[BaseModel]
    updates: Mapping[str, type[BaseModel]]


WORKFLOWS = (
    *(
        PublicWorkflow(
            name=kind.workflow,
            workflow_id=f"{kind.name}/{{operation_id}}",
            queue=kind.queue,
            request=kind.request,
            result=kind.result,
            updates={
                "submit": kind.request,
                **(_DECISIONS if kind is PAYMENT else {}),
                **_UPDATES,
            },
        )
        for kind in KINDS
    ),
    PublicWorkflow(
        "RecoverySaga", "recovery/{saga_id}/{epoch}", SWEEPS, RecoveryRequest, Recovered, {}
    ),
    PublicWorkflow("SweepWorkflow", SWEEP, SWEEPS, SweepRequest, Swept, {}),
)


class Problem(Input):
    """One detail of a failure `InvalidInput`: the field (a path such as `present[1].spec.owner`)
    and the reason, never the value."""

    field: str
    reason: str


# By type; any other type is the cause of a saga that ended with nothing held, such as
# `unknown_agent`, or of a recovery that left its saga open.
FAILURES: Mapping[str, str] = {
    "InvalidInput": "A field is wrong, and nothing was done. Each detail is a Problem.",
    "operation_id_reused": "The operation id belongs to another request: use a new operation id. "
    "Or `submit` came with the start of another request: nothing was done, send one with both.",
    "operation_in_progress": "Another run carries the saga and is still open: follow that run.",
    "not_allowed": "The state of the saga does not allow the update: query its progress.",
    "needs_attention": "Of SweepWorkflow: what the sweep found needs an operator.",
}


class _Untitled(GenerateJsonSchema):
    """Without a title for each field, which says its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """No field has one."""
        return False


def schema_of(workflow: PublicWorkflow) -> dict[str, Any]:
    """The JSON Schemas of the input and the result of a workflow, each complete by itself."""
    return {
        "input": workflow.request.model_json_schema(schema_generator=_Untitled),
        "result": workflow.result.model_json_schema(
            mode="serialization", schema_generator=_Untitled
        ),
    }


def contract() -> dict[str, Any]:
    """The whole contract as one JSON document; `$defs` has the JSON Schemas."""
    models = list(dict.fromkeys(_models()))
    refs, schemas = models_json_schema(models, schema_generator=_Untitled)
    return {
        "workflows": {each.name: _described(each, refs) for each in WORKFLOWS},
        "failures": {
            name: {"description": meaning} | _details(name, refs)
            for name, meaning in FAILURES.items()
        },
        "search_attributes": {
            name: {"type": kind, "description": meaning}
            for name, (kind, meaning) in SEARCH_ATTRIBUTES.items()
        },
        "$defs": schemas["$defs"],
    }


def _models() -> Iterator[tuple[type[BaseModel], JsonSchemaMode]]:
    yield (Problem, "serialization")
    yield (Progress, "serialization")
    for workflow in WORKFLOWS:
        yield (workflow.request, "validation")
        yield (workflow.result, "serialization")
        for argument in workflow.updates.values():
            yield (argument, "validation")


def _described(workflow: PublicWorkflow, refs: Any) -> dict[str, Any]:
    progress = refs[Progress, "serialization"]
    # What clients may repeat is a saga, and takes updates.
    repeats = (
        {"repeat_id": repeat_id(workflow.workflow_id, "{attempt}")} if workflow.updates else {}
    )
    return {
        "workflow_id": workflow.workflow_id,
        **repeats,
        "task_queue": workflow.queue.default,
        "input": refs[workflow.request, "validation"],
        "result": refs[workflow.result, "serialization"],
        "updates": {
            name: {"argument": refs[model, "validation"], "result": progress}
            for name, model in workflow.updates.items()
        },
        "queries": {"progress": {"result": progress}} if workflow.updates else {},
    }


def _details(failure: str, refs: Any) -> dict[str, Any]:
    return {"details": refs[Problem, "serialization"]} if failure == "InvalidInput" else {}

"""What runs the workflows: Temporal's sandbox, in which they can't do what a replay would do
otherwise, or no sandbox (docs/decisions/015)."""

from temporalio.bridge.proto.workflow_activation import WorkflowActivation
from temporalio.bridge.proto.workflow_completion import WorkflowActivationCompletion
from temporalio.converter import StorageDriverStoreContext
from temporalio.worker import (
    UnsandboxedWorkflowRunner,
    WorkflowInstance,
    WorkflowInstanceDetails,
    WorkflowRunner,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import Info

# Everything but the workflow files: the sandbox would import it anew for every run.
PASSED_THROUGH = (
    "activities",
    "ledger",
    "workflows.border",
    "workflows.change_problems",
    "workflows.inputs",
    "workflows.page",
    "workflows.plan",
    "workflows.planner",
    "workflows.reversal",
    "workflows.sweep_inputs",
    "annotated_types",
    "iso4217",
    "msgspec",
    "psycopg",
    "psycopg_pool",
    "pydantic",
    "pydantic_core",
    "rfc8785",
    "sqlalchemy",
    "typing_inspection",
)


def runner(workflow_sandbox: str) -> WorkflowRunner:
    """With the sandbox `on` or `off`."""
    return sandbox() if workflow_sandbox == "on" else UnsandboxedWorkflowRunner()


def sandbox() -> WorkflowRunner:
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return _Sandbox(restrictions=restrictions)


class _Sandbox(SandboxedWorkflowRunner):
    """Temporal's, asked less often."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det))


class _Instance(WorkflowInstance):
    """The SDK asks a run for the context of each payload, up to seven times, and each time the
    sandbox compiles and enters anew. No converter of ours looks at a context, and nothing is stored
    elsewhere, so the answer is known."""

    def __init__(self, within: WorkflowInstance) -> None:
        self._within = within

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        return self._within.activate(act)

    def get_info(self) -> Info:
        return self._within.get_info()

    def get_thread_id(self) -> int | None:
        return self._within.get_thread_id()

    def get_serialization_context(self, command_info: object) -> None:
        return None

    def get_external_store_context(self, command_info: object) -> StorageDriverStoreContext:
        return StorageDriverStoreContext(target=None)

"""The runner of the workflows: Temporal's sandbox, in which they can't do what a replay would do
otherwise, or no sandbox (docs/decisions/015)."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

from pydantic import BaseModel
from temporalio import workflow
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

from activities.request import Request
from ledger.aggregates.amounts import know_currencies
from workflows.contract.fields import Input

# Everything but the workflow files: the sandbox would import it anew for every run.
PASSED_THROUGH = (
    "activities",
    "ledger",
    "workflows.contract",
    "workflows.engine.decisions",
    "workflows.engine.lifecycle",
    "workflows.engine.live_details",
    "workflows.planning",
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
    """The workflow runner with the sandbox `on` or `off`."""
    know_currencies()
    for base in (Input, Request):
        _build(base)
    return sandbox() if workflow_sandbox == "on" else _Open()


def _build(model: type[BaseModel]) -> None:
    """Build a model and all that are made of it. Clients leave that to the first use; of a worker
    no run should wait for it, and several threads use them."""
    model.model_rebuild()
    for below in model.__subclasses__():
        _build(below)


def sandbox() -> WorkflowRunner:
    """Temporal's sandbox, with what is safe to share between runs passed through."""
    if _KEPT not in sys.meta_path:
        # After what answers for modules without a file, and after anybody's hooks.
        sys.meta_path.insert(sys.meta_path.index(PathFinder), _KEPT)
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    return _Sandbox(restrictions=restrictions)


class _CompiledOnce(SourceFileLoader):
    """Loads a file as it was compiled first."""

    _code: CodeType | None = None

    def get_code(self, fullname: str) -> CodeType | None:
        if self._code is None:
            self._code = super().get_code(fullname)
        return self._code


class _Kept(MetaPathFinder):
    """Keeps what the sandbox imports, found and compiled: to find and read each file anew was a
    quarter of a run's cost, and a file that is changed under a running worker has no effect."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[_CompiledOnce, list[str] | None]] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not workflow.unsafe.in_sandbox():
            return None
        kept = self._found.get(name)
        if kept is None:
            found = PathFinder.find_spec(name, path)
            # A loader of somebody's own may do more than load.
            if found is None or type(found.loader) is not SourceFileLoader:
                return None
            kept = _CompiledOnce(name, found.loader.path), found.submodule_search_locations
            self._found[name] = kept
        loader, locations = kept
        return spec_from_file_location(
            name,
            loader.path,
            loader=loader,
            # A list of its own for each run, or one could leave something in it for the next.
            submodule_search_locations=None if locations is None else [*locations],
        )

    def invalidate_caches(self) -> None:
        """Forget all modules found: Python calls this to have files looked up again."""
        self._found.clear()


_KEPT = _Kept()


class _Sandbox(SandboxedWorkflowRunner):
    """Temporal's sandbox, asked less often."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det))


class _Open(UnsandboxedWorkflowRunner):
    """A runner without a sandbox, asked less often too."""

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        return _Instance(super().create_instance(det))


class _Instance(WorkflowInstance):
    """A workflow instance that answers the SDK's question for a payload's context from memory. The
    SDK asks a run up to seven times for each payload, and each time the sandbox compiles and enters
    anew. No converter of ours looks at a context, and nothing is stored elsewhere, so the answer is
    known."""

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

"""The runner of the workflows: with Temporal's restrictions, under which they can't do what a
replay would do otherwise, or without (docs/decisions/015)."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import ModuleType

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

# Private: the SDK offers its restrictions only with an import of all files for every run.
from temporalio.worker.workflow_sandbox._importer import Importer
from temporalio.worker.workflow_sandbox._in_sandbox import InSandbox
from temporalio.worker.workflow_sandbox._restrictions import RestrictedModule, RestrictionContext
from temporalio.workflow import Info

from activities.request import Request
from ledger.aggregates.amounts import know_currencies
from workflows.contract.fields import Input

# Everything but the workflow files: what the sandbox imports by itself, it executes by itself.
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
    """The workflow runner with the sandbox `on`, `isolated` or `off`."""
    know_currencies()
    for base in (Input, Request):
        _build(base)
    if workflow_sandbox == "off":
        return _Open()
    restrictions = SandboxRestrictions.default.with_passthrough_modules(*PASSED_THROUGH)
    sandbox = _Isolated if workflow_sandbox == "isolated" else _Restricted
    return sandbox(restrictions=restrictions)


def _build(model: type[BaseModel]) -> None:
    """Build a model and all that are made of it. Clients leave that to the first use; of a worker
    no run should wait for it, and several threads use them."""
    model.model_rebuild()
    for below in model.__subclasses__():
        _build(below)


class _Context(threading.local, RestrictionContext):
    """Whether workflow code runs in this thread: the restrictions hold while it does. The SDK has
    one for each run; one for all runs has to tell their threads apart."""


class _Modules(dict[str, ModuleType]):
    """`sys.modules` as workflow code sees it: a module gets its restrictions however it comes here,
    by an import, by `importlib`, from the process."""

    def __init__(self, importer: "_Importer") -> None:
        super().__init__(importer.new_modules)
        self._importer = importer

    def __setitem__(self, name: str, module: ModuleType) -> None:
        super().__setitem__(name, self._importer.restricted(module))

    def __missing__(self, name: str) -> ModuleType:
        # Before the SDK, which would return the module of the process as it is.
        if (module := self._importer.passed_through(name)) is None:
            raise KeyError(name)
        self[name] = module
        return self[name]


class _Importer(Importer):
    """Temporal's importer, for all runs of a worker: a module is executed once."""

    def __init__(self, restrictions: SandboxRestrictions) -> None:
        super().__init__(restrictions, _Context())
        # The SDK exchanges `isinstance` for all code of the process while any run is activated: it
        # then takes fifteen times as long. Python's own sees through a restricted class as well.
        self.restricted_builtins = [it for it in self.restricted_builtins if it[0] != "isinstance"]
        self.new_modules = _Modules(self)

    def restricted(self, module: ModuleType) -> ModuleType:
        return self._maybe_restrict_module(module) or module

    def passed_through(self, name: str) -> ModuleType | None:
        if not self.module_configured_passthrough(name):
            return None
        with self._unapplied():
            return sys.modules.get(name)

    def _maybe_restrict_module(self, mod: ModuleType) -> ModuleType | None:
        # The SDK asks again for what `_Modules` has restricted.
        return None if type(mod) is RestrictedModule else super()._maybe_restrict_module(mod)

    @contextmanager
    def entered(self) -> Iterator[RestrictionContext]:
        """Run code in this thread as the SDK's sandbox runs it."""
        context = self.restriction_context
        workflow.unsafe._set_in_sandbox(True)
        try:
            with self.applied():
                yield context
        finally:
            context.is_runtime = context.in_activation = False
            workflow.unsafe._set_in_sandbox(False)


class _Restricted(SandboxedWorkflowRunner):
    """Temporal's restrictions, on modules that all runs of a worker share."""

    @cached_property
    def _importer(self) -> _Importer:
        return _Importer(self.restrictions)

    def create_instance(self, det: WorkflowInstanceDetails) -> WorkflowInstance:
        of = det.defn.cls
        with self._importer.entered() as context:
            made = getattr(__import__(of.__module__, fromlist=[of.__name__]), of.__name__)
            context.is_runtime = True
            within = InSandbox(det, self.runner_class, made).instance
        return _RestrictedInstance(within, self._importer)


class _Isolated(SandboxedWorkflowRunner):
    """Temporal's sandbox, which executes all workflow files for every run, asked less often."""

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


class _RestrictedInstance(_Instance):
    """A workflow instance that is activated under the restrictions of its worker."""

    def __init__(self, within: WorkflowInstance, importer: _Importer) -> None:
        super().__init__(within)
        self._importer = importer

    def activate(self, act: WorkflowActivation) -> WorkflowActivationCompletion:
        with self._importer.entered() as context:
            context.is_runtime = context.in_activation = True
            return super().activate(act)

"""Identifies a Temporal namespace by its id: after a reset the same name belongs to another id,
which knows nothing of the sagas of the old one."""

import time
from contextvars import ContextVar
from typing import Any

from temporalio import activity
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from activities.runs import namespace_id
from ledger.sagas.saga_log import Run

# A server may be made anew behind a worker that goes on.
LOOK_AGAIN_S = 60.0

_NAMESPACE_ID: ContextVar[str] = ContextVar("namespace_id")


def this_run() -> Run:
    """The run that the current activity belongs to."""
    info = activity.info()
    return Run(
        namespace=info.workflow_namespace or "",
        namespace_id=_NAMESPACE_ID.get(),
        task_queue=info.task_queue,
        run_id=info.workflow_run_id or "",
    )


class KnowNamespace(Interceptor):
    """Gives every activity of a worker the id of its namespace."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id, self._asked_at = "", 0.0

    async def look_up(self) -> str:
        """The id of the namespace, at most a minute old, or the last known one while Temporal does
        not answer."""
        if not self._id or time.monotonic() - self._asked_at > LOOK_AGAIN_S:
            try:
                self._id = await namespace_id(self._client)
            except RPCError:
                if not self._id:
                    raise
            self._asked_at = time.monotonic()
        return self._id

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        """Wraps the activity; the SDK calls this once per worker."""
        return _Knowing(next, self)


class _Knowing(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, known: KnowNamespace) -> None:
        super().__init__(next)
        self._known = known

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        _NAMESPACE_ID.set(await self._known.look_up())
        return await super().execute_activity(input)

"""The status of a run in Temporal, for clients: they may import no activities."""

from activities.runs import (
    COMPLETED,
    PAUSED,
    RUNNING,
    RunStatus,
    namespace_id,
    status_named,
    status_of,
    status_of_carrier,
)

__all__ = [
    "COMPLETED",
    "PAUSED",
    "RUNNING",
    "RunStatus",
    "namespace_id",
    "status_named",
    "status_of",
    "status_of_carrier",
]

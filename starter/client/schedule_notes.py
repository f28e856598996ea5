"""The words of a schedule: its note, in plain text in Temporal, and what it does, which a codec
encodes."""

from temporalio.client import ScheduleDescription, ScheduleHandle

from starter.client.kinds import Request
from starter.client.wording import summary
from workflows.contract.change import RollbackRequest
from workflows.contract.payment import PaymentRequest
from workflows.contract.policy import PolicyRequest

# The name in the memo of a schedule under which it says what it does.
WHAT = "what"
# What a pause adds to the note of a schedule.
PAUSED_BY = ". Paused by "


def public_summary(request: Request) -> str:
    """What a schedule does, in words that Temporal may keep in plain text: without amounts."""
    match request:
        case PaymentRequest():
            return f"payment for agent {request.agent_id}"
        case PolicyRequest():
            return f"policy of agent {request.agent_id}"
        case _:
            return summary(request)


def what(request: Request) -> str:
    """What a schedule does, and why; a codec encodes it."""
    only = request.resources if isinstance(request, RollbackRequest) else None
    reason = None if isinstance(request, PaymentRequest) else request.reason
    what = f"{summary(request)} ({', '.join(only)})" if only else summary(request)
    return f"{what}, asked by {request.actor}{f': {reason}' if reason else ''}"


async def plain_note(handle: ScheduleHandle) -> str:
    """The note without what a pause has added to it."""
    described = await handle.describe()
    return (described.schedule.state.note or handle.id).partition(PAUSED_BY)[0]


async def note_of(described: ScheduleDescription) -> str:
    """What a schedule does and, while it is paused, by whom and why."""
    state = described.schedule.state
    plain, by, why = (state.note or "").partition(PAUSED_BY)
    what = str(await described.memo_value(WHAT, plain))
    return what + by + why if state.paused else what

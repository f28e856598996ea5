"""The business's own list: the ways to each state, and the events that must never follow there.

Written by hand, and without the product's table of transitions, so that a hole in that table shows.
"""

# For each aggregate type and state: a history that leads there.
WAYS: dict[str, dict[str, str]] = {
    "saga": {
        "running": "SagaStarted",
        "compensating": "SagaStarted SagaCompensating",
        "completed": "SagaStarted SagaCompleted",
        "compensated": "SagaStarted SagaCompensating SagaCompensated",
        "failed": "SagaStarted SagaCompensating SagaFailed",
    },
    "step": {
        "started": "StepStarted",
        "unknown": "StepStarted StepLeftUnknown",
        "committed": "StepCommitted",
        "done": "StepStarted StepDone",
        "refused": "StepStarted StepRefused",
        "failed": "StepStarted StepFailed",
        "undone": "StepStarted StepDone StepUndone",
        "skipped": "StepStarted StepDone StepSkipped",
    },
    "authorization": {
        "requested": "AuthorizationRequested",
        "pending_approval": "AuthorizationRequested ApprovalRequested",
        "approved": "AuthorizationRequested AuthorizationApproved",
        "approved by a person": "AuthorizationRequested ApprovalRequested AuthorizationApproved",
        "capturing": "AuthorizationRequested AuthorizationApproved AuthorizationCaptureStarted",
        "captured": "AuthorizationRequested AuthorizationApproved AuthorizationCaptureStarted "
        "AuthorizationCaptured",
        "capturing a part": "AuthorizationRequested AuthorizationApproved AuthorizationPartStarted",
        "captured a part": "AuthorizationRequested AuthorizationApproved AuthorizationPartStarted "
        "AuthorizationPartCaptured",
        "denied": "AuthorizationRequested AuthorizationDenied",
        "rejected": "AuthorizationRequested ApprovalRequested AuthorizationRejected",
        "expired": "AuthorizationRequested ApprovalRequested AuthorizationExpired",
        "voided": "AuthorizationRequested AuthorizationApproved AuthorizationVoided",
        "compensated": "AuthorizationRequested AuthorizationApproved AuthorizationCaptureStarted "
        "AuthorizationCompensated",
    },
    "transfer": {
        "started": "TransferStarted",
        "executed": "TransferStarted TransferExecuted",
        "refused": "TransferStarted TransferRefused",
        "cancelled": "TransferStarted TransferCancelled",
        "reversed": "TransferStarted TransferExecuted TransferReversed",
        "arrived": "TransferStarted TransferCancelled TransferArrived",
    },
    "refund": {
        "requested": "RefundRequested",
        "denied": "RefundRequested RefundDenied",
        "reserved": "RefundRequested RefundReserved",
        "started": "RefundRequested RefundReserved RefundStarted",
        "executed": "RefundRequested RefundReserved RefundStarted RefundExecuted",
        "refused": "RefundRequested RefundReserved RefundStarted RefundRefused",
        "cancelled": "RefundRequested RefundReserved RefundStarted RefundCancelled",
        "voided": "RefundRequested RefundReserved RefundVoided",
    },
    "agent": {"active": "AgentRegistered", "revoked": "AgentRegistered AgentRevoked"},
    "policy": {"set": "PolicySet"},
    "statement": {"reconciled": "StatementReconciled"},
    "case": {"open": "CaseOpened", "closed": "CaseOpened CaseClosed"},
    "mandate": {"active": "MandateGranted", "revoked": "MandateGranted MandateRevoked"},
    "key": {"active": "KeyRegistered", "revoked": "KeyRegistered KeyRevoked"},
    "resource": {
        "claimed": "ResourceChangeStarted",
        "made": "ResourceChangeStarted ResourceCreated",
        "deleted": "ResourceChangeStarted ResourceDeleted",
        "dropped": "ResourceChangeStarted ResourceChangeDropped",
    },
}

# An ended saga hears of repeats and of late commits only.
_SAGA_ENDED = (
    "SagaStarted SagaTakenOver SagaLost SagaRunClosed SagaRunPaused SagaRunResumed SagaWaitStarted "
    "SagaDecisionSigned SagaWaitEnded SagaCompensating SagaCompleted SagaCompensated SagaFailed"
)
_STEP_ENDED = (
    "StepCommitted StepStarted StepLeftUnknown StepDone StepRefused StepFailed StepUndone "
    "StepSkipped StepResolved StepAttentionRequested StepRetryRequested StepUndoDelayed"
)
_STEP_DONE = "StepCommitted StepStarted StepLeftUnknown StepDone StepRefused StepFailed"
_PARTS = (
    "AuthorizationPartStarted AuthorizationPartCaptured AuthorizationPartReturned "
    "AuthorizationRestReleased"
)
_AUTHORIZATION_ENDED = (
    f"AuthorizationReduced {_PARTS} "
    "AuthorizationRequested AuthorizationDenied ApprovalRequested ApprovalGiven ApprovalRefused "
    "ApprovalRepeated AuthorizationApproved AuthorizationCaptureStarted AuthorizationCaptured "
    "AuthorizationRejected AuthorizationExpired "
    "AuthorizationVoided AuthorizationCompensated"
)
_APPROVED = (
    "AuthorizationReduced AuthorizationPartCaptured AuthorizationPartReturned "
    "AuthorizationRequested AuthorizationDenied ApprovalRequested ApprovalGiven ApprovalRefused "
    "ApprovalRepeated AuthorizationApproved AuthorizationCaptured"
)
_CAPTURING = (
    "AuthorizationRequested AuthorizationDenied ApprovalRequested ApprovalGiven ApprovalRefused "
    "ApprovalRepeated AuthorizationReduced AuthorizationApproved AuthorizationCaptureStarted "
    "AuthorizationPartStarted AuthorizationRestReleased AuthorizationRejected "
    "AuthorizationExpired AuthorizationVoided"
)
_TRANSFER_ENDED = (
    "TransferStarted TransferExecuted TransferRefused TransferCancelled TransferReversed "
    "TransferRefundReserved TransferRefunded TransferRefundReleased"
)
_REFUNDED = "RefundExecuted RefundRefused RefundCancelled"
_REFUND_ENDED = (
    f"RefundRequested RefundDenied RefundReserved RefundStarted {_REFUNDED} RefundVoided"
)
_MOVED = f"{_TRANSFER_ENDED} TransferArrived"
_RESOURCE_FREE = (
    "ResourceCreated ResourceUpdated ResourceReplaced ResourceDeleted ResourceChangeDropped"
)
# What must never follow in a state; before the first event ("") nothing but a beginning may.
FORBIDDEN: dict[str, dict[str, str]] = {
    "saga": {
        "": "SagaTakenOver SagaLost SagaRunClosed SagaRunPaused SagaRunResumed "
        "SagaDuplicateReceived SagaReuseRefused SagaCommitRefused SagaWaitStarted SagaWaitEnded "
        "SagaDecisionSigned "
        "SagaCompensating SagaCompleted SagaCompensated SagaFailed",
        # It is compensated, or fails, by way of a compensation.
        "running": "SagaStarted SagaCompensated SagaFailed",
        "compensating": "SagaStarted SagaWaitStarted SagaWaitEnded SagaCompensating SagaCompleted",
        "completed": _SAGA_ENDED,
        "compensated": _SAGA_ENDED,
        "failed": _SAGA_ENDED,
    },
    "step": {
        "": "StepLeftUnknown StepDone StepRefused StepFailed StepUndone StepSkipped StepResolved "
        "StepAttentionRequested StepRetryRequested StepUndoDelayed",
        "started": "StepCommitted StepStarted",
        "unknown": "StepCommitted StepStarted",
        "committed": _STEP_DONE,
        "done": _STEP_DONE,
        "refused": _STEP_ENDED,
        "failed": _STEP_ENDED,
        "undone": _STEP_ENDED,
        "skipped": _STEP_ENDED,
    },
    "authorization": {
        "": f"AuthorizationReduced {_PARTS} "
        "AuthorizationDenied ApprovalRequested ApprovalGiven ApprovalRefused ApprovalRepeated "
        "AuthorizationApproved AuthorizationCaptureStarted AuthorizationCaptured "
        "AuthorizationRejected AuthorizationExpired AuthorizationVoided AuthorizationCompensated",
        # Nothing is reserved yet: there is nothing to capture, and nothing to give back.
        "requested": f"AuthorizationReduced {_PARTS} "
        "AuthorizationRequested ApprovalGiven ApprovalRefused ApprovalRepeated "
        "AuthorizationCaptureStarted AuthorizationCaptured "
        "AuthorizationRejected AuthorizationExpired AuthorizationVoided AuthorizationCompensated",
        "pending_approval": f"{_PARTS} "
        "AuthorizationRequested AuthorizationDenied ApprovalRequested "
        "AuthorizationCaptureStarted AuthorizationCaptured",
        "approved": _APPROVED,
        "approved by a person": _APPROVED,
        # Money may be on its way: it is captured, or brought back.
        "capturing": _CAPTURING,
        "capturing a part": _CAPTURING,
        "captured a part": _APPROVED,
        "captured": _AUTHORIZATION_ENDED,
        "denied": _AUTHORIZATION_ENDED,
        "rejected": _AUTHORIZATION_ENDED,
        "expired": _AUTHORIZATION_ENDED,
        "voided": _AUTHORIZATION_ENDED,
        "compensated": _AUTHORIZATION_ENDED,
    },
    "transfer": {
        "": "TransferExecuted TransferRefused TransferCancelled TransferReversed TransferArrived "
        "TransferRefundReserved TransferRefunded TransferRefundReleased",
        # Only what was given up can arrive, and nothing goes back of what is in doubt.
        "started": "TransferStarted TransferArrived "
        "TransferRefundReserved TransferRefunded TransferRefundReleased",
        "executed": "TransferStarted TransferExecuted TransferArrived",
        "refused": _TRANSFER_ENDED,
        "cancelled": _TRANSFER_ENDED,
        "reversed": _MOVED,
        "arrived": _MOVED,
    },
    "refund": {
        "": f"RefundDenied RefundReserved RefundStarted {_REFUNDED} RefundVoided",
        "requested": f"RefundRequested RefundStarted {_REFUNDED} RefundVoided",
        "reserved": f"RefundRequested RefundDenied RefundReserved {_REFUNDED}",
        # It may be on its way: only its outcome follows.
        "started": "RefundRequested RefundDenied RefundReserved RefundStarted RefundVoided",
        **dict.fromkeys(("denied", "executed", "refused", "cancelled", "voided"), _REFUND_ENDED),
    },
    "agent": {"": "AgentRevoked", "active": "", "revoked": ""},
    "policy": {"": "", "set": ""},
    "statement": {"": "", "reconciled": "StatementReconciled"},
    "case": {"": "CaseClosed", "open": "CaseOpened", "closed": "CaseOpened CaseClosed"},
    "mandate": {
        "": "MandateRevoked",
        "active": "MandateGranted",
        "revoked": "MandateGranted MandateRevoked",
    },
    "key": {"": "KeyRevoked", "active": "KeyRegistered", "revoked": "KeyRegistered KeyRevoked"},
    "resource": {
        "": _RESOURCE_FREE,
        # Until the claim ends no other change touches the resource.
        "claimed": "ResourceChangeStarted",
        "made": _RESOURCE_FREE,
        "deleted": _RESOURCE_FREE,
        "dropped": _RESOURCE_FREE,
    },
}

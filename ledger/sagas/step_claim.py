"""The claim of a step: what makes it one step of its saga, and what it is carried out by."""

from dataclasses import dataclass, replace
from typing import Any, Literal

from ledger.aggregates.saga import saga_name
from ledger.aggregates.saga_step import StepState, UndoPlan, step_name
from ledger.sagas.saga_log import Opening
from ledger.sagas.signatures import Signed
from ledger.store.commit import Ref

Json = dict[str, Any]
# The reason of a step that should open a saga which is there.
SAGA_KNOWN = "saga_known"
Phase = Literal["running", "compensating"]


@dataclass(frozen=True)
class StepClaim:
    """The claim of a step: its saga, epoch and try; `input_hash` distinguishes two inputs."""

    saga_id: str
    step: str
    ordinal: int
    epoch: int
    activity: str
    input_hash: str
    undo: UndoPlan | None = None
    tries: int = 1
    # An operator's evidence for the outcome. Of an undo that is `skipped`: what is left.
    evidence: str | None = None
    outcome: Literal["done", "failed", "undone", "skipped"] | None = None
    # The commit of this step opens the saga, or closes it with this result.
    opening: Opening | None = None
    # The decision of this step denies a request that is not signed well.
    denies_unsigned: bool = False
    ending: Json | None = None
    # The commit of this step carries out the decision that the saga waited for.
    ends_wait: bool = False
    # What a person or an agent signed, where the step is carried out as they say.
    decision: Signed | None = None

    @property
    def aggregate(self) -> str:
        """The aggregate name of the step."""
        return step_name(self.saga_id, self.step)

    @property
    def skipped(self) -> bool:
        """Whether the undo of the step is given up."""
        return self.outcome == "skipped"

    def refs(self, phase: Phase, *, new: bool = False, begins: bool = False) -> list[Ref]:
        """The step and its saga, which must be in this phase and in the epoch of the claim.

        A `new` step is taken for not begun until the write shows otherwise. Of one that `begins`
        the saga is loaded, for who asked for it.
        """
        saga = Ref(saga_name(self.saga_id), "share")
        if not begins:
            saga = replace(saga, given=(("state", phase), ("epoch", self.epoch)))
        if self.opening is not None or self.ending is not None or self.ends_wait:
            saga = Ref(saga_name(self.saga_id))
        signed_by = self.opening.refs if self.opening else []
        decided_by = self.decision.refs() if self.decision else []
        return [saga, Ref(self.aggregate, new=new), *signed_by, *decided_by]

    def columns(self) -> Json:
        """The fields that every first event of a step carries."""
        return {
            "saga_id": self.saga_id,
            "name": self.step,
            "ordinal": self.ordinal,
            "epoch": self.epoch,
            "activity": self.activity,
            "input_hash": self.input_hash,
            "undo": self.undo,
        }


@dataclass(frozen=True)
class Started:
    """A step that was started: by this call, or `again`, by an earlier one."""

    step: StepState
    again: bool

"""Compensates a saga: undoes each step that was started, until its undo succeeds.

To compensate, the saga raises its epoch, reads from the ledger what was started, and undoes it in
reverse order of start, side by side what ran side by side. What to undo never comes from memory: a
replayed workflow may not know what its activities committed. One undo is tried without end, or as
the policy of its step says.
"""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError

from activities import errors
from activities.saga_records import CompensationRequest, SagaActivities
from activities.step import Claim
from ledger.aggregates.step_report import Undo, UndoReport
from ledger.sagas.saga_log import Compensation, StepToUndo
from workflows.contract.updates import By
from workflows.engine.decisions import SYSTEM, Asked, not_allowed
from workflows.engine.escalation import as_told, ask, given_up, note_delay, pause
from workflows.engine.lifecycle import LifecycleEvent
from workflows.engine.live_details import cause_in_words
from workflows.engine.retry import FIRST_PAUSE, longer
from workflows.engine.run import SHOWN_AFTER, SagaRun, cause_of, is_away, tries_of, words_of

# Runs that paused an undo before this was there have no delay on record.
_NOTED = "undo-delay-on-record"

# How an undo ended.
Undone = tuple[Undo, UndoReport]


async def compensate(run: SagaRun, request: CompensationRequest, by: By) -> Compensation:
    """Compensate the saga as `by` wants it: undo every step that was started. Returns the
    compensation once all undos have ended; one in state `running` where none was begun (see
    `saga_log`)."""
    actor = by.actor
    compensation = await run.ours(
        SagaActivities.begin_compensation,
        *(run.claim(actor, run.signed(by)), request),
        summary="begin compensation",
    )
    run.epoch = compensation.epoch
    if compensation.state == "running":
        return compensation
    if compensation.state == "compensating":
        run.cause = cause_in_words(compensation.cause, compensation.reason, actor)
        run.enter(LifecycleEvent.COMPENSATING, reason=compensation.cause)
    run.look_up_no_more()
    undone = await _undo(run, compensation.steps, actor)
    left = [each.residual for _, each in undone.values() if each.residual]
    reports = [
        report.ended(*undone[report.name]) if report.name in undone else report
        for report in compensation.reports
    ]
    changed = {"residuals": [*compensation.residuals, *left], "reports": reports}
    return compensation.model_copy(update=changed)


async def _undo(run: SagaRun, steps: list[StepToUndo], actor: str) -> dict[str, Undone]:
    """Undo each step as soon as all steps that began after its end are undone; steps that ran side
    by side are undone side by side. Returns how each undo ended, by the name of its step."""
    undoing: list[tuple[StepToUndo, asyncio.Task[Undone]]] = []
    for step in steps:
        later = [task for one, task in undoing if step.ordinal not in one.undo.beside]
        undoing.append((step, asyncio.create_task(_undo_after(run, later, step, actor))))
    undone = await asyncio.gather(*(task for _, task in undoing))
    return {step.name: how for (step, _), how in zip(undoing, undone, strict=True)}


async def _undo_after(
    run: SagaRun, later: list[asyncio.Task[Undone]], step: StepToUndo, actor: str
) -> Undone:
    for task in later:
        await task
    return await undo_step(run, step, actor)


async def undo_step(run: SagaRun, step: StepToUndo, actor: str) -> Undone:
    """Undo one step, however long that takes; returns how the undo ended."""
    claim = run.claim(actor).model_copy(update={"step": step.name, "ordinal": step.ordinal})
    run.mark(step.name, "undoing")
    return await _Undo(run, step, claim).until_it_ends()


class _Undo:
    """The attempts of one undo: how many there were, and how many answers were no success."""

    def __init__(self, run: SagaRun, step: StepToUndo, claim: Claim) -> None:
        self._run, self._step, self._plain = run, step, claim
        self._tries = self._answers = 0
        self._pause = FIRST_PAUSE
        # Whether the delay is on record: once is enough, until an operator has acted.
        self._noted = False

    async def until_it_ends(self) -> Undone:
        claim, asked = self._plain, None
        while True:
            try:
                undone = await self._try(claim)
            except ActivityError as error:
                why = self._failed(error)
                if asked is not None and not asked.answered:
                    asked.answer(not_allowed(f"can't {asked.verb} {self._step.name}: {why}"))
            else:
                return self._ended(claim, undone, asked)
            claim = self._plain.model_copy(update={"tries": self._tries})
            if self._is_enough() and self._step.undo.then == "go_on":
                left = f"{self._step.name}: not undone after {self._tries} tries ({why})"
                claim = claim.model_copy(update={"actor": SYSTEM, "verdict": given_up(left)})
                asked, self._answers = None, 0
                continue
            asked = await self._wait(claim, why)
            if asked is not None:
                claim = await as_told(self._run, claim, asked, undoing=True)
                self._pause, self._answers = FIRST_PAUSE, 0
                self._noted = False
            self._run.mark(self._step.name, "undoing", why, tries=self._tries)

    async def _try(self, claim: Claim) -> UndoReport:
        undo = self._step.undo
        call = self._run.outside if undo.outside else self._run.ours
        undone: UndoReport = await call(
            undo.activity,
            *(claim, undo.request),
            summary=f"undo {claim.step}",
            result_type=UndoReport,
            tries=errors.TRIES_AT_ONCE,
        )
        return undone

    def _failed(self, error: ActivityError) -> str:
        """Count the attempts; returns the words of the failure."""
        if cause_of(error) == "Fenced":
            raise error
        self._tries += tries_of(error)
        self._answers += 0 if is_away(error) else 1
        why = words_of(error)
        workflow.logger.warning(
            "the undo of %s had no success after %d tries: %s", self._step.name, self._tries, why
        )
        return why

    def _is_enough(self) -> bool:
        return self._step.undo.tries is not None and self._answers >= self._step.undo.tries

    async def _wait(self, claim: Claim, why: str) -> Asked | None:
        """Wait for the next attempt or an operator action; without a deadline once an operator was
        asked."""
        outside = self._step.undo.outside
        if self._is_enough():
            return await ask(self._run, claim, why, undoing=True, outside=outside)
        if self._tries >= SHOWN_AFTER and not self._noted and workflow.patched(_NOTED):
            await note_delay(self._run, claim, why)
            self._noted = True
        within, self._pause = self._pause, longer(self._pause)
        return await pause(self._run, claim, why, within, outside=outside)

    def _ended(self, claim: Claim, undone: UndoReport, asked: Asked | None) -> Undone:
        how: Undo = "skipped" if claim.skipped else "undone"
        self._run.mark(self._step.name, how, undone.residual or undone.note, tries=undone.tries)
        if asked is not None and not asked.answered:
            asked.answer()
        return how, undone

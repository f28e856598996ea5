"""A start that its task queue does not serve ends at once, and says where it belongs."""

import pytest

from tests.sagas.conftest import INFRASTRUCTURE_QUEUE, QUEUE, SWEEP_QUEUE
from tests.support.driver import Driver, new_id, payment, refused
from tests.support.probe import Probe

OF_QUEUE = {
    "PaymentSaga": QUEUE,
    "AgentSaga": QUEUE,
    "PolicySaga": QUEUE,
    "InfrastructureSaga": INFRASTRUCTURE_QUEUE,
    "RollbackSaga": INFRASTRUCTURE_QUEUE,
    "RecoverySaga": SWEEP_QUEUE,
    "SweepWorkflow": SWEEP_QUEUE,
}
WRONG = [
    (workflow, queue)
    for workflow, right in OF_QUEUE.items()
    for queue in (QUEUE, INFRASTRUCTURE_QUEUE, SWEEP_QUEUE)
    if queue != right
]


@pytest.mark.parametrize(("workflow", "queue"), WRONG)
async def test_a_wrong_queue_is_answered_with_the_right_one(
    driver: Driver, probe: Probe, workflow: str, queue: str
) -> None:
    before = await probe.size()
    options = {"id": new_id("wrong"), "task_queue": queue}
    failure = await driver.failure(await driver.start_raw(workflow, [{}], **options))
    assert (failure.type, failure.non_retryable) == ("InvalidInput", True)
    [problem] = failure.details
    assert problem["field"] == "task_queue"
    right = OF_QUEUE[workflow]
    assert problem["reason"] == (
        f"{workflow} is served on {right}, and not on {queue}: start it there"
    )
    assert await probe.size() == before


@pytest.mark.parametrize(
    ("workflow", "said"),
    [
        (
            "PaymentsSaga",
            f"PaymentsSaga is no workflow of {QUEUE}: it may be PaymentSaga on {QUEUE}",
        ),
        ("Sweep", f"Sweep is no workflow of {QUEUE}: there are AgentSaga on {QUEUE}, "),
        ("2850590940090418135201", f"another name is no workflow of {QUEUE}: there are AgentSaga"),
    ],
)
async def test_a_mistyped_type_is_answered_with_the_types_there_are(
    driver: Driver, workflow: str, said: str
) -> None:
    failure = await driver.failure(await driver.start_raw(workflow, [{}], id=new_id("wrong")))
    [problem] = failure.details
    assert problem["field"] == "workflow_type"
    assert problem["reason"].startswith(said)


async def test_an_update_with_a_misdirected_start_is_answered_too(
    driver: Driver, probe: Probe, agent: str
) -> None:
    request, before = payment(agent, 5), await probe.size()
    elsewhere = driver.start_with(request, "submit", request, task_queue=INFRASTRUCTURE_QUEUE)
    failure = await refused(elsewhere)
    assert [problem["field"] for problem in failure.details] == ["task_queue"]
    assert (await driver.failure(driver.handle(request))).message == failure.message
    assert await probe.size() == before
    # The operation id is still free.
    assert (await driver.run(request))["state"] == "captured"

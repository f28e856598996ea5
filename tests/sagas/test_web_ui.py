"""What a person sees of a saga in Temporal's Web UI, without reading code."""

import html
import json
import re
from datetime import UTC, datetime
from typing import Any, get_args, get_type_hints
from urllib.parse import quote
from urllib.request import urlopen

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from temporalio.api.enums.v1 import EventType
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionStatus

from ledger.words import code, escaped, plain
from starter import Amends
from tests.sagas.conftest import INFRASTRUCTURE_QUEUE, QUEUE, Inject, Stuck
from tests.support.driver import CBU, Driver, Handle, Json, new_id, payment, saga_of
from tests.support.probe import Probe
from tests.support.until import until
from worker.embedded.servers import EmbeddedServers
from workflows import recovery, sweep
from workflows.contract.payment import PaymentRequest
from workflows.contract.progress import Progress
from workflows.contract.sweep import RecoveryRequest, Swept
from workflows.contract.waits import StepProgress, Wait
from workflows.engine.live_details import page, refusal_page

# What the Web UI makes of points, fractions and quotes: the words stay what they are.
TYPOGRAPHY = {0x2026: "...", 0x2044: "/", 0x2018: "'", 0x2019: "'", 0x201C: '"', 0x201D: '"'}
MARKS = (
    *("a", "b", " ", " ", ".", "1", "(", ")", "'", '"', "/", ":", "!", "|", "=", "+ ", "- ", "1. "),
    *("*", "**", "_", "`", "~~", "--", "$", "$$", "#", "^", "\\", "{a}", "> ", "&lt;", "&"),
    *(
        "<b>",
        "</b>",
        "<!--",
        "[a](b)",
        "![a](b)",
        "<http://a.b>",
        "http://a.b",
        "mailto:a@b.c",
        "[^1]",
        "  ",
        "\n",
        "\u202e",
        "\x9b31m",
    ),
)
SUMMARIZED = (
    EventType.EVENT_TYPE_MARKER_RECORDED,
    EventType.EVENT_TYPE_TIMER_STARTED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
)


async def listed(driver: Driver, query: str) -> list[str]:
    """The workflow ids that the list of the Web UI shows for a query."""
    return [each.id async for each in driver.client.list_workflows(query)]


async def shows(handle: Handle) -> Json:
    """The search attributes of a run, by name."""
    attributes = (await handle.describe()).typed_search_attributes
    return {pair.key.name: pair.value for pair in attributes if pair.key.name.startswith("Saga")}


async def current_details(handle: Handle) -> str:
    """The live page of a run."""
    metadata: WorkflowMetadata = await handle.query("__temporal_workflow_metadata")
    return metadata.current_details


async def test_a_saga_is_found_by_where_it_waits_and_its_page_tells_that_and_summaries_what_it_did(
    driver: Driver, agent: str, inject: Inject
) -> None:
    request = payment(agent, 55_000, approve_within="PT1H")
    await inject(request, "refuse", note="account closed")
    await driver.submit(request)
    subject = f"SagaKind='payment' AND SagaSubjects='agent/{agent}'"
    waiting = f"{subject} AND SagaState='running' AND SagaStep='approval'"
    await until(lambda: listed(driver, waiting))
    assert await listed(driver, waiting) == [saga_of(request)]
    handle = driver.handle(request)
    assert await shows(handle) == {
        "SagaKind": "payment",
        "SagaState": "running",
        "SagaStep": "approval",
        "SagaActor": f"agent:{agent}",
        "SagaSubjects": [f"agent/{agent}"],
        "SagaNeedsAttention": True,
    }
    details = await current_details(handle)
    assert f"**payment of 55,000.00 ARS for agent {agent}** (`{saga_of(request)}`)" in details
    assert "**running**: pending approval" in details
    assert "🙋 waits for **approval** by any user since " in details
    assert f"- `amends approve {saga_of(request)}`" in details
    assert "1. **authorize** ✅ done" in details
    await driver.tell(request, "approve")
    await handle.result()
    await until(lambda: listed(driver, f"{subject} AND SagaState='compensated' AND SagaStep=''"))
    assert await listed(driver, waiting) == []
    ended = await current_details(handle)
    assert "**compensated**: the bank refused it (provider\\_refused)" in ended
    assert "2. **approve** ✅ done" in ended
    assert "3. **execute transfer** ⛔ refused: provider\\_refused" in ended
    assert "1. **authorize** ↩️ undone: the spend is released" in ended
    assert CBU not in ended
    summaries: dict[str, set[str]] = {}
    for event in (await handle.fetch_history()).events:
        if event.event_type in SUMMARIZED:
            summary = json.loads(event.user_metadata.summary.data or b"null")
            summaries.setdefault(EventType.Name(event.event_type), set()).add(summary)
    assert summaries == {
        "EVENT_TYPE_MARKER_RECORDED": {
            *("authorize", "approve", "begin compensation"),
            *("undo authorize", "read", "close the saga"),
        },
        "EVENT_TYPE_TIMER_STARTED": {"deadline for approval"},
        "EVENT_TYPE_ACTIVITY_TASK_SCHEDULED": {"execute transfer"},
    }


async def test_the_list_tells_the_states_of_the_ledger_and_not_the_destination(
    driver: Driver, probe: Probe, agent: str, inject: Inject
) -> None:
    captured, denied, refused = (payment(agent, pesos) for pesos in (45_000, 70_000, 40_000))
    await inject(refused, "refuse")
    for request in (captured, denied, refused):
        await driver.run(request)
        handle = driver.handle(request)
        assert (await shows(handle))["SagaState"] == (await probe.saga(request))["state"]
        described = (await handle.describe()).raw_description
        assert CBU.encode() not in described.SerializeToString()


async def test_a_saga_that_waits_for_a_person_is_found_and_its_page_says_what_it_takes(
    driver: Driver, probe: Probe, agent: str, nobody_can_tell: Stuck
) -> None:
    request = await nobody_can_tell("timeout_after")
    handle = driver.handle(request)
    subject = f"SagaKind='payment' AND SagaSubjects='agent/{agent}'"
    state = "SagaState='needs_attention' AND SagaStep='execute transfer'"
    waiting = f"{subject} AND {state} AND SagaNeedsAttention=true"
    await until(lambda: listed(driver, waiting))
    assert await listed(driver, waiting) == [saga_of(request)]
    assert (await shows(handle))["SagaNeedsAttention"] is True
    details = await current_details(handle)
    assert "**needs attention**: approved" in details
    assert "🙋 **execute transfer** needs an operator since " in details
    (row,) = [line for line in details.splitlines() if ". **execute transfer**" in line]
    assert "🙋 needs attention, " in row
    assert "tries: the bank did not answer find" in row
    await probe.heal(request)
    await driver.tell(request, "retry", {"actor": "user:ana", "step": "execute transfer"})
    await handle.result()
    ended = await shows(handle)
    assert (ended["SagaState"], ended["SagaStep"]) == ("completed", "")
    assert ended["SagaNeedsAttention"] is False


async def test_what_the_sdk_submits_has_a_summary_in_the_list(driver: Driver, agent: str) -> None:
    request = PaymentRequest.model_validate(payment(agent, 45_000))
    sdk = Amends(driver.client, {"AMENDS_PAYMENTS_QUEUE": QUEUE})
    saga_id = (await sdk.submit(request)).saga_id
    await sdk.result(saga_id)
    described = await driver.client.get_workflow_handle(saga_id).describe()
    assert await described.static_summary() == f"payment of 45,000.00 ARS for agent {agent}"


async def test_a_saga_with_two_hundred_long_subjects_is_carried_out(driver: Driver) -> None:
    names = [f"{number:03}-{'x' * 60}" for number in range(200)]
    request = {"operation_id": new_id("big"), "actor": "user:u-17", "absent": names}
    handle = await driver.start_raw(
        *("InfrastructureSaga", [request]),
        id=f"change/{request['operation_id']}",
        task_queue=INFRASTRUCTURE_QUEUE,
    )
    assert (await handle.result())["state"] == "unchanged"
    described = await handle.describe()
    assert described.status == WorkflowExecutionStatus.COMPLETED
    subjects = (await shows(handle))["SagaSubjects"]
    assert subjects[0] == f"resource/dev/{names[0]}"
    assert subjects[-1] == f"+{200 - len(subjects) + 1} more"
    assert 1_200 < sum(len(subject.encode()) for subject in subjects) <= 1_500


def drawn(servers: EmbeddedServers, markdown: str) -> str:
    """The HTML of Markdown as the Web UI draws it."""
    url = f"{servers.temporal.web_ui_url}/render?theme=light&content={quote(markdown)}"
    with urlopen(url) as answer:
        page: str = answer.read().decode()
    (found,) = re.findall("<main>(.*)</main>", page, re.DOTALL)
    return str(found)


def rendered(servers: EmbeddedServers, markdown: str) -> str:
    """The text of Markdown as the Web UI draws it."""
    return html.unescape(re.sub("<[^>]*>", "", drawn(servers, markdown))).strip()


def words_of(text: str) -> str:
    """A text without what the typography of the Web UI changes: spaces, quotes, points, slashes."""
    return re.sub(r"\s|['\"]|\.", "", text.translate(TYPOGRAPHY))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.sampled_from(MARKS), max_size=12).map("".join))
def test_no_words_are_taken_for_markdown_where_they_are_escaped(
    servers: EmbeddedServers, words: str
) -> None:
    line = plain(" ".join(words.split()))
    assert words_of(rendered(servers, f"- **a** {escaped(words)} b")) == words_of(f"a {line} b")
    command = f"amends resolve payment/x 'a b' --evidence {words}x"
    shown, typed = rendered(servers, f"- {code(command)} b"), plain(" ".join(command.split()))
    assert words_of(shown) == words_of(f"{typed} b")
    assert "`" in command or shown == f"{typed} b"


def test_no_page_draws_anything_of_words_whatever_field_has_them(servers: EmbeddedServers) -> None:
    words = "![c](http://c.d) <img src=c> ``<script>c</script>\n\n# c <b>c</b> http://c.d \u202e"
    wait: Any = {"waits_for": words, "whom": words, "why": words, "commands": [words]}
    states = get_args(get_type_hints(Wait)["state"])
    result: Json = {"state": words, "provider_reference": words, "reason": words}
    result |= {"notes": [words], "residuals": [words]}
    step = StepProgress(name=words, state="undone", detail=words)
    open_ = Progress(saga_id=words, kind=words, state="running", decision=words, steps=[step])
    waits = [Wait(**wait, state=state) for state in states]
    waiting, ended = open_.model_copy(update={"waits": waits}), {"result": result}
    found = Swept.model_construct(
        open_sagas=1,
        lost=1,
        recovering=[words],
        alerts=[words],
        stopped=[words],
        left_alone=1,
        left_until={words: datetime(2026, 11, 30, tzinfo=UTC)},
    )
    asked = RecoveryRequest.model_construct(saga_id=words, actor=words, reason=words)
    pages = [
        *(page(waiting, [words, words], words, [words]), page(open_.model_copy(update=ended), [])),
        *(refusal_page(open_.model_copy(update=ended)), sweep.page(found), recovery.page(asked)),
    ]
    for each in pages:
        shown = drawn(servers, each)
        tags = set(re.findall(r"<\s*/?\s*(\w+)", shown))
        assert tags <= {"p", "ul", "ol", "li", "code", "strong"}
        assert "script" in shown
        assert "\u202e" not in shown

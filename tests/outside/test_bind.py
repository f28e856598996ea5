"""The adapter `bind` against the BIND simulator: every status, every code, the login, and what is
never told. What holds of every adapter is in tests/conformance/."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.adapters.bind import connection
from activities.adapters.bind.adapter import BindBank
from activities.adapters.bind.answers import REFUSALS, amount_of, decoded, encoded, read_transfer
from activities.adapters.bind.origin_id import (
    ALPHABET,
    MAX_DESCRIPTION,
    description_of,
    mark_of,
    origin_id_of,
)
from activities.adapters.payment import (
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    TransferOrder,
    TransferReport,
)
from tests.bank.simulator import ACCOUNT_ID, PASSWORD, USERNAME, BindSimulator, Fault
from tests.conformance.bind_bank import account_at
from tests.support.tls_front import self_signed, tls_front

CBU = "2850590940090418135201"
CVU = "0000003100010000000001"
AGAIN_S = 300.0


@pytest.fixture(scope="module")
async def bank() -> AsyncIterator[BindSimulator]:
    async with BindSimulator() as running:
        yield running


@pytest.fixture
async def adapter(bank: BindSimulator) -> AsyncIterator[BindBank]:
    async with BindBank(account_at(bank.url)) as adapter:
        yield adapter


@pytest.fixture
def order() -> TransferOrder:
    return TransferOrder(f"payment/{uuid4()}", 4_500_050, "ARS", CBU, "building expenses")


def script(bank: BindSimulator, order: TransferOrder, *faults: Fault) -> None:
    for fault in faults:
        bank.script(origin_id_of(order.key), fault)


def code(http: int, name: str, **more: str) -> Fault:
    return Fault(http=http, code=name, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", sorted(REFUSALS))
async def test_a_code_of_a_business_error_is_a_refusal(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder, name: str
) -> None:
    script(bank, order, code(409, name))
    report = await adapter.transfer(order)
    assert (report.status, report.reference) == ("refused", None)
    assert (report.reason or "").startswith(f"{name}: ")


@pytest.mark.parametrize(
    ("answers", "again_in_s", "for_ever"),
    [
        (Fault(statuses=("IN_PROGRESS",)), AGAIN_S, False),
        (Fault(statuses=("PENDING",)), AGAIN_S, False),
        (Fault(statuses=("UNKNOWN",)), AGAIN_S, False),
        (Fault(statuses=("A_NEW_ONE",)), AGAIN_S, False),
        (Fault(statuses=("UNKNOWN_FOREVER",)), None, True),
        (code(409, "TX500"), AGAIN_S, False),
        (code(409, "TX019"), AGAIN_S, False),
        (code(409, "GE500"), AGAIN_S, False),
        (code(409, "TX999"), AGAIN_S, False),
        (code(500, ""), AGAIN_S, False),
        (code(502, "", when="after"), AGAIN_S, False),
        (code(503, "", when="after"), AGAIN_S, False),
        (code(504, "", when="after"), AGAIN_S, False),
        (code(400, "GE400"), AGAIN_S, False),
        (code(302, ""), AGAIN_S, False),
        (Fault(body="<html>the bank is closed</html>"), AGAIN_S, False),
        (Fault(body='{"status": "COMPLETED"}'), None, False),
        (Fault(cut="drop"), None, False),
        (Fault(cut="drop", when="after"), None, False),
    ],
    ids=str,
)
async def test_what_is_no_outcome_is_unknown(
    bank: BindSimulator,
    adapter: BindBank,
    order: TransferOrder,
    answers: Fault,
    again_in_s: float | None,
    for_ever: bool,
) -> None:
    script(bank, order, answers)
    with pytest.raises(OutcomeUnknown) as unknown:
        await adapter.transfer(order)
    assert (unknown.value.again_in_s, unknown.value.for_ever) == (again_in_s, for_ever)


@pytest.mark.parametrize("name", ["before", "after"])
async def test_an_answer_that_never_comes_is_given_up_and_unknown(
    bank: BindSimulator, order: TransferOrder, name: str
) -> None:
    script(bank, order, Fault(cut="hang", when=name))  # type: ignore[arg-type]
    async with BindBank(account_at(bank.url, answer_within_s=0.2)) as adapter:
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            await adapter.transfer(order)
        found = await adapter.find(order.key)
    assert (found is not None) == (name == "after")


@pytest.mark.parametrize("answer", [code(503, "GE503"), code(403, "GE403"), code(429, "")], ids=str)
async def test_a_call_that_was_let_not_in_did_nothing(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder, answer: Fault
) -> None:
    script(bank, order, answer)
    with pytest.raises(NothingSent):
        await adapter.transfer(order)
    script(bank, order, replace(answer, call="find"))
    with pytest.raises(OutcomeUnknown):
        await adapter.find(order.key)
    assert (await adapter.transfer(order)).status == "executed"


async def test_a_transfer_that_failed_is_refused(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder
) -> None:
    script(bank, order, Fault(statuses=("FAILED",)))
    assert (await adapter.transfer(order)).status == "refused"
    found = await adapter.find(order.key)
    assert found is not None
    assert (found.status, found.reference) == ("refused", None)


async def test_a_look_right_after_the_send_may_find_nothing(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder
) -> None:
    script(bank, order, Fault(hidden=1))
    report = await adapter.transfer(order)
    assert await adapter.find(order.key) is None
    assert await adapter.find(order.key) == report


async def test_one_login_serves_all_calls_and_a_refused_token_is_renewed_once(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder
) -> None:
    before = bank.logins
    keys = [replace(order, key=f"{order.key}-{number}") for number in range(5)]
    await asyncio.gather(*(adapter.transfer(each) for each in keys))
    assert bank.logins == before + 1
    bank.revoke_logins()
    found = await asyncio.gather(*(adapter.find(each.key) for each in keys))
    assert {each.status for each in found if each} == {"executed"}
    assert bank.logins == before + 2
    # A bank that takes no token at all: nothing was done, and nobody logs in for ever.
    script(bank, order, code(401, "GE401"), code(401, "GE401"))
    with pytest.raises(NothingSent, match="HTTP 401"):
        await adapter.transfer(order)
    assert bank.logins == before + 3


async def test_a_login_that_ends_is_made_again_before_it_does(order: TransferOrder) -> None:
    async with BindSimulator(token_lasts_s=int(connection.RENEW_BEFORE_S)) as bank:
        async with BindBank(account_at(bank.url)) as adapter:
            await adapter.transfer(order)
            await adapter.find(order.key)
        assert bank.logins == 2


@pytest.mark.parametrize("hidden", ["username", "password", "account_id"])
async def test_no_credential_and_no_account_is_in_any_text(
    bank: BindSimulator,
    order: TransferOrder,
    hidden: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    wrong = {hidden: "hidden-and-wrong"}
    account = replace(account_at(bank.url), **wrong)  # type: ignore[arg-type]
    texts = [repr(account)]
    async with BindBank(account) as adapter:
        with pytest.raises((NothingSent, OutcomeUnknown)) as failed:
            await adapter.transfer(order)
        texts += [repr(adapter), repr(failed.value), *map(repr, failed.traceback)]
    async with BindBank(account_at(bank.url)) as adapter:
        script(bank, order, code(409, "TX019"), Fault("find", cut="drop"))
        for call in (adapter.transfer(order), adapter.find(order.key)):
            with pytest.raises(OutcomeUnknown) as unknown:
                await call
            texts += [repr(unknown.value), repr(unknown.value.__cause__)]
    told = " ".join([*texts, caplog.text])
    secrets = (USERNAME, PASSWORD, ACCOUNT_ID, CBU, "hidden-and-wrong", "token-")
    assert [secret for secret in secrets if secret in told] == []


async def test_a_cvu_pays_by_its_own_kind_of_transfer(
    bank: BindSimulator, order: TransferOrder
) -> None:
    async with BindBank(replace(account_at(bank.url), origin_cvu=CVU)) as adapter:
        assert (await adapter.transfer(order)).status == "executed"
        assert (await adapter.find(order.key) or order).key == order.key


async def test_a_bank_that_asks_for_a_certificate_is_reached_with_it_alone(
    bank: BindSimulator, order: TransferOrder, tmp_path: Path
) -> None:
    certificate, key = await self_signed(tmp_path)
    at = f"127.0.0.1:{bank.port}"
    async with tls_front(at, certificate, key, asks=True) as address:
        bare = replace(account_at(f"https://{address}/v1"), ca=certificate)
        named = replace(bare, certificate=certificate, certificate_key=key)
        distrusting = replace(named, ca=None)
        for account in (bare, distrusting):
            async with BindBank(account) as adapter:
                with pytest.raises(NothingSent):
                    await adapter.transfer(order)
        async with BindBank(named) as adapter:
            assert (await adapter.transfer(order)).status == "executed"


async def test_a_file_that_is_no_certificate_is_refused_at_the_start(tmp_path: Path) -> None:
    text = tmp_path / "certificate.pem"
    text.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        BindBank(replace(account_at("https://127.0.0.1/v1"), certificate=text))


# Two keys whose origin ids would be the same are not found; what BIND tells of one is.
async def test_the_transfer_of_another_key_under_our_origin_id_is_not_ours(
    bank: BindSimulator, adapter: BindBank, order: TransferOrder
) -> None:
    await adapter.transfer(order)
    booked = bank.transfers[origin_id_of(order.key)]
    booked.description = description_of("payment/another", order.description)
    for call in (adapter.transfer(order), adapter.find(order.key)):
        with pytest.raises(NotTheSameTransfer):
            await call
    # A bank that keeps a part of the description says nothing by it.
    booked.description = "building expe"
    assert (await adapter.transfer(order)).status == "executed"


@given(key=st.text(max_size=200), text=st.text(max_size=200))
def test_origin_id_and_description_are_what_bind_takes(key: str, text: str) -> None:
    assert len(origin_id_of(key)) == 15
    assert set(origin_id_of(key) + mark_of(key)[1:]) <= set(ALPHABET)
    described = description_of(key, text)
    assert described.endswith(mark_of(key))
    assert len(described) <= MAX_DESCRIPTION


def test_the_origin_id_of_a_key_never_changes() -> None:
    assert origin_id_of("payment/expenses-2026-11") == "C78FN7BVZZJ2F9G"
    assert mark_of("payment/expenses-2026-11") == "#F8BC7KFAZRZ7XE63G4QX"


@given(minor=st.integers(min_value=1, max_value=10**12))
def test_an_amount_goes_there_and_back_exactly(minor: int) -> None:
    sent = decoded(200, encoded({"amount": amount_of(minor, "ARS")})).body
    assert sent is not None
    assert not isinstance(sent["amount"], float)
    assert Decimal(sent["amount"]) * 100 == minor


@pytest.mark.parametrize(
    ("number", "minor"),
    [
        ("45000.5", 4_500_050),
        ("4.50005e4", 4_500_050),
        ("45000.500", 4_500_050),
        ("1", 100),
        ("0.1", 10),
        ("45000.501", None),
        ("1e999999999", None),
        ("45000.50000000000000000001", None),
        ('"45000.50"', None),
        ("true", None),
        ("null", None),
    ],
)
def test_an_amount_that_is_not_exact_is_no_outcome(number: str, minor: int | None) -> None:
    body = (
        f'{{"id": "1", "status": "COMPLETED", "details": {{"cbu": "{CBU}"}},'
        f' "charge": {{"value": {{"currency": "ARS", "amount": {number}}}}}}}'
    )

    def told() -> TransferReport:
        return read_transfer("payment/x", decoded(200, body.encode()), AGAIN_S)

    if minor is None:
        with pytest.raises(OutcomeUnknown):
            told()
    else:
        assert told().amount_minor == minor

"""The payment adapter `bind`. BIND has no call that cancels or reverses a transfer.

Sending an origin id again gives the first transfer, with the warning TRANSACTION_ALREADY_CREATED:
that is the idempotency, and every transfer that BIND reports is compared with the order. A look-up
that finds nothing (TX019) may come too early; whoever asks believes it only when no attempt can
still deliver the order.
"""

from hashlib import sha256
from types import TracebackType
from typing import Self
from urllib.parse import quote

from activities.adapters.bind.answers import (
    NOT_FOUND,
    Json,
    amount_of,
    read_transfer,
    refusal_of,
)
from activities.adapters.bind.connection import BANK_ID, BindSettings, Connection
from activities.adapters.bind.origin_id import description_of, origin_id_of
from activities.adapters.payment import (
    AccountKind,
    NothingSent,
    NotTheSameTransfer,
    OutcomeUnknown,
    RefundOrder,
    TransferOrder,
    TransferReport,
)


class BindBank:
    """The payment adapter `bind`. Use it by `async with`, or `close()` it."""

    name = "bind"
    can_reverse = False
    can_cancel = False
    can_refund = False
    pays_to = frozenset[AccountKind]({"cbu"})

    def __init__(self, settings: BindSettings) -> None:
        """Connects to nothing yet. Raises OSError for a certificate that can't be read."""
        self._settings = settings
        self._connection = Connection(settings)
        kind = "TRANSFER-CVU" if settings.origin_cvu else "TRANSFER"
        account = quote(settings.account_id, safe="")
        owner = f"banks/{BANK_ID}/accounts/{account}/owner"
        self._path = f"{owner}/transaction-request-types/{kind}"

    async def close(self) -> None:
        """Closes every connection."""
        await self._connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def account(self) -> str:
        """A digest of address, account and CVU."""
        place = (self._settings.url, self._path, self._settings.origin_cvu)
        return sha256(repr(place).encode()).hexdigest()[:16]

    def known_as(self, key: str) -> str:
        """The origin id."""
        return origin_id_of(key)

    async def transfer(self, order: TransferOrder) -> TransferReport:
        """See PaymentAdapter."""
        path = f"{self._path}/transaction-requests"
        answer = await self._connection.send(path, self._body(order))
        if (reason := refusal_of(answer)) is not None:
            return _refused(order, reason)
        report = read_transfer(order.key, answer, self._settings.look_again_s)
        _compare(order, report)
        return report

    async def find(self, key: str) -> TransferReport | None:
        """See PaymentAdapter. None right after a send may be a race at BIND."""
        try:
            answer = await self._connection.look(f"{self._path}/{origin_id_of(key)}")
            if answer.status == 409 and answer.code == NOT_FOUND:
                return None
            return read_transfer(key, answer, self._settings.look_again_s)
        except NothingSent as error:
            # Of a question there is no such thing as "nothing was sent": the answer is missing.
            raise OutcomeUnknown(str(error), error.again_in_s) from None

    async def cancel(self, key: str) -> TransferReport:
        """See PaymentAdapter: BIND cancels nothing, so this only reports what is final."""
        report = await self.find(key)
        if report is None:
            raise OutcomeUnknown("BIND has no such transfer, and can't be kept from taking one")
        return report

    async def reverse(self, key: str) -> TransferReport:
        """Raises NotImplementedError: `can_reverse` is false."""
        raise NotImplementedError("BIND reverses nothing")

    async def refund(self, order: RefundOrder) -> TransferReport:
        """Raises NotImplementedError: `can_refund` is false."""
        raise NotImplementedError("BIND refunds nothing")

    def _body(self, order: TransferOrder) -> Json:
        body: Json = {
            "origin_id": origin_id_of(order.key),
            "to": {"cbu": order.destination},
            "value": {
                "currency": order.currency,
                "amount": amount_of(order.amount_minor, order.currency),
            },
            "concept": self._settings.concept,
            "description": description_of(order.key, order.description),
        }
        if self._settings.origin_cvu:
            body["origin_debit"] = {"cvu": self._settings.origin_cvu}
        return body


def _refused(order: TransferOrder, reason: str) -> TransferReport:
    return TransferReport(
        key=order.key,
        status="refused",
        reference=None,
        reason=reason,
        amount_minor=order.amount_minor,
        currency=order.currency,
        destination=order.destination,
    )


def _compare(order: TransferOrder, report: TransferReport) -> None:
    """Raises NotTheSameTransfer unless BIND reports what was ordered."""
    if (report.amount_minor, report.currency) != (order.amount_minor, order.currency):
        raise NotTheSameTransfer(
            f"BIND has {report.amount_minor} {report.currency} under our origin id, "
            f"not {order.amount_minor} {order.currency}"
        )
    if report.destination != order.destination:
        raise NotTheSameTransfer("BIND has another destination under our origin id")

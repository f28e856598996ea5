"""BIND APIBank as a real HTTP server, with its faults scripted by origin id.

It keeps its transfers as BIND does: one per origin id, for ever; sent again, the first one is the
answer, with the warning. What is scripted hits the next calls for the origin id, the oldest first.
A scripted status or code is of the bank; a `cut` is of the network, and leaves no answer.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Literal, Self

import msgspec
from aiohttp import web

from activities.adapters.bind.answers import DUPLICATE, NOT_FOUND
from activities.adapters.bind.origin_id import origin_id_of

Json = dict[str, Any]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

USERNAME, PASSWORD = "amends-simulated", "hidden-password"
ACCOUNT_ID = "21-1-99999-4-6"
MAX_ORIGIN_ID, MAX_DESCRIPTION = 15, 100
REQUEST_TYPES = "/v1/banks/322/accounts/{account}/owner/transaction-request-types/{kind}"

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


@dataclass(frozen=True)
class Fault:
    """What goes wrong with the next `times` calls of `call` for an origin id.

    http, code: the answer instead of the bank's own; with `when="after"` the work is done first.
    cut: the connection is dropped, or hangs until the client gives up.
    statuses: of the transfer that the call makes: its first status, and the one after each look.
    hidden: so many looks find nothing (TX019) although the work is done.
    held: the network keeps the order, and delivers it with `release`.
    body: the answer, word for word.
    """

    call: Literal["transfer", "find"] = "transfer"
    times: int = 1
    when: Literal["before", "after"] = "before"
    http: int | None = None
    code: str = ""
    cut: Literal["", "drop", "hang"] = ""
    statuses: tuple[str, ...] = ()
    hidden: int = 0
    held: bool = False
    body: str | None = None


@dataclass
class Transfer:
    """A transfer in the books. Money has moved when its status is, or will be, COMPLETED."""

    id: str
    origin_id: str
    cbu: str
    currency: str
    amount: Decimal
    description: str
    statuses: list[str]
    hidden: int = 0
    orders: int = 1

    def looked_at(self) -> None:
        if len(self.statuses) > 1:
            del self.statuses[0]

    @property
    def moved(self) -> bool:
        return self.statuses[-1] == "COMPLETED"

    def body(self, *warnings: str) -> Json:
        return {
            "id": self.id,
            "type": "TRANSFER",
            "from": {"bank_id": "322", "account_id": ACCOUNT_ID},
            "counterparty": {
                "id": "20000000001",
                "name": "A PAYEE",
                "account_routing": {"scheme": "CBU", "address": self.cbu},
            },
            "details": {"origin_id": self.origin_id, "warnings": list(warnings)},
            "transaction_ids": [f"{self.id}-1"],
            "status": self.statuses[0],
            "description": self.description,
            "charge": {
                "summary": "VAR",
                "value": {"currency": self.currency, "amount": self.amount},
            },
        }


@dataclass
class BindSimulator:
    """The bank, while `async with` runs. `url` is what AMENDS_BIND_URL takes.

    port: 0 takes a free one. token_lasts_s: how long a login holds.
    """

    port: int = 0
    token_lasts_s: int = 3_600
    url: str = ""
    logins: int = 0
    transfers: dict[str, Transfer] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    _held: dict[str, Json] = field(default_factory=dict)
    _tokens: set[str] = field(default_factory=set)
    _faults: dict[str, list[Fault]] = field(default_factory=lambda: defaultdict(list))

    async def __aenter__(self) -> Self:
        app = web.Application()
        path = REQUEST_TYPES
        app.router.add_post("/v1/login/jwt", self._login)
        app.router.add_post(f"{path}/transaction-requests", self._known(self._transfer))
        app.router.add_get(f"{path}/{{origin_id}}", self._known(self._find))
        # For who can't call the methods: a program of another process.
        app.router.add_post("/simulator/faults", self._script)
        app.router.add_get("/simulator/transfers", self._booked)
        self._runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0, handler_cancellation=True
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def settings(self) -> dict[str, str]:
        """The settings of a worker that pays here."""
        return {
            "AMENDS_PAYMENT_ADAPTER": "bind",
            "AMENDS_BIND_URL": self.url,
            "AMENDS_BIND_USERNAME": USERNAME,
            "AMENDS_BIND_PASSWORD": PASSWORD,
            "AMENDS_BIND_ACCOUNT_ID": ACCOUNT_ID,
            # Its transfers get on with every look.
            "AMENDS_BIND_LOOK_AGAIN": "PT1S",
        }

    def script(self, origin_id: str, fault: Fault) -> None:
        """Add a fault for an origin id."""
        self._faults[origin_id] += [fault] * fault.times

    def heal(self, origin_id: str) -> None:
        """Forget the faults of an origin id."""
        self._faults.pop(origin_id, None)

    def release(self, origin_id: str) -> None:
        """Deliver the order that is held, if there is one."""
        if (order := self._held.pop(origin_id, None)) is not None:
            self._carry_out(order, Fault())

    def revoke_logins(self) -> None:
        """Refuse every token that was given so far."""
        self._tokens.clear()

    def moved(self, origin_id: str) -> list[Decimal]:
        """The amounts that moved under an origin id."""
        transfer = self.transfers.get(origin_id)
        return [transfer.amount] if transfer and transfer.moved else []

    def _known(self, handler: Handler) -> Handler:
        async def logged_in(request: web.Request) -> web.StreamResponse:
            word, _, token = request.headers.get("Authorization", "").partition(" ")
            if word != "JWT" or token not in self._tokens:
                return _error(401, "GE401")
            if request.match_info["account"] != ACCOUNT_ID:
                return _error(409, "GE403")
            return await handler(request)

        return logged_in

    async def _login(self, request: web.Request) -> web.StreamResponse:
        asked = _decode(await request.read())
        self.logins += 1
        if (asked.get("username"), asked.get("password")) != (USERNAME, PASSWORD):
            return _error(401, "GE401")
        token = f"token-{self.logins}"
        self._tokens.add(token)
        return _answer(200, {"token": token, "expires_in": self.token_lasts_s})

    async def _transfer(self, request: web.Request) -> web.StreamResponse:
        order = _decode(await request.read())
        origin_id = str(order["origin_id"])
        self.seen.append(("transfer", origin_id))
        fault = self._next("transfer", origin_id)
        if fault.held:
            self._held[origin_id] = order
            return await self._fail(request, Fault(cut=fault.cut or "drop")) or _error(500, "")
        if fault.when == "before" and (failed := await self._fail(request, fault)) is not None:
            return failed
        answer = self._carry_out(order, fault)
        if fault.when == "after" and (failed := await self._fail(request, fault)) is not None:
            return failed
        return answer

    def _carry_out(self, order: Json, fault: Fault) -> web.StreamResponse:
        origin_id = str(order["origin_id"])
        if (known := self.transfers.get(origin_id)) is not None:
            known.orders += 1
            return _answer(200, known.body(DUPLICATE))
        if (code := _refusal(order)) is not None:
            return _error(409, code)
        return _answer(201, self._book(order, fault).body())

    def _book(self, order: Json, fault: Fault) -> Transfer:
        origin_id = str(order["origin_id"])
        self.transfers[origin_id] = Transfer(
            id=f"1-{len(self.transfers) + 1:09}",
            origin_id=origin_id,
            cbu=order["to"]["cbu"],
            currency=order["value"]["currency"],
            amount=Decimal(order["value"]["amount"]),
            description=order["description"],
            statuses=list(fault.statuses or ("COMPLETED",)),
            hidden=fault.hidden,
        )
        return self.transfers[origin_id]

    async def _find(self, request: web.Request) -> web.StreamResponse:
        origin_id = request.match_info["origin_id"]
        self.seen.append(("find", origin_id))
        fault = self._next("find", origin_id)
        if (failed := await self._fail(request, fault)) is not None:
            return failed
        transfer = self.transfers.get(origin_id)
        if transfer is None:
            return _error(409, NOT_FOUND)
        if transfer.hidden:
            transfer.hidden -= 1
            return _error(409, NOT_FOUND)
        transfer.looked_at()
        return _answer(200, transfer.body())

    def _next(self, call: str, origin_id: str) -> Fault:
        faults = self._faults.get(origin_id, [])
        for number, fault in enumerate(faults):
            if fault.call == call:
                return faults.pop(number)
        return Fault()

    async def _fail(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        if fault.cut == "hang":
            # Until the client has gone, and aiohttp cancels this.
            await asyncio.Event().wait()
        if fault.cut:
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        if fault.body is not None:
            return web.Response(status=fault.http or 200, text=fault.body)
        return _error(fault.http, fault.code) if fault.http is not None else None

    async def _script(self, request: web.Request) -> web.StreamResponse:
        given = _decode(await request.read())
        known = {item.name for item in fields(Fault)} & set(given)
        self.script(origin_id_of(request.query["key"]), Fault(**{it: given[it] for it in known}))
        return _answer(200, {})

    async def _booked(self, request: web.Request) -> web.StreamResponse:
        moved = self.moved(origin_id_of(request.query["key"]))
        return _answer(200, {"moved": len(moved)})


def _refusal(order: Json) -> str | None:
    """The code for an order that BIND refuses; None for one that it takes."""
    amount, cbu = order["value"]["amount"], str(order["to"].get("cbu", ""))
    checks = {
        "TX033": len(str(order["origin_id"])) > MAX_ORIGIN_ID,
        "TX035": len(str(order["description"])) > MAX_DESCRIPTION,
        "TX040": order["value"]["currency"] != "ARS",
        "TX001": len(cbu) != 22 or not cbu.isdigit(),
        "TX005": amount <= 0,
    }
    return next((code for code, is_wrong in checks.items() if is_wrong), None)


def _answer(status: int, body: Json) -> web.Response:
    return web.Response(status=status, body=_encode(body), content_type="application/json")


def _error(status: int, code: str) -> web.Response:
    # The words of a bank may repeat what it was sent.
    return _answer(
        status, {"code": code, "message": "the bank's words, with 0170099220000067797370"}
    )

"""Speaks HTTP with BIND APIBank: logs in, stays logged in, and says of a failure whether anything
can have been done."""

import asyncio
import logging
import ssl
import time
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeGuard

import httpx

from activities.adapters.bind.answers import Answer, Json, decoded, encoded
from activities.adapters.payment import NothingSent, OutcomeUnknown

# Of one call. Less than an attempt of ours takes (25 s), with room for a login before it.
ANSWER_WITHIN_S = 15.0
CONNECT_WITHIN_S = 5.0
# A token is not used up to its last moment: the call has to arrive with it.
RENEW_BEFORE_S = 30.0
# BIND's own pause between two looks at a transfer that has no outcome.
LOOK_AGAIN_S = 300.0
BANK_ID = "322"


@dataclass(frozen=True)
class BindSettings:
    """The account at BIND, and how to reach it. The repr shows no secret and no account.

    `origin_cvu`: pay from this CVU of the account. `certificate` and `certificate_key`: the client
    certificate (PEM) that BIND's production asks for.
    """

    url: str
    username: str = field(repr=False)
    password: str = field(repr=False)
    account_id: str = field(repr=False)
    origin_cvu: str | None = field(default=None, repr=False)
    concept: str = "VAR"
    certificate: Path | None = None
    certificate_key: Path | None = field(default=None, repr=False)
    ca: Path | None = None
    answer_within_s: float = field(default_factory=lambda: ANSWER_WITHIN_S)
    look_again_s: float = LOOK_AGAIN_S

    def tls(self) -> ssl.SSLContext:
        """The TLS of the connection. Raises OSError (ssl.SSLError is one) for a file that can't be
        read or is no certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.certificate_key)
        return context


class Connection:
    """One login at BIND, shared by all calls: a call that meets an old token logs in once more."""

    def __init__(self, settings: BindSettings) -> None:
        # Their lines carry the account number (in the path) and the token (in a header).
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._settings = settings
        timeout = httpx.Timeout(settings.answer_within_s, connect=CONNECT_WITHIN_S)
        self._http = httpx.AsyncClient(
            base_url=settings.url.rstrip("/") + "/", verify=settings.tls(), timeout=timeout
        )
        self._token, self._expires_at = "", 0.0
        self._logging_in = asyncio.Lock()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def send(self, path: str, body: Json) -> Answer:
        """Sends a body once the login holds. Raises NothingSent where nothing can have arrived,
        OutcomeUnknown for a call that may have."""
        return await self._logged_in("POST", path, encoded(body))

    async def look(self, path: str) -> Answer:
        """Asks for a path. Raises NothingSent, OutcomeUnknown where there is no answer."""
        return await self._logged_in("GET", path, None)

    async def _logged_in(self, method: str, path: str, content: bytes | None) -> Answer:
        token = await self._login(None)
        answer = await self._call(method, path, content, token)
        if answer.status == 401:
            # The token was revoked, or the clocks differ: BIND did nothing.
            answer = await self._call(method, path, content, await self._login(token))
        return answer

    async def _login(self, refused: str | None) -> str:
        """A token that holds, and is not the one that BIND has just refused."""
        async with self._logging_in:
            held = self._token and time.monotonic() < self._expires_at
            if held and self._token != refused:
                return self._token
            asked = {"username": self._settings.username, "password": self._settings.password}
            try:
                answer = await self._call("POST", "login/jwt", encoded(asked), None)
            except OutcomeUnknown:
                raise NothingSent("BIND gave no answer to the login") from None
            body = answer.body or {}
            token, seconds = body.get("token"), body.get("expires_in")
            if answer.status == 401:
                raise NothingSent(
                    "BIND refuses the login (HTTP 401): correct AMENDS_BIND_USERNAME or "
                    "AMENDS_BIND_PASSWORD"
                )
            if answer.status not in (200, 201) or not _is_header(token):
                raise NothingSent(f"BIND gave no token ({answer.words})")
            lasts = float(seconds) if isinstance(seconds, int | Decimal) else 0.0
            # A token that lasts for less than the margin serves the calls that are under way.
            self._token, self._expires_at = token, time.monotonic() + lasts - RENEW_BEFORE_S
            return self._token

    async def _call(
        self, method: str, path: str, content: bytes | None, token: str | None
    ) -> Answer:
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"JWT {token}"
        # The words of the library carry the address, and in it the account: its names do not.
        try:
            answer = await self._http.request(method, path, content=content, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            raise NothingSent(f"BIND can't be reached ({type(error).__name__})") from None
        except httpx.HTTPError as error:
            raise OutcomeUnknown(f"BIND did not answer ({type(error).__name__})") from None
        return decoded(answer.status_code, answer.content)


def _is_header(token: object) -> TypeGuard[str]:
    return isinstance(token, str) and token.isascii() and token.isprintable() and token != ""

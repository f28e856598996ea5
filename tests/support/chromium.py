"""Reads rendered pages as text, in a real Chromium, by its DevTools protocol."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.support.until import DEADLINE_S, until
from worker.embedded import child

MISSING = "Chromium is missing: apt-get install -y --no-install-recommends chromium"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    *("--headless=new", "--remote-debugging-port=0", "--window-size=1800,1200", "--lang=en-US"),
    *("--no-first-run", "--disable-background-networking", "--disable-gpu"),
    # Its own sandbox refuses root, and most containers; the only pages are those of our server.
    *("--disable-dev-shm-usage", "--no-sandbox"),
)
# What a person reads: the page, and the pages within it.
_PAGES = "[document, ...[...document.querySelectorAll('iframe')].map(it => it.contentDocument)]"
_TEXT = _PAGES + ".map(it => it?.body?.innerText ?? '').join('\\n')"
_CELLS = """[...document.querySelectorAll('tr')]
    .map(row => [...row.cells].map(cell => cell.innerText.trim()))"""


def program() -> str | None:
    """The path of Chromium, where it is installed."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Page:
    """One tab of the browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0

    async def open(self, url: str, *texts: str) -> str:
        """Go to an address; returns the text of the page once all `texts` are in it."""
        await self._call("Page.navigate", url=url)
        shown = ""

        async def shows() -> bool:
            nonlocal shown
            shown = str(await self.evaluate(_TEXT) or "")
            return all(text in shown for text in texts)

        try:
            await until(shows, 0.1)
        except TimeoutError:
            missing = [text for text in texts if text not in shown]
            raise AssertionError(f"{url} does not show {missing}, but:\n{shown}") from None
        return shown

    async def elements(self, tags: str, text: str) -> list[str]:
        """The HTML of the elements with these tags, in the page and the pages within it, that have
        a text in them or in an attribute."""
        found: list[str] = await self.evaluate(
            f"{_PAGES}.flatMap(it => [...(it?.querySelectorAll({tags!r}) ?? [])])"
            f".map(it => it.outerHTML).filter(it => it.includes({text!r}))"
        )
        return found

    async def cells(self, text: str) -> dict[str, str]:
        """The cells of the first row of a table with `text` in it, by the heads of their columns;
        once there is such a row."""

        async def found() -> dict[str, str] | None:
            heads, *rows = await self.evaluate(_CELLS) or [[]]
            row = next((row for row in rows if any(text in cell for cell in row)), None)
            return row and dict(zip(heads, row, strict=True))

        return await until(found, 0.1)

    async def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression in the page; None while there is no page."""
        answer = await self._call("Runtime.evaluate", expression=script, returnByValue=True)
        return answer.get("result", {}).get("value")

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        call = {"id": self._number, "method": method, "params": parameters}
        async with asyncio.timeout(DEADLINE_S):
            await self._socket.send_json(call)
            while (answer := json.loads((await self._socket.receive()).data)) is not None:
                if answer.get("id") == self._number:
                    break
        return dict(answer.get("result", {}))


@asynccontextmanager
async def chromium(program: str, folder: Path) -> AsyncIterator[Page]:
    """A new browser with one page; its profile is in `folder`."""
    options = [*_OPTIONS, f"--user-data-dir={folder}"]
    log = folder.with_name(f"{folder.name}.log")
    process = await child.spawn([program, *options, "about:blank"], log=log, environment=os.environ)
    try:
        listens = folder / "DevToolsActivePort"
        port = await until(lambda: listens.read_text().split() if listens.exists() else None)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port[0]}") as http:
            async with http.get("/json/list") as answer:
                tabs = [each for each in await answer.json() if each["type"] == "page"]
            async with http.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                yield Page(socket)
    finally:
        await child.end(psutil.Process(process.pid), grace_s=0)
        await process.wait()

"""The pages of the Temporal Web UI, in a real browser, as docs/web-ui.md says to open them."""

import re
from pathlib import Path
from urllib.parse import quote

from tests.support.chromium import Page
from tests.support.driver import Handle, Json, saga_of

GUIDE = Path(__file__).parents[2] / "docs/web-ui.md"


class WebUi:
    """The pages of the Web UI, as docs/web-ui.md says to open them."""

    def __init__(self, page: Page, url: str) -> None:
        self._page, self._url = page, f"{url}/namespaces/default"

    async def until_it_answers(self) -> None:
        """Wait for its list, and give it the columns of the guide."""
        (columns,) = re.findall(r"```js\n(.*?)```", GUIDE.read_text(), re.DOTALL)
        await self._page.open(f"{self._url}/workflows", "Workflow ID")
        await self._page.evaluate(columns)

    async def rows(self, view: str, *requests: Json) -> list[dict[str, str]]:
        """The rows of sagas, by column, in a view of the guide."""
        links = rf"^\$AMENDS_WEB_UI_URL/namespaces/default(\S+savedQuery={view}&\S+)$"
        (link,) = re.findall(links, GUIDE.read_text(), re.MULTILINE)
        saga_ids = [saga_of(request) for request in requests]
        await self._page.open(self._url + link, view, *saga_ids)
        return [await self._page.cells(saga_id) for saga_id in saga_ids]

    async def details(self, handle: Handle, *texts: str) -> str:
        """The Current Details of a run, once all texts are in them, without empty lines."""
        run_id = (await handle.describe()).run_id
        url = f"{self._url}/workflows/{quote(handle.id, safe='')}/{run_id}/user-metadata"
        await self._page.open(url, *texts)
        shown = await self._page.evaluate(
            "document.getElementById('user-metadata-current-details').contentDocument.body.innerText"
        )
        return "\n".join(line for line in shown.splitlines() if line.strip())

    async def elements(self, tags: str, text: str) -> list[str]:
        return await self._page.elements(tags, text)

    async def run(self, handle: Handle, *texts: str) -> str:
        """The page of a run as it opens."""
        return await self._page.open(f"{self._url}/workflows/{quote(handle.id, safe='')}", *texts)

    async def schedule(self, name: str, *texts: str) -> str:
        return await self._page.open(f"{self._url}/schedules/{name}", name, *texts)

"""A headless Chromium, driven over the DevTools protocol."""

import asyncio
import base64
import json
import os
import shutil
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

WAIT_SECONDS = 60.0


def find_chromium() -> str | None:
    """Return the path of a Chromium or Chrome on this machine."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := shutil.which(name))), None)


class Page:
    """A page and what it did.

    Attributes
    ----------
    requests
        Addresses that it asked for, WebSockets included.
    problems
        Errors on its console, uncaught exceptions, failed requests, violations of its policy.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.requests: list[str] = []
        self.problems: list[str] = []
        self._socket = socket
        self._sent = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    async def close(self) -> None:
        """Stop listening to the page."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)

    async def _read(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            else:
                self._note(message["method"], message["params"])

    def _note(self, method: str, params: dict[str, Any]) -> None:
        match method:
            case "Network.requestWillBeSent":
                self.requests.append(params["request"]["url"])
            case "Network.webSocketCreated":
                self.requests.append(params["url"])
            case "Network.loadingFailed":
                self.problems.append(f"request failed: {params['errorText']}")
            case "Runtime.exceptionThrown":
                self.problems.append(str(params["exceptionDetails"]))
            case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning", "assert"):
                self.problems.append(" ".join(str(each.get("value", "")) for each in params["args"]))
            case "Log.entryAdded" if params["entry"]["level"] in ("error", "warning"):
                self.problems.append(params["entry"]["text"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol and return its result."""
        self._sent += 1
        number = self._sent
        self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(WAIT_SECONDS):
            answer = await self._answers[number]
        assert "error" not in answer, answer
        return answer["result"]  # type: ignore[no-any-return]

    async def open(self, url: str) -> None:
        """Load an address."""
        for domain in ("Network", "Runtime", "Log", "Page"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=url)

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, awaited if it is a promise."""
        result = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def until(self, expression: str) -> Any:
        """Wait until an expression is truthy, and return its value."""
        async with asyncio.timeout(WAIT_SECONDS):
            while not (value := await self.evaluate(expression)):  # noqa: ASYNC110 -- it is in the browser
                await asyncio.sleep(0.05)
            return value

    async def screenshot(self, path: Path) -> None:
        """Save what the page shows, as PNG."""
        picture = base64.b64decode((await self.call("Page.captureScreenshot"))["data"])
        await asyncio.to_thread(path.write_bytes, picture)


@asynccontextmanager
async def chromium(executable: str, profile: Path) -> AsyncIterator[Page]:
    """Yield a page of a fresh headless browser; `profile` is an empty directory for it."""
    process = await asyncio.create_subprocess_exec(
        executable,
        "--headless=new",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "--window-size=1400,900",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-background-networking",
        "--disable-component-update",
        "--no-first-run",
        # Chromium's sandbox does not start as root, as which containers run tests.
        *(["--no-sandbox"] if os.geteuid() == 0 else []),
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with connect(await _page_address(profile), max_size=2**26) as socket:
            page = Page(socket)
            try:
                yield page
            finally:
                await page.close()
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _page_address(profile: Path) -> str:
    def find() -> str | None:
        port_file = profile / "DevToolsActivePort"
        if not port_file.exists() or not (lines := port_file.read_text().split()):
            return None
        with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as response:
            targets: list[dict[str, str]] = json.load(response)
        return next((each["webSocketDebuggerUrl"] for each in targets if each["type"] == "page"), None)

    async with asyncio.timeout(WAIT_SECONDS):
        while not (address := await asyncio.to_thread(find)):  # noqa: ASYNC110 -- another program makes it
            await asyncio.sleep(0.05)
        return address

"""A headless Chromium, driven over the DevTools protocol."""

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

CANDIDATES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
LIVE = "document.querySelector('.live.on') !== null"
_BETWEEN_PAGES = ("context", "navigated")
"""Words of the protocol's errors for what is asked while one page gives way to the next."""
_KEYS = {
    "Escape": 27,
    "Enter": 13,
    "ArrowDown": 40,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowLeft": 37,
    "Tab": 9,
}


def find() -> str | None:
    """Find a Chromium: the one named in TOCSIN_TEST_CHROMIUM, else one on the path."""
    named = os.environ.get("TOCSIN_TEST_CHROMIUM")
    return named or next((found for name in CANDIDATES if (found := shutil.which(name))), None)


class PageChangedError(AssertionError):
    """One page gave way to the next while an expression was evaluated."""


class Page:
    """One tab. What it logs as an error or throws is kept in `errors`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())
        self.errors: list[str] = []
        self.requested: list[str] = []

    async def _read(self) -> None:
        async for message in self._socket:
            event = json.loads(message.data)
            if waiting := self._waiting.pop(event.get("id", 0), None):
                waiting.set_result(event)
            else:
                self._note(event.get("method", ""), event.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning"):
            self.errors.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.errors.append(json.dumps(params["entry"]))
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        answer = await asyncio.wait_for(answered, 60)
        said = str(answer.get("error", {}).get("message", ""))
        if method == "Runtime.evaluate" and any(word in said for word in _BETWEEN_PAGES):
            raise PageChangedError(said)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer.get("result", {})
        return result

    async def open(self, url: str, ready: str = LIVE) -> None:
        """Open an address and let it settle: until it is loaded, and `ready` is true."""
        for domain in ("Runtime", "Log", "Page", "Network"):
            await self.call(f"{domain}.enable")
        await self.call("Emulation.setFocusEmulationEnabled", enabled=True)
        await self.call("Page.navigate", url=url)
        await self.call("Page.bringToFront")
        await self.until(f"document.readyState === 'complete' && {ready}")

    async def leave(self) -> None:
        """Go to an empty page, once what is being fetched has come."""
        await asyncio.sleep(0.1)
        await self.call("Page.navigate", url="about:blank")

    async def js(self, expression: str) -> Any:
        """Evaluate an expression; a promise is awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    async def until(self, condition: str, timeout_s: float = 60) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(timeout_s):
            while not await self._holds(condition):
                await asyncio.sleep(0.05)

    async def _holds(self, condition: str) -> bool:
        """Tell whether an expression is true; between two pages it is not."""
        try:
            return bool(await self.js(f"Boolean({condition})"))
        except PageChangedError:
            return False

    async def text(self, selector: str) -> str:
        """Read the text of the first element that matches."""
        return str(await self.js(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''"))

    async def press(self, key: str) -> None:
        """Press and release a key."""
        code = _KEYS.get(key, ord(key[0].upper()))
        text = {} if key in _KEYS and key != "Enter" else {"text": "\r" if key == "Enter" else key}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def type(self, text: str) -> None:
        """Type a text into what has the focus."""
        await self.call("Input.insertText", text=text)

    async def look(self, *, dark: bool = False, width: int = 1440, height: int = 900) -> None:
        """Set the window's size and what the system prefers."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def shoot(self, path: Path, *, whole: bool = False) -> None:
        """Save a screenshot of the window, or of the whole page."""
        answer = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def close(self) -> None:
        """Stop listening."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)


async def _port(profile: Path) -> str:
    """Wait for Chromium to say where its protocol is."""
    async with asyncio.timeout(90):
        while not (found := profile / "DevToolsActivePort").exists() or not found.read_text():
            await asyncio.sleep(0.05)
    return found.read_text().split("\n")[0]


async def _tab(session: aiohttp.ClientSession, base: str) -> str:
    """Wait for the one tab: Chromium answers before it has opened it. Return the address of its protocol."""
    async with asyncio.timeout(90):
        while True:
            async with session.get(f"{base}/json/list") as answer:
                tabs = [tab for tab in await answer.json() if tab["type"] == "page"]
            if tabs:
                return str(tabs[0]["webSocketDebuggerUrl"])
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def opened(program: str, profile: Path) -> AsyncIterator[Page]:
    """Run a Chromium with an empty profile, and give its one tab."""
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        base = f"http://127.0.0.1:{await _port(profile)}"
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(await _tab(session, base), max_msg_size=0) as socket,
        ):
            page = Page(socket)
            yield page
            await page.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)

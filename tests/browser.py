"""A headless Chromium, spoken to over a pipe in its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find_browser():
    """The path of a browser, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Browser:
    """One page in one browser."""

    def __init__(self, path, folder):
        read_end, self._commands = os.pipe()
        self._answers, write_end = os.pipe()
        # The browser reads from descriptor 3 and writes to descriptor 4.
        line = f'exec "$0" "$@" 3<&{read_end} 4>&{write_end}'
        command = ["bash", "-c", line, path, "--headless=new", "--no-sandbox"]
        command += ["--disable-gpu", "--no-first-run", "--disable-extensions"]
        command += [f"--user-data-dir={folder}", "--remote-debugging-pipe"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self._buffer, self._count, self._session = b"", 0, None
        self.events = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for part in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{part}.enable")

    def do(self, method, **params):
        """Send a command and wait for what it gives."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                return answer["result"]
            self.events.append(answer)

    def open(self, url, *, width, height=900, dark=False):
        """Load a page in a window of that many pixels; forget earlier events."""
        self.events = []
        scheme = {
            "name": "prefers-color-scheme",
            "value": "dark" if dark else "light",
        }
        self.do("Emulation.setEmulatedMedia", features=[scheme])
        self.do(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        self.do("Page.navigate", url=url)
        while "Page.loadEventFired" not in [e.get("method") for e in self.events]:
            self.events.append(self._receive())

    def value(self, expression):
        """What a line of script gives on the page."""
        return self.do("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ].get("value")

    def complaints(self):
        """Errors and warnings of the console, and what could not be loaded."""
        bad = ("Log.entryAdded", "Runtime.exceptionThrown", "Network.loadingFailed")
        bad += ("Runtime.consoleAPICalled",)
        return [event for event in self.events if event.get("method") in bad]

    def screenshot(self, path):
        """The whole page, also what is below the window."""
        answer = self.do("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def close(self):
        """End the browser."""
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._commands)
        os.close(self._answers)

    def _receive(self):
        while b"\0" not in self._buffer:
            data = os.read(self._answers, 1 << 16)
            assert data, "the browser is gone"
            self._buffer += data
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

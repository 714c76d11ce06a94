# SPDX-License-Identifier: Apache-2.0
"""Chromium, headless, that stays open while a test goes on: pages are asked by scripts.

    with Browser(tmp_path, trust=pki.ca) as browser:
        browser.open("https://name.tunnel.localhost:1234/")
        until(lambda: browser.ask("document.title") == "done", "the title")

Every name leads to 127.0.0.1. Its DevTools protocol is spoken over one WebSocket; a loop of asyncio in
a thread keeps reading it.
"""
import asyncio
import itertools
import json
import os
import subprocess
import threading
import urllib.request

import websockets

from .wait import WAIT, until

FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-dev-shm-usage",
         "--disable-background-networking", "--disable-sync", "--disable-component-update",
         "--remote-debugging-port=0", "--remote-allow-origins=*", "--host-resolver-rules=MAP * 127.0.0.1"]


def certificate_store(home, authority=None):
    """Chromium's own store of certificates below a home, with an authority to trust."""
    store = home / ".pki/nssdb"
    store.mkdir(parents=True)
    subprocess.run(["certutil", "-d", f"sql:{store}", "-N", "--empty-password"], check=True)
    if authority:
        subprocess.run(["certutil", "-d", f"sql:{store}", "-A", "-t", "C,,", "-n", "test", "-i",
                        authority.file], check=True)


class Browser:
    def __init__(self, folder, trust=None):
        home = folder / "home"
        certificate_store(home, trust)
        self.port_file = home / "data/DevToolsActivePort"
        self.process = subprocess.Popen(
            ["chromium", *FLAGS, f"--user-data-dir={home}/data", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home)}, start_new_session=True)
        self.numbers = itertools.count(1)
        self.answers = {}
        self.said = []      # what pages wrote to their console, and what they failed with
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.wait(self.connect(), WAIT * 2)
        for domain in ("Page", "Runtime", "Log"):
            self.call(domain + ".enable")

    def wait(self, coroutine, timeout=WAIT):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout)

    def page(self):
        """The WebSocket of the first page, once Chromium has one."""
        try:
            port = self.port_file.read_text(encoding="ascii").split()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=WAIT) as answer:
                pages = [one for one in json.load(answer) if one["type"] == "page"]
            return pages and pages[0]["webSocketDebuggerUrl"]
        except (OSError, IndexError, ValueError):
            return None

    async def connect(self):
        url = await self.loop.run_in_executor(
            None, lambda: until(self.page, "Chromium's page", WAIT * 2))
        self.line = await websockets.connect(url, max_size=None)
        self.reader = self.loop.create_task(self.read())

    async def read(self):
        async for text in self.line:
            message = json.loads(text)
            if "id" in message:
                self.answers.pop(message["id"]).set_result(message)
            elif message["method"] in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown",
                                       "Log.entryAdded"):
                self.said.append(message["params"])

    async def exchange(self, method, params):
        number = next(self.numbers)
        answer = self.answers[number] = self.loop.create_future()
        await self.line.send(json.dumps({"id": number, "method": method, "params": params}))
        return await answer

    def call(self, method, **params):
        answer = self.wait(self.exchange(method, params))
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def open(self, url):
        """Goes there; says why it could not, or None."""
        return self.call("Page.navigate", url=url).get("errorText")

    def ask(self, script):
        """What an expression is on the page, promises waited for; None where it throws (the page may
        be on its way to another one)."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True,
                           awaitPromise=True)
        return None if "exceptionDetails" in answer else answer["result"].get("value")

    def wait_for(self, script, what=None):
        """Until an expression is true on the page."""
        try:
            return until(lambda: self.ask(script), what or script, WAIT * 2)
        except AssertionError as failure:
            raise AssertionError(f"{failure}; the page: {self.ask('document.body.innerText')!r}, "
                                 f"it said: {json.dumps(self.said)[-2000:]}") from None

    def wait_said(self, words):
        """Until a page has written that to its console."""
        until(lambda: any(words in str(arg.get("value")) for one in self.said for arg in one.get("args", ())),
              f"{words!r} of {self.said}", WAIT * 2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(WAIT)
        self.loop.call_soon_threadsafe(self.loop.stop)

# SPDX-License-Identifier: Apache-2.0
"""A program at a terminal of a given size, as a person sees it.

    screen = Terminal(program(), "3000", columns=40)
    screen.wait_for("https://")
    screen.type("\\x03")            # Ctrl-C
    assert screen.wait_exit() == 0
"""
import codecs
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading

from .edge import environment
from .wait import WAIT, until

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[()][A-Z0-9]")


class Terminal:
    def __init__(self, *command, columns=80, rows=40, env=None, cwd=None):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.raw = ""
        self.closing = threading.Event()
        self.columns = columns
        settings = {**environment(), "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
        settings.pop("NO_COLOR", None)
        self.process = subprocess.Popen(
            [*map(str, command)], stdin=slave, stdout=slave, stderr=slave, env=settings, cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        try:
            while not self.closing.is_set():
                if select.select([self.master], [], [], 0.05)[0]:
                    self.raw += decoder.decode(os.read(self.master, 65536))
        except OSError:     # Nobody has the other end any more.
            pass

    @property
    def text(self):
        """Without colours and the like."""
        return ESCAPES.sub("", self.raw).replace("\r\n", "\n")

    @property
    def lines(self):
        return self.text.split("\n")

    def wait_for(self, pattern, timeout=None):
        try:
            return until(lambda: re.search(pattern, self.text), f"{pattern!r} on the screen", timeout)
        except AssertionError as missing:
            raise AssertionError(f"{missing}; the screen:\n{self.text[-3000:]}") from None

    def type(self, keys):
        os.write(self.master, keys.encode())

    def hang_up(self):
        """The window is closed."""
        if not self.closing.is_set():
            self.closing.set()
            self.reader.join(WAIT)
            os.close(self.master)

    def wait_exit(self, timeout=WAIT):
        code = self.process.wait(timeout)
        self.reader.join(WAIT)
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

# SPDX-License-Identifier: Apache-2.0
"""A module of the harness that runs in a process of its own, beside the test's.

Its lines of JSON are answers, lines of text on its standard input are orders."""
import json
import os
import subprocess
import sys


class Program:
    def __init__(self, module, *args, prefix=(), **env):
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", module, *map(str, args)], cwd=folder,
            env={**os.environ, "PYTHONPATH": folder, **env}, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, start_new_session=True)

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f"{self.process.args} ended: {self.process.wait()}"
        return json.loads(line)

    def order(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

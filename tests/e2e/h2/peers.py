# SPDX-License-Identifier: Apache-2.0
"""Other servers in adit's place, to calibrate the tests with: nghttpx and h2o before the same origin."""
import os
import shutil
import socket
import subprocess
import tempfile

from harness import WAIT, Client, until
from harness.ports import free_port


class Peer:
    """In the place of a harness.Edge, with what the tests here use of one."""

    def __init__(self, app):
        self.dir = tempfile.mkdtemp(prefix="adit-h2-peer-")
        self.at = ("127.0.0.1", free_port())
        self.process = subprocess.Popen(self.command(app), cwd=self.dir,
                                        stderr=open(self.dir + "/log", "wb"),
                                        stdout=subprocess.DEVNULL, start_new_session=True)
        until(self.reachable, "the peer listening")

    @property
    def worker_pid(self):
        return self.process.pid

    def client(self, **options):
        return Client(self.at, **options)

    def exchange(self, *args, **options):
        with self.client() as client:
            return client.exchange(*args, **options)

    def get(self, *args, **options):
        return self.exchange("GET", *args, **options)

    def reachable(self):
        try:
            socket.create_connection(self.at, 1).close()
            return True
        except OSError:
            return False

    def stop(self):
        os.killpg(self.process.pid, 9)
        self.process.wait(WAIT)
        shutil.rmtree(self.dir, ignore_errors=True)


class Nghttpx(Peer):
    def command(self, app):
        return ["/usr/sbin/nghttpx", "--conf=/dev/null", "--single-process", "--workers=1",
                f"--frontend=127.0.0.1,{self.at[1]};no-tls",
                "--backend=" + self.backend(app.at), "--frontend-http2-max-concurrent-streams=16"]


    @staticmethod
    def backend(at):
        if at.startswith("h2c://"):
            return at[6:].replace(":", ",") + ";;proto=h2"
        return at.replace("127.0.0.1:", "127.0.0.1,")


class H2o(Peer):
    def command(self, app):
        conf = self.dir + "/h2o.yaml"
        url = f"http://[{app.at}]/" if app.at.startswith("unix:") else f"http://{app.at}/"
        with open(conf, "w", encoding="utf-8") as file:
            file.write(f"listen: {{host: 127.0.0.1, port: {self.at[1]}}}\n"
                       "http2-max-concurrent-requests-per-connection: 16\nhosts: {default: {paths: "
                       f"{{/: {{proxy.reverse.url: '{url}'}}}}}}}}\n")
        return ["/usr/bin/h2o", "-c", conf]


def in_place_of_adit():
    """The class to start, or None when adit itself is tested."""
    return START.get(os.environ.get("ADIT_H2_PEER"))


START = {"nghttpx": Nghttpx, "h2o": H2o}

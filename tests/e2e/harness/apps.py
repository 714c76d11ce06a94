# SPDX-License-Identifier: Apache-2.0
"""Real applications, as people have them on their laptops: a Vite development server, git over HTTP, an
SSH server; and a store that takes and gives any number of bytes without keeping them.

Each has `.target`, what one types behind `adit`, and stop().
"""
import fcntl
import hashlib
import http.server
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import pytest

from .ports import free_port
from .wait import WAIT, until

VITE = "5.4.19"     # The last series that runs on Debian's Node.
MIB = 1 << 20


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


# ---- Vite -------------------------------------------------------------------------------------------


def node_modules():
    """A folder with Vite in it, filled once for all tests and runs of this user."""
    if not shutil.which("npm"):
        pytest.skip("no npm")
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "adit-e2e" / f"vite-{VITE}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            done = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", folder,
                                   f"vite@{VITE}"], capture_output=True, text=True, timeout=100,
                                  check=False, stdin=subprocess.DEVNULL)
            if done.returncode and not os.environ.get("CI"):
                pytest.skip(f"Vite could not be installed: {done.stderr[-300:]}")
            assert done.returncode == 0, done.stderr
            (folder / "complete").touch()
    return folder / "node_modules"


class Vite:
    """`npx vite` in a folder with two modules; .edit(name, text) changes one as an editor would. A page says
    CONNECTED on its console when its WebSocket is there, which may be before its modules run or after."""

    CONNECTED = "[vite] connected."

    FILES = {
        "index.html": '<!doctype html><title>vite</title><link rel=icon href="data:,">\n'
                      '<p id=word></p><script type=module src=/main.js></script>',
        "main.js": 'import {word} from "./word.js";\nimport "./look.css";\n'
                   'const show = text => document.getElementById("word").textContent = text;\n'
                   'show(word);\n'
                   'import.meta.hot.accept("./word.js", fresh => show(fresh.word));\n',
        "look.css": "#word { color: rgb(1, 2, 3); }\n",
        "word.js": 'export const word = "first";\n',
    }

    def __init__(self, settings="{}"):
        modules = node_modules()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="adit-vite-"))
        for name, text in self.FILES.items():
            (self.folder / name).write_text(text)
        (self.folder / "vite.config.mjs").write_text(f"export default {settings};\n")
        (self.folder / "package.json").write_text('{"type": "module", "private": true}\n')
        (self.folder / "node_modules").symlink_to(modules)
        self.port = self.target = free_port()
        self.log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            ["node", modules / "vite/bin/vite.js", "--port", str(self.port), "--strictPort", "--host",
             "127.0.0.1"], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=self.log,
            stderr=subprocess.STDOUT, start_new_session=True)
        until(lambda: answers(self.port) or self.process.poll() is not None, "Vite's port", WAIT * 2)
        assert self.process.poll() is None, (self.folder / "log").read_text()

    def edit(self, name, text):
        (self.folder / name).write_text(text)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- a store of bytes -------------------------------------------------------------------------------


def blob(size, seed=0):
    """`size` bytes that are nowhere the same, a MiB at a time."""
    block = hashlib.shake_128(b"%d" % seed).digest(MIB)
    for number in range((size + MIB - 1) // MIB):
        part = number.to_bytes(8, "big") + block[8:]
        yield part[:min(MIB, size - number * MIB)]


def blob_hash(size, seed=0):
    digest = hashlib.sha256()
    for part in blob(size, seed):
        digest.update(part)
    return digest.hexdigest()


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def log_message(self, *_):
        pass

    def read_body(self):
        """The parts of the request's body."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                left = size
                while left:
                    part = self.rfile.read(min(left, MIB))
                    left -= len(part)
                    yield part
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        else:
            left = int(self.headers.get("Content-Length") or 0)
            while left:
                part = self.rfile.read(min(left, MIB))
                assert part, "the upload was cut"
                left -= len(part)
                yield part


class HttpApp:
    """A server of threads with a handler of http.server."""

    def __init__(self, handler):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.port = self.target = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class StoreHandler(Quiet):
    """GET /SIZE gives a blob, PUT answers with the hash of what came."""

    def do_GET(self):
        size = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        for part in blob(size):
            self.wfile.write(part)

    def do_PUT(self):
        digest, size = hashlib.sha256(), 0
        for part in self.read_body():
            digest.update(part)
            size += len(part)
        said = f"{digest.hexdigest()} {size}".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_POST = do_PUT


class Store:
    """In a process of its own, so that it does not share a processor lock with the visitor."""

    def __init__(self):
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        self.process = subprocess.Popen([sys.executable, "-m", "harness.apps"], cwd=folder,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.port = self.target = int(self.process.stdout.readline())

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


# ---- git --------------------------------------------------------------------------------------------


class GitHandler(Quiet):
    """git's own CGI program behind http.server, with bodies of unknown length as `git push` sends them."""

    root = None

    def do_GET(self):
        path, _, query = self.path.partition("?")
        env = {**os.environ, "GIT_PROJECT_ROOT": self.root, "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": self.command,
               "CONTENT_TYPE": self.headers.get("Content-Type", ""), "REMOTE_ADDR": "127.0.0.1",
               "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
               "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""), "REMOTE_USER": "test"}
        body = b"".join(self.read_body())
        if body:
            env["CONTENT_LENGTH"] = str(len(body))
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True,
                              check=False)
        head, _, out = done.stdout.partition(b"\r\n\r\n")
        fields = [line.split(": ", 1) for line in head.decode().split("\r\n") if line]
        status = next((value for name, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if out:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(out), out))
        self.wfile.write(b"0\r\n\r\n")

    do_POST = do_GET


class GitServer(HttpApp):
    """A bare repository /repo.git in a folder."""

    def __init__(self, folder):
        self.repo = folder / "repo.git"
        subprocess.run(["git", "init", "-q", "--bare", self.repo], check=True)
        subprocess.run(["git", "-C", self.repo, "config", "http.receivepack", "true"], check=True)
        super().__init__(type("Handler", (GitHandler,), {"root": str(folder)}))


# ---- SSH --------------------------------------------------------------------------------------------

SSHD = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
PidFile {folder}/pid
AuthorizedKeysFile {folder}/user.pub
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
MaxStartups 100
Subsystem sftp internal-sftp
"""


class Sshd:
    """Debian's OpenSSH for the user who runs the tests, with a key of its own."""

    def __init__(self, folder):
        self.folder = folder / "ssh"
        self.folder.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.folder / name],
                           check=True)
        self.port = self.target = free_port()
        config = self.folder / "config"
        config.write_text(SSHD.format(port=self.port, folder=self.folder))
        if os.getuid() == 0:
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)     # It will not start as root without.
        self.log = self.folder / "log"
        self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config],
                                        stderr=open(self.log, "wb"), stdin=subprocess.DEVNULL)
        until(lambda: answers(self.port) or self.process.poll() is not None, "sshd's port")
        assert self.process.poll() is None, self.log.read_text()
        public = (self.folder / "host.pub").read_text().split()
        (self.folder / "known").write_text(f"* {public[0]} {public[1]}\n")

    def options(self, port_flag, port):
        """Of a client that must meet exactly this server, whatever the user has set up."""
        return ["-F", "none", port_flag, str(port), "-i", self.folder / "user", "-o",
                f"UserKnownHostsFile={self.folder}/known", "-o", "StrictHostKeyChecking=yes",
                "-o", "BatchMode=yes", "-o", f"ConnectTimeout={int(WAIT)}"]

    def ssh(self, at, *command, **options):
        return subprocess.run(["ssh", *self.options("-p", at[1]), at[0], *command], check=False,
                              capture_output=True, timeout=WAIT * 2, **options)

    def scp(self, port, *paths):
        return subprocess.run(["scp", "-q", *self.options("-P", port), *paths], check=False,
                              capture_output=True, text=True, timeout=WAIT * 2,
                              stdin=subprocess.DEVNULL)

    def stop(self):
        self.process.terminate()
        self.process.wait(WAIT)


if __name__ == "__main__":
    app = HttpApp(StoreHandler)
    print(app.port, flush=True)
    sys.stdin.read()

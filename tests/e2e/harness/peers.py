# SPDX-License-Identifier: Apache-2.0
"""Real programs on the other side: nginx, HAProxy, and WebSocket servers of python3-websockets."""
import asyncio
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import threading

import websockets

from .wait import WAIT, until

NGINX_CONF = """
daemon off; master_process off; pid {dir}/pid; error_log stderr warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; default_type application/octet-stream; sendfile on; keepalive_requests 100000;
  types {{ text/html html htm; text/plain txt; }}
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen unix:{dir}/sock backlog=4096; root {root}; autoindex off; }}
}}
"""


class Nginx:
    """Debian's nginx serving a folder on a Unix socket."""

    def __init__(self, root):
        self.dir = tempfile.mkdtemp(prefix="adit-nginx-")
        os.chmod(self.dir, 0o755)
        self.at = f"unix:{self.dir}/sock"
        conf = self.dir + "/nginx.conf"
        with open(conf, "w", encoding="utf-8") as file:
            file.write(NGINX_CONF.format(dir=self.dir, root=root))
        self.process = subprocess.Popen(["/usr/sbin/nginx", "-p", self.dir, "-c", conf],
                                        stderr=open(self.dir + "/stderr", "wb"),
                                        preexec_fn=self.raise_limit)
        until(lambda: os.path.exists(self.dir + "/sock"), "nginx's socket")
        os.chmod(self.dir + "/sock", 0o777)

    @staticmethod
    def raise_limit():
        """As many descriptors as it may have: it closes at once what it has no place for."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def stop(self):
        self.process.terminate()
        self.process.wait(WAIT)
        shutil.rmtree(self.dir, ignore_errors=True)


HAPROXY_CONF = """
global
  log stderr format raw local0 warning
defaults
  timeout connect 5s
  timeout client 20s
  timeout server 20s
"""


class Haproxy:
    """Debian's HAProxy; `conf` is what follows its defaults. `.at` is where it was told to listen."""

    def __init__(self, conf, port):
        self.dir = tempfile.mkdtemp(prefix="adit-haproxy-")
        self.at = ("127.0.0.1", port)
        path = self.dir + "/haproxy.cfg"
        with open(path, "w", encoding="utf-8") as file:
            file.write(HAPROXY_CONF + conf)
        self.process = subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", path],
                                        stderr=open(self.dir + "/stderr", "wb"))
        until(self.listens, "HAProxy's port")

    def listens(self):
        assert self.process.poll() is None, open(self.dir + "/stderr", encoding="utf-8").read()
        with socket.socket() as probe:
            return probe.connect_ex(self.at) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait(WAIT)
        shutil.rmtree(self.dir, ignore_errors=True)


class WebSocketServer:
    """A server of python3-websockets in a thread; `handler` is its coroutine."""

    def __init__(self, handler, **options):
        self.loop = asyncio.new_event_loop()
        self.ready = threading.Event()
        self.options = options
        self.handler = handler
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self.run(),),
                                       daemon=True)
        self.thread.start()
        assert self.ready.wait(WAIT)

    async def run(self):
        self.stopping = asyncio.Event()
        async with websockets.serve(self.handler, "127.0.0.1", 0, **self.options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.at = f"127.0.0.1:{self.port}"
            self.ready.set()
            await self.stopping.wait()

    def stop(self):
        self.loop.call_soon_threadsafe(self.stopping.set)
        self.thread.join(WAIT)

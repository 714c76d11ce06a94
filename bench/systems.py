# SPDX-License-Identifier: Apache-2.0
"""The systems under test: how each is configured, started, accounted for and stopped.

Every system is a reverse proxy with one thread of traffic in front of the same origin. The peers'
configurations are what a careful operator would write for this case: keep-alive to the origin,
no access log, no disk, buffers large enough. A change here that makes a peer faster is welcome.

A system is started in one of seven modes: "clear" and "tls" say how clients reach it, with an
HTTP/1.1 origin behind it; "grpc" is TLS in front and an HTTP/2 origin in clear (h2c) behind; "tcp" is
bare TCP, in front of an origin that echoes or sends without end. In "tunnel", "tunnel-tls" and "tunnel-tcp"
it is two programs, one where clients come and one beside the origin, which has called the other and is
reached over an encrypted connection; clients come in clear, with TLS, and by bare TCP. With TLS, all use
one ECDSA P-256 certificate and offer HTTP/2 beside HTTP/1.1 by ALPN.
"""

import os

from system import DESCRIPTORS, System, first_line
from tunnels import (AditBridge, AditEdge, AditTunnel, AditTwo, SshReverse, SshReverseGcm,
                     Tunnelmole)

# Connections to the origin that a pool keeps: more than any scenario has requests at once.
IDLE_KEPT = 600


class Floor(System):
    """The bare relay: it only moves bytes, between TLS and clear where there is TLS."""

    name = "floor"
    modes = ("clear", "tls", "tcp")
    release = False  # give OpenSSL's buffers back when idle

    def find(self):
        return self.bench.tool("bench-relay")

    def version(self):
        return "bench/relay.c, one origin connection per client connection"

    def command(self, path):
        tls = ["--tls", self.bench.certificate, self.bench.key] if self.tls else []
        return [self.find(), *(["--release"] if self.release else []), *tls,
                f"127.0.0.1:{self.port}", f"127.0.0.1:{self.origin_port}"]


class FloorIdle(Floor):
    """The relay that keeps no buffers while idle: how OpenSSL's share of memory is measured."""

    release = True


class Adit(System):
    """This project."""

    name = "adit"
    workers_restart = True
    modes = ("clear", "tls", "grpc", "tcp", "tunnel-tls")
    hosts = ("127.0.0.1",)  # of the origin

    def find(self):
        return self.bench.adit

    def version(self):
        return first_line([self.find(), "--version"])

    def config(self):
        if self.mode == "tcp":
            return f"""\
workers: 1
control: off
access_log: off
streams:
  - {{listen: "127.0.0.1:{self.port}", proxy: ["127.0.0.1:{self.origin_port}"]}}
"""
        listen, site = f'"127.0.0.1:{self.port}"', "proxy: origin"
        if self.tls:
            listen = f"[{{at: {listen}, tls: on}}]"
            site += f", tls: {{cert: {self.bench.certificate}, key: {self.bench.key}}}"
        scheme = "h2c://" if self.mode == "grpc" else ""
        servers = ", ".join(f'"{scheme}{host}:{self.origin_port}"' for host in self.hosts)
        return f"""\
listen: {listen}
workers: 1
control: off
access_log: off
timeouts: {{idle: 600s, upstream_idle: 600s}}
upstreams:
  origin:
    servers: [{servers}]
    balance: two-choices
    idle_connections: {IDLE_KEPT}
sites:
  default: {{{site}}}
"""

    def command(self, path):
        state = ["--state", os.path.join(self.directory, "state")] if self.tls else []
        return [self.find(), "serve", "-c", path, *state]


class AditFour(Adit):
    """adit in front of four servers, the same origin on four addresses: what choosing costs."""

    name = "adit-four"
    own_rows = True
    modes = ("clear",)
    hosts = tuple(f"127.0.0.{n}" for n in (1, 2, 3, 4))


class Nginx(System):
    """nginx with one worker and a large pool to the origin, buffering as it does by default.

    16 buffers of 16 KiB were the cheapest of those tried that hold 256 KiB, as much as adit may.
    """

    name = "nginx"
    program = "nginx"
    workers_restart = True
    modes = ("clear", "tls", "grpc", "tcp")
    stream_module = "/usr/lib/nginx/modules/ngx_stream_module.so"
    buffering = "proxy_buffer_size 16k; proxy_buffers 16 16k; proxy_busy_buffers_size 128k;"

    def version(self):
        return first_line([self.find(), "-v"]).replace("nginx version: ", "")

    def stream_config(self):
        """As a proxy of bare TCP. 64 KiB of buffer were the cheapest for the one stream."""
        return f"""\
load_module {self.stream_module};
worker_processes 1;
worker_rlimit_nofile {DESCRIPTORS};
daemon off;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections {min(30000, DESCRIPTORS - 500)}; use epoll; multi_accept on; }}
stream {{
  access_log off;
  tcp_nodelay on;
  upstream origin {{ server 127.0.0.1:{self.origin_port}; }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096;
    proxy_pass origin;
    proxy_timeout 600s;
    proxy_buffer_size 64k;
  }}
}}
"""

    def config(self):
        if self.mode == "tcp":
            return self.stream_config()
        tls = (f"""ssl http2;
    ssl_certificate {self.bench.certificate};
    ssl_certificate_key {self.bench.key};
    ssl_protocols TLSv1.2 TLSv1.3""" if self.tls else "")
        forward = """grpc_pass grpc://origin""" if self.mode == "grpc" else f"""\
proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $host;
      proxy_max_temp_file_size 0;
      {self.buffering.rstrip(";")}"""
        paths = "\n".join(f"  {kind}_temp_path {self.directory}/{kind};"
                          for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        return f"""\
worker_processes 1;
worker_rlimit_nofile {DESCRIPTORS};
daemon off;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections {min(30000, DESCRIPTORS - 500)}; use epoll; multi_accept on; }}
http {{
{paths}
  access_log off;
  tcp_nodelay on;
  keepalive_timeout 600s;
  keepalive_requests 1000000000;
  upstream origin {{
    server 127.0.0.1:{self.origin_port};
    keepalive {IDLE_KEPT};
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
  }}
  server {{
    listen 127.0.0.1:{self.port} backlog=4096 {tls};
    location / {{
      {forward};
    }}
  }}
}}
"""

    def command(self, path):
        return [self.find(), "-p", self.directory, "-e", f"{self.directory}/error.log", "-c", path]


class NginxStream(Nginx):
    """nginx with buffering switched off: far cheaper for large bodies, and not the default.

    Then nothing is read ahead of the client, so a slow one holds its origin connection longer.
    """

    name = "nginx-stream"
    workers_restart = False
    bodies_only = True
    modes = ("clear", "tls")
    buffering = "proxy_buffering off; proxy_buffer_size 32k; proxy_buffers 8 32k;"


class Haproxy(System):
    """HAProxy with one thread, connections to the origin always reused, splicing on."""

    name = "haproxy"
    program = "haproxy"
    modes = ("clear", "tls", "grpc", "tcp")

    def version(self):
        return first_line([self.find(), "-v"]).partition(" - ")[0]

    def config(self):
        tls = (f"ssl crt {self.bench.pair} alpn h2,http/1.1 ssl-min-ver TLSv1.2"
               if self.tls else "")
        h2 = self.mode == "grpc"
        if self.mode == "tcp":
            return f"""\
global
    nbthread 1
    maxconn 12000
    no strict-limits
    tune.pipesize 262144
defaults
    mode tcp
    option splice-auto
    timeout connect 5s
    timeout client 600s
    timeout server 600s
listen edge
    bind 127.0.0.1:{self.port} backlog 4096
    server one 127.0.0.1:{self.origin_port}
"""
        return f"""\
global
    nbthread 1
    maxconn 12000
    no strict-limits
    tune.pipesize 262144
defaults
    mode http
    http-reuse always
    option splice-response
    option http-keep-alive
    option http-ignore-probes
    timeout connect 5s
    timeout client 600s
    timeout server 600s
    timeout http-keep-alive 600s
frontend edge
    bind 127.0.0.1:{self.port} backlog 4096 {tls}
    default_backend origin
backend origin
    server one 127.0.0.1:{self.origin_port} pool-purge-delay 600s {"proto h2" if h2 else ""}
"""

    def command(self, path):
        return [self.find(), "-q", "-db", "-f", path]


class H2o(System):
    """h2o with one thread and its pool of origin connections kept."""

    name = "h2o"
    program = "h2o"
    modes = ("clear", "tls")

    def version(self):
        return first_line([self.find(), "-v"])

    def config(self):
        tls = (f", ssl: {{certificate-file: {self.bench.certificate}, "
               f"key-file: {self.bench.key}, minimum-version: TLSv1.2}}" if self.tls else "")
        return f"""\
num-threads: 1
max-connections: 30000
http1-request-timeout: 600
user: {"root" if os.geteuid() == 0 else "''"}
http2-idle-timeout: 600
listen: {{host: 127.0.0.1, port: {self.port}{tls}}}
hosts:
  default:
    paths:
      "/":
        proxy.reverse.url: "http://127.0.0.1:{self.origin_port}/"
        proxy.preserve-host: ON
        proxy.timeout.keepalive: 600000
"""

    def command(self, path):
        return [self.find(), "-m", "worker", "-c", path]


class Nghttpx(System):
    """nghttpx with one worker in one process, connections to the origin kept."""

    name = "nghttpx"
    program = "nghttpx"

    def version(self):
        return first_line([self.find(), "--version"])

    def config(self):
        files = (f"private-key-file={self.bench.key}\ncertificate-file={self.bench.certificate}\n"
                 if self.tls else "")
        return f"""\
frontend=127.0.0.1,{self.port}{"" if self.tls else ";no-tls"}
backend=127.0.0.1,{self.origin_port};;proto={"h2" if self.mode == "grpc" else "http/1.1"}
workers=1
single-process=yes
no-ocsp=yes
backlog=4096
errorlog-file={self.directory}/error.log
frontend-http2-read-timeout=600s
frontend-read-timeout=600s
frontend-keep-alive-timeout=600s
backend-keep-alive-timeout=600s
{files}"""

    def command(self, path):
        return [self.find(), f"--conf={path}"]


SYSTEMS = {system.name: system
           for system in (Floor, Adit, AditFour, AditTunnel, AditEdge, AditTwo, AditBridge,
                          SshReverse, SshReverseGcm, Tunnelmole, Nginx, NginxStream, Haproxy, H2o,
                          Nghttpx)}

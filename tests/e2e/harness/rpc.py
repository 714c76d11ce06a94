# SPDX-License-Identifier: Apache-2.0
"""gRPC by its own library, without generated code: bytes in, bytes out.

    server = GrpcServer({"Upper": unary(lambda data, call: data.upper())}, tls=cert)
    channel(edge, pki.ca) is a client's; call(channel, "Upper") a method of it
"""
import os
from concurrent import futures

# Before grpc is loaded: it must not look for proxies, nor talk about every connection that fails.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402

from .wait import WAIT  # noqa: E402

KINDS = {"unary": grpc.unary_unary_rpc_method_handler, "down": grpc.unary_stream_rpc_method_handler,
         "up": grpc.stream_unary_rpc_method_handler, "both": grpc.stream_stream_rpc_method_handler}


class Service(grpc.GenericRpcHandler):
    def __init__(self, methods):
        self.methods = methods

    def service(self, details):
        kind, handler = self.methods.get(details.method.rpartition("/")[2], (None, None))
        return KINDS[kind](handler) if kind else None


class GrpcServer:
    """`methods` maps names to (kind, handler): unary, down (the server streams), up, both."""

    def __init__(self, methods, tls=None):
        self.server = grpc.server(futures.ThreadPoolExecutor(64), [Service(methods)])
        if tls:
            with open(tls.cert, "rb") as cert, open(tls.key, "rb") as key:
                pair = (key.read(), cert.read())
            self.port = self.server.add_secure_port("127.0.0.1:0",
                                                    grpc.ssl_server_credentials([pair]))
            self.at = f"https://127.0.0.1:{self.port}"
        else:
            self.port = self.server.add_insecure_port("127.0.0.1:0")
            self.at = f"h2c://127.0.0.1:{self.port}"
        self.server.start()

    def stop(self):
        self.server.stop(0).wait(WAIT)


def health_service(answers):
    """grpc.health.v1.Health/Check by bytes: answers[service] is the enumeration's number."""
    def check(data, call):
        assert data[:1] in (b"", b"\x0a")
        status = answers[data[2:].decode()]
        return b"" if status == 0 else b"\x08" + bytes([status])
    return ("unary", check)


def channel(way, authority=None, name="example.com"):
    """Over TLS with an Authority to trust, in clear without."""
    options = [("grpc.ssl_target_name_override", name), ("grpc.default_authority", name),
               ("grpc.enable_http_proxy", 0),
               ("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0),
               ("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if authority:
        return grpc.secure_channel(f"127.0.0.1:{way.tls_port}", grpc.ssl_channel_credentials(
            authority.pem), options)
    return grpc.insecure_channel(f"127.0.0.1:{way.port}", options)


def call(line, name, kind="unary"):
    make = {"unary": line.unary_unary, "down": line.unary_stream, "up": line.stream_unary,
            "both": line.stream_stream}[kind]
    return make(f"/adit.test.Service/{name}")

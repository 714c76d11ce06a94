# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests are written with: an edge, origins and clients made of raw bytes.

Everything a test needs is importable from here; conftest.py turns the parts into fixtures.
"""
from .client import Client
from .edge import BOTH, TLS, Edge, Failure, certificates, program, run_adit
from .h2 import H2Client, H2Origin, Reset
from .origin import Origin, reply
from .pki import Authority, insecure_context
from .tls import TlsClient, TlsSocket, client_hello
from .wait import WAIT, until
from .wire import Cut, Malformed, Wire

__all__ = ["BOTH", "TLS", "Authority", "Client", "Cut", "Edge", "Failure", "H2Client", "H2Origin",
           "Malformed", "Origin", "Reset", "TlsClient", "TlsSocket", "WAIT", "Wire",
           "certificates", "client_hello", "insecure_context", "program", "reply", "run_adit",
           "until"]

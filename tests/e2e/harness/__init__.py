# SPDX-License-Identifier: Apache-2.0
"""What the end-to-end tests are written with: an edge, origins and clients made of raw bytes.

Everything a test needs is importable from here; conftest.py turns the parts into fixtures.
"""
from .client import Client
from .edge import Edge, Failure, program, run_adit
from .origin import Origin, reply
from .wait import WAIT, until
from .wire import Cut, Malformed, Wire

__all__ = ["Client", "Cut", "Edge", "Failure", "Malformed", "Origin", "WAIT", "Wire", "program",
           "reply", "run_adit", "until"]

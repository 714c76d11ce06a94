# SPDX-License-Identifier: Apache-2.0
"""A network of a test's own: what is true for the whole machine elsewhere (the range of local
ports, say) can be changed in it without disturbing anybody."""
import ctypes
import fcntl
import os
import socket
import struct
import threading

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS = 0x8914
IFF_UP = 1


def alone(body, local_ports=None):
    """Runs body() in a thread with a network that has nothing but a loopback; gives its result.
    Sockets and processes made there stay in that network. PermissionError where that may not be."""
    outcome = {}

    def run():
        try:
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.unshare(CLONE_NEWNET) != 0:
                code = ctypes.get_errno()
                raise PermissionError(code, os.strerror(code))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
                fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
            if local_ports:
                with open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
                    file.write("%d %d" % local_ports)
            outcome["result"] = body()
        except BaseException as failure:    # pylint: disable=broad-except
            outcome["failure"] = failure
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "failure" in outcome:
        raise outcome["failure"]
    return outcome["result"]

# SPDX-License-Identifier: Apache-2.0
"""A well-behaved client in a process of its own: neighbour.py PORT PATH [tls]

It has one HTTP/2 connection. A line on its standard input, and it asks for PATH again and again;
another line, and it prints how many answers were right and how long they took (milliseconds), as
JSON. A failure is printed too, and what comes after it begins with a new connection.
"""
import json
import os
import select
import ssl
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]

from wire import H2  # noqa: E402

PAUSE = 0.002       # between requests: it is there to notice, not to load


def told(wait=None):
    """Whether a line has come; the end of the input ends the program."""
    if not select.select([sys.stdin], [], [], wait)[0]:
        return False
    if not os.read(0, 1):
        sys.exit()
    return True


def ask_until_told(client, path):
    """Times of the answers, and what went wrong, if anything did."""
    times = []
    try:
        while not told(PAUSE):
            begin = time.monotonic()
            answer = client.get(path)
            times.append((time.monotonic() - begin) * 1e3)
            assert answer.status == 200, answer
            del client.streams[client.next - 2]
    except (AssertionError, OSError) as broken:
        told()
        return times, str(broken)[:500]
    return times, None


def main():
    tls = None
    if sys.argv[3:] == ["tls"]:
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        tls.set_alpn_protocols(["h2"])
    client = None
    print("ready", flush=True)
    while told():
        client = client or H2(("127.0.0.1", int(sys.argv[1])), tls=tls)
        times, failure = ask_until_told(client, sys.argv[2])
        client = client if failure is None else None
        times = [round(one, 2) for one in sorted(times)] or [None]
        print(json.dumps({"n": len(times), "failure": failure, "p50": times[len(times) // 2],
                          "p99": times[len(times) * 99 // 100], "max": times[-1]}), flush=True)


main()

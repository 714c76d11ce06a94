# SPDX-License-Identifier: Apache-2.0
"""How a row of a table is run.

A row is (what the client sends, what may become of it[, the stream]). What is sent are bytes behind
preface and SETTINGS, or a function that gets the client. What may become of it are the words of
H2.fate() with " | " between them. A connection that should live must answer a PING, one that should
end must end, a request that was refused must not have reached the origin whole, and the
neighbour's connection is served after every row.
"""
MALFORMED = "reset PROTOCOL_ERROR | 400"     # a stream error (RFC 9113 8.1.1), or told in HTTP


def run(front, row, options=None):
    act, want, stream = (*row, 1)[:3]
    want = want.split(" | ")
    asked = len(front.app.asked())
    with front.client(**(options or {})) as client:
        if callable(act):
            act(client)
        else:
            client.say(act)
        fate = client.fate(stream, want)
        assert fate in want, f"{fate}, not {want}; {client.log[-12:]}"
        if not fate.startswith(("goaway", "closed")):
            client.round_trip()
        if not {"200", "alive"} & set(want) and not callable(act):
            assert len(front.app.asked()) == asked, f"the origin got {front.app.last}"
    front.neighbour()

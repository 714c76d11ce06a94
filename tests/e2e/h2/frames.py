# SPDX-License-Identifier: Apache-2.0
"""The bytes of HTTP/2: frames and header blocks, legal or not.

Nothing here checks anything, since half of what the tests send is forbidden. Header blocks are
written by the few functions below and read by python3-hpack, so a block says exactly what its test
means: which representation, which index, Huffman or not.
"""
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

(DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
 CONTINUATION) = range(10)
PRIORITY_UPDATE = 0x10
TYPES = ["DATA", "HEADERS", "PRIORITY", "RST_STREAM", "SETTINGS", "PUSH_PROMISE", "PING", "GOAWAY",
         "WINDOW_UPDATE", "CONTINUATION"]

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
PRIORITIZED = 0x20

(HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE,
 MAX_HEADER_LIST_SIZE) = range(1, 7)
ENABLE_CONNECT_PROTOCOL = 8
NO_RFC7540_PRIORITIES = 9

CODES = ["NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
         "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
         "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED"]
CODE = {name: number for number, name in enumerate(CODES)}

WINDOW_MAX = (1 << 31) - 1


def code_name(code):
    return CODES[code] if code < len(CODES) else f"error {code:#x}"


# -- frames -----------------------------------------------------------------------------------


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """Any frame; `length` may lie. The reserved bit is stream's highest."""
    length = len(payload) if length is None else length
    return struct.pack(">BHBBI", length >> 16, length & 0xffff, kind, flags, stream) + payload


def padded(payload, pad, filling=b"\0"):
    """A payload with its pad length before it and so much padding behind."""
    return bytes([pad]) + payload + filling * pad


def data(stream, body=b"", end=False, pad=None):
    payload = body if pad is None else padded(body, pad)
    return frame(DATA, (END_STREAM if end else 0) | (0 if pad is None else PADDED), stream, payload)


def headers(stream, block, end=True, last=True, pad=None, priority=None):
    """`block`: bytes, or fields for block_of(). `priority`: (depends on, weight, exclusive)."""
    payload = block if isinstance(block, bytes) else block_of(block)
    if priority:
        payload = priority_of(*priority) + payload
    if pad is not None:
        payload = padded(payload, pad)
    flags = (END_STREAM if end else 0) | (END_HEADERS if last else 0)
    flags |= (0 if pad is None else PADDED) | (PRIORITIZED if priority else 0)
    return frame(HEADERS, flags, stream, payload)


def continuation(stream, block=b"", last=True):
    return frame(CONTINUATION, END_HEADERS if last else 0, stream, block)


def split(stream, block, at, end=True):
    """A block cut at these places into HEADERS and CONTINUATIONs."""
    cuts = [0, *at, len(block)]
    parts = [block[a:b] for a, b in zip(cuts, cuts[1:])]
    out = headers(stream, parts[0], end, last=len(parts) == 1)
    for i, part in enumerate(parts[1:], 2):
        out += continuation(stream, part, last=i == len(parts))
    return out


def priority_of(depends=0, weight=16, exclusive=False):
    return struct.pack(">IB", depends | (exclusive << 31), weight - 1)


def priority(stream, depends=0, weight=16, exclusive=False):
    return frame(PRIORITY, 0, stream, priority_of(depends, weight, exclusive))


def priority_update(stream, value, on=0):
    """RFC 9218 7.1."""
    return frame(PRIORITY_UPDATE, 0, on, struct.pack(">I", stream) + value)


def rst(stream, code="CANCEL"):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", CODE.get(code, code)))


def settings(*pairs, stream=0):
    return frame(SETTINGS, 0, stream, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def settings_ack():
    return frame(SETTINGS, ACK)


def push_promise(stream, promised, block):
    return frame(PUSH_PROMISE, END_HEADERS, stream, struct.pack(">I", promised) + block)


def ping(opaque=b"\0" * 8, ack=False):
    return frame(PING, ACK if ack else 0, 0, opaque)


def goaway(last=0, code="NO_ERROR", debug=b""):
    return frame(GOAWAY, 0, 0, struct.pack(">II", last, CODE.get(code, code)) + debug)


def window_update(stream, increment):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", increment))


# -- header blocks (RFC 7541) -----------------------------------------------------------------


def integer(value, bits, top=0):
    """5.1, with the high bits of its first byte."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([top | value])
    out = bytearray([top | most])
    value -= most
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def as_bytes(text):
    return text if isinstance(text, bytes) else text.encode("latin-1")


def string(text, huffman=False):
    """5.2."""
    text = as_bytes(text)
    if huffman:
        text = huffman_coded(text)
    return integer(len(text), 7, 0x80 if huffman else 0) + text


def huffman_coded(text):
    from hpack.huffman import HuffmanEncoder
    from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
    return HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH).encode(text)


def indexed(index):
    """6.1."""
    return integer(index, 7, 0x80)


KINDS = {"keep": (6, 0x40), "plain": (4, 0x00), "never": (4, 0x10)}


def literal(name, value, kind="plain", huffman=False):
    """6.2: "keep" enters it into the dynamic table, "never" forbids that to everybody. `name` may be
    an index."""
    bits, top = KINDS[kind]
    if isinstance(name, int):
        return integer(name, bits, top) + string(value, huffman)
    return bytes([top]) + string(name, huffman) + string(value, huffman)


def table_size(size):
    """6.3."""
    return integer(size, 5, 0x20)


def block_of(fields, kind="plain", huffman=False):
    """A block of literals: nothing of it depends on what was sent before."""
    return b"".join(literal(name, value, kind, huffman) for name, value in fields)


def request(method="GET", path="/", fields=(), authority="example.com", scheme="http"):
    """The fields of a request; None leaves a pseudo-header out."""
    pseudo = [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)]
    return [pair for pair in pseudo if pair[1] is not None] + list(fields)


GET = block_of(request())
POST = block_of(request("POST"))
HOLD = block_of(request(path="/hold"))
HOLD_POST = block_of(request("POST", "/hold"))

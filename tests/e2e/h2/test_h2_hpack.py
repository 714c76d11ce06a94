# SPDX-License-Identifier: Apache-2.0
"""RFC 7541: what a decoder must take, what it must refuse, and whether its table is the right one.

The tables of both sides are compared by what comes out: a field sent once with "keep" and later by
its index must reach the origin as it was. The other direction is checked by python3-hpack, which
reads every answer of the suite.
"""
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

import frames as f
from cases import MALFORMED, run

BAD = "goaway COMPRESSION_ERROR"
EOS = (REQUEST_CODES[256], REQUEST_CODES_LENGTH[256])


def bits(*codes, fill="1"):
    """(code, length) pairs as Huffman bytes, filled up with the bits `fill`, at least to a byte."""
    text = "".join(format(code, f"0{length}b") for code, length in codes)
    while len(text) % 8:
        text += fill
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


def code(char):
    return REQUEST_CODES[ord(char)], REQUEST_CODES_LENGTH[ord(char)]


def coded(data):
    """A field x: with a Huffman value of exactly these bytes."""
    return b"\x00" + f.string("x") + f.integer(len(data), 7, 0x80) + data


def get(more=b"", before=b""):
    return f.headers(1, before + f.GET + more)


ROWS = {
    "2.3.3 index 0": (get(f.indexed(0)), BAD),
    "2.3.3 index behind an empty table": (get(f.indexed(62)), BAD),
    "2.3.3 index behind a table of one": (get(f.literal("x", "y", "keep") + f.indexed(63)), BAD),
    "2.3.3 huge index": (get(f.indexed(100000)), BAD),
    "2.3.3 index as name behind the tables": (get(f.literal(62, "x")), BAD),
    "2.3.3 index as kept name behind the tables": (get(f.literal(70, "x", "keep")), BAD),
    "2.3.3 index as never-indexed name behind the tables": (get(f.literal(70, "x", "never")), BAD),
    "5.1 integer without an end": (get(b"\xff\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"), BAD),
    "5.1 integer beyond 32 bits": (get(f.integer(1 << 33, 7, 0x80)), BAD),
    "5.1 integer beyond 64 bits": (get(f.integer(1 << 66, 7, 0x80)), BAD),
    "5.1 integer beyond 64 bits that wraps to 2": (get(f.integer((1 << 64) + 2, 7, 0x80)), BAD),
    "5.1 integer beyond 32 bits that wraps to 2": (get(f.integer((1 << 32) + 2, 7, 0x80)), BAD),
    "5.1 string length beyond 64 bits": (get(b"\x00" + f.integer(1 << 65, 7) + b"x"), BAD),
    "5.1 endless zeros behind an integer": (get(b"\xff" + b"\x80" * 100 + b"\0"), BAD),
    "5.1 block ends inside an integer": (get(b"\x7f\x80"), BAD),
    "5.1 block ends behind a prefix": (get(b"\xff"), BAD),
    "5.2 block ends before the name": (get(b"\x00"), BAD),
    "5.2 block ends inside the name": (get(b"\x00\x05ab"), BAD),
    "5.2 block ends before the value": (get(b"\x00\x01x"), BAD),
    "5.2 block ends inside the value": (get(b"\x00\x01x\x05ab"), BAD),
    "5.2 block ends inside a Huffman value": (get(b"\x00\x01x\x85ab"), BAD),
    "5.2 string longer than the block": (get(b"\x00\x01x" + f.integer(20000, 7) + b"ab"), BAD),
    "5.2 padding of more than 7 bits": (get(coded(bits(code("a")) + b"\xff")), BAD),
    "5.2 only padding": (get(coded(b"\xff")), BAD),
    "5.2 4 bytes of padding": (get(coded(bits(code("a")) + b"\xff" * 4)), BAD),
    "5.2 padding of zeros": (get(coded(bits(code("a"), fill="0"))), BAD),
    "5.2 padding not all ones": (get(coded(bits(code("a"), (0b110, 3)))), BAD),
    "5.2 EOS": (get(coded(bits(EOS))), BAD),
    "5.2 EOS behind a letter": (get(coded(bits(code("a"), EOS))), BAD),
    "5.2 EOS between letters": (get(coded(bits(code("a"), EOS, code("b")))), BAD),
    "5.2 EOS in a name": (get(b"\x00" + f.integer(4, 7, 0x80) + bits(EOS)[:4] + f.string("v")), BAD),
    "5.2 empty Huffman value": (get(coded(b"")), "200"),
    "5.2 padding of 7 bits": (get(coded(bits(*[code("a")] * 5))), "200"),
    "5.2 no padding": (get(coded(bits(*[code("a")] * 8))), "200"),
    "5.2 Huffman of a forbidden value": (get(coded(bits((REQUEST_CODES[10], REQUEST_CODES_LENGTH[10])))),
                                         MALFORMED),
    "5.2 Huffman of NUL": (get(coded(bits((REQUEST_CODES[0], REQUEST_CODES_LENGTH[0])))), MALFORMED),
    "5.2 Huffman of an upper case name": (get(f.literal("X-A", "b", huffman=True)), MALFORMED),
    "6.1 :status by index": (get(f.indexed(8)), MALFORMED),
    "6.2 empty name": (get(f.literal("", "x")), MALFORMED),
    "6.2 empty name, kept": (get(f.literal("", "x", "keep")), MALFORMED),
    "6.3 size update of the limit": (get(before=f.table_size(4096)), "200"),
    "6.3 size update of 0": (get(before=f.table_size(0)), "200"),
    "6.3 two size updates": (get(before=f.table_size(0) + f.table_size(4096)), "200"),
    "6.3 size update beyond the limit": (get(before=f.table_size(1 << 20)), BAD),
    "6.3 size update of 2^32": (get(before=f.table_size(1 << 32)), BAD),
    "6.3 good size update, then one beyond": (get(before=f.table_size(0) + f.table_size(1 << 20)), BAD),
    "4.2 size update behind a field": (get(f.table_size(100)), BAD),
    "4.2 size update between fields":
        (f.headers(1, f.indexed(2) + f.table_size(100) + f.GET), BAD),
    "4.2 size update alone": (f.headers(1, f.table_size(100)), MALFORMED),
    "4.2 size update at the start of trailers":
        (f.headers(1, f.POST, end=False) + f.headers(1, f.table_size(64) + f.literal("x", "y")), "200"),
    "4.2 size update in the middle of trailers":
        (f.headers(1, f.HOLD_POST, end=False)
         + f.headers(1, f.literal("x", "y") + f.table_size(64) + f.literal("x", "z")), BAD),
    "4.3 an update of 0 empties the table":
        (f.headers(1, f.HOLD + f.literal("x", "y", "keep"))
         + f.headers(3, f.table_size(0) + f.table_size(4096) + f.GET + f.indexed(62)), BAD, 3),
    "4.3 a smaller table evicts":
        (f.headers(1, f.HOLD + f.literal("x", "y" * 100, "keep") + f.literal("z", "y", "keep"))
         + f.headers(3, f.table_size(40) + f.GET + f.indexed(63)), BAD, 3),
    "4.4 an entry larger than the table empties it":
        (f.headers(1, f.HOLD + f.literal("x", "y", "keep"))
         + f.headers(3, f.HOLD + f.literal("big", "b" * 4096, "keep"))
         + f.headers(5, f.GET + f.indexed(62)), BAD, 5),
    "4.1 the 33rd byte of an entry counts":      # 2 x 2048 fill the table, one byte more evicts
        (f.headers(1, f.HOLD + f.literal("a", "b" * (2048 - 33), "keep")
                   + f.literal("c", "d" * (2048 - 32), "keep"))
         + f.headers(3, f.GET + f.indexed(63)), BAD, 3),
    "6.2.2 a field that is not kept is not in the table":
        (f.headers(1, f.HOLD + f.literal("x", "y")) + f.headers(3, f.GET + f.indexed(62)), BAD, 3),
    "6.2.3 a field that is never indexed is not in the table":
        (f.headers(1, f.HOLD + f.literal("x", "y", "never")) + f.headers(3, f.GET + f.indexed(62)), BAD, 3),
}


@pytest.mark.parametrize("name", ROWS)
def test_block(front, name):
    run(front, ROWS[name])


def origin_gets(front, *blocks):
    """Sends each block as a request of one connection; the fields of the last one at the origin."""
    with front.client() as client:
        for n, block in enumerate(blocks):
            number = client.opened(client.next)
            client.say(f.headers(number, block))
            assert client.answer(number).status == 200, (n, client.log[-5:])
    return front.app.last


def padded_to(size, name="x"):
    """An entry of this size (4.1)."""
    return f.literal(name, "v" * (size - 32 - len(name)), "keep")


def test_2_3_3_the_newest_entry_comes_first(front):
    last = origin_gets(front, f.GET + f.literal("x-a", "1", "keep") + f.literal("x-b", "2", "keep")
                       + f.literal("x-c", "3", "keep"),
                       f.GET + f.indexed(62) + f.indexed(63) + f.indexed(64))
    assert [last.get(n) for n in ("x-a", "x-b", "x-c")] == ["1", "2", "3"]


def test_4_1_a_table_that_is_just_full(front):
    last = origin_gets(front, f.GET + padded_to(2048, "x-a") + padded_to(2048, "x-b"),
                       f.GET + f.indexed(63))
    assert len(last.get("x-a")) == 2048 - 35 and last.get("x-b") is None


def test_4_4_entries_leave_in_order(front):
    """Ten entries of a tenth; each further one pushes out the oldest."""
    entries = [padded_to(400, f"x-{n:02}") for n in range(14)]
    last = origin_gets(front, *[f.GET + e for e in entries], f.GET + f.indexed(62) + f.indexed(71))
    assert {n for n in last.names() if n.startswith("x-0") or n.startswith("x-1")} == {"x-13", "x-04"}


def test_4_4_an_evicted_name_may_name_its_evictor(front):
    """The name is taken before room is made (4.4)."""
    last = origin_gets(front, f.GET + padded_to(4000, "x-old"),
                       f.GET + f.literal(62, "w" * 4000, "keep"), f.GET + f.indexed(62))
    assert last.get("x-old") == "w" * 4000


def test_4_4_an_entry_too_large_is_used_but_not_kept(front):
    last = origin_gets(front, f.GET + f.literal("x-large", "l" * 5000, "keep"),
                       f.GET + f.literal("x-small", "s", "keep"), f.GET + f.indexed(62))
    assert last.get("x-small") == "s"


def test_4_3_a_table_made_smaller_and_larger_again(front):
    last = origin_gets(front, f.GET + f.literal("x-a", "1", "keep") + f.literal("x-b", "2", "keep"),
                       f.table_size(36) + f.table_size(4096) + f.GET + f.indexed(62)
                       + f.literal("x-c", "3", "keep"), f.GET + f.indexed(62) + f.indexed(63))
    assert (last.get("x-b"), last.get("x-c"), last.get("x-a")) == ("2", "3", None)


def test_2_3_2_duplicates_are_entries_of_their_own(front):
    last = origin_gets(front, f.GET + f.literal("x-a", "1", "keep") * 2 + f.literal("x-a", "2", "keep"),
                       f.GET + f.indexed(64) + f.indexed(62))
    assert last.all("x-a") == ["1", "2"]


def test_6_2_1_name_by_index_of_the_table(front):
    last = origin_gets(front, f.GET + f.literal("x-name", "1", "keep"),
                       f.GET + f.literal(62, "2", "keep"), f.GET + f.indexed(62) + f.indexed(63))
    assert last.all("x-name") == ["2", "1"]


def test_6_2_every_representation_says_the_same(front):
    for kind in f.KINDS:
        for huffman in (False, True):
            last = origin_gets(front, f.GET + f.literal("x-kind", "one value", kind, huffman))
            assert last.get("x-kind") == "one value"


def test_5_2_huffman_of_every_byte(front):
    value = bytes([*range(0x21, 0x7f), *range(0x80, 0x100)])
    last = origin_gets(front, f.GET + f.literal("x-all", value, huffman=True))
    assert last.get("x-all").encode("latin-1") == value


def test_5_1_integers_at_every_border(front):
    """Lengths around 127, 254, 255 and 16,510: one, two and three bytes of integer."""
    for length in (1, 126, 127, 128, 254, 255, 256, 8000):
        last = origin_gets(front, f.GET + f.literal("x-len", "v" * length))
        assert len(last.get("x-len")) == length


def test_5_1_an_integer_with_needless_zeros(front):
    """Legal, if wasteful; a decoder may also have a limit to it."""
    block = f.GET + b"\x00" + f.string("x-z") + b"\x7f\x80\x00" + b"v" * 127
    with front.client() as client:
        client.say(f.headers(1, block))
        assert client.fate(1) in ("200", BAD)


STATIC = {16: "accept-encoding", 19: "accept", 24: "cache-control", 32: "cookie", 39: "if-match",
          41: "if-none-match", 50: "range", 51: "referer", 58: "user-agent", 23: "authorization"}


@pytest.mark.parametrize("index", STATIC)
def test_appendix_a_names_of_the_static_table(front, index):
    last = origin_gets(front, f.GET + f.literal(index, "a value"))
    assert last.get(STATIC[index]) == "a value"


def test_appendix_a_whole_entries_of_the_static_table(front):
    """2 GET, 4 /, 6 http, 16 accept-encoding: gzip, deflate."""
    authority = f.literal(1, "example.com")
    last = origin_gets(front, f.indexed(2) + f.indexed(6) + authority + f.indexed(4) + f.indexed(16))
    assert (last.method, last.target) == ("GET", "/")
    assert last.get("accept-encoding") == "gzip, deflate"
    last = origin_gets(front, f.indexed(3) + f.indexed(6) + authority + f.indexed(5))
    assert (last.method, last.target) == ("POST", "/index.html")


# -- the encoder ------------------------------------------------------------------------------------


def answers(front, client, n=3):
    out = [client.get("/size/5", [("x", str(i))]) for i in range(n)]
    assert [a.status for a in out] == [200] * n
    return out


@pytest.mark.parametrize("size", [0, 32, 64, 256, 65536])
def test_4_2_the_encoder_keeps_to_the_clients_table(front, size):
    """python3-hpack refuses a block that does not announce the smaller table or uses a larger one."""
    with front.client(settings=[(f.HEADER_TABLE_SIZE, size)]) as client:
        client.wait(lambda: client.settings_acks)
        answers(front, client, 5)
        assert client.decoder.header_table_size <= size
        assert client.decoder.header_table.maxsize <= size


def test_4_2_a_table_that_shrinks_in_between(front):
    """To 0 and back before the next block: the smallest must be announced, then the last."""
    with front.client() as client:
        answers(front, client)
        client.send(f.settings((f.HEADER_TABLE_SIZE, 0)) + f.settings((f.HEADER_TABLE_SIZE, 1024)))
        client.wait(lambda: client.settings_acks == 3)
        client.decoder.max_allowed_table_size = 1024
        number = client.ask("GET", "/size/5")
        client.answer(number)
        sizes = leading_sizes(client.block_bytes)
        assert not sizes or min(sizes) == 0, f"the table must be emptied: {sizes}"
        answers(front, client)


def leading_sizes(block):
    """The size updates that a block begins with."""
    out, at = [], 0
    while at < len(block) and block[at] & 0xe0 == 0x20:
        value, at = block[at] & 31, at + 1
        shift = 0
        while value >= 31 and at < len(block):
            value += (block[at] & 127) << shift
            shift += 7
            at += 1
            if not block[at - 1] & 128:
                break
        out.append(value)
    return out


def test_4_2_settings_between_answers(front):
    with front.client() as client:
        for size in (4096, 100, 0, 50, 4096, 0, 65536):
            client.send(f.settings((f.HEADER_TABLE_SIZE, size)))
            acks = client.settings_acks
            client.wait(lambda: client.settings_acks > acks)
            client.decoder.max_allowed_table_size = size
            answers(front, client, 2)

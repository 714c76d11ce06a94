#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
#
# Finds a multiplier that hashes the well-known field names of src/http/names.h into 128 slots
# without a collision, and prints what src/http/names.c holds of it. To be run by hand after a name
# was added; tests/unit/http/names_test.c fails until then.

import pathlib
import random
import re

SLOT_BITS = 7


def names():
    text = (pathlib.Path(__file__).parent.parent / "src/http/names.h").read_text()
    return re.findall(r'^    X\((\w+), "([^"]+)"\)', text, re.M)


def key(name):
    low = name.lower().encode()
    return (low[0] | 0x20) | (low[-1] | 0x20) << 8 | len(low) << 16


def slots_of(keys, multiplier):
    return [(k * multiplier & 0xFFFFFFFF) >> (32 - SLOT_BITS) for k in keys]


def main():
    table = names()
    keys = [key(text) for _, text in table]
    assert len(set(keys)) == len(keys), "two names share length, first and last letter"
    rng = random.Random(2)
    while True:
        multiplier = rng.getrandbits(32) | 1
        slots = slots_of(keys, multiplier)
        if len(set(slots)) == len(slots):
            break
    print(f"#define NAME_HASH_MULTIPLIER 0x{multiplier:08x}u")
    for slot, (name, _) in sorted(zip(slots, table)):
        print(f"    [{slot}] = HTTP_{name},")


if __name__ == "__main__":
    main()

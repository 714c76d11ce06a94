// SPDX-License-Identifier: Apache-2.0
//
// Messages of grpc.health.v1 (grpc/doc/health-checking.md), written and read by hand: a request with
// one text (field 1), an answer with one enumeration (field 1). Unknown fields are passed over, as
// protobuf wants it.

#include "base/error.h"
#include "upstream/check_int.h"

enum { PREFIX = 5, WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, FIELD_SERVICE = 1 };

size_t check_grpc_write(char out[CHECK_GRPC_MAX], struct slice service)
{
    ensure(service.len <= CHECK_GRPC_MAX - PREFIX - 3);
    size_t n = PREFIX;
    if (service.len > 0) {
        out[n++] = (char)(FIELD_SERVICE << 3 | WIRE_BYTES);
        if (service.len > 0x7f) {
            out[n++] = (char)((service.len & 0x7f) | 0x80);
            out[n++] = (char)(service.len >> 7);
        } else {
            out[n++] = (char)service.len;
        }
        memcpy(out + n, service.ptr, service.len);
        n += service.len;
    }
    out[0] = 0; // not compressed
    out[1] = 0;
    out[2] = 0;
    out[3] = (char)((n - PREFIX) >> 8);
    out[4] = (char)((n - PREFIX) & 0xff);
    return n;
}

static int take_varint(struct slice *rest, uint64_t *out)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < 10 && i < rest->len; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];
        if (i == 9 && byte > 1) {
            return E_INVALID;
        }
        value |= (uint64_t)(byte & 0x7f) << 7 * i;
        if ((byte & 0x80) == 0) {
            *rest = slice_from(*rest, i + 1);
            *out = value;
            return 0;
        }
    }
    return E_INVALID;
}

/** Passes over a member; *value is set when it is a number. */
static int take_member(struct slice *rest, uint64_t *key, uint64_t *value)
{
    uint64_t skip = 0;
    if (take_varint(rest, key) < 0 || *key >> 3 == 0) {
        return E_INVALID;
    }
    switch (*key & 7) {
    case WIRE_VARINT:
        return take_varint(rest, value);
    case WIRE_64:
        skip = 8;
        break;
    case WIRE_32:
        skip = 4;
        break;
    case WIRE_BYTES:
        if (take_varint(rest, &skip) < 0) {
            return E_INVALID;
        }
        break;
    default:
        return E_INVALID;
    }
    if (skip > rest->len) {
        return E_INVALID;
    }
    *rest = slice_from(*rest, (size_t)skip);
    return 0;
}

int check_grpc_read(struct slice message, uint64_t *status)
{
    if (message.len < PREFIX || message.ptr[0] != 0) {
        return E_INVALID; // too short, or compressed, which was not offered
    }
    const uint8_t *b = (const uint8_t *)message.ptr;
    uint64_t len = (uint64_t)b[1] << 24 | (uint64_t)b[2] << 16 | (uint64_t)b[3] << 8 | b[4];
    struct slice rest = slice_from(message, PREFIX);
    if (len != rest.len) {
        return E_INVALID;
    }
    *status = 0;
    while (rest.len > 0) {
        uint64_t key = 0;
        uint64_t value = 0;
        if (take_member(&rest, &key, &value) < 0) {
            return E_INVALID;
        }
        if (key == (1 << 3 | WIRE_VARINT)) {
            *status = value; // the last one counts
        }
    }
    return 0;
}

const char *check_grpc_text(uint64_t status)
{
    static const char *const texts[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
    return status < array_len(texts) ? texts[status] : "an unknown status";
}

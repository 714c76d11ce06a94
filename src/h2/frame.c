// SPDX-License-Identifier: Apache-2.0
//
// Frame heads, and the lengths and stream numbers that each type demands.

#include "h2/frame.h"

#include "base/error.h"

const char h2_preface[H2_PREFACE_BYTES] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

struct h2_frame h2_frame_parse(const char *p)
{
    uint32_t first = h2_get32(p);
    return (struct h2_frame){
        .length = first >> 8,
        .type = (uint8_t)first,
        .flags = (uint8_t)p[4],
        .stream = h2_get32(p + 5) & H2_STREAM_ID_MAX,
    };
}

char *h2_frame_write(char *p, struct h2_frame f)
{
    ensure(f.length < H2_FRAME_LIMIT);
    h2_put32(p, f.length << 8 | f.type);
    p[4] = (char)f.flags;
    h2_put32(p + 5, f.stream);
    return p + H2_FRAME_HEAD;
}

void h2_setting_parse(const char *p, uint16_t *id, uint32_t *value)
{
    *id = (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
    *value = h2_get32(p + 2);
}

char *h2_setting_write(char *p, enum h2_setting id, uint32_t value)
{
    p[0] = 0;
    p[1] = (char)id;
    h2_put32(p + 2, value);
    return p + 6;
}

static enum h2_code check_stream(const struct h2_frame *f, bool wanted)
{
    return (f->stream != 0) == wanted ? H2_NO_ERROR : H2_PROTOCOL_ERROR;
}

static enum h2_code check_settings(const struct h2_frame *f)
{
    if (f->stream != 0) {
        return H2_PROTOCOL_ERROR;
    }
    bool bad = (f->flags & H2_FLAG_ACK) != 0 ? f->length != 0 : f->length % 6 != 0;
    return bad ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
}

/** Room for the pad length and the priority, which must be there when a flag says so. */
static enum h2_code check_padded(const struct h2_frame *f)
{
    if (f->stream == 0) {
        return H2_PROTOCOL_ERROR;
    }
    uint32_t least = (f->flags & H2_FLAG_PADDED) != 0 ? 1 : 0;
    if (f->type == H2_HEADERS && (f->flags & H2_FLAG_PRIORITY) != 0) {
        least += 5;
    }
    return f->length < least ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
}

enum h2_code h2_frame_check(const struct h2_frame *f, uint32_t most)
{
    if (f->length > most) {
        return H2_FRAME_SIZE_ERROR;
    }
    switch (f->type) {
    case H2_DATA:
    case H2_HEADERS:
        return check_padded(f);
    case H2_PRIORITY:
    case H2_CONTINUATION:
        return check_stream(f, true);
    case H2_RST_STREAM:
        return f->length != 4 ? H2_FRAME_SIZE_ERROR : check_stream(f, true);
    case H2_SETTINGS:
        return check_settings(f);
    case H2_PUSH_PROMISE:
        return H2_PROTOCOL_ERROR; // clients may not, and we tell origins not to
    case H2_PING:
        return f->length != 8 ? H2_FRAME_SIZE_ERROR : check_stream(f, false);
    case H2_GOAWAY:
        return f->length < 8 ? H2_FRAME_SIZE_ERROR : check_stream(f, false);
    case H2_WINDOW_UPDATE:
        return f->length != 4 ? H2_FRAME_SIZE_ERROR : H2_NO_ERROR;
    case H2_PRIORITY_UPDATE:
        return f->length < 4 ? H2_FRAME_SIZE_ERROR : check_stream(f, false);
    default:
        return H2_NO_ERROR; // unknown ones are ignored (RFC 9113 4.1)
    }
}

enum h2_code h2_code_of(int error)
{
    switch (error) {
    case 0:
        return H2_NO_ERROR;
    case E_FLOW_CONTROL:
        return H2_FLOW_CONTROL_ERROR;
    case E_BAD_COMPRESSION:
        return H2_COMPRESSION_ERROR;
    case E_GLITCHES:
        return H2_ENHANCE_YOUR_CALM;
    case E_OVERLOADED:
    case E_DRAINING:
        return H2_REFUSED_STREAM;
    case E_HTTP_1_1_REQUIRED:
        return H2_HTTP_1_1_REQUIRED;
    case E_CLIENT_GONE:
    case E_STREAM_RESET:
    case E_BODY_TIMEOUT:
    case E_READ_TIMEOUT:
    case E_WRITE_TIMEOUT:
    case E_IDLE_TIMEOUT:
    case E_RESPONSE_TIMEOUT:
    case E_BODY_TOO_LARGE:
        return H2_CANCEL;
    default:
        break;
    }
    // What breaks a rule of the message is a malformed one (RFC 9113 8.1.1).
    return error_status(error) == 400 ? H2_PROTOCOL_ERROR : H2_INTERNAL_ERROR;
}

int h2_error_of(uint32_t code)
{
    if (code == H2_REFUSED_STREAM) {
        return E_NOT_PROCESSED; // RFC 9113 8.7
    }
    return code == H2_HTTP_1_1_REQUIRED ? E_HTTP_1_1_REQUIRED : E_STREAM_RESET;
}

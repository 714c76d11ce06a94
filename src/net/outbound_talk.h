// SPDX-License-Identifier: Apache-2.0
//
// What is said to a proxy and what it may answer, as a machine over bytes: it gives bytes to send, takes
// those that came, and ends when the way is open, or with why it is not. No socket, no memory.
//
// The target is one that waits for us to speak first (TLS, HTTP), so bytes behind the proxy's last answer
// are not the target's: the way is given up. An answer is bounded in bytes, and no time runs here.

#pragma once

#include "net/outbound.h"

enum {
    OUTBOUND_OUT_MAX = 1400,       // the longest we say: CONNECT with a name and a login
    OUTBOUND_HEAD_MAX = 16 * 1024, // of all heads of an HTTP proxy
    OUTBOUND_INTERIM_MAX = 4,      // 1xx answers before the final one
};

enum outbound_state {
    OUTBOUND_HTTP_LINE,   // the status line
    OUTBOUND_HTTP_FIELDS, // the rest of the head
    OUTBOUND_METHOD,      // SOCKS5: which way of login
    OUTBOUND_AUTH,        // whether the login is right
    OUTBOUND_REPLY,       // whether it is connected
    OUTBOUND_OPEN,
};

struct outbound_talk {
    uint8_t state; // enum outbound_state
    uint8_t interim;
    uint8_t line_len;  // of the status line, or of a SOCKS answer
    uint8_t need;      // bytes of a SOCKS answer
    uint8_t line[16];  // its beginning; of a SOCKS answer what counts
    uint8_t ends;      // how much of CR LF CR LF has just come
    uint16_t status;   // of an HTTP proxy's last answer; 0: none yet
    uint8_t reply;     // of SOCKS5
    uint32_t head_len; // bytes of heads so far
    uint32_t out_len;
    uint32_t out_sent;
    uint16_t port;
    uint8_t host_len;
    char host[OUTBOUND_HOST_MAX]; // the target
    struct outbound proxy;
    char out[OUTBOUND_OUT_MAX];
};

/** Begins for a target, a name or an IP address without brackets. E_INVALID: it is neither. */
int outbound_talk_begin(struct outbound_talk *t, const struct outbound *proxy, struct slice host,
                        uint16_t port) must_check;
/** What is to be sent now; empty: nothing. */
static inline struct slice outbound_talk_out(const struct outbound_talk *t)
{
    return slice_of(t->out + t->out_sent, t->out_len - t->out_sent);
}
/** So much of it was. */
static inline void outbound_talk_sent(struct outbound_talk *t, size_t n)
{
    ensure(n <= t->out_len - t->out_sent);
    t->out_sent += (uint32_t)n;
}
static inline bool outbound_talk_is_open(const struct outbound_talk *t)
{
    return t->state == OUTBOUND_OPEN;
}
/** Takes bytes that came: 0, or why there is no way (E_OUTBOUND_...). */
int outbound_talk_take(struct outbound_talk *t, struct slice in) must_check;
/** After an error, for people: "it answered 407 Proxy Authentication Required"; may be empty. */
void outbound_talk_reason(const struct outbound_talk *t, struct text *out);

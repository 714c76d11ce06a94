// SPDX-License-Identifier: Apache-2.0
//
// One end of a tunnel after its 101, played by a fuzz target: it writes whatever frames it is told to and
// reads only as much of the other side's as is needed to go on (which streams there are, pings, an
// orderly goodbye). Before the frames comes a text, the handshake, which is kept.
//
// Acts come from the fuzzer's bytes: a head is made of a first block, chosen by number, and of fields,
// each chosen by number or spelled out in the input, so that HPACK need not be invented first.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../sim/kernel.h"
#include "input.h"

enum { H2_PEER_TEXT_MAX = 4096, H2_PEER_STREAMS = 32 };

enum h2_frame_type {
    H2_FRAME_DATA = 0,
    H2_FRAME_HEADERS = 1,
    H2_FRAME_SETTINGS = 4,
    H2_FRAME_PING = 6,
    H2_FRAME_GOAWAY = 7,
    H2_FRAME_CONTINUATION = 9,
};

struct h2_field {
    const char *name;
    const char *value;
};

/** What a target's heads are made of. */
struct h2_words {
    const struct h2_field (*firsts)[5]; // a NULL name ends one
    size_t first_count;
    const struct h2_field *fields;
    size_t field_count;
};

/** What frames are carried in. In messages: what the other side says after its text is not looked at. */
enum h2_peer_form { H2_PEER_PLAIN, H2_PEER_WEBSOCKET_SERVER, H2_PEER_WEBSOCKET_CLIENT };

struct h2_peer {
    struct sim_end *end; // NULL: none
    enum h2_peer_form form;
    bool deaf;    // does not read
    bool polite;  // answers SETTINGS and PING by itself
    bool preface; // the other side is the client: its preface comes before its frames
    bool framed;  // the text is over
    char text[H2_PEER_TEXT_MAX];
    size_t text_len;
    // The other side's frames.
    uint32_t skip; // bytes of its preface to come
    uint8_t head[9];
    uint32_t head_have;
    uint32_t payload_left;
    uint8_t payload[8]; // the first bytes
    uint32_t payload_have;
    uint32_t streams[H2_PEER_STREAMS]; // heads that came, the newest ones
    uint32_t stream_count;
    uint32_t last_stream; // of ours, when we are the client
    bool goaway;          // it said goodbye
    bool left;            // we may have
    unsigned much;        // how often on_full may be called
    /** The network takes no more for now: lets some time pass. May be NULL. */
    void (*on_full)(struct h2_peer *p);
    /** The text is whole: goes on with frames when it is true, else nothing more is read. */
    bool (*on_text)(struct h2_peer *p);
    /** A frame is over. May be NULL. */
    void (*on_frame)(struct h2_peer *p, uint8_t type, uint8_t flags, uint32_t stream);
};

/** Reads what is there. */
void h2_peer_read(struct h2_peer *p);
void h2_peer_send(struct h2_peer *p, const void *bytes, size_t n);
void h2_peer_frame(struct h2_peer *p, unsigned type, unsigned flags, uint32_t stream,
                   const void *payload, size_t n);
void h2_peer_close(struct h2_peer *p);
/** A HEADERS frame as the input says; `ours`: a new stream of ours, where the input does not say. */
void h2_peer_head(struct h2_peer *p, const struct h2_words *w, bool ours, struct input *in);
/** DATA; any frame, many times; bytes. */
void h2_peer_data(struct h2_peer *p, bool ours, struct input *in);
void h2_peer_any(struct h2_peer *p, bool ours, struct input *in);
void h2_peer_raw(struct h2_peer *p, struct input *in);

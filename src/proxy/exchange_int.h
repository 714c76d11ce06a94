// SPDX-License-Identifier: Apache-2.0
//
// Between the files of the exchange: exchange.c (life, the client's side), stages.c (stages and
// answers), forward.c (the origin's side). Private to src/proxy.

#pragma once

#include "proxy/core.h"

enum { EXCHANGE_MAGIC = 0x65786368 };

/** Runs the request's stages from x->stage on, then forwards. */
void stages_request(struct exchange *x);
/** The response head is there: runs its stages backwards, then sends it. */
void stages_response(struct exchange *x);
/** A head of the origin that is not the final one, or a 101. */
void stages_interim(struct exchange *x, struct http_head *head);

/** Sends the request to the route's upstream. */
void forward_request(struct exchange *x);
/** The client has gone, or an answer of ours takes the place of the origin's: the up side ends. */
void forward_abandon(struct exchange *x);
/** Clears what the origin's side needs; for a new exchange. */
void forward_init(struct exchange *x);
/** Gives back what is not on the arena when there was a hedge; nothing is alive any more. */
void forward_fini(struct exchange *x);
/** For the panic dump; the exchange may be half broken. */
void exchange_describe(const struct exchange *x, struct text *out);
/** Ends the exchange when both sides have. */
void exchange_check_done(struct exchange *x);

static inline struct exchange *exchange_of(const struct http_stream *s)
{
    struct exchange *x = s->user;
    ensure_magic(x, EXCHANGE_MAGIC);
    return x;
}

// SPDX-License-Identifier: Apache-2.0
//
// The functions with which stages answer, as doubles that only note what they were given. A test that
// includes this must not link the exchange itself.

#pragma once

#include "proxy/fake_exchange.h"

struct fake_answered {
    unsigned status; // 0: no answer
    struct slice type;
    struct slice body;
    int error; // of exchange_fail()
};

static struct fake_answered answered;
static unsigned asked_again;         // calls of exchange_ask_again()
static struct http_body *filter_out; // what the down side would consume

void exchange_begin_answer(struct exchange *x, unsigned status)
{
    http_head_init(&x->response, &x->arena, 32768, 100);
    x->response.status = (uint16_t)status;
    answered = (struct fake_answered){0};
}

void exchange_answer_kept(struct exchange *x, struct slice content_type, struct slice body)
{
    answered = (struct fake_answered){x->response.status, content_type, body, 0};
}

void exchange_answer_stream(struct exchange *x, struct slice content_type, uint64_t length,
                            void *producer, void (*on_room)(struct http_body *b, void *producer))
{
    (void)length;
    (void)producer;
    (void)on_room;
    exchange_answer_kept(x, content_type, SLICE(""));
}

void exchange_answer(struct exchange *x, struct slice content_type, struct slice body)
{
    exchange_answer_kept(x, content_type, arena_dup(&x->arena, body));
}

void exchange_fail(struct exchange *x, int error, enum http_side side)
{
    (void)side;
    x->error = error;
    answered = (struct fake_answered){.status = 1, .error = error};
}

void exchange_fail_status(struct exchange *x, unsigned status)
{
    (void)x;
    answered = (struct fake_answered){.status = status, .error = 1};
}

void exchange_ask_again(struct exchange *x)
{
    (void)x;
    asked_again++;
}

struct http_body *exchange_filter_response(struct exchange *x, struct http_body **in)
{
    filter_out = arena_alloc(&x->arena, sizeof(*filter_out));
    if (filter_out != NULL) {
        http_body_init(filter_out, EXCHANGE_FILTER_LIMIT);
        *in = &x->response_body;
    }
    return filter_out;
}

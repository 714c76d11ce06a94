// SPDX-License-Identifier: Apache-2.0
//
// Between the files of a check: check.c (connecting, ending), check_http.c (what is asked and how the
// answer is judged), check_grpc.c (the messages of the gRPC health protocol). Private to src/upstream.

#pragma once

#include "base/arena.h"
#include "http/body.h"
#include "http/head.h"
#include "upstream/check.h"

enum { CHECK_MAGIC = 0x6368656b, CHECK_ARENA_FIRST = 2048, CHECK_ARENA_MAX = 96 * 1024 };
enum { CHECK_GRPC_MAX = 256 }; // bytes of a message of the protocol, with its prefix

struct check {
    uint32_t magic;
    bool asked;   // the request was sent
    bool judged;  // result.verdict stands
    bool over;    // nothing more is wanted of the server
    bool matched; // the body has the text
    uint8_t match;
    struct check_order order;
    struct loop *loop;
    struct dial *dial;
    struct up_session *session;
    struct http_stream *stream;
    struct wheel_timer deadline;
    struct task step;
    uint64_t began_ns;
    void (*done)(void *arg, const struct check_result *r);
    void *arg;
    struct check_result result;
    uint32_t grpc_len;
    char grpc[CHECK_GRPC_MAX];
    struct arena arena;
    struct http_head request;
    struct http_head response;
    struct http_body request_body;
    struct http_body response_body;
    char first[CHECK_ARENA_FIRST];
};

/** The first verdict stands. */
void check_judge(struct check *c, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/** Nothing more is to come: the connection is closed at the end of this turn. */
void check_over(struct check *c);

/** Takes a stream, of c->session or of a server that calls in, and asks. */
void check_http_ask(struct check *c);

/** The question (RFC of gRPC over HTTP/2: five bytes of prefix, then protobuf); its length, at most
 * CHECK_GRPC_MAX. */
size_t check_grpc_write(char out[CHECK_GRPC_MAX], struct slice service);
/** The answer's `status` member; 0 when it is not in it. E_INVALID: it is no such message. */
int check_grpc_read(struct slice message, uint64_t *status) must_check;
/** "NOT_SERVING". Static. */
const char *check_grpc_text(uint64_t status);

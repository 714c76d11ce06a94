// SPDX-License-Identifier: Apache-2.0
//
// The `ask` URL: 200 is yes, anything else is no.

#include <stdio.h>

#include "acme/acme.h"
#include "base/error.h"
#include "tap.h"
#include "web.h"

static uint16_t port;
static char why_buffer[512];
static struct text why;

static void setup(void)
{
    port = web_start();
}

static int ask(const char *path, const char *name)
{
    char url[256];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    why = text_on(why_buffer, sizeof(why_buffer));
    return acme_ask(slice_str(url), slice_str(name), &why);
}

static void yes_is_200(void)
{
    web_answer(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", "a.example"), 0);
    CHECK(slice_starts(web_asked(), SLICE("GET /may?domain=a.example HTTP/1.1\r\n")));
    CHECK_EQ_INT(ask("/may?key=1", "b.example"), 0);
    CHECK(slice_starts(web_asked(), SLICE("GET /may?key=1&domain=b.example HTTP/1.1\r\n")));
}

static void all_else_is_no(void)
{
    web_answer(SLICE("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", "a.example"), E_DENIED);
    CHECK_TEXT(why.ptr, why.len, "the `ask` URL answered with status 403");
    web_answer(SLICE("HTTP/1.1 204 Nothing\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", "a.example"), E_DENIED);
    web_answer(SLICE("HTTP/1.1 302 There\r\nLocation: /yes\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", "a.example"), E_DENIED);
    web_answer(SLICE("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", "a.example"), E_DENIED);
}

static void names_that_are_none_are_not_asked_for(void)
{
    web_answer(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    CHECK_EQ_INT(ask("/may", ""), E_DENIED);
    CHECK_EQ_INT(ask("/may", "a&b=c"), E_DENIED);
    CHECK_EQ_INT(ask("/may", "a b"), E_DENIED);
    CHECK_EQ_INT(ask("/may", "a\r\nX: y"), E_DENIED);
}

static void who_does_not_answer_is_no(void)
{
    web_answer(SLICE("x"));
    CHECK(ask("/may", "a.example") != 0);
    CHECK(why.len > 0);
    why = text_on(why_buffer, sizeof(why_buffer));
    CHECK_EQ_INT(acme_ask(SLICE("ftp://x"), SLICE("a.example"), &why), E_INVALID);
}

static void fini(void)
{
    web_stop();
}

TAP_MAIN(setup, yes_is_200, all_else_is_no, names_that_are_none_are_not_asked_for,
         who_does_not_answer_is_no, fini)

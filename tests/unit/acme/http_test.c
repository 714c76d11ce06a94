// SPDX-License-Identifier: Apache-2.0
//
// HTTP exchanges: what is sent, what is kept of an answer, and what is not accepted.

#include "acme/http.h"

#include <stdio.h>
#include <time.h>

#include "base/error.h"
#include "base/slab.h"
#include "tap.h"
#include "web.h"

static uint16_t port;
static struct arena a;
static char why_buffer[512];
static struct text why;
static struct acme_answer answer;

static void setup(void)
{
    port = web_start();
    arena_init(&a, NULL, 0, NULL, 64 << 20);
}

static int call_with(struct acme_call *c, const char *path, const atomic_bool *cancel)
{
    struct acme_http *h = NULL;
    char url[256];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", port, path);
    c->url = slice_str(url);
    c->clear_allowed = true;
    c->direct = true;
    why = text_on(why_buffer, sizeof(why_buffer));
    int rc = acme_http_open((struct slice){NULL, 0}, cancel, &h, &why);
    if (rc == 0) {
        rc = acme_http_call(h, c, &a, &answer, &why);
    }
    acme_http_close(h);
    return rc;
}

static int get(const char *path)
{
    return call_with(&(struct acme_call){.method = ACME_GET}, path, NULL);
}

static void urls_are_looked_at(void)
{
    CHECK(acme_url_ok(SLICE("https://a/b?c"), false));
    CHECK(acme_url_ok(SLICE("http://a"), true));
    CHECK(!acme_url_ok(SLICE("http://a"), false));
    static const char *const bad[] = {
        "",          "https://",    "https:///x",       "HTTPS://a",   "https://a b",
        "file:///x", "https://a\n", "https://\xc3\xa4", "https://a\"b"};
    for (size_t i = 0; i < array_len(bad); i++) {
        CHECK(!acme_url_ok(slice_str(bad[i]), true));
    }
    char url[ACME_URL_MAX + 10];
    memset(url, 'x', sizeof(url));
    memcpy(url, "https://", 8);
    CHECK(!acme_url_ok(slice_of(url, ACME_URL_MAX + 1), false));
    CHECK(acme_url_ok(slice_of(url, ACME_URL_MAX), false));
}

static void waits_are_read(void)
{
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("120"), 0), 120000);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE(" 0 "), 0), 0);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("-1"), 0), 0);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("soon"), 0), 0);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("18446744073709551615"), 0), 30ull * 86400 * 1000);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("Mon, 23 Nov 2026 09:15:00 GMT"), 1795425290), 10000);
    CHECK_EQ_INT(acme_retry_after_ms(SLICE("Mon, 23 Nov 2026 09:15:00 GMT"), 1795425300), 0);
}

static void fields_are_kept_when_they_are_good(void)
{
    web_answer(SLICE("HTTP/1.1 100 Continue\r\nReplay-Nonce: early\r\n\r\n"
                     "HTTP/1.1 429 Slow\r\nreplay-nonce: abc_-9\r\nLocation: https://ca/1\r\n"
                     "Retry-After: 5\r\nContent-Length: 5\r\n\r\nhello"));
    if (CHECK_EQ_INT(get("/"), 0)) {
        CHECK_EQ_INT(answer.status, 429);
        CHECK_TEXT(answer.body.ptr, answer.body.len, "hello");
        CHECK_TEXT(answer.nonce.ptr, answer.nonce.len, "abc_-9");
        CHECK_TEXT(answer.location.ptr, answer.location.len, "https://ca/1");
        CHECK_EQ_INT(answer.retry_after_ms, 5000);
    }
    web_answer(SLICE("HTTP/1.1 200 OK\r\nReplay-Nonce: a b\r\nLocation: javascript:1\r\n"
                     "Content-Length: 0\r\n\r\n"));
    if (CHECK_EQ_INT(get("/"), 0)) {
        CHECK_EQ_INT(answer.nonce.len + answer.location.len + answer.body.len, 0);
    }
}

static void what_is_sent(void)
{
    web_answer(SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    struct acme_call c = {.method = ACME_POST,
                          .body = SLICE("{\"a\":1}"),
                          .content_type = "application/jose+json",
                          .accept = "application/json"};
    CHECK_EQ_INT(call_with(&c, "/path?q", NULL), 0);
    struct slice asked = web_asked();
    CHECK(slice_starts(asked, SLICE("POST /path?q HTTP/1.1\r\n")));
    CHECK(slice_find(asked, SLICE("\r\nUser-Agent: adit/")) > 0);
    CHECK(slice_find(asked, SLICE("\r\nAccept-Language: en\r\n")) > 0);
    CHECK(slice_find(asked, SLICE("\r\nContent-Type: application/jose+json\r\n")) > 0);
    CHECK(slice_ends(asked, SLICE("\r\n\r\n{\"a\":1}")));
}

static void too_much_is_refused(void)
{
    static char big[400000];
    static char fields[4096]; // of its own: the server may still be sending the other one
    int head = snprintf(big, sizeof(big), "HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
    memset(big + head, 'x', 300000);
    web_answer(slice_of(big, (size_t)head + 300000));
    CHECK_EQ_INT(get("/"), E_TOO_LARGE);
    CHECK(why.len > 0);
    head = snprintf(fields, sizeof(fields), "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 300; i++) {
        head += snprintf(fields + head, sizeof(fields) - (size_t)head, "X: y\r\n");
    }
    head += snprintf(fields + head, sizeof(fields) - (size_t)head, "Content-Length: 0\r\n\r\n");
    web_answer(slice_of(fields, (size_t)head));
    CHECK_EQ_INT(get("/"), E_TOO_MANY_FIELDS);
}

static void failures_have_reasons(void)
{
    web_answer(SLICE("nonsense\r\n\r\n"));
    CHECK(get("/") != 0);
    CHECK(slice_find(text_slice(&why), SLICE("no answer from http://127.0.0.1")) == 0);
    web_answer((struct slice){NULL, 0});
    struct acme_call c = {.time_max_ms = 200};
    CHECK_EQ_INT(call_with(&c, "/", NULL), E_RESPONSE_TIMEOUT);
    struct acme_http *h = NULL;
    why = text_on(why_buffer, sizeof(why_buffer));
    if (CHECK_EQ_INT(acme_http_open((struct slice){NULL, 0}, NULL, &h, &why), 0)) {
        struct acme_call clear = {.url = SLICE("http://127.0.0.1/")};
        CHECK_EQ_INT(acme_http_call(h, &clear, &a, &answer, &why), E_INVALID);
        acme_http_close(h);
    }
}

static void authorities_have_a_size(void)
{
    static char pem[(1 << 20) + 1];
    struct acme_http *h = NULL;
    why = text_on(why_buffer, sizeof(why_buffer));
    CHECK_EQ_INT(acme_http_open(slice_of(pem, sizeof(pem)), NULL, &h, &why), E_TOO_LARGE);
    CHECK(h == NULL && why.len > 0);
}

static void redirects_are_counted(void)
{
    char bytes[256];
    int len = snprintf(bytes, sizeof(bytes),
                       "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%u/again\r\n"
                       "Content-Length: 0\r\n\r\n",
                       port);
    web_answer(slice_of(bytes, (size_t)len));
    CHECK_EQ_INT(get("/"), 0);
    CHECK_EQ_INT(answer.status, 302);
    struct acme_call c = {.redirects_max = 3};
    CHECK_EQ_INT(call_with(&c, "/", NULL), E_INVALID);
    web_answer(
        SLICE("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"));
    CHECK(call_with(&c, "/", NULL) != 0);
}

static void cancelled_calls_end(void)
{
    atomic_bool cancel = true;
    CHECK_EQ_INT(call_with(&(struct acme_call){.method = ACME_GET}, "/", &cancel), E_DRAINING);
    CHECK_EQ_INT(acme_http_sleep(&cancel, 60000), E_DRAINING);
    atomic_store(&cancel, false);
    CHECK_EQ_INT(acme_http_sleep(&cancel, 1), 0);
    CHECK_EQ_INT(acme_http_sleep(NULL, 0), 0);
}

// Once for the process, so this comes last.
static void the_end_of_the_process_ends_all_calls(void)
{
    acme_http_stop();
    CHECK_EQ_INT(get("/"), E_DRAINING);
    CHECK_EQ_INT(acme_http_sleep(NULL, 60000), E_DRAINING);
}

static void fini(void)
{
    web_stop();
    arena_fini(&a);
}

TAP_MAIN(setup, urls_are_looked_at, waits_are_read, fields_are_kept_when_they_are_good,
         what_is_sent, too_much_is_refused, failures_have_reasons, authorities_have_a_size,
         redirects_are_counted, cancelled_calls_end, the_end_of_the_process_ends_all_calls, fini)

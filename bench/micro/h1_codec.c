// SPDX-License-Identifier: Apache-2.0
//
// Micro benchmark of the HTTP/1.1 codec: nanoseconds per head for scanning, parsing and writing, and
// per chunk for decoding. With an argument one case runs a fixed number of times, for counting
// instructions:
//
//     valgrind --tool=callgrind --toggle-collect='run_case*' build-bench/bench/bench-h1-codec parse-browser

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "h1/codec.h"

static const struct h1_limits limits = {.head_bytes = 32768, .target_bytes = 8192, .fields = 100};

static const char small[] = "GET /128 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static const char browser[] =
    "GET /assets/app.css?v=20260801 HTTP/1.1\r\n"
    "Host: www.example.com\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
    "Accept: text/css,*/*;q=0.1\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Connection: keep-alive\r\n"
    "Cookie: session=0123456789abcdef\r\n"
    "Sec-Fetch-Mode: no-cors\r\n"
    "\r\n";

static const char answer[] = "HTTP/1.1 200 OK\r\n"
                             "Server: nginx/1.22.1\r\n"
                             "Date: Mon, 02 Nov 2026 10:00:00 GMT\r\n"
                             "Content-Type: text/plain\r\n"
                             "Content-Length: 128\r\n"
                             "Last-Modified: Sun, 01 Nov 2026 10:00:00 GMT\r\n"
                             "Connection: keep-alive\r\n"
                             "ETag: \"0123456789\"\r\n"
                             "Accept-Ranges: bytes\r\n"
                             "\r\n";

static char chunks[8192];
static size_t chunks_len;

// As an exchange has it: a first block that needs no allocation.
static char block[8192];
static struct arena arena;
static struct http_head head;
static struct http_head request;
static enum h1_framing framing;
static char output[4096];

static void begin(struct http_head *h)
{
    arena_init(&arena, block, sizeof(block), NULL, 65536);
    http_head_init(h, &arena, 65536, 128);
}

static size_t scan(const char *p, size_t n)
{
    struct h1_scan s = {0};
    size_t len = 0;
    int rc = h1_scan_head(&s, &limits, p, n, &len);
    ensure(rc == 0);
    return len;
}

static void parse(const char *p, size_t n)
{
    begin(&head);
    int rc = h1_parse_request(p, scan(p, n), &limits, &head, &framing);
    ensure(rc == 0);
}

// ---- cases -----------------------------------------------------------------------------------------

static void scan_browser(void)
{
    (void)scan(browser, sizeof(browser) - 1);
}
static void parse_small(void)
{
    parse(small, sizeof(small) - 1);
}
static void parse_browser(void)
{
    parse(browser, sizeof(browser) - 1);
}
static void parse_answer(void)
{
    begin(&head);
    size_t len = scan(answer, sizeof(answer) - 1);
    int rc = h1_parse_response(answer, len, &limits, &request, &head, &framing);
    ensure(rc == 0);
}
static void write_request(void)
{
    struct text out = text_on(output, sizeof(output));
    h1_write_request(&out, &head, framing);
    ensure(!out.overflow);
}
static void write_response(void)
{
    struct text out = text_on(output, sizeof(output));
    h1_write_response(&out, &head, framing, false, 1, SLICE("Mon, 02 Nov 2026 10:00:00 GMT"));
    ensure(!out.overflow);
}
static void decode_chunks(void)
{
    struct h1_chunked d = {0};
    int event = H1_CHUNKED_MORE;
    for (size_t at = 0; event != H1_CHUNKED_END;) {
        size_t used;
        struct slice data;
        event = h1_chunked_next(&d, chunks + at, chunks_len - at, &used, &data);
        ensure(event >= 0);
        at += used;
    }
}

struct bench_case {
    const char *name;
    void (*before)(void); // once
    void (*run)(void);
};

static const struct bench_case cases[] = {
    {"scan-browser", NULL, scan_browser},
    {"parse-small", NULL, parse_small},
    {"parse-browser", NULL, parse_browser},
    {"parse-answer", NULL, parse_answer},
    {"write-request", parse_browser, write_request},
    {"write-response", parse_answer, write_response},
    {"decode-chunks", NULL, decode_chunks}, // 64 chunks of 100 bytes
};

// Kept out of line: callgrind collects inside of it.
__attribute__((noinline)) static void run_case(const struct bench_case *c, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        c->run();
        __asm__ volatile("" ::: "memory");
    }
}

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void time_case(const struct bench_case *c)
{
    enum { RUNS = 20000, ROUNDS = 25 };
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        run_case(c, RUNS);
        double ns = (now_ns() - start) / RUNS;
        best = ns < best ? ns : best;
    }
    printf("%-16s %8.1f ns\n", c->name, best);
}

int main(int argc, char **argv)
{
    for (int i = 0; i < 64; i++) {
        memcpy(chunks + chunks_len, "64\r\n", 4);
        memset(chunks + chunks_len + 4, 'x', 100);
        memcpy(chunks + chunks_len + 104, "\r\n", 2);
        chunks_len += 106;
    }
    memcpy(chunks + chunks_len, "0\r\n\r\n", 5);
    chunks_len += 5;
    request.method = HTTP_METHOD_GET;
    for (size_t i = 0; i < array_len(cases); i++) {
        if (argc > 1 && strcmp(argv[1], cases[i].name) != 0) {
            continue;
        }
        if (cases[i].before != NULL) {
            cases[i].before();
        }
        if (argc > 1) {
            run_case(&cases[i], 1000);
        } else {
            time_case(&cases[i]);
        }
    }
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// Log lines: what they say, and that nothing a peer sends can break them.

#include "proxy/access_log.h"

#include "obs/log.h"
#include "proxy/fake_exchange.h"

static char bytes[LOG_LINE_MAX + 1];

static const char *json_of(const struct exchange *x)
{
    struct text t = text_on(bytes, LOG_LINE_MAX);
    access_log_json(x, 5000000000, &t);
    CHECK(!t.overflow);
    bytes[t.len] = '\0';
    return bytes;
}

static const char *combined_of(const struct exchange *x)
{
    struct text t = text_on(bytes, LOG_LINE_MAX);
    access_log_combined(x, 5000000000, &t);
    CHECK(!t.overflow);
    bytes[t.len] = '\0';
    return bytes;
}

static struct fake *finished(void)
{
    struct fake *f = fake_new();
    f->loop.wall_ms = 1795412772345; // 2026-11-23T05:46:12.345Z
    f->x.answered = true;
    f->x.response.status = 200;
    f->x.original_target = SLICE("/a?b=c");
    f->x.request_body.put_total = 7;
    f->x.response_body.taken_total = 1234;
    f->x.response_out = &f->x.response_body;
    f->x.first.ticket.server_text = SLICE("10.0.0.1:8080");
    f->x.times = (struct exchange_times){
        .start = 1000000000,
        .acquired = 1002500000,
        .connect = 2000000,
        .response = 1010000500,
        .sent = 1011001999,
    };
    fake_field(f, "User-Agent", "curl/8");
    return f;
}

static void says_it_all_in_json(void)
{
    struct fake *f = finished();
    CHECK_STR(json_of(&f->x),
              "{\"time\":\"2026-11-23T05:46:12.345Z\",\"id\":\"00000000000000ab\","
              "\"client\":\"192.0.2.7\",\"method\":\"GET\",\"host\":\"example.com\","
              "\"target\":\"/a?b=c\",\"protocol\":\"HTTP/1.1\",\"status\":200,\"bytes_in\":7,"
              "\"bytes_out\":1234,\"referer\":\"\",\"user_agent\":\"curl/8\",\"site\":\"\","
              "\"route\":\"\",\"upstream\":\"10.0.0.1:8080\",\"queue_ms\":0.500,"
              "\"connect_ms\":2.000,\"first_byte_ms\":10.000,\"total_ms\":11.001}\n");
    fake_free(f);
}

static void says_what_failed(void)
{
    struct fake *f = finished();
    f->x.answered = false;
    f->x.error = E_CLIENT_GONE;
    f->x.error_side = HTTP_DOWN;
    f->x.times.sent = 0;
    const char *line = json_of(&f->x);
    CHECK(strstr(line, "\"status\":499,") != NULL);
    CHECK(strstr(line, "\"total_ms\":4000.000,\"error\":\"client-gone\",\"side\":\"down\"}\n") !=
          NULL);
    struct text t = text_on(bytes, LOG_LINE_MAX);
    f->x.error = E_BAD_STATUS_LINE;
    f->x.error_side = HTTP_UP;
    access_log_failure(&f->x, &t);
    bytes[t.len] = '\0';
    CHECK_STR(bytes, "origin side: bad status line (RFC 9112 4) error=bad-status-line side=up "
                     "status=502 id=00000000000000ab client=192.0.2.7 method=\"GET\" "
                     "host=\"example.com\" target=\"/a?b=c\" upstream=\"10.0.0.1:8080\"");
    fake_free(f);
}

static void writes_the_combined_form(void)
{
    struct fake *f = finished();
    fake_field(f, "Referer", "http://x/\"quoted\"\\");
    CHECK_STR(combined_of(&f->x),
              "192.0.2.7 - - [23/Nov/2026:05:46:12 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234 "
              "\"http://x/\\\"quoted\\\"\\\\\" \"curl/8\"\n");
    f->x.original_target = SLICE("/a\nb\x80\x7f");
    f->x.response_body.taken_total = 0;
    f->x.response.status = 0;
    f->x.request.method_text = SLICE("");
    f->x.request.version_minor = 0;
    CHECK(strstr(combined_of(&f->x), "] \"- /a\\x0ab\\x80\\x7f HTTP/1.0\" 000 - ") != NULL);
    fake_free(f);
}

// Whatever peers send, a line is one line and fits.
static void cuts_what_is_long(void)
{
    static const char fill[] = {'a', '\\', '"', '\x01', '\x80'};
    static char target[8192];
    static char agent[4097];
    for (size_t i = 0; i < sizeof(fill); i++) {
        struct fake *f = finished();
        memset(target, fill[i], sizeof(target));
        memset(agent, fill[i], sizeof(agent) - 1);
        f->x.original_target = slice_of(target, sizeof(target));
        f->x.request.authority = f->x.original_target;
        f->x.request.method_text = f->x.original_target;
        f->x.first.ticket.server_text = f->x.original_target;
        fake_field(f, "Referer", agent);
        fake_field(f, "User-Agent", agent);
        const char *line = json_of(&f->x);
        CHECK(strchr(line, '\n') == line + strlen(line) - 1);
        CHECK(strstr(line, "...\",\"protocol\"") != NULL);
        line = combined_of(&f->x);
        CHECK(strchr(line, '\n') == line + strlen(line) - 1);
        CHECK(strstr(line, "... HTTP/1.1\"") != NULL);
        fake_free(f);
    }
}

static void knows_the_calendar(void)
{
    static const struct {
        uint64_t seconds;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},          {951782399, "2000-02-28T23:59:59.000Z"},
        {951782400, "2000-02-29T00:00:00.000Z"},  {951868800, "2000-03-01T00:00:00.000Z"},
        {1735689599, "2024-12-31T23:59:59.000Z"}, {1709164800, "2024-02-29T00:00:00.000Z"},
        {4107542400, "2100-03-01T00:00:00.000Z"},
    };
    struct fake *f = finished();
    for (size_t i = 0; i < array_len(rows); i++) {
        f->loop.wall_ms = rows[i].seconds * 1000;
        CHECK_EQ_INT(strncmp(json_of(&f->x) + 9, rows[i].text, 24), 0);
    }
    fake_free(f);
}

static void says_what_was_secure(void)
{
    struct fake *f = finished();
    f->x.protocol = "2";
    f->x.tls.version = SLICE("TLSv1.3");
    f->x.tls.cipher = SLICE("TLS_AES_128_GCM_SHA256");
    CHECK(strstr(json_of(&f->x), ",\"protocol\":\"HTTP/2\",\"tls\":\"TLSv1.3\",\"cipher\":"
                                 "\"TLS_AES_128_GCM_SHA256\",\"status\":") != NULL);
    f->x.tls.client = SLICE("me \"x\"");
    CHECK(strstr(json_of(&f->x), ",\"client_cert\":\"me \\\"x\\\"\",") != NULL);
    CHECK(strstr(combined_of(&f->x), " HTTP/2\" ") != NULL);
    fake_free(f);
}

TAP_MAIN(says_what_was_secure, says_it_all_in_json, says_what_failed, writes_the_combined_form,
         cuts_what_is_long, knows_the_calendar)

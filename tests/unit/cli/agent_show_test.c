// SPDX-License-Identifier: Apache-2.0
//
// What people and programs are shown, and that peers cannot draw on the terminal.

#include "tap.h"

#include "agent/answer.h"
#include "base/text.h"
#include "cli/agent_qr.h"
#include "cli/agent_show.h"

static char buffer[32768];
static struct agent_plan plan = {
    .tunnel_count = 1,
    .tunnels = {{.shown = SLICE_INIT("http://localhost:3000")}},
    .edge_count = 1,
    .edges = {{.host = SLICE_INIT("tunnel.example.com"), .port = 443, .secure = true}},
};

static const char *text_of(const struct agent_event *e, bool json)
{
    static struct agent_show s;
    s = (struct agent_show){.plan = &plan, .json = json};
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    if (json) {
        agent_show_json(&s, e, 1795000000123, &t);
    } else {
        agent_show_text(&s, e, &t);
    }
    CHECK(!t.overflow);
    buffer[t.len] = '\0';
    return buffer;
}

static struct agent_answer granted = {
    .status = 101,
    .name = "myapp",
    .url_count = 2,
    .urls = {"https://myapp.example.com", "http://myapp.example.com"},
    .connection_id = 7};

static void shows_urls(void)
{
    const struct agent_event e = {.kind = AGENT_EVENT_READY, .answer = &granted};
    CHECK_STR(text_of(&e, false), "  https://myapp.example.com -> http://localhost:3000\n"
                                  "  http://myapp.example.com  -> http://localhost:3000\n\n");
    CHECK_STR(text_of(&e, true),
              "{\"event\":\"ready\",\"time\":\"2026-11-18T11:06:40.123Z\",\"tunnel\":0,"
              "\"target\":\"http://localhost:3000\",\"edge\":\"tunnel.example.com\","
              "\"name\":\"myapp\",\"urls\":[\"https://myapp.example.com\","
              "\"http://myapp.example.com\"],\"connection\":7}\n");
}

static void escapes_what_visitors_wrote(void)
{
    const struct agent_request r = {.method = SLICE("GET"),
                                    .target = SLICE("/\x1b[2J\n\"\\\xff"),
                                    .client = SLICE("203.0.113.9"),
                                    .status = 200,
                                    .took_us = 12345,
                                    .bytes_out = 1536};
    const struct agent_event e = {.kind = AGENT_EVENT_REQUEST, .request = &r};
    const char *text = text_of(&e, false);
    CHECK(strstr(text, "/\\x1b[2J\\x0a\"\\\\\\xff  12 ms  1.5 kB\n") != NULL);
    CHECK(strchr(text, '\x1b') == NULL);
    text = text_of(&e, true);
    CHECK(strstr(text, "\"target\":\"/\\u001b[2J\\n\\\"\\\\\xef\xbf\xbd\"") != NULL);
    CHECK(strstr(text, "\"duration_ms\":12.345") != NULL);
    CHECK(strchr(text, '\n') == text + strlen(text) - 1);
}

static void lines_fit_the_terminal(void)
{
    struct agent_show s = {.plan = &plan, .columns = 60, .said_down = {true}};
    const struct agent_request r = {
        .method = SLICE("GET"),
        .target = SLICE("/a/very/long/path/that/goes/on/and/on/and/on/and/on/and/on/and/on"),
        .status = 200,
        .took_us = 900,
        .error = SLICE("refused")};
    const struct agent_event e = {.kind = AGENT_EVENT_REQUEST, .request = &r};
    struct text t = text_on(buffer, sizeof(buffer));
    agent_show_text(&s, &e, &t);
    CHECK_EQ_INT(t.len, 61);
    CHECK(slice_ends(text_slice(&t), SLICE("...  <1 ms  0 B  refused\n")));
}

static void urls_stay_whole_when_it_is_narrow(void)
{
    struct agent_show s = {.plan = &plan, .columns = 40};
    const struct agent_event e = {.kind = AGENT_EVENT_READY, .answer = &granted};
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    agent_show_text(&s, &e, &t);
    buffer[t.len] = '\0';
    CHECK_STR(buffer, "  https://myapp.example.com\n  http://myapp.example.com\n"
                      "    -> http://localhost:3000\n  Ctrl-C ends it\n\n");
}

static void says_where_the_inspector_is(void)
{
    struct agent_show s = {.plan = &plan, .inspect_port = 4041, .quiet = true};
    const struct agent_event e = {.kind = AGENT_EVENT_READY, .answer = &granted};
    for (unsigned i = 0; i < 2; i++) { // once
        struct text t = text_on(buffer, sizeof(buffer) - 1);
        agent_show_text(&s, &e, &t);
        bool told = slice_find(text_slice(&t), SLICE("  inspect http://127.0.0.1:4041\n")) >= 0;
        CHECK(told == (i == 0));
    }
    struct text t = text_on(buffer, sizeof(buffer) - 1);
    agent_show_json(&s, &e, 0, &t);
    CHECK(slice_find(text_slice(&t), SLICE(",\"inspect\":\"http://127.0.0.1:4041\"}")) >= 0);
}

static void says_once_that_nothing_listens(void)
{
    static struct agent_show s = {.plan = &plan};
    static const struct {
        const char *error;
        bool told;
    } rows[] = {{"refused", true}, {"refused", false}, {"", false}, {"refused", true}};
    for (size_t i = 0; i < array_len(rows); i++) {
        const struct agent_request r = {
            .method = SLICE("GET"), .status = 502, .error = slice_str(rows[i].error)};
        const struct agent_event e = {.kind = AGENT_EVENT_REQUEST, .request = &r};
        struct text t = text_on(buffer, sizeof(buffer));
        agent_show_text(&s, &e, &t);
        struct slice hint = SLICE("  nothing listens at http://localhost:3000\n");
        CHECK_EQ_INT(slice_find(text_slice(&t), hint) >= 0, rows[i].told);
    }
}

static void helps_who_was_never_let_in(void)
{
    static struct agent_plan here = {
        .tunnel_count = 1,
        .edge_count = 1,
        .edges = {{.host = SLICE_INIT("localhost"), .port = 8080, .secure = true}},
    };
    static const struct {
        const char *text;
        const char *hint;
    } rows[] = {{"localhost:8080: connection refused", "`adit serve` starts one"},
                {"localhost:8080: TLS handshake failed", "--server http://localhost:8080\n"},
                {"localhost: timeout", "`adit diagnose`"}};
    for (size_t i = 0; i < array_len(rows); i++) {
        struct agent_show s = {.plan = &here};
        const struct agent_event e = {.kind = AGENT_EVENT_FAILED, .text = slice_str(rows[i].text)};
        struct text t = text_on(buffer, sizeof(buffer));
        agent_show_text(&s, &e, &t);
        CHECK(slice_find(text_slice(&t), slice_str(rows[i].hint)) > 0);
        t.len = 0;
        s = (struct agent_show){.plan = &here, .told_ready = true};
        agent_show_text(&s, &e, &t);
        CHECK(slice_find(text_slice(&t), slice_str(rows[i].hint)) < 0);
    }
}

static void says_what_failed_once(void)
{
    static struct agent_show s = {.plan = &plan};
    struct agent_event e = {
        .kind = AGENT_EVENT_FAILED, .text = SLICE("connection refused"), .in_ms = 1500};
    struct text t = text_on(buffer, sizeof(buffer));
    agent_show_text(&s, &e, &t);
    CHECK(slice_find(text_slice(&t), SLICE("connection refused; trying again\n")) > 0);
    t.len = 0;
    agent_show_text(&s, &e, &t);
    CHECK_EQ_INT(t.len, 0);
    e.text = SLICE("no route to host");
    agent_show_text(&s, &e, &t);
    CHECK(t.len > 0);
}

static void says_why_it_ended(void)
{
    struct agent_answer taken = {.status = 409, .reason = "taken", .suggestion = "myapp-2"};
    struct agent_event e = {
        .kind = AGENT_EVENT_ENDED, .text = SLICE("myapp is taken"), .answer = &taken};
    CHECK_STR(text_of(&e, false), "adit: myapp is taken\n  free is, for example: as myapp-2\n");
    CHECK(strstr(text_of(&e, true),
                 "\"status\":409,\"reason\":\"taken\",\"suggestion\":\"myapp-2\","
                 "\"text\":\"myapp is taken\"}") != NULL);
    taken = (struct agent_answer){.status = 401};
    CHECK(strstr(text_of(&e, false), "`adit login tunnel.example.com` keeps") != NULL);
}

static void draws_codes(void)
{
    struct text t = text_on(buffer, sizeof(buffer));
    agent_qr_draw("https://c9k2m4p7q1x8v3.tunnel.example.com", 20, &t);
    CHECK_EQ_INT(t.len, 0); // it would be cut
    agent_qr_draw("https://c9k2m4p7q1x8v3.tunnel.example.com", 80, &t);
    CHECK(!t.overflow);
#ifdef ADIT_HAVE_QRENCODE
    CHECK(t.len > 500);
#else
    CHECK_EQ_INT(t.len, 0);
#endif
}

TAP_MAIN(shows_urls, escapes_what_visitors_wrote, lines_fit_the_terminal,
         urls_stay_whole_when_it_is_narrow, says_where_the_inspector_is,
         says_once_that_nothing_listens, helps_who_was_never_let_in, says_what_failed_once,
         says_why_it_ended, draws_codes)

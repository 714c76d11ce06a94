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
    struct agent_show s = {.plan = &plan, .columns = 60};
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

static void says_what_failed_once(void)
{
    static struct agent_show s = {.plan = &plan};
    struct agent_event e = {
        .kind = AGENT_EVENT_FAILED, .text = SLICE("connection refused"), .in_ms = 1500};
    struct text t = text_on(buffer, sizeof(buffer));
    agent_show_text(&s, &e, &t);
    CHECK(slice_find(text_slice(&t), SLICE("connection refused; trying again in 2 s\n")) > 0);
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
    CHECK_STR(text_of(&e, false),
              "adit: myapp is taken (taken)\n  free is, for example: ... as myapp-2\n");
    CHECK(strstr(text_of(&e, true),
                 "\"status\":409,\"reason\":\"taken\",\"suggestion\":\"myapp-2\","
                 "\"text\":\"myapp is taken\"}") != NULL);
    taken = (struct agent_answer){.status = 401};
    CHECK(strstr(text_of(&e, false), "adit login") != NULL);
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

TAP_MAIN(shows_urls, escapes_what_visitors_wrote, lines_fit_the_terminal, says_what_failed_once,
         says_why_it_ended, draws_codes)

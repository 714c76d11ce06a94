// SPDX-License-Identifier: Apache-2.0
//
// An agent's events for programs: one JSON object per line (cli/agent_show.h). Names and meanings stay
// as they are from release to release; what is new comes as further members.

#include <string.h>

#include "agent/answer.h"
#include "base/text.h"
#include "obs/log.h"

#include "cli/agent_show.h"

static void put_answer(struct text *t, const struct agent_answer *a)
{
    if (a->status == 101) {
        text_json_string(t, "name", slice_str(a->name));
        text_str(t, ",\"urls\":[");
        for (uint32_t i = 0; i < a->url_count; i++) {
            text_str(t, i > 0 ? ",\"" : "\"");
            text_json(t, slice_str(a->urls[i]));
            text_char(t, '"');
        }
        text_char(t, ']');
        text_json_number(t, "connection", a->connection_id);
        if (a->has_expiry) {
            text_json_number(t, "expires_s", a->expires_s);
        }
        return;
    }
    text_json_number(t, "status", a->status);
    if (a->reason[0] != '\0') {
        text_json_string(t, "reason", slice_str(a->reason));
    }
    if (a->suggestion[0] != '\0') {
        text_json_string(t, "suggestion", slice_str(a->suggestion));
    }
}

static void put_request(struct text *t, const struct agent_request *r)
{
    text_json_string(t, "method", r->method);
    text_json_string(t, "target", r->target);
    text_json_string(t, "client", r->client);
    text_json_number(t, "status", r->status);
    text_printf(t, ",\"duration_ms\":%.3f", (double)r->took_us / 1000);
    text_json_number(t, "bytes_in", r->bytes_in);
    text_json_number(t, "bytes_out", r->bytes_out);
    if (r->error.len > 0) {
        text_json_string(t, "error", r->error);
    }
}

void agent_show_json(struct agent_show *s, const struct agent_event *e, uint64_t wall_ms,
                     struct text *t)
{
    static const char *const names[] = {
        [AGENT_EVENT_READY] = "ready",     [AGENT_EVENT_BACK] = "connected",
        [AGENT_EVENT_LOST] = "lost",       [AGENT_EVENT_FAILED] = "failed",
        [AGENT_EVENT_ENDED] = "ended",     [AGENT_EVENT_REQUEST] = "request",
        [AGENT_EVENT_LEAVING] = "leaving",
    };
    char time[LOG_TIME_BYTES];
    log_time(wall_ms, time);
    text_printf(t, "{\"event\":\"%s\",\"time\":\"%.*s\"", names[e->kind], LOG_TIME_BYTES, time);
    if (e->kind != AGENT_EVENT_LEAVING) {
        text_json_number(t, "tunnel", e->tunnel);
        text_json_string(t, "target", s->plan->tunnels[e->tunnel].shown);
    }
    if (e->kind != AGENT_EVENT_LEAVING && e->kind != AGENT_EVENT_REQUEST) {
        text_json_string(t, "edge", s->plan->edges[e->edge].host);
    }
    if (e->answer != NULL) {
        put_answer(t, e->answer);
    }
    if (e->kind == AGENT_EVENT_READY && s->inspect_port != 0) {
        text_printf(t, ",\"inspect\":\"http://127.0.0.1:%u\"", s->inspect_port);
    }
    if (e->request != NULL) {
        put_request(t, e->request);
    }
    if (e->text.len > 0) {
        text_json_string(t, "text", e->text);
    }
    if (e->kind == AGENT_EVENT_LOST || e->kind == AGENT_EVENT_FAILED) {
        text_json_number(t, "retry_ms", e->in_ms);
    }
    if (s->left_out > 0) {
        text_json_number(t, "left_out", s->left_out);
        s->left_out = 0;
    }
    text_str(t, "}\n");
}

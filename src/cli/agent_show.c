// SPDX-License-Identifier: Apache-2.0
//
// Drawing an agent's events for people (cli/agent_show.h).

#include "cli/agent_show.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "agent/answer.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/text.h"
#include "os/clock.h"

#include "cli/agent_local.h"
#include "cli/agent_qr.h"
#include "cli/agent_words.h"
#include "cli/options.h"

enum {
    SHOW_MAX = 32768,
    TARGET_CUT = 200,
    TARGET_LEAST = 4,
    SHOWN_CUT = 40,
    METHOD_CUT = 16,
    METHOD_WIDTH = 7,
    LINE_BEGIN = 9 + 6 + METHOD_WIDTH, // columns before the target: time, status, method
};

static const char RED[] = "\033[31m";
static const char GREEN[] = "\033[32m";
static const char YELLOW[] = "\033[33m";
static const char CYAN[] = "\033[36m";
static const char BOLD[] = "\033[1m";
static const char DIM[] = "\033[2m";
static const char PLAIN[] = "\033[0m";

static bool has_utf8(void)
{
    const char *names[] = {getenv("LC_ALL"), getenv("LC_CTYPE"), getenv("LANG")};
    for (size_t i = 0; i < array_len(names); i++) {
        if (names[i] != NULL && names[i][0] != '\0') {
            return strcasestr(names[i], "utf-8") != NULL || strcasestr(names[i], "utf8") != NULL;
        }
    }
    return false;
}

static unsigned columns_of(int fd)
{
    struct winsize size;
    return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void agent_show_init(struct agent_show *s, const struct agent_plan *plan, bool json, bool quiet,
                     bool qr)
{
    *s = (struct agent_show){.plan = plan, .json = json, .quiet = quiet};
    s->colour = !json && cli_colour_stdout();
    s->utf8 = has_utf8();
    s->columns = columns_of(STDOUT_FILENO);
    s->qr = qr && !json && !quiet && s->utf8 && isatty(STDOUT_FILENO) == 1;
    for (uint32_t i = 0; i < plan->tunnel_count; i++) {
        s->said_down[i] = !agent_local_listens(&plan->tunnels[i]);
    }
}

// ---- pieces --------------------------------------------------------------------------------------------

static void colour(const struct agent_show *s, struct text *out, const char *code)
{
    text_str(out, s->colour ? code : "");
}

/** What a peer wrote: printable ASCII as it is, the rest as \xHH. */
static void put_safe(struct text *out, struct slice s, size_t most)
{
    for (size_t i = 0; i < s.len && i < most; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c >= 0x20 && c < 0x7f && c != '\\') {
            text_char(out, (char)c);
        } else {
            text_printf(out, c == '\\' ? "\\\\" : "\\x%02x", c);
        }
    }
    text_str(out, s.len > most ? "..." : "");
}

/** The same in at most `room` columns; dots stand for what is left out. */
static void put_cut(struct text *out, struct slice s, size_t room)
{
    char buffer[1024];
    struct text t = text_on(buffer, sizeof buffer);
    put_safe(&t, s, TARGET_CUT);
    bool fits = t.len <= room;
    text_put(out, slice_sub(text_slice(&t), 0, fits ? t.len : room - 3));
    text_str(out, fits ? "" : "...");
}

static void put_size(struct text *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    unsigned unit = 0;
    while (value >= 999.5 && unit + 1 < array_len(units)) {
        value /= 1000;
        unit++;
    }
    text_printf(out, unit == 0 || value >= 99.5 ? "%.0f %s" : "%.1f %s", value, units[unit]);
}

static void put_time(struct text *out, uint64_t us)
{
    if (us < 1000) {
        text_str(out, "<1 ms");
    } else if (us < 10000000) {
        text_printf(out, "%llu ms", (unsigned long long)(us / 1000));
    } else {
        text_printf(out, "%llu s", (unsigned long long)(us / 1000000));
    }
}

static void put_pause(struct text *out, uint64_t ms)
{
    if (ms < 1000) {
        text_str(out, "trying again at once");
    } else {
        text_printf(out, "trying again in %llu s", (unsigned long long)((ms + 999) / 1000));
    }
}

/** A line about the one before. */
static void put_hint(const struct agent_show *s, struct text *out, const char *what,
                     struct slice more)
{
    colour(s, out, DIM);
    text_printf(out, "  %s", what);
    put_safe(out, more, SHOWN_CUT);
    colour(s, out, PLAIN);
    text_char(out, '\n');
}

static void put_down(const struct agent_show *s, uint32_t tunnel, struct text *out)
{
    put_hint(s, out, "nothing listens at ", s->plan->tunnels[tunnel].shown);
}

static void put_clock(const struct agent_show *s, struct text *out)
{
    time_t now = time(NULL);
    struct tm tm;
    if (localtime_r(&now, &tm) != NULL) {
        colour(s, out, DIM);
        text_printf(out, "%02d:%02d:%02d ", tm.tm_hour, tm.tm_min, tm.tm_sec);
        colour(s, out, PLAIN);
    }
}

// ---- events --------------------------------------------------------------------------------------------

static const char *colour_of(unsigned status)
{
    return status >= 500 ? RED : status >= 400 ? YELLOW : status >= 300 ? CYAN : GREEN;
}

/** What follows the target: it stays whole, whatever the width. */
static void put_figures(const struct agent_show *s, const struct agent_event *e, struct text *out)
{
    const struct agent_request *r = e->request;
    text_str(out, "  ");
    put_time(out, r->took_us);
    text_str(out, "  ");
    put_size(out, r->bytes_out);
    if (r->bytes_in > 0) {
        text_str(out, " (");
        put_size(out, r->bytes_in);
        text_str(out, " in)");
    }
    if (s->plan->tunnel_count > 1) {
        text_str(out, "  ");
        put_safe(out, s->plan->tunnels[e->tunnel].shown, SHOWN_CUT);
    }
    if (r->error.len > 0 && !slice_eq(r->error, SLICE("client-gone"))) {
        text_str(out, "  ");
        text_put(out, r->error);
    }
}

static void show_request(struct agent_show *s, const struct agent_event *e, struct text *out)
{
    const struct agent_request *r = e->request;
    put_clock(s, out);
    colour(s, out, r->status == 0 ? DIM : colour_of(r->status));
    if (r->status != 0) {
        text_printf(out, " %u  ", r->status);
    } else {
        text_str(out, " ---  ");
    }
    colour(s, out, PLAIN);
    put_safe(out, r->method, METHOD_CUT);
    for (size_t i = r->method.len; i < METHOD_WIDTH; i++) {
        text_char(out, ' ');
    }
    char buffer[512];
    struct text figures = text_on(buffer, sizeof buffer);
    put_figures(s, e, &figures);
    size_t taken = LINE_BEGIN + figures.len;
    size_t least = taken + TARGET_LEAST;
    size_t room = s->columns == 0 ? TARGET_CUT : TARGET_LEAST;
    room = s->columns > least ? s->columns - taken : room;
    put_cut(out, r->target, room);
    colour(s, out, DIM);
    text_put(out, text_slice(&figures));
    colour(s, out, PLAIN);
    text_char(out, '\n');
    bool down = slice_eq(r->error, slice_str(error_name(E_REFUSED)));
    if (down && !s->said_down[e->tunnel]) {
        put_down(s, e->tunnel, out);
    }
    s->said_down[e->tunnel] = down;
}

static void put_arrow(const struct agent_show *s, struct slice shown, struct text *out)
{
    text_str(out, s->utf8 ? " → " : " -> ");
    put_safe(out, shown, SHOWN_CUT);
    text_char(out, '\n');
}

static void show_urls(struct agent_show *s, const struct agent_event *e, struct text *out)
{
    struct slice shown = s->plan->tunnels[e->tunnel].shown;
    size_t longest = 0;
    for (uint32_t i = 0; i < e->answer->url_count; i++) {
        size_t n = strlen(e->answer->urls[i]);
        longest = n > longest ? n : longest;
    }
    bool beside = s->columns == 0 || longest + shown.len + 6 <= s->columns;
    for (uint32_t i = 0; i < e->answer->url_count; i++) {
        const char *url = e->answer->urls[i];
        text_str(out, "  ");
        colour(s, out, BOLD);
        text_str(out, url);
        colour(s, out, PLAIN);
        for (size_t n = strlen(url); beside && n < longest; n++) {
            text_char(out, ' ');
        }
        if (beside) {
            put_arrow(s, shown, out);
        } else {
            text_char(out, '\n');
        }
    }
    if (!beside) {
        text_str(out, "   ");
        put_arrow(s, shown, out);
    }
    if (s->inspect_port != 0 && !s->told_ready) {
        text_printf(out, "  inspect http://127.0.0.1:%u\n", s->inspect_port);
    }
    bool https = e->answer->url_count > 0 && strncmp(e->answer->urls[0], "https://", 8) == 0;
    if (s->qr && https && s->plan->tunnel_count == 1) {
        text_char(out, '\n');
        agent_qr_draw(e->answer->urls[0], s->columns, out);
    }
    if (e->answer->has_expiry && e->answer->expires_s < 86400) {
        text_printf(out, "  the token is good for another %llu min\n",
                    (unsigned long long)(e->answer->expires_s / 60));
    }
    if (s->said_down[e->tunnel]) {
        put_down(s, e->tunnel, out);
    }
    if (s->columns > 0 && !s->quiet && !s->told_ready) {
        put_hint(s, out, "Ctrl-C ends it", SLICE(""));
    }
    s->told_ready = true;
    text_str(out, s->quiet || s->plan->tunnel_count > 1 ? "" : "\n");
}

/** Which tunnel a notice is about, where there are several. */
static void put_subject(const struct agent_show *s, const struct agent_event *e, struct text *out)
{
    if (s->plan->tunnel_count > 1) {
        put_safe(out, s->plan->tunnels[e->tunnel].shown, SHOWN_CUT);
        text_str(out, ": ");
    }
}

/** How an edge is named to --server. */
static void put_edge(const struct agent_edge *edge, struct text *out)
{
    bool v6 = slice_find_char(edge->host, ':') >= 0;
    text_str(out, edge->secure ? "" : "http://");
    text_str(out, v6 ? "[" : "");
    put_safe(out, edge->host, TARGET_CUT);
    text_str(out, v6 ? "]" : "");
    if (edge->port != (edge->secure ? 443 : 80)) {
        text_printf(out, ":%u", edge->port);
    }
}

/** For who has never been let in: the mistake may be theirs. */
static void put_first_help(const struct agent_show *s, const struct agent_event *e,
                           struct text *out)
{
    const struct agent_edge *edge = &s->plan->edges[e->edge];
    bool local = agent_edge_is_local(edge);
    bool refused = slice_find(e->text, slice_str(error_text(E_REFUSED))) >= 0;
    bool handshake = edge->secure && slice_find(e->text, SLICE("TLS")) >= 0;
    if (local && refused) {
        put_hint(s, out, "no edge is there: `adit serve` starts one", SLICE(""));
    } else if (handshake && (local || edge->port != 443)) {
        char buffer[TARGET_CUT];
        struct text t = text_on(buffer, sizeof buffer);
        struct agent_edge clear = *edge;
        clear.secure = false;
        put_edge(&clear, &t);
        put_hint(s, out, "if it speaks no TLS there: --server ", text_slice(&t));
    } else {
        put_hint(s, out, "`adit diagnose` says which step on the way fails", SLICE(""));
    }
}

static void show_trouble(struct agent_show *s, const struct agent_event *e, const char *what,
                         struct text *out)
{
    static const struct hash_key key = {{0x61646974, 0x73686f77}};
    uint64_t hash = hash_bytes(&key, e->text) | 1;
    uint64_t *last = &s->said_failed[e->tunnel * AGENT_EDGES_MAX + e->edge];
    if (e->kind == AGENT_EVENT_FAILED && *last == hash) {
        return; // said already; it has not changed
    }
    *last = hash;
    put_clock(s, out);
    colour(s, out, YELLOW);
    put_subject(s, e, out);
    text_str(out, what);
    put_safe(out, e->text, ANSWER_BODY_MAX);
    text_str(out, "; ");
    if (e->kind == AGENT_EVENT_FAILED) {
        text_str(out, "trying again");
    } else {
        put_pause(out, e->in_ms);
    }
    colour(s, out, PLAIN);
    text_char(out, '\n');
    if (!s->told_ready && !s->told_help && !s->quiet) {
        put_first_help(s, e, out);
        s->told_help = true;
    }
}

static void show_end(const struct agent_show *s, const struct agent_event *e, struct text *out)
{
    colour(s, out, RED);
    text_str(out, "adit: ");
    put_subject(s, e, out);
    put_safe(out, e->text, ANSWER_BODY_MAX);
    const struct agent_answer *a = e->answer;
    colour(s, out, PLAIN);
    text_char(out, '\n');
    if (a == NULL) {
        return;
    }
    if (a->suggestion[0] != '\0') {
        text_printf(out, "  free is, for example: as %s\n", a->suggestion);
    }
    bool by_token = !s->plan->has_key && s->plan->certificate.len == 0;
    bool nobody = s->plan->token.len == 0 && by_token;
    if ((a->status == 401 && by_token) || (a->status == 403 && nobody)) {
        text_str(out, "  `adit login ");
        put_edge(&s->plan->edges[e->edge], out);
        text_str(out, "` keeps a token, --token gives one\n");
    } else if (a->status == 404 || a->status == 421) {
        text_str(out, "  is --server the edge's own name? `adit diagnose` looks closer\n");
    } else if (a->status == 426) {
        text_str(out,
                 "  the edge speaks another version of the protocol: is this adit up to date?\n");
    }
}

void agent_show_text(struct agent_show *s, const struct agent_event *e, struct text *out)
{
    switch (e->kind) {
    case AGENT_EVENT_READY:
        show_urls(s, e, out);
        break;
    case AGENT_EVENT_BACK:
        s->said_failed[e->tunnel * AGENT_EDGES_MAX + e->edge] = 0;
        put_clock(s, out);
        colour(s, out, GREEN);
        put_subject(s, e, out);
        text_printf(out, "connected again: %s", e->answer->urls[0]);
        colour(s, out, PLAIN);
        text_char(out, '\n');
        break;
    case AGENT_EVENT_LOST:
        show_trouble(s, e, "lost: ", out);
        break;
    case AGENT_EVENT_FAILED:
        show_trouble(s, e, "", out);
        break;
    case AGENT_EVENT_ENDED:
        show_end(s, e, out);
        break;
    case AGENT_EVENT_REQUEST:
        show_request(s, e, out);
        break;
    case AGENT_EVENT_LEAVING:
        if (!s->quiet) {
            text_str(out, "\nending when requests are through; Ctrl-C again: at once\n");
        }
        break;
    }
}

// ---- stdout --------------------------------------------------------------------------------------------

static bool would_wait(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return poll(&p, 1, 0) != 1 || (p.revents & POLLOUT) == 0;
}

void agent_show_event(void *arg, const struct agent_event *e)
{
    struct agent_show *s = arg;
    static char buffer[SHOW_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    bool ended = e->kind == AGENT_EVENT_ENDED;
    if (s->quiet && !s->json && e->kind == AGENT_EVENT_REQUEST) {
        return; // nothing will be said: no call of the kernel for it
    }
    int fd = ended && !s->json ? STDERR_FILENO : STDOUT_FILENO;
    if (would_wait(fd)) {
        s->left_out++;
        return;
    }
    if (s->left_out > 0 && !s->json) {
        text_printf(&t, "(%llu lines are left out)\n", (unsigned long long)s->left_out);
        s->left_out = 0;
    }
    if (s->json) {
        agent_show_json(s, e, os_clock_wall_ms(), &t);
    } else {
        agent_show_text(s, e, &t);
    }
    if (t.overflow) {
        s->left_out++;
    } else if (t.len > 0 && write(fd, t.ptr, t.len) < 0) {
        s->left_out++;
    }
}

// SPDX-License-Identifier: Apache-2.0
//
// The schedule of a group's health checks and what follows from their results (upstream/health.h).

#include "upstream/health.h"

#include <stdio.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/rng.h"
#include "base/slab.h"
#include "conf/doc.h"
#include "obs/log.h"

enum {
    HEALTH_MAGIC = 0x68656c74,
    MEMBER_MAGIC = 0x686d656d,
    TEXTS_MAX = 8192,     // of the settings
    FIRST_SPREAD_MS = 10, // per server
    QUICK_MS_MIN = 100,   // between checks while a change is under way
    AWAY_MS = 1000,       // until one that calls in, and was not reached so far, is tried again
    CROWDED_MS = 20,      // when the core has as many checks on their way as it may
    MEMBER_TEXT_MAX = CHECK_TEXT_MAX + 16,
};

struct health_member {
    uint32_t magic;
    bool wanted; // while the list is gone through
    bool known;  // a check has decided
    bool down;
    bool rests;        // it calls in and is alone
    uint32_t in_a_row; // results that speak against the present state
    struct health *health;
    struct server *server;
    struct list link;
    struct wheel_timer timer;
    struct check *check;
    char text[MEMBER_TEXT_MAX];
};

struct health {
    uint32_t magic;
    struct health_order order;
    struct health_settings settings; // texts on `texts`
    struct arena texts;
    struct list members;
    uint32_t count;
};

static struct loop *loop_of(const struct health *h)
{
    return h->order.core->loop;
}

struct health *health_new(const struct health_order *o)
{
    struct health *h = mem_zalloc(sizeof(*h));
    if (h == NULL) {
        return NULL;
    }
    h->magic = HEALTH_MAGIC;
    h->order = *o;
    arena_init(&h->texts, NULL, 0, NULL, TEXTS_MAX);
    list_init(&h->members);
    return h;
}

// ---- the schedule -----------------------------------------------------------------------------------

/** Is a change of state under way? Then the next look comes sooner. */
static bool wavers(const struct health_member *m)
{
    return m->known && m->in_a_row > 0;
}

static void schedule_first(struct health_member *m)
{
    struct health *h = m->health;
    uint64_t spread = (uint64_t)h->count * FIRST_SPREAD_MS;
    spread = spread < h->settings.every_ms ? spread : h->settings.every_ms;
    loop_timer_set(loop_of(h), &m->timer, rng_below(&loop_of(h)->rng, spread + 1));
}

static void schedule_next(struct health_member *m, uint64_t took_ns)
{
    struct health *h = m->health;
    uint64_t every = h->settings.every_ms;
    uint64_t took_ms = took_ns / 1000000;
    if (wavers(m)) {
        every = every / 4 > QUICK_MS_MIN ? every / 4 : every < QUICK_MS_MIN ? every : QUICK_MS_MIN;
    } else if (h->order.calls && !m->known && every > AWAY_MS) {
        every = AWAY_MS;
    }
    every = every * 9 / 10 + rng_below(&loop_of(h)->rng, every / 5 + 1);
    loop_timer_set(loop_of(h), &m->timer, every > took_ms ? every - took_ms : 1);
}

// ---- results ----------------------------------------------------------------------------------------

static void say(struct health_member *m, const char *what, const char *text)
{
    (void)snprintf(m->text, sizeof(m->text), "%s: %s", what, text);
}

static void set_down(struct health_member *m, bool down, const char *text)
{
    struct health *h = m->health;
    struct vitals *v = &m->server->vitals;
    m->down = down;
    m->in_a_row = 0;
    if (down) {
        atomic_fetch_or_explicit(&v->bits, VITALS_DOWN, memory_order_acq_rel);
        log_line(LOG_WARN, "upstream %s: server %.*s is down: %s", h->order.name,
                 SLICE_ARG(server_text(m->server)), text);
    } else {
        atomic_store_explicit(&v->streak, 0, memory_order_relaxed);
        atomic_store_explicit(&v->ready_since_ms, loop_of(h)->now_ms, memory_order_relaxed);
        atomic_fetch_and_explicit(&v->bits, ~(unsigned)VITALS_DOWN, memory_order_acq_rel);
        log_line(LOG_INFO, "upstream %s: server %.*s is up again: %s", h->order.name,
                 SLICE_ARG(server_text(m->server)), text);
    }
    h->order.on_change(h->order.arg);
}

static void take_result(struct health_member *m, const struct check_result *r)
{
    const struct health_settings *s = &m->health->settings;
    bool bad = r->verdict == VERDICT_BAD;
    if (r->verdict == VERDICT_NONE) {
        log_line(LOG_DEBUG, "upstream %s: server %.*s could not be checked: %s",
                 m->health->order.name, SLICE_ARG(server_text(m->server)), r->text);
        return;
    }
    m->in_a_row = bad == m->down ? 0 : m->in_a_row + 1;
    uint32_t needed = !m->known ? 1 : bad ? s->fall : s->rise;
    m->known = true;
    if (m->in_a_row >= needed) {
        set_down(m, bad, r->text);
    }
    say(m, m->down ? "down" : "up", r->text);
}

static void on_checked(void *arg, const struct check_result *r)
{
    struct health_member *m = arg;
    ensure_magic(m, MEMBER_MAGIC);
    m->check = NULL;
    schedule_next(m, r->took_ns);
    take_result(m, r);
}

static void on_time(struct wheel_timer *t)
{
    struct health_member *m = container_of(t, struct health_member, timer);
    ensure_magic(m, MEMBER_MAGIC);
    struct health *h = m->health;
    bool calls = h->order.calls;
    ensure(m->check == NULL);
    const struct check_order order = {
        .settings = &h->settings.check,
        .core = h->order.core,
        .addr = m->server->addr,
        .host = calls ? h->order.host : server_host(m->server),
        .kind = &m->server->kind,
        .called = calls ? m->server : NULL,
    };
    if (h->order.core->checks < CHECK_AT_ONCE_MAX) {
        m->check = check_begin(&order, on_checked, m);
    }
    if (m->check == NULL) {
        loop_timer_set(loop_of(h), &m->timer, CROWDED_MS + rng_below(&loop_of(h)->rng, CROWDED_MS));
    }
}

// ---- who is checked ---------------------------------------------------------------------------------

static bool is_on(const struct health *h)
{
    return h->settings.check.type != CHECK_NONE;
}

static void pause_member(struct health_member *m)
{
    loop_timer_stop(loop_of(m->health), &m->timer);
    if (m->check != NULL) {
        check_cancel(m->check);
        m->check = NULL;
    }
}

/** No check speaks for or against it any more. True: it was down by them. */
static bool forget_state(struct health_member *m)
{
    bool was_down = m->down;
    m->known = false;
    m->down = false;
    m->in_a_row = 0;
    m->text[0] = '\0';
    atomic_fetch_and_explicit(&m->server->vitals.bits, ~(unsigned)VITALS_DOWN,
                              memory_order_acq_rel);
    return was_down;
}

static struct health_member *find(const struct health *h, const struct server *s)
{
    list_each(node, &h->members)
    {
        struct health_member *m = list_entry(node, struct health_member, link);
        if (m->server == s) {
            return m;
        }
    }
    return NULL;
}

static void begin(struct health_member *m)
{
    if (is_on(m->health) && !m->rests) {
        say(m, "not checked yet", "it counts as usable");
        schedule_first(m);
    }
}

static void add(struct health *h, struct server *s)
{
    struct health_member *m = mem_zalloc(sizeof(*m));
    if (m == NULL) {
        log_line(LOG_ERROR, "upstream %s: no memory to check server %.*s", h->order.name,
                 SLICE_ARG(server_text(s)));
        return;
    }
    m->magic = MEMBER_MAGIC;
    m->wanted = true;
    m->health = h;
    m->server = s;
    m->down = (atomic_load_explicit(&s->vitals.bits, memory_order_relaxed) & VITALS_DOWN) != 0;
    wheel_timer_init(&m->timer, on_time);
    list_init(&m->link);
    list_push_back(&h->members, &m->link);
    h->count++;
    m->rests = h->order.calls;
    begin(m);
}

static void drop(struct health_member *m)
{
    pause_member(m);
    (void)forget_state(m);
    list_remove(&m->link);
    m->health->count--;
    m->magic = 0;
    mem_free(m);
}

/** Of those that call in one that is alone is left in peace. */
static void rest_or_begin(struct health *h)
{
    bool alone = h->count < 2;
    bool changed = false;
    list_each(node, &h->members)
    {
        struct health_member *m = list_entry(node, struct health_member, link);
        bool rested = m->rests;
        m->rests = alone;
        if (alone && !rested) {
            pause_member(m);
            changed = forget_state(m) || changed;
        } else if (!alone && rested) {
            begin(m);
        }
    }
    if (changed) {
        h->order.on_change(h->order.arg);
    }
}

void health_follow(struct health *h, struct server *const *servers, uint32_t count)
{
    ensure_magic(h, HEALTH_MAGIC);
    list_each(node, &h->members)
    {
        list_entry(node, struct health_member, link)->wanted = false;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct health_member *m = find(h, servers[i]);
        if (m != NULL) {
            m->wanted = true;
        } else {
            add(h, servers[i]);
        }
    }
    list_each_safe(node, next, &h->members)
    {
        struct health_member *m = list_entry(node, struct health_member, link);
        if (!m->wanted) {
            drop(m);
        }
    }
    if (h->order.calls) {
        rest_or_begin(h);
    }
}

void health_free(struct health *h)
{
    ensure_magic(h, HEALTH_MAGIC);
    list_each_safe(node, next, &h->members)
    {
        drop(list_entry(node, struct health_member, link));
    }
    arena_fini(&h->texts);
    h->magic = 0;
    mem_free(h);
}

// ---- settings ---------------------------------------------------------------------------------------

/** Copies the texts, which are a snapshot's. */
static int keep_texts(struct health *h)
{
    struct check_settings *s = &h->settings.check;
    struct slice *const texts[] = {&s->method,  &s->target,     &s->host,       &s->body,
                                   &s->service, &s->field_name, &s->field_value};
    arena_fini(&h->texts);
    arena_init(&h->texts, NULL, 0, NULL, TEXTS_MAX);
    for (size_t i = 0; i < array_len(texts); i++) {
        *texts[i] = texts[i]->len > 0 ? arena_dup(&h->texts, *texts[i]) : SLICE("");
        if (texts[i]->ptr == NULL) {
            return E_NO_MEMORY;
        }
    }
    return 0;
}

static void restart(struct health *h)
{
    bool changed = false;
    list_each(node, &h->members)
    {
        struct health_member *m = list_entry(node, struct health_member, link);
        m->known = false;
        if (is_on(h) && !m->rests) {
            schedule_first(m);
        } else if (!is_on(h)) {
            changed = forget_state(m) || changed;
        }
    }
    if (changed) {
        h->order.on_change(h->order.arg);
    }
}

int health_set(struct health *h, const struct health_settings *settings)
{
    static const struct health_settings off = {0};
    ensure_magic(h, HEALTH_MAGIC);
    settings = settings == NULL ? &off : settings;
    if (settings->hash == h->settings.hash && settings->check.type == h->settings.check.type) {
        return 0;
    }
    list_each(node, &h->members)
    {
        pause_member(list_entry(node, struct health_member, link));
    }
    h->settings = *settings;
    int e = keep_texts(h);
    if (e < 0) {
        h->settings = off;
    }
    restart(h);
    return e;
}

struct slice health_text(const struct health *h, const struct server *s)
{
    ensure_magic(h, HEALTH_MAGIC);
    const struct health_member *m = find(h, s);
    return m == NULL ? SLICE("") : slice_str(m->text);
}

static uint8_t type_of(struct slice word)
{
    static const struct {
        struct slice word;
        uint8_t type;
    } types[] = {{SLICE_INIT("http"), CHECK_HTTP},
                 {SLICE_INIT("tcp"), CHECK_TCP},
                 {SLICE_INIT("tls"), CHECK_TLS},
                 {SLICE_INIT("grpc"), CHECK_GRPC}};
    for (size_t i = 0; i < array_len(types); i++) {
        if (slice_eq(types[i].word, word)) {
            return types[i].type;
        }
    }
    unreachable();
}

void health_compile(struct health_settings *settings, struct conf_node n)
{
    *settings = (struct health_settings){0};
    if (!conf_exists(n) || conf_is_off(n)) {
        return;
    }
    struct check_settings *s = &settings->check;
    struct slice header = conf_string(conf_get(n, "header"), "");
    ptrdiff_t colon = slice_find_char(header, ':');
    settings->hash = conf_hash(n);
    settings->every_ms = (uint32_t)conf_duration_ms(conf_get(n, "every"), 5000);
    settings->rise = (uint32_t)conf_int(conf_get(n, "rise"), 2);
    settings->fall = (uint32_t)conf_int(conf_get(n, "fall"), 3);
    s->type = type_of(conf_string(conf_get(n, "type"), "http"));
    s->port = (uint16_t)conf_int(conf_get(n, "port"), 0);
    s->timeout_ms = (uint32_t)conf_duration_ms(conf_get(n, "timeout"), 2000);
    s->method = conf_string(conf_get(n, "method"), "GET");
    s->target = conf_string(conf_get(n, "path"), "/");
    s->host = conf_string(conf_get(n, "host"), "");
    s->body = conf_string(conf_get(n, "body"), "");
    s->service = conf_string(conf_get(n, "service"), "");
    if (colon > 0) {
        s->field_name = slice_trim(slice_sub(header, 0, (size_t)colon));
        s->field_value = slice_trim(slice_from(header, (size_t)colon + 1));
    }
    status_set_compile(&s->status, conf_get(n, "status"), "200-399");
    check_settings_init(s);
}

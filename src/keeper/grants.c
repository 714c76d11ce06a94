// SPDX-License-Identifier: Apache-2.0
//
// The document of who may have tunnels, from the state and back (keeper/grants.h).

#include "keeper/grants.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/error.h"
#include "base/num.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/load.h"
#include "net/txt.h"
#include "obs/log.h"
#include "os/clock.h"
#include "os/memfd.h"
#include "state/state.h"
#include "tunnel/access.h"

#include "keeper/keeper_int.h"

enum {
    DONE_WAIT_MS = 2000,
    SECRET_LIFE_S = 30 * 86400,
    LOOK_MS = 60000,
    LATE_MS = 100,         // the clocks of cores may be some milliseconds behind ours
    WAIT_MAX_MS = 3600000, // a wall clock may be set
    SEARCH_DEPTH = 8,
    LIST_TEXT_MAX = STATE_TEXT_MAX,
};

static const char *const kind_words[] = {
    [ACCESS_TOKEN] = "token", [ACCESS_KEY] = "key", [ACCESS_CERTIFICATE] = "certificate"};

static_assert(STATE_PROOF_BYTES == (int)ACCESS_PROOF_BYTES, "a proof goes from one to the other");
static_assert(STATE_SECRET_BYTES == (int)ACCESS_SECRET_BYTES, "a secret as well");

void grants_init(struct keeper_grants *g)
{
    *g = (struct keeper_grants){0};
}

void grants_prepare(struct keeper_grants *g)
{
    int ignored = txt_client_new(&g->dns); // without it domains cannot be proved, and that is said
    (void)ignored;
}

void grants_fini(struct keeper_grants *g)
{
    state_close(g->state);
    txt_client_free(g->dns);
    *g = (struct keeper_grants){0};
}

bool grants_stop(struct keeper *k)
{
    return domains_stop(k);
}

// ---- answers ------------------------------------------------------------------------------------

json_t *grants_refuse(const char *format, ...)
{
    char buffer[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(buffer, sizeof buffer, format, args);
    va_end(args);
    return json_pack("{s:b, s:s}", "ok", 0, "error", buffer);
}

json_t *grants_failed(const struct keeper *k, int error)
{
    const struct keeper_grants *g = &k->grants;
    if (g->state == NULL) {
        return grants_refuse("%s/%s", k->state_path, g->trouble);
    }
    return grants_refuse("%s/" STATE_FILE ": %s: nothing was changed", k->state_path,
                         error == E_NO_MEMORY ? error_text(error) : state_trouble(g->state));
}

json_t *grants_done(struct keeper *k)
{
    bool in_force = grants_send(k, true);
    json_t *answer = json_pack("{s:b, s:b}", "ok", 1, "in_force", (int)in_force);
    if (k->state < 0) {
        (void)json_object_set_new(
            answer, "note",
            json_string("there is no state directory, so this is forgotten when adit ends"));
    }
    return answer;
}

bool grants_random(char *out, size_t len)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    size_t at = 0;
    while (at < len) {
        unsigned char bytes[64];
        if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
            return false;
        }
        for (size_t i = 0; i < sizeof bytes && at < len; i++) {
            if (bytes[i] < 4 * 62) { // what is above would make some digits likelier
                out[at++] = digits[bytes[i] % 62];
            }
        }
        explicit_bzero(bytes, sizeof bytes);
    }
    out[len] = '\0';
    return true;
}

// ---- the state ----------------------------------------------------------------------------------

static uint64_t now_ms(void)
{
    return os_clock_wall_ms();
}

int grants_open(struct keeper *k)
{
    struct keeper_grants *g = &k->grants;
    if (g->state != NULL) {
        return 0;
    }
    char buffer[GRANTS_TROUBLE_MAX];
    struct text why = text_on(buffer, sizeof buffer - 1);
    int error = state_open(k->state, &g->state, &why);
    buffer[why.len] = '\0';
    if (error != 0) {
        if (strcmp(buffer, g->trouble) != 0) { // said once
            log_line(LOG_ERROR, "%s/%s", k->state_path, buffer);
        }
        memcpy(g->trouble, buffer, sizeof g->trouble);
        return error;
    }
    g->trouble[0] = '\0';
    g->due_ms = 1; // who waits for it to be readable again, waits no longer
    if (k->state < 0) {
        log_line(LOG_WARN, "there is no state directory: tokens and names are forgotten when adit "
                           "ends");
    }
    return 0;
}

struct newest {
    uint64_t made_ms;
};

static void take_newest(void *arg, const struct state_secret *s)
{
    struct newest *n = arg;
    n->made_ms = s->made_ms > n->made_ms ? s->made_ms : n->made_ms;
}

static uint64_t secret_end(uint64_t made_ms)
{
    return made_ms + UINT64_C(1000) * SECRET_LIFE_S;
}

// A new key when there is none, or the newest is old. A clock that went back makes none.
static int renew_secret(struct keeper_grants *g)
{
    struct newest newest = {0};
    int error = state_secrets_each(g->state, take_newest, &newest);
    if (error != 0 || (newest.made_ms != 0 && now_ms() < secret_end(newest.made_ms))) {
        return error;
    }
    struct state_secret fresh = {.made_ms = now_ms()};
    if (getrandom(fresh.bytes, sizeof fresh.bytes, 0) != (ssize_t)sizeof fresh.bytes) {
        return E_INTERNAL;
    }
    error = state_secret_add(g->state, &fresh, ACCESS_SECRETS_MAX);
    explicit_bzero(&fresh, sizeof fresh);
    return error;
}

// ---- the document -------------------------------------------------------------------------------

struct making {
    json_t *grants;
    json_t *names;
    json_t *domains;
    json_t *secrets;
    uint64_t now_ms;
    uint64_t due_ms; // when it will be another one by itself
};

static json_t *text_value(struct slice s)
{
    json_t *value = json_stringn(s.ptr, s.len);
    return value != NULL ? value : json_string("");
}

// In a document a number is its digits.
static json_t *number_value(uint64_t n)
{
    return json_integer((json_int_t)(n & INT64_MAX));
}

static json_t *hex_value(const uint8_t *bytes, size_t len)
{
    char buffer[2 * ACCESS_SECRET_BYTES + 1];
    ensure(2 * len < sizeof buffer);
    for (size_t i = 0; i < len; i++) {
        (void)snprintf(buffer + 2 * i, 3, "%02x", bytes[i]);
    }
    json_t *value = json_string(buffer);
    explicit_bzero(buffer, sizeof buffer);
    return value;
}

static json_t *words_value(struct slice s)
{
    json_t *list = json_array();
    for (size_t from = 0; from < s.len;) {
        size_t to = from;
        while (to < s.len && s.ptr[to] != ' ') {
            to++;
        }
        if (to > from) {
            (void)json_array_append_new(list, text_value(slice_sub(s, from, to - from)));
        }
        from = to + 1;
    }
    return list;
}

static void due_at(struct making *m, uint64_t ms)
{
    m->due_ms = ms > m->now_ms && (m->due_ms == 0 || ms < m->due_ms) ? ms : m->due_ms;
}

static void put_grant(void *arg, const struct state_grant *g)
{
    struct making *m = arg;
    if (g->kind > ACCESS_CERTIFICATE) {
        return;
    }
    json_t *one = json_pack(
        "{s:o, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "id", text_value(g->id),
        "kind", kind_words[g->kind], "proof", hex_value(g->proof, sizeof g->proof), "owner",
        text_value(g->owner), "names", words_value(g->names), "ports", words_value(g->ports),
        "tunnels", (json_int_t)g->tunnels, "rate", (json_int_t)g->rate, "expires",
        number_value(g->expires_ms), "created", number_value(g->created_ms), "used",
        number_value(g->used_ms), "note", text_value(g->note));
    (void)json_array_append_new(m->grants, one);
    due_at(m, g->expires_ms != 0 ? g->expires_ms + LATE_MS : 0);
}

static void put_name(void *arg, const struct state_name *n)
{
    struct making *m = arg;
    (void)json_array_append_new(m->names, json_pack("{s:o, s:o, s:o}", "name", text_value(n->name),
                                                    "owner", text_value(n->owner), "created",
                                                    number_value(n->created_ms)));
}

static void put_domain(void *arg, const struct state_domain *d)
{
    struct making *m = arg;
    (void)json_array_append_new(
        m->domains,
        json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "name", text_value(d->name), "owner",
                  text_value(d->owner), "value", text_value(d->value), "created",
                  number_value(d->created_ms), "proved", number_value(d->proved_ms), "asked",
                  number_value(d->asked_ms), "failures", (json_int_t)d->failures, "why",
                  text_value(d->why)));
}

static void put_secret(void *arg, const struct state_secret *s)
{
    struct making *m = arg;
    (void)json_array_append_new(m->secrets,
                                json_pack("{s:o, s:o}", "made", number_value(s->made_ms), "bytes",
                                          hex_value(s->bytes, sizeof s->bytes)));
    if (json_array_size(m->secrets) == 1) {
        due_at(m, secret_end(s->made_ms));
    }
}

static int compile_document(const char *text, struct conf_doc **doc)
{
    struct conf_diags *d = conf_diags_new();
    if (d == NULL) {
        return E_NO_MEMORY;
    }
    int error = conf_load_text("grants", text, access_doc_tables, d, doc);
    const struct conf_diag *first = error == E_CONFIG ? conf_diags_first(d) : NULL;
    if (first != NULL) {
        log_line(LOG_ERROR, "who may have tunnels stays as it was: %.*s",
                 SLICE_ARG(first->message));
    }
    conf_diags_free(d);
    return error;
}

// A descriptor of the document, or a negative code.
static int make_document(struct keeper_grants *g)
{
    struct making m = {json_array(), json_array(), json_array(), json_array(), now_ms(), 0};
    struct conf_doc *doc = NULL;
    int error = state_grants_each(g->state, put_grant, &m);
    error = error == 0 ? state_names_each(g->state, put_name, &m) : error;
    error = error == 0 ? state_domains_each(g->state, put_domain, &m) : error;
    error = error == 0 ? state_secrets_each(g->state, put_secret, &m) : error;
    json_t *all = json_pack("{s:o, s:o, s:o, s:o}", "grants", m.grants, "names", m.names, "domains",
                            m.domains, "secrets", m.secrets);
    char *text = error == 0 ? json_dumps(all, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    if (error == 0) {
        error = text != NULL ? compile_document(text, &doc) : E_NO_MEMORY;
    }
    int fd = error == 0 ? os_memfd_make("adit-grants", conf_doc_bytes(doc)) : error;
    conf_doc_free(doc);
    if (text != NULL) {
        explicit_bzero(text, strlen(text));
    }
    free(text);
    json_decref(all);
    g->due_ms = m.due_ms;
    return fd;
}

static bool await_done(struct keeper *k, uint64_t number)
{
    struct ipc_message m;
    struct ipc_fds fds;
    while (keeper_await_for(k, IPC_grants_done, &m, &fds, DONE_WAIT_MS) == 0) {
        if (m.u.grants_done.number == number) {
            return m.u.grants_done.error == 0;
        }
    }
    return false;
}

bool grants_send(struct keeper *k, bool wait)
{
    struct keeper_grants *g = &k->grants;
    int error = grants_open(k);
    error = error == 0 ? renew_secret(g) : error;
    int fd = error == 0 ? make_document(g) : error;
    if (fd < 0) {
        if (g->state != NULL) {
            log_line(LOG_ERROR, "who may have tunnels cannot be read: %s", state_trouble(g->state));
        }
        g->due_ms = now_ms() + LOOK_MS;
        return false;
    }
    struct ipc_message m;
    ipc_init(&m, IPC_grants);
    m.u.grants.number = ++g->number;
    error = keeper_send(k, &m, &fd, 1);
    (void)close(fd);
    return error == 0 && wait && await_done(k, g->number);
}

// ---- with a load --------------------------------------------------------------------------------

static bool has_tunnels(struct conf_node n, int depth)
{
    bool has = false;
    if (depth > SEARCH_DEPTH || conf_kind_of(n) == CONF_SCALAR) {
        return false;
    }
    conf_each(child, n)
    {
        has = has || (slice_eq(conf_key(child), SLICE("tunnels")) && !conf_is_off(child)) ||
              has_tunnels(child, depth + 1);
    }
    return has;
}

void grants_stage(struct keeper *k, const struct conf_doc *doc)
{
    struct keeper_grants *g = &k->grants;
    struct text servers = text_on(g->resolver, sizeof g->resolver - 1);
    conf_each(at, conf_get(conf_root(doc), "resolver"))
    {
        text_put(&servers, conf_text(at));
        text_char(&servers, ' ');
    }
    g->resolver[servers.len] = '\0';
    bool wanted = has_tunnels(conf_root(doc), 0) || state_exists(k->state);
    if (g->state == NULL && wanted) {
        (void)grants_send(k, false);
    }
}

// ---- taking over --------------------------------------------------------------------------------

static bool hex_bytes(struct slice s, uint8_t *out, size_t len)
{
    if (s.len != 2 * len) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        uint64_t byte = 0;
        if (num_parse_hex_u64(slice_sub(s, 2 * i, 2), UINT8_MAX, &byte) != 0) {
            return false;
        }
        out[i] = (uint8_t)byte;
    }
    return true;
}

static uint64_t number_of(struct conf_node n, const char *key)
{
    return (uint64_t)conf_int(conf_get(n, key), 0);
}

static struct slice joined(struct conf_node list, char *buffer, size_t size)
{
    struct text t = text_on(buffer, size);
    conf_each(one, list)
    {
        text_str(&t, t.len > 0 ? " " : "");
        text_put(&t, conf_text(one));
    }
    return text_slice(&t);
}

static int recover_grant(struct state *s, struct conf_node n)
{
    static char names[LIST_TEXT_MAX]; // the keeper's main thread only
    static char ports[LIST_TEXT_MAX];
    struct slice kind = conf_string(conf_get(n, "kind"), "");
    struct state_grant g = {
        .id = conf_string(conf_get(n, "id"), ""),
        .owner = conf_string(conf_get(n, "owner"), ""),
        .names = joined(conf_get(n, "names"), names, sizeof names),
        .ports = joined(conf_get(n, "ports"), ports, sizeof ports),
        .tunnels = (uint32_t)number_of(n, "tunnels"),
        .rate = (uint32_t)number_of(n, "rate"),
        .created_ms = number_of(n, "created"),
        .expires_ms = number_of(n, "expires"),
        .used_ms = number_of(n, "used"),
        .note = conf_string(conf_get(n, "note"), ""),
    };
    while (g.kind < ACCESS_CERTIFICATE && !slice_eq(kind, slice_str(kind_words[g.kind]))) {
        g.kind++;
    }
    return hex_bytes(conf_string(conf_get(n, "proof"), ""), g.proof, sizeof g.proof)
               ? state_grant_add(s, &g)
               : E_INVALID;
}

static int recover_domain(struct state *s, struct conf_node n)
{
    struct state_domain d = {
        .name = conf_string(conf_get(n, "name"), ""),
        .owner = conf_string(conf_get(n, "owner"), ""),
        .value = conf_string(conf_get(n, "value"), ""),
        .created_ms = number_of(n, "created"),
        .proved_ms = number_of(n, "proved"),
        .asked_ms = number_of(n, "asked"),
        .failures = (uint32_t)number_of(n, "failures"),
        .why = conf_string(conf_get(n, "why"), ""),
    };
    return state_domain_put(s, &d);
}

static int recover_all(struct state *s, struct conf_node root)
{
    int error = 0;
    conf_each(n, conf_get(root, "grants"))
    {
        error = error == 0 ? recover_grant(s, n) : error;
    }
    conf_each(n, conf_get(root, "names"))
    {
        struct state_name name = {conf_string(conf_get(n, "name"), ""),
                                  conf_string(conf_get(n, "owner"), ""), number_of(n, "created")};
        error = error == 0 ? state_name_add(s, &name) : error;
    }
    conf_each(n, conf_get(root, "domains"))
    {
        error = error == 0 ? recover_domain(s, n) : error;
    }
    conf_each(n, conf_get(root, "secrets"))
    {
        struct state_secret one = {.made_ms = number_of(n, "made")};
        if (hex_bytes(conf_string(conf_get(n, "bytes"), ""), one.bytes, sizeof one.bytes)) {
            error = error == 0 ? state_secret_add(s, &one, ACCESS_SECRETS_MAX) : error;
        }
        explicit_bzero(&one, sizeof one);
    }
    return error;
}

// With a state directory the file says it all, and more than the document when a change was written
// and not sent; it is sent again in any case.
void grants_recover(struct keeper *k, uint64_t number, int fd)
{
    struct keeper_grants *g = &k->grants;
    struct slice bytes = {0};
    const struct conf_doc *doc = NULL;
    g->number = number > g->number ? number : g->number;
    bool fresh = g->state == NULL;
    int error = grants_open(k);
    if (error == 0 && fresh && k->state < 0) {
        error = os_memfd_map(fd, ACCESS_DOC_BYTES_MAX, &bytes);
        error = error == 0 ? conf_doc_open(bytes.ptr, bytes.len, &doc) : error;
        error = error == 0 ? recover_all(g->state, conf_root(doc)) : error;
        os_memfd_unmap(bytes);
        if (error != 0) {
            log_line(LOG_ERROR, "who may have tunnels could not be taken over: %s",
                     error_text(error));
        }
    }
    g->due_ms = 1; // at once, when the supervisor is listened to again
    g->ask_at_ms = 1;
}

// ---- from time to time --------------------------------------------------------------------------

void grants_tick(struct keeper *k)
{
    struct keeper_grants *g = &k->grants;
    if (k->ending || (g->state == NULL && g->due_ms == 0)) {
        return;
    }
    if (g->due_ms != 0 && now_ms() >= g->due_ms) {
        (void)grants_send(k, false);
    }
    if (g->state != NULL && os_clock_ms() >= g->look_at_ms) {
        g->look_at_ms = os_clock_ms() + LOOK_MS;
        tunnels_note_used(k);
    }
    domains_tick(k);
}

static uint64_t left(uint64_t due, uint64_t now)
{
    return due > now ? due - now : 0;
}

int grants_wait_ms(const struct keeper *k)
{
    const struct keeper_grants *g = &k->grants;
    uint64_t wait = UINT64_MAX;
    if (g->due_ms != 0) {
        wait = num_min_u64(wait, left(g->due_ms, now_ms()));
    }
    if (g->state != NULL) {
        wait = num_min_u64(wait, left(g->look_at_ms, os_clock_ms()));
    }
    if (g->ask_at_ms != 0 && g->asker == NULL) {
        wait = num_min_u64(wait, left(g->ask_at_ms, now_ms()));
    }
    return wait == UINT64_MAX ? -1 : (int)num_min_u64(wait, WAIT_MAX_MS);
}

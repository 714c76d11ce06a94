// SPDX-License-Identifier: Apache-2.0
//
// The state of a supervisor as text and back, by tables (super/handover.h has the format). The
// writer is trusted, for it is the process itself before the exec; but its version is not ours, so
// everything that is not exactly as the tables say is refused, and the upgrade with it.

#include "super/handover.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/num.h"
#include "base/text.h"
#include "obs/log.h"

enum kind {
    NUMBER = 'n',
    DESCRIPTOR = 'd',
    TEXT = 't',
    ADDRESS = 'a',
    RANGES = 'r',
    SECTION = 's'
};
enum { NAME_MAX_BYTES = 32, ROWS_MAX = 64, BLOB = 0, PID_MAX = 1 << 22, INT_MAX_31 = 0x7fffffff };

struct row {
    const char *name;
    enum kind kind;
    bool optional; // '~'
    size_t offset;
    uint64_t max; // of a number; room of a text, BLOB: a slice into the state
};

struct section {
    const char *name;
    const struct row *rows;
    uint32_t row_count;
    uint32_t max;
    size_t offset;       // of the first one in struct handover
    size_t stride;       // to the next
    size_t count_offset; // of their number; 0: exactly one
    bool optional;       // '~'
};

#define EDGE(field)     offsetof(struct handover_edge, field)
#define EDITION(field)  offsetof(struct handover_edition, field)
#define LISTENER(field) offsetof(struct handover_listener, field)
#define WORKER(field)   offsetof(struct handover_worker, field)
#define RANGE(field)    offsetof(struct handover_range, field)
#define PORT(field)     offsetof(struct handover_port, field)

static const struct row edge_rows[] = {
    {"version", TEXT, false, EDGE(version), HANDOVER_VERSION_MAX},
    {"path", TEXT, false, EDGE(path), IPC_PATH_MAX},
    {"text", TEXT, false, EDGE(text), BLOB},
    {"state_path", TEXT, false, EDGE(state_path), IPC_PATH_MAX},
    {"control_path", TEXT, false, EDGE(control_path), OS_ADDR_PATH_MAX},
    {"program_path", TEXT, false, EDGE(program_path), IPC_PATH_MAX},
    {"old_program_path", TEXT, false, EDGE(old_program_path), IPC_PATH_MAX},
    {"program", DESCRIPTOR, false, EDGE(program), INT_MAX_31},
    {"old_program", DESCRIPTOR, false, EDGE(old_program), INT_MAX_31},
    {"state", DESCRIPTOR, false, EDGE(state), INT_MAX_31},
    {"control", DESCRIPTOR, false, EDGE(control), INT_MAX_31},
    {"client", DESCRIPTOR, false, EDGE(client), INT_MAX_31},
    {"resolv_conf", DESCRIPTOR, true, EDGE(resolv_conf), INT_MAX_31},
    {"hosts", DESCRIPTOR, true, EDGE(hosts), INT_MAX_31},
    {"servers", DESCRIPTOR, true, EDGE(servers), INT_MAX_31},
    {"servers_number", NUMBER, true, EDGE(servers_number), UINT64_MAX},
    {"access", DESCRIPTOR, true, EDGE(access), INT_MAX_31},
    {"access_number", NUMBER, true, EDGE(access_number), UINT64_MAX},
    {"tunnels", DESCRIPTOR, true, EDGE(tunnels), INT_MAX_31},
    {"started", NUMBER, false, EDGE(started_wall_ms), UINT64_MAX},
    {"counters", NUMBER, true, EDGE(counters), UINT64_MAX},
    {"upgrades", NUMBER, true, EDGE(upgrades), UINT32_MAX},
    {"starts", NUMBER, true, EDGE(starts), UINT32_MAX},
};

static const struct row edition_rows[] = {
    {"generation", NUMBER, false, EDITION(generation), UINT32_MAX},
    {"doc", DESCRIPTOR, false, EDITION(doc), INT_MAX_31},
    {"credentials", DESCRIPTOR, false, EDITION(credentials), INT_MAX_31},
    {"credentials_number", NUMBER, false, EDITION(credentials_number), UINT64_MAX},
    {"access", DESCRIPTOR, false, EDITION(access), INT_MAX_31},
    {"loaded", NUMBER, false, EDITION(loaded_wall_ms), UINT64_MAX},
    {"workers", NUMBER, false, EDITION(workers), IPC_CORES_MAX},
    {"log_level", NUMBER, false, EDITION(log_level), LOG_ERROR},
    {"access_kind", NUMBER, false, EDITION(access_kind), IPC_ACCESS_FILE},
    {"control", NUMBER, false, EDITION(control), IPC_CONTROL_PATH},
    {"connections", NUMBER, false, EDITION(connections), UINT32_MAX},
    {"memory", NUMBER, false, EDITION(memory_bytes), UINT64_MAX},
    {"drain", NUMBER, false, EDITION(drain_ms), UINT64_MAX},
    {"user", TEXT, false, EDITION(user), IPC_USER_MAX},
    {"access_path", TEXT, false, EDITION(access_path), IPC_PATH_MAX},
    {"control_path", TEXT, false, EDITION(control_path), OS_ADDR_PATH_MAX},
};

static const struct row listener_rows[] = {
    {"index", NUMBER, false, LISTENER(index), IPC_LISTENERS_MAX - 1},
    {"fd", DESCRIPTOR, false, LISTENER(fd), INT_MAX_31},
    {"secure", NUMBER, false, LISTENER(secure), 1},
    {"stream", NUMBER, false, LISTENER(stream), UINT64_MAX},
    {"datagram", NUMBER, false, LISTENER(datagram), 1},
    {"tunnel", NUMBER, true, LISTENER(tunnel), 1},
    {"proxies", RANGES, false, LISTENER(proxies), 0},
    {"backlog", NUMBER, false, LISTENER(backlog), INT_MAX_31},
    {"asked", ADDRESS, false, LISTENER(asked), 0},
    {"bound", ADDRESS, false, LISTENER(bound), 0},
};

static const struct row worker_rows[] = {
    {"pid", NUMBER, false, WORKER(pid), PID_MAX},
    {"channel", DESCRIPTOR, false, WORKER(channel), INT_MAX_31},
    {"counters", DESCRIPTOR, true, WORKER(counters), INT_MAX_31},
    {"cores", NUMBER, false, WORKER(cores), IPC_CORES_MAX},
    {"counted", NUMBER, true, WORKER(counted), 1},
    {"started", NUMBER, false, WORKER(started_ms), UINT64_MAX},
    {"drain_end", NUMBER, false, WORKER(drain_end_ms), UINT64_MAX},
    {"version", TEXT, true, WORKER(version), HANDOVER_VERSION_MAX},
};

static const struct row range_rows[] = {
    {"tcp", NUMBER, false, RANGE(tcp), UINT64_MAX},
    {"udp", NUMBER, false, RANGE(udp), UINT64_MAX},
    {"last", NUMBER, false, RANGE(last), UINT16_MAX},
    {"first", ADDRESS, false, RANGE(first), 0},
};

static const struct row port_rows[] = {
    {"index", NUMBER, false, PORT(index), IPC_INDEXES_MAX - 1},
    {"fd", DESCRIPTOR, false, PORT(fd), INT_MAX_31},
    {"stream", NUMBER, false, PORT(stream), UINT64_MAX},
    {"datagram", NUMBER, false, PORT(datagram), 1},
    {"at", ADDRESS, false, PORT(at), 0},
};

#define ROWS(rows) rows, array_len(rows)

static const struct section sections[] = {
    {"edge", ROWS(edge_rows), 1, offsetof(struct handover, edge), sizeof(struct handover_edge), 0,
     false},
    {"edition", ROWS(edition_rows), 1, offsetof(struct handover, edition),
     sizeof(struct handover_edition), 0, false},
    {"listener", ROWS(listener_rows), IPC_LISTENERS_MAX, offsetof(struct handover, listener),
     sizeof(struct handover_listener), offsetof(struct handover, listeners), false},
    {"worker", ROWS(worker_rows), HANDOVER_WORKERS_MAX, offsetof(struct handover, worker),
     sizeof(struct handover_worker), offsetof(struct handover, workers), false},
    {"range", ROWS(range_rows), IPC_PORT_RANGES_MAX, offsetof(struct handover, range),
     sizeof(struct handover_range), offsetof(struct handover, ranges), true},
    {"port", ROWS(port_rows), IPC_PORTS_MAX, offsetof(struct handover, port),
     sizeof(struct handover_port), offsetof(struct handover, ports), false},
};

enum { SECTIONS = array_len(sections) };

static const char first_line[] = "adit-state 1\n";

static_assert(HANDOVER_FORMAT == 1, "the first line says it");

static char *item_of(const struct section *s, const struct handover *h, uint32_t index)
{
    ensure(index < s->max);
    return (char *)(uintptr_t)h + s->offset + index * s->stride;
}

static uint32_t *count_of(const struct section *s, const struct handover *h)
{
    return (uint32_t *)(void *)((char *)(uintptr_t)h + s->count_offset);
}

static uint32_t items_of(const struct section *s, const struct handover *h)
{
    return s->count_offset == 0 ? 1 : *count_of(s, h);
}

static void init_item(const struct section *s, char *item)
{
    static const int none = -1;
    memset(item, 0, s->stride);
    for (uint32_t r = 0; r < s->row_count; r++) {
        if (s->rows[r].kind == DESCRIPTOR) {
            memcpy(item + s->rows[r].offset, &none, sizeof none);
        }
    }
}

// Ports are many: each is set when it comes.
void handover_init(struct handover *h)
{
    memset(h, 0, offsetof(struct handover, port));
    for (size_t i = 0; i < SECTIONS; i++) {
        for (uint32_t k = 0; k < sections[i].max && sections[i].max < IPC_PORTS_MAX; k++) {
            init_item(&sections[i], item_of(&sections[i], h, k));
        }
    }
}

// ---- writing ------------------------------------------------------------------------------------

static void put_hex(const uint8_t *bytes, size_t len, struct text *t)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        text_char(t, digits[bytes[i] >> 4]);
        text_char(t, digits[bytes[i] & 15]);
    }
}

static void put_ranges(const struct handover_ranges *r, struct text *t)
{
    for (uint32_t i = 0; i < r->count; i++) {
        put_hex(&r->at[i].kind, 1, t);
        put_hex(&r->at[i].bits, 1, t);
        put_hex(r->at[i].ip, sizeof r->at[i].ip, t);
    }
}

static void put_address(const struct os_addr *a, struct text *t)
{
    text_printf(t, "%u %u %u %u ", a->kind, a->port, a->scope, a->dual ? 1U : 0U);
    size_t len = a->kind == OS_ADDR_UNIX ? a->path_len : sizeof a->u.ip;
    put_hex((const uint8_t *)a->u.path, len, t);
}

static void put_value(const struct row *row, const char *at, struct text *t)
{
    uint64_t number = 0;
    int fd = -1;
    struct slice bytes;
    switch (row->kind) {
    case NUMBER:
        memcpy(&number, at, sizeof number);
        text_u64(t, number);
        return;
    case DESCRIPTOR:
        memcpy(&fd, at, sizeof fd);
        if (fd >= 0) {
            text_u64(t, (uint64_t)fd);
        }
        return;
    case TEXT:
        if (row->max == BLOB) {
            memcpy(&bytes, at, sizeof bytes);
            text_put(t, bytes);
        } else {
            text_str(t, at);
        }
        return;
    case ADDRESS:
        put_address((const struct os_addr *)(const void *)at, t);
        return;
    case RANGES:
        put_ranges((const struct handover_ranges *)(const void *)at, t);
        return;
    case SECTION:
        break;
    }
    unreachable();
}

static void put_line(const struct row *row, const char *item, struct text *out)
{
    static char buffer[HANDOVER_TEXT_MAX];
    struct text value = text_on(buffer, sizeof buffer);
    put_value(row, item + row->offset, &value);
    out->overflow = out->overflow || value.overflow;
    text_printf(out, "%c%c %s %zu:", row->optional ? '~' : '!', (char)row->kind, row->name,
                value.len);
    text_put(out, text_slice(&value));
    text_char(out, '\n');
}

int handover_write(const struct handover *h, struct text *out)
{
    text_str(out, first_line);
    for (size_t i = 0; i < SECTIONS; i++) {
        const struct section *s = &sections[i];
        for (uint32_t k = 0; k < items_of(s, h); k++) {
            text_printf(out, "%cs %s 0:\n", s->optional ? '~' : '!', s->name);
            for (uint32_t r = 0; r < s->row_count; r++) {
                put_line(&s->rows[r], item_of(s, h, k), out);
            }
        }
    }
    text_str(out, "!s end 0:\n");
    return out->overflow ? E_TOO_LARGE : 0;
}

// ---- reading ------------------------------------------------------------------------------------

struct line {
    char mark;
    char kind;
    struct slice name;
    struct slice value;
};

struct reader {
    struct slice rest;
    struct handover *h;
    struct text *why;
    const struct section *section; // NULL: before the first, or one that is skipped
    bool skipping;
    char *item;
    uint64_t seen; // rows of this item
    bool had[SECTIONS];
};

static int refuse(const struct reader *r, struct slice name, const char *what)
{
    text_printf(r->why, "%.*s: %s", (int)num_min_size(name.len, NAME_MAX_BYTES), name.ptr, what);
    return E_INVALID;
}

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((s.ptr[i] < 'a' || s.ptr[i] > 'z') && s.ptr[i] != '_') {
            return false;
        }
    }
    return s.len > 0 && s.len <= NAME_MAX_BYTES;
}

// "!t path 14:/etc/adit.yaml\n"
static int next_line(struct reader *r, struct line *out)
{
    struct slice s = r->rest;
    const char *space = s.len > 3 ? memchr(s.ptr + 3, ' ', s.len - 3) : NULL;
    if (space == NULL || (s.ptr[0] != '!' && s.ptr[0] != '~') || s.ptr[2] != ' ') {
        return refuse(r, SLICE("state"), "a line that is none");
    }
    out->mark = s.ptr[0];
    out->kind = s.ptr[1];
    out->name = slice_of(s.ptr + 3, (size_t)(space - s.ptr) - 3);
    if (!is_name(out->name)) {
        return refuse(r, SLICE("state"), "a line that is none");
    }
    s = slice_from(s, (size_t)(space - s.ptr) + 1);
    const char *colon = memchr(s.ptr, ':', s.len);
    uint64_t len = 0;
    if (colon == NULL ||
        num_parse_u64(slice_of(s.ptr, (size_t)(colon - s.ptr)), HANDOVER_TEXT_MAX, &len) != 0) {
        return refuse(r, out->name, "no length");
    }
    s = slice_from(s, (size_t)(colon - s.ptr) + 1);
    if (s.len <= len || s.ptr[len] != '\n') {
        return refuse(r, out->name, "not as long as it says");
    }
    out->value = slice_of(s.ptr, (size_t)len);
    r->rest = slice_from(s, (size_t)len + 1);
    return 0;
}

static bool take_number(struct slice *s, uint64_t max, uint64_t *out)
{
    const char *space = s->len > 0 ? memchr(s->ptr, ' ', s->len) : NULL;
    if (space == NULL) {
        return false;
    }
    size_t len = (size_t)(space - s->ptr);
    bool ok = num_parse_u64(slice_of(s->ptr, len), max, out) == 0;
    *s = slice_from(*s, len + 1);
    return ok;
}

// Two digits a byte.
static bool take_hex(struct slice s, uint8_t *out, size_t max)
{
    if (s.len % 2 != 0 || s.len / 2 > max) {
        return false;
    }
    for (size_t i = 0; i < s.len / 2; i++) {
        uint64_t byte = 0;
        if (num_parse_hex_u64(slice_sub(s, 2 * i, 2), UINT8_MAX, &byte) != 0) {
            return false;
        }
        out[i] = (uint8_t)byte;
    }
    return true;
}

static bool take_ranges(struct slice s, struct handover_ranges *out)
{
    enum { RANGE_BYTES = 18 };
    *out = (struct handover_ranges){0};
    if (s.len % (2 * RANGE_BYTES) != 0 || s.len / (2 * RANGE_BYTES) > IPC_PROXIES_MAX) {
        return false;
    }
    for (; s.len > 0; s = slice_from(s, 2 * RANGE_BYTES)) {
        uint8_t bytes[RANGE_BYTES];
        struct os_cidr *c = &out->at[out->count++];
        if (!take_hex(slice_sub(s, 0, 2 * RANGE_BYTES), bytes, sizeof bytes)) {
            return false;
        }
        c->kind = bytes[0];
        c->bits = bytes[1];
        memcpy(c->ip, bytes + 2, sizeof c->ip);
        bool ok = (c->kind == OS_ADDR_V4 && c->bits <= 32) ||
                  (c->kind == OS_ADDR_V6 && c->bits <= 128) || c->kind == OS_ADDR_UNIX;
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool take_address(struct slice s, struct os_addr *a)
{
    uint64_t kind = 0;
    uint64_t port = 0;
    uint64_t scope = 0;
    uint64_t dual = 0;
    if (!take_number(&s, OS_ADDR_UNIX, &kind) || !take_number(&s, UINT16_MAX, &port) ||
        !take_number(&s, UINT32_MAX, &scope) || !take_number(&s, 1, &dual)) {
        return false;
    }
    *a = (struct os_addr){
        .kind = (uint8_t)kind, .port = (uint16_t)port, .scope = (uint32_t)scope, .dual = dual == 1};
    size_t len = s.len / 2;
    bool fits = kind == OS_ADDR_UNIX ? len <= OS_ADDR_PATH_MAX : len == sizeof a->u.ip;
    a->path_len = kind == OS_ADDR_UNIX && fits ? (uint8_t)len : 0;
    return kind != OS_ADDR_NONE && fits && take_hex(s, (uint8_t *)a->u.path, len);
}

static bool take_text(const struct row *row, struct slice value, char *at)
{
    if (row->max == BLOB) {
        memcpy(at, &value, sizeof value);
        return true;
    }
    if (value.len >= row->max || memchr(value.ptr, '\0', value.len) != NULL) {
        return false;
    }
    ipc_set_text(at, (size_t)row->max, value);
    return true;
}

static bool take_fd(struct slice value, int *fd)
{
    uint64_t number = 0;
    *fd = -1;
    if (value.len == 0) {
        return true;
    }
    bool ok = num_parse_u64(value, INT_MAX_31, &number) == 0;
    *fd = ok ? (int)number : -1;
    return ok;
}

static bool take_value(const struct row *row, struct slice value, char *at)
{
    uint64_t number = 0;
    int fd = -1;
    switch (row->kind) {
    case NUMBER:
        if (num_parse_u64(value, row->max, &number) != 0) {
            return false;
        }
        memcpy(at, &number, sizeof number);
        return true;
    case DESCRIPTOR:
        if (!take_fd(value, &fd)) {
            return false;
        }
        memcpy(at, &fd, sizeof fd);
        return true;
    case TEXT:
        return take_text(row, value, at);
    case ADDRESS:
        return take_address(value, (struct os_addr *)(void *)at);
    case RANGES:
        return take_ranges(value, (struct handover_ranges *)(void *)at);
    case SECTION:
        break;
    }
    return false;
}

static int end_item(const struct reader *r)
{
    for (uint32_t i = 0; r->section != NULL && i < r->section->row_count; i++) {
        const struct row *row = &r->section->rows[i];
        if (!row->optional && (r->seen & (UINT64_C(1) << i)) == 0) {
            return refuse(r, slice_str(row->name), "is missing");
        }
    }
    return 0;
}

static int begin_item(struct reader *r, const struct line *l)
{
    r->section = NULL;
    r->seen = 0;
    for (size_t i = 0; i < SECTIONS; i++) {
        const struct section *s = &sections[i];
        if (!slice_eq(l->name, slice_str(s->name))) {
            continue;
        }
        uint32_t index = s->count_offset != 0 ? *count_of(s, r->h) : 0;
        if (index == s->max || (s->count_offset == 0 && r->had[i])) {
            return refuse(r, l->name, "too many of them");
        }
        if (s->count_offset != 0) {
            *count_of(s, r->h) = index + 1;
        }
        r->had[i] = true;
        r->section = s;
        r->item = item_of(s, r->h, index);
        init_item(s, r->item);
        r->skipping = false;
        return 0;
    }
    r->skipping = true;
    return l->mark == '~' ? 0 : refuse(r, l->name, "this program does not know what it is");
}

// A descriptor that nobody here wants is remembered, so that it can be closed.
static int skip(struct reader *r, const struct line *l)
{
    int fd = -1;
    if (l->mark != '~' && !r->skipping) {
        return refuse(r, l->name, "this program does not know what it is");
    }
    if (l->kind != DESCRIPTOR) {
        return 0;
    }
    if (!take_fd(l->value, &fd) || r->h->skipped_count == HANDOVER_SKIPPED_MAX) {
        return refuse(r, l->name, "bad value");
    }
    if (fd >= 0) {
        r->h->skipped[r->h->skipped_count++] = fd;
    }
    return 0;
}

static int take_row(struct reader *r, const struct line *l)
{
    const struct section *s = r->section;
    for (uint32_t i = 0; s != NULL && i < s->row_count; i++) {
        const struct row *row = &s->rows[i];
        if (!slice_eq(l->name, slice_str(row->name))) {
            continue;
        }
        uint64_t bit = UINT64_C(1) << i;
        if (l->kind != (char)row->kind || (r->seen & bit) != 0) {
            return refuse(r, l->name, "twice, or of another kind");
        }
        r->seen |= bit;
        return take_value(row, l->value, r->item + row->offset) ? 0
                                                                : refuse(r, l->name, "bad value");
    }
    if (s == NULL && !r->skipping) {
        return refuse(r, l->name, "in no section");
    }
    return skip(r, l);
}

// False: somebody has it already.
static bool take_index(bool *taken, uint64_t index)
{
    bool is_free = !taken[index];
    taken[index] = true;
    return is_free;
}

static int check_indexes(const struct reader *r)
{
    bool taken[IPC_INDEXES_MAX] = {false};
    bool good = true;
    for (uint32_t i = 0; i < r->h->listeners; i++) {
        good = good && take_index(taken, r->h->listener[i].index);
    }
    for (uint32_t i = 0; i < r->h->ports; i++) {
        const struct handover_port *p = &r->h->port[i];
        good = good && p->index >= IPC_LISTENERS_MAX && p->at.kind != OS_ADDR_UNIX &&
               take_index(taken, p->index);
    }
    for (uint32_t i = 0; i < r->h->ranges; i++) {
        good = good && r->h->range[i].first.kind != OS_ADDR_UNIX;
    }
    return good ? 0 : refuse(r, SLICE("index"), "of two listeners, or of none");
}

static int check_whole(const struct reader *r)
{
    if (r->rest.len != 0) {
        return refuse(r, SLICE("end"), "something follows");
    }
    for (size_t i = 0; i < SECTIONS; i++) {
        if (!r->had[i] && sections[i].count_offset == 0) {
            return refuse(r, slice_str(sections[i].name), "is missing");
        }
    }
    if (r->h->workers == 0) {
        return refuse(r, SLICE("worker"), "is missing");
    }
    return check_indexes(r);
}

int handover_read(struct slice bytes, struct handover *h, struct text *why)
{
    handover_init(h);
    struct reader r = {.h = h, .why = why};
    if (!slice_starts(bytes, slice_str(first_line))) {
        return refuse(&r, SLICE("state"), "of another format than 1");
    }
    r.rest = slice_from(bytes, sizeof first_line - 1);
    for (;;) {
        struct line l;
        int error = next_line(&r, &l);
        if (error != 0) {
            return error;
        }
        if (l.kind != SECTION) {
            error = take_row(&r, &l);
        } else {
            error = end_item(&r);
            if (error == 0 && slice_eq(l.name, SLICE("end"))) {
                return check_whole(&r);
            }
            error = error == 0 ? begin_item(&r, &l) : error;
        }
        if (error != 0) {
            return error;
        }
    }
}

void handover_each_fd(const struct handover *h, void (*fn)(void *arg, int fd), void *arg)
{
    for (size_t i = 0; i < SECTIONS; i++) {
        const struct section *s = &sections[i];
        for (uint32_t k = 0; k < items_of(s, h); k++) {
            for (uint32_t row = 0; row < s->row_count; row++) {
                int fd = -1;
                if (s->rows[row].kind == DESCRIPTOR) {
                    memcpy(&fd, item_of(s, h, k) + s->rows[row].offset, sizeof fd);
                }
                if (fd >= 0) {
                    fn(arg, fd);
                }
            }
        }
    }
    for (uint32_t i = 0; i < h->skipped_count; i++) {
        fn(arg, h->skipped[i]);
    }
}

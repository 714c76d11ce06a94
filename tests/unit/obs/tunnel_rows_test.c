// SPDX-License-Identifier: Apache-2.0
//
// Rows of tunnels: taken, set, counted, given back; read as they were at one moment; a table that is
// none of ours is not read.

#include "obs/tunnel_rows.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/slab.h"
#include "base/text.h"
#include "tap.h"

static void *block;
static struct tunnel_rows *rows;
static struct tunnel_row out;

static void setup(void)
{
    block = mem_zalloc_aligned(tunnel_rows_bytes(), 64);
    REQUIRE(block != NULL);
    CHECK(tunnel_rows_open(block, tunnel_rows_bytes()) == NULL); // nobody has begun it
    rows = tunnel_rows_begin(block);
    CHECK(tunnel_rows_open(block, tunnel_rows_bytes()) == rows);
    CHECK(tunnel_rows_open(block, tunnel_rows_bytes() - 64) == NULL);
}

static void count_rows(void *arg, const struct tunnel_row *row)
{
    *(int *)arg += row->name[0] != '\0';
}

static int there_are(void)
{
    int count = 0;
    tunnel_rows_each(rows, count_rows, &count);
    return count;
}

static void a_row_from_take_to_give(void)
{
    uint32_t at = tunnel_rows_take(rows);
    CHECK_EQ_INT(at, 0);
    CHECK(!tunnel_rows_read(rows, at, &out)); // not set yet
    struct tunnel_row row = {.name = "myapp", .grant = "k3", .counts = {.instances = 1}};
    tunnel_rows_set(rows, at, &row);
    struct tunnel_counts counts = {.requests = 7, .state = TUNNEL_ROW_PARKED};
    tunnel_rows_count(rows, at, &counts);
    CHECK(tunnel_rows_read(rows, at, &out));
    CHECK_STR(out.name, "myapp");
    CHECK_EQ_INT(out.counts.requests, 7);
    CHECK_EQ_INT(out.counts.instances, 0);
    CHECK_EQ_INT(there_are(), 1);
    tunnel_rows_give(rows, at);
    CHECK(!tunnel_rows_read(rows, at, &out));
    CHECK_EQ_INT(there_are(), 0);
    CHECK(tunnel_rows_last(rows, at, &out));
    CHECK_STR(out.grant, "k3");
    CHECK_EQ_INT(tunnel_rows_take(rows), at);
    CHECK(!tunnel_rows_last(rows, at, &out)); // another tunnel's by now
    CHECK(!tunnel_rows_read(rows, at, &out));
    tunnel_rows_give(rows, at);
}

static void changes_are_seen(void)
{
    uint32_t before = tunnel_rows_changes(rows);
    uint32_t at = tunnel_rows_take(rows);
    struct tunnel_row row = {.name = "myapp"};
    uint32_t edition = tunnel_rows_edition(rows, at);
    tunnel_rows_set(rows, at, &row);
    CHECK_EQ_INT(tunnel_rows_changes(rows), before + 1);
    CHECK_EQ_INT(tunnel_rows_edition(rows, at), edition + 1);
    tunnel_rows_count(rows, at, &row.counts);
    CHECK_EQ_INT(tunnel_rows_changes(rows), before + 1);
    tunnel_rows_give(rows, at);
    CHECK_EQ_INT(tunnel_rows_changes(rows), before + 2);
    CHECK_EQ_INT(tunnel_rows_edition(rows, at), edition + 2);
    CHECK(tunnel_rows_high(rows) > at && tunnel_rows_high(rows) < 8);
}

static void texts_are_ended_by_the_reader(void)
{
    struct tunnel_row row;
    memset(&row, 'x', sizeof row);
    uint32_t at = tunnel_rows_take(rows);
    tunnel_rows_set(rows, at, &row);
    CHECK(tunnel_rows_read(rows, at, &out));
    CHECK_EQ_INT(strlen(out.name), TUNNEL_ROW_NAME_MAX - 1);
    CHECK_EQ_INT(strlen(out.agent), TUNNEL_ROW_AGENT_MAX - 1);
    tunnel_rows_give(rows, at);
}

static void there_are_only_so_many(void)
{
    for (int i = 0; i < TUNNEL_ROWS_MAX; i++) {
        REQUIRE(tunnel_rows_take(rows) < TUNNEL_ROWS_MAX);
    }
    CHECK_EQ_INT(tunnel_rows_take(rows), TUNNEL_ROWS_NONE);
    tunnel_rows_set(rows, TUNNEL_ROWS_NONE, &out); // nothing
    tunnel_rows_count(rows, TUNNEL_ROWS_NONE, &out.counts);
    tunnel_rows_give(rows, TUNNEL_ROWS_NONE);
    tunnel_rows_give(rows, 17);
    CHECK_EQ_INT(tunnel_rows_take(rows), 17);
    for (uint32_t i = 0; i < TUNNEL_ROWS_MAX; i++) {
        tunnel_rows_give(rows, i);
    }
}

static void another_versions_table_is_not_read(void)
{
    uint32_t *words = block;
    for (int i = 0; i < 4; i++) { // magic, format, bytes of a row, rows
        words[i] += 1;
        CHECK(tunnel_rows_open(block, tunnel_rows_bytes()) == NULL);
        words[i] -= 1;
    }
    CHECK(tunnel_rows_open(block, tunnel_rows_bytes()) == rows);
}

static void urls(void)
{
    static const struct {
        uint32_t kind;
        uint32_t bits;
        uint32_t port;
        const char *url;
    } table[] = {
        {TUNNEL_ROW_HTTP, TUNNEL_ROW_SECURE, 443, "https://a.t.example.com"},
        {TUNNEL_ROW_HTTP, TUNNEL_ROW_SECURE, 8443, "https://a.t.example.com:8443"},
        {TUNNEL_ROW_HTTP, 0, 80, "http://a.t.example.com"},
        {TUNNEL_ROW_HTTP, 0, 443, "http://a.t.example.com:443"},
        {TUNNEL_ROW_TCP, TUNNEL_ROW_SECURE, 20000, "tcp://a.t.example.com:20000"},
        {TUNNEL_ROW_UDP, 0, 443, "udp://a.t.example.com:443"},
        {77, 0, 0, "?://a.t.example.com"},
    };
    for (size_t i = 0; i < array_len(table); i++) {
        char buffer[128];
        struct text t = text_on(buffer, sizeof buffer);
        struct tunnel_row row = {.kind = table[i].kind,
                                 .bits = table[i].bits,
                                 .port = table[i].port,
                                 .at = "a.t.example.com"};
        tunnel_row_url(&row, &t);
        CHECK_TEXT(t.len > 0 ? buffer : "", t.len, table[i].url);
    }
}

static atomic_bool done;

static void *write_on(void *arg)
{
    uint32_t at = *(uint32_t *)arg;
    struct tunnel_row row = {.name = "app"};
    for (uint64_t i = 0; i < 100000; i++) {
        row.counts.requests = i;
        row.counts.bytes_in = i;
        row.counts.bytes_out = i;
        if (i % 2 == 0) {
            tunnel_rows_set(rows, at, &row);
        } else {
            tunnel_rows_count(rows, at, &row.counts);
        }
    }
    atomic_store(&done, true);
    return NULL;
}

static void a_reader_never_sees_half_of_a_write(void)
{
    uint32_t at = tunnel_rows_take(rows);
    pthread_t writer;
    REQUIRE(pthread_create(&writer, NULL, write_on, &at) == 0);
    unsigned wrong = 0;
    while (!atomic_load(&done)) {
        if (tunnel_rows_read(rows, at, &out)) {
            wrong += out.counts.requests != out.counts.bytes_in ||
                     out.counts.requests != out.counts.bytes_out;
        }
    }
    REQUIRE(pthread_join(writer, NULL) == 0);
    CHECK_EQ_INT(wrong, 0);
    CHECK(tunnel_rows_read(rows, at, &out));
    CHECK_EQ_INT(out.counts.requests, 99999);
}

TAP_MAIN(setup, a_row_from_take_to_give, changes_are_seen, texts_are_ended_by_the_reader,
         there_are_only_so_many, another_versions_table_is_not_read, urls,
         a_reader_never_sees_half_of_a_write)

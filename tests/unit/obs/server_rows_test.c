// SPDX-License-Identifier: Apache-2.0
//
// Rows of servers: claimed, written, read as they were at one moment, bounded.

#include "obs/server_rows.h"

#include <pthread.h>

#include "base/slab.h"
#include "tap.h"

enum { CORES = 3 };

static struct server_rows *rows;
static struct server_row out;

static void setup(void)
{
    void *block = mem_zalloc_aligned(server_rows_block_bytes(CORES), 64);
    REQUIRE(block != NULL);
    rows = server_rows_in(block, CORES);
    CHECK((char *)rows - (char *)block == (ptrdiff_t)counters_block_bytes(CORES));
}

static void a_row_from_claim_to_release(void)
{
    uint32_t at = server_rows_claim(rows);
    CHECK(at < SERVER_ROWS_MAX);
    CHECK(!server_rows_read(rows, at, &out)); // not written yet
    struct server_row row = {.upstream = "app", .address = "10.0.0.1:80", .weight = 2};
    server_rows_write(rows, at, &row);
    row.requests = 7;
    server_rows_write(rows, at, &row);
    CHECK(server_rows_read(rows, at, &out));
    CHECK_STR(out.upstream, "app");
    CHECK_EQ_INT(out.requests, 7);
    server_rows_release(rows, at);
    CHECK(!server_rows_read(rows, at, &out));
    CHECK_EQ_INT(server_rows_claim(rows), at);
    server_rows_restart(rows);
    CHECK(!server_rows_read(rows, at, &out));
}

static void texts_are_ended_by_the_reader(void)
{
    struct server_row row;
    memset(&row, 'x', sizeof(row));
    uint32_t at = server_rows_claim(rows);
    server_rows_write(rows, at, &row);
    CHECK(server_rows_read(rows, at, &out));
    CHECK_EQ_INT(strlen(out.upstream), SERVER_ROW_UPSTREAM_MAX - 1);
    CHECK_EQ_INT(strlen(out.reason), SERVER_ROW_REASON_MAX - 1);
    server_rows_restart(rows);
}

static void there_are_only_so_many(void)
{
    for (int i = 0; i < SERVER_ROWS_MAX; i++) {
        REQUIRE(server_rows_claim(rows) < SERVER_ROWS_MAX);
    }
    CHECK_EQ_INT(server_rows_claim(rows), SERVER_ROWS_NONE);
    server_rows_write(rows, SERVER_ROWS_NONE, &out); // nothing
    server_rows_release(rows, SERVER_ROWS_NONE);
    server_rows_release(rows, 17);
    CHECK_EQ_INT(server_rows_claim(rows), 17);
    server_rows_restart(rows);
}

static atomic_bool done;

static void *write_on(void *arg)
{
    uint32_t at = *(uint32_t *)arg;
    struct server_row row = {.upstream = "app"};
    for (uint64_t i = 0; i < 200000; i++) {
        row.requests = i;
        row.failures = i;
        row.since_wall_ms = i;
        server_rows_write(rows, at, &row);
    }
    atomic_store(&done, true);
    return NULL;
}

static void a_reader_never_sees_half_of_a_write(void)
{
    uint32_t at = server_rows_claim(rows);
    pthread_t writer;
    REQUIRE(pthread_create(&writer, NULL, write_on, &at) == 0);
    unsigned wrong = 0;
    while (!atomic_load(&done)) {
        if (server_rows_read(rows, at, &out)) {
            wrong += out.requests != out.failures || out.requests != out.since_wall_ms;
        }
    }
    REQUIRE(pthread_join(writer, NULL) == 0);
    CHECK_EQ_INT(wrong, 0);
    CHECK(server_rows_read(rows, at, &out));
    CHECK_EQ_INT(out.requests, 199999);
}

TAP_MAIN(setup, a_row_from_claim_to_release, texts_are_ended_by_the_reader, there_are_only_so_many,
         a_reader_never_sees_half_of_a_write)

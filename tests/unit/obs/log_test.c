// SPDX-License-Identifier: Apache-2.0
//
// Log rings and their writer: nothing is torn, nothing waits, what is lost is counted.

#include "obs/log.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/text.h"
#include "tap.h"

enum { RING_BYTES = 4096, LINES = 20000 };

// Reads until `want` bytes came or nothing has for a while.
static size_t read_for(int fd, char *buffer, size_t want)
{
    size_t have = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (have < want && poll(&p, 1, 2000) > 0) {
        ssize_t n = read(fd, buffer + have, want - have);
        if (n <= 0) {
            break;
        }
        have += (size_t)n;
    }
    return have;
}

static void lines_reach_their_descriptors(void)
{
    int error_pipe[2];
    int access_pipe[2];
    REQUIRE(pipe2(error_pipe, O_CLOEXEC) == 0);
    REQUIRE(pipe2(access_pipe, O_CLOEXEC) == 0);
    struct log_ring *ring = log_ring_new(RING_BYTES);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, error_pipe[1], access_pipe[1]);
    REQUIRE(w != NULL);
    CHECK(log_ring_put(ring, LOG_STREAM_ERROR, SLICE("trouble\n")));
    CHECK(log_ring_put(ring, LOG_STREAM_ACCESS, SLICE("request\n")));
    char buffer[64];
    CHECK_TEXT(buffer, read_for(error_pipe[0], buffer, 8), "trouble\n");
    CHECK_TEXT(buffer, read_for(access_pipe[0], buffer, 8), "request\n");
    CHECK(log_writer_stop(w));
    log_ring_free(ring);
    (void)close(error_pipe[0]);
    (void)close(error_pipe[1]);
    (void)close(access_pipe[0]);
}

static void a_sleeping_writer_is_woken(void)
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    struct log_ring *ring = log_ring_new(RING_BYTES);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, ends[1], -1);
    REQUIRE(w != NULL);
    char buffer[64];
    for (int i = 0; i < 3; i++) {
        (void)poll(NULL, 0, 60); // long enough for the writer to find nothing and wait
        CHECK(log_ring_put(ring, LOG_STREAM_ERROR, SLICE("awake\n")));
        CHECK_TEXT(buffer, read_for(ends[0], buffer, 6), "awake\n");
    }
    CHECK(log_writer_stop(w));
    log_ring_free(ring);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_full_ring_drops_and_counts(void)
{
    struct log_ring *ring = log_ring_new(RING_BYTES);
    REQUIRE(ring != NULL);
    char line[1000];
    memset(line, 'x', sizeof line);
    int taken = 0;
    while (log_ring_put(ring, LOG_STREAM_ACCESS, slice_of(line, sizeof line))) {
        taken++;
    }
    CHECK_EQ_INT(taken, RING_BYTES / (1000 + 8));
    CHECK_EQ_INT(log_ring_dropped(ring), 1);
    CHECK(!log_ring_put(ring, LOG_STREAM_ACCESS, slice_of(line, sizeof line)));
    CHECK_EQ_INT(log_ring_dropped(ring), 2);
    log_ring_free(ring);
}

static void *reader_main(void *arg)
{
    // Every line is "NUMBER text\n"; numbers only grow and the text belongs to the number.
    FILE *f = fdopen(*(int *)arg, "r");
    char line[256];
    long last = -1;
    long bad = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        char *rest = NULL;
        long number = strtol(line, &rest, 10);
        if (strncmp(line, "warn", 4) == 0) {
            continue; // what was dropped
        }
        size_t len = strlen(rest);
        bad += number <= last || len != (size_t)(number % 97) + 2;
        last = number;
    }
    (void)fclose(f);
    return (void *)(bad + 1); // 1: none
}

static void a_busy_ring_tears_nothing(void)
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    struct log_ring *ring = log_ring_new(1 << 14);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, ends[1], -1);
    REQUIRE(w != NULL);
    pthread_t reader;
    REQUIRE(pthread_create(&reader, NULL, reader_main, &ends[0]) == 0);
    char filler[97];
    memset(filler, 'x', sizeof filler);
    for (int i = 0; i < LINES; i++) {
        char line[256];
        int len = snprintf(line, sizeof line, "%d %.*s\n", i, i % 97, filler);
        (void)log_ring_put(ring, LOG_STREAM_ERROR, slice_of(line, (size_t)len));
    }
    CHECK(log_writer_stop(w));
    (void)close(ends[1]);
    void *result = NULL;
    (void)pthread_join(reader, &result);
    CHECK_EQ_INT((intptr_t)result, 1);
    log_ring_free(ring);
}

static int stop_with_a_stuck_reader(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return 2;
    }
    struct log_ring *ring = log_ring_new(1 << 20);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, ends[1], -1);
    REQUIRE(w != NULL);
    static char line[LOG_LINE_MAX];
    memset(line, 'x', sizeof line);
    for (int i = 0; i < 100; i++) { // more than a pipe holds
        (void)log_ring_put(ring, LOG_STREAM_ERROR, slice_of(line, sizeof line));
    }
    (void)poll(NULL, 0, 100); // the writer is in its write by now
    return log_writer_stop(w) ? 1 : 0;
}

static void a_reader_that_does_not_read_cannot_keep_us(void)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        _exit(stop_with_a_stuck_reader());
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK_EQ_INT(status, 0);
}

static void rotation_swaps_the_descriptor(void)
{
    int old[2];
    int new[2];
    REQUIRE(pipe2(old, O_CLOEXEC) == 0);
    REQUIRE(pipe2(new, O_CLOEXEC) == 0);
    struct log_ring *ring = log_ring_new(RING_BYTES);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, -1, old[1]);
    REQUIRE(w != NULL);
    CHECK(log_ring_put(ring, LOG_STREAM_ACCESS, SLICE("before\n")));
    char buffer[64];
    CHECK_TEXT(buffer, read_for(old[0], buffer, 7), "before\n");
    log_writer_reopen(w, new[1]);
    CHECK_EQ_INT(read_for(old[0], buffer, 1), 0); // the writer has closed it
    CHECK(log_ring_put(ring, LOG_STREAM_ACCESS, SLICE("after\n")));
    CHECK_TEXT(buffer, read_for(new[0], buffer, 6), "after\n");
    CHECK(log_writer_stop(w));
    log_ring_free(ring);
    (void)close(old[0]);
    (void)close(new[0]);
}

static void a_line_has_time_level_and_no_forged_end(void)
{
    int ends[2];
    REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
    struct log_ring *ring = log_ring_new(RING_BYTES);
    REQUIRE(ring != NULL);
    struct log_writer *w = log_writer_start(&ring, 1, ends[1], -1);
    REQUIRE(w != NULL);
    log_use_ring(ring);
    log_set_level(LOG_INFO);
    CHECK(!log_enabled(LOG_DEBUG));
    log_line(LOG_DEBUG, "not said");
    log_line(LOG_WARN, "peer said %s", "a\nb");
    log_use_ring(NULL);
    char buffer[128];
    size_t want = LOG_TIME_BYTES + strlen(" warn peer said a?b\n");
    size_t have = read_for(ends[0], buffer, want);
    CHECK_EQ_INT(have, want);
    CHECK_TEXT(buffer + LOG_TIME_BYTES, have - LOG_TIME_BYTES, " warn peer said a?b\n");
    CHECK(log_writer_stop(w));
    log_ring_free(ring);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void times_are_civil(void)
{
    static const struct {
        uint64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {1795413912345, "2026-11-23T06:05:12.345Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[LOG_TIME_BYTES];
        log_time(rows[i].ms, out);
        CHECK_TEXT(out, sizeof out, rows[i].text);
    }
}

TAP_MAIN(lines_reach_their_descriptors, a_sleeping_writer_is_woken, a_full_ring_drops_and_counts,
         a_busy_ring_tears_nothing, a_reader_that_does_not_read_cannot_keep_us,
         rotation_swaps_the_descriptor, a_line_has_time_level_and_no_forged_end, times_are_civil)

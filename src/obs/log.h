// SPDX-License-Identifier: Apache-2.0
//
// Logs leave the request path by a ring of bytes per core that one writer thread empties to the log
// descriptors. When a ring is full the line is dropped and counted, never waited for. Lines are
// formatted on the core: text building is cheap, writing is not.
//
// Start-up, keeper and supervisor code has no ring: there log_line() writes to stderr at once.

#pragma once

#include <stdint.h>

#include "base/ensure.h"
#include "base/slice.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_stream { LOG_STREAM_ERROR, LOG_STREAM_ACCESS };

enum { LOG_LINE_MAX = 8192, LOG_TIME_BYTES = 24 };

struct log_ring;

/** `bytes`: power of two. Shared by one core (producer) and the writer. */
struct log_ring *log_ring_new(uint32_t bytes) must_check;
void log_ring_free(struct log_ring *r);
/** Appends one complete line (with its '\n'). False: dropped. Core only. */
bool log_ring_put(struct log_ring *r, enum log_stream stream, struct slice line);
/** Lines dropped so far. */
uint64_t log_ring_dropped(const struct log_ring *r);

/** The writer: a thread that empties the rings to two descriptors (-1: off) and ends with a last
 * pass. The access descriptor becomes the writer's own unless it is a standard one;
 * log_writer_reopen() swaps it (log rotation). `rings` must outlive the writer. NULL: no memory, no
 * thread. While lines come it makes no producer call the kernel: it looks every 20 ms. */
struct log_writer;
struct log_writer *log_writer_start(struct log_ring *const *rings, uint32_t count, int error_fd,
                                    int access_fd) must_check;
void log_writer_reopen(struct log_writer *w, int access_fd);
/** Ends it after a last pass. False: it hangs in a write to somebody who does not read, and is left
 * behind with its rings; the process should end without more ado. */
bool log_writer_stop(struct log_writer *w);

/** This thread's ring (NULL: stderr at once). Set once per thread. */
void log_use_ring(struct log_ring *r);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);
/** One line: "2026-11-23T05:46:12.345Z info what happened key=value"; the caller gives what follows
 * the level. Any thread. */
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** "2026-11-23T05:46:12.345Z" of milliseconds since 1970; not terminated. */
void log_time(uint64_t wall_ms, char out[LOG_TIME_BYTES]);

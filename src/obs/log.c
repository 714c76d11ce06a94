// SPDX-License-Identifier: Apache-2.0
//
// Log rings and their writer.
//
// A ring is bytes between two positions that only grow: head is the producer's, tail the writer's.
// A record is an 8-byte head (length, stream) and the line, padded to 8, so a head never wraps; a
// line may, and then is written from two pieces. The writer gathers lines into writev() batches
// straight from the ring and gives the space back afterwards.
//
// Wake-ups: while there is something to do the writer looks again every LOG_PASS_MS, and producers
// make no system call. When it finds nothing it raises `asleep` in every ring, looks once more and
// waits; the next line's producer takes the flag down and writes the eventfd. Both sides use
// sequentially consistent operations, so one of the two always sees the other.

#include "obs/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/slab.h"
#include "base/text.h"
#include "os/clock.h"

enum {
    LOG_RING_MAGIC = 0x4c4f4752,
    LOG_WRITER_MAGIC = 0x4c4f4757,
    LOG_PASS_MS = 20,    // between two looks while lines come
    LOG_STALL_MS = 1000, // how long the last pass waits for a reader that does not read
    LOG_GOODBYE_S = 3,   // how long a stop waits for the last pass
    LOG_BATCH = 64,      // lines per writev
    LOG_FD_NONE = -2,    // no new descriptor is waiting
    LOG_STREAMS = 2,
    CACHE_LINE = 64,
};

struct record_head {
    uint32_t len;
    uint32_t stream;
};

static_assert(sizeof(struct record_head) == 8, "record heads never wrap");

struct log_ring {
    uint32_t magic;
    uint32_t size; // power of two
    char *bytes;
    char pad0[CACHE_LINE];
    _Atomic uint64_t head;
    uint64_t tail_seen; // the producer's memory of tail
    _Atomic uint64_t dropped;
    char pad1[CACHE_LINE];
    _Atomic uint64_t tail;
    uint64_t dropped_told; // the writer's: how many it has reported
    char pad2[CACHE_LINE];
    atomic_bool asleep; // the writer waits on wake_fd
    atomic_int wake_fd;
};

struct batch {
    struct iovec iov[LOG_BATCH * 2];
    int count;
};

struct log_writer {
    uint32_t magic;
    uint32_t count;
    struct log_ring *const *rings;
    pthread_t thread;
    int wake_fd;
    int fds[LOG_STREAMS]; // enum log_stream; -1: off
    atomic_int new_access_fd;
    atomic_bool stopping;
    struct batch batches[LOG_STREAMS];
};

static _Thread_local struct log_ring *thread_ring;
static atomic_int log_level_now = LOG_INFO;

// ---- ring ---------------------------------------------------------------------------------------

struct log_ring *log_ring_new(uint32_t bytes)
{
    ensure(bytes >= 4096);
    ensure((bytes & (bytes - 1)) == 0);
    struct log_ring *r = mem_zalloc(sizeof *r);
    if (r == NULL) {
        return NULL;
    }
    r->bytes = mem_alloc(bytes);
    if (r->bytes == NULL) {
        mem_free(r);
        return NULL;
    }
    r->magic = LOG_RING_MAGIC;
    r->size = bytes;
    atomic_init(&r->wake_fd, -1);
    return r;
}

void log_ring_free(struct log_ring *r)
{
    if (r == NULL) {
        return;
    }
    ensure_magic(r, LOG_RING_MAGIC);
    r->magic = 0;
    mem_free(r->bytes);
    mem_free(r);
}

static uint64_t record_size(size_t len)
{
    return sizeof(struct record_head) + ((len + 7) & ~(uint64_t)7);
}

static void copy_in(struct log_ring *r, uint64_t at, const char *bytes, size_t len)
{
    size_t offset = at & (r->size - 1);
    size_t first = r->size - offset < len ? r->size - offset : len;
    memcpy(r->bytes + offset, bytes, first);
    memcpy(r->bytes, bytes + first, len - first);
}

static void wake_writer(struct log_ring *r)
{
    if (atomic_load(&r->asleep) && atomic_exchange(&r->asleep, false)) {
        // A full eventfd counter is a wake-up as well, so the result says nothing.
        ssize_t ignored = write(atomic_load(&r->wake_fd), &(uint64_t){1}, sizeof(uint64_t));
        (void)ignored;
    }
}

bool log_ring_put(struct log_ring *r, enum log_stream stream, struct slice line)
{
    ensure_magic(r, LOG_RING_MAGIC);
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t need = record_size(line.len);
    if (need > r->size - (head - r->tail_seen)) {
        r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
        if (need > r->size - (head - r->tail_seen)) {
            atomic_fetch_add_explicit(&r->dropped, 1, memory_order_relaxed);
            return false;
        }
    }
    struct record_head record = {(uint32_t)line.len, (uint32_t)stream};
    copy_in(r, head, (const char *)&record, sizeof record);
    copy_in(r, head + sizeof record, line.ptr, line.len);
    atomic_store(&r->head, head + need);
    wake_writer(r);
    return true;
}

uint64_t log_ring_dropped(const struct log_ring *r)
{
    ensure_magic(r, LOG_RING_MAGIC);
    return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}

// ---- writer -------------------------------------------------------------------------------------

// Removes n written bytes from the front of a batch.
static void batch_consume(struct batch *b, int *from, size_t n)
{
    while (n > 0) {
        struct iovec *iov = &b->iov[*from];
        size_t part = n < iov->iov_len ? n : iov->iov_len;
        iov->iov_base = (char *)iov->iov_base + part;
        iov->iov_len -= part;
        n -= part;
        if (iov->iov_len == 0) {
            (*from)++;
        }
    }
}

// Waits until a non-blocking descriptor takes bytes again. False: give the batch up.
static bool wait_writable(const struct log_writer *w, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int limit = atomic_load(&w->stopping) ? LOG_STALL_MS : -1;
    int n = 0;
    do {
        n = poll(&p, 1, limit);
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static void batch_flush(struct log_writer *w, enum log_stream stream)
{
    struct batch *b = &w->batches[stream];
    int fd = w->fds[stream];
    int from = 0;
    while (fd >= 0 && from < b->count) {
        if (atomic_load(&w->stopping) && !wait_writable(w, fd)) {
            break;
        }
        ssize_t n = writev(fd, &b->iov[from], b->count - from);
        if (n > 0) {
            batch_consume(b, &from, (size_t)n);
        } else if (n < 0 && errno == EINTR) {
            continue;
        } else if (n >= 0 || errno != EAGAIN || !wait_writable(w, fd)) {
            break; // a full disk or a closed pipe: these lines are lost, later ones may not be
        }
    }
    b->count = 0;
}

static void batch_add(struct log_writer *w, enum log_stream stream, struct iovec piece)
{
    struct batch *b = &w->batches[stream];
    if (w->fds[stream] < 0 || piece.iov_len == 0) {
        return;
    }
    b->iov[b->count++] = piece;
}

static void add_line(struct log_writer *w, struct log_ring *r, uint64_t at,
                     const struct record_head *record)
{
    enum log_stream stream =
        record->stream == LOG_STREAM_ACCESS ? LOG_STREAM_ACCESS : LOG_STREAM_ERROR;
    size_t offset = at & (r->size - 1);
    size_t first = r->size - offset < record->len ? r->size - offset : record->len;
    if (w->batches[stream].count > LOG_BATCH * 2 - 2) {
        batch_flush(w, stream);
    }
    batch_add(w, stream, (struct iovec){r->bytes + offset, first});
    batch_add(w, stream, (struct iovec){r->bytes, record->len - first});
}

// Says once per pass how many lines a ring had to drop.
static void tell_dropped(struct log_writer *w, struct log_ring *r)
{
    uint64_t dropped = log_ring_dropped(r);
    if (dropped == r->dropped_told) {
        return;
    }
    char line[128];
    int len = snprintf(line, sizeof line,
                       "warn log lines were dropped, the reader is behind count=%llu\n",
                       (unsigned long long)(dropped - r->dropped_told));
    r->dropped_told = dropped;
    batch_add(w, LOG_STREAM_ERROR, (struct iovec){line, (size_t)len});
    batch_flush(w, LOG_STREAM_ERROR);
}

static void take_new_descriptor(struct log_writer *w)
{
    int fd = atomic_exchange(&w->new_access_fd, LOG_FD_NONE);
    if (fd == LOG_FD_NONE) {
        return;
    }
    if (w->fds[LOG_STREAM_ACCESS] > STDERR_FILENO) {
        (void)close(w->fds[LOG_STREAM_ACCESS]);
    }
    w->fds[LOG_STREAM_ACCESS] = fd;
}

// Writes all that one ring holds. True when it held something.
static bool empty_ring(struct log_writer *w, struct log_ring *r)
{
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    uint64_t head = atomic_load(&r->head);
    if (head == tail) {
        return false;
    }
    // A line that was logged after a rotation is never written to the file before it.
    take_new_descriptor(w);
    while (tail != head) {
        struct record_head record;
        memcpy(&record, r->bytes + (tail & (r->size - 1)), sizeof record);
        uint64_t size = record_size(record.len);
        ensure(size <= head - tail);
        add_line(w, r, tail + sizeof record, &record);
        tail += size;
    }
    batch_flush(w, LOG_STREAM_ERROR);
    batch_flush(w, LOG_STREAM_ACCESS);
    atomic_store_explicit(&r->tail, tail, memory_order_release);
    tell_dropped(w, r);
    return true;
}

static bool pass(struct log_writer *w)
{
    bool found = false;
    for (uint32_t i = 0; i < w->count; i++) {
        found = empty_ring(w, w->rings[i]) || found;
    }
    take_new_descriptor(w);
    return found;
}

static void set_asleep(struct log_writer *w, bool asleep)
{
    for (uint32_t i = 0; i < w->count; i++) {
        atomic_store(&w->rings[i]->asleep, asleep);
    }
}

// Until a producer, a stop or a rotation writes the eventfd, or the time is over (-1: never).
static void wait_for_wake(struct log_writer *w, int timeout_ms)
{
    struct pollfd p = {.fd = w->wake_fd, .events = POLLIN};
    uint64_t count;
    if (poll(&p, 1, timeout_ms) > 0) {
        ssize_t ignored = read(w->wake_fd, &count, sizeof count);
        (void)ignored;
    }
}

static void *writer_main(void *arg)
{
    struct log_writer *w = arg;
    ensure_magic(w, LOG_WRITER_MAGIC);
    while (!atomic_load(&w->stopping)) {
        if (pass(w)) {
            wait_for_wake(w, LOG_PASS_MS);
            continue;
        }
        set_asleep(w, true);
        if (!pass(w) && !atomic_load(&w->stopping)) {
            wait_for_wake(w, -1);
        }
        set_asleep(w, false);
    }
    (void)pass(w);
    return NULL;
}

struct log_writer *log_writer_start(struct log_ring *const *rings, uint32_t count, int error_fd,
                                    int access_fd)
{
    struct log_writer *w = mem_zalloc(sizeof *w);
    if (w == NULL) {
        return NULL;
    }
    w->magic = LOG_WRITER_MAGIC;
    w->rings = rings;
    w->count = count;
    w->fds[LOG_STREAM_ERROR] = error_fd;
    w->fds[LOG_STREAM_ACCESS] = access_fd;
    atomic_init(&w->new_access_fd, LOG_FD_NONE);
    w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (w->wake_fd < 0) {
        mem_free(w);
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        atomic_store(&rings[i]->wake_fd, w->wake_fd);
    }
    if (pthread_create(&w->thread, NULL, writer_main, w) != 0) {
        (void)close(w->wake_fd);
        mem_free(w);
        return NULL;
    }
    return w;
}

static void poke(struct log_writer *w)
{
    ssize_t ignored = write(w->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)ignored;
}

void log_writer_reopen(struct log_writer *w, int access_fd)
{
    ensure_magic(w, LOG_WRITER_MAGIC);
    ensure(access_fd >= -1);
    int unused = atomic_exchange(&w->new_access_fd, access_fd);
    if (unused > STDERR_FILENO) {
        (void)close(unused); // a second rotation came before the writer saw the first
    }
    poke(w);
}

bool log_writer_stop(struct log_writer *w)
{
    ensure_magic(w, LOG_WRITER_MAGIC);
    atomic_store(&w->stopping, true);
    poke(w);
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += LOG_GOODBYE_S;
    if (pthread_timedjoin_np(w->thread, NULL, &until) != 0) {
        return false;
    }
    for (uint32_t i = 0; i < w->count; i++) {
        atomic_store(&w->rings[i]->wake_fd, -1);
    }
    if (w->fds[LOG_STREAM_ACCESS] > STDERR_FILENO) {
        (void)close(w->fds[LOG_STREAM_ACCESS]);
    }
    (void)close(w->wake_fd);
    w->magic = 0;
    mem_free(w);
    return true;
}

// ---- lines --------------------------------------------------------------------------------------

void log_use_ring(struct log_ring *r)
{
    thread_ring = r;
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level_now, (int)level, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level >= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

static void put_digits(char *out, unsigned value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
}

void log_time(uint64_t wall_ms, char out[LOG_TIME_BYTES])
{
    // Days to a civil date, by eras of 400 years that begin on 1 March.
    uint64_t days = wall_ms / 86400000;
    uint64_t in_day = wall_ms % 86400000;
    uint64_t z = days + 719468;
    uint64_t era = z / 146097;
    unsigned doe = (unsigned)(z % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    unsigned year = yoe + (unsigned)era * 400 + (month <= 2);
    memcpy(out, "0000-00-00T00:00:00.000Z", LOG_TIME_BYTES);
    put_digits(out, year, 4);
    put_digits(out + 5, month, 2);
    put_digits(out + 8, doy - (153 * mp + 2) / 5 + 1, 2);
    put_digits(out + 11, (unsigned)(in_day / 3600000), 2);
    put_digits(out + 14, (unsigned)(in_day / 60000 % 60), 2);
    put_digits(out + 17, (unsigned)(in_day / 1000 % 60), 2);
    put_digits(out + 20, (unsigned)(in_day % 1000), 3);
}

// A newline inside a line would let whoever wrote the text forge the next one.
static void flatten(char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)line[i] < 0x20 && line[i] != '\t') {
            line[i] = '?';
        }
    }
}

__attribute__((format(printf, 3, 0))) static size_t format_line(char line[LOG_LINE_MAX],
                                                                enum log_level level,
                                                                const char *format, va_list args)
{
    static const char *const names[] = {"debug ", "info ", "warn ", "error "};
    struct text t = text_on(line, LOG_LINE_MAX - 1);
    log_time(os_clock_wall_ms(), t.ptr);
    t.len = LOG_TIME_BYTES;
    text_char(&t, ' ');
    text_str(&t, names[level]);
    int n = vsnprintf(line + t.len, t.capacity - t.len, format, args);
    size_t said = n < 0 ? 0 : (size_t)n;
    size_t room = t.capacity - t.len - 1;
    flatten(line + t.len, said < room ? said : room);
    size_t len = t.len + (said < room ? said : room);
    line[len] = '\n';
    return len + 1;
}

void log_line(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level)) {
        return;
    }
    char line[LOG_LINE_MAX];
    va_list args;
    va_start(args, format);
    size_t len = format_line(line, level, format, args);
    va_end(args);
    if (thread_ring != NULL) {
        (void)log_ring_put(thread_ring, LOG_STREAM_ERROR, slice_of(line, len));
        return;
    }
    for (size_t at = 0; at < len;) {
        ssize_t n = write(STDERR_FILENO, line + at, len - at);
        if (n <= 0) {
            return;
        }
        at += (size_t)n;
    }
}

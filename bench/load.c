// SPDX-License-Identifier: Apache-2.0
//
// The benchmark's client: asks for one path over keep-alive connections and checks every byte of
// every answer. Three ways to ask:
//
//   closed   each connection asks again as soon as it has its answer: the most a proxy can do
//   open     requests are due at a fixed rate, whatever became of those before. Time is counted
//            from when a request was due, so a stall is charged to all whom it delays (no
//            coordinated omission)
//   held     each connection asks once, then all stay open until they are released
//
// Each of them in clear or over TLS 1.3, whose handshakes are done before the clock starts.
//
// A wrong status, length or byte, a connection closed by the other side or a stall of several
// seconds is an error; the first one is described on standard error.
#include "load.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "histogram.h"
#include "source.h"
#include "tls.h"

enum {
    HEAD_BYTES_MAX = 2048,
    READ_BYTES = 256 * 1024,
    HELD_IN_FLIGHT_MAX = 32, // so that the proxy's memory for work in progress stays small
    STALL_MS = 5000,
};

struct conn {
    struct source source;
    int fd;
    struct tls_link tls; // used when the plan says so
    bool waiting;        // an answer is due
    bool in_body;        // its head is whole
    size_t head_bytes;   // in head, while the head is not whole
    size_t body_bytes;   // received so far
    uint64_t begun_ns;   // when the request was sent, or due
    struct conn *next_free;
    char head[HEAD_BYTES_MAX];
};

// What is going on. One at a time.
static struct {
    struct load_plan plan;
    SSL_CTX *tls; // NULL: in clear
    int epoll;
    struct conn *conns;
    struct conn *free;
    char request[512];
    size_t request_bytes;
    unsigned char *body;   // what every answer must hold
    unsigned char *buffer; // what was just read

    uint64_t ask_until_ns; // closed loop: who has an answer asks again until then
    uint64_t requests;     // answered in full and rightly
    uint64_t errors;
    unsigned waiting;
    struct histogram latency;
    struct histogram lateness; // of sending behind the plan, open loop only: the client's own part
} load;

static void fail(struct conn *conn, const char *what)
{
    if (load.errors == 0) {
        fprintf(stderr, "load: %s (after %llu good answers)\n", what,
                (unsigned long long)load.requests);
    }
    load.errors++;
    if (conn->waiting) {
        conn->waiting = false;
        load.waiting--;
    }
    tls_close(&conn->tls);
    close(conn->fd);
    conn->fd = -1;
}

static void ask(struct conn *conn, uint64_t begun_ns)
{
    conn->waiting = true;
    conn->in_body = false;
    conn->head_bytes = 0;
    conn->body_bytes = 0;
    conn->begun_ns = begun_ns;
    load.waiting++;
    ssize_t n = load.tls != NULL ? tls_write(&conn->tls, load.request, load.request_bytes)
                                 : send(conn->fd, load.request, load.request_bytes, 0);
    if (n != (ssize_t)load.request_bytes) {
        fail(conn, "a request could not be sent");
    }
}

// Whether a whole head, ending with an empty line, announces the answer that is due.
static bool head_is_good(char *head, size_t bytes)
{
    static const char field[] = "\ncontent-length:";
    head[bytes - 1] = '\0';
    if (strncmp(head, "HTTP/1.1 200", 12) != 0) {
        return false;
    }
    const char *found = strcasestr(head, field);
    return found != NULL && strtoull(found + sizeof field - 1, NULL, 10) == load.plan.size;
}

// Takes the head's share of what was read. Returns how many bytes that was, 0 after a failure.
static size_t take_head(struct conn *conn, const unsigned char *data, size_t bytes)
{
    size_t before = conn->head_bytes;
    size_t room = sizeof conn->head - before;
    size_t copied = bytes < room ? bytes : room;
    memcpy(conn->head + before, data, copied);
    const char *end = memmem(conn->head, before + copied, "\r\n\r\n", 4);
    if (end == NULL) {
        conn->head_bytes += copied;
        if (conn->head_bytes == sizeof conn->head) {
            fail(conn, "the head of an answer is too long");
            return 0;
        }
        return copied;
    }
    size_t head_bytes = (size_t)(end - conn->head) + 4;
    if (!head_is_good(conn->head, head_bytes)) {
        if (load.errors == 0) {
            fprintf(stderr, "load: a head was: %s\n", conn->head);
        }
        fail(conn, "an answer has a wrong status or length");
        return 0;
    }
    conn->in_body = true;
    return head_bytes - before;
}

// Takes what was read. Returns true when the answer is whole with it.
static bool take(struct conn *conn, const unsigned char *data, size_t bytes)
{
    if (!conn->waiting) {
        fail(conn, "bytes came that were not asked for");
        return false;
    }
    size_t used = conn->in_body ? 0 : take_head(conn, data, bytes);
    if (!conn->in_body || !conn->waiting) {
        return false;
    }
    size_t part = bytes - used;
    if (part > load.plan.size - conn->body_bytes) {
        fail(conn, "an answer is longer than announced");
        return false;
    }
    if (memcmp(data + used, load.body + conn->body_bytes, part) != 0) {
        fail(conn, "an answer's body is wrong");
        return false;
    }
    conn->body_bytes += part;
    return conn->body_bytes == load.plan.size;
}

// Whether the socket may hold more after a read of n bytes; if not, more will be a new edge.
static bool may_hold_more(const struct conn *conn, ssize_t n)
{
    return load.tls != NULL ? tls_may_read(&conn->tls) : n == READ_BYTES;
}

// Reads all there is. Returns true when an answer was completed.
static bool receive(struct conn *conn)
{
    bool done = false;
    for (;;) {
        ssize_t n = load.tls != NULL ? tls_read(&conn->tls, load.buffer, READ_BYTES)
                                     : recv(conn->fd, load.buffer, READ_BYTES, 0);
        if (n < 0 && errno == EAGAIN) {
            return done;
        }
        if (n <= 0) {
            fail(conn, n == 0 ? "the other side closed" : "the connection broke");
            return false;
        }
        done = take(conn, load.buffer, (size_t)n);
        if (conn->fd < 0) {
            return false;
        }
        if (!may_hold_more(conn, n)) {
            return done;
        }
    }
}

static void finish(struct conn *conn, uint64_t now_ns)
{
    histogram_add(&load.latency, now_ns - conn->begun_ns);
    load.requests++;
    load.waiting--;
    conn->waiting = false;
    if (now_ns < load.ask_until_ns && load.errors == 0) {
        ask(conn, now_ns);
        return;
    }
    conn->next_free = load.free;
    load.free = conn;
}

static void on_conn(struct source *source, uint32_t events)
{
    struct conn *conn = (struct conn *)source; // the source is its first member
    tls_wake(&conn->tls, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    if (conn->fd >= 0 && receive(conn)) {
        finish(conn, bench_now_ns());
    }
}

static struct conn *take_free(void)
{
    struct conn *conn = load.free;
    if (conn != NULL) {
        load.free = conn->next_free;
    }
    return conn;
}

// Waits for answers. Returns false when nothing came for STALL_MS though something was due.
static bool turn_or_stall(void)
{
    if (source_turn(load.epoll, (uint64_t)STALL_MS * 1000000U) > 0) {
        return true;
    }
    fprintf(stderr, "load: no answer for %d ms, %u due\n", STALL_MS, load.waiting);
    load.errors += load.waiting;
    return false;
}

static void connect_one(struct conn *conn)
{
    const int one = 1;
    const struct timeval limit = {.tv_sec = STALL_MS / 1000};
    conn->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (conn->fd < 0) {
        bench_die("socket");
    }
    setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(conn->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(conn->fd, (const struct sockaddr *)&load.plan.to, sizeof load.plan.to) != 0) {
        bench_die("connect to port %u", ntohs(load.plan.to.sin_port));
    }
    if (load.tls != NULL &&
        !(tls_open(&conn->tls, load.tls, conn->fd, false) && tls_handshake_wait(&conn->tls))) {
        fail(conn, "a TLS handshake failed");
        return;
    }
    fcntl(conn->fd, F_SETFL, O_NONBLOCK);
    source_open(&conn->source, load.epoll, conn->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_conn);
}

static void connect_all(void)
{
    for (unsigned i = 0; i < load.plan.connections && load.errors == 0; i++) {
        struct conn *conn = &load.conns[i];
        connect_one(conn);
        conn->next_free = load.free;
        load.free = conn;
    }
}

static void run_closed(uint64_t start_ns, uint64_t end_ns)
{
    load.ask_until_ns = end_ns;
    for (struct conn *conn = take_free(); conn != NULL && load.errors == 0; conn = take_free()) {
        ask(conn, start_ns);
    }
    while (load.waiting > 0 && turn_or_stall()) {
    }
}

static void run_open(uint64_t start_ns, uint64_t end_ns)
{
    const double interval_ns = 1e9 / load.plan.rate;
    const uint64_t total = (uint64_t)(load.plan.seconds * load.plan.rate);
    const uint64_t give_up_ns = end_ns + (uint64_t)STALL_MS * 1000000U;
    uint64_t next = 0;
    while ((next < total || load.waiting > 0) && load.errors == 0) {
        uint64_t now_ns = bench_now_ns();
        uint64_t due_ns = start_ns + (uint64_t)((double)next * interval_ns);
        while (next < total && due_ns <= now_ns && load.free != NULL) {
            histogram_add(&load.lateness, now_ns - due_ns);
            ask(take_free(), due_ns);
            next++;
            due_ns = start_ns + (uint64_t)((double)next * interval_ns);
        }
        if (now_ns > give_up_ns) {
            fprintf(stderr, "load: the rate was not reached\n");
            load.errors += load.waiting + (total - next);
            return;
        }
        if (next < total && load.free != NULL) {
            source_turn(load.epoll, due_ns > now_ns ? due_ns - now_ns : 0);
        } else if (!turn_or_stall()) {
            return;
        }
    }
}

static void print_result(uint64_t took_ns)
{
    double seconds = (double)took_ns / 1e9;
    unsigned open = 0;
    for (unsigned i = 0; i < load.plan.connections; i++) {
        open += load.conns[i].fd >= 0 ? 1U : 0U;
    }
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"rate\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"max_us\": %.1f, "
           "\"late_p99_us\": %.1f, \"open\": %u}\n",
           (unsigned long long)load.requests, (unsigned long long)load.errors, seconds,
           (double)load.requests / seconds, (double)histogram_quantile(&load.latency, 0.5) / 1e3,
           (double)histogram_quantile(&load.latency, 0.99) / 1e3,
           (double)histogram_quantile(&load.latency, 0.999) / 1e3, (double)load.latency.max / 1e3,
           (double)histogram_quantile(&load.lateness, 0.99) / 1e3, open);
    fflush(stdout);
}

static void begin(int epoll, const struct load_plan *plan)
{
    unsigned char *body = load.body;
    unsigned char *buffer = load.buffer;
    static SSL_CTX *tls;
    if (plan->tls && tls == NULL) {
        tls = tls_client_context(13);
    }
    if (body == NULL) {
        body = malloc(BENCH_BODY_BYTES_MAX);
        buffer = malloc(READ_BYTES);
        if (body == NULL || buffer == NULL) {
            bench_die("out of memory");
        }
        bench_fill_body(body, BENCH_BODY_BYTES_MAX);
    }
    memset(&load, 0, sizeof load);
    load.plan = *plan;
    load.tls = plan->tls ? tls : NULL;
    load.epoll = epoll;
    load.body = body;
    load.buffer = buffer;
    load.conns = calloc(plan->connections, sizeof *load.conns);
    if (load.conns == NULL) {
        bench_die("out of memory");
    }
    for (unsigned i = 0; i < plan->connections; i++) {
        load.conns[i].fd = -1;
    }
    int bytes = snprintf(load.request, sizeof load.request,
                         "GET %s HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: load/1\r\n"
                         "Accept: */*\r\n\r\n",
                         plan->path);
    load.request_bytes = (size_t)bytes;
}

static void end(void)
{
    for (unsigned i = 0; i < load.plan.connections; i++) {
        if (load.conns[i].fd >= 0) {
            tls_close(&load.conns[i].tls);
            close(load.conns[i].fd);
        }
    }
    free(load.conns);
    load.conns = NULL;
}

void load_run(int epoll, const struct load_plan *plan)
{
    begin(epoll, plan);
    connect_all();
    uint64_t start_ns = bench_now_ns();
    uint64_t end_ns = start_ns + (uint64_t)(plan->seconds * 1e9);
    if (plan->rate > 0) {
        run_open(start_ns, end_ns);
    } else {
        run_closed(start_ns, end_ns);
    }
    print_result(bench_now_ns() - start_ns);
    end();
}

void load_hold(int epoll, const struct load_plan *plan)
{
    begin(epoll, plan);
    uint64_t start_ns = bench_now_ns();
    for (unsigned i = 0; i < plan->connections && load.errors == 0; i++) {
        connect_one(&load.conns[i]);
        if (load.conns[i].fd >= 0) {
            ask(&load.conns[i], bench_now_ns());
        }
        while (load.waiting >= HELD_IN_FLIGHT_MAX && turn_or_stall()) {
        }
    }
    while (load.waiting > 0 && turn_or_stall()) {
    }
    print_result(bench_now_ns() - start_ns);
}

void load_release(void)
{
    if (load.conns != NULL) {
        print_result(1);
        end();
    }
}

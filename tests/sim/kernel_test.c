// SPDX-License-Identifier: Apache-2.0
//
// The simulated kernel tried on itself: an echo server on the real loop, with actors that send known
// bytes and check what comes back, on calm and on hostile networks. Also single questions: what a
// reset, a refusal, a full window, a missing descriptor look like from the proxy's side.

#include "kernel.h"

#include <stdlib.h>

#include "base/error.h"
#include "driver.h"

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            sim_fail(c, "line %d: %s", __LINE__, #cond);                                           \
        }                                                                                          \
    } while (0)

static const struct sim_faults calm = {.latency_max_ns = 1000000};

static const struct os_addr proxy_at = {.kind = OS_ADDR_V4, .port = 8080, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_at = {.kind = OS_ADDR_V4, .port = 9090, .u.ip = {127, 0, 0, 2}};

// ---- the echo server on the loop -------------------------------------------------------------------------

enum { ECHO_CONNS_MAX = 64, ECHO_CLIENTS = 12, ECHO_BYTES_MAX = 20000 };

struct echo_conn {
    struct io io;
    struct bufq q;
    bool eof;
    bool used;
};

struct echo {
    struct loop loop;
    struct io listener;
    struct echo_conn conns[ECHO_CONNS_MAX];
};

static struct echo echo;

static void echo_close(struct echo_conn *x, bool reset)
{
    bufq_clear(&x->q);
    loop_close(&echo.loop, &x->io, reset);
    x->used = false;
}

static bool echo_fill(struct echo_conn *x)
{
    while (!bufq_full(&x->q) && !x->eof) {
        struct chunk *k = chunk_new(&echo.loop.chunks);
        if (k == NULL) {
            echo_close(x, true);
            return false;
        }
        struct iovec iov = {k->data, 1 + rng_below(&echo.loop.rng, CHUNK_BYTES - 1)};
        struct io_result r = loop_read(&echo.loop, &x->io, &iov, 1);
        k->used = (uint32_t)r.n;
        bool pushed = bufq_push(&x->q, k, 0, r.n) == 0;
        chunk_unref(k);
        ensure(pushed);
        x->eof = r.status == IO_EOF;
        if (r.status == IO_ERROR) {
            echo_close(x, false);
            return false;
        }
        if (r.status == IO_AGAIN) {
            break;
        }
    }
    return true;
}

static bool echo_drain(struct echo_conn *x)
{
    while (x->q.bytes > 0) {
        struct iovec iov[BUFQ_SPANS];
        struct io_result r =
            loop_write(&echo.loop, &x->io, iov, bufq_iov(&x->q, iov, BUFQ_SPANS), false);
        if (r.status == IO_ERROR) {
            echo_close(x, false);
            return false;
        }
        if (r.status == IO_AGAIN) {
            return true;
        }
        bufq_drop(&x->q, r.n);
    }
    return true;
}

static void echo_ready(struct io *io, unsigned events)
{
    (void)events;
    struct echo_conn *x = container_of(io, struct echo_conn, io);
    bool was_full;
    do {
        if (!echo_fill(x)) {
            return;
        }
        was_full = bufq_full(&x->q);
        if (!echo_drain(x)) {
            return;
        }
    } while (was_full && !bufq_full(&x->q));
    if (x->eof && x->q.bytes == 0) {
        echo_close(x, false);
    }
}

static void echo_accept(struct io *io, unsigned events)
{
    (void)events;
    for (;;) {
        struct os_addr peer;
        int fd = echo.loop.sys->ops->accept(echo.loop.sys, io->fd, &peer);
        if (fd < 0) {
            return;
        }
        struct echo_conn *x = echo.conns;
        while (x->used) {
            x++;
        }
        x->used = true;
        x->eof = false;
        bufq_init(&x->q);
        io_init(&x->io, fd, echo_ready);
        if (loop_watch(&echo.loop, &x->io, false) != 0) {
            echo_close(x, true);
        }
    }
}

static void echo_open(struct sim *s)
{
    static const struct loop_limits limits = {4096, 64};
    memset(&echo, 0, sizeof(echo));
    int rc = loop_init(&echo.loop, sim_sys(s), 0, &limits);
    ensure(rc == 0);
    io_init(&echo.listener, sim_listen_fd(s, &proxy_at), echo_accept);
    rc = loop_watch(&echo.loop, &echo.listener, true);
    ensure(rc == 0);
}

static void echo_shut(void)
{
    for (int i = 0; i < ECHO_CONNS_MAX; i++) {
        if (echo.conns[i].used) {
            echo_close(&echo.conns[i], true);
        }
    }
    loop_close(&echo.loop, &echo.listener, false);
    loop_fini(&echo.loop);
}

// ---- clients ---------------------------------------------------------------------------------------------

struct client {
    struct sim_case *c;
    struct sim *s;
    struct sim_end *end;
    uint64_t key;
    size_t total, sent, got;
    bool done, broken;
};

static char byte_at(const struct client *x, size_t i)
{
    return (char)(x->key + i * 7 + (i >> 8) * 13);
}

static void client_event(struct sim_end *e, unsigned events, void *user)
{
    struct client *x = user;
    struct sim_case *c = x->c;
    char buffer[3000];
    if ((events & SYS_ERROR) != 0 || sim_is_reset(e)) {
        x->broken = true;
        x->done = true;
        sim_close(e);
        return;
    }
    size_t n;
    while ((n = sim_recv(e, buffer, 1 + rng_below(sim_rng(x->s), sizeof(buffer)))) > 0) {
        for (size_t i = 0; i < n; i++) {
            CHECK(buffer[i] == byte_at(x, x->got + i));
        }
        x->got += n;
        CHECK(x->got <= x->sent);
    }
    while (x->sent < x->total) {
        size_t piece = x->total - x->sent < sizeof(buffer) ? x->total - x->sent : sizeof(buffer);
        for (size_t i = 0; i < piece; i++) {
            buffer[i] = byte_at(x, x->sent + i);
        }
        n = sim_send(e, slice_of(buffer, piece));
        x->sent += n;
        if (n < piece) {
            break;
        }
    }
    if (x->sent == x->total) {
        sim_shutdown(e);
    }
    if (sim_at_eof(e)) {
        CHECK(x->got == x->total);
        x->done = true;
        sim_close(e);
    }
}

static void client_begin(void *user)
{
    struct client *x = user;
    x->end = sim_connect(x->s, &proxy_at, client_event, x);
}

static bool all_done(void *user)
{
    const struct client *clients = user;
    for (int i = 0; i < ECHO_CLIENTS; i++) {
        if (!clients[i].done) {
            return false;
        }
    }
    return true;
}

static uint64_t run_echo(struct sim_case *c, const struct sim_faults *faults, bool may_break)
{
    struct sim *s = sim_new(c->seed, faults);
    struct client clients[ECHO_CLIENTS];
    echo_open(s);
    for (int i = 0; i < ECHO_CLIENTS; i++) {
        clients[i] = (struct client){.c = c, .s = s, .key = rng_u64(sim_rng(s))};
        clients[i].total = rng_below(sim_rng(s), ECHO_BYTES_MAX);
        sim_after(s, rng_below(sim_rng(s), 5000000), client_begin, &clients[i]);
    }
    struct loop *loops[] = {&echo.loop};
    uint64_t until = sim_now_ns(s) + UINT64_C(60000000000);
    enum sim_outcome how = sim_run(s, loops, 1, until, all_done, clients);
    CHECK(how == SIM_DONE);
    for (int i = 0; i < ECHO_CLIENTS; i++) {
        CHECK(may_break || !clients[i].broken);
        if (!clients[i].done) {
            sim_fail(c, "client %d hangs: %zu sent, %zu got, of %zu", i, clients[i].sent,
                     clients[i].got, clients[i].total);
        }
    }
    // Connections whose client has gone end by themselves.
    CHECK(sim_run(s, loops, 1, until, NULL, NULL) == SIM_QUIET);
    CHECK(echo.loop.chunks.in_use == 0);
    CHECK(sim_fds_open(s) == 1);
    uint64_t hash = sim_trace_hash(s);
    echo_shut();
    CHECK(sim_fds_open(s) == 0);
    sim_free(s);
    return hash;
}

static struct sim_faults hostile(uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed ^ 0x5eed);
    return (struct sim_faults){
        .short_read = 0.3,
        .short_write = 0.3,
        .write_again = 0.1,
        .spurious_event = 0.2,
        .late_event = 0.3,
        .accept_fails = 0.2,
        .latency_max_ns = UINT64_C(1) << rng_below(&r, 27),
        .buffer_min = 1 + (uint32_t)rng_below(&r, 3000),
        .buffer_max = 1 + (uint32_t)rng_below(&r, 100000),
    };
}

static void echoes_on_a_calm_network(struct sim_case *c)
{
    (void)run_echo(c, &calm, false);
}

static void echoes_on_a_hostile_network(struct sim_case *c)
{
    struct sim_faults f = hostile(c->seed);
    (void)run_echo(c, &f, false);
}

static void survives_resets(struct sim_case *c)
{
    struct sim_faults f = hostile(c->seed);
    f.reset = 0.5;
    (void)run_echo(c, &f, true);
}

static void repeats_by_seed(struct sim_case *c)
{
    struct sim_faults f = hostile(c->seed);
    uint64_t first = run_echo(c, &f, false);
    CHECK(run_echo(c, &f, false) == first);
    c->seed++;
    CHECK(run_echo(c, &f, false) != first);
}

// ---- single questions --------------------------------------------------------------------------------------

struct probe {
    struct sim *s;
    struct loop loop;
    struct io io;
    unsigned seen;
    struct sim_end *other;
    unsigned actor_seen;
};

static struct probe probe;

static void probe_ready(struct io *io, unsigned events)
{
    (void)io;
    probe.seen |= events;
}

static void probe_actor(struct sim_end *e, unsigned events, void *user)
{
    (void)e;
    (void)user;
    probe.actor_seen |= events;
}

static void probe_accept(struct sim_end *e, void *user)
{
    (void)user;
    probe.other = e;
    sim_set_actor(e, probe_actor, NULL);
}

static void settle(void)
{
    struct loop *loops[] = {&probe.loop};
    probe.seen = 0;
    (void)sim_run(probe.s, loops, 1, sim_now_ns(probe.s) + 1000000000, NULL, NULL);
}

static void probe_open(struct sim_case *c, const struct sim_faults *faults)
{
    static const struct loop_limits limits = {16, 4};
    memset(&probe, 0, sizeof(probe));
    probe.s = sim_new(c->seed, faults);
    int rc = loop_init(&probe.loop, sim_sys(probe.s), 0, &limits);
    ensure(rc == 0);
}

static int probe_connect(void)
{
    struct sys_connect to = {.to = origin_at};
    int fd = probe.loop.sys->ops->connect(probe.loop.sys, &to);
    if (fd >= 0) {
        io_init(&probe.io, fd, probe_ready);
        int rc = loop_watch(&probe.loop, &probe.io, false);
        ensure(rc == 0);
    }
    return fd;
}

static void probe_shut(struct sim_case *c)
{
    loop_close(&probe.loop, &probe.io, false);
    CHECK(sim_fds_open(probe.s) == 0);
    loop_fini(&probe.loop);
    sim_free(probe.s);
}

static struct io_result put(size_t n)
{
    static char bytes[200000];
    struct iovec iov = {bytes, n};
    return loop_write(&probe.loop, &probe.io, &iov, 1, false);
}

static struct io_result get(size_t n)
{
    static char bytes[200000];
    struct iovec iov = {bytes, n};
    return loop_read(&probe.loop, &probe.io, &iov, 1);
}

static void refuses_where_nobody_listens(struct sim_case *c)
{
    probe_open(c, &calm);
    CHECK(probe_connect() >= 0);
    settle();
    CHECK((probe.seen & SYS_WRITE) != 0 && (probe.seen & SYS_ERROR) != 0);
    CHECK(probe.loop.sys->ops->connect_result(probe.loop.sys, probe.io.fd) == E_REFUSED);
    probe_shut(c);
}

static void fills_and_opens_windows(struct sim_case *c)
{
    struct sim_faults f = calm;
    f.buffer_min = 1000;
    probe_open(c, &f);
    sim_listen(probe.s, &origin_at, probe_accept, NULL);
    CHECK(probe_connect() >= 0);
    CHECK(put(10).status == IO_AGAIN);
    settle();
    CHECK(probe.other != NULL &&
          probe.loop.sys->ops->connect_result(probe.loop.sys, probe.io.fd) == 0);
    CHECK(put(1500).n == 1000);
    CHECK(put(1).status == IO_AGAIN);
    settle();
    CHECK(probe.seen == 0 && sim_readable(probe.other) == 1000);
    char buffer[1000];
    CHECK(sim_recv(probe.other, buffer, 400) == 400);
    settle();
    CHECK((probe.seen & SYS_WRITE) != 0);
    CHECK(put(1500).n == 400);
    CHECK(sim_send(probe.other, SLICE("hello")) == 5);
    CHECK(get(10).status == IO_AGAIN);
    settle();
    CHECK((probe.seen & SYS_READ) != 0 && get(10).n == 5);
    sim_shutdown(probe.other);
    settle();
    CHECK((probe.seen & SYS_HANGUP) != 0 && get(10).status == IO_EOF);
    probe_shut(c);
}

static void answers_with_a_reset(struct sim_case *c)
{
    probe_open(c, &calm);
    sim_listen(probe.s, &origin_at, probe_accept, NULL);
    CHECK(probe_connect() >= 0);
    settle();
    CHECK(put(5).n == 5);
    settle();
    sim_close(probe.other); // with five unread bytes
    settle();
    CHECK((probe.seen & SYS_ERROR) != 0);
    struct io_result r = get(10);
    CHECK(r.status == IO_ERROR && r.error == E_RESET);
    CHECK(put(1).status == IO_ERROR);
    probe_shut(c);

    probe_open(c, &calm);
    sim_listen(probe.s, &origin_at, probe_accept, NULL);
    CHECK(probe_connect() >= 0);
    settle();
    sim_close(probe.other); // cleanly: FIN, and RST only to what comes after
    settle();
    CHECK(get(10).status == IO_EOF);
    CHECK(put(5).n == 5);
    settle();
    CHECK(put(5).status == IO_ERROR);
    probe_shut(c);
}

static void runs_out_of_descriptors(struct sim_case *c)
{
    probe_open(c, &calm);
    sim_listen(probe.s, &origin_at, probe_accept, NULL);
    sim_fds_max(probe.s, 1);
    CHECK(probe_connect() >= 0);
    struct sys_connect to = {.to = origin_at};
    CHECK(probe.loop.sys->ops->connect(probe.loop.sys, &to) == E_NO_DESCRIPTORS);
    int fds[2];
    size_t capacity;
    CHECK(probe.loop.sys->ops->pipe_open(probe.loop.sys, fds, &capacity) == E_NO_DESCRIPTORS);
    probe_shut(c);
}

static void splices_through_few_slots(struct sim_case *c)
{
    probe_open(c, &calm);
    sim_listen(probe.s, &origin_at, probe_accept, NULL);
    CHECK(probe_connect() >= 0);
    settle();
    int fds[2];
    size_t capacity;
    const struct sys_ops *ops = probe.loop.sys->ops;
    CHECK(ops->pipe_open(probe.loop.sys, fds, &capacity) == 0);
    size_t in_pipe = 0;
    // Single bytes use up the slots long before the capacity.
    for (int i = 0; i < 40; i++) {
        CHECK(sim_send(probe.other, SLICE("x")) == 1);
        settle();
        in_pipe += ops->splice(probe.loop.sys, probe.io.fd, fds[1], 100, false).n;
    }
    CHECK(in_pipe == 16);
    CHECK(ops->splice(probe.loop.sys, fds[0], probe.io.fd, 100, false).n == 16);
    CHECK(ops->splice(probe.loop.sys, probe.io.fd, fds[1], 100, false).n == 24);
    settle();
    CHECK(sim_readable(probe.other) == 16);
    ops->close(probe.loop.sys, fds[0], false);
    ops->close(probe.loop.sys, fds[1], false);
    probe_shut(c);
}

static const struct sim_scenario scenarios[] = {
    {"echoes_on_a_calm_network", echoes_on_a_calm_network, 50},
    {"echoes_on_a_hostile_network", echoes_on_a_hostile_network, 300},
    {"survives_resets", survives_resets, 300},
    {"repeats_by_seed", repeats_by_seed, 20},
    {"refuses_where_nobody_listens", refuses_where_nobody_listens, 5},
    {"fills_and_opens_windows", fills_and_opens_windows, 20},
    {"answers_with_a_reset", answers_with_a_reset, 20},
    {"runs_out_of_descriptors", runs_out_of_descriptors, 5},
    {"splices_through_few_slots", splices_through_few_slots, 20},
};

int main(int argc, char **argv)
{
    return sim_main(argc, argv, scenarios, array_len(scenarios));
}

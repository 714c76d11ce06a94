// SPDX-License-Identifier: Apache-2.0
//
// Makes TLS connections one after another on a few slots, full or resumed. When its handshake is
// done the client says goodbye in order, with close_notify and FIN, and waits for the server's end:
// with TLS 1.3 the client is done before the server has checked anything of it, and whether tickets
// follow is the server's to choose, so its end is the only sign of its having done everything.
//
// Every handshake is checked: one that was offered a ticket and did not resume is an error, as is the
// opposite. The first of each slot has nothing to resume; it is full and counts. Client addresses in
// 127/8 go round, so that ports in TIME_WAIT do not run out.
#include "handshake.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"
#include "histogram.h"
#include "source.h"
#include "tls.h"

enum {
    ADDRESSES = 200, // 127.0.1.1 and so on
    STALL_MS = 5000,
    SESSION_BYTES_MAX = 4096,
};

struct slot {
    struct source source; // its first member
    int fd;               // -1: none
    struct tls_link tls;
    // The newest ticket, when the plan resumes, as bytes: OpenSSL holds an object that was offered
    // once for used up, and not every server sends another ticket each time.
    int session_bytes;
    unsigned char session[SESSION_BYTES_MAX];
    bool offered; // it was offered for this connection
    bool leaving; // the handshake is done, the server's end is awaited
    uint64_t begun_ns;
};

static struct {
    struct handshake_plan plan;
    int epoll;
    SSL_CTX *context;
    struct slot slots[HANDSHAKE_CONNECTIONS_MAX];
    uint64_t until_ns;
    uint64_t done;
    uint64_t errors;
    unsigned open;
    unsigned next_address;
    struct histogram latency;
} run;

static void begin(struct slot *slot);

static void end(struct slot *slot)
{
    tls_close(&slot->tls);
    close(slot->fd);
    slot->fd = -1;
    run.open--;
}

static void fail(struct slot *slot, const char *what)
{
    if (run.errors == 0) {
        fprintf(stderr, "handshake: %s (after %llu good ones)\n", what,
                (unsigned long long)run.done);
    }
    run.errors++;
    end(slot);
}

// The context's callback for tickets: keeps the newest.
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    struct slot *slot = SSL_get_app_data(ssl);
    unsigned char *at = slot->session;
    int bytes = i2d_SSL_SESSION(session, NULL);
    if (run.plan.resume && bytes > 0 && bytes <= SESSION_BYTES_MAX) {
        slot->session_bytes = i2d_SSL_SESSION(session, &at);
    }
    return 0; // it stays the library's
}

static void finish(struct slot *slot)
{
    uint64_t now_ns = bench_now_ns();
    bool resumed = SSL_session_reused(slot->tls.ssl) == 1;
    if (resumed != slot->offered) {
        fail(slot, resumed ? "a handshake was resumed" : "a handshake was not resumed");
        return;
    }
    histogram_add(&run.latency, now_ns - slot->begun_ns);
    run.done++;
    end(slot);
    if (now_ns < run.until_ns && run.errors == 0) {
        begin(slot);
    }
}

static void advance(struct slot *slot)
{
    char ignored[1024]; // some say something to a client that leaves without a request
    ssize_t n = 0;
    if (!slot->leaving) {
        int done = SSL_do_handshake(slot->tls.ssl);
        if (done != 1) {
            if (SSL_get_error(slot->tls.ssl, done) != SSL_ERROR_WANT_READ) {
                fail(slot, "a handshake failed");
            }
            return;
        }
        slot->leaving = true;
        SSL_shutdown(slot->tls.ssl);
        shutdown(slot->fd, SHUT_WR);
    }
    do {
        n = tls_read(&slot->tls, ignored, sizeof ignored);
    } while (n > 0);
    if (n == 0) {
        finish(slot);
    } else if (errno != EAGAIN) {
        fail(slot, "the connection broke");
    }
}

static void on_slot(struct source *source, uint32_t events)
{
    struct slot *slot = (struct slot *)source;
    tls_wake(&slot->tls, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    if (slot->fd >= 0) {
        advance(slot);
    }
}

static void begin(struct slot *slot)
{
    const int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(0x7f000101U + run.next_address++ % ADDRESSES);
    slot->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    slot->leaving = false;
    slot->offered = slot->session_bytes > 0;
    slot->begun_ns = bench_now_ns();
    if (slot->fd < 0) {
        bench_die("socket");
    }
    run.open++;
    setsockopt(slot->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(slot->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(slot->fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        connect(slot->fd, (struct sockaddr *)&run.plan.to, sizeof run.plan.to) != 0) {
        bench_die("connect to port %u", ntohs(run.plan.to.sin_port));
    }
    fcntl(slot->fd, F_SETFL, O_NONBLOCK);
    if (!tls_open(&slot->tls, run.context, slot->fd, false)) {
        bench_die("out of memory");
    }
    SSL_set_app_data(slot->tls.ssl, slot);
    if (slot->offered) {
        const unsigned char *at = slot->session;
        SSL_SESSION *session = d2i_SSL_SESSION(NULL, &at, slot->session_bytes);
        SSL_set_session(slot->tls.ssl, session);
        SSL_SESSION_free(session);
    }
    source_open(&slot->source, run.epoll, slot->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, on_slot);
    advance(slot); // says hello
}

void handshake_run(int epoll, const struct handshake_plan *plan)
{
    const uint64_t start_ns = bench_now_ns();
    run.plan = *plan;
    run.epoll = epoll;
    run.done = run.errors = 0;
    run.latency = (struct histogram){0};
    run.until_ns = start_ns + (uint64_t)(plan->seconds * 1e9);
    run.context = tls_client_context(plan->version);
    SSL_CTX_set_session_cache_mode(run.context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(run.context, on_session);
    for (unsigned i = 0; i < plan->connections; i++) {
        begin(&run.slots[i]);
    }
    while (run.open > 0) {
        if (source_turn(epoll, (uint64_t)STALL_MS * 1000000U) == 0) {
            fprintf(stderr, "handshake: nothing for %d ms, %u under way\n", STALL_MS, run.open);
            run.errors++;
            break;
        }
    }
    for (unsigned i = 0; i < plan->connections; i++) {
        if (run.slots[i].fd >= 0) {
            end(&run.slots[i]);
        }
        run.slots[i].session_bytes = 0;
    }
    SSL_CTX_free(run.context);
    const double seconds = (double)(bench_now_ns() - start_ns) / 1e9;
    printf("{\"requests\": %llu, \"errors\": %llu, \"seconds\": %.6f, \"rate\": %.1f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"p999_us\": %.1f, \"late_p99_us\": 0}\n",
           (unsigned long long)run.done, (unsigned long long)run.errors, seconds,
           (double)run.done / seconds, (double)histogram_quantile(&run.latency, 0.5) / 1e3,
           (double)histogram_quantile(&run.latency, 0.99) / 1e3,
           (double)histogram_quantile(&run.latency, 0.999) / 1e3);
    fflush(stdout);
}

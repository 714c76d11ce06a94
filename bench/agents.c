// SPDX-License-Identifier: Apache-2.0
//
// Plays many agents of an edge, one connection each, in one thread: what 10,000 tunnels cost the edge
// can be seen where 10,000 agents would not fit. Each does what docs/design/tunnel.md asks of an agent
// and no more: it shakes hands, proves itself by what the edge gave it when it comes back, answers
// SETTINGS and PING, and every request with the same 128 B. A connection that is lost comes back at a
// random time within the window that the edge named, one that is refused after growing pauses.
//
//   bench-agents
//
// Their calls come from ADDRESSES of 127.1.0.x, since an edge counts the handshakes of each address.
// Commands come on standard input, a line each; each is answered by a line of JSON:
//
//   open PORT COUNT TLS TOKEN     so many agents; TLS 0 or 1. The first has the name bench.test
//   also SLOT                     one more connection of the first one, as its number 1 to 3
//   look                          how they are
//   back                          waits until all are open again after most of them were lost
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "commands.h"
#include "common.h"
#include "histogram.h"
#include "source.h"
#include "tls.h"

enum {
    AGENTS_MAX = 60000,
    ADDRESSES = 100, // an address may call 200 times at once (src/tunnel/callers.h)
    OPENING_MAX = 32,
    HEAD_BYTES_MAX = 2048,
    SECRET_BYTES_MAX = 128,
    TICKET_BYTES_MAX = 768,
    TOKEN_BYTES_MAX = 128,
    READ_BYTES = 65536,
    FRAME_HEAD_BYTES = 9,
    FRAME_KEPT_BYTES =
        FRAME_HEAD_BYTES + 8, // a PING's payload; of longer ones only the length counts
    PREFACE_BYTES = 24,
    WINDOW_MS = 250,        // of an edge that named none
    PAUSE_MS_MAX = 20000,   // between attempts that are refused
    ATTEMPT_MS_MAX = 30000, // for all of a handshake
    SILENCE_MS_MAX = 15000,
    BACK_MS_MAX = 60000,
};

// HTTP/2's frames (RFC 9113 6).
enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

enum state { AWAY, CALLING, OPEN };

struct agent {
    struct source source;
    int fd;
    enum state state;
    bool asked;    // its request has been sent
    bool switched; // the 101 has come
    struct tls_link tls;
    unsigned number;
    unsigned slot;     // which of the agent's connections this is
    unsigned refusals; // in a row
    unsigned sequence;
    unsigned window_ms;
    uint64_t due_ns;   // away: when to call. Calling: when to give up
    uint64_t heard_ns; // open: when bytes last came
    size_t preface;    // bytes of it that have come
    size_t kept;       // of the frame that has not come whole
    size_t skip;       // bytes of its payload still to come
    unsigned char frame[FRAME_KEPT_BYTES];
    size_t head_bytes;
    char head[HEAD_BYTES_MAX];
    char secret[SECRET_BYTES_MAX];
    char ticket[TICKET_BYTES_MAX];
};

static struct {
    struct agent *agents;
    unsigned count;
    unsigned open;
    unsigned calling;
    struct sockaddr_in to;
    SSL_CTX *context;
    bool tls;
    int epoll;
    uint64_t random;
    uint64_t lost_ns; // when the first of those was lost that are to come back
    uint64_t requests;
    uint64_t pings;
    uint64_t losses;
    uint64_t refusals;
    struct histogram back; // since the first was lost
    char token[TOKEN_BYTES_MAX];
    unsigned char body[128];
    unsigned char buffer[READ_BYTES];
} all;

static void on_agent(struct source *source, uint32_t events);

static uint64_t random_below(uint64_t bound)
{
    all.random ^= all.random << 13;
    all.random ^= all.random >> 7;
    all.random ^= all.random << 17;
    return all.random % bound;
}

static uint64_t after_ms(uint64_t ms)
{
    return bench_now_ns() + ms * 1000000U;
}

// ---- a connection's begin and end ------------------------------------------------------------------

static void hang_up(struct agent *agent)
{
    all.open -= agent->state == OPEN ? 1U : 0U;
    all.calling -= agent->state == CALLING ? 1U : 0U;
    agent->state = AWAY;
    if (agent->tls.ssl != NULL) {
        tls_close(&agent->tls);
    }
    close(agent->fd);
    agent->fd = -1;
}

static void lose(struct agent *agent)
{
    if (all.open == all.count) {
        all.lost_ns = bench_now_ns();
        memset(&all.back, 0, sizeof all.back);
    }
    all.losses++;
    hang_up(agent);
    agent->due_ns = after_ms(random_below(agent->window_ms + 1));
}

// The attempt came to nothing: full jitter, as agents do.
static void give_up(struct agent *agent)
{
    uint64_t pause_ms = 500U << (agent->refusals < 6 ? agent->refusals : 6);
    agent->refusals++;
    all.refusals++;
    hang_up(agent);
    agent->due_ns = after_ms(random_below(pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX));
}

static void fail(struct agent *agent)
{
    if (agent->state == OPEN) {
        lose(agent);
    } else {
        give_up(agent);
    }
}

static void call(struct agent *agent)
{
    const int one = 1;
    struct sockaddr_in from = {.sin_family = AF_INET};
    from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 0x10000U + agent->number % ADDRESSES);
    agent->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (agent->fd < 0) {
        bench_die("socket");
    }
    setsockopt(agent->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(agent->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    if (bind(agent->fd, (struct sockaddr *)&from, sizeof from) != 0) {
        bench_die("bind");
    }
    agent->state = CALLING;
    all.calling++;
    agent->asked = false;
    agent->switched = false;
    agent->preface = agent->kept = agent->skip = agent->head_bytes = 0;
    agent->due_ns = after_ms(ATTEMPT_MS_MAX);
    agent->sequence++;
    agent->tls = (struct tls_link){.fd = agent->fd};
    if (all.tls && !tls_open(&agent->tls, all.context, agent->fd, false)) {
        bench_die("out of memory");
    }
    int done = connect(agent->fd, (const struct sockaddr *)&all.to, sizeof all.to);
    if (done != 0 && errno != EINPROGRESS) {
        give_up(agent);
        return;
    }
    source_open(&agent->source, all.epoll, agent->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                on_agent);
}

// Everything written here is small, and the socket has room for it. False: the connection failed.
static bool put(struct agent *agent, const void *data, size_t bytes)
{
    ssize_t n =
        all.tls ? tls_write(&agent->tls, data, bytes) : send(agent->fd, data, bytes, MSG_NOSIGNAL);
    if (n != (ssize_t)bytes) {
        fail(agent);
        return false;
    }
    return true;
}

// ---- the handshake ---------------------------------------------------------------------------------

// Sends the request, once TLS lets it. False: not yet, or the attempt failed.
static bool ask(struct agent *agent)
{
    char text[HEAD_BYTES_MAX];
    char name[16] = "bench";
    if (agent->number > 0) {
        snprintf(name, sizeof name, "x%uq", agent->number);
    }
    int bytes = snprintf(
        text, sizeof text,
        "GET /.well-known/adit/tunnel HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: Upgrade\r\n"
        "Upgrade: adit-tunnel/1\r\nAuthorization: Bearer %s\r\nAdit-Instance: %020uAA\r\n"
        "Adit-Connection: slot=%u, sequence=%u\r\nAdit-Name: %s\r\nAdit-Agent: bench/1\r\n"
        "%s%s%s%s%s%s\r\n",
        ntohs(all.to.sin_port), all.token, agent->number, agent->slot, agent->sequence, name,
        agent->secret[0] != '\0' ? "Adit-Secret: " : "", agent->secret,
        agent->secret[0] != '\0' ? "\r\n" : "", agent->ticket[0] != '\0' ? "Adit-Ticket: " : "",
        agent->ticket, agent->ticket[0] != '\0' ? "\r\n" : "");
    ssize_t n = all.tls ? tls_write(&agent->tls, text, (size_t)bytes)
                        : send(agent->fd, text, (size_t)bytes, MSG_NOSIGNAL);
    agent->asked = n == bytes;
    if (!agent->asked && (n >= 0 || errno != EAGAIN)) {
        give_up(agent);
    }
    return agent->asked;
}

// Copies a field's value from a head that ends with an empty line; leaves `out` as it is without.
static void copy_field(const char *head, const char *name, char *out, size_t room)
{
    const char *found = strcasestr(head, name);
    if (found != NULL) {
        found += strlen(name);
        size_t bytes = strcspn(found, "\r");
        if (bytes < room) {
            memcpy(out, found, bytes);
            out[bytes] = '\0';
        }
    }
}

static void opened(struct agent *agent)
{
    static const unsigned char settings[] = {
        0, 0, 12, SETTINGS, 0, 0,   0, 0, 0, // head
        0, 8, 0,  0,        0, 1,            // ENABLE_CONNECT_PROTOCOL
        0, 3, 0,  0,        0, 128,          // MAX_CONCURRENT_STREAMS
    };
    char window[16] = "";
    copy_field(agent->head, "\nadit-secret: ", agent->secret, sizeof agent->secret);
    copy_field(agent->head, "\nadit-ticket: ", agent->ticket, sizeof agent->ticket);
    copy_field(agent->head, "\nadit-retry: within=", window, sizeof window);
    unsigned long ms = strtoul(window, NULL, 10);
    agent->window_ms = ms > 0 && ms <= 600000 ? (unsigned)ms : WINDOW_MS;
    agent->state = OPEN;
    agent->refusals = 0;
    all.calling--;
    all.open++;
    if (all.lost_ns != 0) {
        histogram_add(&all.back, bench_now_ns() - all.lost_ns);
    }
    put(agent, settings, sizeof settings);
}

// Takes the answer's head. Returns how many bytes that was, 0 after a failure.
static size_t take_head(struct agent *agent, const unsigned char *data, size_t bytes)
{
    size_t before = agent->head_bytes;
    size_t room = sizeof agent->head - 1 - before;
    size_t copied = bytes < room ? bytes : room;
    memcpy(agent->head + before, data, copied);
    const char *end = memmem(agent->head, before + copied, "\r\n\r\n", 4);
    if (end == NULL) {
        agent->head_bytes += copied;
        if (copied == room) {
            give_up(agent);
            return 0;
        }
        return copied;
    }
    size_t head_bytes = (size_t)(end - agent->head) + 4;
    agent->head[head_bytes] = '\0';
    if (strncmp(agent->head, "HTTP/1.1 101", 12) != 0) {
        if (all.refusals == 0) {
            fprintf(stderr, "agents: refused: %s\n", agent->head);
        }
        give_up(agent);
        return 0;
    }
    agent->switched = true;
    opened(agent);
    return agent->fd < 0 ? 0 : head_bytes - before;
}

// ---- after it --------------------------------------------------------------------------------------

static bool answer(struct agent *agent, const unsigned char *stream)
{
    static const unsigned char head[] = {
        0,    0,    7,  HEADERS, END_HEADERS, 0,   0,   0, 0, // head
        0x88, 0x0f, 13, 3,       '1',         '2', '8',       // :status 200, content-length 128
    };
    unsigned char out[sizeof head + FRAME_HEAD_BYTES + sizeof all.body];
    memcpy(out, head, sizeof head);
    memcpy(out + 5, stream, 4);
    unsigned char *data = out + sizeof head;
    memset(data, 0, FRAME_HEAD_BYTES);
    data[2] = sizeof all.body;
    data[3] = DATA;
    data[4] = END_STREAM;
    memcpy(data + 5, stream, 4);
    memcpy(data + FRAME_HEAD_BYTES, all.body, sizeof all.body);
    all.requests++;
    return put(agent, out, sizeof out);
}

// A frame is whole. False: the connection is gone.
static bool on_frame(struct agent *agent)
{
    unsigned char *frame = agent->frame;
    const unsigned char type = frame[3];
    const unsigned char flags = frame[4];
    if (type == SETTINGS && (flags & ACK) == 0) {
        static const unsigned char ack[FRAME_HEAD_BYTES] = {0, 0, 0, SETTINGS, ACK};
        return put(agent, ack, sizeof ack);
    }
    if (type == PING && (flags & ACK) == 0) {
        all.pings++;
        frame[4] = ACK;
        return put(agent, frame, FRAME_KEPT_BYTES);
    }
    if ((type == HEADERS || type == DATA) && (flags & END_STREAM) != 0) {
        return answer(agent, frame + 5);
    }
    return true;
}

// Takes bytes of frames. False: the connection is gone.
static bool take_frames(struct agent *agent, const unsigned char *data, size_t bytes)
{
    while (bytes > 0) {
        size_t part;
        if (agent->preface < PREFACE_BYTES) {
            part = PREFACE_BYTES - agent->preface;
            part = part < bytes ? part : bytes;
            agent->preface += part;
        } else if (agent->kept < FRAME_HEAD_BYTES) {
            part = FRAME_HEAD_BYTES - agent->kept;
            part = part < bytes ? part : bytes;
            memcpy(agent->frame + agent->kept, data, part);
            agent->kept += part;
            if (agent->kept == FRAME_HEAD_BYTES) {
                agent->skip =
                    (size_t)agent->frame[0] << 16 | (size_t)agent->frame[1] << 8 | agent->frame[2];
            }
        } else {
            part = agent->skip < bytes ? agent->skip : bytes;
            size_t room = FRAME_KEPT_BYTES - agent->kept;
            size_t copied = part < room ? part : room;
            memcpy(agent->frame + agent->kept, data, copied);
            agent->kept += copied;
            agent->skip -= part;
        }
        data += part;
        bytes -= part;
        if (agent->kept >= FRAME_HEAD_BYTES && agent->skip == 0) {
            agent->kept = 0;
            if (!on_frame(agent)) {
                return false;
            }
        }
    }
    return true;
}

static bool take(struct agent *agent, const unsigned char *data, size_t bytes)
{
    agent->heard_ns = bench_now_ns();
    if (!agent->switched) {
        size_t used = take_head(agent, data, bytes);
        if (used == 0) {
            return false;
        }
        data += used;
        bytes -= used;
    }
    return !agent->switched || take_frames(agent, data, bytes);
}

static void on_agent(struct source *source, uint32_t events)
{
    struct agent *agent = (struct agent *)source; // the source is its first member
    tls_wake(&agent->tls, (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0);
    if (!agent->asked && !ask(agent)) {
        return;
    }
    for (;;) {
        ssize_t n = all.tls ? tls_read(&agent->tls, all.buffer, READ_BYTES)
                            : recv(agent->fd, all.buffer, READ_BYTES, 0);
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            fail(agent);
            return;
        }
        if (!take(agent, all.buffer, (size_t)n) ||
            !(all.tls ? tls_may_read(&agent->tls) : n == READ_BYTES)) {
            return;
        }
    }
}

// ---- time ------------------------------------------------------------------------------------------

// Who is due calls; `most` at once.
static void look_at_all(unsigned most)
{
    uint64_t now_ns = bench_now_ns();
    for (unsigned i = 0; i < all.count; i++) {
        struct agent *agent = &all.agents[i];
        if (agent->state == AWAY && agent->due_ns <= now_ns && all.calling < most) {
            call(agent);
        } else if (agent->state == CALLING && agent->due_ns <= now_ns) {
            give_up(agent);
        } else if (agent->state == OPEN &&
                   now_ns - agent->heard_ns > (uint64_t)SILENCE_MS_MAX * 1000000U &&
                   now_ns > agent->heard_ns) {
            lose(agent);
        }
    }
}

// One turn of everything. Looking at all agents takes a while, so it is not done for every event.
static void turn(unsigned most)
{
    static uint64_t next_ns;
    source_turn(all.epoll, all.open < all.count ? 2000000U : 100000000U);
    uint64_t now_ns = bench_now_ns();
    if (now_ns >= next_ns || (all.calling < most / 2 && all.open < all.count)) {
        look_at_all(most);
        next_ns = bench_now_ns() + (all.open < all.count ? 5000000U : 500000000U);
    }
}

// Until all are open. False: they were not in time.
static bool wait_for_all(unsigned most, uint64_t limit_ms)
{
    uint64_t until_ns = after_ms(limit_ms);
    while (all.open < all.count && bench_now_ns() < until_ns) {
        turn(most);
    }
    return all.open == all.count;
}

// ---- commands --------------------------------------------------------------------------------------

static void report(bool good, uint64_t begun_ns)
{
    printf("{\"errors\": %u, \"open\": %u, \"seconds\": %.3f, \"requests\": %llu, "
           "\"pings\": %llu, \"losses\": %llu, \"refusals\": %llu, \"window_ms\": %u, "
           "\"back_p50_ms\": %.1f, \"back_p99_ms\": %.1f, \"back_max_ms\": %.1f}\n",
           good ? 0U : 1U, all.open, (double)(bench_now_ns() - begun_ns) / 1e9,
           (unsigned long long)all.requests, (unsigned long long)all.pings,
           (unsigned long long)all.losses, (unsigned long long)all.refusals,
           all.count > 0 ? all.agents[all.count - 1].window_ms : 0U,
           (double)histogram_quantile(&all.back, 0.5) / 1e6,
           (double)histogram_quantile(&all.back, 0.99) / 1e6, (double)all.back.max / 1e6);
    fflush(stdout);
}

static void open_all(const char *line)
{
    unsigned port = 0;
    unsigned count = 0;
    int tls = 0;
    char token[TOKEN_BYTES_MAX] = "";
    errno = 0;
    if (sscanf(line, "open %u %u %d %127s", &port, &count, &tls, token) != 4 || port == 0 ||
        port > UINT16_MAX || count == 0 || count > AGENTS_MAX || count < all.count) {
        bench_die("cannot read '%s'", line);
    }
    all.to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    all.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    all.tls = tls != 0;
    snprintf(all.token, sizeof all.token, "%s", token);
    for (unsigned i = all.count; i < count; i++) {
        all.agents[i].fd = -1;
        all.agents[i].number = i;
        all.agents[i].window_ms = WINDOW_MS;
    }
    all.count = count;
    uint64_t begun_ns = bench_now_ns();
    report(wait_for_all(OPENING_MAX, 300000), begun_ns);
}

// Whoever is lost after this does not come back: the edge counts an agent's attempts, and each
// connection its own.
static void open_slot(const char *line)
{
    unsigned slot = 0;
    errno = 0;
    if (sscanf(line, "also %u", &slot) != 1 || slot == 0 || all.open == 0 ||
        all.open != all.count || all.count == AGENTS_MAX) {
        bench_die("cannot do '%s'", line);
    }
    const struct agent *first = &all.agents[0];
    struct agent *agent = &all.agents[all.count];
    *agent = (struct agent){.fd = -1,
                            .slot = slot,
                            .sequence = all.agents[all.count - 1].sequence,
                            .window_ms = WINDOW_MS};
    memcpy(agent->secret, first->secret, sizeof agent->secret);
    memcpy(agent->ticket, first->ticket, sizeof agent->ticket);
    all.count++;
    uint64_t begun_ns = bench_now_ns();
    report(wait_for_all(OPENING_MAX, 10000), begun_ns);
}

static void wait_back(void)
{
    uint64_t begun_ns = bench_now_ns();
    uint64_t until_ns = after_ms(BACK_MS_MAX);
    while (all.open > all.count / 10 && bench_now_ns() < until_ns) {
        turn(AGENTS_MAX);
    }
    report(all.open <= all.count / 10 && wait_for_all(AGENTS_MAX, BACK_MS_MAX), begun_ns);
}

static void run_command(const char *line)
{
    if (strncmp(line, "open ", 5) == 0) {
        open_all(line);
    } else if (strncmp(line, "also ", 5) == 0) {
        open_slot(line);
    } else if (strcmp(line, "look") == 0) {
        report(true, bench_now_ns());
    } else if (strcmp(line, "back") == 0) {
        wait_back();
    } else {
        errno = 0;
        bench_die("cannot read '%s'", line);
    }
}

int main(void)
{
    bench_follow_parent();
    bench_raise_descriptors(AGENTS_MAX + 100);
    all.random = bench_now_ns() | 1U;
    all.epoll = epoll_create1(EPOLL_CLOEXEC);
    all.agents = calloc(AGENTS_MAX, sizeof *all.agents);
    all.context = tls_client_context(13);
    if (all.agents == NULL ||
        SSL_CTX_set_alpn_protos(all.context, (const unsigned char *)"\x08http/1.1", 9) != 0) {
        bench_die("out of memory");
    }
    bench_fill_body(all.body, sizeof all.body);
    commands_open(all.epoll);
    while (!commands_ended()) {
        turn(AGENTS_MAX);
        const char *line = commands_next();
        if (line != NULL) {
            run_command(line);
        }
    }
    return 0;
}

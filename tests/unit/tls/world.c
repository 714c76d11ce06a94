// SPDX-License-Identifier: Apache-2.0
//
// See world.h. A peer's library reads and writes memory; what it wrote is sent as the simulated
// connection takes it. The echo on our side keeps to the rules of a transport: it reads while
// `readable`, writes while `writable`, and looks at both flags rather than at events alone, so that an
// event the filter loses shows as a stall and fails the test.

#include "world.h"

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/slab.h"
#include "conf/conf_help.h"
#include "conf/diag.h"
#include "tls/x509_int.h"

struct world world;

static const struct os_addr our_addr = {.kind = OS_ADDR_V4, .port = 443, .u.ip = {127, 0, 0, 1}};
static const struct os_addr origin_addr = {
    .kind = OS_ADDR_V4, .port = 8443, .u.ip = {127, 0, 0, 2}};

// ---- peers -------------------------------------------------------------------------------------------

static void pump(struct peer *p);
static void on_raw(struct sim_end *e, unsigned events, void *user);

static void on_timer(void *user)
{
    struct peer *p = user;
    p->timer_set = false;
    if (p->end != NULL && p->ssl == NULL) {
        on_raw(p->end, 0, p);
    } else if (p->end != NULL) {
        pump(p);
    }
}

static void again_soon(struct peer *p)
{
    if (!p->timer_set) {
        p->timer_set = true;
        sim_after(world.sim, 200000, on_timer, p);
    }
}

static void take_ciphertext(struct peer *p)
{
    char buffer[8192];
    size_t n;
    while (!p->deaf && (n = sim_recv(p->end, buffer, sizeof(buffer))) > 0) {
        if (p->ssl != NULL) {
            BIO_write(p->in, buffer, (int)n);
        } else if (n <= sizeof(p->raw) - p->raw_len) {
            memcpy(p->raw + p->raw_len, buffer, n);
            p->raw_len += n;
        }
    }
}

static void send_ciphertext(struct peer *p)
{
    char *bytes = NULL;
    long len = p->ssl != NULL ? BIO_get_mem_data(p->out, &bytes) : 0;
    if (len <= 0) {
        return;
    }
    size_t want = p->drip ? 1 : (size_t)len;
    size_t n = sim_send(p->end, slice_of(bytes, want));
    if (n > 0) {
        char *sink = malloc(n);
        REQUIRE(sink != NULL && BIO_read(p->out, sink, (int)n) == (int)n);
        free(sink);
    }
    if (n < (size_t)len && (p->drip || n == want)) {
        again_soon(p);
    }
}

static void note_failure(struct peer *p, int rc)
{
    int kind = SSL_get_error(p->ssl, rc);
    if (kind == SSL_ERROR_ZERO_RETURN) {
        p->ended = true;
    } else if (kind == SSL_ERROR_SSL) {
        p->failed = ERR_GET_REASON(ERR_peek_error());
        p->quiet = true;
    }
    ERR_clear_error();
}

static void move_plaintext(struct peer *p)
{
    while (p->sent < p->send_len && !p->quiet) {
        int part = (int)(p->send_len - p->sent < 16384 ? p->send_len - p->sent : 16384);
        int n = SSL_write(p->ssl, p->send + p->sent, part);
        if (n <= 0) {
            note_failure(p, n);
            break;
        }
        p->sent += (size_t)n;
    }
    while (!p->ended && p->failed == 0 && p->got_len < WORLD_BYTES_MAX) {
        int n = SSL_read(p->ssl, p->got + p->got_len, (int)(WORLD_BYTES_MAX - p->got_len));
        if (n <= 0) {
            note_failure(p, n);
            break;
        }
        p->got_len += (size_t)n;
    }
}

static void pump(struct peer *p)
{
    take_ciphertext(p);
    if (p->ssl != NULL && !p->connected && p->failed == 0) {
        int rc = SSL_do_handshake(p->ssl);
        p->connected = rc == 1;
        if (rc != 1) {
            note_failure(p, rc);
        }
    }
    if (p->connected) {
        move_plaintext(p);
    }
    send_ciphertext(p);
    bool over = sim_at_eof(p->end) || sim_is_reset(p->end);
    p->cut = p->cut || (over && !p->ended);
}

static void on_peer(struct sim_end *e, unsigned events, void *user)
{
    (void)e;
    (void)events;
    pump(user);
}

static void on_record(int write_p, int version, int type, const void *buf, size_t len, SSL *ssl,
                      void *arg)
{
    (void)version;
    (void)ssl;
    struct peer *p = arg;
    const unsigned char *head = buf;
    if (write_p == 0 && type == SSL3_RT_HEADER && len == 5 && head[0] == 23 && p->connected &&
        p->records < array_len(p->record_sizes)) {
        p->record_sizes[p->records++] = (uint32_t)(head[3] << 8 | head[4]);
    }
}

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
    struct peer *p = SSL_get_app_data(ssl);
    SSL_SESSION_free(p->session);
    p->session = session;
    return 1;
}

static struct peer *new_peer(SSL_CTX *ctx)
{
    REQUIRE(world.peer_count < WORLD_PEERS_MAX);
    struct peer *p = &world.peers[world.peer_count++];
    *p = (struct peer){.got = malloc(WORLD_BYTES_MAX)};
    REQUIRE(p->got != NULL);
    if (ctx != NULL) {
        p->ssl = SSL_new(ctx);
        p->in = BIO_new(BIO_s_mem());
        p->out = BIO_new(BIO_s_mem());
        REQUIRE(p->ssl != NULL && p->in != NULL && p->out != NULL);
        BIO_set_mem_eof_return(p->in, -1);
        SSL_set_bio(p->ssl, p->in, p->out);
        SSL_set_app_data(p->ssl, p);
        SSL_set_msg_callback(p->ssl, on_record);
        SSL_set_msg_callback_arg(p->ssl, p);
    }
    return p;
}

SSL_CTX *world_client_context(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    REQUIRE(ctx != NULL);
    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_ticket);
    return ctx;
}

SSL_CTX *world_server_context(const struct pki_cert *c)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    REQUIRE(ctx != NULL);
    REQUIRE(SSL_CTX_use_certificate(ctx, c->x) == 1 && SSL_CTX_use_PrivateKey(ctx, c->key) == 1);
    return ctx;
}

struct peer *world_client(SSL_CTX *ctx, const char *name)
{
    struct peer *p = new_peer(ctx);
    SSL_set_connect_state(p->ssl);
    if (name != NULL) {
        SSL_set_tlsext_host_name(p->ssl, (void *)(uintptr_t)name);
    }
    p->end = sim_connect(world.sim, &our_addr, on_peer, p);
    return p;
}

static void on_raw(struct sim_end *e, unsigned events, void *user)
{
    struct peer *p = user;
    (void)events;
    if (p->sent < p->send_len) {
        p->sent += sim_send(e, slice_of(p->send + p->sent, p->drip ? 1 : p->send_len - p->sent));
        again_soon(p);
    }
    pump(p);
}

struct peer *world_raw(struct slice bytes)
{
    struct peer *p = new_peer(NULL);
    p->send = bytes.ptr;
    p->send_len = bytes.len;
    p->end = sim_connect(world.sim, &our_addr, on_raw, p);
    return p;
}

void peer_wake(struct peer *p)
{
    again_soon(p);
}

void peer_send(struct peer *p, const char *bytes, size_t len)
{
    p->send = bytes;
    p->send_len = len;
    p->sent = 0;
    peer_wake(p);
}

void peer_close_notify(struct peer *p)
{
    (void)SSL_shutdown(p->ssl);
    ERR_clear_error();
    p->quiet = true;
    peer_wake(p);
}

void peer_fin(struct peer *p)
{
    p->quiet = true;
    sim_shutdown(p->end);
}

// ---- our side ----------------------------------------------------------------------------------------

static void close_side(struct side *s, bool reset)
{
    bufq_clear(&s->q);
    transport_close(s->t, reset);
    s->t = NULL;
}

static bool side_reads(struct side *s)
{
    while (s->t->readable && !s->eof && !s->stalls && !bufq_full(&s->q)) {
        struct chunk *k = chunk_new(&world.loop.chunks);
        REQUIRE(k != NULL);
        // In two pieces of odd sizes, as a parser's rest and a fresh chunk would be.
        size_t a = 1 + rng_below(&world.loop.rng, 3000);
        size_t b = 1 + rng_below(&world.loop.rng, CHUNK_BYTES - 3001);
        struct iovec iov[2] = {{k->data, a}, {k->data + a, b}};
        struct io_result r = transport_read(s->t, iov, 2);
        if (r.status == IO_OK) {
            k->used = (uint32_t)r.n;
            for (size_t i = 0; i < r.n && s->got_len + i < sizeof(s->first); i++) {
                s->first[s->got_len + i] = k->data[i];
            }
            s->got_len += r.n;
            REQUIRE(!s->echoes || bufq_push(&s->q, k, 0, r.n) == 0);
        }
        chunk_unref(k);
        s->eof = r.status == IO_EOF;
        if (r.status == IO_ERROR) {
            s->read_error = r.error;
            close_side(s, false);
            return false;
        }
        if (r.status == IO_AGAIN) {
            CHECK(!s->t->readable);
        }
    }
    return true;
}

static bool side_writes(struct side *s)
{
    while (s->t->writable && s->q.bytes > 0) {
        struct iovec iov[BUFQ_SPANS];
        int n = bufq_iov(&s->q, iov, BUFQ_SPANS);
        struct io_result r = transport_write(s->t, iov, n, false);
        if (r.status == IO_ERROR) {
            s->read_error = r.error;
            close_side(s, false);
            return false;
        }
        if (r.status == IO_AGAIN) {
            CHECK(!s->t->writable);
            break;
        }
        bufq_drop(&s->q, r.n);
    }
    return true;
}

static void run_side(struct side *s)
{
    bool full;
    do {
        if (!side_reads(s)) {
            return;
        }
        full = bufq_full(&s->q);
        if (!side_writes(s)) {
            return;
        }
    } while (full && !bufq_full(&s->q));
    if (s->eof && s->q.bytes == 0) {
        close_side(s, false);
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    (void)events;
    struct side *s = t->owner;
    CHECK(s->t == t);
    run_side(s);
}

static void on_done(struct transport *t, const struct tls_done *d, void *arg)
{
    struct side *s = arg;
    CHECK(!s->is_done);
    s->is_done = true;
    s->error = d->error;
    s->done_turn = world.loop.turns;
    (void)snprintf(s->alpn, sizeof(s->alpn), "%.*s", SLICE_ARG(d->alpn));
    (void)snprintf(s->reason, sizeof(s->reason), "%.*s", SLICE_ARG(tls_verify_reason(t)));
    if (d->error != 0) {
        close_side(s, false);
        return;
    }
    transport_set_owner(t, s, on_ready);
    run_side(s);
}

static void never(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
    CHECK(false);
}

static void on_accept(struct io *io, unsigned events)
{
    (void)events;
    struct sys *sys = world.loop.sys;
    struct os_addr from;
    int fd;
    while ((fd = sys->ops->accept(sys, io->fd, &from)) >= 0) {
        REQUIRE(world.side_count < WORLD_PEERS_MAX);
        struct side *s = &world.sides[world.side_count++];
        *s = (struct side){.used = true, .echoes = true};
        bufq_init(&s->q);
        int error = 0;
        s->t = transport_new(&world.transports, fd, &error);
        REQUIRE(s->t != NULL);
        transport_set_owner(s->t, s, never);
        error = tls_accept(world.core, s->t, on_done, s);
        CHECK(!s->is_done);
        if (error != 0) {
            s->error = error;
            s->is_done = true;
            close_side(s, false);
        }
    }
}

struct side *world_side(void)
{
    REQUIRE(world.side_count > 0);
    return &world.sides[world.side_count - 1];
}

// ---- origins -----------------------------------------------------------------------------------------

static struct peer *origin_peer;

static void on_origin(struct sim_end *e, void *user)
{
    (void)user;
    origin_peer->end = e;
    sim_set_actor(e, on_peer, origin_peer);
    again_soon(origin_peer);
}

static struct tls_origin *wanted_origin;

static void on_connected(struct transport *t, unsigned events)
{
    (void)events;
    struct side *s = t->owner;
    int rc = transport_connected(t);
    if (rc == E_AGAIN) {
        return;
    }
    REQUIRE(rc == 0);
    rc = tls_connect(world.core, t, wanted_origin, on_done, s);
    if (rc != 0) {
        s->error = rc;
        s->is_done = true;
        close_side(s, false);
    }
}

struct side *world_origin(SSL_CTX *server, struct tls_origin *o, struct peer **peer)
{
    origin_peer = new_peer(server);
    SSL_set_accept_state(origin_peer->ssl);
    wanted_origin = o;
    *peer = origin_peer;
    REQUIRE(world.side_count < WORLD_PEERS_MAX);
    struct side *s = &world.sides[world.side_count++];
    *s = (struct side){.used = true, .echoes = true};
    bufq_init(&s->q);
    int error = 0;
    s->t = transport_connect(&world.transports, &(struct sys_connect){.to = origin_addr}, &error);
    REQUIRE(s->t != NULL);
    transport_set_owner(s->t, s, on_connected);
    return s;
}

// ---- the world ---------------------------------------------------------------------------------------

void world_begin(uint64_t seed, const struct sim_faults *faults)
{
    static const struct sim_faults calm = {.latency_max_ns = 1000000};
    static const struct loop_limits limits = {4096, 64};
    memset(&world, 0, sizeof(world));
    world.sim = sim_new(seed, faults != NULL ? faults : &calm);
    REQUIRE(loop_init(&world.loop, sim_sys(world.sim), 0, &limits) == 0);
    transport_core_init(&world.transports, &world.loop, 256);
    REQUIRE(tls_core_new(&world.loop, &world.counters, 256, &world.core) == 0);
    int fd = sim_listen_fd(world.sim, &our_addr);
    io_init(&world.listener, fd, on_accept);
    REQUIRE(loop_watch(&world.loop, &world.listener, true) == 0);
    sim_listen(world.sim, &origin_addr, on_origin, NULL);
    world.client = world_client_context();
}

void world_end(void)
{
    for (uint32_t i = 0; i < world.side_count; i++) {
        if (world.sides[i].t != NULL) {
            close_side(&world.sides[i], true);
        }
    }
    loop_close(&world.loop, &world.listener, false);
    tls_core_free(world.core);
    transport_core_fini(&world.transports);
    CHECK_EQ_INT(world.loop.chunks.in_use, 0);
    loop_fini(&world.loop);
    sim_free(world.sim);
    for (uint32_t i = 0; i < world.peer_count; i++) {
        SSL_free(world.peers[i].ssl);
        SSL_SESSION_free(world.peers[i].session);
        free(world.peers[i].got);
    }
    SSL_CTX_free(world.client);
    CHECK_EQ_INT(ERR_peek_error(), 0);
}

void world_credential(enum credential_kind kind, const char *id, struct slice chain,
                      struct slice key)
{
    REQUIRE(world.credential_count < WORLD_CREDENTIALS_MAX);
    world.credentials[world.credential_count++] =
        (struct credential){kind, slice_str(id), chain, key, SLICE("")};
}

void world_certificate(const char *id, const struct pki_cert *c)
{
    world_credential(CREDENTIAL_CERTIFICATE, id, c->cert_pem, c->key_pem);
}

void world_staple(const char *id, const struct pki_cert *c, struct slice ocsp)
{
    world_certificate(id, c);
    world.credentials[world.credential_count - 1].ocsp = ocsp;
}

void world_ticket_key(char fill)
{
    char *key = malloc(CREDENTIAL_TICKET_KEY_BYTES);
    REQUIRE(key != NULL);
    memset(key, fill, CREDENTIAL_TICKET_KEY_BYTES);
    struct slice kept = pki_join(slice_of(key, CREDENTIAL_TICKET_KEY_BYTES), SLICE(""));
    free(key);
    world_credential(CREDENTIAL_TICKET_KEY, "", SLICE(""), kept);
}

static struct slice credential_block(char *room, size_t capacity)
{
    struct credential_writer w;
    credentials_begin(&w, room, capacity);
    for (uint32_t i = 0; i < world.credential_count; i++) {
        REQUIRE(credentials_add(&w, &world.credentials[i]) == 0);
    }
    world.credential_count = 0;
    return credentials_end(&w);
}

struct tls_store *world_store(const char *document)
{
    struct conf_doc *doc = load(document);
    if (doc == NULL) {
        printf("# %s\n", report_text);
    }
    REQUIRE(doc != NULL);
    enum { ROOM = 1 << 20 };
    char *room = malloc(ROOM);
    REQUIRE(room != NULL);
    struct conf_diags *d = conf_diags_new();
    REQUIRE(d != NULL);
    struct tls_store *store = NULL;
    int rc = tls_store_new(doc, credential_block(room, ROOM), 1, d, &store);
    CHECK((rc == 0) == (store != NULL));
    struct text t = text_on(report_text, sizeof(report_text) - 1);
    put_short(&t, d);
    report_text[t.len] = 0;
    (void)snprintf(world_report, sizeof(world_report), "%s", report_text);
    conf_diags_free(d);
    conf_doc_free(doc);
    free(room);
    if (store != NULL) {
        tls_core_set_store(world.core, store);
        tls_store_unref(store); // the core's reference is enough
    }
    return store;
}

char world_report[16384];

void world_run_ms(uint32_t ms)
{
    struct loop *loops[] = {&world.loop};
    uint64_t until = sim_now_ns(world.sim) + (uint64_t)ms * 1000000u;
    (void)sim_run(world.sim, loops, 1, until, NULL, NULL);
}

void world_run(uint32_t seconds)
{
    world_run_ms(seconds * 1000);
}

uint64_t world_count(enum counter id)
{
    return counters_sum(&world.counters, 1, id);
}

void world_begin_site(uint64_t seed, const struct sim_faults *faults, const struct pki_cert *c)
{
    world_begin(seed, faults);
    world_certificate("local:a.test", c);
    world_certificate("local:localhost", c);
    (void)world_store("listen: [{at: 443, tls: on}]\n"
                      "sites: {a.test: {respond: hi}, default: {respond: hi}}\n");
}

char *world_pattern(void)
{
    char *bytes = malloc(WORLD_BYTES_MAX);
    REQUIRE(bytes != NULL);
    for (size_t i = 0; i < WORLD_BYTES_MAX; i++) {
        bytes[i] = (char)(i * 7 + i / 251);
    }
    return bytes;
}

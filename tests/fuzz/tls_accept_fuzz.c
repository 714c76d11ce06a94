// SPDX-License-Identifier: Apache-2.0
//
// Hostile clients of TLS: an input is a list of acts of up to four connections to one core on the
// simulated kernel, whose owner accepts with TLS and echoes. An act sends raw bytes, bytes dressed as
// a record, or lets a real client take a step, of whose ciphertext one byte may be changed; others
// close either end, exchange the store, or let time pass. Certificates are made when the program
// starts, so that what runs is the same for an input but for the library's own random numbers.
//
// Nothing may crash; `done` comes at most once and never from inside tls_accept(); and when the peers
// are gone, everything that was taken for them must have been given back.

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "conf/load.h"
#include "input.h"
#include "network.h"
#include "tls/pki.h"
#include "tls/tls_int.h"

enum { PEERS = 4, SIDES = 16, ACTS_MAX = 100, CREDENTIALS_ROOM = 1 << 17 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct os_addr edge_at = {.kind = OS_ADDR_V4, .port = 443, .u.ip = {10, 0, 0, 1}};

static const char *const documents[] = {
    ("listen: [{at: 443, tls: on}]\nacme: {ask: 'http://127.0.0.1:1/'}\nsites:\n"
     "  a.test: {respond: a}\n"
     "  '*.w.test': {tls: {tickets: off, min_version: '1.3'}, respond: w}\n"
     "  me.test: {tls: {client: {ca: /root.pem}}, respond: me}\n"
     "  may.test: {tls: {client: {mode: optional, ca: /root.pem}, protocols: [http/1.1]},"
     " respond: may}\n"
     "  off.test: {tls: off, respond: off}\n"
     "  default: {tls: {on_demand: on}, respond: hi}\n"),
    "listen: [{at: 443, tls: on}]\nsites: {a.test: {tls: {tickets: off}, respond: a}}\n",
    "listen: [{at: 443, tls: on}]\nsites: {default: {respond: a}}\n",
};

static struct tls_store *stores[array_len(documents)];
static SSL_CTX *client;
static struct pki_cert mine;

struct peer {
    struct sim_end *end; // NULL: none
    SSL *ssl;            // NULL: raw bytes only
    BIO *in;
    BIO *out;
    bool deaf;
};

struct side {
    struct transport *t; // NULL: none
    bool is_done;
    bool ended; // we write no more
};

struct world {
    struct sim *sim;
    struct loop loop;
    struct transport_core transports;
    struct counters counters;
    struct tls_core *core;
    struct tls_wanted wanted;
    struct io listener;
    bool accepting; // inside tls_accept()
    bool lazy;      // closes what failed at the end, not at once
    struct peer peers[PEERS];
    struct side sides[SIDES];
    unsigned side_count;
};

static struct world world;

// ---- what is made once -------------------------------------------------------------------------------

static void add(struct credential_writer *w, enum credential_kind kind, const char *id,
                struct slice chain, struct slice key)
{
    struct credential c = {kind, slice_str(id), chain, key, SLICE("")};
    ensure(credentials_add(w, &c) == 0);
}

static void add_cert(struct credential_writer *w, enum credential_kind kind, const char *id,
                     enum pki_key key, const struct pki_cert *issuer)
{
    struct pki_cert c = pki_make(
        &(struct pki_order){.cn = "x", .names = "DNS:a.test", .key = key, .issuer = issuer});
    add(w, kind, id, c.cert_pem, c.key_pem);
    pki_free(&c);
}

static struct tls_store *make_store(const char *document, struct slice credentials)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    struct tls_store *store = NULL;
    ensure(d != NULL && conf_load_text("adit.yaml", document, conf_tables, d, &doc) == 0);
    ensure(tls_store_new(doc, credentials, 1, d, &store) == 0);
    conf_doc_free(doc);
    conf_diags_free(d);
    return store;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    static char room[CREDENTIALS_ROOM];
    static const char ticket_key[CREDENTIAL_TICKET_KEY_BYTES] = "a name, and zeros for keys";
    struct credential_writer w;
    credentials_begin(&w, room, sizeof(room));
    struct pki_cert root = pki_make(&(struct pki_order){.cn = "Root", .key = PKI_P256, .ca = true});
    add_cert(&w, CREDENTIAL_CERTIFICATE, "local:a.test", PKI_P256, &root);
    add_cert(&w, CREDENTIAL_CERTIFICATE, "local:*.w.test", PKI_RSA_2048, &root);
    add_cert(&w, CREDENTIAL_CERTIFICATE, "local:me.test", PKI_P256, &root);
    add_cert(&w, CREDENTIAL_CERTIFICATE, "local:may.test", PKI_P256, &root);
    add_cert(&w, CREDENTIAL_CERTIFICATE, "local:localhost", PKI_P256, &root);
    add_cert(&w, CREDENTIAL_TLS_ALPN_01, "a.test", PKI_P256, NULL);
    add(&w, CREDENTIAL_AUTHORITY, "ca:/root.pem", root.cert_pem, SLICE(""));
    add(&w, CREDENTIAL_TICKET_KEY, "", SLICE(""), slice_of(ticket_key, sizeof(ticket_key)));
    struct slice credentials = credentials_end(&w);
    for (size_t i = 0; i < array_len(documents); i++) {
        stores[i] = make_store(documents[i], credentials);
    }
    mine = pki_make(&(struct pki_order){
        .cn = "me", .names = "email:me@a.test", .key = PKI_P256, .issuer = &root, .client = true});
    pki_free(&root);
    client = SSL_CTX_new(TLS_client_method());
    ensure(client != NULL);
    return 0;
}

// ---- our side ----------------------------------------------------------------------------------------

static void close_side(struct side *s, bool reset)
{
    if (s->t != NULL) {
        transport_close(s->t, reset);
        s->t = NULL;
    }
}

static void echo(struct side *s)
{
    static char bytes[40000];
    unsigned rounds = 0;
    while (s->t->readable) {
        ensure(++rounds < 100000);
        struct iovec iov[2] = {{bytes, 1000}, {bytes + 1000, sizeof(bytes) - 1000}};
        struct io_result r = transport_read(s->t, iov, 2);
        if (r.status == IO_OK && s->t->writable && !s->ended) {
            struct iovec out = {bytes, r.n};
            r = transport_write(s->t, &out, 1, false); // what it does not take is lost
        }
        if (r.status == IO_EOF || r.status == IO_ERROR) {
            close_side(s, false);
            return;
        }
    }
}

static void on_ready(struct transport *t, unsigned events)
{
    (void)events;
    struct side *s = t->owner;
    ensure(s->t == t);
    echo(s);
}

static void never(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
    ensure(false);
}

static void ignore(struct transport *t, unsigned events)
{
    (void)t;
    (void)events;
}

static void on_done(struct transport *t, const struct tls_done *d, void *arg)
{
    struct side *s = arg;
    ensure(!world.accepting && !s->is_done && s->t == t);
    s->is_done = true;
    if (d->error == 0) {
        ensure(tls_security(t) != NULL);
        transport_set_owner(t, s, on_ready);
        echo(s);
    } else if (world.lazy) {
        transport_set_owner(t, s, ignore);
    } else {
        close_side(s, false);
    }
}

static void on_accept(struct io *io, unsigned events)
{
    (void)events;
    struct sys *sys = world.loop.sys;
    struct os_addr from;
    int fd;
    while ((fd = sys->ops->accept(sys, io->fd, &from)) >= 0) {
        ensure(world.side_count < SIDES);
        struct side *s = &world.sides[world.side_count++];
        int error = 0;
        *s = (struct side){.t = transport_new(&world.transports, fd, &error)};
        ensure(s->t != NULL);
        transport_set_owner(s->t, s, never);
        world.accepting = true;
        error = tls_accept(world.core, s->t, on_done, s);
        world.accepting = false;
        if (error != 0) {
            close_side(s, false);
        }
    }
}

static void on_wanted(struct tls_wanted *w, struct slice name)
{
    ensure(w == &world.wanted && name.len > 0);
}

// ---- the peers ---------------------------------------------------------------------------------------

static void close_peer(struct peer *p, bool reset)
{
    if (p->end != NULL && reset) {
        sim_reset(p->end);
    } else if (p->end != NULL) {
        sim_close(p->end);
    }
    SSL_free(p->ssl);
    ERR_clear_error();
    *p = (struct peer){.end = NULL};
}

static void on_peer(struct sim_end *e, unsigned events, void *user)
{
    struct peer *p = user;
    char bytes[8192];
    size_t n;
    (void)events;
    while (!p->deaf && (n = sim_recv(e, bytes, sizeof(bytes))) > 0) {
        if (p->ssl != NULL) {
            BIO_write(p->in, bytes, (int)n);
        }
    }
}

static void run_for(uint64_t ms)
{
    struct loop *loops[] = {&world.loop};
    (void)sim_run(world.sim, loops, 1, sim_now_ns(world.sim) + ms * 1000000, NULL, NULL);
}

static void send_bytes(const struct peer *p, const void *bytes, size_t n)
{
    if (n > 0) {
        (void)sim_send(p->end, slice_of(bytes, n));
    }
}

static void begin_client(struct peer *p, uint8_t how)
{
    static const char *const names[] = {"a.test",   "b.w.test", "me.test",      "may.test",
                                        "off.test", "A.TEST.",  "unknown.test", NULL};
    static const char *const alpn[] = {NULL, "\2h2\x8http/1.1", "\2h3", "\12acme-tls/1"};
    const char *name = names[how & 7];
    const char *protocols = alpn[how >> 3 & 3];
    p->ssl = SSL_new(client);
    p->in = BIO_new(BIO_s_mem());
    p->out = BIO_new(BIO_s_mem());
    ensure(p->ssl != NULL && p->in != NULL && p->out != NULL);
    BIO_set_mem_eof_return(p->in, -1);
    SSL_set_bio(p->ssl, p->in, p->out);
    SSL_set_connect_state(p->ssl);
    if (name != NULL) {
        SSL_set_tlsext_host_name(p->ssl, (void *)(uintptr_t)name);
    }
    if (protocols != NULL) {
        SSL_set_alpn_protos(p->ssl, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    }
    if ((how & 0x20) != 0) {
        SSL_set_max_proto_version(p->ssl, TLS1_2_VERSION);
    }
    if ((how & 0x40) != 0) {
        ensure(SSL_use_certificate(p->ssl, mine.x) == 1 &&
               SSL_use_PrivateKey(p->ssl, mine.key) == 1);
    }
}

// A step of the real client; `change` is where in its ciphertext a bit is turned over (0: nowhere).
static void step_client(struct peer *p, uint8_t act, uint8_t change)
{
    static char plain[20000];
    switch (act & 7) {
    case 1:
        (void)SSL_write(p->ssl, plain, act >> 3 == 31 ? (int)sizeof(plain) : 1 + (act >> 3));
        break;
    case 2:
        (void)SSL_shutdown(p->ssl);
        break;
    case 3:
        (void)SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED);
        (void)SSL_write(p->ssl, plain, 1);
        break;
    case 4:
        (void)SSL_renegotiate(p->ssl);
        break;
    default:
        break;
    }
    (void)SSL_do_handshake(p->ssl);
    (void)SSL_read(p->ssl, plain, sizeof(plain));
    ERR_clear_error();
    char *bytes = NULL;
    long n = BIO_get_mem_data(p->out, &bytes);
    if (n > 0) {
        if (change != 0) {
            bytes[(change - 1) % n] ^= (char)(1 << (change & 7));
        }
        send_bytes(p, bytes, (size_t)n);
        (void)BIO_reset(p->out);
    }
}

static void send_raw(const struct peer *p, bool record, struct input *in)
{
    uint8_t kind = record ? next_byte(in) : 0;
    size_t n = (size_t)next_byte(in) << 8;
    n |= next_byte(in);
    struct slice bytes = next_bytes(in, n);
    if (record) {
        uint8_t head[5] = {20 + (kind & 7), 3, kind >> 4, (uint8_t)(bytes.len >> 8),
                           (uint8_t)bytes.len};
        send_bytes(p, head, sizeof(head));
    }
    send_bytes(p, bytes.ptr, bytes.len);
}

// What our side does of itself.
static void our_act(uint8_t n)
{
    static char bulk[100000];
    struct side *s = &world.sides[world.side_count > 0 ? (n >> 4) % world.side_count : 0];
    if (s->t == NULL) {
        return;
    }
    bool open = s->is_done && s->t->on_ready == on_ready && !s->ended;
    struct iovec iov = {bulk, sizeof(bulk)};
    switch (n & 3) {
    case 0:
    case 1:
        close_side(s, (n & 3) == 0);
        break;
    case 2:
        if (open && s->t->writable) {
            (void)transport_write(s->t, &iov, 1, (n & 4) != 0);
        }
        break;
    default:
        if (open) {
            s->ended = true;
            (void)transport_shutdown_write(s->t);
        }
        break;
    }
}

static void end_peer(struct peer *p, uint8_t n)
{
    if ((n & 3) == 0) {
        sim_shutdown(p->end);
    } else if ((n & 3) == 1) {
        p->deaf = !p->deaf;
        on_peer(p->end, 0, p);
    } else {
        close_peer(p, (n & 3) == 2);
    }
}

static void act(struct input *in)
{
    uint8_t op = next_byte(in);
    struct peer *p = &world.peers[op >> 6];
    if (p->end == NULL) {
        if (world.side_count >= SIDES - PEERS) {
            return;
        }
        p->end = sim_connect(world.sim, &edge_at, on_peer, p);
        run_for(10);
    }
    uint8_t n;
    switch (op & 7) {
    case 0:
    case 1:
        send_raw(p, (op & 7) == 1, in);
        break;
    case 2:
    case 3:
        n = next_byte(in);
        if (p->ssl == NULL) {
            begin_client(p, n);
            n = 0;
        }
        step_client(p, n, (op & 7) == 3 ? next_byte(in) : 0);
        break;
    case 4:
        n = next_byte(in);
        run_for((uint64_t)n * n);
        break;
    case 5:
        end_peer(p, next_byte(in));
        break;
    case 6:
        our_act(next_byte(in));
        break;
    default:
        n = next_byte(in) & 3;
        tls_core_set_store(world.core, n < array_len(stores) ? stores[n] : NULL);
        break;
    }
    if ((op & 8) == 0) {
        run_for(20);
    }
}

// ---- a run -------------------------------------------------------------------------------------------

static void begin(uint8_t bits)
{
    static const struct loop_limits limits = {4096, 64};
    struct sim_faults faults = network_of(bits);
    memset(&world, 0, sizeof(world));
    world.lazy = (bits & 8) != 0;
    world.sim = sim_new(bits, &faults);
    ensure(loop_init(&world.loop, sim_sys(world.sim), 0, &limits) == 0);
    transport_core_init(&world.transports, &world.loop, SIDES);
    ensure(tls_core_new(&world.loop, &world.counters, SIDES, &world.core) == 0);
    world.wanted.want = on_wanted;
    tls_core_set_wanted(world.core, &world.wanted);
    tls_core_set_store(world.core, stores[0]);
    io_init(&world.listener, sim_listen_fd(world.sim, &edge_at), on_accept);
    ensure(loop_watch(&world.loop, &world.listener, true) == 0);
}

static void finish(void)
{
    for (unsigned i = 0; i < PEERS; i++) {
        close_peer(&world.peers[i], false);
    }
    run_for(1000);
    for (unsigned i = 0; i < world.side_count; i++) {
        close_side(&world.sides[i], false);
    }
    run_for(60 * 1000); // those that linger end as well
    ensure(world.core->slab.in_use == 0 && world.core->queues.in_use == 0);
    ensure(world.core->names.in_use == 0 && world.core->lingerers.in_use == 0);
    ensure(world.loop.chunks.in_use == 0 && world.transports.slab.in_use == 0);
    ensure(sim_fds_open(world.sim) == 1);
    ensure(ERR_peek_error() == 0);
    loop_close(&world.loop, &world.listener, false);
    tls_core_free(world.core);
    transport_core_fini(&world.transports);
    loop_fini(&world.loop);
    sim_free(world.sim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    begin(data[0]);
    struct input in = {data + 1, size - 1};
    for (unsigned i = 0; i < ACTS_MAX && in.left > 0; i++) {
        act(&in);
    }
    finish();
    return 0;
}

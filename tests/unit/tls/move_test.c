// SPDX-License-Identifier: Apache-2.0
//
// TLS that changes its core, in the middle of everything: bytes that were read and not decrypted,
// decrypted and not taken, encrypted and not sent all arrive, on networks of every kind.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert cert;
static char *pattern;
static const struct loop_limits limits = {4096, 64};

/** The other core. */
static struct {
    struct loop loop;
    struct transport_core transports;
    struct counters counters;
    struct tls_core *core;
} other;

static void setup(void)
{
    cert = pki_make(&(struct pki_order){.cn = "a.test", .names = "DNS:a.test", .key = PKI_P256});
    pattern = world_pattern();
}

static void begin(uint64_t seed, const struct sim_faults *faults)
{
    world_begin_site(seed, faults, &cert);
    memset(&other, 0, sizeof(other));
    REQUIRE(loop_init(&other.loop, sim_sys(world.sim), 0, &limits) == 0);
    transport_core_init(&other.transports, &other.loop, 16);
    REQUIRE(tls_core_new(&other.loop, &other.counters, 16, &other.core) == 0);
    tls_core_set_store(other.core, tls_core_store(world.core));
    tls_core_serve(world.core, &world.transports);
    tls_core_serve(other.core, &other.transports);
}

static void finish(void)
{
    struct side *s = world_side();
    if (s->t != NULL) {
        bufq_clear(&s->q);
        transport_close(s->t, true);
        s->t = NULL;
    }
    tls_core_free(other.core);
    transport_core_fini(&other.transports);
    CHECK_EQ_INT(other.loop.chunks.in_use, 0);
    loop_fini(&other.loop);
    world_end();
}

static void run_both(uint64_t ns)
{
    struct loop *loops[] = {&world.loop, &other.loop};
    (void)sim_run(world.sim, loops, 2, sim_now_ns(world.sim) + ns, NULL, NULL);
}

/** To the core where it is not. False: it cannot move, and is as it was. */
static bool move(struct side *s)
{
    struct transport *t = s->t;
    void *owner = t->owner;
    void (*on_ready)(struct transport *, unsigned) = t->on_ready;
    struct transport_core *to =
        t->core == &world.transports ? &other.transports : &world.transports;
    struct transport_parcel p;
    int e = transport_pack(t, &p);
    if (e < 0) {
        CHECK_EQ_INT(e, E_UNSUPPORTED);
        return false;
    }
    s->t = transport_unpack(to, &p, &e);
    if (!CHECK(s->t != NULL)) {
        return false;
    }
    transport_set_owner(s->t, owner, on_ready);
    on_ready(s->t, 0);
    return true;
}

static void what_is_known_of_the_peer_goes_along(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "b.test"); // a name of no host of its own
    run_both(1000000000);
    struct side *s = world_side();
    REQUIRE(s->t != NULL && p->connected);
    struct http_security before = *tls_security(s->t);
    CHECK(move(s));
    const struct http_security *now = s->t->ops->security(s->t);
    CHECK(now == tls_security(s->t));
    CHECK(slice_eq(now->server_name, SLICE("b.test")));
    CHECK(slice_eq(now->version, before.version) && slice_eq(now->cipher, before.cipher));
    CHECK(now->covers(now, SLICE("b.test")));
    CHECK(now->covers(now, SLICE("a.test"))); // by its certificate, which this core parses anew
    CHECK(!now->covers(now, SLICE("c.test")));
    CHECK_EQ_INT(world.core->slab.in_use, 0);
    CHECK_EQ_INT(world.core->names.in_use, 0);
    peer_send(p, pattern, 5000);
    run_both(1000000000);
    CHECK_EQ_INT(p->got_len, 5000);
    peer_close_notify(p);
    run_both(1000000000);
    CHECK(s->eof && s->t == NULL && p->ended);
    finish();
}

static void a_handshake_does_not_move(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    p->drip = true;
    run_both(20000000);
    struct side *s = world_side();
    REQUIRE(s->t != NULL && !s->is_done);
    CHECK(!move(s));
    p->drip = false;
    run_both(1000000000);
    CHECK(p->connected);
    finish();
}

static void no_byte_is_lost(void)
{
    uint32_t all = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        const struct sim_faults faults = {
            .short_read = 0.3,
            .short_write = 0.3,
            .write_again = 0.2,
            .spurious_event = 0.2,
            .late_event = 0.3,
            .latency_max_ns = 3000000,
            .buffer_min = seed % 3 == 0 ? 200 : 2000,
            .buffer_max = seed % 3 == 0 ? 2000 : 200000,
        };
        begin(seed, &faults);
        SSL_CTX_set_max_proto_version(world.client,
                                      seed % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        struct peer *p = world_client(world.client, "a.test");
        size_t bytes = 200000;
        peer_send(p, pattern, bytes);
        uint32_t moves = 0;
        for (int i = 0; i < 20000 && p->got_len < bytes; i++) {
            run_both(500000 + rng_below(sim_rng(world.sim), 4000000));
            struct side *s = world.side_count > 0 ? world_side() : NULL;
            moves += s != NULL && s->t != NULL && s->is_done && move(s);
        }
        CHECK(moves > 0);
        all += moves;
        if (!CHECK_EQ_INT(p->got_len, bytes) || !CHECK(memcmp(p->got, pattern, bytes) == 0)) {
            printf("# seed %d: %u moves\n", (int)seed, moves);
        }
        finish();
    }
    CHECK(all > 200);
}

static void what_was_read_ahead_goes_along(void)
{
    enum { BYTES = 300000 };
    static char got[TLS_RECORD_MAX];
    const struct sim_faults large = {
        .latency_max_ns = 1000, .buffer_min = BYTES, .buffer_max = BYTES};
    begin(1, &large);
    struct peer *p = world_client(world.client, "a.test");
    run_both(1000000000);
    struct side *s = world_side();
    s->stalls = true;
    peer_send(p, pattern, BYTES);
    run_both(1000000000);
    size_t total = 0;
    while (s->t->readable && stream_ahead_bytes(tls_of(s->t)) <= CHUNK_BYTES) {
        struct iovec iov = {got, sizeof(got)};
        struct io_result r = transport_read(s->t, &iov, 1);
        REQUIRE(r.status == IO_OK);
        CHECK(memcmp(got, pattern + total, r.n) == 0);
        total += r.n;
    }
    size_t ahead = stream_ahead_bytes(tls_of(s->t));
    CHECK(ahead > CHUNK_BYTES);
    CHECK(move(s));
    CHECK_EQ_INT(stream_ahead_bytes(tls_of(s->t)), ahead);
    CHECK_EQ_INT(world.loop.chunks.in_use, 0);
    s->stalls = false;
    s->t->on_ready(s->t, SYS_READ);
    run_both(4000000000);
    CHECK_EQ_INT(p->got_len, BYTES - total);
    CHECK(memcmp(p->got, pattern + total, p->got_len) == 0);
    finish();
}

static void a_parcel_may_be_dropped(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    run_both(1000000000);
    struct side *s = world_side();
    REQUIRE(s->t != NULL && p->connected);
    struct transport_parcel parcel;
    CHECK_EQ_INT(transport_pack(s->t, &parcel), 0);
    s->t = NULL;
    transport_parcel_drop(&parcel, world.loop.sys);
    run_both(1000000000);
    CHECK(p->cut);
    finish();
}

TAP_MAIN(setup, what_is_known_of_the_peer_goes_along, a_handshake_does_not_move, no_byte_is_lost,
         what_was_read_ahead_goes_along, a_parcel_may_be_dropped)

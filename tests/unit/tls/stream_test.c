// SPDX-License-Identifier: Apache-2.0
//
// Bytes through TLS: echoes of all sizes on calm and hostile networks, byte by byte, with stalled
// readers, half-closed and cut connections; how large the records are; that an idle connection holds
// nothing.

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert cert;
static char *pattern;

static void setup(void)
{
    cert = pki_make(&(struct pki_order){.cn = "a.test", .names = "DNS:a.test", .key = PKI_P256});
    pattern = world_pattern();
}

static void begin(uint64_t seed, const struct sim_faults *faults)
{
    world_begin_site(seed, faults, &cert);
}

static bool echoed(const struct peer *p, size_t bytes)
{
    return CHECK_EQ_INT(p->got_len, bytes) && memcmp(p->got, pattern, bytes) == 0;
}

static void bytes_come_back(void)
{
    static const size_t sizes[] = {1, 100, 1300, 1301, 16384, 16385, 70000, 500000};
    for (size_t i = 0; i < array_len(sizes) * 2; i++) {
        begin(i, NULL);
        SSL_CTX_set_max_proto_version(world.client, i % 2 == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
        struct peer *p = world_client(world.client, "a.test");
        peer_send(p, pattern, sizes[i / 2]);
        world_run(60);
        CHECK(p->connected);
        CHECK(echoed(p, sizes[i / 2]));
        CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 1);
        // Nothing is left in our hands.
        struct tls *s = tls_of(world_side()->t);
        CHECK(s->out == NULL && s->ahead == NULL);
        CHECK_EQ_INT(world.loop.chunks.in_use, 0);
        CHECK(!world_side()->t->readable);
        peer_close_notify(p);
        world_run(60);
        CHECK(world_side()->eof && world_side()->t == NULL);
        CHECK(p->ended);
        world_end();
    }
}

static void byte_by_byte(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    p->drip = true;
    peer_send(p, pattern, 3000);
    world_run(60);
    CHECK(echoed(p, 3000));
    world_end();
}

static void hostile_networks(void)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
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
        struct peer *p[4];
        for (size_t i = 0; i < array_len(p); i++) {
            p[i] = world_client(world.client, "a.test");
            p[i]->drip = i == 3;
            peer_send(p[i], pattern, i == 3 ? 400 : 60000 * (i + 1));
        }
        world_run(600);
        for (size_t i = 0; i < array_len(p); i++) {
            if (!echoed(p[i], i == 3 ? 400 : 60000 * (i + 1))) {
                printf("# seed %d, peer %zu: connected %d failed %d\n", (int)seed, i,
                       p[i]->connected, p[i]->failed);
            }
        }
        world_end();
    }
}

static void a_cut_is_no_end(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, pattern, 100);
    world_run(10);
    peer_fin(p);
    world_run(10);
    CHECK(!world_side()->eof);
    CHECK_EQ_INT(world_side()->read_error, E_EARLY_CLOSE);
    world_end();
}

static void a_reset_is_told(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    sim_reset(p->end);
    p->end = NULL;
    world_run(10);
    CHECK_EQ_INT(world_side()->read_error, E_RESET);
    world_end();
}

static void either_direction_ends_alone(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    struct side *s = world_side();
    CHECK_EQ_INT(transport_shutdown_write(s->t), 0);
    world_run(10);
    CHECK(p->ended);
    s->echoes = false;
    peer_send(p, pattern, 50000);
    world_run(10);
    CHECK_EQ_INT(s->got_len, 50000);
    CHECK(sim_at_eof(p->end));
    peer_close_notify(p);
    world_run(10);
    CHECK(s->eof);
    world_end();
}

// A peer that does not read: we take one batch and no more; when it reads again all of it arrives.
static void back_pressure(void)
{
    const struct sim_faults small = {
        .latency_max_ns = 1000, .buffer_min = 4000, .buffer_max = 4000};
    begin(1, &small);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    p->deaf = true;
    struct side *s = world_side();
    s->echoes = false;
    struct iovec iov = {pattern, 400000};
    struct io_result r = transport_write(s->t, &iov, 1, false);
    CHECK(r.status == IO_OK && r.n >= 16384 && r.n <= TLS_WRITE_BATCH + TLS_RECORD_MAX);
    CHECK(!s->t->writable);
    CHECK(world.loop.chunks.in_use <= TLS_WRITE_BATCH / CHUNK_BYTES + 2);
    struct io_result again = transport_write(s->t, &iov, 1, false);
    CHECK_EQ_INT(again.status, IO_AGAIN);
    world_run(10);
    CHECK(!s->t->writable);
    p->deaf = false;
    peer_wake(p);
    world_run(10);
    CHECK(s->t->writable);
    CHECK(echoed(p, r.n));
    CHECK_EQ_INT(world.loop.chunks.in_use, 0);
    world_end();
}

// What was taken is delivered though the connection is closed at once, and slowly read.
static void a_close_loses_nothing(void)
{
    const struct sim_faults small = {
        .latency_max_ns = 1000, .buffer_min = 4000, .buffer_max = 4000};
    for (int shut = 0; shut < 2; shut++) {
        begin(1, &small);
        struct peer *p = world_client(world.client, "a.test");
        world_run(10);
        p->deaf = true;
        struct side *s = world_side();
        struct iovec iov = {pattern, 60000};
        struct io_result r = transport_write(s->t, &iov, 1, false);
        CHECK_EQ_INT(r.n, 60000);
        if (shut == 1) {
            CHECK_EQ_INT(transport_shutdown_write(s->t), 0);
        }
        transport_close(s->t, false);
        s->t = NULL;
        world_run(1);
        CHECK_EQ_INT(world.core->lingerers.in_use, 1);
        p->deaf = false;
        peer_wake(p);
        world_run(10);
        CHECK(echoed(p, 60000));
        CHECK(p->ended);
        CHECK_EQ_INT(world.core->lingerers.in_use, 0);
        world_end();
    }
}

static void a_lingerer_gives_up(void)
{
    const struct sim_faults small = {
        .latency_max_ns = 1000, .buffer_min = 4000, .buffer_max = 4000};
    begin(1, &small);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    p->deaf = true;
    struct side *s = world_side();
    struct iovec iov = {pattern, 60000};
    struct io_result r = transport_write(s->t, &iov, 1, false);
    CHECK_EQ_INT(r.n, 60000);
    transport_close(s->t, false);
    s->t = NULL;
    world_run(TLS_LINGER_MS / 1000 + 2);
    CHECK_EQ_INT(world.core->lingerers.in_use, 0);
    CHECK(sim_is_reset(p->end));
    world_end();
}

static void ask_again(void *user)
{
    peer_send(user, pattern, 5000);
}

static void records_begin_small(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    p->records = 0; // the ticket's
    struct side *s = world_side();
    struct iovec iov[2] = {{pattern, 300}, {pattern + 300, 200000 - 300}};
    struct io_result r = transport_write(s->t, iov, 2, false);
    CHECK(r.status == IO_OK);
    size_t total = r.n;
    while (total < 200000) {
        world_run_ms(5);
        iov[0] = (struct iovec){pattern + total, 200000 - total};
        r = transport_write(s->t, iov, 1, false);
        REQUIRE(r.status == IO_OK || r.status == IO_AGAIN);
        total += r.n;
    }
    world_run(10);
    CHECK(echoed(p, 200000));
    enum { OVERHEAD = 17 }; // content type and tag
    CHECK_EQ_INT(p->record_sizes[0], TLS_RECORD_SMALL + OVERHEAD);
    CHECK_EQ_INT(p->record_sizes[40], TLS_RECORD_SMALL + OVERHEAD);
    CHECK_EQ_INT(p->record_sizes[52], TLS_RECORD_MAX + OVERHEAD);
    p->records = 0;
    sim_after(world.sim, 2000000000, ask_again, p); // a pause, then a request
    world_run(10);
    CHECK(p->records > 0);
    for (uint32_t i = 0; i < p->records; i++) {
        CHECK(p->record_sizes[i] <= TLS_RECORD_SMALL + OVERHEAD);
    }
    world_end();
}

// Head and body of a small answer are one record.
static void small_pieces_are_one_record(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    p->records = 0;
    struct iovec iov[5] = {
        {pattern, 200}, {pattern, 0}, {pattern + 200, 2}, {pattern + 202, 128}, {pattern, 0}};
    struct io_result r = transport_write(world_side()->t, iov, 5, false);
    CHECK_EQ_INT(r.n, 330);
    world_run(10);
    CHECK(echoed(p, 330));
    CHECK_EQ_INT(p->records, 1);
    world_end();
}

// So are the head of a frame and the span behind it, when both fit; what does not begins a record of its own.
static void a_head_and_what_is_behind_it_are_one_record(void)
{
    enum { HEAD = 9, SPAN = 16352, OVERHEAD = 17 };
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    struct tls *s = tls_of(world_side()->t);
    s->small_bytes = TLS_SMALL_BYTES; // behind the small records
    s->last_write_ms = (uint32_t)world.loop.now_ms;
    p->records = 0;
    const char *at = pattern;
    struct iovec iov[5];
    const size_t sizes[] = {HEAD, SPAN, SPAN, HEAD, TLS_RECORD_MAX};
    for (size_t i = 0; i < array_len(sizes); i++) {
        iov[i] = (struct iovec){(void *)(uintptr_t)at, sizes[i]};
        at += sizes[i];
    }
    struct io_result r = transport_write(world_side()->t, iov, (int)array_len(iov), false);
    CHECK_EQ_INT(r.n, at - pattern);
    world_run(10);
    CHECK(echoed(p, (size_t)(at - pattern)));
    CHECK_EQ_INT(p->records, 4);
    CHECK_EQ_INT(p->record_sizes[0], HEAD + SPAN + OVERHEAD);
    CHECK_EQ_INT(p->record_sizes[1], SPAN + OVERHEAD);
    CHECK_EQ_INT(p->record_sizes[2], HEAD + OVERHEAD);
    CHECK_EQ_INT(p->record_sizes[3], TLS_RECORD_MAX + OVERHEAD);
    world_end();
}

// Reads of the socket grow while they fill what they have, and are small again afterwards.
static void bulk_is_read_ahead(void)
{
    enum { BYTES = 400000 };
    static char got[TLS_RECORD_MAX];
    const struct sim_faults large = {
        .latency_max_ns = 1000, .buffer_min = BYTES, .buffer_max = BYTES};
    begin(1, &large);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    struct side *side = world_side();
    side->stalls = true;
    peer_send(p, pattern, BYTES);
    size_t total = 0;
    size_t most = 0;
    while (total < BYTES) {
        world_run_ms(5);
        REQUIRE(side->t->readable);
        while (side->t->readable) {
            struct iovec iov = {got, sizeof(got)};
            struct io_result r = transport_read(side->t, &iov, 1);
            REQUIRE(r.status == IO_OK || r.status == IO_AGAIN);
            CHECK(memcmp(got, pattern + total, r.n) == 0);
            total += r.n;
            size_t ahead = stream_ahead_bytes(tls_of(side->t));
            most = ahead > most ? ahead : most;
        }
    }
    CHECK_EQ_INT(total, BYTES);
    CHECK(most > (size_t)2 * CHUNK_BYTES && most <= (size_t)TLS_AHEAD_CHUNKS * CHUNK_BYTES);
    CHECK(tls_of(side->t)->ahead == NULL);
    CHECK_EQ_INT(world.loop.chunks.in_use, 0);
    side->stalls = false;
    peer_send(p, pattern, 100);
    world_run(10);
    CHECK(echoed(p, 100));
    CHECK_EQ_INT(tls_of(side->t)->ahead_wish, 0);
    world_end();
}

static void keys_are_updated(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, pattern, 5000);
    world_run(10);
    for (int i = 0; i < 3; i++) {
        CHECK(SSL_key_update(p->ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
        p->got_len = 0;
        peer_send(p, pattern, 5000);
        world_run(10);
        CHECK(echoed(p, 5000));
    }
    world_end();
}

static void renegotiation_is_refused(void)
{
    begin(1, NULL);
    SSL_CTX_set_max_proto_version(world.client, TLS1_2_VERSION);
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, pattern, 100);
    world_run(10);
    CHECK(SSL_renegotiate(p->ssl) == 1);
    p->got_len = 0;
    peer_send(p, pattern, 100);
    world_run(10);
    CHECK_EQ_INT(p->failed, SSL_R_NO_RENEGOTIATION);
    CHECK_EQ_INT(world_count(COUNTER_tls_handshakes), 1);
    world_end();
}

// What a client makes the library say is bounded: whoever asks for new keys without end, and reads none
// of the answers, is cut off.
static void demands_without_end_are_cut(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, pattern, 100);
    world_run(10);
    CHECK(echoed(p, 100));
    p->deaf = true;
    for (int i = 0; i < 20000; i++) {
        REQUIRE(SSL_key_update(p->ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        REQUIRE(SSL_do_handshake(p->ssl) == 1);
    }
    peer_wake(p);
    world_run(10);
    printf("# chunks in use %u\n", (unsigned)world.loop.chunks.in_use);
    CHECK_EQ_INT(world_side()->read_error, E_PROTOCOL);
    CHECK(world_side()->t == NULL);
    world_end();
}

// Broken records end the connection with an alert, and the owner hears why.
static void garbage_after_the_handshake(void)
{
    begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    CHECK_EQ_INT(sim_send(p->end, SLICE("\x17\x03\x03\x00\x20"
                                        "0123456789abcdef0123456789abcdef")),
                 37);
    world_run(10);
    CHECK_EQ_INT(world_side()->read_error, E_PROTOCOL);
    CHECK_EQ_INT(p->failed, SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
    world_end();
}

TAP_MAIN(setup, bytes_come_back, byte_by_byte, hostile_networks, a_cut_is_no_end, a_reset_is_told,
         either_direction_ends_alone, back_pressure, a_close_loses_nothing, a_lingerer_gives_up,
         records_begin_small, small_pieces_are_one_record,
         a_head_and_what_is_behind_it_are_one_record, bulk_is_read_ahead, keys_are_updated,
         renegotiation_is_refused, demands_without_end_are_cut, garbage_after_the_handshake)

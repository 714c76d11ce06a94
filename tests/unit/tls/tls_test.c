// SPDX-License-Identifier: Apache-2.0
//
// The core's part: without a store, with many connections, and what an idle one costs.

#include <malloc.h>

#include "base/error.h"
#include "tap.h"
#include "world.h"

static struct pki_cert cert;

static void setup(void)
{
    cert = pki_make(&(struct pki_order){.cn = "a", .names = "DNS:a.test", .key = PKI_P256});
}

static void without_a_store_nobody_is_let_in(void)
{
    world_begin(1, NULL);
    struct peer *p = world_client(world.client, "a.test");
    world_run(10);
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    CHECK(!p->connected);
    (void)world_store("sites: {a.test: {tls: off, respond: hi}}\n");
    (void)world_client(world.client, "a.test");
    world_run(10);
    CHECK_EQ_INT(world_side()->error, E_TLS_NO_CERTIFICATE);
    tls_core_set_store(world.core, NULL);
    CHECK(tls_core_store(world.core) == NULL);
    world_end();
}

// Of ours beside OpenSSL's, on an idle connection: this struct and nothing else.
static void an_idle_connection_is_small(void)
{
    printf("# struct tls is %zu bytes, struct transport %zu\n", sizeof(struct tls),
           sizeof(struct transport));
    CHECK(sizeof(struct tls) + sizeof(struct transport) <= 1024);
    world_begin(1, NULL);
    world_certificate("local:a.test", &cert);
    (void)world_store("listen: [{at: 443, tls: on}]\nsites: {a.test: {respond: hi}}\n");
    struct peer *p = world_client(world.client, "a.test");
    peer_send(p, "x", 1);
    world_run(10);
    CHECK_EQ_INT(p->got_len, 1);
    CHECK_EQ_INT(world.loop.chunks.in_use, 0);
    CHECK_EQ_INT(world.core->slab.in_use, 1);
    CHECK_EQ_INT(world.core->queues.in_use, 0);
    CHECK_EQ_INT(world.core->names.in_use, 0);
    CHECK_EQ_INT(world.core->lingerers.in_use, 0);
    world_end();
}

static void closing_at_any_moment_is_safe(void)
{
    for (uint32_t us = 0; us < 6000; us += 100) {
        world_begin(us, NULL);
        world_certificate("local:a.test", &cert);
        (void)world_store("listen: [{at: 443, tls: on}]\nsites: {a.test: {respond: hi}}\n");
        struct peer *p = world_client(world.client, "a.test");
        peer_send(p, "hello", 5);
        for (uint32_t i = 0; i < us / 100 && world.side_count == 0; i++) {
            world_run_ms(1);
        }
        world_run_ms(us / 1000);
        if (world.side_count > 0 && world_side()->t != NULL) {
            transport_close(world_side()->t, us % 200 == 0);
            world_side()->t = NULL;
        }
        world_run(10);
        world_end();
    }
}

TAP_MAIN(setup, without_a_store_nobody_is_let_in, an_idle_connection_is_small,
         closing_at_any_moment_is_safe)

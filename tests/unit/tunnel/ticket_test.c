// SPDX-License-Identifier: Apache-2.0
//
// Tickets and secrets: good for whom they were made, until they are over, and not when anything of them
// was changed.

#include "tunnel/ticket.h"

#include "tap.h"

static const struct access_secret keys[2] = {{.seal = {1}, .instance = {2}},
                                             {.seal = {3}, .instance = {4}}};
static const uint8_t nonce[SEAL_NONCE_BYTES] = {7};
static const struct ticket ours = {.expires_ms = 1000,
                                   .instance = {5, 6},
                                   .owner_len = 5,
                                   .name_len = 5,
                                   .owner = "alice",
                                   .name = "myapp"};
static char room[HELLO_TICKET_MAX];

static struct slice made(uint32_t key)
{
    struct text t = text_on(room, sizeof(room));
    REQUIRE(ticket_seal(&ours, &keys[key], SLICE("*.t.test"), nonce, &t) == 0);
    REQUIRE(!t.overflow);
    return text_slice(&t);
}

static void opens_with_any_of_its_keys(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct ticket t;
        REQUIRE(ticket_open(made(i), keys, 2, SLICE("*.t.test"), 999, &t));
        CHECK_TEXT(t.owner, t.owner_len, "alice");
        CHECK_TEXT(t.name, t.name_len, "myapp");
        CHECK(memcmp(t.instance, ours.instance, sizeof(t.instance)) == 0);
        CHECK_EQ_INT(t.expires_ms, 1000);
    }
}

static void ends(void)
{
    struct ticket t;
    CHECK(!ticket_open(made(0), keys, 2, SLICE("*.t.test"), 1000, &t));
    CHECK(!ticket_open(made(1), keys, 1, SLICE("*.t.test"), 0, &t)); // its key is gone
    CHECK(!ticket_open(made(0), keys, 0, SLICE("*.t.test"), 0, &t));
    CHECK(!ticket_open(made(0), keys, 2, SLICE("*.u.test"), 0, &t)); // another zone
}

static void nothing_may_be_changed(void)
{
    struct slice text = made(0);
    struct ticket t;
    for (size_t i = 0; i < text.len; i++) {
        char was = room[i];
        room[i] = was == 'A' ? 'B' : 'A';
        CHECK(!ticket_open(text, keys, 2, SLICE("*.t.test"), 0, &t));
        room[i] = was;
    }
    for (size_t n = 0; n < text.len; n++) {
        CHECK(!ticket_open(slice_sub(text, 0, n), keys, 2, SLICE("*.t.test"), 0, &t));
    }
    CHECK(!ticket_open(SLICE("not a ticket"), keys, 2, SLICE("*.t.test"), 0, &t));
}

static void the_longest_fits(void)
{
    struct ticket longest = {.expires_ms = UINT64_MAX,
                             .owner_len = TUNNEL_OWNER_MAX - 1,
                             .name_len = TUNNEL_NAME_MAX - 1};
    struct ticket t;
    memset(longest.owner, 'o', longest.owner_len);
    memset(longest.name, 'n', longest.name_len);
    struct text out = text_on(room, sizeof(room));
    REQUIRE(ticket_seal(&longest, &keys[0], SLICE(""), nonce, &out) == 0);
    REQUIRE(!out.overflow);
    CHECK(ticket_open(text_slice(&out), keys, 1, SLICE(""), 1, &t));
    CHECK_EQ_INT(t.name_len, TUNNEL_NAME_MAX - 1);
}

static bool is(const uint8_t *secret, const char *site, const char *owner, const uint8_t *instance)
{
    return ticket_secret_is(secret, keys, 2, slice_str(site), slice_str(owner), instance);
}

static void secrets_are_of_one_owner_and_instance(void)
{
    static const uint8_t mine[TUNNEL_INSTANCE_BYTES] = {1};
    static const uint8_t yours[TUNNEL_INSTANCE_BYTES] = {2};
    uint8_t secret[HELLO_SECRET_BYTES];
    for (uint32_t i = 0; i < 2; i++) {
        REQUIRE(ticket_secret(&keys[i], SLICE("z"), SLICE("alice"), mine, secret) == 0);
        CHECK(is(secret, "z", "alice", mine));
        CHECK(!is(secret, "z", "alice", yours));
        CHECK(!is(secret, "z", "bob", mine));
        CHECK(!is(secret, "y", "alice", mine));
        CHECK(!is(secret, "za", "lice", mine));
        CHECK(!ticket_secret_is(secret, keys, 0, SLICE("z"), SLICE("alice"), mine));
        secret[31] ^= 1;
        CHECK(!is(secret, "z", "alice", mine));
    }
}

TAP_MAIN(opens_with_any_of_its_keys, ends, nothing_may_be_changed, the_longest_fits,
         secrets_are_of_one_owner_and_instance)

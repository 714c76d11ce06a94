// SPDX-License-Identifier: Apache-2.0
//
// The state: what was said is there after it was opened again; what is there twice or not is said.

#include "state/state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

static char folder[] = "/tmp/adit-state-XXXXXX";
static int dir = -1;
static struct state *state;

static void open_it(void)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    if (state_open(dir, &state, &why) != 0) {
        printf("# %.*s\n", (int)why.len, buffer);
        REQUIRE(false);
    }
}

static void open_again(void)
{
    state_close(state);
    open_it();
}

static void setup(void)
{
    REQUIRE(mkdtemp(folder) != NULL);
    dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    REQUIRE(dir >= 0);
    CHECK(!state_exists(dir));
    open_it();
    CHECK(state_exists(dir));
    struct stat st;
    CHECK(fstatat(dir, STATE_FILE, &st, 0) == 0 && (st.st_mode & 0777) == 0600);
}

static char told[256];

static void tell_grant(void *arg, const struct state_grant *g)
{
    struct text *t = arg;
    text_printf(t, "%.*s/%u/%02x/%.*s/%.*s/%.*s/%u/%u/%llu;", SLICE_ARG(g->id), g->kind,
                g->proof[31], SLICE_ARG(g->owner), SLICE_ARG(g->names), SLICE_ARG(g->note),
                g->tunnels, g->rate, (unsigned long long)g->used_ms);
}

static const char *grants(void)
{
    struct text t = text_on(told, sizeof told - 1);
    CHECK_EQ_INT(state_grants_each(state, tell_grant, &t), 0);
    told[t.len] = '\0';
    return told;
}

static void grants_stay(void)
{
    struct state_grant g = {.id = SLICE("k1"),
                            .kind = 1,
                            .proof = {[31] = 7},
                            .owner = SLICE("alice"),
                            .names = SLICE("a *-b"),
                            .ports = SLICE("1-2"),
                            .tunnels = 3,
                            .rate = 4,
                            .created_ms = 5,
                            .note = SLICE("it's; \"hers\"")};
    CHECK_EQ_INT(state_grant_add(state, &g), 0);
    CHECK_EQ_INT(state_grant_add(state, &g), E_EXISTS);
    g.id = SLICE("k2");
    CHECK_EQ_INT(state_grant_add(state, &g), E_EXISTS); // the same proof
    g.kind = 0;
    g.created_ms = 4;
    CHECK_EQ_INT(state_grant_add(state, &g), 0);
    CHECK_EQ_INT(state_grant_used(state, SLICE("k2"), 99), 0);
    CHECK_EQ_INT(state_grant_used(state, SLICE("k9"), 99), 0);
    open_again();
    CHECK_STR(grants(), "k2/0/07/alice/a *-b/it's; \"hers\"/3/4/99;"
                        "k1/1/07/alice/a *-b/it's; \"hers\"/3/4/0;");
    CHECK_EQ_INT(state_grant_remove(state, SLICE("k2")), 0);
    CHECK_EQ_INT(state_grant_remove(state, SLICE("k2")), E_NOT_FOUND);
    CHECK_EQ_INT(state_grant_remove(state, SLICE("k1")), 0);
    CHECK_STR(grants(), "");
}

static void all_of_a_change_or_nothing(void)
{
    struct state_grant g = {.id = SLICE("k1"), .owner = SLICE("a")};
    REQUIRE(state_begin(state) == 0);
    CHECK_EQ_INT(state_grant_add(state, &g), 0);
    CHECK_EQ_INT(state_end(state, E_IO), E_IO);
    CHECK_STR(grants(), "");
    REQUIRE(state_begin(state) == 0);
    CHECK_EQ_INT(state_grant_add(state, &g), 0);
    CHECK_EQ_INT(state_end(state, 0), 0);
    CHECK_EQ_INT(state_grant_remove(state, SLICE("k1")), 0);
}

static void tell_name(void *arg, const struct state_name *n)
{
    text_printf(arg, "%.*s=%.*s;", SLICE_ARG(n->name), SLICE_ARG(n->owner));
}

static void tell_domain(void *arg, const struct state_domain *d)
{
    text_printf(arg, "%.*s=%.*s,%.*s,%llu,%u,%.*s;", SLICE_ARG(d->name), SLICE_ARG(d->owner),
                SLICE_ARG(d->value), (unsigned long long)d->proved_ms, d->failures,
                SLICE_ARG(d->why));
}

static void names_and_domains_stay(void)
{
    struct text t = text_on(told, sizeof told);
    struct state_name b = {SLICE("b"), SLICE("bob"), 1};
    struct state_name a = {SLICE("a"), SLICE("alice"), 2};
    CHECK_EQ_INT(state_name_add(state, &b), 0);
    CHECK_EQ_INT(state_name_add(state, &a), 0);
    CHECK_EQ_INT(state_name_add(state, &a), E_EXISTS);
    struct state_domain d = {.name = SLICE("x.y"), .owner = SLICE("bob"), .value = SLICE("v")};
    CHECK_EQ_INT(state_domain_put(state, &d), 0);
    d.proved_ms = 7;
    d.failures = 2;
    d.why = SLICE("SERVFAIL");
    CHECK_EQ_INT(state_domain_put(state, &d), 0);
    open_again();
    CHECK_EQ_INT(state_names_each(state, tell_name, &t), 0);
    CHECK_EQ_INT(state_domains_each(state, tell_domain, &t), 0);
    CHECK_TEXT(told, t.len, "a=alice;b=bob;x.y=bob,v,7,2,SERVFAIL;");
    CHECK_EQ_INT(state_name_remove(state, SLICE("c")), E_NOT_FOUND);
    CHECK_EQ_INT(state_name_remove(state, SLICE("a")), 0);
    CHECK_EQ_INT(state_domain_remove(state, SLICE("x.y")), 0);
    CHECK_EQ_INT(state_domain_remove(state, SLICE("x.y")), E_NOT_FOUND);
}

static void tell_tunnel(void *arg, const struct state_tunnel *n)
{
    text_printf(arg, "%u:%.*s/%.*s/%.*s/%u/%u/%u/%llu;", n->row, SLICE_ARG(n->zone),
                SLICE_ARG(n->name), SLICE_ARG(n->owner), n->kind, n->bits, n->port,
                (unsigned long long)n->since_ms);
}

static void tunnels_stay(void)
{
    struct text t = text_on(told, sizeof told);
    struct state_tunnel n = {.row = 7,
                             .zone = SLICE("*.t"),
                             .name = SLICE("a"),
                             .owner = SLICE("bob"),
                             .kind = 1,
                             .bits = 2,
                             .port = 3,
                             .since_ms = 4};
    CHECK_EQ_INT(state_tunnel_put(state, &n), 0);
    n.name = SLICE("b");
    CHECK_EQ_INT(state_tunnel_put(state, &n), 0); // another one in its row
    n.row = 0;
    CHECK_EQ_INT(state_tunnel_put(state, &n), 0);
    n.row = 9;
    CHECK_EQ_INT(state_tunnel_put(state, &n), 0);
    CHECK_EQ_INT(state_tunnel_remove(state, 9), 0);
    CHECK_EQ_INT(state_tunnel_remove(state, 9), 0);
    open_again();
    CHECK_EQ_INT(state_tunnels_each(state, tell_tunnel, &t), 0);
    CHECK_TEXT(told, t.len, "0:*.t/b/bob/1/2/3/4;7:*.t/b/bob/1/2/3/4;");
    CHECK_EQ_INT(state_tunnels_clear(state), 0);
    t = text_on(told, sizeof told);
    CHECK_EQ_INT(state_tunnels_each(state, tell_tunnel, &t), 0);
    CHECK_EQ_INT(t.len, 0);
}

static void tell_secret(void *arg, const struct state_secret *s)
{
    text_printf(arg, "%llu:%02x;", (unsigned long long)s->made_ms, s->bytes[63]);
}

static void of_secrets_the_newest_stay(void)
{
    struct text t = text_on(told, sizeof told);
    for (uint64_t i = 1; i <= 3; i++) {
        struct state_secret one = {.made_ms = i, .bytes = {[63] = (uint8_t)i}};
        CHECK_EQ_INT(state_secret_add(state, &one, 2), 0);
    }
    CHECK_EQ_INT(state_secrets_each(state, tell_secret, &t), 0);
    CHECK_TEXT(told, t.len, "3:03;2:02;");
}

static void without_a_directory_it_lies_in_memory(void)
{
    struct state *memory = NULL;
    struct text why = text_on(told, sizeof told);
    struct state_name n = {SLICE("m"), SLICE("a"), 1};
    REQUIRE(state_open(-1, &memory, &why) == 0);
    CHECK_EQ_INT(state_name_add(memory, &n), 0);
    CHECK_EQ_INT(state_name_add(memory, &n), E_EXISTS);
    CHECK(state_trouble(memory)[0] != '\0');
    state_close(memory);
    CHECK(!state_exists(-1));
}

static void teardown(void)
{
    state_close(state);
    state_close(NULL);
    (void)unlinkat(dir, STATE_FILE, 0);
    (void)close(dir);
    CHECK(rmdir(folder) == 0); // nothing else was left in it
}

TAP_MAIN(setup, grants_stay, all_of_a_change_or_nothing, names_and_domains_stay, tunnels_stay,
         of_secrets_the_newest_stay, without_a_directory_it_lies_in_memory, teardown)

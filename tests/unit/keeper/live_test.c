// SPDX-License-Identifier: Apache-2.0
//
// What is kept of a worker's rows: what changes for the name, at the next look; not what changes for
// its visitors. What was kept goes to the supervisor as rows.

#include "keeper/live.h"

#include <unistd.h>

#include "base/text.h"
#include "obs/tunnel_rows.h"
#include "os/shared.h"
#include "state/state.h"
#include "tap.h"

#include "made.h"
#include "supervisor.h"

static struct keeper keeper;
static struct keeper *const k = &keeper;
static struct tunnel_rows *rows;
static char path[] = "/tmp/adit-live-XXXXXX";
static char told[512];

static int make_rows(void)
{
    void *at = NULL;
    int fd = os_shared_make("rows", tunnel_rows_bytes());
    REQUIRE(fd >= 0 && os_shared_map(fd, tunnel_rows_bytes(), true, &at) == 0);
    rows = tunnel_rows_begin(at);
    return fd;
}

static void open_state(void)
{
    struct text why = text_on(told, sizeof told);
    REQUIRE(state_open(k->state, &k->grants.state, &why) == 0);
}

static void setup(void)
{
    *k = (struct keeper){.magic = KEEPER_MAGIC, .control = -1};
    k->state = made_dir(path);
    live_init(&k->live);
    open_state();
}

static void tell(void *arg, const struct state_tunnel *t)
{
    text_printf(arg, "%.*s=%.*s,%u;", SLICE_ARG(t->name), SLICE_ARG(t->owner), t->port);
}

/** What is kept after a look. */
static const char *kept(void)
{
    struct text t = text_on(told, sizeof told - 1);
    k->live.look_at_ms = 0;
    live_tick(k);
    CHECK_EQ_INT(state_tunnels_each(k->grants.state, tell, &t), 0);
    told[t.len] = '\0';
    return told;
}

static void row_set(uint32_t at, const char *name, const char *owner, enum tunnel_row_state state)
{
    struct tunnel_row row = {.zone = "*.t", .counts.state = state, .port = 80};
    struct text t = text_on(row.name, sizeof row.name - 1);
    text_str(&t, name);
    t = text_on(row.owner, sizeof row.owner - 1);
    text_str(&t, owner);
    tunnel_rows_set(rows, at, &row);
}

static void nothing_is_kept_of_no_worker(void)
{
    CHECK_EQ_INT(live_wait_ms(k), -1);
    CHECK_STR(kept(), "");
}

static void what_lives_is_kept(void)
{
    int fd = make_rows();
    uint32_t a = tunnel_rows_take(rows);
    uint32_t b = tunnel_rows_take(rows);
    row_set(a, "a", "alice", TUNNEL_ROW_LIVE);
    row_set(b, "b", "bob", TUNNEL_ROW_LIVE);
    live_take_rows(k, fd);
    (void)close(fd);
    CHECK_STR(kept(), "a=alice,80;b=bob,80;");
    CHECK(live_wait_ms(k) > 0 && live_wait_ms(k) <= 1000);
    row_set(a, "a", "alice", TUNNEL_ROW_PARKED);
    tunnel_rows_give(rows, b);
    CHECK_STR(kept(), "a=alice,80;");
    row_set(tunnel_rows_take(rows), "c", "*anybody", TUNNEL_ROW_LIVE);
    row_set(a, "a", "carol", TUNNEL_ROW_LIVE);
    CHECK_STR(kept(), "a=carol,80;c=*anybody,80;");
}

static void a_look_at_nothing_new_writes_nothing(void)
{
    row_set(0, "a", "carol", TUNNEL_ROW_PARKED); // nothing of it is kept
    CHECK_EQ_INT(state_tunnels_clear(k->grants.state), 0);
    CHECK_STR(kept(), "");
}

static void another_workers_rows_replace_all(void)
{
    int fd = make_rows();
    row_set(tunnel_rows_take(rows), "d", "dora", TUNNEL_ROW_PARKED);
    live_take_rows(k, fd);
    (void)close(fd);
    CHECK_STR(kept(), "d=dora,80;");
}

static void what_is_none_of_our_tables_is_left_alone(void)
{
    int fd = os_shared_make("other", tunnel_rows_bytes());
    REQUIRE(fd >= 0);
    live_take_rows(k, fd);
    (void)close(fd);
    CHECK(k->live.rows == NULL);
    CHECK_STR(kept(), "d=dora,80;"); // it is not lost for that
}

static struct ipc_message message;
static struct ipc_fds fds;

static void what_was_kept_is_sent_once(void)
{
    struct fake_supervisor s = {0};
    void *at = NULL;
    fake_open(&s);
    live_send_kept(k);
    live_send_kept(k);
    REQUIRE(ipc_recv(s.channel, IPC_KEEPER, &message, &fds, 0) == 0);
    CHECK_EQ_INT(message.type, IPC_tunnels_kept);
    REQUIRE(os_shared_map(fds.fd[0], tunnel_rows_bytes(), false, &at) == 0);
    const struct tunnel_rows *sent = tunnel_rows_open(at, tunnel_rows_bytes());
    struct tunnel_row row;
    REQUIRE(sent != NULL && tunnel_rows_read(sent, 0, &row));
    CHECK_STR(row.zone, "*.t");
    CHECK_STR(row.name, "d");
    CHECK_STR(row.owner, "dora");
    CHECK_EQ_INT(row.counts.state, TUNNEL_ROW_PARKED);
    CHECK(!tunnel_rows_read(sent, 1, &row));
    ipc_drop(&fds);
    CHECK(ipc_recv(s.channel, IPC_KEEPER, &message, &fds, 0) != 0);
    (void)close(IPC_CHANNEL);
    (void)close(s.channel);
}

static void teardown(void)
{
    live_fini(&k->live);
    state_close(k->grants.state);
    made_remove(path, k->state);
}

TAP_MAIN(setup, nothing_is_kept_of_no_worker, what_lives_is_kept,
         a_look_at_nothing_new_writes_nothing, another_workers_rows_replace_all,
         what_is_none_of_our_tables_is_left_alone, what_was_kept_is_sent_once, teardown)

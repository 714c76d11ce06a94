// SPDX-License-Identifier: Apache-2.0
//
// Plans of listeners: tried, committed, undone.

#include "super/listeners.h"

#include "base/error.h"
#include "base/text.h"

#include "tap.h"

static struct ipc_listener wanted(const char *text)
{
    struct ipc_listener l = {.backlog = 16};
    REQUIRE(os_addr_parse_listen(slice_str(text), &l.addr) == 0);
    return l;
}

static int try_plan(struct listeners *ls, const struct ipc_listener *plan, uint32_t count)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    return listeners_try(ls, plan, count, &why);
}

static unsigned count_open(const struct listeners *ls)
{
    unsigned count = 0;
    for (size_t i = 0; i < IPC_LISTENERS_MAX; i++) {
        count += ls->at[i].used;
    }
    return count;
}

static void what_is_wanted_again_stays(void)
{
    static struct listeners ls;
    struct ipc_listener first[] = {wanted("127.0.0.1:0"), wanted("127.0.0.1:0")};
    CHECK_EQ_INT(try_plan(&ls, first, 2), 0);
    CHECK(ls.at[0].fresh);
    listeners_commit(&ls);
    int fd = ls.at[0].fd;
    unsigned port = ls.at[0].bound.port;
    CHECK(port != 0);
    CHECK(port != ls.at[1].bound.port);
    CHECK_EQ_INT(try_plan(&ls, first, 1), 0);
    listeners_commit(&ls);
    CHECK_EQ_INT(count_open(&ls), 1);
    CHECK_EQ_INT(ls.at[0].fd, fd);
    // By the port that the kernel gave it, it is the same one.
    struct ipc_listener by_port = first[0];
    by_port.addr.port = (uint16_t)port;
    CHECK_EQ_INT(try_plan(&ls, &by_port, 1), 0);
    CHECK(!ls.at[0].fresh);
    listeners_commit(&ls);
    CHECK_EQ_INT(ls.at[0].fd, fd);
    listeners_close(&ls);
    CHECK_EQ_INT(count_open(&ls), 0);
}

static void an_undone_plan_leaves_nothing(void)
{
    static struct listeners ls;
    struct ipc_listener first = wanted("127.0.0.1:0");
    CHECK_EQ_INT(try_plan(&ls, &first, 1), 0);
    listeners_commit(&ls);
    struct ipc_listener other = wanted("127.0.0.2:0");
    CHECK_EQ_INT(try_plan(&ls, &other, 1), 0);
    CHECK_EQ_INT(count_open(&ls), 2);
    listeners_undo(&ls);
    CHECK_EQ_INT(count_open(&ls), 1);
    CHECK(os_addr_eq(&ls.at[0].asked, &first.addr));
    listeners_close(&ls);
}

static void a_failure_changes_nothing_and_says_why(void)
{
    static struct listeners ls;
    static struct listeners other;
    struct ipc_listener first = wanted("127.0.0.1:0");
    CHECK_EQ_INT(try_plan(&other, &first, 1), 0);
    struct ipc_listener plan[] = {wanted("127.0.0.1:0"), wanted("127.0.0.1:1")};
    plan[1].addr.port = other.at[0].bound.port;
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    CHECK_EQ_INT(listeners_try(&ls, plan, 2, &why), E_IN_USE);
    CHECK_EQ_INT(count_open(&ls), 0);
    CHECK(slice_starts(text_slice(&why), SLICE("cannot listen on 127.0.0.1:")));
    CHECK(slice_find(text_slice(&why), SLICE("in use by another program")) > 0);
    listeners_close(&other);

    plan[0] = wanted("192.0.2.1:80");
    why.len = 0;
    CHECK(listeners_try(&ls, plan, 1, &why) < 0);
    CHECK(slice_find(text_slice(&why), SLICE("no interface of this machine")) > 0 ||
          slice_find(text_slice(&why), SLICE("need a privilege")) > 0);
}

static void more_than_there_is_room_for(void)
{
    static struct listeners ls;
    static struct ipc_listener plan[IPC_LISTENERS_MAX + 1];
    for (size_t i = 0; i <= IPC_LISTENERS_MAX; i++) {
        plan[i] = wanted("127.0.0.1:0");
    }
    CHECK_EQ_INT(try_plan(&ls, plan, IPC_LISTENERS_MAX + 1), E_TOO_LARGE);
    CHECK_EQ_INT(count_open(&ls), 0);
}

static void a_port_changes_to_tls_and_back(void)
{
    static struct listeners ls;
    struct ipc_listener first = wanted("127.0.0.1:0");
    CHECK_EQ_INT(try_plan(&ls, &first, 1), 0);
    listeners_commit(&ls);
    struct ipc_listener second = first;
    second.addr.port = ls.at[0].bound.port;
    second.speech.secure = 1;
    CHECK_EQ_INT(try_plan(&ls, &second, 1), 0);
    CHECK_EQ_INT(count_open(&ls), 2);
    CHECK(!ls.at[0].wanted && ls.at[1].fresh && ls.at[1].speech.secure);
    CHECK_EQ_INT(ls.at[1].bound.port, ls.at[0].bound.port);
    listeners_undo(&ls);
    CHECK_EQ_INT(count_open(&ls), 1);
    CHECK_EQ_INT(try_plan(&ls, &second, 1), 0);
    listeners_commit(&ls);
    CHECK_EQ_INT(count_open(&ls), 1);
    CHECK(ls.at[1].speech.secure);
    struct ipc_listener both[] = {second, first}; // another one on any port in clear
    CHECK_EQ_INT(try_plan(&ls, both, 2), 0);
    listeners_commit(&ls);
    CHECK_EQ_INT(count_open(&ls), 2);
    CHECK(ls.at[0].bound.port != ls.at[1].bound.port);
    listeners_close(&ls);
}

static void a_port_changes_to_proxy_headers_and_to_others(void)
{
    static struct listeners ls;
    struct ipc_listener first = wanted("127.0.0.1:0");
    CHECK_EQ_INT(try_plan(&ls, &first, 1), 0);
    listeners_commit(&ls);
    struct ipc_listener second = first;
    second.addr.port = ls.at[0].bound.port;
    second.speech.proxy_count = 1;
    second.speech.proxies[0] = (struct os_cidr){.kind = OS_ADDR_V4, .bits = 8, .ip = {10}};
    CHECK_EQ_INT(try_plan(&ls, &second, 1), 0);
    CHECK(ls.at[1].fresh);
    CHECK_EQ_INT(ls.at[1].bound.port, ls.at[0].bound.port);
    listeners_commit(&ls);
    CHECK_EQ_INT(try_plan(&ls, &second, 1), 0); // the same again stays
    CHECK_EQ_INT(count_open(&ls), 1);
    listeners_commit(&ls);
    second.speech.proxies[0].bits = 9;
    CHECK_EQ_INT(try_plan(&ls, &second, 1), 0);
    CHECK(ls.at[0].fresh);
    listeners_commit(&ls);
    CHECK_EQ_INT(count_open(&ls), 1);
    listeners_close(&ls);
}

TAP_MAIN(a_port_changes_to_proxy_headers_and_to_others, a_port_changes_to_tls_and_back,
         what_is_wanted_again_stays, an_undone_plan_leaves_nothing,
         a_failure_changes_nothing_and_says_why, more_than_there_is_room_for)

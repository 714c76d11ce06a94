// SPDX-License-Identifier: Apache-2.0
//
// What a configuration asks of the supervisor.

#include <fcntl.h>

#include "base/error.h"
#include "base/text.h"
#include "conf/load.h"
#include "keeper/keeper_int.h"
#include "obs/log.h"

#include "tap.h"

#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;

static int plan_of(const char *yaml)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    REQUIRE(d != NULL);
    REQUIRE(conf_load_text("test.yaml", yaml, conf_tables, d, &doc) == 0);
    fake_start(&supervisor, 0);
    char buffer[256];
    struct text why = text_on(buffer, sizeof buffer);
    keeper_init(&keeper);
    struct needs *needs = needs_new(doc);
    REQUIRE(needs != NULL);
    int error = keeper_plan_send(&keeper, doc, needs, &why);
    fake_stop(&supervisor);
    needs_unref(needs);
    keeper_fini(&keeper);
    conf_doc_free(doc);
    conf_diags_free(d);
    return error;
}

#define SITES "sites: {default: {proxy: 3000}}\n"

static void nothing_said_is_the_default(void)
{
    CHECK_EQ_INT(plan_of(SITES), 0);
    REQUIRE(supervisor.planned);
    const struct ipc_plan *p = &supervisor.plan;
    CHECK_EQ_INT(supervisor.listeners, 1);
    CHECK_EQ_INT(supervisor.at[0].addr.port, 8080);
    CHECK(supervisor.at[0].addr.dual);
    CHECK_EQ_INT(p->workers, 0);
    CHECK_EQ_INT(p->log_level, LOG_INFO);
    CHECK_EQ_INT(p->access, IPC_ACCESS_STDOUT);
    CHECK_EQ_INT(p->control, IPC_CONTROL_DEFAULT);
    CHECK_EQ_INT(p->connections, 65536);
    CHECK_EQ_INT(p->memory_bytes, 1 << 30);
    CHECK_EQ_INT(p->drain_ms, 30000);
    CHECK_STR(p->user, "");
}

static void all_of_it_said(void)
{
    CHECK_EQ_INT(plan_of("listen: [\"127.0.0.1:81\", {at: \"unix:/tmp/x\", backlog: 7}]\n"
                         "workers: 3\nlog: warn\naccess_log: {to: /var/log/a, format: combined}\n"
                         "control: /tmp/c\nconnections: 100\nmemory: 64MiB\ndrain: 5s\n"
                         "user: daemon\n" SITES),
                 0);
    const struct ipc_plan *p = &supervisor.plan;
    CHECK_EQ_INT(p->listeners, 2);
    CHECK_EQ_INT(supervisor.at[0].addr.port, 81);
    CHECK(!supervisor.at[0].addr.dual);
    CHECK_EQ_INT(supervisor.at[1].addr.kind, OS_ADDR_UNIX);
    CHECK_EQ_INT(supervisor.at[1].backlog, 7);
    CHECK_EQ_INT(p->workers, 3);
    CHECK_EQ_INT(p->log_level, LOG_WARN);
    CHECK_EQ_INT(p->access, IPC_ACCESS_FILE);
    CHECK_STR(p->access_path, "/var/log/a");
    CHECK_EQ_INT(p->control, IPC_CONTROL_PATH);
    CHECK_STR(p->control_path, "/tmp/c");
    CHECK_EQ_INT(p->connections, 100);
    CHECK_EQ_INT(p->memory_bytes, 64 << 20);
    CHECK_EQ_INT(p->drain_ms, 5000);
    CHECK_STR(p->user, "daemon");
}

static void off_is_off(void)
{
    CHECK_EQ_INT(plan_of("access_log: off\ncontrol: off\n" SITES), 0);
    CHECK_EQ_INT(supervisor.plan.access, IPC_ACCESS_OFF);
    CHECK_EQ_INT(supervisor.plan.control, IPC_CONTROL_OFF);
    CHECK_EQ_INT(plan_of("access_log: stderr\n" SITES), 0);
    CHECK_EQ_INT(supervisor.plan.access, IPC_ACCESS_STDERR);
}

static void listeners_speak_tls(void)
{
    CHECK_EQ_INT(plan_of("sites: {a.example.com: {proxy: 3000}}\n"), 0);
    CHECK_EQ_INT(supervisor.plan.listeners, 2);
    CHECK_EQ_INT(supervisor.at[0].addr.port, 80);
    CHECK_EQ_INT(supervisor.at[0].speech.secure, 0);
    CHECK_EQ_INT(supervisor.at[1].addr.port, 443);
    CHECK_EQ_INT(supervisor.at[1].speech.secure, 1);
    CHECK_EQ_INT(plan_of("listen: {at: 8443, tls: on}\nsites: {a.example.com: {proxy: 3000}}\n"),
                 0);
    CHECK_EQ_INT(supervisor.at[0].speech.secure, 1);
}

static void listeners_know_who_sends_headers(void)
{
    CHECK_EQ_INT(plan_of("listen: {at: 80, proxy_protocol: [10.0.0.0/8, unix]}\n" SITES), 0);
    const struct ipc_speech *s = &supervisor.at[0].speech;
    CHECK_EQ_INT(s->proxy_count, 2);
    CHECK_EQ_INT(s->proxies[0].bits, 8);
    CHECK_EQ_INT(s->proxies[1].kind, OS_ADDR_UNIX);
    CHECK_EQ_INT(plan_of("listen: {at: 80, proxy_protocol: off}\n" SITES), 0);
    CHECK_EQ_INT(supervisor.at[0].speech.proxy_count, 0);
}

TAP_MAIN(listeners_know_who_sends_headers, listeners_speak_tls, nothing_said_is_the_default,
         all_of_it_said, off_is_off)

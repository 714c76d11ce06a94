// SPDX-License-Identifier: Apache-2.0
//
// The keeper's main loop. It does one thing at a time: a load, or a client of the control socket. It
// waits only for the supervisor, which always answers, and for control clients with a time limit. An
// order to load that comes while it is busy is remembered; several of them are one.

#include "keeper/keeper.h"

#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/error.h"
#include "base/slab.h"
#include "base/text.h"
#include "conf/load.h"
#include "obs/log.h"
#include "obs/panic.h"
#include "os/clock.h"
#include "os/privileges.h"
#include "os/sandbox.h"

#include "keeper/issuer.h"
#include "keeper/keeper_int.h"
#include "keeper/needs.h"

enum { DIAGNOSTICS_BYTES = 64 << 10 };

// ---- talking to the supervisor ------------------------------------------------------------------

int keeper_send(struct keeper *k, const struct ipc_message *m, const int *fds, unsigned count)
{
    int error = ipc_send(IPC_CHANNEL, m, fds, count);
    k->ending = k->ending || error != 0;
    return error;
}

static void take_order(struct keeper *k, const struct ipc_message *m, struct ipc_fds *fds)
{
    switch (m->type) {
    case IPC_load:
        k->load_wanted = true;
        break;
    case IPC_leave:
        k->ending = true; // whoever waits on the control socket is the next one's
        break;
    case IPC_control:
        if (k->control >= 0) {
            (void)close(k->control);
        }
        k->control = fds->fd[0];
        fds->count = 0;
        break;
    case IPC_doc:
        certificates_recover(k, &m->u.doc, fds);
        servers_recover_document(k, fds->fd[0]);
        break;
    case IPC_in_force:
        certificates_in_force(k, &m->u.in_force);
        break;
    case IPC_servers:
        servers_recover(k, m->u.servers.number, fds->fd[0]);
        break;
    case IPC_grants:
        grants_recover(k, m->u.grants.number, fds->fd[0]);
        break;
    case IPC_tunnels:
        if (fds->count > 0) {
            live_take_rows(k, fds->fd[0]);
        }
        break;
    case IPC_want:
        issuer_want(k, m->u.want.name);
        break;
    case IPC_hook:
        issuer_hook_ended(k, &m->u.hook);
        break;
    default:
        break;
    }
}

int keeper_await(struct keeper *k, enum ipc_type type, struct ipc_message *m, struct ipc_fds *fds)
{
    return keeper_await_for(k, type, m, fds, -1);
}

int keeper_await_for(struct keeper *k, enum ipc_type type, struct ipc_message *m,
                     struct ipc_fds *fds, int timeout_ms)
{
    uint64_t end = timeout_ms >= 0 ? os_clock_ms() + (uint64_t)timeout_ms : UINT64_MAX;
    for (;;) {
        uint64_t now = os_clock_ms();
        if (now >= end) {
            return E_AGAIN;
        }
        int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, m, fds,
                             end == UINT64_MAX ? -1 : (int)(end - now));
        if (error == E_AGAIN || error == E_INVALID) {
            continue;
        }
        if (error != 0) {
            k->ending = true;
            return error;
        }
        if (m->type == (uint32_t)type) {
            return 0;
        }
        take_order(k, m, fds);
        ipc_drop(fds);
    }
}

int keeper_ask_status(struct keeper *k, struct ipc_message *m, struct ipc_fds *fds)
{
    ipc_init(m, IPC_status_request);
    int error = keeper_send(k, m, NULL, 0);
    return error == 0 ? keeper_await(k, IPC_status, m, fds) : error;
}

// ---- loading ------------------------------------------------------------------------------------

static void describe(const struct conf_diags *d, bool colour, struct text *out)
{
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        conf_diag_text(d, one, colour, out);
    }
}

static int tell_failed(struct keeper *k)
{
    struct ipc_message m;
    ipc_init(&m, IPC_load_failed);
    return keeper_send(k, &m, NULL, 0);
}

static int begin_load(struct keeper *k)
{
    struct ipc_message m;
    ipc_init(&m, IPC_load);
    k->load_wanted = false;
    return keeper_send(k, &m, NULL, 0);
}

// What the document needs of certificates, its files read and checked.
static int read_needs(struct keeper *k, const struct conf_doc *doc, struct conf_diags *d,
                      struct needs **out)
{
    *out = needs_new(doc);
    if (*out == NULL) {
        return E_NO_MEMORY;
    }
    int error = needs_read(*out, &k->source, os_clock_wall_ms() / 1000, d);
    conf_diags_sort(d);
    return error;
}

// Reads, checks and hands the plan over. E_CONFIG: `out` says what is wrong.
static int load_and_plan(struct keeper *k, struct text *out)
{
    int error = begin_load(k);
    struct conf_diags *d = conf_diags_new();
    if (d == NULL || error != 0) {
        conf_diags_free(d);
        return error != 0 ? error : E_NO_MEMORY;
    }
    struct conf_load in = {.path = k->path, .source = &k->source, .tables = k->tables};
    struct conf_doc *doc = NULL;
    struct needs *needs = NULL;
    error = conf_load(&in, d, &doc);
    if (error == 0) {
        error = read_needs(k, doc, d, &needs);
    }
    if (error == 0) {
        error = servers_stage(k, doc, d);
    }
    if (error == 0) {
        grants_stage(k, doc);
        live_send_kept(k);
    }
    describe(d, isatty(STDERR_FILENO) != 0, out);
    conf_diags_free(d);
    if (error == 0) {
        error = keeper_plan_send(k, doc, needs, out);
    } else if (out->len == 0) {
        text_str(out, error_text(error));
    }
    conf_doc_free(doc);
    if (error == 0) {
        k->loading = needs;
    } else {
        needs_unref(needs);
        int ignored = tell_failed(k); // when it is gone, the loop ends
        (void)ignored;
    }
    return error;
}

int keeper_load(struct keeper *k, uint32_t *generation, struct text *out)
{
    int error = load_and_plan(k, out);
    if (error != 0) {
        return error;
    }
    struct ipc_message m;
    struct ipc_fds fds;
    error = keeper_await(k, IPC_result, &m, &fds);
    struct needs *needs = k->loading;
    k->loading = NULL;
    if (error == 0 && m.u.result.error == 0) {
        certificates_commit(k, needs);
        servers_commit(k);
    } else {
        certificates_unstage(k);
        needs_unref(needs);
    }
    if (error != 0) {
        return error;
    }
    *generation = m.u.result.generation;
    if (m.u.result.error != 0) {
        text_str(out, m.u.result.text);
        text_char(out, '\n');
    }
    return m.u.result.error;
}

static void load_by_order(struct keeper *k)
{
    char *buffer = mem_alloc(DIAGNOSTICS_BYTES);
    if (buffer == NULL) {
        return;
    }
    struct text out = text_on(buffer, DIAGNOSTICS_BYTES);
    uint32_t generation = 0;
    int error = keeper_load(k, &generation, &out);
    // What the supervisor objected to it has said itself; what the check found is ours to say.
    if (error == 0 || error == E_CONFIG) {
        (void)fwrite(out.ptr, 1, out.len, stderr);
    }
    mem_free(buffer);
}

// ---- life ---------------------------------------------------------------------------------------

static void ignore_signals(void)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < array_len(ignored); i++) {
        ensure(signal(ignored[i], SIG_IGN) != SIG_ERR);
    }
}

static int close_sandbox(const struct ipc_start_keeper *start, int state)
{
    struct os_identity who = {
        .change = start->identity.change != 0,
        .uid = start->identity.uid,
        .gid = start->identity.gid,
    };
    int error = os_privileges_drop(&who);
    if (error == 0) {
        error = os_die_with_parent(start->parent);
    }
    os_limit_dumps();
    struct sandbox_report report;
    return error == 0 ? os_sandbox_enter(SANDBOX_KEEPER, state, &report) : error;
}

static int take_start(struct keeper *k, bool *load)
{
    struct ipc_message m;
    struct ipc_fds fds;
    int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, &m, &fds, -1);
    if (error != 0) {
        return error;
    }
    const struct ipc_start_keeper *start = &m.u.start_keeper;
    uint32_t has_control = m.type == IPC_start_keeper && start->has_control != 0;
    uint32_t has_state = m.type == IPC_start_keeper && start->has_state != 0;
    if (m.type != IPC_start_keeper || fds.count != has_control + has_state) {
        ipc_drop(&fds);
        return E_INVALID;
    }
    k->control = has_control != 0 ? fds.fd[0] : -1;
    k->state = has_state != 0 ? fds.fd[has_control] : -1;
    memcpy(k->path, start->path, sizeof k->path);
    memcpy(k->state_path, start->state, sizeof k->state_path);
    *load = m.u.start_keeper.load != 0;
    k->owner = getuid();
    json_object_seed(0); // reads the system's entropy, so before the sandbox
    grants_prepare(&k->grants);
    return close_sandbox(start, k->state);
}

// Of two times to wait, of which -1 is for ever.
static int sooner(int a, int b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static int wait_ms(struct keeper *k)
{
    int certificates = certificates_wait_ms(k);
    int servers = servers_wait_ms(k);
    int grants = grants_wait_ms(k);
    return sooner(sooner(certificates, servers), sooner(grants, live_wait_ms(k)));
}

static void serve(struct keeper *k)
{
    while (!k->ending) {
        if (k->load_wanted) {
            load_by_order(k);
            continue;
        }
        struct pollfd p[3] = {
            {.fd = IPC_CHANNEL, .events = POLLIN},
            {.fd = k->control, .events = POLLIN},
            {.fd = k->certificates.vault.wake, .events = POLLIN},
        };
        int n = poll(p, array_len(p), wait_ms(k));
        servers_tick(k);
        grants_tick(k);
        live_tick(k);
        if (n == 0 || p[2].revents != 0) {
            certificates_tick(k);
        }
        if (n <= 0) {
            continue;
        }
        if (p[0].revents != 0) {
            struct ipc_message m;
            struct ipc_fds fds;
            int error = ipc_recv(IPC_CHANNEL, IPC_SUPERVISOR, &m, &fds, 0);
            if (error == 0) {
                take_order(k, &m, &fds);
                ipc_drop(&fds);
            }
            k->ending = k->ending || error == E_EOF;
        } else if (p[1].revents != 0) {
            keeper_control(k);
        }
    }
}

void keeper_init(struct keeper *k)
{
    *k = (struct keeper){.magic = KEEPER_MAGIC, .control = -1, .state = -1};
    keeper_source_init(&k->source);
    certificates_init(&k->certificates);
    servers_init(&k->servers);
    grants_init(&k->grants);
    live_init(&k->live);
}

void keeper_fini(struct keeper *k)
{
    needs_unref(k->certificates.needs);
    vault_fini(&k->certificates.vault);
    servers_fini(&k->servers);
    grants_fini(&k->grants);
    live_fini(&k->live);
    k->certificates.needs = NULL;
    k->magic = 0;
}

int keeper_main(conf_tables_t tables)
{
    static struct keeper keeper;
    struct keeper *k = &keeper;
    keeper_init(k);
    k->tables = tables;
    (void)prctl(PR_SET_NAME, "adit-keeper", 0, 0, 0);
    ignore_signals();
    panic_install("keeper");
    bool load = false;
    int error = take_start(k, &load);
    if (error != 0) {
        log_line(LOG_ERROR, "keeper: cannot start: %s", error_text(error));
        return 1;
    }
    if (load) {
        load_by_order(k);
    }
    serve(k);
    if (!issuer_stop(k) || !grants_stop(k)) {
        _exit(0); // a thread waits for somebody else; nothing of it is worth waiting for
    }
    keeper_fini(k);
    return 0;
}

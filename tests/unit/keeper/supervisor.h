// SPDX-License-Identifier: Apache-2.0
//
// A supervisor for the keeper's tests: the other end of the channel, at the descriptor where the
// keeper looks for it, and a thread that answers as the real one does.

#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <unistd.h>

#include "ipc/messages.h"
#include "keeper/keeper_int.h"
#include "os/fdpass.h"
#include "super/files.h"

struct fake_supervisor {
    int channel; // ours; the keeper's is IPC_CHANNEL
    pthread_t thread;
    uint32_t files;     // requests answered
    uint32_t listeners; // announced for the plan
    bool planned;
    bool failed;
    struct ipc_plan plan;
    struct ipc_listener at[IPC_LISTENERS_MAX];
    int32_t plan_error; // the answer to a plan
};

static inline void fake_open(struct fake_supervisor *s)
{
    int ends[2];
    REQUIRE(fdpass_pair(ends) == 0);
    s->channel = fcntl(ends[0], F_DUPFD_CLOEXEC, 10);
    REQUIRE(dup2(ends[1], IPC_CHANNEL) == IPC_CHANNEL);
    for (int i = 0; i < 2; i++) {
        if (ends[i] != IPC_CHANNEL) {
            (void)close(ends[i]);
        }
    }
}

static inline void fake_answer_file(struct fake_supervisor *s,
                                    const struct ipc_file_request *request)
{
    char buffer[512];
    struct text why = text_on(buffer, sizeof buffer);
    struct ipc_message m;
    ipc_init(&m, IPC_file);
    int fd = files_open(request, &why);
    m.u.file.error = fd < 0 ? fd : 0;
    CHECK(ipc_send(s->channel, &m, &fd, fd >= 0 ? 1 : 0) == 0);
    if (fd >= 0) {
        (void)close(fd);
    }
    s->files++;
}

static inline void fake_answer_status(struct fake_supervisor *s)
{
    struct ipc_message m;
    ipc_init(&m, IPC_status);
    m.u.status.supervisor = 11;
    m.u.status.worker = 13;
    m.u.status.generation = 4;
    m.u.status.listeners = 1;
    CHECK(ipc_send(s->channel, &m, NULL, 0) == 0);
    ipc_init(&m, IPC_listener);
    m.u.listener.backlog = 16;
    CHECK(os_addr_parse(SLICE("127.0.0.1:8080"), &m.u.listener.addr) == 0);
    CHECK(ipc_send(s->channel, &m, NULL, 0) == 0);
}

static inline void *fake_main(void *arg)
{
    struct fake_supervisor *s = arg;
    struct ipc_message m;
    struct ipc_fds fds;
    while (ipc_recv(s->channel, IPC_KEEPER, &m, &fds, -1) == 0) {
        if (m.type == IPC_file_request) {
            fake_answer_file(s, &m.u.file_request);
        } else if (m.type == IPC_listener) {
            s->at[s->listeners++] = m.u.listener;
        } else if (m.type == IPC_load_failed) {
            s->failed = true;
        } else if (m.type == IPC_status_request) {
            fake_answer_status(s);
        } else if (m.type == IPC_plan) {
            s->plan = m.u.plan;
            s->planned = true;
            ipc_init(&m, IPC_result);
            m.u.result.error = s->plan_error;
            m.u.result.generation = 5;
            ipc_set_text(m.u.result.text, IPC_TEXT_MAX, SLICE("as you say"));
            int ignored = ipc_send(s->channel, &m, NULL, 0); // the keeper may have ended by now
            (void)ignored;
        }
        ipc_drop(&fds);
    }
    return NULL;
}

/** Begins to serve; plans are answered with `plan_error`. */
static inline void fake_start(struct fake_supervisor *s, int32_t plan_error)
{
    *s = (struct fake_supervisor){.plan_error = plan_error};
    fake_open(s);
    REQUIRE(pthread_create(&s->thread, NULL, fake_main, s) == 0);
}

/** The keeper's end is closed, so the thread ends. */
static inline void fake_stop(struct fake_supervisor *s)
{
    (void)close(IPC_CHANNEL);
    (void)pthread_join(s->thread, NULL);
    (void)close(s->channel);
}

// SPDX-License-Identifier: Apache-2.0
//
// The demo's origin: blocking calls, a thread for each connection and a limit on their number. It
// gives up its privileges and closes the worker's sandbox around itself: it needs no more.

#include "cli/demo.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "os/listen.h"
#include "os/privileges.h"
#include "os/sandbox.h"

enum {
    DEMO_CONNECTIONS_MAX = 128,
    DEMO_HEAD_MAX = 16384,
    DEMO_WAIT_S = 60, // for a request on a kept connection
    DEMO_EVENTS = 60,
};

static atomic_int demo_connections;

static const char demo_page[] =
    "<!doctype html><meta charset=utf-8><title>adit</title>"
    "<style>body{font:16px/1.5 system-ui;max-width:40em;margin:3em auto;padding:0 1em}"
    "code{background:#eee;padding:0 .3em}</style>"
    "<h1>It works.</h1><p>This page came from a small origin behind <b>adit</b>, a reverse proxy."
    "<ul><li><a href=/headers>/headers</a>: your request as the origin saw it"
    "<li><a href=/events>/events</a>: server-sent events, each passed on at once"
    "<li><a href=/hello>/hello</a>: answered by adit itself"
    "<li><a href=/old/hello>/old/hello</a>: redirected by adit</ul>"
    "<p>Events: <code id=e>waiting</code><script>new EventSource('/events').onmessage="
    "m=>document.getElementById('e').textContent=m.data</script>\n";

static bool send_all(int fd, struct slice s)
{
    while (s.len > 0) {
        ssize_t n = send(fd, s.ptr, s.len, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        s = slice_from(s, (size_t)n);
    }
    return true;
}

static bool answer(int fd, const char *status, const char *type, struct slice body, bool head_only)
{
    char buffer[512];
    struct text t = text_on(buffer, sizeof buffer);
    text_printf(&t, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", status, type,
                body.len);
    return send_all(fd, text_slice(&t)) && (head_only || send_all(fd, body));
}

static bool send_events(int fd)
{
    if (!send_all(fd, SLICE("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                            "Cache-Control: no-store\r\nConnection: close\r\n\r\n"))) {
        return false;
    }
    for (int i = 1; i <= DEMO_EVENTS; i++) {
        char buffer[64];
        struct text t = text_on(buffer, sizeof buffer);
        text_printf(&t, "data: event %d\n\n", i);
        if (!send_all(fd, text_slice(&t))) {
            return false;
        }
        (void)nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
    }
    return false; // the end of the connection is the end of the stream
}

// One request whose head is in hand. False: the connection ends.
static bool serve(int fd, struct slice head)
{
    ptrdiff_t space = slice_find_char(head, ' ');
    struct slice method = slice_sub(head, 0, space < 0 ? 0 : (size_t)space);
    struct slice rest = slice_from(head, space < 0 ? 0 : (size_t)space + 1);
    ptrdiff_t end = slice_find_char(rest, ' ');
    struct slice path = slice_sub(rest, 0, end < 0 ? 0 : (size_t)end);
    bool head_only = slice_eq(method, SLICE("HEAD"));
    if (!head_only && !slice_eq(method, SLICE("GET"))) {
        // Bodies are not read here, so the connection cannot go on.
        (void)answer(fd, "405 Method Not Allowed", "text/plain", SLICE("only GET here\n"), false);
        return false;
    }
    if (slice_eq(path, SLICE("/events"))) {
        return !head_only && send_events(fd);
    }
    if (slice_eq(path, SLICE("/headers"))) {
        return answer(fd, "200 OK", "text/plain", head, head_only);
    }
    if (slice_eq(path, SLICE("/"))) {
        return answer(fd, "200 OK", "text/html; charset=utf-8",
                      slice_of(demo_page, sizeof demo_page - 1), head_only);
    }
    return answer(fd, "404 Not Found", "text/plain", SLICE("not here\n"), head_only);
}

static void *connection_main(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char buffer[DEMO_HEAD_MAX];
    size_t have = 0;
    bool open = true;
    while (open && have < sizeof buffer) {
        ssize_t n = recv(fd, buffer + have, sizeof buffer - have, 0);
        if (n <= 0) {
            break;
        }
        have += (size_t)n;
        ptrdiff_t end = slice_find(slice_of(buffer, have), SLICE("\r\n\r\n"));
        while (open && end >= 0) {
            size_t len = (size_t)end + 4;
            open = serve(fd, slice_of(buffer, len));
            memmove(buffer, buffer + len, have - len);
            have -= len;
            end = slice_find(slice_of(buffer, have), SLICE("\r\n\r\n"));
        }
    }
    (void)close(fd);
    atomic_fetch_sub(&demo_connections, 1);
    return NULL;
}

static void take_connection(int listener, const pthread_attr_t *attributes)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) {
        return;
    }
    struct timeval limit = {.tv_sec = DEMO_WAIT_S};
    bool ok = setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0 &&
              setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0;
    pthread_t thread;
    if (!ok || atomic_fetch_add(&demo_connections, 1) >= DEMO_CONNECTIONS_MAX ||
        pthread_create(&thread, attributes, connection_main, (void *)(intptr_t)fd) != 0) {
        atomic_fetch_sub(&demo_connections, ok ? 1 : 0);
        (void)close(fd);
    }
}

static _Noreturn void origin_main(int listener, pid_t parent)
{
    static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE};
    for (size_t i = 0; i < array_len(ignored); i++) {
        (void)signal(ignored[i], SIG_IGN);
    }
    (void)prctl(PR_SET_NAME, "adit-demo", 0, 0, 0);
    struct os_identity who;
    struct sandbox_report report;
    if (os_identity_find("", &who) != 0 || os_privileges_drop(&who) != 0 ||
        os_die_with_parent(parent) != 0 || os_sandbox_enter(SANDBOX_WORKER, -1, &report) != 0) {
        (void)fprintf(stderr, "adit: the demo's origin cannot give up its privileges\n");
        _exit(1);
    }
    pthread_attr_t attributes;
    (void)pthread_attr_init(&attributes);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    for (;;) {
        take_connection(listener, &attributes);
    }
}

int demo_start(unsigned *port)
{
    struct os_listen how = {.addr = {.kind = OS_ADDR_V4, .u.ip = {127, 0, 0, 1}}};
    int fd = os_listen_open(&how);
    if (fd < 0) {
        return fd;
    }
    // The listener of a loop does not wait; this one is asked by a thread that should.
    struct os_addr bound;
    int flags = fcntl(fd, F_GETFL);
    int error = os_listen_addr(fd, &bound);
    if (error == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0)) {
        error = E_IO;
    }
    pid_t parent = getpid();
    pid_t child = error == 0 ? fork() : -1;
    if (child == 0) {
        origin_main(fd, parent);
    }
    (void)close(fd);
    *port = bound.port;
    return error != 0 || child > 0 ? error : E_NO_MEMORY;
}

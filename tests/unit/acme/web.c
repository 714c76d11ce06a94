// SPDX-License-Identifier: Apache-2.0
//
// See web.h.

#include "web.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ensure.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static int listener = -1;
static struct slice answer;
static char request[16384];
static size_t request_len;

void web_answer(struct slice bytes)
{
    pthread_mutex_lock(&lock);
    answer = bytes;
    pthread_mutex_unlock(&lock);
}

struct slice web_asked(void)
{
    pthread_mutex_lock(&lock);
    struct slice asked = slice_of(request, request_len);
    pthread_mutex_unlock(&lock);
    return asked;
}

// Reads the head and as much body as it announces.
static void take_request(int fd)
{
    char bytes[sizeof(request)];
    size_t len = 0;
    size_t want = sizeof(bytes);
    while (len < want && len < sizeof(bytes) - 1) {
        ssize_t n = read(fd, bytes + len, sizeof(bytes) - 1 - len);
        if (n <= 0) {
            break;
        }
        len += (size_t)n;
        ptrdiff_t end = slice_find(slice_of(bytes, len), SLICE("\r\n\r\n"));
        ptrdiff_t at = slice_find(slice_of(bytes, len), SLICE("Content-Length: "));
        if (end >= 0) {
            bytes[len] = '\0';
            want = (size_t)end + 4 + (at >= 0 ? (size_t)strtoul(bytes + at + 16, NULL, 10) : 0);
        }
    }
    pthread_mutex_lock(&lock);
    memcpy(request, bytes, len);
    request_len = len;
    pthread_mutex_unlock(&lock);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        take_request(fd);
        pthread_mutex_lock(&lock);
        struct slice bytes = answer;
        pthread_mutex_unlock(&lock);
        if (bytes.len == 0) {
            char wait;
            (void)!read(fd, &wait, 1); // until the client gives up
        }
        (void)!send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);
        close(fd);
    }
}

uint16_t web_start(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ensure(bind(listener, (struct sockaddr *)&at, len) == 0 && listen(listener, 16) == 0);
    ensure(getsockname(listener, (struct sockaddr *)&at, &len) == 0);
    ensure(pthread_create(&thread, NULL, serve, NULL) == 0);
    return ntohs(at.sin_port);
}

void web_stop(void)
{
    (void)shutdown(listener, SHUT_RDWR);
    ensure(pthread_join(thread, NULL) == 0);
    close(listener);
}

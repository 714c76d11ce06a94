// SPDX-License-Identifier: Apache-2.0
//
// Messages with descriptors: what is sent arrives, what is odd is refused and leaks nothing.

#include "os/fdpass.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "tap.h"

static int ends[2];
static struct fdpass_msg m;

static void carries_messages(void)
{
    REQUIRE(fdpass_pair(ends) == 0);
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), E_AGAIN);
    CHECK(!fdpass_wait(ends[1], 0));
    CHECK_EQ_INT(fdpass_send(ends[0], 7, 42, SLICE("hello"), NULL, 0), 0);
    CHECK_EQ_INT(fdpass_send(ends[0], 8, 0, SLICE(""), NULL, 0), 0);
    CHECK(fdpass_wait(ends[1], 1000));
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), 0);
    CHECK(m.type == 7 && m.number == 42 && m.fd_count == 0);
    CHECK_TEXT(m.bytes, m.len, "hello");
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), 0);
    CHECK(m.type == 8 && m.len == 0);
}

static void note(int number)
{
    (void)number;
}

/** Signals the one who waits, and then sends what he waits for. */
static void *disturb(void *arg)
{
    for (int i = 0; i < 5; i++) {
        (void)usleep(2000);
        (void)pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    (void)usleep(2000);
    CHECK_EQ_INT(fdpass_send(ends[0], 9, 0, SLICE("late"), NULL, 0), 0);
    return NULL;
}

static void waits_on_when_signals_come(void)
{
    struct sigaction act = {.sa_handler = note};
    REQUIRE(sigaction(SIGUSR1, &act, NULL) == 0);
    pthread_t self = pthread_self();
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, disturb, &self) == 0);
    CHECK(fdpass_wait(ends[1], 60000));
    (void)pthread_join(thread, NULL);
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), 0);
    CHECK_EQ_INT(m.type, 9);
    CHECK(!fdpass_wait(ends[1], 1));
}

static void carries_descriptors(void)
{
    int fds[FDPASS_FDS_MAX];
    int root = open("/", O_RDONLY | O_DIRECTORY);
    REQUIRE(root >= 0);
    for (int i = 0; i < FDPASS_FDS_MAX; i++) {
        fds[i] = root;
    }
    static char big[FDPASS_BYTES_MAX + 1];
    CHECK_EQ_INT(fdpass_send(ends[0], 1, 2, slice_of(big, FDPASS_BYTES_MAX), fds, FDPASS_FDS_MAX),
                 0);
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), 0);
    CHECK_EQ_INT(m.fd_count, FDPASS_FDS_MAX);
    CHECK_EQ_INT(m.len, FDPASS_BYTES_MAX);
    struct stat want;
    struct stat got;
    CHECK(fstat(root, &want) == 0 && fstat(m.fds[63], &got) == 0 && want.st_ino == got.st_ino);
    CHECK((fcntl(m.fds[0], F_GETFD) & FD_CLOEXEC) != 0);
    int first = m.fds[0];
    fdpass_drop(&m);
    CHECK(fcntl(first, F_GETFD) < 0);
    CHECK_EQ_INT(fdpass_send(ends[0], 1, 2, slice_of(big, sizeof(big)), NULL, 0), E_TOO_LARGE);
    CHECK_EQ_INT(fdpass_send(ends[0], 1, 2, SLICE(""), fds, FDPASS_FDS_MAX + 1), E_TOO_LARGE);
    (void)close(root);
}

static void refuses_what_is_not_its_own(void)
{
    CHECK_EQ_INT(send(ends[0], "garbage that is long enough", 27, 0), 27);
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), E_INVALID);
    CHECK_EQ_INT(send(ends[0], "x", 1, 0), 1);
    CHECK_EQ_INT(fdpass_recv(ends[1], &m), E_INVALID);
}

static void tells_fullness_and_the_end(void)
{
    int rc = 0;
    for (int i = 0; i < 100000 && rc == 0; i++) {
        rc = fdpass_send(ends[0], 1, 2, SLICE("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), NULL, 0);
    }
    CHECK_EQ_INT(rc, E_AGAIN);
    (void)close(ends[1]);
    CHECK_EQ_INT(fdpass_send(ends[0], 1, 2, SLICE(""), NULL, 0), E_RESET);
    rc = fdpass_recv(ends[0], &m);
    CHECK_EQ_INT(rc, E_EOF);
    (void)close(ends[0]);
}

TAP_MAIN(carries_messages, waits_on_when_signals_come, carries_descriptors,
         refuses_what_is_not_its_own, tells_fullness_and_the_end)

// SPDX-License-Identifier: Apache-2.0
//
// Listening sockets: conflicts, Unix files and their modes, stale ones.

#include "os/listen.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/text.h"
#include "tap.h"

static struct os_listen at(const char *text)
{
    struct os_listen l = {0};
    REQUIRE(os_addr_parse_listen(slice_str(text), &l.addr) == 0);
    return l;
}

static void refuses_a_taken_port(void)
{
    struct os_listen l = at("127.0.0.1:0");
    int fd = os_listen_open(&l);
    REQUIRE(fd >= 0);
    struct os_listen again = {0};
    REQUIRE(os_listen_addr(fd, &again.addr) == 0);
    CHECK(again.addr.port != 0);
    CHECK_EQ_INT(os_listen_open(&again), E_IN_USE);
    (void)close(fd);
    fd = os_listen_open(&again);
    CHECK(fd >= 0);
    (void)close(fd);
    l = at("192.0.2.1:0"); // TEST-NET-1: nobody's
    CHECK_EQ_INT(os_listen_open(&l), E_NO_PORTS);
}

static void listens_on_both_families(void)
{
    struct os_listen l = at(":0");
    int fd = os_listen_open(&l);
    REQUIRE(fd >= 0);
    struct os_addr bound;
    REQUIRE(os_listen_addr(fd, &bound) == 0);
    struct os_addr to = {.kind = OS_ADDR_V4, .port = bound.port, .u.ip = {127, 0, 0, 1}};
    struct sockaddr_storage storage;
    socklen_t len = os_addr_to_sockaddr(&to, &storage);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ_INT(connect(c, (struct sockaddr *)&storage, len), 0);
    (void)close(c);
    (void)close(fd);
}

static void replaces_a_stale_socket_file(void)
{
    char dir[] = "/tmp/adit-listen-XXXXXX";
    REQUIRE(mkdtemp(dir) != NULL);
    char path[64];
    (void)snprintf(path, sizeof(path), "unix:%s/s", dir);
    struct os_listen l = at(path);
    l.unix_mode = 0600;
    int fd = os_listen_open(&l);
    REQUIRE(fd >= 0);
    struct stat st;
    CHECK_EQ_INT(stat(l.addr.u.path, &st), 0);
    CHECK_EQ_INT(st.st_mode & 0777, 0600);
    CHECK_EQ_INT(os_listen_open(&l), E_IN_USE);
    (void)close(fd); // the file stays
    l.unix_mode = 0;
    fd = os_listen_open(&l);
    CHECK(fd >= 0);
    CHECK_EQ_INT(stat(l.addr.u.path, &st), 0);
    CHECK_EQ_INT(st.st_mode & 0777, OS_LISTEN_UNIX_MODE);
    (void)close(fd);
    os_listen_remove(&l.addr);
    CHECK(stat(l.addr.u.path, &st) != 0);
    // What is not a socket is never removed.
    FILE *f = fopen(l.addr.u.path, "w");
    REQUIRE(f != NULL);
    (void)fclose(f);
    CHECK_EQ_INT(os_listen_open(&l), E_IN_USE);
    CHECK_EQ_INT(stat(l.addr.u.path, &st), 0);
    (void)unlink(l.addr.u.path);
    (void)rmdir(dir);
    CHECK_EQ_INT(os_listen_open(&l), E_NOT_FOUND);
}

TAP_MAIN(refuses_a_taken_port, listens_on_both_families, replaces_a_stale_socket_file)

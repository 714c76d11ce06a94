// SPDX-License-Identifier: Apache-2.0
//
// The demo's origin answers, in its sandbox, and ends with who started it.

#include "cli/demo.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "tap.h"

static unsigned port;

static size_t ask(const char *request, char *answer, size_t size)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    CHECK(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
    (void)shutdown(fd, SHUT_WR);
    size_t have = 0;
    ssize_t n;
    while (have < size - 1 && (n = recv(fd, answer + have, size - 1 - have, 0)) > 0) {
        have += (size_t)n;
    }
    answer[have] = '\0';
    (void)close(fd);
    return have;
}

static void pages_are_answered(void)
{
    REQUIRE(demo_start(&port) == 0);
    char answer[8192];
    (void)ask("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n", answer,
              sizeof answer);
    CHECK(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(strstr(answer, "It works.") != NULL);
    CHECK(strstr(answer, "HTTP/1.1 404 Not Found\r\n") != NULL);
    (void)ask("GET /headers HTTP/1.1\r\nX-Test: yes\r\n\r\n", answer, sizeof answer);
    CHECK(strstr(answer, "\r\n\r\nGET /headers HTTP/1.1\r\nX-Test: yes\r\n") != NULL);
    (void)ask("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", answer, sizeof answer);
    CHECK(strncmp(answer, "HTTP/1.1 405 ", 13) == 0);
}

static void a_head_request_has_no_body(void)
{
    char answer[8192];
    (void)ask("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", answer, sizeof answer);
    CHECK(strstr(answer, "Content-Length: ") != NULL);
    CHECK(strstr(answer, "It works.") == NULL);
}

TAP_MAIN(pages_are_answered, a_head_request_has_no_body)

// SPDX-License-Identifier: Apache-2.0
//
// adit cert: the table, its JSON, renewals, and where the local CA's root is. The edge is a thread that
// answers one command.

#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "cli_help.h"

static char dir[] = "/tmp/adit-cert-XXXXXX";
static char control[64];
static char asked[512];
static const char *answer;
static int listener;
static pthread_t thread;

static void *serve(void *arg)
{
    (void)arg;
    int fd = accept(listener, NULL, NULL);
    ssize_t n = fd >= 0 ? read(fd, asked, sizeof asked - 1) : 0;
    asked[n > 0 ? n : 0] = '\0';
    (void)!write(fd, answer, strlen(answer));
    (void)close(fd);
    return NULL;
}

static void begin(const char *text)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(control, sizeof control, "%s/control", dir);
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", control);
    (void)unlink(control);
    answer = text;
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(bind(listener, (struct sockaddr *)&at, sizeof at) == 0 && listen(listener, 1) == 0);
    REQUIRE(pthread_create(&thread, NULL, serve, NULL) == 0);
}

static void end(void)
{
    REQUIRE(pthread_join(thread, NULL) == 0);
    (void)close(listener);
    (void)unlink(control);
}

static const char rows[] =
    "{\"ok\":true,\"certificates\":["
    "{\"name\":\"b.example.com\",\"source\":\"acme\",\"issuer\":\"\",\"expires\":null,"
    "\"renews\":null,\"busy\":false,\"error\":\"the CA could not reach it\"},"
    "{\"name\":\"a.example.com\",\"source\":\"files\",\"issuer\":\"Some CA\","
    "\"expires\":\"2001-09-09T01:46:40Z\",\"expires_s\":1000000000,\"renews\":null,"
    "\"busy\":false,\"error\":\"\"}]}\n";

static void the_table_is_sorted_and_tells_what_is_wrong(void)
{
    REQUIRE(mkdtemp(dir) != NULL);
    begin(rows);
    CHECK_EQ_INT(ADIT("cert", "--control", control), CLI_OK);
    end();
    CHECK_STR(asked, "cert\n");
    const char *a = strstr(captured_out, "a.example.com");
    const char *b = strstr(captured_out, "b.example.com");
    CHECK(contains(captured_out, "NAME"));
    CHECK(a != NULL && b != NULL && a < b);
    CHECK(contains(captured_out, "2001-09-09 (over)"));
    CHECK(contains(captured_out, "the CA could not reach it"));
}

static void json_is_what_the_edge_said(void)
{
    begin(rows);
    CHECK_EQ_INT(ADIT("cert", "--json", "--control", control), CLI_OK);
    end();
    CHECK(contains(captured_out, "\"expires_s\": 1000000000"));
}

static void nothing_is_said_in_words(void)
{
    begin("{\"ok\":true,\"certificates\":[]}\n");
    CHECK_EQ_INT(ADIT("cert", "--control", control), CLI_OK);
    end();
    CHECK(contains(captured_out, "no certificates"));
}

static void a_renewal_names_its_name(void)
{
    begin("{\"ok\":true,\"renewals\":1}\n");
    CHECK_EQ_INT(ADIT("cert", "renew", "a.example.com", "--control", control), CLI_OK);
    end();
    CHECK_STR(asked, "cert renew a.example.com\n");
    begin("{\"ok\":false,\"error\":\"no certificate of that name\"}\n");
    CHECK_EQ_INT(ADIT("cert", "renew", "c", "--control", control), CLI_FAILURE);
    end();
    CHECK(contains(captured_err, "c: no certificate of that name"));
}

static void misuse_is_told(void)
{
    CHECK_EQ_INT(ADIT("cert", "renew"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("cert", "renew", "a\nb"), CLI_USAGE);
    CHECK_EQ_INT(ADIT("cert", "revoke"), CLI_USAGE);
    CHECK(contains(captured_err, "renew NAME"));
    CHECK_EQ_INT(ADIT("cert", "--control", "/no/such/place"), CLI_FAILURE);
    CHECK(contains(captured_err, "no edge answers at /no/such/place"));
}

static void the_root_is_found_without_an_edge(void)
{
    char path[128];
    CHECK_EQ_INT(ADIT("cert", "trust", "--state", dir), CLI_FAILURE);
    CHECK(contains(captured_err, "there is no local CA in"));
    (void)snprintf(path, sizeof path, "%s/local", dir);
    REQUIRE(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/local/root.pem", dir);
    FILE *f = fopen(path, "w");
    REQUIRE(f != NULL);
    (void)fclose(f);
    CHECK_EQ_INT(ADIT("cert", "trust", "--state", dir), CLI_OK);
    CHECK(contains(captured_out, path));
    CHECK(contains(captured_out, "update-ca-certificates"));
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/local", dir);
    (void)rmdir(path);
    (void)rmdir(dir);
}

TAP_MAIN(the_table_is_sorted_and_tells_what_is_wrong, json_is_what_the_edge_said,
         nothing_is_said_in_words, a_renewal_names_its_name, misuse_is_told,
         the_root_is_found_without_an_edge)

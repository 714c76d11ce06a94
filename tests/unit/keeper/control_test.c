// SPDX-License-Identifier: Apache-2.0
//
// The control socket: commands, answers, and who may ask.

#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "cli/control.h"
#include "keeper/keeper_int.h"
#include "os/listen.h"

#include "tap.h"

#include "supervisor.h"

static struct fake_supervisor supervisor;
static struct keeper keeper;
static char path[] = "/tmp/adit-control-test.XXXXXX";

static void *client_main(void *arg)
{
    return control_ask(path, arg);
}

static void note(int number)
{
    (void)number;
}

// Says half a command, signals the keeper, and says the rest.
static void *slow_client_main(void *arg)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char answer[16 << 10];
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    CHECK_EQ_INT(send(fd, "sta", 3, 0), 3);
    for (int i = 0; i < 5; i++) {
        (void)usleep(2000);
        (void)pthread_kill(*(pthread_t *)arg, SIGUSR1);
    }
    (void)usleep(2000);
    CHECK_EQ_INT(send(fd, "tus\n", 4, MSG_NOSIGNAL), 4);
    ssize_t n = recv(fd, answer, sizeof answer, MSG_WAITALL);
    (void)close(fd);
    return n > 0 ? json_loadb(answer, (size_t)n, 0, NULL) : NULL;
}

static json_t *ask_by(void *(*client_main_is)(void *), void *arg)
{
    struct os_listen how = {.addr = {.kind = OS_ADDR_UNIX, .path_len = (uint8_t)strlen(path)}};
    memcpy(how.addr.u.path, path, strlen(path));
    fake_start(&supervisor, 0);
    keeper_init(&keeper);
    keeper.owner = getuid();
    keeper.tables = conf_tables;
    ipc_set_text(keeper.path, sizeof keeper.path, SLICE("/no/such/adit.yaml"));
    keeper.control = os_listen_open(&how);
    REQUIRE(keeper.control >= 0);
    int flags = fcntl(keeper.control, F_GETFL);
    (void)fcntl(keeper.control, F_SETFL, flags & ~O_NONBLOCK);
    pthread_t client;
    REQUIRE(pthread_create(&client, NULL, client_main_is, arg) == 0);
    keeper_control(&keeper);
    void *answer = NULL;
    (void)pthread_join(client, &answer);
    (void)close(keeper.control);
    (void)unlink(path);
    fake_stop(&supervisor);
    keeper_fini(&keeper);
    return answer;
}

static json_t *ask(const char *command)
{
    char copy[64];
    (void)snprintf(copy, sizeof copy, "%s", command);
    return ask_by(client_main, copy);
}

static void status_is_an_object(void)
{
    int fd = mkstemp(path);
    (void)close(fd);
    (void)unlink(path);
    json_t *answer = ask("status");
    REQUIRE(answer != NULL);
    CHECK(json_is_true(json_object_get(answer, "ok")));
    CHECK_EQ_INT(json_integer_value(json_object_get(json_object_get(answer, "worker"), "pid")), 13);
    const json_t *listener = json_array_get(json_object_get(answer, "listeners"), 0);
    CHECK_STR(json_string_value(json_object_get(listener, "address")), "127.0.0.1:8080");
    json_decref(answer);
}

static void a_reload_that_fails_says_why(void)
{
    json_t *answer = ask("reload");
    REQUIRE(answer != NULL);
    CHECK(json_is_false(json_object_get(answer, "ok")));
    const char *why = json_string_value(json_object_get(answer, "diagnostics"));
    CHECK(why != NULL && strstr(why, "/no/such/adit.yaml") != NULL);
    json_decref(answer);
}

static void other_commands_are_refused(void)
{
    json_t *answer = ask("shutdown");
    REQUIRE(answer != NULL);
    CHECK(json_is_false(json_object_get(answer, "ok")));
    json_decref(answer);
    answer = ask("reopen");
    CHECK(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
}

static void signals_do_not_end_a_command(void)
{
    struct sigaction act = {.sa_handler = note};
    REQUIRE(sigaction(SIGUSR1, &act, NULL) == 0);
    pthread_t self = pthread_self();
    json_t *answer = ask_by(slow_client_main, &self);
    REQUIRE(answer != NULL);
    CHECK(json_is_true(json_object_get(answer, "ok")));
    json_decref(answer);
}

TAP_MAIN(status_is_an_object, a_reload_that_fails_says_why, other_commands_are_refused,
         signals_do_not_end_a_command)

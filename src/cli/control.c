// SPDX-License-Identifier: Apache-2.0
//
// The client's side of the control socket (keeper/control.c has the other): connect, one line, one
// JSON object.

#include "cli/control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/slab.h"
#include "super/super.h"

#include "cli/cli.h"

enum { CONTROL_LINE_MAX = 16 << 10, ANSWER_MAX = 32 << 20 };

static int connect_to(const char *path)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof to.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(to.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

static void explain(const char *path, int error)
{
    (void)fprintf(stderr, "adit: no edge answers at %s: %s\n", path, strerror(error));
    if (error == EACCES || error == EPERM) {
        (void)fprintf(stderr, "  root and the user who started the edge may ask it; try sudo\n");
    } else {
        (void)fprintf(stderr,
                      "  is `adit serve` running? If its configuration says `control: PATH`, "
                      "say --control PATH\n");
    }
}

static json_t *exchange(int fd, const char *command)
{
    char line[CONTROL_LINE_MAX];
    int len = snprintf(line, sizeof line, "%s\n", command);
    if (len < 0 || len >= CONTROL_LINE_MAX) {
        return NULL;
    }
    char *answer = mem_alloc(ANSWER_MAX);
    size_t have = 0;
    json_t *parsed = NULL;
    if (answer != NULL && send(fd, line, (size_t)len, MSG_NOSIGNAL) == len) {
        ssize_t n = 1;
        while (n > 0 && have < ANSWER_MAX) {
            n = recv(fd, answer + have, ANSWER_MAX - have, 0);
            have += n > 0 ? (size_t)n : 0;
        }
        parsed = json_loadb(answer, have, 0, NULL);
    }
    mem_free(answer);
    return parsed;
}

json_t *control_ask(const char *path, const char *command)
{
    char place[SUPER_PATH_MAX];
    if (path == NULL) {
        super_control_default(place);
        path = place;
    }
    if (path[0] == '\0') {
        (void)fprintf(stderr, "adit: XDG_RUNTIME_DIR is not set, so say --control PATH\n");
        return NULL;
    }
    int fd = connect_to(path);
    if (fd < 0) {
        explain(path, errno);
        return NULL;
    }
    json_t *answer = exchange(fd, command);
    (void)close(fd);
    if (answer == NULL) {
        (void)fprintf(stderr,
                      "adit: the edge at %s gave no answer; only root and the user who "
                      "started it may ask\n",
                      path);
    }
    return answer;
}

const char *control_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

int64_t control_number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

int control_print(const json_t *answer)
{
    (void)json_dumpf(answer, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    (void)putchar('\n');
    return json_is_true(json_object_get(answer, "ok")) ? CLI_OK : CLI_FAILURE;
}

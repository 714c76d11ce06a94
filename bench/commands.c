// SPDX-License-Identifier: Apache-2.0
//
// See commands.h. A line that is longer than there is room for ends the program, as the end of the
// input does.
#include "commands.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "source.h"

enum {
    LINE_BYTES_MAX = 256,
};

static struct {
    struct source source;
    char come[LINE_BYTES_MAX];
    char line[LINE_BYTES_MAX]; // what was given out: more may come while it is carried out
    size_t bytes;
    bool ended;
} input;

static void on_input(struct source *source, uint32_t events)
{
    (void)source;
    (void)events;
    ssize_t n = read(STDIN_FILENO, input.come + input.bytes, sizeof input.come - input.bytes);
    if (n <= 0) {
        input.ended = n == 0 || errno != EAGAIN;
        return;
    }
    input.bytes += (size_t)n;
}

void commands_open(int epoll)
{
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);
    source_open(&input.source, epoll, STDIN_FILENO, EPOLLIN, on_input);
}

bool commands_ended(void)
{
    return input.ended;
}

const char *commands_next(void)
{
    const char *end = memchr(input.come, '\n', input.bytes);
    if (end == NULL) {
        return NULL;
    }
    size_t n = (size_t)(end - input.come);
    memcpy(input.line, input.come, n);
    input.line[n] = '\0';
    input.bytes -= n + 1;
    memmove(input.come, end + 1, input.bytes);
    return input.line;
}

// SPDX-License-Identifier: Apache-2.0
//
// Commands of a benchmark's script: lines on standard input, read without ever holding up what the
// program measures. Whoever sends one waits for its answer before the next.
#pragma once

#include <stdbool.h>

// Listens to standard input from the turns of epoll on.
void commands_open(int epoll);

// Whether there will be no further ones.
bool commands_ended(void);

// The line that has come, without its end; good until the next is asked for. NULL: none.
const char *commands_next(void);

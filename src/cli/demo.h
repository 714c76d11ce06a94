// SPDX-License-Identifier: Apache-2.0
//
// The origin of the demo edge: a process of its own that serves a page, what it saw of the request,
// and a stream of events, to this machine only. Not a web server: it exists so that `adit serve`
// without a file shows something.

#pragma once

#include "base/ensure.h"

/** Starts it; *port is where. It ends with this process. 0 or a negative code. */
int demo_start(unsigned *port) must_check;

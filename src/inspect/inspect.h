// SPDX-License-Identifier: Apache-2.0
//
// The module `inspect`: an agent's inspector. On a site that says `inspect: record` it keeps what came and
// what was answered, in memory alone and never more than RING_BYTES (inspect/ring.h); the site that says
// `inspect: page` shows it: a page for people, JSON for programs, and a way to send a request once more.
//
// That site is for a listener on this machine's loopback address, and is reached by it alone
// (traffic_listener.site). It takes no name but the loopback's own, so that no web page can reach it by a
// name of its choice, and changes nothing for requests that another site's page could send.
//
// Only an agent that was asked for it inspects: it calls inspect_open(). Elsewhere the directive is refused.

#pragma once

#include "base/ensure.h"
#include "proxy/module.h"

struct loop;

extern const struct conf_directive inspect_directives[];
extern const struct module inspect_module;

/** From now on this process may inspect: before its configuration is read. Its memory is taken as
 * requests come. 0 or E_NO_MEMORY. */
int inspect_open(void) must_check;
/** Forgets everything. No exchange may be alive. */
void inspect_close(void);

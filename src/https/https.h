// SPDX-License-Identifier: Apache-2.0
//
// What belongs to https without being TLS itself: the directives `tls` and `acme` with their checks, and
// the module that keeps browsers at https (HSTS). Sending them there, and answers to HTTP-01, come
// before any module: proxy/canonical.h, proxy/challenge.h.

#pragma once

#include "proxy/module.h"

extern const struct conf_directive https_directives[];

extern const struct module hsts_module;

/** What holds between `tls`, `acme`, `listen`, `sites` and `upstreams` (conf_checks). */
void https_check(struct conf_diags *d, struct conf_node root);

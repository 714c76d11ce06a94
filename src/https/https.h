// SPDX-License-Identifier: Apache-2.0
//
// What belongs to https without being TLS itself: the directives `tls` and `acme` with their checks, and
// the modules that answer ACME's HTTP-01 challenges, send clients from http to https and keep them
// there (HSTS). src/main/modules.c lists them.

#pragma once

#include "proxy/module.h"

extern const struct conf_directive https_directives[];

/** What holds between `tls`, `acme`, `listen`, `sites` and `upstreams` (conf_checks). */
void https_check(struct conf_diags *d, struct conf_node root);

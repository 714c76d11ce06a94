// SPDX-License-Identifier: Apache-2.0
//
// The modules of this folder: `headers` edits fields, `rewrite` changes the target before it goes to
// an origin, `redirect` and `respond` answer by themselves. src/main/modules.c lists them.

#pragma once

#include "proxy/module.h"

extern const struct conf_directive headers_directives[];
extern const struct conf_directive rewrite_directives[];
extern const struct conf_directive redirect_directives[];
extern const struct conf_directive respond_directives[];

extern const struct module headers_module;
extern const struct module rewrite_module;
extern const struct module redirect_module;
extern const struct module respond_module;

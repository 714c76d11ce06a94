// SPDX-License-Identifier: Apache-2.0
//
// The module `files`: answers GET and HEAD from a folder. Opening goes through one function,
// files_find(): an agent opens by itself, beneath the folder alone; the worker of an edge may open
// nothing, and will ask a process of its own for it (docs/design). Until then an edge refuses `files`.

#pragma once

#include "os/folder.h"
#include "proxy/module.h"

extern const struct conf_directive files_directives[];
extern const struct module files_module;

/** From now on this process serves files: before its configuration is read. */
void files_allow(void);
/** Opens what is at a path below a root. As os_folder_find(). */
int files_find(int root, const char *path, struct os_found *out) must_check;

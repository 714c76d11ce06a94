// SPDX-License-Identifier: Apache-2.0
//
// The only place that lists all modules. Their order here is their order on the wire: requests pass
// them first to last, responses last to first. The tables of directives make the configuration
// language; their order is that of the reference pages.

#include "access/access.h"
#include "compress/compress.h"
#include "conf/schema.h"
#include "files/files.h"
#include "headers/headers.h"
#include "https/https.h"
#include "inspect/inspect.h"
#include "l4/directives.h"
#include "proxy/directives.h"
#include "proxy/module.h"
#include "super/directives.h"
#include "tunnel/cookies.h"
#include "tunnel/directives.h"
#include "upstream/directives.h"

const struct module *const modules[] = {
    &hsts_module,     // has the last word on its field
    &compress_module, // nearest to the client: sees what it asked for, and the answer's last form
    &networks_module, // before anything that costs, or that edits what they look at
    &basic_module,    // its field is taken away before `headers` sees the request
    &headers_module,
    &rewrite_module,
    &redirect_module,
    &inspect_module, // behind those that refuse: a repeat does not ask them again
    &respond_module,
    &files_module,
    &tunnel_module, // nearest to the origin: sees what a tunnel says before anybody adds to it
    NULL,
};

const struct conf_directive *const conf_tables[] = {
    super_directives,    proxy_directives,    proxy_matches,
    https_directives,    networks_directives, basic_directives,
    upstream_directives, tunnel_directives,   redirect_directives,
    respond_directives,  rewrite_directives,  headers_directives,
    compress_directives, l4_directives,       files_directives,
    inspect_directives,  conf_language,       NULL,
};

conf_check_fn *const conf_checks[] = {
    https_check,
    l4_check,
    tunnel_check,
    NULL,
};

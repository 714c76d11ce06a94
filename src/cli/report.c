// SPDX-License-Identifier: Apache-2.0
//
// Diagnostics on a terminal and as JSON (cli/report.h).

#include "cli/report.h"

#include <stdio.h>

#include "base/slice.h"
#include "base/text.h"
#include "conf/diag.h"

#include "cli/options.h"

enum { REPORT_BYTES_MAX = 16384 }; // of one diagnostic: message, hint and a source line, escaped

static void put(FILE *to, const struct text *t)
{
    (void)fwrite(t->ptr, 1, t->len, to);
}

void cli_report_text(const struct conf_diags *d)
{
    char buffer[REPORT_BYTES_MAX];
    bool colour = cli_colour_stderr();
    unsigned shown = 0;
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        struct text t = text_on(buffer, sizeof buffer);
        conf_diag_text(d, one, colour, &t);
        put(stderr, &t);
        shown++;
    }
    unsigned errors = conf_diags_errors(d);
    unsigned warnings = conf_diags_warnings(d);
    if (errors + warnings > shown) {
        (void)fprintf(stderr, "(only the first %u are shown)\n", shown);
    }
    if (errors + warnings > 0) {
        (void)fprintf(stderr, "%u error%s, %u warning%s\n", errors, errors == 1 ? "" : "s",
                      warnings, warnings == 1 ? "" : "s");
    }
}

void cli_report_json(const struct conf_diags *d, const char *file, bool ok)
{
    char buffer[REPORT_BYTES_MAX];
    struct text t = text_on(buffer, sizeof buffer);
    text_printf(&t, "{\"ok\":%s,\"file\":\"", ok ? "true" : "false");
    text_json(&t, slice_str(file));
    text_printf(&t, "\",\"errors\":%u,\"warnings\":%u,\"diagnostics\":[", conf_diags_errors(d),
                conf_diags_warnings(d));
    put(stdout, &t);
    for (const struct conf_diag *one = conf_diags_first(d); one != NULL; one = one->next) {
        t = text_on(buffer, sizeof buffer);
        conf_diag_json(d, one, &t);
        put(stdout, &t);
        (void)fputs(one->next != NULL ? "," : "", stdout);
    }
    puts("]}");
}

// SPDX-License-Identifier: Apache-2.0
//
// The option parser of all subcommands (cli/options.h).

#include "cli/options.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ensure.h"
#include "base/slab.h"
#include "conf/nearest.h"

#include "cli/foreign.h"

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fputs("adit: ", stderr);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fprintf(stderr, "\n  `adit%s%s --help` says how it is called\n",
                  command != NULL ? " " : "", command != NULL ? command->name : "");
    return CLI_USAGE;
}

static bool may_colour(int fd)
{
    const char *no = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    return isatty(fd) && (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0;
}

bool cli_colour_stdout(void)
{
    return may_colour(STDOUT_FILENO);
}

bool cli_colour_stderr(void)
{
    return may_colour(STDERR_FILENO);
}

static int option_count(const struct cli_command *command)
{
    int n = 0;
    while (command->options != NULL && command->options[n].name != NULL) {
        n++;
    }
    ensure(n <= CLI_OPTIONS_MAX);
    return n;
}

static int find_option(const struct cli_command *command, struct slice name)
{
    int count = option_count(command);
    for (int i = 0; i < count; i++) {
        if (slice_eq(slice_str(command->options[i].name), name)) {
            return i;
        }
    }
    return -1;
}

const char *cli_value(const struct cli_parsed *p, const char *name)
{
    int i = find_option(p->command, slice_str(name));
    ensure(i >= 0);
    return p->values[i];
}

const char *cli_value_if_any(const struct cli_parsed *p, const char *name)
{
    int i = find_option(p->command, slice_str(name));
    return i >= 0 ? p->values[i] : NULL;
}

static void print_option(const struct cli_option *o)
{
    char left[64];
    char letter[8] = "    ";
    if (o->letter != '\0') {
        (void)snprintf(letter, sizeof letter, "-%c, ", o->letter);
    }
    (void)snprintf(left, sizeof left, o->optional ? "%s--%s[%s%s]" : "%s--%s%s%s", letter, o->name,
                   o->value == NULL ? ""
                   : o->optional    ? "="
                                    : " ",
                   o->value != NULL ? o->value : "");
    printf("  %-24s  %s\n", left, o->text);
}

static int print_help(const struct cli_command *command)
{
    int count = option_count(command);
    printf("adit %s: %s\n\nusage: adit %s%s%s%s\n", command->name, command->text, command->name,
           count > 0 ? " [OPTIONS]" : "", command->arguments != NULL ? " " : "",
           command->arguments != NULL ? command->arguments : "");
    if (command->more != NULL) {
        printf("\n%s", command->more);
    }
    puts("\noptions:");
    for (int i = 0; i < count; i++) {
        print_option(&command->options[i]);
    }
    print_option(&(struct cli_option){.name = "help", .letter = 'h', .text = "this text"});
    return CLI_OK;
}

/** What to write instead of an option of another tunnel's program, or NULL. */
static const char *foreign_option(const struct cli_command *command, struct slice name)
{
    char text[32];
    for (const struct cli_option *o = command->options; o != NULL && o->name != NULL; o++) {
        if (strcmp(o->name, "join") == 0 && name.len < sizeof text) {
            (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(name));
            return cli_foreign_option(text);
        }
    }
    return NULL;
}

static int unknown_option(const struct cli_command *command, struct slice name)
{
    const char *ours = foreign_option(command, name);
    if (ours != NULL) {
        return cli_usage_error(command, "there is no option --%.*s here; %s", SLICE_ARG(name),
                               ours);
    }
    struct conf_nearest nearest = conf_nearest_to(name);
    if (command->kin != NULL && find_option(command->kin, name) >= 0) {
        return cli_usage_error(command, "--%.*s is of `adit %s` alone", SLICE_ARG(name),
                               command->kin->name);
    }
    int count = option_count(command);
    for (int i = 0; i < count; i++) {
        conf_nearest_offer(&nearest, slice_str(command->options[i].name));
    }
    conf_nearest_offer(&nearest, SLICE("help"));
    if (nearest.best.len > 0) {
        return cli_usage_error(command, "unknown option --%.*s, did you mean --%.*s?",
                               SLICE_ARG(name), SLICE_ARG(nearest.best));
    }
    return cli_usage_error(command, "unknown option --%.*s", SLICE_ARG(name));
}

struct parse {
    struct cli_parsed out;
    int argc;
    char **argv;
    int at;
    bool help;
    char *secrets[CLI_OPTIONS_MAX]; // values that were hidden
};

static void forget(struct parse *p, int index)
{
    if (p->secrets[index] != NULL) {
        explicit_bzero(p->secrets[index], strlen(p->secrets[index]));
        mem_free(p->secrets[index]);
        p->secrets[index] = NULL;
    }
}

// Everybody on this machine can read the command line of a process (/proc/PID/cmdline): what is secret in
// it is taken away, into memory of our own. It could be read until now.
static int hide(struct parse *p, int index, const char *value)
{
    size_t len = strlen(value);
    char *copy = mem_alloc(len + 1);
    if (copy == NULL) {
        return cli_usage_error(p->out.command, "out of memory");
    }
    memcpy(copy, value, len + 1);
    memset((char *)(uintptr_t)value, '*', len);
    forget(p, index);
    p->secrets[index] = copy;
    p->out.values[index] = copy;
    return 0;
}

// Takes the value of option `index`: what was attached, or the next argument.
static int take_value(struct parse *p, int index, const char *attached)
{
    const struct cli_option *o = &p->out.command->options[index];
    if (o->value == NULL) {
        if (attached != NULL) {
            return cli_usage_error(p->out.command, "--%s takes no value", o->name);
        }
        p->out.values[index] = "";
        return 0;
    }
    if (attached == NULL && o->optional) {
        p->out.values[index] = "";
        return 0;
    }
    if (attached == NULL && p->at >= p->argc) {
        return cli_usage_error(p->out.command, "--%s needs a value: --%s %s", o->name, o->name,
                               o->value);
    }
    const char *value = attached != NULL ? attached : p->argv[p->at++];
    p->out.values[index] = value;
    return o->secret && strcmp(value, "-") != 0 ? hide(p, index, value) : 0;
}

static int take_long(struct parse *p, const char *text)
{
    const char *equals = strchr(text, '=');
    size_t len = equals != NULL ? (size_t)(equals - text) : strlen(text);
    struct slice name = slice_of(text, len);
    if (slice_eq(name, SLICE("help"))) {
        p->help = true;
        return 0;
    }
    int i = find_option(p->out.command, name);
    return i >= 0 ? take_value(p, i, equals != NULL ? equals + 1 : NULL)
                  : unknown_option(p->out.command, name);
}

static int take_letters(struct parse *p, const char *text)
{
    int count = option_count(p->out.command);
    for (; *text != '\0'; text++) {
        int index = 0;
        if (*text == 'h') {
            p->help = true;
            continue;
        }
        while (index < count && p->out.command->options[index].letter != *text) {
            index++;
        }
        if (index == count) {
            return cli_usage_error(p->out.command, "unknown option -%c", *text);
        }
        bool takes = p->out.command->options[index].value != NULL;
        int rc = take_value(p, index, takes && text[1] != '\0' ? text + 1 : NULL);
        if (rc != 0 || takes) {
            return rc;
        }
    }
    return 0;
}

static int take_argument(struct parse *p, const char *text)
{
    if (p->out.count == p->out.command->max || p->out.count == CLI_ARGUMENTS_MAX) {
        return cli_usage_error(p->out.command, "`%s` is one argument too many", text);
    }
    p->out.arguments[p->out.count++] = text;
    return 0;
}

int cli_run(const struct cli_command *command, int argc, char **argv)
{
    struct parse p = {.out.command = command, .argc = argc, .argv = argv};
    bool options = true;
    int rc = 0;
    while (rc == 0 && p.at < argc) {
        const char *text = argv[p.at++];
        if (options && strcmp(text, "--") == 0) {
            options = false;
        } else if (options && strncmp(text, "--", 2) == 0) {
            rc = take_long(&p, text + 2);
        } else if (options && text[0] == '-' && text[1] != '\0') {
            rc = take_letters(&p, text + 1);
        } else {
            rc = take_argument(&p, text);
        }
    }
    if (!p.help && rc == 0 && p.out.count < command->min) {
        rc = cli_usage_error(command, "`adit %s` needs %s", command->name, command->arguments);
    }
    rc = p.help ? print_help(command) : rc != 0 ? rc : command->run(&p.out);
    for (int i = 0; i < CLI_OPTIONS_MAX; i++) {
        forget(&p, i);
    }
    return rc;
}

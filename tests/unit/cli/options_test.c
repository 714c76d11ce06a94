// SPDX-License-Identifier: Apache-2.0
//
// The option parser: every spelling, and what a mistake is told.

#include "cli_help.h"

static const struct cli_parsed *seen;
static struct cli_parsed last;

static int remember(const struct cli_parsed *p)
{
    last = *p;
    seen = &last;
    return 42;
}

static const struct cli_option options[] = {
    {.name = "config", .letter = 'c', .value = "FILE", .text = "a file"},
    {.name = "json", .letter = 'j', .text = "a switch"},
    {.name = NULL},
};

static char in_place[8][32]; // what a list of processes would show, after the parse
static char secret_was[32];  // to the command

static const struct cli_option secret_options[] = {
    {.name = "token", .letter = 't', .value = "TOKEN", .secret = true, .text = "a secret"},
    {.name = "open", .value = "X", .text = "none"},
    {.name = NULL},
};

static int remember_secret(const struct cli_parsed *p)
{
    (void)snprintf(secret_was, sizeof secret_was, "%s", cli_value(p, "token"));
    return 42;
}

static const struct cli_command secret_command = {
    .name = "hide", .text = "a command", .options = secret_options, .run = remember_secret};

static void secrets_are_not_seen(void)
{
    static const struct {
        const char *words[4];
        const char *secret;
        const char *seen[4];
    } rows[] = {
        {{"--token", "abc", "--open", "x"}, "abc", {"--token", "***", "--open", "x"}},
        {{"--token=abcd"}, "abcd", {"--token=****"}},
        {{"-tabc"}, "abc", {"-t***"}},
        {{"-t", "abc", "--token", "d"}, "d", {"-t", "***", "--token", "*"}},
        {{"--token", "-"}, "-", {"--token", "-"}},
        {{"--token="}, "", {"--token="}},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        char *argv[4];
        int argc = 0;
        for (; argc < 4 && rows[i].words[argc] != NULL; argc++) {
            (void)snprintf(in_place[argc], sizeof in_place[argc], "%s", rows[i].words[argc]);
            argv[argc] = in_place[argc];
        }
        CHECK_EQ_INT(cli_run(&secret_command, argc, argv), 42);
        CHECK_STR(secret_was, rows[i].secret);
        for (int w = 0; w < argc; w++) {
            CHECK_STR(in_place[w], rows[i].seen[w]);
        }
    }
}

static const struct cli_command command = {
    .name = "try",
    .arguments = "[A [B]]",
    .text = "a command",
    .options = options,
    .max = 2,
    .run = remember,
};

static int run(int argc, const char *const *arguments)
{
    static char words[8][32]; // what was parsed points into them
    char *argv[8];
    seen = NULL;
    for (int i = 0; i < argc; i++) {
        (void)snprintf(words[i], sizeof words[i], "%s", arguments[i]);
        argv[i] = words[i];
    }
    FILE *old = stderr;
    stderr = fopen("/dev/null", "w");
    int code = cli_run(&command, argc, argv);
    (void)fclose(stderr);
    stderr = old;
    return code;
}

#define RUN(...)                                                                                   \
    run((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(const char *)),                       \
        (const char *[]){__VA_ARGS__})

static void takes_every_spelling(void)
{
    CHECK_EQ_INT(RUN("--config", "a"), 42);
    CHECK_STR(cli_value(seen, "config"), "a");
    CHECK_EQ_INT(RUN("--config=a=b"), 42);
    CHECK_STR(cli_value(seen, "config"), "a=b");
    CHECK_EQ_INT(RUN("-c", "a"), 42);
    CHECK_STR(cli_value(seen, "config"), "a");
    CHECK_EQ_INT(RUN("-ca"), 42);
    CHECK_STR(cli_value(seen, "config"), "a");
    CHECK_EQ_INT(RUN("-jc", "a"), 42);
    CHECK(cli_given(seen, "json"));
    CHECK_STR(cli_value(seen, "config"), "a");
    CHECK_EQ_INT(RUN("--json", "x", "y"), 42);
    CHECK_EQ_INT(seen->count, 2);
    CHECK_STR(seen->arguments[1], "y");
    CHECK(!cli_given(seen, "config"));
    CHECK_EQ_INT(RUN("-", "--", "--json"), 42);
    CHECK_STR(seen->arguments[0], "-");
    CHECK_STR(seen->arguments[1], "--json");
}

static void refuses_mistakes(void)
{
    CHECK_EQ_INT(RUN("--jsn"), CLI_USAGE);
    CHECK_EQ_INT(RUN("-x"), CLI_USAGE);
    CHECK_EQ_INT(RUN("--config"), CLI_USAGE);
    CHECK_EQ_INT(RUN("-c"), CLI_USAGE);
    CHECK_EQ_INT(RUN("--json=1"), CLI_USAGE);
    CHECK_EQ_INT(RUN("a", "b", "c"), CLI_USAGE);
    CHECK(seen == NULL);
}

static void an_unknown_name_aborts(void)
{
    CHECK_EQ_INT(RUN("a"), 42);
    CHECK_ABORTS(cli_value(seen, "nothing"));
}

TAP_MAIN(secrets_are_not_seen, takes_every_spelling, refuses_mistakes, an_unknown_name_aborts)

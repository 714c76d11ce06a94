// SPDX-License-Identifier: Apache-2.0
//
// adit completion SHELL: a script that completes commands, options and names of directives, made
// from the same tables as everything else.

#include <stdio.h>
#include <string.h>

#include "conf/schema.h"

#include "cli/cli.h"

static void put_commands(const char *between)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("%s%s", i > 0 ? between : "", cli_commands[i]->name);
    }
}

static bool seen_before(const struct conf_directive *row)
{
    conf_each_row(it, conf_tables)
    {
        if (it.row == row) {
            return false;
        }
        if (strcmp(it.row->name, row->name) == 0) {
            return true;
        }
    }
    return false;
}

static void put_directives(void)
{
    (void)fputs("directives", stdout);
    conf_each_row(it, conf_tables)
    {
        bool own = (it.row->contexts & ~(unsigned)CONF_IN_OBJECT) != 0;
        if (own && !seen_before(it.row)) {
            printf(" %s", it.row->name);
        }
    }
}

static void put_options(const struct cli_command *c)
{
    for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
        printf("--%s ", o->name);
    }
    (void)fputs("--help", stdout);
}

static void write_bash(void)
{
    (void)fputs("_adit() {\n"
                "  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} words=\n"
                "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n    words=\"",
                stdout);
    put_commands(" ");
    (void)fputs("\"\n  else\n    case $command in\n", stdout);
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("      %s) words=\"", cli_commands[i]->name);
        put_options(cli_commands[i]);
        if (cli_commands[i] == &cli_help) {
            putchar(' ');
            put_directives();
        } else if (cli_commands[i] == &cli_completion) {
            (void)fputs(" bash zsh fish", stdout);
        } else if (cli_commands[i] == &cli_server) {
            (void)fputs(" list add remove drain ready maintenance weight", stdout);
        }
        puts("\" ;;");
    }
    puts("    esac\n"
         "  fi\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
         "}\n"
         "complete -o default -F _adit adit");
}

static void write_zsh(void)
{
    puts("#compdef adit\n_adit() {\n  if (( CURRENT == 2 )); then\n    local -a commands=(");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("      '%s:%s'\n", cli_commands[i]->name, cli_commands[i]->text);
    }
    puts("    )\n    _describe command commands\n    return\n  fi\n  case $words[2] in");
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        printf("    %s) compadd -- ", cli_commands[i]->name);
        put_options(cli_commands[i]);
        if (cli_commands[i] == &cli_help) {
            putchar(' ');
            put_directives();
        } else if (cli_commands[i] == &cli_completion) {
            (void)fputs(" bash zsh fish", stdout);
        } else if (cli_commands[i] == &cli_server) {
            (void)fputs(" list add remove drain ready maintenance weight", stdout);
        } else {
            (void)fputs("; _files", stdout);
        }
        puts(" ;;");
    }
    puts("  esac\n}\ncompdef _adit adit");
}

static void write_fish(void)
{
    for (size_t i = 0; cli_commands[i] != NULL; i++) {
        const struct cli_command *c = cli_commands[i];
        printf("complete -c adit -n __fish_use_subcommand -a %s -d '%s'\n", c->name, c->text);
        for (const struct cli_option *o = c->options; o != NULL && o->name != NULL; o++) {
            printf("complete -c adit -n '__fish_seen_subcommand_from %s' -l %s", c->name, o->name);
            if (o->letter != '\0') {
                printf(" -s %c", o->letter);
            }
            printf("%s -d '%s'\n", o->value != NULL && !o->optional ? " -r" : "", o->text);
        }
    }
    (void)fputs("complete -c adit -n '__fish_seen_subcommand_from help' -f -a '", stdout);
    put_directives();
    puts("'\ncomplete -c adit -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n"
         "complete -c adit -n '__fish_seen_subcommand_from server' -f -a 'list add remove drain "
         "ready maintenance weight'");
}

static int run(const struct cli_parsed *p)
{
    static const struct {
        const char *name;
        void (*write)(void);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof shells[0]; i++) {
        if (strcmp(shells[i].name, p->arguments[0]) == 0) {
            shells[i].write();
            return CLI_OK;
        }
    }
    return cli_usage_error(p->command, "no completion for `%s`: bash, zsh or fish",
                           p->arguments[0]);
}

const struct cli_command cli_completion = {
    .name = "completion",
    .arguments = "SHELL",
    .text = "prints a completion script for bash, zsh or fish",
    .more = "  bash: eval \"$(adit completion bash)\" in ~/.bashrc\n"
            "  zsh:  eval \"$(adit completion zsh)\" in ~/.zshrc, after compinit\n"
            "  fish: adit completion fish >~/.config/fish/completions/adit.fish\n",
    .min = 1,
    .max = 1,
    .run = run,
};

// SPDX-License-Identifier: Apache-2.0
//
// YAML's traps, each with the exact words it is answered with: what a user reads when a line means
// something else to YAML than it looks. A change here is a change of the user's interface.

#include "conf_help.h"

struct trap {
    const char *name;
    const char *text;
    const char *report; // "LINE:COLUMN message | hint"
};

// clang-format off
static const struct trap traps[] = {
    {"alias", "sites:\n  example.com: {proxy: *.example.com}\n",
     "2:24 `*.example.com` without quotes is a YAML alias, which this language has not | quote it: \"*.example.com\"\n"},
    {"alias name", "sites:\n  example.com: {proxy: *app}\n",
     "2:24 `*app` without quotes is a YAML alias, which this language has not | quote it if it is text; to share settings use `snippets`\n"},
    {"alias key", "sites:\n  *.example.com: {proxy: 3000}\n",
     "2:3 `*.example.com` without quotes is a YAML alias, which this language has not | quote it: \"*.example.com\"\n"},
    {"alias key block", "sites:\n  *.example.com:\n    proxy: 3000\n",
     "2:3 `*.example.com` without quotes is a YAML alias, which this language has not | quote it: \"*.example.com\"\n"},
    {"anchor", "limits: &l {header_size: 4KiB}\n",
     "1:9 `&` without quotes is a YAML anchor, which this language has not | quote it if it is text; to share settings use `snippets`\n"},
    {"tag", "user: !adit\n",
     "1:7 `!` without quotes is a YAML tag, which this language has not | quote it if it is text; the word for negation is `not`\n"},
    {"tag list", "trusted_proxies: [!10.0.0.0/8]\n",
     "1:19 `!` without quotes is a YAML tag, which this language has not | quote it if it is text; the word for negation is `not`\n"},
    {"merge", "upstreams:\n  a: {servers: 3000}\n  b:\n    <<: a\n    servers: 3000\n",
     "4:5 merge keys (`<<`) are not part of this language | put what is shared under `snippets` and write `use: NAME`\n"},
    {"null", "user:\n",
     "1:1 `user` has no value | give it a value, quote an empty text (\"\"), or take it out\n"},
    {"null tilde", "user: ~\n",
     "1:7 `~` is a null value, which nothing takes | leave the key out, or quote the value if it is meant as text\n"},
    {"null word", "user: null\n",
     "1:7 `null` is a null value, which nothing takes | leave the key out, or quote the value if it is meant as text\n"},
    {"null entry", "listen:\n  -\n  - 8080\n",
     "2:3 an empty entry | give it a value, or quote an empty text (\"\")\n"},
    {"null flow", "sites:\n  example.com: {proxy}\n",
     "2:17 `proxy` has no value | inside { } a comma ends a value: quote a text with a comma in it\n"},
    {"no blank", "listen:8080\n",
     "1:1 the file must hold keys with values, like `listen: \":8080\"` | a blank must follow the colon\n"},
    {"no blank flow", "sites:\n  example.com: {proxy:3000}\n",
     "2:17 `proxy:3000` has no value | a blank must follow the colon: `proxy: 3000`\n"},
    {"comma", "sites:\n  example.com: {respond: hello, world}\n",
     "2:33 `world` has no value | inside { } a comma ends a value: quote a text with a comma in it\n"},
    {"at", "user: @adit\n",
     "1:7 a value cannot begin with `@` unless quoted | quote it: \"@adit\"\n"},
    {"percent", "user: %adit\n",
     "1:7 a value cannot begin with `%` unless quoted | quote it: \"%adit\"\n"},
    {"backtick", "user: `adit`\n",
     "1:7 a value cannot begin with ``` unless quoted | quote it: \"`adit`\"\n"},
    {"pipe", "user: |adit\n",
     "1:7 `|` and `>` begin a text on the lines below | quote a value that begins with one of them\n"},
    {"gt", "user: >adit\n",
     "1:7 `|` and `>` begin a text on the lines below | quote a value that begins with one of them\n"},
    {"tab", "sites:\n\texample.com: {proxy: 3000}\n",
     "2:1 a tab in the indentation | indent with blanks: YAML does not take tabs\n"},
    {"two docs", "log: info\n---\nlog: warn\n",
     "2:1 a second YAML document begins here | a file holds one: take out the `---` or `...`\n"},
    {"dup", "log: info\nlog: warn\n",
     "2:1 duplicate key `log`\n"},
    {"dup site", "sites:\n  a.b: {proxy: 3000}\n  a.b: {proxy: 3001}\n",
     "3:3 duplicate key `a.b`\n"},
    {"flow regex", "sites:\n  example.com:\n    routes:\n      - {path: ~ ^/a[0-9], proxy: 3000}\n",
     "4:21 inside [ ] and { } a value without quotes ends at `[` | quote the whole value: \"~ ^/a[0-9]{2}\"\n"},
    {"flow regex2", "sites:\n  example.com:\n    routes:\n      - {path: ~ ^/a{2}, proxy: 3000}\n",
     "4:21 inside [ ] and { } a value without quotes ends at `{` | quote the whole value: \"~ ^/a[0-9]{2}\"\n"},
    {"v6 listen", "listen: [::1]:80\n",
     "1:14 text after the end of a [ ] list | quote an IPv6 address with a port: \"[::1]:8080\"\n"},
    {"v6 entry", "listen:\n  - [::1]:80\n",
     "2:10 text after the end of a [ ] list | quote an IPv6 address with a port: \"[::1]:8080\"\n"},
    {"second colon", "sites:\n  example.com: proxy: 3000\n",
     "2:21 a second `: ` in one line | quote the value, or put the inner keys on lines of their own below\n"},
    {"list same line", "listen: - 8080\n",
     "1:9 a list cannot begin behind its key on the same line | put each `- entry` on a line of its own below the key, or write [a, b]\n"},
    {"unclosed quote", "user: \"adit\n",
     "1:7 this quote is never closed | add the closing quote\n"},
    {"unclosed flow", "listen: [8080, 8081\n",
     "1:9 this `[` is never closed\n"},
    {"unclosed map", "sites:\n  example.com: {proxy: 3000\n",
     "2:16 this `{` is never closed\n"},
    {"after quote", "user: \"a\" b\n",
     "1:11 text after the closing quote | quote the whole value; inside '...' a quote is written '', inside \"...\" it is \\\"\n"},
    {"indent", "sites:\n  example.com:\n     proxy: 3000\n    access_log: off\n",
     "4:5 this line is indented unlike its neighbours | keys of one map begin in the same column\n"},
    {"deeper", "log: info\n  via: on\n",
     "1:6 the next line is indented deeper, but this key has a value | line the keys up, or take the value away\n"},
    {"no colon", "listen \":8080\"\nlog: info\n",
     "1:1 there is no colon behind `listen` | write `listen: \":8080\"`\n"},
    {"no colon flow", "sites:\n  example.com: {proxy 3000}\n",
     "2:17 `proxy 3000` has no value | write `proxy: 3000`; or quote the text before it, if the comma is part of it\n"},
    {"multi", "user: a\n  b\n",
     "1:7 a plain value goes on in the next line | check the indentation of the next line, or quote the value\n"},
    {"list fold", "listen: 8080\n  - 8081\n",
     "1:9 a plain value goes on in the next line | check the indentation of the next line, or quote the value\n"},
    {"escape", "sites:\n  example.com:\n    routes:\n      - {path: \"~ \\d\", proxy: 3000}\n",
     "4:19 unknown escape in double quotes | in single quotes a backslash is just a backslash: '^/a\\.b$'\n"},
    {"octal", "workers: 010\n",
     "1:10 `workers` takes a number, or `auto`, not `010` | write it without leading zeros: they mean octal to some readers\n"},
    {"hex", "workers: 0x10\n",
     "1:10 `workers` takes a number, or `auto`, not `0x10` | digits only: no unit, no separators, no exponent\n"},
    {"sexagesimal", "timeouts: {connect: 1:30}\n",
     "1:21 `connect` takes a duration, not `1:30` | whole numbers only: 1.5s is 1500ms, 1:30 is 1m30s\n"},
    {"underscore", "workers: 1_0\n",
     "1:10 `workers` takes a number, or `auto`, not `1_0` | digits only: no unit, no separators, no exponent\n"},
    {"yes", "via: yes\n",
     "1:6 `via` is `on` or `off`, not `yes` | write `on`\n"},
    {"On", "via: On\n",
     "1:6 `via` is `on` or `off`, not `On` | in lower case\n"},
    {"complex key", "? [a]\n: b\n",
     "1:3 a list cannot be a key | quote a value that begins with `[`, as in \"[::1]:8080\"\n"},
    {"map key", "{a: b}: c\n",
     "1:1 a map cannot be a key | quote a value that begins with `{`\n"},
    {"scalar", "just text\n",
     "1:1 the file must hold keys with values, like `listen: \":8080\"`\n"},
    {"list", "- a\n",
     "1:1 the file must hold keys with values, like `listen: \":8080\"`\n"},
    {"bidi", "user: a\342\200\256b\n",
     "1:8 an invisible character that changes lines or the order of the text (0x202e) | configuration files are UTF-8; in double quotes \\xNN and \\uNNNN stand for other characters\n"},
    {"latin1", "user: \351\n",
     "1:7 a byte that is not UTF-8 (0xe9) | configuration files are UTF-8; in double quotes \\xNN and \\uNNNN stand for other characters\n"},
    {"cr", "user: a\015log: info\n",
     "1:8 a carriage return without a line feed (0x0d) | configuration files are UTF-8; in double quotes \\xNN and \\uNNNN stand for other characters\n"},
    {"yaml11", "%YAML 1.1\n---\nvia: on\n",
     "1:1 YAML directives (`%`) are not taken | take the line out: files are YAML 1.2\n"},
    {"trailing bracket", "listen: [8080]]\n",
     "1:15 a bracket closes nothing | take it out, or quote the value\n"},
    {"dollar", "sites:\n  example.com:\n    errors: {404: 'costs 5$'}\n    proxy: 3000\n",
     "3:27 a `$` without a name | a dollar sign itself is written $$\n"},
    {"not", "trusted_proxies: [not 10.0.0.0/8]\n",
     "1:19 `not 10.0.0.0/8` is not a network | an address or a range, as in 10.0.0.0/8, fd00::/8 or 192.0.2.7\n"},
    {"default star", "sites:\n  \"*\": {proxy: 3000}\n",
     "2:3 `*`: any other host is written `default`\n"},
    {"seq in map", "sites:\n  example.com:\n    routes:\n    - path: /a\n    proxy: 3000\n",
     "4:7 this route does nothing | give it one of: proxy, tunnels, redirect, respond, files\n"},
    {"empty key", ": a\n",
     "1:1 an empty key | write `key: value`\n"},
    {"quote key", "\"log: info\n",
     "1:1 this quote is never closed | add the closing quote\n"},
    {"end doc", "log: info\n...\nvia: on\n",
     "2:1 a second YAML document begins here | a file holds one: take out the `---` or `...`\n"},
    {"emptyalias", "user: *\n",
     "1:7 `*` without quotes is a YAML alias, which this language has not | quote the value\n"},
    {"emptyanchor", "user: &\n",
     "1:7 `&` without quotes is a YAML anchor, which this language has not | quote the value\n"},
};
// clang-format on

static void every_trap_is_told(void)
{
    for (size_t i = 0; i < sizeof traps / sizeof traps[0]; i++) {
        if (!CHECK_STR(report_of(traps[i].text), traps[i].report)) {
            printf("#   trap: %s\n", traps[i].name);
        }
    }
}

static void a_nul_byte_is_told(void)
{
    struct conf_diags *d = conf_diags_new();
    struct conf_doc *doc = NULL;
    struct conf_load in = {
        .path = "adit.yaml",
        .text = SLICE("user: \"a\0b\"\n"),
        .tables = conf_tables,
    };
    REQUIRE(d != NULL);
    CHECK_EQ_INT(conf_load(&in, d, &doc), E_CONFIG);
    REQUIRE(conf_diags_first(d) != NULL);
    CHECK(slice_eq(conf_diags_first(d)->message, SLICE("a control character (0x00)")));
    conf_diags_free(d);
}

// Half of a file being written, most likely: a running server keeps what it has.
static void an_empty_file_is_told(void)
{
    static const char wanted[] =
        "1:1 there is nothing in the configuration | sites: {default: {proxy: 3000}}\n";
    CHECK_STR(canonical(""), wanted);
    CHECK_STR(canonical("# nothing\n"), wanted);
}

// What looks odd and is fine.
static void these_are_no_traps(void)
{
    CHECK_STR(canonical("\xef\xbb\xbf# a byte order mark, comments\n--- \nlog: \"info\"\r\n"),
              "{log: info}");
    CHECK_STR(canonical("{\"log\": \"info\", \"via\": true,}"), "{log: info, via: on}");
    CHECK_STR(canonical("user: |\n  adit\n"), "{user: adit\n}");
    CHECK_STR(canonical("user: \"null\"\n"), "{user: null}");
    CHECK_STR(canonical("user: a:b#c\n"), "{user: a:b#c}");
    CHECK_STR(
        canonical("sites:\n  a.b:\n    routes:\n      - {path: \"~ ^/a[0-9]{2}$\", proxy: 80}\n"
                  "      - path: ~ ^/b[0-9]\n        proxy: 81\n"),
        "{sites: {a.b: {routes: [{path: [~ ^/a[0-9]{2}$], proxy: {servers: [{at: "
        "127.0.0.1:80}]}}, {path: [~ ^/b[0-9]], proxy: {servers: [{at: 127.0.0.1:81}]}}]}}}");
}

TAP_MAIN(every_trap_is_told, a_nul_byte_is_told, an_empty_file_is_told, these_are_no_traps)

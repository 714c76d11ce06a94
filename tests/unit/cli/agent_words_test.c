// SPDX-License-Identifier: Apache-2.0
//
// The words of an agent's command line.

#include "tap.h"

#include "base/arena.h"
#include "cli/agent_words.h"

static struct arena arena;
static struct conf_problem problem;

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, 1 << 20);
}

static void reads_targets(void)
{
    static const struct {
        const char *word, *target, *shown;
        bool local, folder;
    } rows[] = {
        {"3000", "127.0.0.1:3000", "http://localhost:3000", true, false},
        {":3000", "127.0.0.1:3000", "http://localhost:3000", true, false},
        {"10.0.0.7:80", "10.0.0.7:80", "http://10.0.0.7:80", false, false},
        {"https://localhost:8443", "https://localhost:8443", "https://localhost:8443", false,
         false},
        {"unix:/run/app.sock", "unix:/run/app.sock", "unix:/run/app.sock", false, false},
        {"./", "./", "./", false, true},
        {".", ".", ".", false, true},
        {"/tmp", "/tmp", "/tmp", false, true},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct agent_tunnel t = {0};
        CHECK(agent_word_is_target(slice_str(rows[i].word)));
        CHECK_EQ_INT(agent_word_target(slice_str(rows[i].word), &arena, &t, &problem), 0);
        CHECK_TEXT(t.target.ptr, t.target.len, rows[i].target);
        CHECK_TEXT(t.shown.ptr, t.shown.len, rows[i].shown);
        CHECK(t.local == rows[i].local && t.folder == rows[i].folder);
    }
    static const char *const bad[] = {"0",
                                      "99999",
                                      "host:",
                                      "ftp://x:1",
                                      "srv://_http._tcp.a",
                                      "http://",
                                      "./no-such-folder",
                                      "/dev/null"};
    for (size_t i = 0; i < array_len(bad); i++) {
        struct agent_tunnel t = {0};
        if (!CHECK(agent_word_target(slice_str(bad[i]), &arena, &t, &problem) != 0)) {
            printf("# %s\n", bad[i]);
        }
    }
    CHECK(!agent_word_is_target(SLICE("serve")) && !agent_word_is_target(SLICE("-c")));
}

static void reads_edges(void)
{
    static const struct {
        const char *word, *host;
        unsigned port;
        bool secure, local;
    } rows[] = {
        {"tunnel.example.com", "tunnel.example.com", 443, true, false},
        {"Tunnel.Example.com:8443", "tunnel.example.com", 8443, true, false},
        {"https://tunnel.example.com/", "tunnel.example.com", 443, true, false},
        {"http://localhost:8080", "localhost", 8080, false, true},
        {"http://tunnel.localhost", "tunnel.localhost", 80, false, true},
        {"http://127.0.0.5:1", "127.0.0.5", 1, false, true},
        {"http://10.0.0.1", "10.0.0.1", 80, false, false},
        {"http://[::1]:8080", "::1", 8080, false, true},
        {"[2001:db8::1]", "2001:db8::1", 443, true, false},
    };
    for (size_t i = 0; i < array_len(rows); i++) {
        struct agent_edge e = {0};
        if (!CHECK_EQ_INT(agent_word_edge(slice_str(rows[i].word), &arena, &e, &problem), 0)) {
            printf("# %s: %s\n", rows[i].word, problem.what);
            continue;
        }
        CHECK_TEXT(e.host.ptr, e.host.len, rows[i].host);
        CHECK_EQ_INT(e.port, rows[i].port);
        CHECK(e.secure == rows[i].secure);
        CHECK(agent_edge_is_local(&e) == rows[i].local);
    }
    static const char *const bad[] = {"",     "*.example.com", "default", "a b",
                                      "x:0",  "x:70000",       "x:",      "https://",
                                      "[::1", "[::1]8",        "ftp://x", "a/b"};
    for (size_t i = 0; i < array_len(bad); i++) {
        struct agent_edge e = {0};
        if (!CHECK(agent_word_edge(slice_str(bad[i]), &arena, &e, &problem) != 0)) {
            printf("# %s\n", bad[i]);
        }
    }
}

static void reads_names_and_the_rest(void)
{
    struct slice out;
    CHECK_EQ_INT(agent_word_name(SLICE("MyApp-2"), &arena, &out, &problem), 0);
    CHECK_TEXT(out.ptr, out.len, "myapp-2");
    CHECK_EQ_INT(agent_word_name(SLICE("app.customer.com"), &arena, &out, &problem), 0);
    static const char *const bad[] = {"",    "-a",  "a-",       "a..b", ".a",          "a.",
                                      "a_b", "a b", "\xc3\xa4", "a-.b", "x\r\nHost: y"};
    for (size_t i = 0; i < array_len(bad); i++) {
        if (!CHECK(agent_word_name(slice_str(bad[i]), &arena, &out, &problem) != 0)) {
            printf("# %s\n", bad[i]);
        }
    }
    CHECK_EQ_INT(agent_word_network(SLICE("203.0.113.0/24"), &arena, &out, &problem), 0);
    CHECK(agent_word_network(SLICE("203.0.113.1/24"), &arena, &out, &problem) != 0);
    CHECK(agent_word_network(SLICE("unix"), &arena, &out, &problem) != 0);
    CHECK_EQ_INT(agent_word_user(SLICE("me:se:cret"), &arena, &out, &problem), 0);
    CHECK(agent_word_user(SLICE("me"), &arena, &out, &problem) != 0);
    CHECK(agent_word_user(SLICE(":x"), &arena, &out, &problem) != 0);
    CHECK(agent_word_user(SLICE("me:"), &arena, &out, &problem) != 0);
    CHECK(agent_word_is_token(SLICE("adit_abc")));
    CHECK(!agent_word_is_token(SLICE("adit abc")) && !agent_word_is_token(SLICE("a\r\nb")));
}

TAP_MAIN(setup, reads_targets, reads_edges, reads_names_and_the_rest)

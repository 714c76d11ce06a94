// SPDX-License-Identifier: Apache-2.0
//
// See host.h.

#include "host.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ensure.h"

enum { TOKENS = 8 };

static struct {
    pthread_mutex_t lock;
    pthread_t thread;
    int fd;
    struct {
        char token[300];
        char value[300];
    } rows[TOKENS];
} http = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = -1};

static pid_t tls_server;

// ---- HTTP-01 --------------------------------------------------------------------------------------

static void answer_one(int fd)
{
    char request[4096];
    char reply[1024];
    ssize_t n = read(fd, request, sizeof(request) - 1);
    request[n > 0 ? n : 0] = '\0';
    const char *body = "nothing here";
    pthread_mutex_lock(&http.lock);
    for (int i = 0; i < TOKENS; i++) {
        char line[400];
        (void)snprintf(line, sizeof(line), "GET /.well-known/acme-challenge/%s HTTP/1.1\r\n",
                       http.rows[i].token);
        if (http.rows[i].token[0] != '\0' && strncmp(request, line, strlen(line)) == 0) {
            body = http.rows[i].value;
        }
    }
    int len = snprintf(reply, sizeof(reply),
                       "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                       strlen(body), body);
    pthread_mutex_unlock(&http.lock);
    (void)!write(fd, reply, (size_t)len);
    close(fd);
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept(http.fd, NULL, NULL);
        if (fd < 0) {
            return NULL;
        }
        answer_one(fd);
    }
}

static void start_http(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    http.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ensure(setsockopt(http.fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int)) == 0);
    ensure(bind(http.fd, (struct sockaddr *)&at, sizeof(at)) == 0 && listen(http.fd, 16) == 0);
    ensure(pthread_create(&http.thread, NULL, serve, NULL) == 0);
}

static void set_row(struct slice token, struct slice value)
{
    bool done = false;
    pthread_mutex_lock(&http.lock);
    for (int i = 0; i < TOKENS && !done; i++) {
        bool mine = value.len == 0 ? slice_eq(slice_str(http.rows[i].token), token)
                                   : http.rows[i].token[0] == '\0';
        if (mine) {
            (void)snprintf(http.rows[i].token, sizeof(http.rows[i].token), "%.*s",
                           value.len == 0 ? 0 : (int)token.len, token.ptr);
            (void)snprintf(http.rows[i].value, sizeof(http.rows[i].value), "%.*s",
                           SLICE_ARG(value));
            done = true;
        }
    }
    pthread_mutex_unlock(&http.lock);
}

// ---- TLS-ALPN-01 ----------------------------------------------------------------------------------

static void write_secret(const char *path, struct slice text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    ensure(fd >= 0 && write(fd, text.ptr, text.len) == (ssize_t)text.len);
    close(fd);
}

static bool listens(uint16_t port)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return ok;
}

static void start_tls(const struct test_host *t, const struct acme_challenge *c)
{
    char cert[64] = "/tmp/adit-acme-XXXXXX";
    char key[72];
    char at[32];
    int fd = mkstemp(cert);
    ensure(fd >= 0);
    close(fd);
    (void)snprintf(key, sizeof(key), "%s.key", cert);
    write_secret(cert, c->chain);
    write_secret(key, c->key);
    (void)snprintf(at, sizeof(at), "127.0.0.1:%u", t->pebble->tls_port);
    tls_server = fork();
    if (tls_server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_RDWR);
        (void)dup2(null, 0);
        (void)dup2(null, 1);
        (void)dup2(null, 2);
        execlp("openssl", "openssl", "s_server", "-accept", at, "-cert", cert, "-key", key, "-alpn",
               "acme-tls/1", "-www", (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 200 && !listens(t->pebble->tls_port); i++) {
        (void)usleep(20000);
    }
    (void)unlink(cert);
    (void)unlink(key);
}

// ---- the host -------------------------------------------------------------------------------------

static void record_name(const struct acme_challenge *c, char out[300])
{
    (void)snprintf(out, 300, "_acme-challenge.%.*s.", SLICE_ARG(c->name));
}

static int present(struct acme_host *h, const struct acme_challenge *c, struct text *why)
{
    struct test_host *t = container_of(h, struct test_host, host);
    (void)why;
    t->presented++;
    t->kinds |= c->kind;
    if (t->cancel_inside) {
        atomic_store(&t->cancel, true);
    }
    if (t->pebble == NULL) {
        return 0;
    }
    char name[300];
    if (c->kind == ACME_HTTP_01) {
        set_row(c->token, t->lies ? SLICE("a lie") : c->value);
    } else if (c->kind == ACME_TLS_ALPN_01 && !t->lies) {
        start_tls(t, c);
    } else if (c->kind == ACME_DNS_01) {
        record_name(c, name);
        ensure(pebble_set_txt(t->pebble, name, c->value));
    }
    return 0;
}

static void withdraw(struct acme_host *h, const struct acme_challenge *c)
{
    struct test_host *t = container_of(h, struct test_host, host);
    t->withdrawn++;
    if (t->pebble == NULL) {
        return;
    }
    char name[300];
    if (c->kind == ACME_HTTP_01) {
        set_row(c->token, (struct slice){NULL, 0});
    } else if (c->kind == ACME_TLS_ALPN_01 && tls_server > 0) {
        (void)kill(tls_server, SIGKILL);
        (void)waitpid(tls_server, NULL, 0);
        tls_server = 0;
    } else if (c->kind == ACME_DNS_01) {
        record_name(c, name);
        (void)pebble_clear_txt(t->pebble, name);
    }
}

static bool load_account(struct acme_host *h, const struct acme_issuer *i, struct arena *a,
                         struct slice *key, struct slice *url)
{
    struct test_host *t = container_of(h, struct test_host, host);
    (void)i;
    *key = arena_dup(a, slice_of(t->key, t->key_len));
    *url = arena_dup(a, slice_of(t->url, t->url_len));
    return t->key_len > 0;
}

static int save_account(struct acme_host *h, const struct acme_issuer *i, struct slice key,
                        struct slice url)
{
    struct test_host *t = container_of(h, struct test_host, host);
    (void)i;
    ensure(key.len <= sizeof(t->key) && url.len <= sizeof(t->url));
    memcpy(t->key, key.ptr, key.len);
    t->key_len = key.len;
    memcpy(t->url, url.ptr, url.len);
    t->url_len = url.len;
    t->saves++;
    return 0;
}

void test_host_init(struct test_host *t, const struct pebble *p)
{
    *t = (struct test_host){
        .host = {.present = present,
                 .withdraw = withdraw,
                 .load_account = load_account,
                 .save_account = save_account},
        .pebble = p,
    };
    t->host.cancel = &t->cancel;
    if (p != NULL) {
        start_http(p->http_port);
    }
}

void test_host_fini(struct test_host *t)
{
    (void)t;
    if (http.fd >= 0) {
        (void)shutdown(http.fd, SHUT_RDWR);
        ensure(pthread_join(http.thread, NULL) == 0);
        close(http.fd);
        http.fd = -1;
    }
}

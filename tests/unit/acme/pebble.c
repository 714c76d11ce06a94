// SPDX-License-Identifier: Apache-2.0
//
// See pebble.h.

#include "pebble.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../tls/pki.h"
#include "acme/http.h"
#include "base/text.h"

static pid_t children[4];
static int child_count;
static char folder[64];
static char directory_url[64];

static void stop_at_exit(void)
{
    pebble_stop();
}

uint16_t free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0 &&
              getsockname(fd, (struct sockaddr *)&at, &len) == 0;
    close(fd);
    return ok ? ntohs(at.sin_port) : 0;
}

static void write_file(const char *name, struct slice text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    if (f == NULL || fwrite(text.ptr, 1, text.len, f) != text.len || fclose(f) != 0) {
        printf("Bail out! cannot write %s\n", path);
        exit(1);
    }
}

static void start(const char *const *names)
{
    char *argv[16] = {NULL};
    for (size_t i = 0; names[i] != NULL; i++) {
        memcpy(&argv[i], &names[i], sizeof(argv[i]));
    }
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char log[128];
        (void)snprintf(log, sizeof(log), "%s/%s.log", folder, argv[0]);
        int out = open(log, O_CREAT | O_WRONLY | O_TRUNC, 0600);
        (void)dup2(out, 1);
        (void)dup2(out, 2);
        setenv("PEBBLE_VA_NOSLEEP", "1", 1);
        setenv("PEBBLE_WFE_NONCEREJECT", "30", 1);
        setenv("PEBBLE_AUTHZREUSE", "0", 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    children[child_count++] = pid;
}

static bool answers(const char *url, struct slice ca)
{
    struct acme_http *h = NULL;
    struct arena a;
    struct acme_answer answer;
    char buffer[512];
    struct text why = text_on(buffer, sizeof(buffer));
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    struct acme_call call = {.url = slice_str(url), .clear_allowed = true, .direct = true};
    bool ok =
        acme_http_open(ca, NULL, &h, &why) == 0 && acme_http_call(h, &call, &a, &answer, &why) == 0;
    acme_http_close(h);
    arena_fini(&a);
    return ok;
}

static bool wait_for(const char *url, struct slice ca)
{
    for (int i = 0; i < 200; i++) {
        if (answers(url, ca)) {
            return true;
        }
        for (int c = 0; c < child_count; c++) {
            if (waitpid(children[c], NULL, WNOHANG) == children[c]) {
                children[c] = 0;
                return false;
            }
        }
        (void)nanosleep(&(struct timespec){0, 50000000}, NULL);
    }
    return false;
}

static void start_pebble(struct pebble *p, unsigned flags, uint16_t port, uint16_t dns)
{
    char config[1024];
    char path[128];
    char resolver[64];
    int len = snprintf(
        config, sizeof(config),
        "{\"pebble\": {\"listenAddress\": \"127.0.0.1:%u\", \"managementListenAddress\": \"\","
        " \"certificate\": \"%s/cert.pem\", \"privateKey\": \"%s/key.pem\","
        " \"httpPort\": %u, \"tlsPort\": %u, \"ocspResponderURL\": \"\","
        " \"externalAccountBindingRequired\": %s, \"externalAccountMACKeys\":"
        " {\"kid-1\": \"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W\"}}}",
        port, folder, folder, p->http_port, p->tls_port,
        (flags & PEBBLE_EAB) != 0 ? "true" : "false");
    write_file("pebble.json", slice_of(config, (size_t)len));
    (void)snprintf(path, sizeof(path), "%s/pebble.json", folder);
    (void)snprintf(resolver, sizeof(resolver), "127.0.0.1:%u", dns);
    start((const char *[]){"pebble", "-config", path, "-dnsserver", resolver, NULL});
}

static void start_dns(uint16_t dns, uint16_t control)
{
    char at[64];
    char management[64];
    (void)snprintf(at, sizeof(at), "127.0.0.1:%u", dns);
    (void)snprintf(management, sizeof(management), "127.0.0.1:%u", control);
    start((const char *[]){"pebble-challtestsrv", "-dns01", at, "-management", management,
                           "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv4",
                           "127.0.0.1", "-defaultIPv6", "", NULL});
}

bool pebble_start(struct pebble *p, unsigned flags)
{
    if (getenv("TAP_ALLOC_FAIL") != NULL) {
        return false;
    }
    (void)snprintf(folder, sizeof(folder), "/tmp/adit-pebble-XXXXXX");
    if (mkdtemp(folder) == NULL) {
        return false;
    }
    (void)atexit(stop_at_exit);
    struct pki_cert cert = pki_make(
        &(struct pki_order){.cn = "pebble", .names = "DNS:localhost,IP:127.0.0.1", .ca = true});
    write_file("cert.pem", cert.cert_pem);
    write_file("key.pem", cert.key_pem);
    uint16_t port = free_port();
    uint16_t dns = free_port();
    p->http_port = free_port();
    p->tls_port = free_port();
    p->dns_control = free_port();
    p->ca = cert.cert_pem;
    pki_free(&cert); // the texts stay
    (void)snprintf(directory_url, sizeof(directory_url), "https://localhost:%u/dir", port);
    p->directory = slice_str(directory_url);
    start_dns(dns, p->dns_control);
    start_pebble(p, flags, port, dns);
    char control[64];
    (void)snprintf(control, sizeof(control), "http://127.0.0.1:%u/", p->dns_control);
    return wait_for(directory_url, p->ca) && wait_for(control, p->ca);
}

void pebble_stop(void)
{
    for (; child_count > 0; child_count--) {
        pid_t pid = children[child_count - 1];
        if (pid > 0) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, NULL, 0);
        }
    }
    if (folder[0] != '\0') {
        static const char *const names[] = {"cert.pem", "key.pem", "pebble.json", "pebble.log",
                                            "pebble-challtestsrv.log"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
            char path[128];
            (void)snprintf(path, sizeof(path), "%s/%s", folder, names[i]);
            (void)unlink(path);
        }
        (void)rmdir(folder);
        folder[0] = '\0';
    }
}

static bool control_dns(const struct pebble *p, const char *what, struct slice body)
{
    struct acme_http *h = NULL;
    struct arena a;
    struct acme_answer answer;
    char url[128];
    char buffer[512];
    struct text why = text_on(buffer, sizeof(buffer));
    arena_init(&a, NULL, 0, NULL, 1 << 20);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/%s", p->dns_control, what);
    struct acme_call call = {.method = ACME_POST,
                             .url = slice_str(url),
                             .body = body,
                             .content_type = "application/json",
                             .clear_allowed = true,
                             .direct = true};
    bool ok = acme_http_open((struct slice){NULL, 0}, NULL, &h, &why) == 0 &&
              acme_http_call(h, &call, &a, &answer, &why) == 0 && answer.status == 200;
    acme_http_close(h);
    arena_fini(&a);
    return ok;
}

bool pebble_set_txt(const struct pebble *p, const char *name, struct slice value)
{
    char body[512];
    int len = snprintf(body, sizeof(body), "{\"host\":\"%s\",\"value\":\"%.*s\"}", name,
                       SLICE_ARG(value));
    return control_dns(p, "set-txt", slice_of(body, (size_t)len));
}

bool pebble_clear_txt(const struct pebble *p, const char *name)
{
    char body[512];
    int len = snprintf(body, sizeof(body), "{\"host\":\"%s\"}", name);
    return control_dns(p, "clear-txt", slice_of(body, (size_t)len));
}

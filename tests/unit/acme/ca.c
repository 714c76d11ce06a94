// SPDX-License-Identifier: Apache-2.0
//
// See ca.h.

#include "ca.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ensure.h"

#define PYTHON "/usr/bin/python3"

static pid_t child;
static char folder[64];

static void stop_at_exit(void)
{
    test_ca_stop();
}

static void run(int out)
{
    char script[512];
    const char *root = getenv("ADIT_SOURCE_ROOT");
    (void)snprintf(script, sizeof(script), "%s/tests/e2e/harness/acme.py",
                   root != NULL ? root : ".");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)dup2(out, 1);
    execl(PYTHON, PYTHON, script, folder, (char *)NULL);
    _exit(127);
}

static bool read_pem(struct test_ca *ca, const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        return false;
    }
    ca->pem_len = fread(ca->pem, 1, sizeof(ca->pem), f);
    return fclose(f) == 0 && ca->pem_len > 0;
}

bool test_ca_start(struct test_ca *ca)
{
    int out[2];
    char path[512] = "";
    if (getenv("TAP_ALLOC_FAIL") != NULL || pipe(out) != 0) {
        return false;
    }
    (void)snprintf(folder, sizeof(folder), "/tmp/adit-ca-XXXXXX");
    ensure(mkdtemp(folder) != NULL);
    (void)atexit(stop_at_exit);
    child = fork();
    if (child == 0) {
        run(out[1]);
    }
    close(out[1]);
    FILE *f = fdopen(out[0], "r");
    ensure(f != NULL);
    bool ok = fscanf(f, "%127s %511s", ca->origin, path) == 2;
    (void)fclose(f);
    return ok && read_pem(ca, path);
}

void test_ca_stop(void)
{
    if (child > 0) {
        (void)kill(child, SIGTERM);
        (void)waitpid(child, NULL, 0);
        child = 0;
    }
    DIR *dir = folder[0] != '\0' ? opendir(folder) : NULL;
    struct dirent *entry;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[400];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        (void)unlink(path);
    }
    if (dir != NULL) {
        (void)closedir(dir);
        (void)rmdir(folder);
    }
    folder[0] = '\0';
}

struct acme_issuer test_ca_issuer(const struct test_ca *ca, const char *plan)
{
    static char url[256];
    (void)snprintf(url, sizeof(url), "%s/%s/dir", ca->origin, plan);
    return (struct acme_issuer){
        .name = slice_str(plan), .directory = slice_str(url), .ca = slice_of(ca->pem, ca->pem_len)};
}

// SPDX-License-Identifier: Apache-2.0
//
// The program adit: which of its processes this one is. People start it with a command; the
// supervisor starts it again as keeper or worker, and becomes another supervisor by an upgrade, which
// are told by argv[0] (ipc/messages.h, super/exec.h).

#include <string.h>

#include "cli/cli.h"
#include "conf/schema.h"
#include "ipc/messages.h"
#include "keeper/keeper.h"
#include "super/exec.h"
#include "super/super.h"
#include "worker/worker.h"

int main(int argc, char **argv)
{
    const char *self = argc > 0 ? argv[0] : "";
    if (strcmp(self, WORKER_ARGV0) == 0) {
        return worker_main();
    }
    if (strcmp(self, KEEPER_ARGV0) == 0) {
        return keeper_main(conf_tables);
    }
    if (strcmp(self, SUPERVISOR_ARGV0) == 0) {
        return super_main(argc, argv);
    }
    return cli_main(argc, argv);
}

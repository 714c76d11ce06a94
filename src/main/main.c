// SPDX-License-Identifier: Apache-2.0
//
// The program adit: prints its version until the subcommands are here.

#include <stdio.h>

int main(void)
{
    puts("adit " ADIT_VERSION);
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// The program adit. For now it prints its version: the subcommands come in src/cli and are listed
// here, in the order in which the usage text names them.

#include <stdio.h>

int main(void)
{
    puts("adit " ADIT_VERSION);
    return 0;
}

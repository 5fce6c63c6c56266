/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asks one Java program to write its perf-PID.map (docs/security.md 15): a process of its own, which looks
 * at the program while it has the daemon's privileges, and does all that the program can notice
 * with the program's own ids and no capabilities. What it says to the program is HotSpot's attach
 * protocol: the file .attach_pidPID in /tmp and a SIGQUIT open the socket .java_pidPID there.
 */

/* The program's pid, its pid in its own namespace, its start in nanoseconds of CLOCK_BOOTTIME. Returns enum
 * attach_exit (protocol.h). */
int attach_main(char **argv);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Threads that sleep most of the time and must run at once when they wake, also on a machine with
 * more work than CPUs: what a process of 5 ms maps can be opened only while it lives.
 *
 * All of it is a wish: without CAP_SYS_NICE, or on a kernel that knows no such thing, nothing
 * changes and nothing fails.
 */

/*
 * For the calling thread; what it forks inherits it. A nice value of -10, and a short slice, which
 * means an early deadline when the thread wakes (EEVDF, Linux 6.12).
 */
void thread_hurry(void);

/*
 * For the session of the calling process, if it leads one, as a service does: where the kernel groups
 * tasks by session (sched(7), autogroup), nice values count only within one.
 */
void session_hurry(void);

/*
 * The opposite, for a process that was forked by one in a hurry: a session of its own, a nice
 * value of at least 0, the usual slice.
 */
void process_no_hurry(void);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * C whose object file has code in three sections (outer in .text, rare in .text.unlikely, setup in
 * .init.text), each with a call of inner() inlined.
 */

static const char object_source[] =
	"volatile int x;\n"
	"static inline __attribute__((always_inline)) void inner(int n)\n"
	"{\n"
	"	x += n;\n" /* 4 */
	"}\n"
	"void outer(int n);\n"
	"void outer(int n)\n"
	"{\n"
	"	inner(n);\n" /* 9 */
	"}\n"
	"__attribute__((cold)) void rare(void);\n"
	"__attribute__((cold)) void rare(void)\n"
	"{\n"
	"	inner(3);\n" /* 14 */
	"	for (int i = 0; i < 9; i++)\n"
	"		x ^= i;\n"
	"}\n"
	"__attribute__((section(\".init.text\"))) void setup(int n);\n"
	"__attribute__((section(\".init.text\"))) void setup(int n)\n"
	"{\n"
	"	inner(n);\n" /* 21 */
	"	for (int i = 0; i < n; i++)\n"
	"		x ^= n - i;\n"
	"	for (int i = 0; i < n; i++)\n"
	"		x += n * i;\n"
	"}\n";

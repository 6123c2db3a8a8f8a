/* SPDX-License-Identifier: MIT */
/* make-filter: prints the door's filters as C, for each architecture and mediation. */
#include <linux/audit.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/util.h"
#include "make.h"

static const struct {
	const char *name;
	struct architectures architectures;
} made[] = {
	{"x86_64", {AUDIT_ARCH_X86_64, AUDIT_ARCH_I386}},
	{"aarch64", {AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM}},
};

static int print_filter(
	const char *name, const struct architectures *architectures, enum mediation mediation)
{
	_cleanup_free_ struct sock_filter *program = NULL;
	unsigned short length;
	int r = filter_make(architectures, mediation, &program, &length);

	if (r < 0) {
		(void)fprintf(stderr, "make-filter: %s: libseccomp: %s\n", name, strerror(-r));
		return r;
	}
	printf("static const struct sock_filter %s_%s[] = {\n", name,
		mediation_to_string(mediation));
	for (unsigned short i = 0; i < length; i++)
		printf("\t{%#x, %u, %u, %#x},\n", program[i].code, program[i].jt, program[i].jf,
			program[i].k);
	printf("};\n");
	return 0;
}

int main(void)
{
	printf("/* Made by make-filter. */\n#include <linux/filter.h>\n");
	for (size_t i = 0; i < ELEMENTSOF(made); i++)
		for (int mediation = 0; mediation < MEDIATION_COUNT; mediation++)
			if (print_filter(made[i].name, &made[i].architectures,
				    (enum mediation)mediation) < 0)
				return EXIT_FAILURE;
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# make_filters DIRECTORY: filter-program.h there, by a program for this machine
make_filters() {
	gcc -std=gnu11 -D_GNU_SOURCE -iquote . launcher/filter/*.c common/{bpf,filter-id,syscalls}.c -lseccomp \
		-o "$1/make-filter" && "$1/make-filter" >"$1/filter-program.h"
}

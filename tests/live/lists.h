/* SPDX-License-Identifier: MIT */
/* Lists of /proc that fail, or end early, for whoever reads them. Needs --wrap=readdir64, its name
 * for large files. */
#pragma once

enum list_fault {
	LIST_WELL,
	LIST_FAILS,      /* with EIO */
	LIST_ENDS_EARLY, /* as the kernel's list of threads does when one of them ends */
};

/* Before the processes are started that are to see it. */
void lists_prepare(void);

/* Of the directories in /proc whose path ends with this. */
void lists_spoil(const char *ending, enum list_fault fault);

/* SPDX-License-Identifier: MIT */
/* Bytes written in full. */
#pragma once

#include <stddef.h>

/* All of them, whatever one write takes. 0 or negative errno. */
int write_all(int fd, const void *data, size_t size);

#define SEALS_ALL (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

/* Memory with these bytes that nobody can change any more. A descriptor, or a negative errno. */
int memfd_sealed(const char *name, const void *data, size_t size);

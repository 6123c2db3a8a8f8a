/* SPDX-License-Identifier: MIT */
/* Lists of structs that have members `previous` and `next`. */
#pragma once

#define LIST_ADD(head, item)                       \
	do {                                       \
		(item)->previous = NULL;           \
		(item)->next = (head);             \
		if (head)                          \
			(head)->previous = (item); \
		(head) = (item);                   \
	} while (0)

#define LIST_DROP(head, item)                                      \
	do {                                                       \
		if ((item)->previous)                              \
			(item)->previous->next = (item)->next;     \
		else                                               \
			(head) = (item)->next;                     \
		if ((item)->next)                                  \
			(item)->next->previous = (item)->previous; \
		(item)->previous = (item)->next = NULL;            \
	} while (0)

/* The body may drop and free the item that it looks at, and no other. */
#define FOREACH(item, head)                                                          \
	for (__typeof__(1 ? (head) : (head)) item = (head),                          \
					     item##_next = item ? item->next : NULL; \
		item; item = item##_next, item##_next = item ? item->next : NULL)

/* SPDX-License-Identifier: MIT */
/* Where the session program is, if nobody says it. */
#pragma once

/* The one that lies with this program, if this program runs from elsewhere than it is installed to.
 * 1 and its path, malloc'd; 0: none, the installed one is to be used; -EPERM and its path: it is
 * there, but somebody could have put it there who could not have replaced this program; or another
 * negative errno. */
int session_program_beside(char **ret);

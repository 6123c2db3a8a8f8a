/* SPDX-License-Identifier: MIT */
/* What the peers of one user have of both sockets. */
#include "account.h"

#include "include/limits.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/core/manager.h"

static const size_t shares[ACCOUNT_KINDS][SHARES] = {
	[ACCOUNT_ROOT] = {LAUNCHES_OF_ROOT_MAX, FD_RECEIVERS_PER_USER_MAX,
		CONTROL_CONNECTIONS_PER_USER_MAX, CONTROL_REFUSED_MAX, EXAMINATIONS_PER_USER_MAX,
		CONTROL_UNREAD_OF_ROOT_MAX},
	[ACCOUNT_USER] = {LAUNCHES_PER_USER_MAX, FD_RECEIVERS_PER_USER_MAX,
		CONTROL_CONNECTIONS_PER_USER_MAX, CONTROL_REFUSED_MAX, EXAMINATIONS_PER_USER_MAX,
		CONTROL_UNREAD_PER_USER_MAX},
};

struct account *account_of(struct manager *manager, uid_t uid)
{
	struct account *account;

	FOREACH (known, manager->accounts)
		if (known->uid == uid)
			return account_ref(known);
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	account->manager = manager;
	account->kind = uid == 0 ? ACCOUNT_ROOT : ACCOUNT_USER;
	account->uid = uid;
	account->references = 1;
	LIST_ADD(manager->accounts, account);
	return account;
}

struct account *account_ref(struct account *account)
{
	account->references++;
	return account;
}

struct account *account_unref(struct account *account)
{
	if (account && --account->references == 0) {
		LIST_DROP(account->manager->accounts, account);
		free(account);
	}
	return NULL;
}

bool account_is_full(const struct account *account, enum share share)
{
	const size_t each = shares[account->kind][share];
	size_t all = 0;

	FOREACH (other, account->manager->accounts)
		all += other->kind == account->kind ? other->taken[share] : 0;
	return account->taken[share] >= each || all >= ACCOUNTS_FULL_MAX * each;
}

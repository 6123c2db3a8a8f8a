/* SPDX-License-Identifier: MIT */
#include "sealed.h"

#include "include/write.h"

static int collect_grants(
	const struct policy *policy, const struct bindings *bindings, struct grants *grants)
{
	int r;

	for (size_t i = 0; i < bindings->plug_count; i++) {
		r = policy_add_plug_grants(policy, bindings->plugs[i], bindings->instance, grants);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < bindings->slot_count; i++) {
		r = policy_add_slot_grants(policy, bindings->slots[i], bindings->instance, grants);
		if (r < 0)
			return r;
	}
	grants_seal(grants);
	return 0;
}

int sealed_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size)
{
	_cleanup_free_ void *data = NULL;
	int r;

	r = grants_serialise(grants, &data, ret_size);
	if (r < 0)
		return r;
	*ret_fd = memfd_sealed("mqgate-grants", data, *ret_size);
	return MIN(*ret_fd, 0);
}

int grants_of(const struct policy *policy, const struct bindings *bindings, uint64_t generation,
	struct grants **ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	int r;

	r = grants_new(generation, &grants);
	r = r < 0 ? r : collect_grants(policy, bindings, grants);
	if (r == 0)
		*ret = take_pointer(grants);
	return r;
}

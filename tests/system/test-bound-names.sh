#!/bin/bash
# SPDX-License-Identifier: MIT
# Every bound of include/limits.h is named by a test, or here with the reason why not; and stands in mqgate-limits(7) with its value.
set -u
SOURCE_ROOT=${SOURCE_ROOT:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$SOURCE_ROOT" || exit 1
PAGE=conf/mqgate-limits.7

# NAME REASON
NOT_TESTED="
EXPIRY_RETRY_USEC a pace; that it is tried again is tested by test-state-faults.sh
WATCH_INTERVAL_USEC a pace
SPARE_RETRY_USEC a pace; that it is tried again is tested by test-scarce.sh
SESSION_MESSAGES_AT_ONCE a pace; test-fairness.sh tests what it is for
"

names() {
	grep -oP '^#define \K\w+' include/limits.h
}

COUNT=0
FAILED=0
# result DESCRIPTION: fails if there is anything on stdin
result() {
	local wrong

	wrong=$(cat)
	COUNT=$((COUNT + 1))
	if [ -z "$wrong" ]; then
		echo "ok $COUNT - $1"
	else
		echo "not ok $COUNT - $1"
		FAILED=$((FAILED + 1))
		sed 's/^/# /' <<<"$wrong" >&2
	fi
}

is_exempt() {
	grep -q "^$1 ." <<<"$NOT_TESTED"
}

is_named_by_a_test() {
	grep -rqw --exclude=test-bound-names.sh --exclude-dir=bench -- "$1" tests
}

# values: NAME EXPRESSION
values() {
	{
		echo '#include "include/limits.h"'
		names | sed 's/.*/"&" &/'
	} | cc -E -P -iquote . -xc - | sed -nE 's/^"(\w+)" (.*)$/\1 \2/p'
}

shown() {
	local name expression number

	while read -r name expression; do
		number=$((${expression//ULL/}))
		case $name in
		*_USEC)
			if ((number % 1000000)); then
				echo "$name $((number / 1000)) ms"
			else
				echo "$name $((number / 1000000)) s"
			fi
			;;
		*)
			echo "$name $number"
			;;
		esac
	done < <(values)
}

in_page() {
	sed -nE 's/^\.BR ([A-Z_]+) " (.*)"$/\1 \2/p' "$PAGE"
}

untested() {
	local name

	for name in $(names); do
		is_exempt "$name" || is_named_by_a_test "$name" || echo "$name"
	done
}

needless() {
	local name

	for name in $(sed -nE 's/^([A-Z_]+) .*/\1/p' <<<"$NOT_TESTED"); do
		names | grep -qx "$name" || echo "$name is no bound"
		! is_named_by_a_test "$name" || echo "$name is tested"
	done
}

echo "TAP version 13"
result "every bound is named by a test, or is an exception with a reason" < <(untested)
result "every exception is one" < <(needless)
result "mqgate-limits(7) has every bound with its value" \
	< <(diff <(shown | sort) <(in_page | sort) | grep '^[<>]')
echo "1..$COUNT"
[ "$FAILED" = 0 ]

#!/bin/bash
# SPDX-License-Identifier: MIT
# What others make of mqctl's output: promtool, a node_exporter that is fed with it, the parser of Prometheus' own client, and dot.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package app.yaml <<'YAML'
name: app
plugs:
  in: {interface: posix-mq, posix-mq: events}
slots:
  events: {interface: posix-mq, posix-mq: events, path: @Q@events, permissions: [read, write]}
YAML
start_daemon
mqtry "umask 0" "look ${Q}events rwc 0666 4 64" >/dev/null
mqctl connect app:in app:events
mqctl disconnect app:in app:events
mqctl connect app:in app:events
mqctl metrics >empty
start_app one mq-run --plug app:in mqtry
tell one "open ${Q}events rw"
tell one "send hello"
tell one "open ${Q}other r"
mqctl metrics >prometheus
mqctl metrics --format=openmetrics >openmetrics
stop_app one
mqctl metrics >ended

# texts SVG: what stands in it
texts() {
	sed -n 's/.*<text[^>]*>\(.*\)<\/text>.*/\1/p' "$1" | sed 's/&#45;/-/g' | sort
}

# needs COMMAND PACKAGE DESCRIPTION
needs() {
	command -v "$1" >/dev/null || { skip "$3" "$1 is not installed (Debian: $2)" && false; }
}

# approved FILE: without any complaint
approved() {
	local said

	said=$(promtool check metrics <"$1" 2>&1)
	STATUS=$?
	echo "$said"
	[ $STATUS = 0 ] && [ -z "$said" ]
}

if needs promtool prometheus "promtool"; then
	for file in empty prometheus ended; do
		holds "promtool check metrics: $file" approved $file
	done
	sed 's/^mqgate_calls_total/mqgate-calls/' prometheus >wrong
	holds "promtool would complain" eval '! approved wrong'
fi

# parsed FILE: by the client for Python, which also knows OpenMetrics
parsed() {
	/usr/bin/python3 - "$1" <<'PYTHON'
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
families = {f.name: f for f in text_string_to_metric_families(open(sys.argv[1]).read())}
calls = {s.labels['plug']: s.value for s in families['mqgate_calls'].samples}
assert calls['app:in'] == 3, calls
assert families['mqgate_change_duration_seconds'].type == 'histogram'
PYTHON
}
if /usr/bin/python3 -c 'import prometheus_client' 2>/dev/null; then
	holds "OpenMetrics: parsed" parsed openmetrics
else
	skip "OpenMetrics: parsed" "the client for Python is not installed (Debian: python3-prometheus-client)"
fi

scrape() {
	/usr/bin/python3 -c 'import sys, urllib.request
sys.stdout.write(urllib.request.urlopen(sys.argv[1], timeout=5).read().decode())' "http://127.0.0.1:$PORT/metrics" >"$WORK/scraped" 2>/dev/null
}

if needs prometheus-node-exporter prometheus-node-exporter "node_exporter"; then
	PORT=$((20000 + $$ % 20000))
	mkdir "$WORK/collected"
	cp prometheus "$WORK/collected/mqgate.prom"
	prometheus-node-exporter --web.listen-address="127.0.0.1:$PORT" --collector.disable-defaults \
		--collector.textfile --collector.textfile.directory="$WORK/collected" >"$WORK/exporter.log" 2>&1 &
	EXPORTER=$!
	holds "node_exporter answers" wait_until 30 scrape
	holds "node_exporter: it could read the file" grep -x 'node_textfile_scrape_error 0' scraped
	holds "node_exporter: calls, by plug" grep -x 'mqgate_calls_total{plug="app:in"} 3' scraped
	holds "node_exporter: the histogram of changes" \
		grep -x 'mqgate_change_duration_seconds_count{change="connect"} 2' scraped
	kill $EXPORTER
	wait $EXPORTER 2>/dev/null
fi

if needs dot graphviz "dot"; then
	mqctl graph --format=dot --live >graph
	holds "dot draws the graph" dot -Tsvg -o drawn graph
	holds "… with the plug, the slot and what it gives" eval \
		'texts drawn | grep -x in && texts drawn | grep -x "${Q}events" && texts drawn | grep -x open,read,write'

	# README.md shows the packages that come with mqgate.
	stop_daemon
	rm "$WORK"/packages/*
	cp "$SOURCE_ROOT"/conf/packages.d/*.yaml "$WORK/packages"
	start_daemon
	mqctl connect logger:events sensor:events
	mqctl connect render-farm:work render-farm:jobs
	mqctl graph --format=dot | dot -Tsvg -o drawn
	texts drawn >now
	texts "$SOURCE_ROOT/doc/graph.svg" >shown
	holds "doc/graph.svg is what mqctl graph makes now of these packages" diff -u shown now
fi
finish

#!/usr/bin/env bash
# Measures echo through the pipeline side by side: Flamingo, and the plain
# designs that a Go program would have instead. Server on core 0, client on
# core 1; the kinds alternate; medians. Prints a table in Markdown.
#
#   scripts/bench-echo.sh [ROUNDS]     default 5 rounds of 3 s
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=${1:-5}
seconds=3
kinds=(flamingo serve hop net)
loads=("100 32" "100 1")
addr=127.0.0.1:4990

dir=$(mktemp -d)
server=
cleanup() {
	[[ -z $server ]] || kill -INT "$server" 2>/dev/null || true
	rm -rf "$dir"
}
trap cleanup EXIT
go build -o "$dir/echobench" ./test/echobench

start() { # KIND
	taskset -c 0 "$dir/echobench" serve -kind "$1" -addr "$addr" >"$dir/server.out" 2>&1 &
	server=$!
	for _ in $(seq 100); do
		(exec 3<>"/dev/tcp/${addr%:*}/${addr#*:}") 2>/dev/null && return
		sleep 0.05
	done
	echo "the server does not listen on $addr:" >&2
	cat "$dir/server.out" >&2
	exit 1
}
stop() {
	kill -INT "$server"
	wait "$server" || true
	server=
}
median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

for ((round = 1; round <= rounds; round++)); do
	for kind in "${kinds[@]}"; do
		for load in "${loads[@]}"; do
			read -r conns outstanding <<<"$load"
			start "$kind"
			taskset -c 1 "$dir/echobench" load -addr "$addr" -conns "$conns" -outstanding "$outstanding" -seconds "$seconds" \
				>>"$dir/$kind.$conns.$outstanding"
			stop
		done
	done
	echo "round $round of $rounds" >&2
done

echo "$(nproc) cores, $(go version | cut -d' ' -f3), Linux $(uname -r), commit $(git rev-parse --short HEAD 2>/dev/null || echo none); medians of $rounds rounds of $seconds s"
echo
echo "| messages a second, 64 bytes | flamingo | flamingo, Serve | net and channels | net, no hop | flamingo : channels |"
echo "|---|$(printf -- '---:|%.0s' "${kinds[@]}")---:|"
for load in "${loads[@]}"; do
	read -r conns outstanding <<<"$load"
	row="| $conns connections × $outstanding outstanding |"
	for kind in "${kinds[@]}"; do
		row+=" $(median <"$dir/$kind.$conns.$outstanding") |"
	done
	row+=" $(awk -v a="$(median <"$dir/flamingo.$conns.$outstanding")" -v b="$(median <"$dir/hop.$conns.$outstanding")" 'BEGIN {printf "%.2f", a / b}') |"
	echo "$row"
done

# Bytes of heap and stacks for each idle connection: the slope between two sizes.
start flamingo
declare -A bytes
clients=()
for size in 2000 12000; do
	"$dir/echobench" idle -addr "$addr" -conns $((size - ${held:-0})) >/dev/null &
	clients+=($!)
	held=$size
	for _ in $(seq 200); do
		line=$(grep "^connections $size " "$dir/server.out" || true)
		[[ -z $line ]] || break
		sleep 0.1
	done
	[[ -n $line ]] || { echo "the server never held $size connections" >&2; exit 1; }
	bytes[$size]=${line##* }
done
kill -INT "${clients[@]}"
wait "${clients[@]}" || true
echo
echo "user-space bytes for each idle connection, slope from 2,000 to 12,000: $(((bytes[12000] - bytes[2000]) / 10000))"
stop

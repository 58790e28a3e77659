#!/bin/sh
# The program of the showcase bundle: says, from inside the container, what is isolated and what is limited.

section() { printf '\n== %s\n' "$1"; }
show() { printf '   %-28s %s\n' "$1" "$2"; }
# Runs a command that must be refused, and shows the refusal.
refused() {
	what=$1
	shift
	if message=$("$@" 2>&1); then
		show "$what" "WORKED, but must not"
	else
		show "$what" "refused: ${message##*: }"
	fi
}
write() { (echo 1 >"$1"); }
knob() { show "$1" "$(tr '\n' ' ' 2>/dev/null <"/sys/fs/cgroup/$1" || echo 'not available')"; }

section "who and where"
show "user" "$(id)"
show "hostname" "$(hostname)"
show "processor" "$(grep -c ^processor /proc/cpuinfo) on this machine, $(nproc) for us"
show "this shell is process" "$$"
show "all processes" "$(echo $(ps -o pid,comm | sed 1d) )"
show "network interfaces" "$(echo $(ls /sys/class/net))"

section "three layers, one root"
show "/" "$(awk '$2 == "/" { print $3 }' /proc/mounts | tail -n 1)"
cd /opt/showcase || exit 1
for file in kept.txt added.txt replaced.txt menu/*; do
	show "$file" "$(cat "$file")"
done
for file in deleted.txt menu/soup.txt; do
	[ -e "$file" ] && show "$file" "EXISTS, but must not" || show "$file" "hidden by a layer above"
done
echo "private" >/home/showcase/note
show "a write into the root" "goes to a tmpfs that ends with this container"

section "limits (cgroup v2)"
for name in memory.max cpu.weight cpuset.cpus.effective pids.max io.max io.weight; do
	knob $name
done
if grep -q wbps /sys/fs/cgroup/io.max 2>/dev/null; then
	start=$(date +%s)
	dd if=/dev/zero of=/data/block bs=1M count=8 oflag=direct 2>/dev/null
	show "writing 8 MiB to /data" "took $(($(date +%s) - start)) s (limit: 4 MiB a second)"
	rm -f /data/block
fi

section "confinement"
show "capabilities" "$(awk '/^Cap(Eff|Bnd)/ { printf "%s %s ", $1, $2 }' /proc/self/status)"
show "new privileges" "$(awk '/^NoNewPrivs/ { print $2 == 1 ? "never" : "POSSIBLE" }' /proc/self/status)"
for path in /proc/sys /proc/bus /sys /sys/fs/cgroup; do
	show "$path" "$(awk -v path=$path '$2 == path { print $4 ~ /^ro/ ? "read-only" : "WRITABLE" }' /proc/mounts)"
done
refused "write to /proc/sys" write /proc/sys/kernel/hostname
refused "write to the cgroup" write /sys/fs/cgroup/memory.max
refused "write to /opt" write /opt/showcase/kept.txt
refused "mount" mount -t tmpfs none /tmp
refused "sethostname" hostname other
show "/proc/kcore" "$( (wc -c </proc/kcore) 2>&1) bytes: masked"
show "/sys/firmware" "$(ls /sys/firmware | wc -l) entries: masked"

section "a volume that stays"
echo "visit $(($(wc -l 2>/dev/null </data/visits || echo 0) + 1))" >>/data/visits
while read -r line; do
	show "/data/visits" "$line"
done </data/visits

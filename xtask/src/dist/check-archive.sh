# Runs as root with a network and processes of its own: the programs of an archive are started where there is nothing else, and used.
# run.sh FOLDER [EMULATOR]: the unpacked archive, which becomes the root, and what runs programs of another processor in it.
set -eu
export LC_ALL=C
root=$1 emulator=${2:-}

step() { echo "-- $*"; }
fail() {
  echo "FAILED: $*" >&2
  [ ! -e "$root/data/log" ] || tail -n 30 "$root/data/log" >&2
  exit 1
}
# equal WHAT EXPECTED GOT
equal() { [ "$2" = "$3" ] || fail "$1: '$3', not '$2'"; }
# within WHAT COMMAND...: it comes true within 60 seconds, as emulators are slow.
within() {
  what=$1 tries=600
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$what"
    sleep 0.1
  done
}
# Where `env` would look for it without a PATH, it need not be.
chroot=$(command -v chroot)
# program NAME ARGS...
program() {
  name=$1
  shift
  # shellcheck disable=SC2086
  exec env -i NOTIFY_SOCKET=/check/notify "$chroot" "$root" $emulator "/bin/$name" "$@"
}
cli() { (program rivulet-cli "$@" 2>&1); }
ready_count() { grep -c READY=1 "$root/check/notified" || true; }
is_ready() { [ "$(ready_count)" -gt "$1" ]; }
# start ARGS...
start() {
  before=$(ready_count)
  program rivulet-server --dir /data --logfile /data/log --supervised systemd --enable-debug-command yes "$@" &
  pid=$!
  within "the server does not say that it is ready" is_ready "$before"
}
stop() {
  kill -TERM "$1"
  wait "$1" || fail "a server ended with status $?"
}

step "each program starts"
for name in rivulet-server rivulet-sentinel rivulet-cli rivulet-check-rdb rivulet-check-aof; do
  (program $name --version)
done

step "the server is used"
mkdir -m 700 "$root/data"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
  -keyout "$root/data/key" -out "$root/data/cert" 2>/dev/null
start --appendonly yes --tls-port 6390 --tls-cert-file /data/cert --tls-key-file /data/key --tls-ca-cert-file /data/cert --tls-auth-clients no
master=$pid
equal "SET" OK "$(cli SET greeting hello)"
equal "a script" 5000 "$(cli EVAL 'for i = 1, 5000 do redis.call("RPUSH", KEYS[1], i) end return redis.call("LLEN", KEYS[1])' 1 list)"
equal "GET over TLS" hello "$(cli -p 6390 --tls --cacert /data/cert --sni localhost GET greeting)"
equal "SAVE" OK "$(cli SAVE)"
digest=$(cli DEBUG DIGEST)
[ ${#digest} = 40 ] || fail "DEBUG DIGEST: '$digest'"
(program rivulet-check-rdb /data/dump.rdb) | grep -q 'RDB looks OK' || fail "a fault in the snapshot"

step "a replica has the same data"
start --port 6380 --replicaof 127.0.0.1 6379 --dbfilename replica.rdb
link_is_up() { cli -p 6380 INFO replication | grep -q 'master_link_status:up'; }
within "the link is not up" link_is_up
equal "the replica's data" "$digest" "$(cli -p 6380 DEBUG DIGEST)"
stop $pid

step "a crash is told with the names of functions"
start --port 6381 --dbfilename none.rdb --logfile /data/crash
cli -p 6381 DEBUG SEGFAULT >/dev/null || true
! wait $pid || fail "it has not crashed"
grep -q 'REDIS BUG REPORT END' "$root/data/crash" || fail "no report of the crash: $(cat "$root/data/crash")"
grep -q 'debug_command' "$root/data/crash" || fail "no stack: $(sed -n '/STACK/,/INFO OUTPUT/p' "$root/data/crash")"

step "its data are there after a restart"
stop $master
(program rivulet-check-aof /data/appendonlydir/appendonly.aof.manifest) | grep -q 'valid' || fail "a fault in the append-only file"
start --appendonly yes
equal "the data" "$digest" "$(cli DEBUG DIGEST)"
stop $pid
step "done"

# What the scripts of checks in a clean Debian begin with. There is no systemd in it; somebody outside hears what the servers would tell systemd, and
# writes it to /check/notified.
set -eu
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

step() { echo "-- $*"; }
fail() {
  echo "FAILED: $*" >&2
  for log in /var/log/rivulet/*.log; do [ ! -e "$log" ] || tail -n 20 "$log" >&2; done
  exit 1
}
# equal WHAT EXPECTED GOT
equal() { [ "$2" = "$3" ] || fail "$1: '$3', not '$2'"; }
# within WHAT COMMAND...: it comes true within 20 seconds.
within() {
  what=$1 tries=200
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || fail "$what"
    sleep 0.1
  done
}
cli() { rivulet-cli "$@" 2>&1; }
ready_count() { grep -c READY=1 /check/notified || true; }
is_ready() { [ "$(ready_count)" -gt "$1" ]; }

# value NAME: what the unit says.
value() { sed -n "s/^$1=//p" "$unit"; }
# launch UNIT: the line of the unit as its user, with the rights and folders that it names.
launch() {
  unit=/usr/lib/systemd/system/$1.service
  before=$(ready_count)
  install -d -m "$(value RuntimeDirectoryMode)" -o "$(value User)" -g "$(value Group)" "/run/$(value RuntimeDirectory)"
  (
    umask "$(value UMask)"
    # shellcheck disable=SC2046
    exec env -i PATH=/usr/bin:/bin NOTIFY_SOCKET=/check/notify setpriv --reuid "$(value User)" --regid "$(value Group)" --init-groups \
      --bounding-set=-all --no-new-privs -- $(value ExecStart)
  ) &
  pid=$!
}
# start UNIT: the same, until it says that it is ready.
start() {
  launch "$1"
  within "$1 does not say that it is ready" is_ready "$before"
  kill -0 $pid 2>/dev/null || fail "$1 has ended"
}
stop() {
  kill -TERM $pid
  wait $pid || fail "it ended with status $?"
}

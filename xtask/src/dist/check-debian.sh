# Runs in a clean Debian as root: the packages are installed, what is in them is started as its unit says, used, removed and purged. There is no
# systemd in it; somebody outside hears what the servers would tell systemd, and writes it to /check/notified.
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
# start UNIT: the line of the unit as its user, with the rights and folders that it names.
start() {
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
  within "$1 does not say that it is ready" is_ready "$before"
  kill -0 $pid 2>/dev/null || fail "$1 has ended"
}
stop() {
  kill -TERM $pid
  wait $pid || fail "it ended with status $?"
}

step "rivulet-server and rivulet-tools install"
dpkg -i /check/rivulet-server.deb /check/rivulet-tools.deb >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
equal "owner of the data" rivulet:rivulet:750 "$(stat -c %U:%G:%a /var/lib/rivulet)"
equal "owner of the configuration" rivulet:rivulet:640 "$(stat -c %U:%G:%a /etc/rivulet/rivulet.conf)"
rivulet-server --version
rivulet-sentinel --version >/dev/null
rivulet-check-rdb --version
rivulet-check-aof --version

for page in server.1 sentinel.1 cli.1 check-rdb.1 check-aof.1; do
  gzip -t "/usr/share/man/man1/rivulet-$page.gz" || fail "no page of the manual for rivulet-$page"
  [ -s "/usr/share/bash-completion/completions/rivulet-${page%.1}" ] || fail "no completions for rivulet-$page"
done
gzip -t /usr/share/man/man5/rivulet.conf.5.gz || fail "no page of the manual for rivulet.conf"

step "the server starts as its unit says, and is used"
start rivulet-server
equal "PING" PONG "$(cli PING)"
equal "SET" OK "$(cli SET greeting hello)"
equal "CONFIG SET" OK "$(cli CONFIG SET maxclients 1234)"
equal "CONFIG REWRITE" OK "$(cli CONFIG REWRITE)"
equal "the server's user" rivulet "$(stat -c %U /proc/$pid)"
[ -s /run/rivulet/rivulet-server.pid ] || fail "there is no pid file"
[ -s /var/log/rivulet/rivulet.log ] || fail "there is no log"

step "its data are there after a restart"
stop
start rivulet-server
equal "GET" hello "$(cli GET greeting)"
equal "CONFIG GET" 1234 "$(cli CONFIG GET maxclients | tail -n 1)"
server=$pid

step "a Sentinel starts as its unit says, and finds the master"
start rivulet-sentinel
equal "PING" PONG "$(cli -p 26379 PING)"
equal "the master" "127.0.0.1 6379" "$(cli -p 26379 SENTINEL get-master-addr-by-name mymaster | xargs)"
watches() { cli -p 26379 SENTINEL master mymaster | grep -q '^role-reported-time$' && cli -p 26379 INFO sentinel | grep -q 'status=ok'; }
within "the Sentinel does not reach the master" watches
stop
pid=$server
stop

step "rivulet-redis-compat has the names of Redis's programs, and can't be beside them"
dpkg -i /check/rivulet-redis-compat.deb >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
for name in server sentinel cli check-rdb check-aof; do
  equal "redis-$name" "$(rivulet-$name --version)" "$(redis-$name --version)"
done
redis-check-rdb /var/lib/rivulet/dump.rdb | grep -q 'RDB looks OK' || fail "redis-check-rdb finds a fault in the snapshot"
mkdir -p /check/other/DEBIAN
printf 'Package: redis-server\nVersion: 99\nArchitecture: all\nMaintainer: nobody\nDescription: not ours\n' >/check/other/DEBIAN/control
dpkg-deb -b /check/other /check/other.deb >/dev/null
! dpkg -i /check/other.deb >/check/dpkg.log 2>&1 || fail "Debian's redis-server installs beside it"
grep -q conflicting /check/dpkg.log || fail "$(cat /check/dpkg.log)"
dpkg -P redis-server >/dev/null 2>&1 || true
dpkg -P rivulet-redis-compat >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
[ ! -e /usr/bin/redis-cli ] && [ ! -L /usr/bin/redis-cli ] || fail "redis-cli is still there"

step "the server is removed, and nothing of its user's goes"
dpkg -r rivulet-server >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
[ ! -e /usr/bin/rivulet-server ] || fail "the program is still there"
[ -s /var/lib/rivulet/dump.rdb ] || fail "the data are gone"
grep -q '^maxclients 1234$' /etc/rivulet/rivulet.conf || fail "the configuration is gone"

step "it is installed again, over what was changed, and has its data"
dpkg --force-confold -i /check/rivulet-server.deb >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
start rivulet-server
equal "GET" hello "$(cli GET greeting)"
equal "CONFIG GET" 1234 "$(cli CONFIG GET maxclients | tail -n 1)"
stop

step "it is purged, and nothing is left"
dpkg -P rivulet-server rivulet-tools >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
rm -rf /run/rivulet /run/rivulet-sentinel
left=$(find / -xdev -path /proc -prune -o -path /check -prune -o -name '*rivulet*' -print)
[ -z "$left" ] || fail "left behind: $left"
! getent passwd rivulet >/dev/null || fail "the user is still there"
known=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' 'rivulet-*' 2>/dev/null | grep -v 'not-installed$' || true)
[ -z "$known" ] || fail "dpkg still knows of $known"
step "done"

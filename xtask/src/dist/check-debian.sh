# Runs in a clean Debian as root, behind check-common.sh: the packages are installed, what is in them is started as its unit says, used, removed and
# purged.

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

step "it is ready only when its data are loaded"
equal "a script" 20001 "$(cli EVAL 'for i = 1, 20000 do redis.call("SET", "key:" .. i, i) end return redis.call("DBSIZE")' 0)"
stop
cp -p /etc/rivulet/rivulet.conf /check/rivulet.conf
# Microseconds for each key: at least four seconds.
echo 'key-load-delay 200' >>/etc/rivulet/rivulet.conf
launch rivulet-server
loads() { cli PING | grep -q '^LOADING '; }
within "PING is answered while data are loaded" loads
equal "how often it was ready while it loads" "$before" "$(ready_count)"
within "it does not say that it is ready" is_ready "$before"
equal "PING" PONG "$(cli PING)"
equal "DBSIZE" 20001 "$(cli DBSIZE)"
stop
cp -p /check/rivulet.conf /etc/rivulet/rivulet.conf
start rivulet-server
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

step "a newer version takes its place, and what was changed stays"
dpkg-deb -R /check/rivulet-server.deb /check/newer
sed -i 's/^Version: .*/Version: 99.0-1/' /check/newer/DEBIAN/control
echo '# What a later version has to say.' >>/check/newer/etc/rivulet/rivulet.conf
dpkg-deb -b /check/newer /check/newer.deb >/dev/null
dpkg --force-confold -i /check/newer.deb >/check/dpkg.log 2>&1 || fail "$(cat /check/dpkg.log)"
equal "the version" 99.0-1 "$(dpkg-query -W -f '${Version}' rivulet-server)"
equal "owner of the data" rivulet:rivulet:750 "$(stat -c %U:%G:%a /var/lib/rivulet)"
equal "owner of the configuration" rivulet:rivulet:640 "$(stat -c %U:%G:%a /etc/rivulet/rivulet.conf)"
[ -s /etc/rivulet/rivulet.conf.dpkg-dist ] || fail "the later configuration is not beside the user's"
start rivulet-server
equal "GET" hello "$(cli GET greeting)"
equal "CONFIG GET" 1234 "$(cli CONFIG GET maxclients | tail -n 1)"
stop

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

# Runs as root, behind check-common.sh, in a clean Debian that has rpm and nothing that packages ask for: they are installed with their scripts,
# started as their units say, used, installed anew and removed. What the scripts would tell systemd is written down.

printf '#!/bin/sh\necho "$*" >>/check/told\n' >/usr/bin/systemctl
chmod 755 /usr/bin/systemctl
# told WHAT: what systemd has heard since the last time, but for that it reads its units again.
told() {
  equal "what systemd is told" "$1" "$(grep -v daemon-reload /check/told || true)"
  grep -q daemon-reload /check/told || fail "systemd does not read its units again"
  rm /check/told
}
units="rivulet-server.service rivulet-sentinel.service"
# rpm_ ARGS...: scripts that go wrong are told, too.
rpm_() {
  rpm --force-debian "$@" >/check/rpm.log 2>&1 || fail "rpm $*: $(cat /check/rpm.log)"
  [ ! -s /check/rpm.log ] || fail "rpm $*: $(cat /check/rpm.log)"
}

step "rivulet-server and rivulet-tools install"
rpm_ -i --nodeps /check/rivulet-server.rpm /check/rivulet-tools.rpm
told "preset $units"
equal "the user" /var/lib/rivulet:/sbin/nologin "$(getent passwd rivulet | cut -d: -f6-7)"
equal "owner of the data" rivulet:rivulet:750 "$(stat -c %U:%G:%a /var/lib/rivulet)"
for file in rivulet.conf sentinel.conf; do
  equal "owner of $file" rivulet:rivulet:640 "$(stat -c %U:%G:%a /etc/rivulet/$file)"
done
equal "what differs from the packages" "" "$(rpm --force-debian -V --nodeps rivulet-server rivulet-tools 2>&1 || true)"
for program in server sentinel cli check-rdb check-aof; do
  rivulet-$program --version
done
for package in rivulet-server rivulet-tools; do
  for file in LICENSE THIRD-PARTY.txt; do
    [ -s "/usr/share/licenses/$package/$file" ] || fail "$package has no $file"
  done
done

step "the server starts as its unit says, and is used"
start rivulet-server
equal "SET" OK "$(cli SET greeting hello)"
equal "CONFIG SET" OK "$(cli CONFIG SET maxclients 1234)"
equal "CONFIG REWRITE" OK "$(cli CONFIG REWRITE)"
equal "the server's user" rivulet "$(stat -c %U /proc/$pid)"
stop

step "it is installed anew, over what was changed"
rpm_ -U --replacepkgs --nodeps /check/rivulet-server.rpm
told "try-restart $units"
grep -q '^maxclients 1234$' /etc/rivulet/rivulet.conf || fail "the configuration is gone"
start rivulet-server
equal "GET" hello "$(cli GET greeting)"
stop

step "a Sentinel starts as its unit says"
start rivulet-sentinel
equal "PING" PONG "$(cli -p 26379 PING)"
stop

step "it is removed, and nothing of its user's goes"
rpm --force-debian -e --nodeps rivulet-server rivulet-tools >/check/rpm.log 2>&1 || fail "$(cat /check/rpm.log)"
told "--no-reload disable --now $units"
[ -s /var/lib/rivulet/dump.rdb ] || fail "the data are gone"
grep -q '^maxclients 1234$' /etc/rivulet/rivulet.conf.rpmsave || fail "the configuration is gone"
getent passwd rivulet >/dev/null || fail "the owner of the data is gone"
left=$(find /usr /etc -xdev -name '*rivulet*' -print | sort | xargs)
equal "what is left" "/etc/rivulet /etc/rivulet/rivulet.conf.rpmsave" "$left"
step "done"

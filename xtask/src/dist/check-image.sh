# Runs as root in the container's file system, behind check-common.sh: it is begun as the image says, with what its users give it.
image=/usr/local/bin/entrypoint.sh
# begin ARGS...: what a container with these arguments would run.
begin() {
  : >/check/log
  (cd /data && exec env -i PATH="$PATH" REDIS_EXTRA_FLAGS="$flags" "$image" "$@" >/check/log 2>&1) &
  pid=$!
}
answers() { [ "$(cli -p "$port" PING)" = PONG ]; }
# up PORT ARGS...: the same, until it answers there.
up() {
  port=$1
  shift
  begin "$@"
  within "nobody answers on port $port: $(cat /check/log)" answers
}
flags=

step "the programs have the names of Redis's and Valkey's"
for name in server sentinel cli check-rdb check-aof; do
  said=$(rivulet-$name --version)
  equal "redis-$name" "$said" "$(redis-$name --version)"
  equal "valkey-$name" "$said" "$(valkey-$name --version)"
done
for text in LICENSE THIRD-PARTY.txt rust-library.html.gz; do
  [ -s "/usr/share/doc/rivulet/$text" ] || fail "there is no $text"
done

step "without arguments it is the server, as its own user, with what root has left in the volume"
touch /data/of-root
# shellcheck disable=SC2086
up 6379 $(cat /check/command)
equal "the user" rivulet "$(stat -c %U /proc/$pid)"
equal "the owner of what was there" rivulet "$(stat -c %U /data/of-root)"
equal "SET" OK "$(cli SET greeting hello)"
stop
equal "the snapshot" rivulet:600 "$(stat -c %U:%a /data/dump.rdb)"

step "arguments, a configuration and flags from the environment are the server's"
up 7001 --port 7001
equal "GET" hello "$(cli -p 7001 GET greeting)"
stop
printf 'port 7002\nmaxmemory 200mb\n' >/data/own.conf
flags='--maxclients 1234'
up 7002 own.conf
flags=
equal "maxmemory" 209715200 "$(cli -p 7002 CONFIG GET maxmemory | tail -n 1)"
equal "maxclients" 1234 "$(cli -p 7002 CONFIG GET maxclients | tail -n 1)"

step "a Sentinel, and another program"
printf 'sentinel monitor mymaster 127.0.0.1 7002 1\n' >/data/sentinel.conf
master=$pid
up 26379 redis-sentinel /data/sentinel.conf
equal "the master" "127.0.0.1 7002" "$("$image" redis-cli -p 26379 SENTINEL get-master-addr-by-name mymaster | xargs)"
stop
pid=$master
stop

step "as another user it is left as it is"
chown -R 1234 /data
: >/check/log
(cd /data && exec setpriv --reuid=1234 --regid=1234 --clear-groups -- "$image" --port 7003 >/check/log 2>&1) &
pid=$! port=7003
within "nobody answers on port 7003: $(cat /check/log)" answers
equal "the user" 1234 "$(stat -c %u /proc/$pid)"
equal "GET" hello "$(cli -p 7003 GET greeting)"
stop
step "done"

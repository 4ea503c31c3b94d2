#!/bin/sh
# Begins what the container is for, with the conventions of the redis and valkey images: arguments that begin with `-` and files that end in
# `.conf` are the server's; root gives /data to the server's user and becomes it; flags may come from the environment.
set -eu

user=rivulet

case "${1-}" in
  '' | -* | *.conf) set -- rivulet-server "$@" ;;
esac

is_server() {
  case "${1##*/}" in
    rivulet-server | redis-server | valkey-server | rivulet-sentinel | redis-sentinel | valkey-sentinel) true ;;
    *) false ;;
  esac
}

if is_server "$1" && [ "$(id -u)" = 0 ]; then
  # What can't be changed (a read-only volume) may be readable all the same.
  find . \! -user "$user" -exec chown "$user:$user" {} + 2>/dev/null || true
  exec setpriv --reuid="$user" --regid="$user" --clear-groups -- "$0" "$@"
fi

if is_server "$1"; then
  # Data are for the server alone, if nobody has decided otherwise.
  [ "$(umask)" != 0022 ] || umask 0077
  # Words between blanks, as they are in the images that this follows.
  set -f
  # shellcheck disable=SC2086
  set -- "$@" ${RIVULET_EXTRA_FLAGS-} ${VALKEY_EXTRA_FLAGS-} ${REDIS_EXTRA_FLAGS-}
fi

exec "$@"

#!/usr/bin/env bash
# Fetches the servers that Rivulet is compared with and prints NAME=PATH for each.
#
# Redis 7 comes from the system's packages. Redis 8 and Valkey 9 come from Debian's unstable release, each unpacked with the libraries that it
# was built for into a folder of its own, so that nothing of the system is replaced:
#   $RIVULET_PEERS, or ~/.cache/rivulet-peers     (programs in its `bin`)
# Needs Debian's apt-get on x86-64; root only to install Redis 7. What can't be had is named, and the exit status is 1.
set -euo pipefail

folder=${RIVULET_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/rivulet-peers}
failed=0
lacks() { echo "peers: $*" >&2; failed=1; }

command -v apt-get >/dev/null || { lacks "apt-get is missing: install redis-server and valkey-server by hand"; exit 1; }

# Redis 7, its tools and its sentinel, from the system. A service that starts by itself would take port 6379.
if ! command -v redis-server >/dev/null; then
  if [ "$(id -u)" = 0 ]; then
    echo "Installing redis-server, redis-tools and redis-sentinel" >&2
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends redis-server redis-tools redis-sentinel; } >&2 ||
      lacks "redis-server can't be installed"
  else
    lacks "redis-server is missing: sudo apt-get install redis-server redis-tools redis-sentinel"
  fi
fi

# The system's own mirror, asked for the unstable release in a state of its own.
mirror=$(awk '/^URIs:/ { print $2; exit }' /etc/apt/sources.list.d/*.sources 2>/dev/null || true)
[ -n "$mirror" ] || mirror=$(awk '/^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^https?:/) { print $i; exit } }' /etc/apt/sources.list 2>/dev/null || true)
keys=/usr/share/keyrings/debian-archive-keyring.gpg
state=$folder/apt
apt() {
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$state/sources" -o Dir::State="$state" \
    -o Dir::State::lists="$state/lists" -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache" \
    -o APT::Install-Recommends=0 -o APT::Sandbox::User="$(id -un)" -o Debug::NoLocking=1 "$@" >&2
}

fetch() { # NAME PACKAGES...: unpacks the packages and all that they depend on
  local root=$folder/$1
  shift
  [ -e "$root/.done" ] && return 0
  echo "Fetching $* from Debian unstable" >&2
  rm -rf "$root"
  mkdir -p "$root" "$state/sources" "$state/lists/partial" "$state/cache/archives/partial"
  : >"$state/status"
  printf 'Types: deb\nURIs: %s\nSuites: sid\nComponents: main\nSigned-By: %s\n' "$mirror" "$keys" >"$state/sources/sid.sources"
  [ -e "$state/updated" ] || { apt update && touch "$state/updated"; } || return 1
  apt install --download-only -y "$@" || return 1
  local package
  for package in "$state"/cache/archives/*.deb; do
    dpkg -x "$package" "$root" || return 1
  done
  rm -f "$state"/cache/archives/*.deb
  touch "$root/.done"
}

wrap() { # NAME ROOT PROGRAM [CALLED]: a small script that runs the program with its own libraries, as if called by another name
  local root=$folder/$2 loader
  loader=$(find "$root/usr/lib64" "$root/lib64" -name 'ld-linux-x86-64.so.2' 2>/dev/null | head -1 || true)
  [ -n "$loader" ] && [ -x "$root/usr/bin/$3" ] || { lacks "$3 is not in its packages"; return 0; }
  mkdir -p "$folder/bin"
  cat >"$folder/bin/$1" <<SCRIPT
#!/bin/sh
exec "$loader" --argv0 "${4:-$3}" --library-path "$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu" "$root/usr/bin/$3" "\$@"
SCRIPT
  chmod +x "$folder/bin/$1"
}

have() { [ -x "$folder/bin/$1" ]; }

if ! have valkey-server || ! have redis8-server; then
  if [ "$(uname -m)" != x86_64 ] || [ -z "$mirror" ] || [ ! -e "$keys" ]; then
    lacks "Redis 8 and Valkey 9 are fetched on Debian on x86-64 only"
  else
    if fetch valkey valkey-server valkey-tools libc6; then
      for program in server cli benchmark check-rdb check-aof; do wrap "valkey-$program" valkey "valkey-$program"; done
      wrap valkey-sentinel valkey valkey-server valkey-sentinel
    else
      lacks "Valkey can't be fetched"
    fi
    if fetch redis8 redis-server redis-tools libc6; then
      for program in server cli benchmark check-rdb check-aof; do wrap "redis8-$program" redis8 "redis-$program"; done
      wrap redis8-sentinel redis8 redis-server redis-sentinel
    else
      lacks "Redis 8 can't be fetched"
    fi
  fi
fi

if command -v redis-server >/dev/null; then echo "redis7=$(command -v redis-server)"; fi
if have redis8-server; then echo "redis8=$folder/bin/redis8-server"; fi
if have valkey-server; then echo "valkey9=$folder/bin/valkey-server"; fi
exit $failed

if [ "$1" = 0 ] && command -v systemctl >/dev/null; then
  systemctl --no-reload disable --now rivulet-server.service rivulet-sentinel.service >/dev/null 2>&1 || true
fi

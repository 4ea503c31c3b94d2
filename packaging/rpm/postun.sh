if command -v systemctl >/dev/null; then
  systemctl daemon-reload >/dev/null 2>&1 || true
  if [ "$1" -ge 1 ]; then
    systemctl try-restart rivulet-server.service rivulet-sentinel.service >/dev/null 2>&1 || true
  fi
fi
if [ "$1" = 0 ]; then
  rmdir /usr/share/doc/rivulet-server /usr/share/licenses/rivulet-server 2>/dev/null || true
fi

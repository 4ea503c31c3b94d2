for dir in /var/lib/rivulet /var/log/rivulet; do
  install -d -m 0750 -o rivulet -g rivulet "$dir"
done
# Both programs replace their configuration as a whole, so they must be able to write beside it.
chown rivulet:rivulet /etc/rivulet
chmod 2770 /etc/rivulet
if command -v systemctl >/dev/null; then
  systemctl daemon-reload >/dev/null 2>&1 || true
  if [ "$1" = 1 ]; then
    systemctl preset rivulet-server.service rivulet-sentinel.service >/dev/null 2>&1 || true
  fi
fi

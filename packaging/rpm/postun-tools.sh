if [ "$1" = 0 ]; then
  rmdir /usr/share/licenses/rivulet-tools 2>/dev/null || true
fi

getent group rivulet >/dev/null || groupadd -r rivulet
getent passwd rivulet >/dev/null || useradd -r -g rivulet -d /var/lib/rivulet -M -s /sbin/nologin -c "Rivulet" rivulet

#!/bin/sh
# Options alone are options of Envoy; anything else is a command to run. It is not
# run as root, as in the image that this one stands in for.
set -e
case "$1" in
-*) set -- envoy "$@" ;;
esac
if [ "$(id -u)" = 0 ]; then
    set -- setpriv --reuid=envoy --regid=envoy --clear-groups "$@"
fi
exec "$@"

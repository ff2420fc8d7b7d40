#!/bin/sh
# A thread given to its enclave has no thread-local storage (host/enclave/loader/trap.hpp): of the objects that run then,
# only thread_processor uses any, and that it is seen there shows that this looks at the right thing.
# usage: check_thread_storage.sh OBJECT...
set -eu
status=0 seen=no
for object in "$@"; do
    uses=$(objdump -d "$object" | grep -c '%fs:' || true)
    case "$object" in
    *thread_processor*) [ "$uses" = 0 ] || seen=yes ;;
    *)
        if [ "$uses" != 0 ]; then
            echo "$object uses thread-local storage $uses times" >&2
            status=1
        fi
        ;;
    esac
done
if [ "$seen" = no ]; then
    echo "thread_processor uses no thread-local storage: this check sees nothing" >&2
    status=1
fi
exit $status

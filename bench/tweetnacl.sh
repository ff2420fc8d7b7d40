#!/bin/sh
# Makes a shared library of the TweetNaCl that libzmq carries, from Debian's source package of it, with : > "$folder/platform.hpp" # what libzmq's configure would write; TweetNaCl needs nothing of it
gcc -O2 -fPIC -shared -w -DZMQ_USE_TWEETNACL -DZMQ_HAVE_CURVE -I"$folder" -o "$library" "$source"

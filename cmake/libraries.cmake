# The Debian libraries and who owns each (STYLE: each library has one owner).
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL 3.0 REQUIRED)   # host/net, host/enclave (signing), protocol/evidence
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(sqlite3 REQUIRED IMPORTED_TARGET sqlite3)  # host/store
pkg_check_modules(tss2 REQUIRED IMPORTED_TARGET tss2-esys tss2-mu tss2-rc)  # host/tpm
find_library(sodium_archive NAMES libsodium.a REQUIRED)      # trusted/, shim/, the loader
pkg_check_modules(zmq REQUIRED IMPORTED_TARGET libzmq)       # host/net, and the peer in bench/

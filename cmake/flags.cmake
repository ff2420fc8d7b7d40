# Compiler and linker flags: `caisson_flags` for everything that runs outside, `caisson_image_flags` for what is
# linked into an enclave image or its loader. The second set is the same in every preset: same source, same MRENCLAVE.

set(caisson_warnings -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wold-style-cast
    -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # TRY and the checker-visible GNU statement expression it is built on.
  list(APPEND caisson_warnings -Wno-gnu-statement-expression-from-macro-expansion -Wno-gnu-statement-expression)
  # In C++ gcc's -Wconversion does not contain it, and the two compilers shall judge alike.
  list(APPEND caisson_warnings -Wno-sign-conversion)
endif()

add_library(caisson_flags INTERFACE)
target_compile_options(caisson_flags INTERFACE ${caisson_warnings} -g -fno-omit-frame-pointer
    -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
target_include_directories(caisson_flags INTERFACE ${CMAKE_SOURCE_DIR})

if(CAISSON_BUILD STREQUAL "dev")
  set(sanitizer -fsanitize=address,undefined -fno-sanitize-recover=all)
  target_compile_options(caisson_flags INTERFACE -O1 ${sanitizer})
  # mold: a hundred test programs of 50 MB are linked, and it takes a third of the time.
  target_link_options(caisson_flags INTERFACE ${sanitizer} -fuse-ld=mold)
  # A test's own code is short-lived and large: a third of the time to compile it, and the product is checked as before.
  target_compile_options(caisson_flags INTERFACE
      $<$<BOOL:$<TARGET_PROPERTY:CAISSON_TEST>>:-O0;-g1;-fno-sanitize=undefined>)
elseif(CAISSON_BUILD STREQUAL "release")
  target_compile_options(caisson_flags INTERFACE -O2 -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fcf-protection)
  # gcc 12 at -O2 suspects its own library's inlined containers; what it says stays visible, and the sanitizers of the
  # preset dev look at the same code.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(caisson_flags INTERFACE -Wno-error=maybe-uninitialized -Wno-error=array-bounds
        -Wno-error=stringop-overflow -Wno-error=stringop-overread)
  endif()
  target_link_options(caisson_flags INTERFACE -Wl,-z,relro,-z,now)
elseif(CAISSON_BUILD STREQUAL "fuzz")
  set(sanitizer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all)
  target_compile_options(caisson_flags INTERFACE -O1 ${sanitizer})
  target_link_options(caisson_flags INTERFACE -fsanitize=address,undefined)
elseif(CAISSON_BUILD STREQUAL "msan")
  target_compile_options(caisson_flags INTERFACE -O2 -fsanitize=memory -fno-sanitize-memory-param-retval)
  target_link_options(caisson_flags INTERFACE -fsanitize=memory)
elseif(CAISSON_BUILD STREQUAL "tsan")
  # It does not follow atomic_thread_fence, and gcc warns of each: what it says about the ring's sleep is to be judged.
  target_compile_options(caisson_flags INTERFACE -O1 -fsanitize=thread $<$<CXX_COMPILER_ID:GNU>:-Wno-tsan>)
  target_link_options(caisson_flags INTERFACE -fsanitize=thread)
else()
  message(FATAL_ERROR "CAISSON_BUILD is '${CAISSON_BUILD}'; it must be dev, release, fuzz, msan or tsan")
endif()

# Against speculation on SGX CPUs. On the platform `process` it buys nothing; see docs/decisions.
option(CAISSON_IMAGE_HARDENING "LFENCE after loads and VERW at the exit in chamber images; another MRENCLAVE" OFF)

# What every sealed folder obeys, wherever its objects are linked.
set(caisson_sealed_options -ffreestanding -fno-exceptions -fno-rtti)

set(caisson_image_options ${caisson_warnings} ${caisson_sealed_options}
    -O2 -g0 -fPIE -fvisibility=hidden -fvisibility-inlines-hidden -fno-threadsafe-statics -mno-red-zone
    -fstack-protector-strong -fcf-protection=none -fno-asynchronous-unwind-tables -fno-unwind-tables
    -ffunction-sections -fdata-sections -U_FORTIFY_SOURCE -ffile-prefix-map=${CMAKE_SOURCE_DIR}/=)
# Bits of protocol::ImageHardening; the note in the image says which.
set(caisson_hardened_image_options ${caisson_image_options} -Wa,-mlfence-after-load=yes
    -Wa,-mlfence-before-indirect-branch=memory -Wa,-mlfence-before-ret=shl -DCAISSON_IMAGE_HARDENING=3)
if(CAISSON_IMAGE_HARDENING)
  set(caisson_image_options ${caisson_hardened_image_options})
else()
  list(APPEND caisson_image_options -DCAISSON_IMAGE_HARDENING=0)
endif()

# caisson_image(NAME [WITH_RUNTIME_OF_ITS_OWN] PRODUCT n SVN n OBJECTS targets...)
# Links a chamber's image objects with the runtime (unless they contain it) and libsodium's archive, proves what it
# imports and executes, and makes ${CMAKE_BINARY_DIR}/NAME.sgxs and NAME.sig. The development signing key is made at the first build.
# An image is always gcc's: with another compiler (fuzz, msan) there is none.
function(caisson_image name)
  cmake_parse_arguments(arg "WITH_RUNTIME_OF_ITS_OWN" "PRODUCT;SVN" "OBJECTS" ${ARGN})
  set(all ALL)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(all)
  endif()
  if(NOT arg_WITH_RUNTIME_OF_ITS_OWN)
    list(APPEND arg_OBJECTS caisson_core_image caisson_protocol_image caisson_runtime_image
         caisson_runtime_entry_image)
  endif()
  set(objects)
  foreach(target ${arg_OBJECTS})
    list(APPEND objects $<TARGET_OBJECTS:${target}>)
  endforeach()
  set(elf ${CMAKE_CURRENT_BINARY_DIR}/${name}.elf)
  set(script ${CMAKE_SOURCE_DIR}/trusted/runtime/chamber.ld)
  add_custom_command(
    OUTPUT ${elf}
    COMMAND ${CMAKE_LINKER} -static -pie --no-dynamic-linker -z text -z norelro -z noexecstack --build-id=none
            --gc-sections -T ${script} -o ${elf} ${objects} ${sodium_archive}
    COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tools/check_imports.py --image ${elf}
            --imports ${CMAKE_SOURCE_DIR}/trusted/imports.txt --objects ${objects}
    DEPENDS ${objects} ${script} ${CMAKE_SOURCE_DIR}/tools/check_imports.py ${CMAKE_SOURCE_DIR}/trusted/imports.txt
    COMMAND_EXPAND_LISTS VERBATIM
    COMMENT "Linking the chamber ${name}")
  add_custom_target(${name}_elf DEPENDS ${elf}) # the reproducibility test builds no more than this
  set(out ${CMAKE_BINARY_DIR}/${name})
  add_custom_command(
    OUTPUT ${out}.sgxs ${out}.sig
    COMMAND caisson-enclave-build ${elf} ${CMAKE_SOURCE_DIR}/build/development-signer.pem ${out} ${arg_PRODUCT}
            ${arg_SVN}
    DEPENDS ${elf} caisson-enclave-build
    VERBATIM
    COMMENT "Building and signing the image of ${name}")
  add_custom_target(${name}_image ${all} DEPENDS ${out}.sgxs ${out}.sig)
endfunction()

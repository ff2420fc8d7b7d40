# caisson_sealed(NAME SOURCES... [LINK other sealed libraries])
#   NAME        a library for hosts, tests and the platform `inproc`, with the preset's flags and sanitizers
#   NAME_image  the same sources with the flags of an enclave image, the same in every preset
function(caisson_sealed name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_compile_options(${name} PRIVATE ${caisson_sealed_options})
  target_link_libraries(${name} PUBLIC caisson_flags ${arg_LINK})

  add_library(${name}_image OBJECT EXCLUDE_FROM_ALL ${arg_SOURCES})
  target_compile_options(${name}_image PRIVATE ${caisson_image_options})
  target_include_directories(${name}_image PUBLIC ${CMAKE_SOURCE_DIR})
endfunction()

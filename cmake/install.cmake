# What `cmake --install` lays down. Images, loader and shim stand together: find_images() looks beside the program, then
# here.
set(caisson_libdir ${CMAKE_INSTALL_LIBDIR}/caisson)
install(PROGRAMS ${CMAKE_BINARY_DIR}/caisson DESTINATION ${CMAKE_INSTALL_BINDIR})
install(PROGRAMS ${CMAKE_BINARY_DIR}/caisson-loader DESTINATION ${caisson_libdir})
install(FILES
    ${CMAKE_BINARY_DIR}/curve.sgxs ${CMAKE_BINARY_DIR}/curve.sig
    ${CMAKE_BINARY_DIR}/witness.sgxs ${CMAKE_BINARY_DIR}/witness.sig
    ${CMAKE_BINARY_DIR}/libcaisson-shim.so
    DESTINATION ${caisson_libdir})
file(GLOB caisson_pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.1)
install(FILES ${caisson_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
file(GLOB caisson_library_pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.3)
install(FILES ${caisson_library_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man3)

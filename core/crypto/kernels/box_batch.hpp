// The kernels behind core/crypto/box_batch.hpp.
#pragma once

#include "core/crypto/box_batch.hpp"
#include "core/crypto/constant_time.hpp"
#include "core/crypto/kernels/box.hpp"

namespace caisson::crypto::kernels {

// Requires: the CPU has what BoxKernel::avx512 names.
void seal_boxes_avx512(std::span<const BoxJob> jobs) noexcept;
void open_boxes_avx512(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept;

// Requires: the CPU has AVX2.
void seal_boxes_avx2(std::span<const BoxJob> jobs) noexcept;
void open_boxes_avx2(std::span<const BoxJob> jobs, std::span<bool> opened) noexcept;

} // namespace caisson::crypto::kernels

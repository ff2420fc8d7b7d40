#include "core/crypto/box_batch.hpp"

#include "core/check.hpp"
#include "core/crypto/kernels/box_batch.hpp"

namespace caisson::crypto {

void seal_boxes(BoxKernel kernel, std::span<const BoxJob> jobs) noexcept
{
    switch (kernel) {
    case BoxKernel::avx512: kernels::seal_boxes_avx512(jobs); return;
    case BoxKernel::avx2: kernels::seal_boxes_avx2(jobs); return;
    case BoxKernel::portable: break;
    }
    for (const auto& job : jobs) {
        kernels::seal_box_portable({*job.key, job.counter}, {job.from, job.size}, job.to);
    }
}

void open_boxes(BoxKernel kernel, std::span<const BoxJob> jobs, std::span<bool> opened) noexcept
{
    CHECK(opened.size() == jobs.size());
    switch (kernel) {
    case BoxKernel::avx512: kernels::open_boxes_avx512(jobs, opened); return;
    case BoxKernel::avx2: kernels::open_boxes_avx2(jobs, opened); return;
    case BoxKernel::portable: break;
    }
    for (std::size_t index = 0; index < jobs.size(); ++index) {
        const auto& job = jobs[index];
        opened[index] =
            kernels::open_box_portable({*job.key, job.counter}, {job.from, job.size + box_tag_bytes}, job.to);
    }
}

} // namespace caisson::crypto

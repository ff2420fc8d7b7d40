#include "host/enclave/image_files.hpp"

#include "host/enclave/enclave.hpp"
#include "host/enclave/image/sgxs.hpp"
#include "host/store/durable_file.hpp"

namespace caisson::host::enclave {

Outcome<std::vector<Digest>> installed_images(const std::filesystem::path& folder)
{
    std::vector<Digest> images;
    for (const auto kind : {ChamberKind::curve, ChamberKind::witness}) {
        const auto path = folder / (std::string(chamber_name(kind)) + ".sgxs");
        const auto image = store::load_file(path, image_file_bytes_max);
        if (image) {
            images.push_back(image::measurement_of(*image));
        } else if (image.error().kind != Kind::missing) {
            return std::unexpected(image.error());
        }
    }
    return images;
}

} // namespace caisson::host::enclave

// CopyWatch: notices by the clocks that this machine stood still: it was suspended, or it is a restored or moved copy
// of one that has gone on meanwhile. Spec: docs/spec/curve.md, time and copies.
#pragma once

#include <cstdint>

namespace caisson::host::vm {

struct Clocks {
    std::int64_t monotonic_ms = 0; // does not count while the machine stands still
    std::int64_t boottime_ms = 0;  // counts while it is suspended
    std::int64_t realtime_ms = 0;  // is set right after a restore, by whoever keeps the time
};

[[nodiscard]] Clocks read_clocks() noexcept;

// Not safe for concurrent use.
class CopyWatch {
  public:
    explicit CopyWatch(const Clocks& now) noexcept
        : last_(now)
    {
    }

    // True when more time than a second has passed, since the look before, than the monotonic clock has counted. Time
    // that is set back says nothing; time that is set ahead for another reason is taken for the same.
    [[nodiscard]] bool stood_still(const Clocks& now) noexcept;

  private:
    Clocks last_;
};

} // namespace caisson::host::vm

#include "host/enclave/nursery.hpp"

#include <csignal>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace caisson::host::enclave {
namespace {

class Nursery {
  public:
    Nursery()
        : thread_([this] { work(); })
    {
        thread_.detach(); // it must outlive everything, static destructors included
    }

    ::pid_t fork_for(const std::function<void()>& in_child)
    {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return job_ == nullptr && !done_; });
        job_ = &in_child;
        changed_.notify_all();
        changed_.wait(lock, [this] { return done_; });
        done_ = false;
        const auto pid = pid_;
        const int error = error_;
        changed_.notify_all();
        errno = error;
        return pid;
    }

  private:
    // The child shares this process's memory until it becomes its program: it costs the same however large the process
    // is. So no signal may run a handler of ours in it; none is delivered to this thread, and the program unblocks
    // them.
    void work()
    {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
        std::unique_lock lock(mutex_);
        while (true) {
            changed_.wait(lock, [this] { return job_ != nullptr; });
            // posix_spawn runs no file by its descriptor.
            pid_ = ::vfork(); // NOLINT(bugprone-unsafe-functions,cert-msc24-c,cert-msc33-c)
            if (pid_ == 0) {
                (*job_)();
                ::_exit(127);
            }
            error_ = errno;
            job_ = nullptr;
            done_ = true;
            changed_.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    const std::function<void()>* job_ = nullptr;
    ::pid_t pid_ = -1;
    int error_ = 0;
    bool done_ = false;
    std::thread thread_;
};

} // namespace

::pid_t fork_in_nursery(const std::function<void()>& in_child)
{
    static auto* nursery = new Nursery; // never destroyed: its thread uses it to the end
    return nursery->fork_for(in_child);
}

} // namespace caisson::host::enclave

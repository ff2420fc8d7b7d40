// A software TPM (swtpm) of a test's own: its state in a folder, its socket in it, ended by its process id.
#pragma once

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>

namespace caisson::tests {

class SoftwareTpm {
  public:
    explicit SoftwareTpm(std::filesystem::path folder)
        : folder_(std::move(folder))
    {
        std::filesystem::create_directories(folder_);
        start();
    }
    ~SoftwareTpm() { stop(); }
    SoftwareTpm(const SoftwareTpm&) = delete;
    SoftwareTpm& operator=(const SoftwareTpm&) = delete;

    static bool is_installed() { return std::filesystem::exists("/usr/bin/swtpm"); }

    [[nodiscard]] std::string address() const { return "swtpm:path=" + socket().string(); }

    void start()
    {
        const auto state = "dir=" + folder_.string();
        const auto server = "type=unixio,path=" + socket().string();
        const auto control = "type=unixio,path=" + socket().string() + ".ctrl";
        pid_ = ::fork();
        if (pid_ == 0) {
            const int nowhere = ::open("/dev/null", O_RDWR);
            ::dup2(nowhere, 1);
            ::dup2(nowhere, 2);
            ::execl("/usr/bin/swtpm", "swtpm", "socket", "--tpm2", "--tpmstate", state.c_str(), "--server",
                    server.c_str(), "--ctrl", control.c_str(), "--flags", "not-need-init,startup-clear",
                    static_cast<char*>(nullptr));
            ::_exit(127);
        }
        wait_until_it_listens();
    }

    void stop()
    {
        if (pid_ > 0) {
            ::kill(pid_, SIGCONT);
            ::kill(pid_, SIGKILL);
            ::waitpid(pid_, nullptr, 0);
        }
        pid_ = -1;
        std::error_code error;
        std::filesystem::remove(socket(), error);
    }
    void restart()
    {
        // A TPM writes what it keeps before it answers: a hard stop loses nothing but what a power cut loses.
        stop();
        start();
    }
    void freeze() const { ::kill(pid_, SIGSTOP); }
    void thaw() const { ::kill(pid_, SIGCONT); }

    // tpm2-tools, another implementation at the same TPM. Returns the exit code.
    [[nodiscard]] int tool(const std::string& command) const
    {
        const auto line =
            "cd '" + folder_.string() + "' && TPM2TOOLS_TCTI='" + address() + "' " + command + " >tool.log 2>&1";
        const int status = std::system(line.c_str());
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

  private:
    [[nodiscard]] std::filesystem::path socket() const { return folder_ / "tpm.sock"; }

    void wait_until_it_listens() const
    {
        for (int turn = 0; turn < 2000; ++turn) {
            if (listens()) {
                return;
            }
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        FAIL() << "swtpm did not start";
    }
    // The file of the socket is there before it listens: only a connection shows that.
    [[nodiscard]] bool listens() const
    {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        socket().string().copy(address.sun_path, sizeof address.sun_path - 1);
        const int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const bool connected = ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(probe);
        return connected;
    }

    std::filesystem::path folder_;
    pid_t pid_ = -1;
};

} // namespace caisson::tests

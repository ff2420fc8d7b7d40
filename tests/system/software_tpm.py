"""A software TPM of a test's own: state and socket in a folder, ended by its pid."""
import os
import socket
import subprocess
import time


def installed():
    return os.path.exists("/usr/bin/swtpm")


class SoftwareTpm:
    def __init__(self, folder, with_certificate=False):
        self.folder = folder
        self.socket = os.path.join(folder, "tpm.sock")
        self.process = None
        os.makedirs(folder, exist_ok=True)
        if with_certificate:
            self.make_certificate()
        self.start()

    @property
    def address(self):
        return f"swtpm:path={self.socket}"

    def make_certificate(self):
        """An EK certificate by a local authority of this folder's own: authority.pem has its root and issuer."""
        authority = os.path.join(self.folder, "ca")
        os.makedirs(authority)
        config = os.path.join(self.folder, "localca.conf")
        with open(config, "w") as stream:
            stream.write(f"statedir = {authority}\nsigningkey = {authority}/signkey.pem\n"
                         f"issuercert = {authority}/issuercert.pem\ncertserial = {authority}/certserial\n")
        setup = os.path.join(self.folder, "setup.conf")
        with open(setup, "w") as stream:
            stream.write("create_certs_tool=/usr/share/swtpm/swtpm-localca\n"
                         f"create_certs_tool_config={config}\n"
                         "create_certs_tool_options=/etc/swtpm-localca.options\n")
        done = subprocess.run(["swtpm_setup", "--tpm2", "--tpmstate", self.folder, "--create-ek-cert", "--config", setup],
                              capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise RuntimeError(f"swtpm_setup: {done.stdout} {done.stderr}")
        with open(os.path.join(self.folder, "authority.pem"), "w") as out:
            for name in ("swtpm-localca-rootca-cert.pem", "issuercert.pem"):
                with open(os.path.join(authority, name)) as stream:
                    out.write(stream.read())

    def start(self):
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}", "--server",
             f"type=unixio,path={self.socket}", "--ctrl", f"type=unixio,path={self.socket}.ctrl", "--flags",
             "not-need-init,startup-clear"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        until = time.monotonic() + 20
        while not self.listens():
            if time.monotonic() > until or self.process.poll() is not None:
                raise RuntimeError("swtpm did not start")
            time.sleep(0.02)

    def listens(self):
        # The file of the socket is there before it listens: only a connection shows that.
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def stop(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        for name in (self.socket, self.socket + ".ctrl"):
            if os.path.exists(name):
                os.remove(name)

    def restart(self):
        self.stop()
        self.start()

    def tool(self, *words):
        done = subprocess.run(list(words), capture_output=True, text=True, timeout=60, cwd=self.folder,
                              env=dict(os.environ, TPM2TOOLS_TCTI=self.address))
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(words)}: {done.stdout} {done.stderr}")
        return done.stdout

"""tools/sgx-bringup on a machine without SGX: it says so, says why, and exits 77."""
import os
import subprocess
import sys
import unittest

SCRIPT = os.path.join(sys.argv[1], "tools", "sgx-bringup")


@unittest.skipIf(os.path.exists("/dev/sgx_enclave"), "this machine has SGX: run tools/sgx-bringup itself")
class WithoutSgx(unittest.TestCase):
    def setUp(self):
        self.done = subprocess.run([SCRIPT], capture_output=True, text=True, timeout=60, cwd="/")

    def test_it_exits_with_77(self):
        self.assertEqual(self.done.returncode, 77, self.done.stdout + self.done.stderr)

    def test_it_says_what_is_missing_and_what_machine_this_is(self):
        lines = dict(line.split(None, 1) for line in self.done.stdout.splitlines() if " " in line.strip())
        self.assertIn("there is no /dev/sgx_enclave", lines["sgx"])
        self.assertIn("Linux", lines["machine"])

    def test_it_builds_and_claims_nothing(self):
        self.assertNotIn("result", self.done.stdout)
        self.assertNotIn("MRENCLAVE", self.done.stdout)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

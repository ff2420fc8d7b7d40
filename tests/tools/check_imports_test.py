"""tools/check_imports.py finds what an image must not execute or lean on: each thing is planted into the objects of a
real chamber, linked as the build links it, and looked for. `check_imports_test.py SOURCE BUILD`."""
import glob
import os
import subprocess
import sys
import tempfile
import unittest

SOURCE, BUILD = sys.argv[1:3]
CHECK = os.path.join(SOURCE, "tools/check_imports.py")
OBJECTS = glob.glob(os.path.join(BUILD, "tests/null_chamber/CMakeFiles/null_hardened_objects.dir/**/*.o"),
                    recursive=True)
ARCHIVE = next(iter(glob.glob("/usr/lib/*/libsodium.a")), "")


def output_of(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


class Planted(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="caisson_planted_")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def checked(self, text, function="planted"):
        """Status and words of the check over a chamber in which `function` holds the assembler `text`."""
        source, planted, image = (os.path.join(self.folder, name) for name in ("p.s", "p.o", "image.elf"))
        with open(source, "w") as file:
            file.write(f'.section .text.{function},"ax"\n.globl {function}\n.hidden {function}\n'
                       f".type {function},@function\n{function}:\n    {text}\n    ret\n"
                       '.section .note.GNU-stack,"",@progbits\n')
        self.assertEqual(output_of("as", "-o", planted, source), (0, ""))
        objects = [*OBJECTS, planted]
        linked = output_of("ld", "-static", "-pie", "--no-dynamic-linker", "-z", "text", "-z", "norelro", "-z",
                           "noexecstack", "--build-id=none", "--gc-sections", "-u", function, "-T",
                           os.path.join(SOURCE, "trusted/runtime/chamber.ld"), "-o", image, *objects, ARCHIVE)
        self.assertEqual(linked[0], 0, linked[1])
        return output_of(sys.executable, "-B", CHECK, "--image", image, "--imports",
                         os.path.join(SOURCE, "trusted/imports.txt"), "--objects", *objects)

    def assert_found(self, planted, function="planted"):
        """`planted`: {instruction: what is said of it}. All stand in one function: a link for each takes its time."""
        status, words = self.checked("\n    ".join(planted), function)
        self.assertEqual(status, 1, f"nothing was found: {words}")
        for text, said in planted.items():
            with self.subTest(text):
                self.assertIn(f": {function} executes{said}", words)
        self.assertEqual(words.count("\n"), len(planted), f"more or less than what was planted: {words}")

    def test_the_chamber_without_anything_planted_passes(self):
        self.assertTrue(OBJECTS and ARCHIVE, "no objects to look at: build null_hardened_image, install libsodium-dev")
        self.assertEqual(self.checked("xor %eax, %eax"), (0, ""))

    def test_what_asks_the_cpu_or_the_kernel_is_found(self):
        self.assert_found({text: f": {text.split()[0]}" for text in (
            "cpuid", "syscall", "sysenter", "int $0x80", "int3", "rdtscp", "rdpmc", "hlt", "in $0x70, %al",
            "out %al, (%dx)", "sidt (%rax)", "vmcall")})

    def test_a_prefix_hides_nothing(self):
        self.assert_found({".byte 0x66\n    cpuid": ": cpuid", "rex.W syscall": ": syscall", "rep insb": ": ins"})

    def test_rdtsc_random_numbers_and_enclu_have_their_homes(self):
        elsewhere = ", which has its home elsewhere"
        self.assert_found({"rdtsc": " rdtsc" + elsewhere, "rdrand %rax": " rdrand" + elsewhere,
                           "rdseed %rax": " rdseed" + elsewhere, "enclu": " enclu" + elsewhere})

    def test_a_name_that_only_looks_like_a_home_is_none(self):
        elsewhere = ", which has its home elsewhere"
        self.assert_found({"rdtsc": " rdtsc" + elsewhere, "enclu": " enclu" + elsewhere,
                           "rdrand %rax": " rdrand" + elsewhere}, "my_read_tick_counter_and_read_hardware_random")

    def test_a_symbol_that_is_not_on_the_list_is_found(self):
        source, planted = (os.path.join(self.folder, name) for name in ("p.s", "p.o"))
        with open(source, "w") as file:
            file.write(".globl planted\nplanted:\n    call getenv\n    ret\n")
        self.assertEqual(output_of("as", "-o", planted, source), (0, ""))
        status, words = output_of(sys.executable, "-B", CHECK, "--image", "/bin/true", "--imports",
                                  os.path.join(SOURCE, "trusted/imports.txt"), "--objects", *OBJECTS, planted)
        self.assertEqual(status, 1)
        self.assertIn("objects need getenv, which trusted/imports.txt does not list", words)

    def test_a_file_without_code_was_not_checked(self):
        source, planted = (os.path.join(self.folder, name) for name in ("p.s", "p.o"))
        with open(source, "w") as file:
            file.write(".data\n.byte 1\n")
        self.assertEqual(output_of("as", "-o", planted, source), (0, ""))
        status, words = output_of(sys.executable, "-B", CHECK, "--image", planted)
        self.assertEqual(status, 1)
        self.assertIn("the check has seen nothing", words)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)

"""tools/check_docs.py notices a page that names a test which is not there, or which nothing runs."""
import importlib
import os
import sys
import tempfile
import unittest
from pathlib import Path

SOURCE = sys.argv[1]
sys.path.insert(0, os.path.join(SOURCE, "tools"))
check_docs = importlib.import_module("check_docs")

SCRIPT = ('from helper import start\n\n\ndef it_holds(home):\n    start(home)\n\n\ndef left_out(home):\n    pass\n\n\n'
          'if __name__ == "__main__":\n    run_tests([it_holds])\n')


class Pages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="caisson_docs_")
        self.addCleanup(folder.cleanup)
        self.top = Path(folder.name)
        self.write("tests/system/CMakeLists.txt", "caisson_system_test(story story.py)\n# caisson_system_test(idle.py)\n")
        self.write("tests/unit/CMakeLists.txt", "caisson_test(one SOURCES one_test.cpp)\n")
        self.write("tests/unit/one_test.cpp", "TEST(One, it_is_so)\n{\n}\n")
        self.write("tests/unit/two_test.cpp", "TEST(Two, it_is_so)\n{\n}\n")
        self.write("tests/system/story.py", SCRIPT)
        self.write("tests/system/idle.py", SCRIPT)
        self.write("tests/system/helper.py", "def start(home):\n    pass\n")

    def write(self, name, text):
        (self.top / name).parent.mkdir(parents=True, exist_ok=True)
        (self.top / name).write_text(text)

    def problems_of(self, words):
        self.write("README.md", words + "\n")
        return check_docs.check(self.top)

    def assert_problem(self, words, said):
        problems = self.problems_of(words)
        self.assertEqual(len(problems), 1, problems)
        self.assertIn(said, problems[0])

    def test_what_is_there_and_run_may_be_named(self):
        for words in ("`One.it_is_so`", "`story.py: it_holds`", "`tests/system/story.py`", "`tests/system/helper.py`",
                      "[x](tests/unit)"):
            self.assertEqual(self.problems_of(words), [], words)

    def test_what_is_not_there_is_found(self):
        self.assert_problem("`One.it_was_so`", "there is no test it_was_so in One")
        self.assert_problem("`story.py: it_held_once`", "there is no test it_held_once in story.py")
        self.assert_problem("`tests/system/other.py`", "there is no tests/system/other.py")
        self.assert_problem("[x](tests/other)", "leads nowhere")

    def test_a_script_that_ctest_does_not_know_is_found(self):
        self.assert_problem("`tests/system/idle.py`", "is run by no CMakeLists.txt")
        self.assert_problem("`idle.py: it_holds`", "nothing runs the test it_holds in idle.py")

    def test_a_function_that_is_not_called_is_found(self):
        self.assert_problem("`story.py: left_out`", "nothing runs the test left_out in story.py")

    def test_a_test_file_that_is_not_built_is_found(self):
        self.assert_problem("`Two.it_is_so`", "nothing runs the test it_is_so in Two")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=1)

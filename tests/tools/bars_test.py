#!/usr/bin/env python3
"""What bench/crypto, paper and curve_gateway print, what docs/performance.md says, and the plot belong together: the
same cases, the same bars, each with its verdict. Numbers are not looked at: --smoke measures nothing worth reading.

Usage: bars_test.py SOURCE_FOLDER BUILD_FOLDER
"""
import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

SOURCE, BUILD = Path(sys.argv[1]), Path(sys.argv[2])
# The cases that issue and page name, and their bars.
CRYPTO = {"seal65/batch64": 22, "seal65/batch16": 20, "seal65/alone": 2.7, "open65/batch64": 18, "seal1KiB/batch64": 9,
          "seal64KiB/alone": 3.8, "seal65-avx2/batch64": 5.2, "x25519/public64": 50, "x25519/shared32": 10,
          "handshake/8": 15}
PAPER = {"keys": 40, "seal64": 15}
GATEWAY = {"64B/cpu": 0.6, "64B/throughput": 1.5, "1KiB/cpu": 0.5, "1KiB/throughput": 2, "64KiB/cpu": 0.6,
           "64KiB/throughput": 2, "64B/roundtrip-p50": 1.5, "handshakes": 5, "fair-share": 0.8}


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, **options).stdout


def bars_of_page():
    """Of each row of a table with a column `bar`: the case and the bar."""
    bars, column = {}, None
    for line in (SOURCE / "docs/performance.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            column = None
        elif "bar" in cells:
            column = cells.index("bar")
        elif column is not None and (case := re.match(r"`([^`]+)`", cells[0])) and cells[column]:
            bars[case[1]] = float(cells[column].split()[0])
    return bars


class Bars(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.crypto = run(BUILD / "bench/crypto", "--smoke", "--json")
        cls.paper = run(BUILD / "bench/paper", "--smoke", "--json")

    def judged(self, text, wanted):
        cases = {case["name"]: case for case in json.loads(text)["cases"]}
        for name, case in cases.items():
            self.assertEqual("bar" in case, name in wanted, name)
            if name in wanted:
                times = 1 / case["ratio"] if case["better"] == "lower" else case["ratio"]
                self.assertEqual(case["bar"], wanted[name])
                if abs(times - case["bar"]) > 0.01 * case["bar"]:  # nearer, and rounding decides
                    self.assertEqual(case["met"], times >= case["bar"], name)
        return cases

    def test_every_case_with_a_bar_says_whether_it_is_met(self):
        here = self.judged(self.crypto, CRYPTO)
        if "x25519/public64" in here:  # a CPU that has all kernels has all cases
            self.assertLessEqual(CRYPTO.keys(), here.keys())
        self.assertLessEqual(PAPER.keys(), self.judged(self.paper, PAPER).keys())

    def test_a_reader_of_the_table_sees_it(self):
        table = run(BUILD / "bench/crypto", "--smoke")
        judged = re.findall(r"^(\S+/\S+) .* (?:met|MISSED)", table, re.MULTILINE)
        self.assertEqual(set(judged), CRYPTO.keys() & {case["name"] for case in json.loads(self.crypto)["cases"]})
        self.assertRegex(table, r"(?m)^bars: \d+ of 10 met")

    def test_the_page_has_the_same_bars(self):
        page = bars_of_page()
        for name, bar in (CRYPTO | PAPER | GATEWAY).items():
            self.assertEqual(page.get(name), bar, name)

    def test_two_gateways_are_judged_by_the_same_bars(self):  # as they stand there: a run of them has a test of its own
        text = (SOURCE / "bench/curve_gateway.cpp").read_text()
        table = re.search(r"constexpr Bar bars\[\] = \{(.*?)\n?\};", text, re.DOTALL)[1]
        self.assertEqual({name: float(bar) for name, bar in re.findall(r'\{"([^"]+)", ([0-9.]+)\}', table)}, GATEWAY)

    def test_the_plot_is_drawn_from_what_the_bench_prints(self):
        drawn = run(sys.executable, "-B", SOURCE / "bench/plot.py", input=self.crypto)
        page = (SOURCE / "docs/performance/crypto.svg").read_text()

        def shape(svg):  # names in order, and which have a bar
            return re.findall(r'<text x="10" y="[0-9.]+">([^<]+)<|<title>(bar [^<]+)<', svg)

        if CRYPTO.keys() <= {case["name"] for case in json.loads(self.crypto)["cases"]}:
            self.assertEqual(shape(drawn), shape(page))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])

#!/usr/bin/env python3
"""Draws a bench's ratios as an SVG, from the JSON object that the bench printed, and nothing else.

Usage: build/bench/NAME --json | bench/plot.py > docs/performance/NAME.svg
       bench/plot.py --table < JSON      (the same as rows of a Markdown table)
"""
import json
import sys
from html import escape

LEFT, WIDTH, ROW, TOP = 210, 470, 26, 52


def times(case):
    """How many times the peer's speed; `ratio` is ours to the peer."""
    return 1 / case["ratio"] if case["better"] == "lower" else case["ratio"]


def table(bench):
    print("| case | ours | peer | unit | times | bar |\n|---|---:|---:|---|---:|---:|")
    for case in bench["cases"]:
        bar = f'{case["bar"]:g}' + ("" if case["met"] else " missed") if "bar" in case else ""
        print(f'| `{case["name"]}` | {case["ours"]:,.1f} | {case["peer"]:,.1f} | {case["unit"]} | {times(case):.1f} | '
              f'{bar} |')


def plot(bench):
    cases = bench["cases"]
    longest = max(max(times(case), case.get("bar", 0)) for case in cases)
    machine = ", ".join(str(value) for value in bench["machine"].values())
    height = TOP + ROW * len(cases) + 10
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 70}" height="{height}" '
          'font-family="sans-serif" font-size="13">')
    print(f'<rect width="100%" height="100%" fill="white"/><text x="10" y="22" font-size="15">'
          f'{escape(bench["bench"])}: times the peer\'s speed, in one run ({escape(machine)})</text>')
    one = LEFT + WIDTH / longest
    print(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="{TOP - 14}" y2="{height - 8}" stroke="#888" stroke-dasharray="3"/>'
          f'<text x="{one + 3:.1f}" y="{TOP - 8}" fill="#666" font-size="11">peer = 1, red: the bar</text>')
    for index, case in enumerate(cases):
        y = TOP + ROW * index
        length = WIDTH * times(case) / longest
        print(f'<text x="10" y="{y + 14}">{escape(case["name"])}</text>'
              f'<rect x="{LEFT}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" fill="#2a6f97"/>'
              f'<text x="{LEFT + length + 6:.1f}" y="{y + 15}">{times(case):.1f}</text>')
        if "bar" in case:
            at = LEFT + WIDTH * case["bar"] / longest
            print(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y - 1}" y2="{y + ROW - 3}" stroke="#d62828" stroke-width="2">'
                  f'<title>bar {case["bar"]:g}</title></line>')
    print("</svg>")


def main():
    bench = json.load(sys.stdin)
    if sys.argv[1:] == ["--table"]:
        table(bench)
    elif not sys.argv[1:]:
        plot(bench)
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()

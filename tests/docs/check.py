#!/usr/bin/env python3
"""Passes when every ```cpp block of README.md and docs/*.md stands, white space aside, in some tests/docs/*.cpp or
examples/**/*.cpp, which are compiled and run; when every file that a page links to exists; and when docs/errors.md lists
the static assertions of the headers, all of them, in their words; and when docs/modules.md has each public template of the modules'
headers, with its parameters and their defaults.

    check.py [repository]
"""

import pathlib
import re
import sys


def folded(text):
    return re.sub(r"\s+", "", text)


def asserted(root):
    """The messages of static assertions that say what something requires."""
    messages = set()
    for header in root.glob("include/**/*.hpp"):
        text = re.sub(r'"\s*\n\s*"', "", header.read_text(encoding="utf-8"))
        messages.update(re.findall(r'static_assert\([^;]*?"([^"]* requires [^"]*)"\)', text))
    return messages


MODULES = ["sma/modules/*.hpp", "sma/routing/*.hpp", "seqboat/[!r]*.hpp"] + [
    f"sma/compose/{name}.hpp" for name in ("chain", "feed_forward", "parts", "repeat", "residual", "sum", "tied")]


def without_details(text):
    """Without namespaces of details."""
    return re.sub(r"^namespace (?:\w+::)?detail \{.*?^\}  // namespace (?:\w+::)?detail", "", text, flags=re.M | re.S)


def templates(root):
    """As docs/modules.md writes them: `Linear<In, Out, Init = SmallNormal>`."""
    for pattern in MODULES:
        for header in sorted((root / "include").glob(pattern)):
            text = without_details(header.read_text(encoding="utf-8"))
            for match in re.finditer(r"^template <(.*?)>\n(?:  requires.*\n)?struct (\w+)( :|\s*\{)", text, re.M | re.S):
                parameters = re.sub(r"\s+", " ", match[1])
                if match[2] == "Decisions" or "requires" in match[0]:
                    continue
                parameters = re.sub(r"\b(?:class|Index|FixedString|bool|std::size_t)(\.\.\.)? (\w+)", r"\2\1", parameters)
                yield f"{match[2]}<{parameters}>"
            for match in re.finditer(r"^template <class (\w+)>\nusing (\w+) =", text, re.M):
                yield f"{match[2]}<{match[1]}>"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2])
    sources = sorted(root.glob("tests/docs/*.cpp")) + sorted(root.glob("examples/**/*.cpp"))
    compiled = [folded(path.read_text(encoding="utf-8")) for path in sources]
    problems = []
    blocks = 0
    for page in [root / "README.md", *sorted(root.glob("docs/*.md"))]:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```cpp\n(.*?)^```", text, re.M | re.S):
            blocks += 1
            if not any(folded(block[1]) in source for source in compiled):
                line = text.count("\n", 0, block.start()) + 1
                problems.append(f"{page}:{line}: found a snippet that no compiled file holds")
        for link in re.finditer(r"\]\((?!https?:)([^)#]+)", text):
            if not (page.parent / link[1]).exists():
                problems.append(f"{page}: found a link to {link[1]}, expected a file")
    listed = set(re.findall(r"`((?:sma::|seqboat::|ctx\.|w\[|struct )[^`]* requires [^`]*)`", (root / "docs/errors.md").read_text("utf-8")))
    said = asserted(root)
    problems += [f"docs/errors.md: found '{text}', which no header says" for text in sorted(listed - said)]
    problems += [f"docs/errors.md: expected a line for '{text}'" for text in sorted(said - listed)]
    page = (root / "docs/modules.md").read_text(encoding="utf-8")
    public = set(templates(root))
    problems += [f"docs/modules.md: expected `{name}`" for name in sorted(public) if f"`{name}`" not in page]
    if blocks == 0:
        problems.append(f"{root}: found no snippets")
    for problem in problems:
        print(problem)
    if problems:
        sys.exit(1)
    print(f"{blocks} snippets, each compiled; {len(said)} static assertions, each listed; {len(public)} templates")


if __name__ == "__main__":
    main()

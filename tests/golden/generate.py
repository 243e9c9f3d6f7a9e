#!/usr/bin/env python3
"""Writes the test cases of golden_tests from a manifest of golden vectors.

    generate.py --manifest DIR/manifest.json --out BUILD_DIR [--only FILE...] [--units N]

The manifest holds the compile-time numbers of each file; this instantiates the library's templates with them. BUILD_DIR gets
golden_0.cpp, golden_1.cpp, ... and sources.txt, their names; with --only of these golden files alone. A file whose content would not
change is left alone. Exit code 1
and one line on standard error that names the file and the field where the manifest asks for something that does not exist.
"""

import argparse
import json
import pathlib
import re
import sys

SCALARS = ("double", "float")


class ManifestError(Exception):
    pass


NORMS = {"layernorm": "LayerNorm", "scalenorm": "ScaleNorm", "rmsnorm": "RmsNorm", "batchnorm": "BatchNorm",
         "syncbatchnorm": "BatchNorm"}
ACTIVATIONS = {"softmax": "Softmax", "relu2": "Relu2", "laplace": "Laplace"}
POSITIONS = ("simple", "local", "rotary", "t5", "none")
EMBEDDINGS = ("sparse", "linear")
NUMBER = r"([0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)"


class Case:
    """One entry of the manifest, read field by field."""

    def __init__(self, place, entry):
        self.entry = entry
        self.place = place
        if not isinstance(entry, dict):
            raise ManifestError(f"{place}: found {entry!r}, expected an object")
        self.file = self.text("file")
        self.place = f"{place} ({self.file})"

    def fail(self, field, expected):
        found = repr(self.entry[field]) if field in self.entry else "nothing"
        raise ManifestError(f"{self.place}: field '{field}': found {found}, expected {expected}")

    def text(self, field, default=None):
        value = self.entry.get(field, default)
        if not isinstance(value, str) or value == "":
            self.fail(field, "a text")
        return value

    def choice(self, field, choices, default=None):
        value = self.entry.get(field, default)
        if value not in choices:
            self.fail(field, "one of " + ", ".join(choices))
        return value

    def integer(self, field, least=1, default=None):
        value = self.entry.get(field, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.fail(field, f"an integer of at least {least}")
        return value

    def limit(self, field):
        """A size that is absent, null or -1 where there is none; 0 is returned then."""
        value = self.entry.get(field)
        if value is None or (value == -1 and not isinstance(value, bool)):
            return 0
        return self.integer(field)

    def padding(self, vocabulary):
        """A token's number, counted from the end where it is negative, as PyTorch does; -1 where the field is null.

        The reference's language model has padding index -1 and so, unmeant, leaves out the last token's look-up gradients.
        """
        value = self.entry.get("pad_index", -1)
        if value is None:
            return -1
        if isinstance(value, bool) or not isinstance(value, int) or not -vocabulary <= value < vocabulary:
            self.fail("pad_index", f"a token of the {vocabulary}")
        return value % vocabulary

    def flag(self, field, default=None):
        value = self.entry.get(field, default)
        if value not in (0, 1):
            self.fail(field, "0 or 1")
        return bool(value)

    def only(self, field, supported):
        """A field that has one supported value, which may be left out."""
        if field in self.entry and self.entry[field] != supported:
            self.fail(field, repr(supported))


def cpp(flag):
    return "true" if flag else "false"


def position(case, window):
    kind = case.entry.get("rel_pos")
    kind = "none" if kind is None else case.choice("rel_pos", POSITIONS)
    if kind == "simple":
        return f"seqboat::SimplePosition<{case.integer('max_positions')}>"
    if kind == "local":
        if window == 0:
            case.fail("rel_pos", "another kind of position: 'local' is defined for windowed attention only")
        return f"seqboat::LocalPosition<{window}>"
    if kind == "rotary" and case.integer("z_dim") % 2 != 0:
        case.fail("z_dim", "an even number for rotary positions")
    return {"rotary": "seqboat::RotaryPosition", "t5": "seqboat::T5Position", "none": "seqboat::NoPosition"}[kind]


def layer(case, causal):
    """Members of a LayerDefaults with the case's numbers."""
    window = case.limit("window")
    span = f"seqboat::Window<{window}>" if window > 0 else "seqboat::Full"
    return f"""\
  static constexpr sma::Index width = {case.integer('embed_dim')}, query_width = {case.integer('z_dim')};
  static constexpr sma::Index hidden_width = {case.integer('hidden_dim')}, states = {case.integer('ema_dim')};
  static constexpr sma::Index truncation = {case.limit('truncation')};
  using span = {span};
  using attention = seqboat::{ACTIVATIONS[case.choice('attention_activation', ACTIVATIONS)]};
  using position = {position(case, window)};
  template <sma::Index Width>
  using norm = sma::{NORMS[case.choice('norm', NORMS)]}<Width>;
  static constexpr bool prenorm = {cpp(case.flag('prenorm'))}, causal = {cpp(causal)};
  static constexpr bool always_active = {cpp(case.flag('always_active', 0))};
"""


def recipe(case):
    """The second argument of check_model: how the trajectory is trained, or nothing."""
    if case.entry.get("train_steps") in (None, 0):
        return ""
    steps = case.integer("train_steps")
    text = case.text("optimizer")

    def numbers(pattern, expected):
        match = re.search(pattern.replace("NUMBER", NUMBER), text)
        if match is None:
            case.fail("optimizer", expected)
        return match.groups()

    numbers(r"^\s*AdamW\b()", "AdamW first")
    beta1, beta2 = numbers(r"\bbetas\s*\(?NUMBER\s*,\s*NUMBER", "'betas B1,B2'")
    (epsilon,) = numbers(r"\beps\s+NUMBER", "'eps NUMBER'")
    (decay,) = numbers(r"\bweight_decay\s+NUMBER", "'weight_decay NUMBER'")
    (clip,) = numbers(r"\bclip global norm\s+NUMBER", "'clip global norm NUMBER'")
    initial, peak, warmup = numbers(r"\bwarmup linear\s+NUMBER\s+to\s+NUMBER\s+over\s+NUMBER\s+steps\b",
                                    "'warmup linear INITIAL to PEAK over STEPS steps'")
    numbers(r"\bthen linear decay to 0(?:\.0*)?\s+at the last step()", "'then linear decay to 0 at the last step'")
    return (f", {{{steps}, {{{beta1}, {beta2}, {epsilon}, {decay}}}, {clip}, "
            f"{{.peak = {peak}, .total = {steps}, .warmup = {warmup}, .initial = {initial}}}}}")


def layer_test(case):
    return (f"struct DESCRIPTION : seqboat::LayerDefaults {{\n{layer(case, not case.flag('bidirectional', 1))}}};\n",
            "check_layer", "seqboat::Layer<DESCRIPTION>", "")


def model_test(case, base, causal, members, template):
    text = (f"struct DESCRIPTIONLayer : seqboat::LayerDefaults {{\n{layer(case, causal)}}};\n"
            f"struct DESCRIPTION : seqboat::{base} {{\n  using layer = DESCRIPTIONLayer;\n{members}}};\n")
    return text, "check_model", f"seqboat::{template}<DESCRIPTION>", recipe(case)


def classifier_test(case):
    tokens = case.choice("embedding", EMBEDDINGS) == "sparse"
    case.only("classifier_activation", "gelu (erf)")
    case.only("pooling", "sum over non-pad / length")
    if case.flag("absolute_positions", 0) and case.integer("embed_dim") % 2 != 0:
        case.fail("embed_dim", "an even number for absolute positions")
    members = f"""\
  static constexpr sma::Index layers = {case.integer('layers')}, classes = {case.integer('classes')};
  static constexpr sma::Index classifier_width = {case.integer('classifier_dim')};
  static constexpr sma::Index vocabulary = {case.integer('vocab') if tokens else 0};
  static constexpr bool absolute_positions = {cpp(case.flag('absolute_positions', 0))};
"""
    return model_test(case, "ClassifierDefaults", not case.flag("bidirectional", 1), members, "Classifier")


def language_model_test(case):
    if case.flag("bidirectional", 0):
        case.fail("bidirectional", "0: language models are causal")
    case.only("embed_scale", "sqrt(embed_dim)")
    if not case.flag("tied_output", 1):
        case.fail("tied_output", "1: the output is tied to the embedding")
    affine = cpp(case.flag("final_norm_affine", 1))
    vocabulary = case.integer("vocab")
    members = f"""\
  static constexpr sma::Index layers = {case.integer('layers')}, vocabulary = {vocabulary};
  static constexpr sma::Index padding = {case.padding(vocabulary)};
  template <sma::Index Width>
  using final_norm = sma::{NORMS[case.choice('norm', NORMS)]}<Width, {affine}>;
"""
    return model_test(case, "LanguageModelDefaults", True, members, "LanguageModel")


KINDS = {"seqboat_layer": layer_test, "lra_classifier": classifier_test, "language_model": language_model_test}


def read_manifest(path):
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ManifestError(f"{path}: found {error}, expected JSON") from error
    entries = manifest.get("cases") if isinstance(manifest, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ManifestError(f"{path}: field 'cases': expected a list of at least one case")
    cases = [Case(f"{path}: case {i}", entry) for i, entry in enumerate(entries)]
    for case in cases:
        if not (path.parent / case.file).is_file():
            case.fail("file", f"a file in {path.parent}")
    return cases


def source(description, check, module, scalars, calls):
    """One translation unit: a description and the test cases of all files that have it."""
    text = "#include <golden/golden.hpp>\n\nnamespace {\n\n" + description + "\n"
    for file, arguments in calls:
        for scalar in scalars:
            title = json.dumps(f"{file} is reproduced in {scalar}", ensure_ascii=False)
            text += (f"TEST_CASE({title}) {{\n  golden::{check}<{module}, {scalar}>("
                     f"{json.dumps(file, ensure_ascii=False)}{arguments});\n}}\n")
    return text + "\n}  // namespace\n"


def generate(path, only, scalars_of_all):
    """The sources' texts. Files with the same description share its compiled templates; a layer is compiled with all scalars,
    a model, which takes longer, with one."""
    groups = {}
    cases = read_manifest(path)
    for name in only:
        if all(case.file != name for case in cases):
            raise ManifestError(f"--only: found '{name}', expected a file of {path}")
    for case in cases:
        if only and case.file not in only:
            continue
        test = KINDS[case.choice("kind", KINDS)](case)
        groups.setdefault(test[:3], []).append((case.file, test[3]))
    sources = []
    for i, (texts, calls) in enumerate(groups.items()):
        whole = tuple(scalars_of_all)
        for scalars in ([whole] if texts[1] == "check_layer" else [(scalar,) for scalar in whole]):
            # Unlike names, so that units can be merged.
            name = f"Description{i}" + ("" if scalars is whole else scalars[0].capitalize())
            description, check, module = (text.replace("DESCRIPTION", name) for text in texts)
            sources.append(source(description, check, module, scalars, calls))
    return sources


def merged(sources, units):
    """The same in at most that many translation units: what descriptions have in common is compiled once a unit."""
    count = min(units, len(sources))
    ends = [len(sources) * (i + 1) // count for i in range(count)]
    return ["\n".join(sources[begin:end]) for begin, end in zip([0, *ends], ends)]


def write(path, text):
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--manifest", type=pathlib.Path, required=True, help="manifest.json beside its files")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="directory to write sources to")
    parser.add_argument("--only", nargs="+", default=[], metavar="FILE", help="golden files, of those in the manifest")
    parser.add_argument("--scalars", nargs="+", default=SCALARS, choices=SCALARS, metavar="S", help="(double float)")
    parser.add_argument("--units", type=int, metavar="N", help="translation units at most (as many as there are descriptions)")
    arguments = parser.parse_args()
    try:
        sources = generate(arguments.manifest, arguments.only, arguments.scalars)
    except ManifestError as error:
        print(f"generate.py: {error}", file=sys.stderr)
        return 1
    if arguments.units is not None:
        sources = merged(sources, max(1, arguments.units))
    arguments.out.mkdir(parents=True, exist_ok=True)
    names = [f"golden_{i}.cpp" for i in range(len(sources))]
    for stale in arguments.out.glob("golden_*.cpp"):
        if stale.name not in names:
            stale.unlink()
    for name, text in zip(names, sources):
        write(arguments.out / name, text)
    write(arguments.out / "sources.txt", "".join(name + "\n" for name in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())

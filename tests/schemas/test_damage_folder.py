"""Planted damage to the manifest, to the files beside the data, and to the folder itself."""

from __future__ import annotations

import json
import os
import socket

import pytest

from pipeline.dataset import shards
from tests.schemas import example
from tests.schemas.damage import (
    CARD,
    CONFIG,
    KEYS,
    L0,
    L1,
    METRICS,
    REPORT,
    RUN,
    S0,
    S1,
    S2,
    SHARDS,
    SIGNATURE,
    I,
    M,
    at,
    manifest,
    run,
    setting,
    sign,
)
from tests.schemas.prove import prove

K0, K1, K2, K3, K4, K5, K6 = KEYS


def _text(name, old, new, signed=True):
    """Other words in a text file."""

    def damage(folder):
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))
        if signed:
            run(folder) if name == M else sign(folder)

    return damage


def _bytes(name, data, signed=True):
    def damage(folder):
        (folder / name).write_bytes(data)
        if signed:
            sign(folder)

    return damage


def _front(old, new):
    """Other words in the front matter of the card."""
    return _text(CARD, old, new)


def _flipped(name):
    def damage(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (folder / name).write_bytes(data)

    return damage


def _instead(name, make):
    """Something else under a file's name."""

    def damage(folder):
        (folder / name).rename(folder.parent / "aside")
        make(folder / name)

    return damage


def _beside(name, make=lambda path: path.write_bytes(b"")):
    def damage(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        make(folder / name)

    return damage


def _link(path):
    path.symlink_to(path.parent.parent / "aside" if (path.parent.parent / "aside").exists() else path.parent / "aside")


def _link_to_itself(path):
    path.symlink_to(path.name)


def _socket(path):
    at_ = socket.socket(socket.AF_UNIX)
    here = os.open(path.parent, os.O_RDONLY)  # the name of a socket is short
    try:
        at_.bind(f"/proc/self/fd/{here}/{path.name}")
    finally:
        os.close(here)
        at_.close()


def _folder_as_link(name):
    def damage(folder):
        (folder / name).rename(folder.parent / name)
        (folder / name).symlink_to(folder.parent / name)

    return damage


def _rename_shard(folder):
    (folder / S2).rename(folder / "shards/leafinstruct-00007.tar")
    setting("shards", 2, "name", value="leafinstruct-00007.tar")(folder)


def _rename_part(folder):
    (folder / L1).rename(folder / "ledger/part-00003.parquet")
    setting("ledger", 1, "name", value="part-00003.parquet")(folder)


def _lose_shard(folder):
    """A shard less, in the folder and in the manifest."""
    (folder / S2).unlink()
    manifest(folder, lambda m: m["shards"].pop())


def _without_newline(folder):
    (folder / M).write_bytes((folder / M).read_bytes().rstrip())
    run(folder)


def _spaced(folder):
    value = json.loads((folder / M).read_text())
    (folder / M).write_text(json.dumps(value, indent=4, sort_keys=True))
    run(folder)


def _other_config(folder):
    """Another threshold in config.yaml alone."""
    _text(CONFIG, "mean_at_least: 0.15", "mean_at_least: 0.05")(folder)


CASES = {
    "no manifest": (lambda f: (f / M).unlink(), [at("manifest-missing", M)]),
    "manifest cut": (lambda f: (f / M).write_bytes((f / M).read_bytes()[:400]), [at("manifest-unreadable", M)]),
    "manifest empty": (_bytes(M, b"", signed=False), [at("manifest-unreadable", M)]),
    "manifest not UTF-8": (_bytes(M, b'{"name": "\xff"}', signed=False), [at("manifest-unreadable", M)]),
    "manifest bottomless": (_bytes(M, b"[" * 100_000, signed=False), [at("manifest-unreadable", M)]),
    "manifest half a character": (_text(M, "Little", "\\ud800"), [at("manifest-unreadable", M)]),
    "manifest with a name twice": (
        _text(M, '"format":', '"format": "other", "format":'),
        [at("manifest-unreadable", M)],
    ),
    "manifest with NaN": (_text(M, '"shard_size": 3', '"shard_size": NaN'), [at("manifest-unreadable", M)]),
    "manifest with infinity": (
        _text(M, '"shard_size": 3', '"shard_size": 1e999'),
        [at("manifest-schema", M, pointer="/shard_size")],
    ),
    "manifest is a list": (_bytes(M, b"[]\n", signed=False), [at("manifest-schema", M)]),
    "manifest of an older version": (
        setting("format_version", value=2),
        [at("manifest-schema", M, pointer="/format_version")],
    ),
    "manifest of no version": (
        setting("format_version", value="3"),
        [at("manifest-schema", M, pointer="/format_version")],
    ),
    "manifest unknown key": (setting("made_at", value="noon"), [at("manifest-schema", M)]),
    "manifest with spaces": (_spaced, [at("manifest-form", M)]),
    "manifest without its last newline": (_without_newline, [at("manifest-form", M)]),
    "manifest with an escape sequence": (
        setting("name", value="\x1b[31mred"),
        [at("manifest-schema", M, pointer="/name")],
    ),
    "manifest path climbs out": (
        setting("shards", 0, "name", value="../a.tar"),
        [at("manifest-schema", M, pointer="/shards/0/name")],
    ),
    "manifest name of a shard with a newline": (
        setting("shards", 0, "name", value="leafinstruct-00000.tar\n"),
        [at("manifest-schema", M, pointer="/shards/0/name")],
    ),
    "manifest salt with a newline": (setting("salt", value="pepper\n"), [at("manifest-schema", M, pointer="/salt")]),
    "manifest salt too long": (setting("salt", value="x" * 65), [at("manifest-schema", M, pointer="/salt")]),
    "manifest number beyond all bounds": (
        setting("counts", "images", value=10**4000),
        [at("manifest-schema", M, pointer="/counts/images")],
    ),
    "manifest threshold that is a word": (
        setting("config", "coherence", "mean_at_least", value="high"),
        [at("manifest-schema", M, pointer="/config/coherence/mean_at_least")],
    ),
    "manifest rule about what an image shows, of another form": (
        setting("config", "rules", "content", value=[{"rule": 1}]),
        [at("manifest-schema", M, pointer="/config/rules/content/0/rule")],
    ),
    "manifest threshold of recurring images that is a word": (
        setting("config", "duplicates", value={"images_in_at_most": "ten"}),
        [at("manifest-schema", M, pointer="/config/duplicates/images_in_at_most")],
    ),
    "manifest without signed files": (lambda f: manifest(f, lambda m: m.pop("files")), [at("manifest-schema", M)]),
    "manifest without the card": (
        lambda f: manifest(f, lambda m: m["files"].pop(CARD)),
        [at("manifest-schema", M, pointer="/files")],
    ),
    "manifest without input files": (lambda f: manifest(f, lambda m: m.pop("inputs")), [at("manifest-schema", M)]),
    "manifest with half an input file": (
        setting("inputs", 0, "files", value=0.5),
        [at("manifest-schema", M, pointer="/inputs/0/files")],
    ),
    "manifest changed behind the run's back": (
        lambda f: shards.write_manifest(json.loads((f / M).read_text()) | {"libraries": {"pyarrow": "0"}}, str(f)),
        [at("run-manifest", RUN, pointer="/manifest")],
    ),
    "run.json lost": (lambda f: (f / RUN).unlink(), [at("file-missing", RUN)]),
    "run.json is a link": (_instead(RUN, _link), [at("run-unreadable", RUN), at("file-type", RUN)]),
    "run.json is a FIFO": (_instead(RUN, os.mkfifo), [at("run-unreadable", RUN), at("file-type", RUN)]),
    "run.json is a folder": (
        _instead(RUN, lambda p: p.mkdir()),
        [at("run-unreadable", RUN), at("file-type", RUN)],
    ),
    "run.json cut": (lambda f: (f / RUN).write_bytes((f / RUN).read_bytes()[:99]), [at("run-unreadable", RUN)]),
    "run.json not UTF-8": (lambda f: (f / RUN).write_bytes(b'{"a": "\xff"}'), [at("run-unreadable", RUN)]),
    "run.json bottomless": (lambda f: (f / RUN).write_bytes(b"[" * 60_000), [at("run-unreadable", RUN)]),
    "run.json too large": (lambda f: (f / RUN).write_bytes(b" " * 70_000), [at("run-unreadable", RUN)]),
    "run.json in another form": (
        lambda f: (f / RUN).write_text(json.dumps(json.loads((f / RUN).read_text()))),
        [at("run-form", RUN)],
    ),
    "run.json is a list": (lambda f: (f / RUN).write_text("[]"), [at("run-schema", RUN)]),
    "run.json of something else": (
        lambda f: run(f, lambda r: r.update(format="other")),
        [at("run-schema", RUN, pointer="/format")],
    ),
    "run.json with more": (lambda f: run(f, lambda r: r.update(more=1)), [at("run-schema", RUN)]),
    "run.json without the report": (
        lambda f: run(f, lambda r: r["files"].pop(REPORT)),
        [at("run-schema", RUN, pointer="/files")],
    ),
    "run.json with half a checksum": (
        lambda f: run(f, lambda r: r["files"][REPORT].update(sha256="ab")),
        [at("run-schema", RUN, pointer="/files/report.html/sha256")],
    ),
    "config changed": (
        setting("config", "coherence", value={}),
        [
            at("config-hash", M, pointer="/config_hash"),
            at("config-hash", M, pointer="/provenance/config"),
            at("config", CONFIG, pointer="/coherence/margin_at_least"),
            at("config", CONFIG, pointer="/coherence/matched_at_least"),
            at("config", CONFIG, pointer="/coherence/mean_at_least"),
            at("config", CONFIG, pointer="/coherence/similarity_at_most"),
        ],
    ),
    "config hash changed": (setting("config_hash", value="0" * 16), [at("config-hash", M, pointer="/config_hash")]),
    "provenance of another config": (
        setting("provenance", "config", value="0" * 16),
        [at("config-hash", M, pointer="/provenance/config")],
    ),
    "another salt than the configuration's": (
        setting("salt", value="salt"),
        [
            at("config", M, pointer="/salt"),
            at("ledger-order", L0),
            at("ledger-order", L0, K0, shard=""),
            at("index-order", I, K2),
            at("ledger-order", L0, K2, shard=""),
            at("ledger-order", L1),
            at("index-order", I, K4),
            at("ledger-order", L1, K4, shard=""),
            at("index-order", I, K5),
            at("ledger-order", L1, K5, shard=""),
        ],
    ),
    "another shard size than the configuration's": (
        setting("shard_size", value=4),
        [
            at("config", M, pointer="/shard_size"),
            at("shard-size", M, pointer="/shards/0/instances", shard=SHARDS[0]),
            at("shard-size", M, pointer="/shards/1/instances", shard=SHARDS[1]),
        ],
    ),
    "image count": (setting("counts", "images", value=99), [at("counts", M, pointer="/counts/images")]),
    "instance count": (
        setting("counts", "instances", value=8),
        [
            at("counts", M, pointer="/counts/instances"),
            at("counts", M, pointer="/counts/domains"),
            at("counts", M, pointer="/counts/sources"),
            at("counts", M, pointer="/counts/licenses"),
            at("counts", M, pointer="/index/rows"),
            at("funnel", M, pointer="/funnel/kept"),
            at("card", CARD, pointer="/dataset_info/splits/0/num_examples"),
        ],
    ),
    "domain counts": (setting("counts", "domains", value={"cooking": 7}), [at("counts", M, pointer="/counts/domains")]),
    "source counts": (
        setting("counts", "sources", value={"source-0": 7}),
        [at("counts", M, pointer="/counts/sources")],
    ),
    "licence counts": (setting("counts", "licenses", value={"": 7}), [at("counts", M, pointer="/counts/licenses")]),
    "member list": (
        setting("members", value=["00.jpg", "00.png", "01.jpg", "01.png", "02.jpg", "03.jpg"]),
        [at("card", CARD, pointer="/dataset_info/features"), at("counts", M, pointer="/members")],
    ),
    "domain list": (
        setting("domains", value=["gardening", "repair"]),
        [
            at("config", M, pointer="/domains"),
            at("domain", M, pointer="/counts/domains/cooking"),
            at("domain", I, K1, "/domain"),
            at("domain", I, K4, "/domain"),
            at("domain", I, K5, "/domain"),
        ],
    ),
    "index rows": (setting("index", "rows", value=8), [at("counts", M, pointer="/index/rows")]),
    "ledger rows": (
        setting("ledger", 0, "rows", value=8),
        [at("funnel", M, pointer="/funnel/input"), at("ledger-rows", L0)],
    ),
    "shard instances": (
        setting("shards", 1, "instances", value=2),
        [
            at("shard-size", M, pointer="/shards/1/instances", shard=SHARDS[1]),
            at("counts", M, pointer="/counts/instances"),
            at("index-rows", I, shard=SHARDS[1]),
        ],
    ),
    "shard renamed": (
        _rename_shard,
        [
            at("shard-name", M, pointer="/shards/2/name", shard="leafinstruct-00007.tar"),
            at("index-rows", I, shard=SHARDS[2]),
            at("index-rows", I, shard="leafinstruct-00007.tar"),
        ],
    ),
    "part renamed": (_rename_part, [at("ledger-name", M, pointer="/ledger/1/name")]),
    "shard lost everywhere but in the index": (
        _lose_shard,
        [
            at("counts", M, pointer="/counts/instances"),
            at("card", CARD, pointer="/dataset_info/splits/0/num_bytes"),
            at("index-rows", I, shard=SHARDS[2]),
        ],
    ),
    "funnel does not add up": (
        setting("funnel", "failed", value={"malformed": 2}),
        [at("funnel", M, pointer="/funnel/input"), at("funnel", M, pointer="/funnel/failed")],
    ),
    "funnel names another rule": (
        setting("funnel", "dropped", value={"word_count": 5}),
        [at("funnel", M, pointer="/funnel/dropped")],
    ),
    "funnel kept": (
        setting("funnel", "kept", value=6),
        [at("funnel", M, pointer="/funnel/input"), at("funnel", M, pointer="/funnel/kept")],
    ),
    "rating aspect lost": (
        lambda f: manifest(f, lambda m: m["rating_aspects"].pop("fluency")),
        [
            at("card", CARD, pointer="/dataset_info/features/0/struct/10/struct/6/struct"),
            at("index-schema", I),
            at("ledger-row", L0, K0, "/scores"),
            at("ledger-row", L0, K1, "/scores"),
            at("ledger-row", L0, pointer="/scores"),
            at("ledger-row", L0, K2, "/scores"),
            at("ledger-row", L1, K3, "/scores"),
            at("ledger-row", L1, K4, "/scores"),
            at("ledger-row", L1, K5, "/scores"),
            at("ledger-row", L1, K6, "/scores"),
        ],
    ),
    "card lost": (lambda f: (f / CARD).unlink(), [at("file-missing", CARD)]),
    "card changed": (
        _text(CARD, "Little", "Large", signed=False),
        [at("file-size", CARD), at("card", CARD, pointer="/pretty_name")],
    ),
    "card's words changed": (_text(CARD, "bound by that licence", "free", signed=False), [at("file-size", CARD)]),
    "card without front matter": (_bytes(CARD, b"# Words\n"), [at("card-unreadable", CARD)]),
    "card not UTF-8": (_bytes(CARD, b"---\n\xff: 1\n---\n"), [at("card-unreadable", CARD)]),
    "card front matter broken": (_bytes(CARD, b"---\na: [\n---\n"), [at("card-unreadable", CARD)]),
    "card front matter is a word": (_bytes(CARD, b"---\nword\n---\n"), [at("card", CARD)]),
    "card with a bomb of aliases": (
        _bytes(CARD, b"---\na: &a [1,1]\nb: &b [*a,*a]\nc: [*b,*b]\n---\n"),
        [at("card-unreadable", CARD)],
    ),
    "card with a name twice": (_front("pretty_name:", "pretty_name: x\npretty_name:"), [at("card-unreadable", CARD)]),
    "card without a column": (
        _front("  - name: 02.jpg\n    dtype: image\n", ""),
        [at("card", CARD, pointer="/dataset_info/features")],
    ),
    "card with a column too many": (
        _front("  splits:", "  - name: 09.jpg\n    dtype: image\n  splits:"),
        [at("card", CARD, pointer="/dataset_info/features")],
    ),
    "card with another type": (
        _front("dtype: image", "dtype: string"),
        [at("card", CARD, pointer="/dataset_info/features/1/dtype")],
    ),
    "card with another count": (
        _front("num_examples: 7", "num_examples: 8"),
        [at("card", CARD, pointer="/dataset_info/splits/0/num_examples")],
    ),
    "card with another size": (
        _front("num_bytes: 51200", "num_bytes: 51201"),
        [at("card", CARD, pointer="/dataset_info/splits/0/num_bytes")],
    ),
    "card with another split": (
        _front("- split: train", "- split: test"),
        [at("card", CARD, pointer="/configs/0/data_files/0/split")],
    ),
    "card with another config name": (
        _front("config_name: default", "config_name: other"),
        [at("card", CARD, pointer="/configs/0/config_name")],
    ),
    "card with data files elsewhere": (
        _front("path: shards/*.tar", "path: https://example.org/*.tar"),
        [at("card", CARD, pointer="/configs/0/data_files/0/path")],
    ),
    "card with a script": (
        _front("license: other", "license: other\nloader: run.py"),
        [at("card", CARD, pointer="/loader")],
    ),
    "card with another name": (
        _front("pretty_name: Little", "pretty_name: Large"),
        [at("card", CARD, pointer="/pretty_name")],
    ),
    "configuration file lost": (lambda f: (f / CONFIG).unlink(), [at("file-missing", CONFIG)]),
    "configuration file changed": (
        _text(CONFIG, "0.15", "0.05", signed=False),
        [at("file-sha256", CONFIG), at("config", CONFIG, pointer="/coherence/mean_at_least")],
    ),
    "configuration file of another configuration": (
        _other_config,
        [at("config", CONFIG, pointer="/coherence/mean_at_least")],
    ),
    "configuration file with a key too many": (
        _bytes(CONFIG, example.config_yaml(example.CONFIG) + b"more: 1\n"),
        [at("config", CONFIG, pointer="/more")],
    ),
    "configuration file with a key twice": (
        _bytes(CONFIG, b"preset: other\n" + example.config_yaml(example.CONFIG)),
        [at("config", CONFIG)],
    ),
    "configuration file without a key": (_text(CONFIG, "preset: little\n", ""), [at("config", CONFIG)]),
    "configuration file is no YAML": (_bytes(CONFIG, b"a: ["), [at("config", CONFIG)]),
    "report lost": (lambda f: (f / REPORT).unlink(), [at("file-missing", REPORT)]),
    "report changed": (_flipped(REPORT), [at("file-sha256", REPORT)]),
    "report cut": (_bytes(REPORT, b"<html>", signed=False), [at("file-size", REPORT)]),
    "metrics broken": (_bytes(METRICS, b"{"), [at("metrics", METRICS)]),
    "metrics are a list": (_bytes(METRICS, b"[]"), [at("metrics", METRICS)]),
    "metrics lost": (lambda f: (f / METRICS).unlink(), [at("file-missing", METRICS)]),
    "metrics changed": (_text(METRICS, "3", "4", signed=False), [at("file-sha256", METRICS)]),
    "shard lost": (lambda f: (f / S1).unlink(), [at("file-missing", S1)]),
    "shard cut": (lambda f: (f / S1).write_bytes((f / S1).read_bytes()[:10240]), [at("file-size", S1)]),
    "shard is a folder": (_instead(S1, lambda p: p.mkdir()), [at("file-type", S1)]),
    "shard is a link": (_instead(S1, _link), [at("file-type", S1)]),
    "shard is a link to itself": (_instead(S1, _link_to_itself), [at("file-type", S1)]),
    "shard is a FIFO": (_instead(S1, os.mkfifo), [at("file-type", S1)]),
    "shard is a socket": (_instead(S1, _socket), [at("file-type", S1)]),
    "shards are a linked folder": (
        _folder_as_link("shards"),
        [at("file-type", "shards"), at("file-missing", S0), at("file-missing", S1), at("file-missing", S2)],
    ),
    "index lost": (lambda f: (f / I).unlink(), [at("file-missing", I)]),
    "index is a link": (_instead(I, _link), [at("file-type", I)]),
    "index is a FIFO": (_instead(I, os.mkfifo), [at("file-type", I)]),
    "manifest is a FIFO": (_instead(M, os.mkfifo), [at("manifest-unreadable", M)]),
    "manifest is a link": (_instead(M, _link), [at("manifest-unreadable", M)]),
    "card is a link": (_instead(CARD, _link), [at("file-type", CARD)]),
    "ledger part lost": (lambda f: (f / L1).unlink(), [at("file-missing", L1)]),
    "ledger part is a FIFO": (_instead(L1, os.mkfifo), [at("file-type", L1)]),
    "unfinished shard": (
        _beside("shards/leafinstruct-00003.tar.ab.tmp"),
        [at("file-stray", "shards/leafinstruct-00003.tar.ab.tmp")],
    ),
    "old shard": (_beside("shards/leafinstruct-00003.tar"), [at("file-stray", "shards/leafinstruct-00003.tar")]),
    "old ledger part": (_beside("ledger/part-00002.parquet"), [at("file-stray", "ledger/part-00002.parquet")]),
    "stray file": (_beside("notes.txt"), [at("file-stray", "notes.txt")]),
    "stray file with a hidden name": (_beside(".notes"), [at("file-stray", ".notes")]),
    "stray file with a dot behind its name": (_beside("manifest.json."), [at("file-stray", "manifest.json.")]),
    "stray file that differs by case": (_beside("readme.md"), [at("file-stray", "readme.md")]),
    "stray shard that differs by case": (
        _beside("shards/LEAFINSTRUCT-00000.tar"),
        [at("file-stray", "shards/LEAFINSTRUCT-00000.tar")],
    ),
    "stray file with an escape sequence": (_beside("\x1b[2Jnotes"), [at("file-stray", "\\x1b[2Jnotes")]),
    "stray file that is not UTF-8": (_beside(os.fsdecode(b"not\xff")), [at("file-stray", "not\\udcff")]),
    "stray folder": (_beside("more/notes.txt"), [at("file-stray", "more")]),
    "stray link": (_beside("more", _link_to_itself), [at("file-stray", "more")]),
    "stray FIFO among the shards": (_beside("shards/pipe", os.mkfifo), [at("file-stray", "shards/pipe")]),
    "work folder is a link": (_beside(".work", lambda p: p.symlink_to(p.parent.parent)), [at("file-type", ".work")]),
    "metrics are a FIFO": (_instead(METRICS, os.mkfifo), [at("file-type", METRICS)]),
    "signature is a folder": (_beside(SIGNATURE, lambda p: p.mkdir()), [at("file-type", SIGNATURE)]),
    "signature of the manifest": (_beside("manifest.json.sig"), [at("file-stray", "manifest.json.sig")]),
}


@pytest.mark.parametrize("name", CASES)
def test_cheap_mode_finds_exactly(name, folder):
    prove(folder, *CASES[name], deep=False)

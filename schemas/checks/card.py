"""Does the data card declare what `datasets` has to know to load the shards?"""

from __future__ import annotations

import pathlib
from collections.abc import Iterator

import yaml

from schemas.codec import Json
from schemas.defects import Defect

FILE = "README.md"


def check(folder: pathlib.Path, manifest: Json) -> Iterator[Defect]:
    """The front matter of README.md: the number of examples, and a column for every member."""
    try:
        text = (folder / FILE).read_text()
        info = yaml.safe_load(text.split("---\n", 2)[1])["dataset_info"]
        examples = info["splits"][0]["num_examples"]
        columns = {feature["name"] for feature in info["features"]}
    except FileNotFoundError:
        yield Defect("card-missing", FILE, "there is no data card; without it `datasets` cannot load the shards")
        return
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, yaml.YAMLError) as error:
        yield Defect("card-unreadable", FILE, f"its front matter has no usable dataset_info: {error}")
        return
    if examples != manifest["counts"]["instances"]:
        yield Defect(
            "card",
            FILE,
            f"declares {examples} examples; there are {manifest['counts']['instances']}",
            pointer="/dataset_info/splits/0/num_examples",
        )
    for member in ["json", *manifest["members"]]:
        if member not in columns:
            yield Defect("card", FILE, f"declares no column for the member {member}", pointer="/dataset_info/features")

"""The front matter of a data card: what `datasets` and the Hugging Face hub need to know, derived from the manifest."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from schemas.arrow import instance_schema
from schemas.codec import Json


def front_matter(manifest: Json) -> Json:
    """What README.md begins with, as plain data.

    `dataset_info` names a column for every member that occurs. Samples differ in their members; without `dataset_info`,
    `datasets` would derive the columns from the first five samples.
    """
    instances = manifest["counts"]["instances"]
    return {
        "pretty_name": manifest["name"],
        "license": "other",
        "license_name": "per-instance",
        "tags": ["interleaved", "instruction-tuning", "webdataset"],
        "size_categories": [_size_category(instances)],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "shards/*.tar"}]}],
        "dataset_info": {
            "config_name": "default",
            "features": [
                {"name": "json", **_feature(pa.struct(list(instance_schema(manifest["rating_aspects"]))))},
                *({"name": member, "dtype": "image"} for member in manifest["members"]),
            ],
            "splits": [
                {"name": "train", "num_bytes": sum(s["bytes"] for s in manifest["shards"]), "num_examples": instances}
            ],
        },
    }


def _feature(kind: pa.DataType) -> dict[str, Any]:
    """An Arrow type under the name that `datasets` has for it in a card."""
    if isinstance(kind, pa.StructType):
        return {"struct": [{"name": field.name, **_feature(field.type)} for field in kind]}
    if isinstance(kind, pa.ListType):
        (inner,) = _feature(kind.value_type).values()
        return {"list": inner}
    return {"dtype": {"double": "float64"}.get(str(kind), str(kind))}


def _size_category(instances: int) -> str:
    """The hub's name for a dataset of this size."""
    steps = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M")]
    return next((name for limit, name in steps if instances < limit), "1M<n<10M")

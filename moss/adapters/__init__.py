"""The adapters and their registration with PEFT."""

from __future__ import annotations

from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING

from moss.adapters.config import MOSS, MossConfig
from moss.adapters.tuner import MossModel

__all__ = ["MossConfig", "MossModel"]

# PEFT's own register function needs a member of its PeftType enumeration; it fills these tables and nothing else.
# The tables are typed for such members; their readers only need a name with an attribute `value`.
PEFT_TYPE_TO_CONFIG_MAPPING[MOSS] = MossConfig  # type: ignore[index]  # see above
PEFT_TYPE_TO_TUNER_MAPPING[MOSS] = MossModel  # type: ignore[index]  # see above
PEFT_TYPE_TO_PREFIX_MAPPING[MOSS] = MossModel.prefix  # type: ignore[index]  # see above

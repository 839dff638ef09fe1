import json

from models import HELD_OUT
from models.common_words import shares
from pipeline.coherence.words import RAREST, rarity


def test_shares_are_of_documents_and_leave_held_out_sources_out(tmp_path):
    def doc(number: int, source: str, text: str) -> str:
        return json.dumps({"id": str(number), "source": source, "segments": [{"text": text}]})

    texts = [doc(k, "own", "Water, water and waters." if k < 3 else "Only sand.") for k in range(4)]
    (tmp_path / "docs.jsonl").write_text("\n".join([*texts, doc(9, HELD_OUT[0], "Secret.")]))
    assert shares(str(tmp_path)) == {"and": 0.75, "only": 0.25, "sand": 0.25, "water": 0.75, "waters": 0.75}


def test_the_committed_table_has_no_word_rarer_than_it_can_tell():
    assert rarity("the") < rarity("step") <= rarity("zzzzzz")
    assert 0 < RAREST <= 0.01

"""The benchmarks of single stages still call them as the pipeline does."""

import dataclasses

from benchmarks import clip_stage, llm_stage
from benchmarks.memory import HashScorer
from benchmarks.steps import CONFIG, a_run
from pipeline import config as configuration
from pipeline.run import image_store
from tests.answers import MODEL, server
from tests.pipeline.runs import ROOT

CORPUS = configuration.parse_corpus(f"native:{ROOT / 'examples/corpus'}")


class Counting(HashScorer):
    def __init__(self):
        self.scored = 0

    def score(self, documents, open_image):
        for document in documents:
            for image in document.images:
                open_image(image.sha256)
        self.scored += len(documents)
        return super().score(documents, open_image)


def test_the_benchmark_of_coherence_scores_every_document_of_another_corpus(tmp_path):
    run = a_run(str(tmp_path), configuration.load(str(CONFIG)))
    run = dataclasses.replace(run, config=dataclasses.replace(run.config, corpora=(CORPUS,)))
    documents = clip_stage.stored(CORPUS, 3, image_store(run))
    scorer = Counting()
    clip_stage.stage(documents, run, scorer)()
    assert scorer.scored == len(documents) == 3


def test_both_contenders_ask_the_same_number_of_questions():
    documents = llm_stage.excerpts(f"native:{ROOT / 'examples/corpus'}", 4)
    asked = []
    for contender in (llm_stage.bare, llm_stage.stage):
        with server() as llm:
            contender(llm.url, MODEL, llm_stage.marked(documents), 2)
            asked.append(len(llm.requests))
    assert asked == [4, 4]

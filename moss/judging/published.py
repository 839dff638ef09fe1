"""Published scores, which cannot be compared with ours.

Other judge runs, other questions, other versions of the systems.

MoSS: the main table of the authors' public presentation of "Modality-Specialized Synergizers for Interleaved
Vision-Language Generalists" (ICLR 2025, arXiv 2407.03604). InterleavedBench: its project page (VT-NLP/InterleavedEval,
arXiv 2406.14643). The two differ for the same systems, which shows that judge runs cannot be compared.
"""

from __future__ import annotations

PUBLISHED: dict[str, tuple[tuple[str, tuple[float, ...]], ...]] = {
    "MoSS, ICLR 2025": (
        ("Gemini1.5+SDXL", (3.37, 4.34, 3.34, 3.98, 3.28)),
        ("GPT-4o+DALL-E 3", (3.16, 4.44, 3.13, 4.39, 3.46)),
        ("MiniGPT-5", (1.31, 3.44, 2.06, 2.66, 1.76)),
        ("GILL", (1.44, 4.02, 2.12, 2.69, 1.53)),
        ("Emu2", (1.33, 2.29, 1.71, 1.22, 1.87)),
        ("Chameleon", (3.33, 0.67, 0.28, 0.47, 1.43)),
        ("Emu2+MoSS", (2.61, 3.62, 3.41, 3.54, 2.71)),
        ("Chameleon+MoSS", (2.98, 2.25, 1.05, 1.70, 1.82)),
    ),
    "InterleavedBench, EMNLP 2024": (
        ("Gemini1.5+SDXL", (4.40, 3.99, 3.64, 4.13, 3.62)),
        ("GPT-4o+DALL-E 3", (4.37, 4.36, 3.51, 4.55, 3.88)),
        ("MiniGPT-5", (1.22, 2.45, 1.62, 2.03, 1.77)),
        ("GILL", (0.75, 3.21, 2.25, 1.53, 1.48)),
        ("Emu2", (1.26, 2.28, 1.89, 1.34, 1.64)),
        ("Emu2-Gen + gold text", (1.56, 3.35, 2.89, 1.43, 2.10)),
    ),
}
"""Source -> system -> its scores in the order of `aspects.ASPECTS`."""

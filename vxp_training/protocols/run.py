"""From frames and trials to numbers: describe every frame once, then answer every trial in every mode."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vxp_ros.core.errors import SourceError

from ..descriptors import Describer, DescriptorStore, Frames, Progress
from ..evaluate import MODES, Answers, answer, summarise
from .trial import Trial

Results = dict[str, list[Answers]]


def evaluate(
    frames: Frames,
    trials: Sequence[Trial],
    describer: Describer,
    cache: Path,
    limit: int | None = None,
    progress: Progress | None = None,
) -> tuple[dict, Results]:
    """The report as `vxp eval --json` writes it, and per mode each trial's answers.

    Modes are those whose two sensors the model has. limit: at most so many queries per trial. Raises SourceError when
    no query has a right answer, and what DescriptorStore raises.
    """
    trials = [trial.limited(limit) for trial in trials]
    if not any(len(right) for trial in trials for right in trial.positives):
        raise SourceError("no query has a right answer in its database: the drives do not meet within the radius")
    rows = np.unique(np.concatenate([part for trial in trials for part in (trial.queries, trial.database)]))
    vectors = DescriptorStore(cache, frames, describer).describe(rows, progress)
    modes = {mode: pair for mode, pair in MODES.items() if set(pair) <= set(vectors)}
    results = {
        mode: [answer(trial, frames.annotation, vectors[query][trial.queries], vectors[against][trial.database])
               for trial in trials]
        for mode, (query, against) in modes.items()
    }  # fmt: skip
    refused = {modality: int(np.isnan(found[rows, 0]).sum()) for modality, found in vectors.items()}
    return report(results, describer, refused), results


def report(results: Results, describer: Describer, refused: dict[str, int]) -> dict:
    groups = dict.fromkeys(answers.trial.group for answers in next(iter(results.values())))
    return {
        "model": describer.model_id,
        "refused": refused,
        "modes": {mode: summarise(answers) for mode, answers in results.items()},
        "groups": {
            group: {mode: summarise([one for one in answers if one.trial.group == group])
                    for mode, answers in results.items()}
            for group in groups
        },
    }  # fmt: skip

"""The published behaviour of NUSC-PR where it differs from what was meant (specification, section 7.1)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NuscPrCompat:
    """All off by default, which is the leak-free rule. The order of queries and all draws are ours in any case.

    nuscpr_db_all_dates: the database holds frames of all dates, and a query's own drive seconds before and after it
    counts (supervised). nuscpr_train_all_dates: tuples may show frames of test dates; matters together with the first.
    nuscpr_sample_replacement: a tuple may hold the same frame twice (supervised). nuscpr_no_val_gt: no right answers
    for validation queries. nuscpr_float32_days: dates in steps of 134 s. nuscpr_random_scenes: test scenes are drawn
    one by one and not by whole drives (self-supervised). nuscpr_unchecked_negatives: negatives may be at the query's
    spot (self-supervised). nuscpr_legacy_keys: the infos' keys with their old names.
    """

    nuscpr_db_all_dates: bool = False
    nuscpr_train_all_dates: bool = False
    nuscpr_sample_replacement: bool = False
    nuscpr_no_val_gt: bool = False
    nuscpr_float32_days: bool = False
    nuscpr_random_scenes: bool = False
    nuscpr_unchecked_negatives: bool = False
    nuscpr_legacy_keys: bool = False

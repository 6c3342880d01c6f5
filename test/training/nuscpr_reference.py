"""NUSC-PR by obvious loops over infos, written from its description: every value of every index file.

infos: list of dicts. log_of: scene_token -> anything that names the drive. Draws take uniform numbers of a stream
named by seed and purpose, as nusc_pr/draws.py says.
"""

import math
from zlib import crc32

import numpy as np

ABBREVIATIONS = {"boston-seaport": "bs", "singapore-onenorth": "son", "singapore-queenstown": "sq",
                 "singapore-hollandvillage": "shv"}  # fmt: skip
THRESHOLDS = {"bs": 105, "son": 50, "sq": 105, "shv": 50}
MINUTE = 60_000_000


def stream(seed, purpose):
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, crc32(purpose.encode())])))


def pose(info):
    return info["lidar_infos"]["LIDAR_TOP"]["ego_pose"]["translation"]


def plane(a, b):
    """Metres in the plane between float32 coordinates."""
    (ax, ay), (bx, by) = ([float(np.float32(v)) for v in pose(info)[:2]] for info in (a, b))
    return math.sqrt((ax - bx) ** 2 + (ay - by) ** 2)


def space(a, b):
    return math.sqrt(sum((u - v) ** 2 for u, v in zip(pose(a), pose(b), strict=True)))


def lowest(keys, allowed, count):
    """The allowed numbers with the smallest keys, the smallest first."""
    return sorted(allowed, key=lambda number: keys[number])[:count]


def supervised(infos, log_of, district, seed, is_published):
    """database, train, val, test: lists; gt, val_gt: {query: [..]}; tuples: {query: {pos, neg}}."""
    frames = [i for i, info in enumerate(infos) if ABBREVIATIONS[info["loc"]] == district]
    stamps = {i: infos[i]["timestamp"] for i in frames}
    first = min(stamps.values())
    limit = THRESHOLDS[district]
    if is_published:
        begin = min(np.float32(stamp) for stamp in stamps.values())
        early = {i for i in frames if (np.float32(stamps[i]) - begin) / np.float32(86400e6) < limit}
    else:
        early = {i for i in frames if stamps[i] - first < limit * 86400 * 1_000_000}
    database = []
    for i in frames:
        if not is_published and i not in early:
            continue
        if all(plane(infos[i], infos[j]) > 1.0 for j in database):
            database.append(i)
    train = [i for i in frames if i in early and i not in database]
    late = [i for i in frames if i not in early and i not in database]
    keys = stream(seed, f"{district} validation").random(len(late))
    chosen = set(lowest(keys, range(len(late)), int(0.25 * len(late))))
    val = [i for number, i in enumerate(late) if number in chosen]
    test = [i for number, i in enumerate(late) if number not in chosen]

    def counts(query, place):
        same_log = log_of[infos[query]["scene_token"]] == log_of[infos[place]["scene_token"]]
        return is_published or not (same_log and abs(stamps[query] - stamps[place]) <= MINUTE)

    def gt(queries):
        return {q: [p for p in database if counts(q, p) and plane(infos[q], infos[p]) <= 9.0] for q in queries}

    tuples, positives, negatives = {}, stream(seed, f"{district} positives"), stream(seed, f"{district} negatives")
    for q in train:
        near = [n for n, p in enumerate(database) if counts(q, p) and plane(infos[q], infos[p]) <= 9.0]
        far = [n for n, p in enumerate(database) if counts(q, p) and plane(infos[q], infos[p]) > 18.0]
        if is_published:
            u, v = positives.random(2), negatives.random(4)
            if near and far:
                pos, neg = [near[int(x * len(near))] for x in u], [far[int(x * len(far))] for x in v]
                tuples[q] = {"pos": [database[n] for n in pos], "neg": [database[n] for n in neg]}
        else:
            u, v = positives.random(len(database)), negatives.random(len(database))
            if len(near) >= 2 and len(far) >= 4:
                pos, neg = lowest(u, near, 2), lowest(v, far, 4)
                tuples[q] = {"pos": [database[n] for n in pos], "neg": [database[n] for n in neg]}
    return {"frames": frames, "early": early, "database": database, "train": train, "val": val, "test": test,
            "gt": gt(test), "val_gt": gt(val), "tuples": tuples}  # fmt: skip


def self_supervised(infos, log_of, seed, is_published):
    """district -> database, test: lists; gt: {query: [..]}; tuples: {query: {pos, neg, loc}}."""
    scenes = list(dict.fromkeys(info["scene_token"] for info in infos))
    loc_of = {info["scene_token"]: info["loc"] for info in infos}
    present = [name for loc, name in ABBREVIATIONS.items() if loc in loc_of.values()]
    new = set()
    if is_published:
        keys = stream(seed, "scenes").random(len(scenes))
        new = {scenes[n] for n in lowest(keys, range(len(scenes)), round(len(scenes) * 150 / 850))}
    else:
        logs = list(dict.fromkeys(log_of[scene] for scene in scenes))  # numbered as their first scenes stand
        for name in present:
            own = [scene for scene in scenes if ABBREVIATIONS[loc_of[scene]] == name]
            drives = [log for log in logs if any(log_of[scene] == log for scene in own)]
            if len(drives) < 2:
                continue
            scenes_of = {log: [scene for scene in own if log_of[scene] == log] for log in drives}
            keys = stream(seed, f"{name} drives").random(len(drives))
            room, taken = round(len(own) * 150 / 850), []
            for n in lowest(keys, range(len(drives)), len(drives)):
                if len(scenes_of[drives[n]]) <= room:
                    taken.append(drives[n])
                    room -= len(scenes_of[drives[n]])
            if not taken:
                taken = [min(drives, key=lambda log: len(scenes_of[log]))]
            new |= {scene for log in taken for scene in scenes_of[log]}
    result = {}
    for name in present:
        mine = [i for i, info in enumerate(infos) if ABBREVIATIONS[info["loc"]] == name]
        database = [i for i in mine if infos[i]["scene_token"] not in new]
        test = [i for i in mine if infos[i]["scene_token"] in new]
        random, tuples = stream(seed, f"{name} negatives"), {}
        for scene in scenes:
            frames = [i for i in database if infos[i]["scene_token"] == scene]
            for j in range(12, len(frames)):
                keys = random.random(len(frames))
                pool = [k for k in range(j - 8) if is_published or space(infos[frames[j]], infos[frames[k]]) > 18.0]
                if len(pool) >= 4:
                    neg = [frames[k] for k in sorted(lowest(keys, pool, 4))]
                    pos = [frames[j - 1], frames[j - 2]]
                    tuples[frames[j]] = {"pos": pos, "neg": neg, "loc": infos[frames[j]]["loc"]}
        gt = {q: [p for p in database if space(infos[q], infos[p]) <= 9.0] for q in test}
        result[name] = {"database": database, "test": test, "gt": gt, "tuples": tuples, "new": new}
    return result

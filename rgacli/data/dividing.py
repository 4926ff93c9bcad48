"""Dividing a dataset into splits that are alike in their objects."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Hashable, Mapping

from rgacli.data.annotations import Annotations, gt_counts
from rgacli.data.splits import SPLITS
from rgacli.errors import DataError, UsageError
from rgacli.wording import param

_SEED = 0


def parse_split_by(spec: str) -> dict[str, int]:
    """Return split -> share, of "80:10:10" (train, val, test) or "80:20" (train, val).

    Raises:
        UsageError: If it is not two or three whole numbers above 0.
    """
    shares = [int(share) for share in spec.split(":")] if re.fullmatch(r"\d{1,9}(:\d{1,9}){1,2}", spec) else [0]
    if min(shares) < 1:
        raise UsageError(f"{param('split_by', spec)}: give the shares of train, val and test as 80:10:10, or 80:20.")
    return dict(zip(SPLITS, shares, strict=False))


def divide(content: Annotations, shares: Mapping[str, int]) -> dict[str, Annotations]:
    """Divide a dataset's images, stratified by their numbers of objects and the classes in them.

    Iterative stratification [Sechidis, Tsoumakas, Vlahavas, ECML 2011] with sizes held exactly: of what an image has
    (each class; its number of objects, in the bins 0, 1, 2-3, 4-7, 8-15, …) the rarest is dealt out first, each image
    to the split that lacks most of it. The same content and shares always give the same splits, in any order of the
    dataset's own the images keep.

    Args:
        content: COCO annotations.
        shares: Split -> its share of the images, in any unit.

    Returns:
        Split -> annotations; all list every category.

    Raises:
        DataError: If there are fewer images than splits.
    """
    images = content["images"]
    if len(images) < len(shares):
        raise DataError(f"{len(images)} images cannot be divided into {len(shares)} splits")
    room = _sizes(len(images), shares)
    home = _deal(_labels(content), room)
    return {
        split: {
            **content,
            "images": [image for image in images if home[image["id"]] == split],
            "annotations": [each for each in content["annotations"] if home.get(each["image_id"]) == split],
        }
        for split in shares
    }


def _sizes(total: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Return split -> number of images: its share to within one, yet at least one."""
    exact = {split: total * share / sum(shares.values()) for split, share in shares.items()}
    sizes = {split: max(1, int(size)) for split, size in exact.items()}
    while (left := total - sum(sizes.values())) != 0:
        step = 1 if left > 0 else -1
        short = {split: step * (exact[split] - sizes[split]) for split in sizes if sizes[split] + step > 0}
        sizes[max(short, key=lambda split: short[split])] += step
    return sizes


def _labels(content: Annotations) -> dict[int, set[Hashable]]:
    """Return image id -> what is to be equally frequent in all splits."""
    labels: dict[int, set[Hashable]] = {
        image: {("objects", count.bit_length())} for image, count in gt_counts(content).items()
    }
    for each in content["annotations"]:
        if each["image_id"] in labels:
            labels[each["image_id"]].add(("class", each["category_id"]))
    return labels


def _deal(labels: Mapping[int, set[Hashable]], room: dict[str, int]) -> dict[int, str]:
    """Return image id -> split, filling each split's room."""
    order = list(labels)
    random.Random(_SEED).shuffle(order)
    having: dict[Hashable, dict[int, None]] = defaultdict(dict)  # sets that keep their order
    for image in order:
        for label in labels[image]:
            having[label][image] = None
    room, total = dict(room), len(order)
    wanted = {(split, label): size * len(having[label]) / total for split, size in room.items() for label in having}
    home: dict[int, str] = {}
    while having:
        rarest = min(having, key=lambda label: (len(having[label]), str(label)))
        for image in having.pop(rarest):
            split = _neediest(room, {split: wanted[split, rarest] for split in room})
            home[image] = split
            room[split] -= 1
            for label in labels[image]:
                wanted[split, label] -= 1
                having.get(label, {}).pop(image, None)
        having = {label: images for label, images in having.items() if images}
    return home


def _neediest(room: Mapping[str, int], wanted: Mapping[str, float]) -> str:
    """Return the split that lacks most of a label, of those with room; of equals, that with most room."""
    return max((split for split in room if room[split] > 0), key=lambda split: (wanted[split], room[split]))

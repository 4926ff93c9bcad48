import json
import shutil
from pathlib import Path

import pytest
from mmengine.config import Config, ConfigDict

from rgacli.api.data import convert_dataset
from rgacli.config.dataset import (
    classes_of,
    dataset_config,
    existing_annotation_file,
    require_classes,
    require_trainable,
    set_dataset,
    set_split,
)
from rgacli.data.annotations import load_annotations
from rgacli.data.layout import find_dataset
from rgacli.errors import DataError, UsageError
from rgacli.files import write_json


def coco(name, **settings):
    """A dataset config as mmdet has them."""
    return dict(type="CocoDataset", data_root="data/coco/", ann_file=f"annotations/{name}.json", **settings)


def config(model, **datasets):
    """A config with a dataset per split."""
    loaders = {
        f"{split}_dataloader": dict(dataset=datasets.get(split, coco(split))) for split in ("train", "val", "test")
    }
    return Config(dict(model=model, **loaders))


def head(kind="Shared2FCBBoxHead", num_classes=80, **settings):
    return dict(type=kind, num_classes=num_classes, **settings)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three classes, one image per split, one object with a mask and one without."""
    root = tmp_path_factory.mktemp("bound")
    boxes = [dict(bbox=[1, 1, 8, 8], area=64), dict(bbox=[9, 9, 4, 4], area=16, segmentation=[[9, 9, 13, 9, 13, 13]])]
    for split in ("train", "val", "test"):
        (root / "images" / split).mkdir(parents=True)
        (root / "images" / split / "0.jpg").touch()
        content = {
            "images": [{"id": 0, "file_name": "0.jpg", "width": 32, "height": 32}],
            "annotations": [dict(id=i, image_id=0, category_id=1, iscrowd=0, **box) for i, box in enumerate(boxes)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(("cat", "dog", "cow"))],
        }
        write_json(root / "annotations" / f"{split}.json", content)
    return root


def bound(cfg, dataset):
    set_dataset(cfg, find_dataset(dataset))
    return cfg


# --- heads sized to the dataset


def test_every_stage_of_a_cascade_and_its_mask_heads_are_sized(dataset):
    model = dict(roi_head=dict(bbox_head=[head() for _ in range(3)], mask_head=head("FCNMaskHead")))
    roi_head = bound(config(model), dataset).model.roi_head
    assert [part.num_classes for part in (*roi_head.bbox_head, roi_head.mask_head)] == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", ["RetinaHead", "SSDHead", "YOLOV3Head"])
def test_the_head_of_a_one_stage_detector_is_sized(dataset, kind):
    assert bound(config(dict(bbox_head=head(kind))), dataset).model.bbox_head.num_classes == 3


def test_a_loss_that_counts_classes_is_sized_with_its_head(dataset):
    seesaw = dict(type="SeesawLoss", num_classes=1203)
    roi_head = dict(bbox_head=head(num_classes=1203, loss_cls=seesaw))
    assert bound(config(dict(roi_head=roi_head)), dataset).model.roi_head.bbox_head.loss_cls.num_classes == 3


def test_what_counts_other_classes_stays(dataset):
    model = dict(
        backbone=dict(type="ResNet", num_classes=80),
        rpn_head=head("RPNHead", num_classes=1),
        roi_head=dict(bbox_head=head(num_classes=1), semantic_head=head("FusedSemanticHead", num_classes=183)),
    )
    model = bound(config(model), dataset).model
    assert model.roi_head.bbox_head.num_classes == 3
    assert (model.backbone.num_classes, model.rpn_head.num_classes) == (80, 1)
    assert model.roi_head.semantic_head.num_classes == 183


@pytest.mark.parametrize(
    ("classes", "heads", "fits"),
    [
        (("cat", "dog"), 2, True),
        (None, 3, True),  # all that the file has
        (("cat", "dog", "cow"), 3, True),
        (("cat", "dog", "cow"), 2, False),
        (("cat", "dog", "yak"), 3, False),  # the file has two of them
        (None, 80, False),
        (None, None, True),  # a detector that tells no classes apart, such as an RPN
    ],
)
def test_a_detector_is_run_only_on_as_many_classes_as_it_tells_apart(dataset, classes, heads, fits):
    model = ConfigDict(rpn_head=head("RPNHead", 1), bbox_head=head(num_classes=heads) if heads else None)
    metainfo = dict(classes=classes) if classes else None
    config = ConfigDict(coco("val", metainfo=metainfo), data_root=str(dataset))
    content = load_annotations(dataset / "annotations/val.json", classes=classes_of(config))
    if fits:
        require_classes(model, config, content)
        return
    with pytest.raises(DataError, match=rf"val\.json: it has \d of the config's classes, and .* tells {heads} apart"):
        require_classes(model, config, content)
    require_classes(ConfigDict(model, language_model=dict(type="BertModel")), config, content)


@pytest.mark.parametrize(("rules", "fits"), [({}, True), (dict(min_size=32), True), (dict(min_size=33), False)])
def test_a_dataset_of_which_nothing_is_left_to_train_on_is_refused(dataset, rules, fits):
    cfg = bound(config(dict(bbox_head=head()), train=coco("train", filter_cfg=rules)), dataset)
    if fits:
        assert {facts.densest for facts in require_trainable(cfg).values()} == {2}
        return
    with pytest.raises(DataError, match=r"train\.json: every image has a side below 33 px, the least that is trained"):
        require_trainable(cfg)


def test_an_image_that_no_file_can_be_named_is_missing(dataset, tmp_path):
    """JSON may hold half a surrogate pair."""
    root = Path(shutil.copytree(dataset, tmp_path / "copy"))
    content = json.loads((root / "annotations/val.json").read_text())
    content["images"][0]["file_name"] = "\ud800.jpg"
    (root / "annotations/val.json").write_text(json.dumps(content))
    cfg = bound(config(dict(bbox_head=head())), root)
    with pytest.raises(DataError, match="1 of the 1 images of the val split are not in"):
        require_trainable(cfg)


# --- datasets behind wrappers


@pytest.mark.parametrize("split", ["train", "val", "test"])
@pytest.mark.parametrize("bind", [set_dataset, lambda cfg, dataset: require_trainable(cfg)])
def test_a_config_without_a_dataloader_is_refused(dataset, split, bind):
    cfg = bound(config(dict(bbox_head=head())), dataset)
    cfg[f"{split}_dataloader"] = None
    with pytest.raises(UsageError, match=f"has no {split}_dataloader: let it inherit one"):
        bind(cfg, find_dataset(dataset))


def test_a_config_without_a_dataloader_is_not_evaluated_on_another_dataset(dataset):
    cfg = config(dict(bbox_head=head()))
    cfg.pop("test_dataloader")
    with pytest.raises(UsageError, match="has no test_dataloader"):
        set_split(cfg, "test", dataset)


def test_what_trains_nothing_is_evaluated_on_a_dataset_of_the_classes_of_its_test(dataset):
    cfg = bound(config(dict(bbox_head=head())), dataset)
    cfg.pop("train_dataloader")
    set_split(cfg, "test", dataset)
    cfg.test_dataloader.dataset.metainfo.classes = ("unheard of",)
    with pytest.raises(DataError, match=r"are not those trained on \(unheard of\)"):
        set_split(cfg, "test", dataset)


@pytest.mark.parametrize("wrapper", ["RepeatDataset", "ClassBalancedDataset", "MultiImageMixDataset"])
def test_a_wrapped_dataset_is_replaced_in_its_wrapper(dataset, wrapper):
    cfg = bound(config(dict(bbox_head=head()), train=dict(type=wrapper, dataset=coco("train"))), dataset)
    assert cfg.train_dataloader.dataset.type == wrapper
    assert cfg.train_dataloader.dataset.dataset.ann_file.endswith("annotations/train.json")


def test_one_dataset_takes_the_place_of_several_concatenated_and_keeps_the_firsts_pipeline(dataset):
    voc = [
        dict(type="VOCDataset", ann_file=f"VOC{year}/trainval.txt", pipeline=[dict(type=str(year))]) for year in (7, 12)
    ]
    several = dict(type="RepeatDataset", times=3, dataset=dict(type="ConcatDataset", datasets=voc))
    found = dataset_config(bound(config(dict(bbox_head=head()), train=several), dataset).train_dataloader)
    assert (found.type, list(found.metainfo.classes)) == ("CocoDataset", ["cat", "dog", "cow"])
    assert found.pipeline == [dict(type="7")]
    assert "datasets" not in found


# --- masks


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("with_mask", [False, True])
def test_masks_are_asked_for_only_where_they_are_loaded(dataset, with_mask, split):
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations", with_bbox=True, with_mask=with_mask)]
    model = dict(roi_head=dict(bbox_head=head()))
    cfg = bound(config(model, **{split: coco(split, pipeline=pipeline)}), dataset)
    for use in (lambda: require_trainable(cfg), lambda: set_split(cfg, split, dataset)):
        if not with_mask:
            use()
            continue
        with pytest.raises(DataError, match=r'1 of 2 objects have no mask \("segmentation"; first: annotation 0\)'):
            use()


def test_a_dataset_that_is_no_coco_file_is_replaced_whole(dataset):
    settings = dict(pipeline=[dict(type="LoadImageFromFile")], test_mode=True, filter_cfg=dict(min_size=32))
    files = dict(ann_file="oidv6.csv", label_file="class-descriptions.csv", data_prefix=dict(img="OpenImages/"))
    other = ConfigDict(type="OpenImagesDataset", **files, **settings)
    found = dataset_config(bound(config(dict(bbox_head=head()), val=other), dataset).val_dataloader)
    assert found == dict(
        type="CocoDataset",
        data_root="",
        ann_file=str(dataset / "annotations/val.json"),
        data_prefix=dict(img=f"{dataset}/images/val/"),
        metainfo=dict(classes=("cat", "dog", "cow")),
        **settings,
    )


# --- annotations that were converted


def test_a_config_remembers_what_its_annotations_were_converted_from(tiny_dataset, tmp_path, cache):
    convert_dataset(tiny_dataset, tmp_path / "yolo", to="yolo")
    cfg = bound(config(dict(roi_head=dict(bbox_head=head()))), tmp_path / "yolo")
    cfg = Config.fromstring(cfg.pretty_text, ".py")
    own = dataset_config(cfg.val_dataloader)
    assert own.metainfo.converted_from == (str(tmp_path / "yolo"), None)
    before = load_annotations(Path(existing_annotation_file(own)))
    shutil.rmtree(cache / "annotations")
    assert load_annotations(Path(existing_annotation_file(own))) == before
    shutil.rmtree(cache / "annotations")
    (tmp_path / "yolo/labels/val/000001.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(DataError, match=r"gone from the cache, and cannot be made again"):
        existing_annotation_file(own)


def test_annotations_that_were_not_converted_say_nothing(dataset):
    cfg = bound(config(dict(roi_head=dict(bbox_head=head()))), dataset)
    assert dataset_config(cfg.val_dataloader).metainfo == dict(classes=("cat", "dog", "cow"))

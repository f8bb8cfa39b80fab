from dsfactory.report.sample import Sample, parse_sample

ROW = {"key": "00000001", "number": 1, "class_name": "dog", "classes": ("dog", "bird")}


def test_the_page_says_what_decided_and_which_class_has_no_mask():
    halo = "it only surrounds another class"
    decided = "confident IoU of dog 0.30, limit 0.57"
    dropped = Sample(**ROW, status="dropped", reason="the label disagrees", decided=decided, missing=("", halo))
    assert dropped.details == [decided, f"no mask for bird: {halo}"]
    rejected = Sample(**ROW, status="rejected", reason=f"no mask for bird: {halo}", missing=("", halo))
    assert rejected.details == [], "its reason says it already"
    assert Sample(**ROW, status="ok").details == []


def test_a_score_of_each_object_counts_by_its_least():
    row = {**ROW, "classes": ["dog", "bird"], "seed": 0, "snap_iou": [0.9, None, 0.4], "snap_score": [0.8, 0.7]}
    found = parse_sample(row, frozenset({"dog", "bird"}), "refine/00000.parquet", "kept", ("snap_iou", "snap_score"))
    assert found.others == {"snap_iou": 0.4, "snap_score": (0.8, 0.7)}

from dsfactory.report.sample import Sample

ROW = {"key": "00000001", "number": 1, "class_name": "dog", "classes": ("dog", "bird")}


def test_the_page_says_what_decided_and_which_class_has_no_mask():
    halo = "it only surrounds another class"
    decided = "confident IoU of dog 0.30, limit 0.57"
    dropped = Sample(**ROW, status="dropped", reason="the label disagrees", decided=decided, missing=("", halo))
    assert dropped.details == [decided, f"no mask for bird: {halo}"]
    rejected = Sample(**ROW, status="rejected", reason=f"no mask for bird: {halo}", missing=("", halo))
    assert rejected.details == [], "its reason says it already"
    assert Sample(**ROW, status="ok").details == []

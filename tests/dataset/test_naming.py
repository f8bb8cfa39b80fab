"""Names of pictures' files in exports."""

from dsfactory.dataset.naming import Names


def test_pictures_keep_their_names_and_clashes_are_told_apart_on_any_file_system() -> None:
    names = Names()
    files = ["a/IMG_1.jpg", "IMG_1.jpg", "a/IMG_1.png", "a/img_1.JPG", "a/img_1.jpg.jpg", "a/IMG_1.Png", "x:y\n.v2.tif"]
    found = [names.of_picture(file) for file in files]
    assert found == ["a/IMG_1", "IMG_1", "a/IMG_1-png", "a/img_1-jpg", "a/img_1.jpg", "a/IMG_1-2", "x_y_.v2"]
    assert set(names.changed) == {"a/IMG_1.png", "a/img_1.JPG", "a/IMG_1.Png"}
    assert names.of_key("img_1") == "img_1-2"

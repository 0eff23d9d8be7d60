"""What the page is made of: it names each of its files, and brings nothing of anybody else."""

import re

from actors.api.files import PAGE

TEXTS = {path: answer.body.decode() for path, answer in PAGE.items()}
INDEX = TEXTS["/"]
OURS = {path: text for path, text in TEXTS.items() if "uplot" not in path and "licen" not in path}
BYTES_MAX = 200_000  # of the page and its scripts


def named(tag: str) -> list[str]:
    """Files that the page names in such a tag."""
    return re.findall(rf'<{tag} [^>]*(?:href|src)="(/page/[^"]+)"', INDEX)


def test_every_module_is_asked_for_at_once() -> None:
    """A module that is found only once another was read costs the opening a round trip."""
    modules = {path for path in OURS if path.endswith(".js")}
    asked = re.findall(r'<link rel="modulepreload" href="([^"]+)">', INDEX)
    assert [*asked, "/page/app.js"] == [*sorted(modules - {"/page/app.js"}), "/page/app.js"]


def test_every_file_that_is_named_is_there() -> None:
    assert set(named("link") + named("script")) <= set(PAGE)
    for path, text in OURS.items():
        for other in re.findall(r'from "\./([^"]+)"', text):
            assert f"/page/{other}" in PAGE, f"{path} imports {other}"


def test_nothing_is_loaded_from_elsewhere_and_nothing_stands_in_the_markup() -> None:
    for path, text in OURS.items():
        links = re.findall(r"https?://[^\s\"')]+", text)
        assert set(links) <= {"http://www.w3.org/2000/svg"}, path
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on[a-z]+=", INDEX)


def test_text_from_outside_never_becomes_markup() -> None:
    words = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
    assert [path for path, text in OURS.items() if re.search(words, text)] == []


def test_it_is_small() -> None:
    assert sum(len(answer.body) for answer in PAGE.values()) <= BYTES_MAX

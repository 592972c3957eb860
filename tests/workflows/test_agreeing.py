"""The encoder that a user names: a folder, a model of the home, or one of the catalogue, which is imported once."""

from __future__ import annotations

from pathlib import Path

import pytest

from nexus_chain.client.home import ClientHome
from nexus_chain.settings import Settings
from nexus_chain.versions.errors import ModelFilesError
from nexus_chain.workflows import catalogue as catalogue_of_models
from nexus_chain.workflows.agreeing import agreement_named, encoder_folder
from nexus_chain.workflows.errors import DownloadError, WorkflowError
from tests.support.small_encoder import saved_model

NAME = "all-minilm-l6-v2"


def test_without_an_encoder_the_same_final_answer_agrees(tmp_path: Path) -> None:
    found = agreement_named(None, Settings(home=tmp_path))
    assert found.name == "exact"
    assert found.likeness(["The answer is 4.", "4", "5"])[0] == [1, 1, 0]


def test_an_encoder_compares_whole_answers(tmp_path: Path) -> None:
    encoder = saved_model(tmp_path / "encoder", "tiny-encoder")
    found = agreement_named(str(encoder), Settings(home=tmp_path / "home"))
    assert found.name.startswith("encoder-")
    likeness = found.likeness(["a river", "a river", "the sea"])
    assert likeness[0][1] == pytest.approx(1)
    assert 0 <= likeness[0][2] < 1
    other = saved_model(tmp_path / "other", "tiny-encoder", seed=5)
    assert agreement_named(str(other), Settings(home=tmp_path / "home")).name != found.name


def test_a_model_of_the_home_has_a_name(tmp_path: Path) -> None:
    home = ClientHome(tmp_path)
    kept = saved_model(home.models / NAME, "tiny-encoder")
    assert encoder_folder(NAME, home) == kept


def test_a_model_of_the_catalogue_that_is_not_here_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(entry: catalogue_of_models.CatalogueEntry, *others: object) -> Path:
        raise DownloadError(f"{entry.name} is fetched", advice="None.")

    monkeypatch.setattr(catalogue_of_models, "fetch_model", fetch)
    with pytest.raises(DownloadError, match=f"{NAME} is fetched"):
        encoder_folder(NAME, ClientHome(tmp_path))


@pytest.mark.parametrize("named", ["no-such-model", "", "../elsewhere"])
def test_what_is_no_imported_model_is_said_with_advice(tmp_path: Path, named: str) -> None:
    with pytest.raises(WorkflowError, match="is no imported model") as caught:
        encoder_folder(named, ClientHome(tmp_path))
    assert NAME in caught.value.advice


def test_a_folder_of_that_name_comes_before_the_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).mkdir()
    with pytest.raises(WorkflowError, match="is no imported model"):
        encoder_folder(NAME, ClientHome(tmp_path / "home"))


def test_a_model_that_continues_texts_compares_none(tmp_path: Path) -> None:
    decoder = saved_model(tmp_path / "decoder", "tiny")
    with pytest.raises(ModelFilesError, match="a language model"):
        agreement_named(str(decoder), Settings(home=tmp_path))

"""The command line flags."""

from __future__ import annotations

import argparse
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest


@pytest.fixture
def preload():
    spec = spec_from_file_location("lafi_preload", Path(__file__).parents[2] / "preload.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.preload


def test_flags_and_their_defaults(preload):
    parser = argparse.ArgumentParser()
    preload(parser)
    defaults = parser.parse_args([])
    assert defaults.lafi_loglevel is None
    assert defaults.lafi_bank_mb is None
    assert defaults.lafi_dir is None
    given = parser.parse_args(["--lafi-loglevel", "DEBUG", "--lafi-bank-mb", "512"])
    assert given.lafi_loglevel == "DEBUG"
    assert given.lafi_bank_mb == 512


def test_a_second_copy_of_the_extension_does_no_harm(preload):
    parser = argparse.ArgumentParser()
    preload(parser)
    preload(parser)
    assert parser.parse_args(["--lafi-bank-mb", "1"]).lafi_bank_mb == 1


def test_a_wrong_level_is_refused(preload, capsys):
    parser = argparse.ArgumentParser()
    preload(parser)
    with pytest.raises(SystemExit):
        parser.parse_args(["--lafi-loglevel", "LOUD"])
    assert "--lafi-loglevel" in capsys.readouterr().err

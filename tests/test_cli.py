"""The console command: its names, options and exit codes."""

from typer.testing import CliRunner

from unimo.cli import COMMANDS, GROUPS, app


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def test_every_command_is_listed_and_answers_help():
    listing = run("--help").output
    names = [(name,) for name in COMMANDS] + [(g, name) for g, (_, group) in GROUPS.items() for name in group]
    for name in names:
        assert name[0] in listing
    assert "--source" in run("build", "--help").output and "--base_model" in run("train", "sft", "--help").output


def test_a_command_gets_its_options_and_its_exit_code_comes_back(tmp_path):
    result = run("build", "--source", "synthetic", "--output", str(tmp_path / "data"), "--data_dir", "nowhere")
    assert result.exit_code == 2
    result = run("doctor", str(tmp_path / "nowhere"))
    assert result.exit_code != 0 and "nowhere" in result.output + str(result.exception)


def test_an_unknown_command_is_refused():
    result = run("dance")
    assert result.exit_code == 2 and "No such command 'dance'" in result.output

"""A whole run of the real server: the basis of the other tests with servers."""

import pytest


@pytest.mark.parametrize("auth", ["bsd", "bsdudp", "bsdtcp", "local", "ssl"])
def test_a_run_restores_to_its_source(server, data, auth):
    running = server(auth=auth)
    programs = {"GNUTAR": "tar", "amgtar": "tar", "ambsdtar": "bsdtar"}
    for program in programs:
        running.add_disk(program, data, program, compress="client fast" if program == "GNUTAR" else "none")
    run = running.amdump()
    assert all(run.done(program) for program in programs), run.log.read_text()
    assert run.results == {program: "SUCCESS" for program in programs}, run.log.read_text()
    for program, reader in programs.items():
        assert running.restore_differences(program, run, reader) == [], program

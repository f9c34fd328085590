import multiprocessing

from countermand.actions.cancelling.command_ids import begin_command_ids, new_command_id


def test_processes_that_were_forked_from_one_and_begin_anew_never_give_a_command_the_same_id():
    with multiprocessing.get_context("fork").Pool(3, begin_command_ids, maxtasksperchild=1) as pool:
        theirs = pool.map(ids, range(6), chunksize=1)
    given = [one for some in (*theirs, ids(0)) for one in some]

    assert len({one[:16] for one in given}) >= 4  # three children at least, and this process
    assert len(set(given)) == len(given)
    assert {len(one) for one in given} == {32}


def ids(_: int) -> list[str]:
    return [new_command_id() for _ in range(100)]

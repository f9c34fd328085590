import multiprocessing

from countermand.actions.cancelling.command_ids import CommandIds


def test_an_id_is_a_prefix_of_its_maker_and_a_number_and_no_two_are_the_same():
    one, other = CommandIds(), CommandIds()
    given = [ids.next() for ids in (one, other) for _ in range(1000)]
    assert len(set(given)) == len(given)
    assert len({one[:16] for one in given[:1000]}) == len({one[:16] for one in given[1000:]}) == 1
    assert {len(one) for one in given} == {32}
    assert given[:2] == sorted(given[:2])


def test_processes_that_were_forked_from_one_that_serves_never_give_a_command_the_same_id():
    given = ids(0)
    with multiprocessing.get_context("fork").Pool(3, maxtasksperchild=1) as pool:
        given += [one for some in pool.map(ids, range(6), chunksize=1) for one in some]

    assert len({one[:16] for one in given}) == 7
    assert len(set(given)) == len(given)


def ids(_: int) -> list[str]:
    """What a process does that begins to serve."""
    made = CommandIds()
    return [made.next() for _ in range(100)]

"""The people at the demo's desk: what their tokens may do, and that the folder of an older demo gets them, too."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx

from support.processes import a_demo

PEOPLE = ("author", "approver", "viewer")


def test_each_person_of_the_demo_may_do_what_the_roles_permit_and_an_older_folder_gets_them(tmp_path: Path):
    with a_demo(tmp_path / "demo") as first:
        before = first.json
        assert first.stop() == 0
    made_by_an_older_version(first.folder, first.database)
    with a_demo(tmp_path / "demo") as second:
        manage = second.json["manage"]
        assert manage["token"] == before["manage"]["token"]
        assert manage.keys() == {"token", *(f"{name}_token" for name in PEOPLE)}
        orders = second.json["connect"]["orders"]["cancellable"]
        with second.client() as http:

            def status(name: str, method: str, path: str, body: object = None) -> int:
                return as_person(http, manage[name], method, path, body).status_code

            reads, cancels = f"/orders/connect-{orders[0]}", f"/orders/connect-{orders[0]}/cancel"
            assert [status(name, "GET", reads) for name in manage] == [200] * 4
            assert [status(name, "GET", "/clients") for name in manage] == [200, 200, 403, 403]
            reason = {"reason": "The customer rang"}
            assert [status(name, "POST", cancels, reason) for name in ("approver_token", "viewer_token")] == [403] * 2
            record = as_person(http, manage["author_token"], "POST", cancels, reason).json()["cancellation"]
            assert (record["staff_id"], record["door"]) == ("author", "manage")
            listed = as_person(http, manage["token"], "GET", "/staff").json()["staff"]
            assert {one["id"] for one in listed} == set(PEOPLE)
            (operator,) = (
                one
                for one in as_person(http, manage["token"], "GET", "/clients").json()["clients"]
                if one["contract"] == "manage"
            )
            assert operator["permissions"] == [
                "administer",
                "cancel",
                "endpoints",
                "money",
                "read",
                "read_all",
                "record",
            ]
            author = next(set(one["permissions"]) for one in listed if one["id"] == "author")
            assert author >= {*operator["permissions"], "override", "endpoints", "subscribe", "plan"} - {"read_all"}
            shop = second.json["shopping"]
            token = {"Authorization": f"Bearer {second.json['connect']['access_token']}"}
            of_connect = http.get("/partner/v1/events", headers=token)
            of_shopping = http.get("/partner/v1/events", auth=(shop["key"], shop["secret"]))
            for answer, contract in ((of_connect, "connect"), (of_shopping, "shopping")):
                assert {one["order"].split("-")[0] for one in answer.raise_for_status().json()["events"]} == {contract}


def made_by_an_older_version(folder: Path, database: Path) -> None:
    secrets = folder / "demo-secrets.json"
    kept = {name: value for name, value in json.loads(secrets.read_text()).items() if name not in PEOPLE}
    secrets.write_text(json.dumps(kept))
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM staff_tokens")
        connection.execute("DELETE FROM staff")
        connection.execute("UPDATE clients SET more_permissions = NULL")


def as_person(http: httpx.Client, token: str, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    return http.request(method, f"/manage/v1{path}", headers=headers, json=body)

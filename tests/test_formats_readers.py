"""The readers of others' attempts: what each keeps, and how each refuses what is broken or hostile."""

import io
import json
import os
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from tts.errors import UsageError
from tts.formats import atif, files, inspect_log, mini, preds, sweagent
from tts.formats.names import escaped, unescaped
from tts.formats.sniff import Told, kind_of, read
from tts.formats.statuses import status_of

DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-1\n+2\n"


@pytest.fixture
def minis(tmp_path, monkeypatch):
    """Make trajectories with mini-swe-agent itself."""
    pytest.importorskip("minisweagent")
    monkeypatch.setenv("MSWEA_SILENT_STARTUP", "1")
    monkeypatch.setenv("MSWEA_GLOBAL_CONFIG_DIR", str(tmp_path / "config"))
    from minisweagent.agents.default import DefaultAgent
    from minisweagent.environments.local import LocalEnvironment
    from minisweagent.models import test_models

    def make(place, outputs, kind="DeterministicToolcallModel", extra=None, **config):
        model = getattr(test_models, kind)(outputs=outputs)
        agent = DefaultAgent(
            model, LocalEnvironment(), system_template="Sys.", instance_template="Do {{task}}.", **config
        )
        agent.run("it")
        agent.save(place, extra or {})
        return place

    return make, test_models


def toolcall(models, said, *commands):
    calls = [
        {
            "id": f"c{i}",
            "type": "function",
            "function": {"name": "bash", "arguments": json.dumps({"command": c})},
        }
        for i, c in enumerate(commands)
    ]
    return models.make_toolcall_output(
        said, calls, [{"command": c, "tool_call_id": f"c{i}"} for i, c in enumerate(commands)]
    )


def submit(models):
    return toolcall(models, "Done.", f"echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT; printf '{DIFF}'")


def only(path, **more):
    (found,) = read([path], **more)
    return found


def written(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
    return path


def test_what_mini_swe_agent_saves_is_read_with_its_return_codes_and_costs(tmp_path, minis):
    make, models = minis
    place = tmp_path / "run" / "a__b-1" / "a__b-1.traj.json"
    make(
        place, [toolcall(models, "Look.", "echo hi; exit 3"), submit(models)], extra={"instance_id": "a__b-1"}
    )
    found = only(tmp_path / "run")
    assert (found.task_id, found.sample, found.rollout.status) == ("a__b-1", 0, "finished")
    assert found.rollout.patch == DIFF
    first, last = found.steps
    assert (first.thought, first.action, first.observation, first.returncode) == (
        "Look.",
        "echo hi; exit 3",
        "hi\n",
        3,
    )
    assert last.returncode is None
    assert found.rollout.usage.calls == 2
    assert found.rollout.usage.usd == 2.0
    assert found.extra["prompt"] == [
        {"role": "system", "content": "Sys."},
        {"role": "user", "content": "Do it."},
    ]


def test_turns_of_the_responses_api_have_no_role_and_are_read_all_the_same(tmp_path, minis):
    make, models = minis
    turns = [
        models.make_response_api_output("Look.", [{"command": "echo hi", "tool_call_id": "c1"}]),
        models.make_response_api_output(
            None, [{"command": "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "tool_call_id": "c2"}]
        ),
    ]
    found = only(make(tmp_path / "t.traj.json", turns, "DeterministicResponseAPIToolcallModel"))
    assert [(s.thought, s.action, s.observation, s.returncode) for s in found.steps] == [
        ("Look.", "echo hi", "hi\n", 0),
        ("", "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT", "", None),
    ]


def test_a_turn_with_several_commands_becomes_several_steps_and_that_is_said(tmp_path, minis):
    make, models = minis
    found = only(
        make(tmp_path / "t.traj.json", [toolcall(models, "Both.", "echo 1", "false"), submit(models)])
    )
    assert [(s.thought, s.action, s.returncode) for s in found.steps[:2]] == [
        ("Both.", "echo 1", 0),
        ("", "false", 1),
    ]
    assert found.rollout.usage.calls == 2
    assert found.lost == ("1 turns with several commands became a step for each command",)


def test_a_limit_of_mini_swe_agent_is_a_limit(tmp_path, minis):
    make, models = minis
    found = only(make(tmp_path / "t.traj.json", [toolcall(models, "Look.", "true")] * 3, step_limit=1))
    assert (found.rollout.status, found.rollout.patch) == ("limit", "")


def test_our_own_folders_name_the_task_and_the_number():
    body = {"trajectory_format": mini.FORMAT, "messages": [], "info": {"exit_status": "Submitted"}}
    found = mini.read(body, Path("trajs") / escaped("../../x") / "7.traj.json")
    assert (found.task_id, found.sample) == ("../../x", 7)


def test_an_unreadable_reply_and_its_complaint_are_one_step():
    usage = {"prompt_tokens": 10, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    response = {"choices": [{"message": {"content": "I think."}}], "usage": usage}
    complaint = {
        "role": "user",
        "content": "No action.",
        "extra": {"interrupt_type": "FormatError", "cost": 0.5, "response": response},
    }
    body = {
        "trajectory_format": mini.FORMAT,
        "messages": [complaint],
        "info": {"exit_status": "RepeatedFormatError"},
    }
    found = mini.read(body, Path("t.traj.json"))
    (step,) = found.steps
    assert (step.thought, step.observation) == ("I think.", "No action.")
    assert (step.usage.input_tokens, step.usage.cached_input_tokens, step.usage.known_usd) == (10, 4, 0.5)
    assert found.rollout.status == "failed"


def test_a_cost_of_zero_is_a_price_that_nobody_knew():
    said = {"role": "assistant", "content": "x", "extra": {"cost": 0.0, "actions": []}}
    found = mini.read({"messages": [said], "info": {"exit_status": "Submitted"}}, Path("t.traj.json"))
    assert found.rollout.usage.unpriced_calls == 1
    assert found.rollout.usage.usd is None


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("Submitted", "finished"),
        ("submitted", "finished"),
        ("submitted (exit_cost)", "limit"),
        ("submitted (exit_context)", "limit"),
        ("exit_cost", "limit"),
        ("LimitsExceeded", "limit"),
        ("TimeExceeded", "limit"),
        ("ContextWindowExceededError", "limit"),
        ("exit_format", "failed"),
        ("RepeatedFormatError", "failed"),
        ("ValueError", "failed"),
        ("exit_api", "infra"),
        ("exit_environment_error", "infra"),
        ("APIConnectionError", "infra"),
        ("RateLimitError", "infra"),
        ("CalledProcessError", "infra"),
        ("", "cancelled"),
        (None, "cancelled"),
        ("UserInterruption", "cancelled"),
    ],
)
def test_exit_statuses(told, status):
    assert status_of(told) == status


TURN = {
    "thought": "Look.",
    "action": "ls\n",
    "observation": "x.py",
    "execution_time": 0.5,
    "response": "Look.\nls",
    "state": {"open": ""},
}


def test_sweagent_keeps_turns_and_totals_and_knows_no_return_codes(tmp_path):
    stats = {"instance_cost": 0.25, "tokens_sent": 100, "tokens_received": 20, "api_calls": 3}
    info = {"exit_status": "submitted", "submission": DIFF, "model_stats": stats, "review": {"accept": 1.0}}
    found = only(written(tmp_path / "a__b-1.traj", {"trajectory": [TURN], "info": info, "history": []}))
    (step,) = found.steps
    assert (step.thought, step.action, step.observation, step.returncode, step.seconds) == (
        "Look.",
        "ls",
        "x.py",
        None,
        0.5,
    )
    usage = found.rollout.usage
    assert (usage.calls, usage.input_tokens, usage.output_tokens, usage.usd) == (3, 100, 20, 0.25)
    assert "reviewer's opinion was left out" in " ".join(found.lost)
    assert "review" not in json.dumps(found.extra)


def test_the_attempts_of_the_retry_agent_are_several_and_its_separate_files_are_not_read_again(tmp_path):
    def attempt(patch):
        return {"trajectory": [TURN], "info": {"exit_status": "submitted", "submission": patch}}

    whole = {"attempts": [attempt("a"), attempt("b")], **attempt("b")}
    written(tmp_path / "t" / "t.traj", whole)
    written(tmp_path / "t" / "attempt_0" / "t.traj", attempt("a"))
    found = list(read([tmp_path]))
    assert [(one.sample, one.rollout.patch) for one in found] == [(0, "a"), (1, "b")]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (
            "preds.json",
            {
                "t1": {"model_name_or_path": "m", "instance_id": "t1", "model_patch": DIFF},
                "t2": {"model_patch": None},
            },
        ),
        (
            "preds.json",
            [{"instance_id": "t1", "model_patch": DIFF}, {"instance_id": "t2", "model_patch": ""}],
        ),
    ],
)
def test_predictions_in_an_object_or_a_list(tmp_path, name, body):
    found = list(read([written(tmp_path / name, body)]))
    assert [(one.task_id, one.rollout.patch, one.rollout.status) for one in found] == [
        ("t1", DIFF, "finished"),
        ("t2", "", "finished"),
    ]


def test_predictions_in_lines(tmp_path):
    lines = [
        json.dumps({"instance_id": f"t{i}", "model_patch": None, "model_name_or_path": "m"}) for i in range(3)
    ]
    found = list(read([written(tmp_path / "all_preds.jsonl", "\n".join(lines).encode())]))
    assert [one.task_id for one in found] == ["t0", "t1", "t2"]
    assert found[0].agent == "m"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("p.json", b'{"t1": {"model_patch": "a"}, "t1": {"model_patch": "b"}}'),
        ("p.json", b'[{"instance_id": "t1", "model_patch": "a"}, {"instance_id": "t1", "model_patch": "b"}]'),
        (
            "p.json",
            b'{"a": {"instance_id": "t1", "model_patch": ""}, "b": {"instance_id": "t1", "model_patch": ""}}',
        ),
        (
            "p.jsonl",
            b'{"instance_id": "t1", "model_patch": "a"}\n{"instance_id": "t1", "model_patch": "a"}\n',
        ),
    ],
)
def test_an_instance_that_is_there_twice_is_an_error(tmp_path, name, body):
    with pytest.raises(UsageError, match="t1 is there twice"):
        list(read([written(tmp_path / name, body)]))


def test_what_the_official_loader_reads_is_what_was_written(tmp_path):
    utils = pytest.importorskip("swebench.harness.utils")
    patches = {"a__b-1": DIFF, "a__b-2": None, "ü\u2028": "é\n"}
    for name in ("preds.json", "all_preds.jsonl"):
        preds.write(tmp_path / name, patches, "tts")
        loaded = utils.get_predictions_from_file(str(tmp_path / name), "none", "test")
        assert {p["instance_id"]: p["model_patch"] for p in loaded} == {
            k: v or "" for k, v in patches.items()
        }
        assert {p["model_name_or_path"] for p in loaded} == {"tts"}
        assert {f.task_id: f.rollout.patch for f in read([tmp_path / name])} == {
            k: v or "" for k, v in patches.items()
        }


def test_predictions_are_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "preds.json"
    preds.write(path, {"t": "a"}, "m")
    before = path.read_bytes()
    with pytest.raises(TypeError):
        preds.write(path, {"t": object()}, "m")
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["preds.json"]


def test_predictions_of_a_folder_with_trajectories_are_not_read_again(tmp_path):
    body = {
        "trajectory_format": mini.FORMAT,
        "messages": [],
        "info": {"exit_status": "Submitted", "submission": DIFF},
    }
    written(tmp_path / "t1" / "t1.traj.json", body)
    written(tmp_path / "preds" / "rtv@8.json", {"t1": {"model_patch": DIFF}, "t2": {"model_patch": "b"}})
    told = Told()
    assert [one.task_id for one in read([tmp_path], told)] == ["t1", "t2"]
    assert list(told.notes.values()) == [1]


SAMPLE = {
    "id": "t1",
    "epoch": 2,
    "input": "Fix it.",
    "target": "THE-TRUTH",
    "metadata": {"FAIL_TO_PASS": ["THE-TRUTH"], "patch": "THE-TRUTH"},
    "store": {"x": "THE-TRUTH"},
    "scores": {"swe_bench": {"value": "THE-TRUTH"}},
    "messages": [
        {"role": "user", "content": "Fix it.", "source": "input"},
        {
            "role": "assistant",
            "content": [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": "Look."}],
            "tool_calls": [{"id": "c1", "function": "bash", "arguments": {"cmd": "ls"}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "attachment://" + "a" * 32, "function": "bash"},
        {"role": "assistant", "content": "The answer is 4."},
    ],
    "attachments": {"a" * 32: "x.py"},
    "output": {"completion": "The answer is 4."},
    "model_usage": {
        "m": {"input_tokens": 10, "input_tokens_cache_read": 5, "output_tokens": 3, "reasoning_tokens": 1}
    },
    "total_time": 9.5,
}
HEADER = {"version": 2, "eval": {"model": "openai/m", "task": "swe"}}


def archive(samples, *, compression=zipfile.ZIP_DEFLATED, more=()):
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", compression) as file:
        file.writestr("header.json", json.dumps(HEADER))
        for sample in samples:
            file.writestr(f"samples/{sample['id']}_epoch_{sample['epoch']}.json", json.dumps(sample))
        for name, text in more:
            file.writestr(name, text)
    return body.getvalue()


def test_inspect_logs_are_read_by_epoch_and_never_their_truth(tmp_path):
    first = SAMPLE | {"epoch": 1, "limit": {"type": "token", "limit": 5}}
    packed = written(tmp_path / "log.eval", archive([SAMPLE, first]))
    plain = written(tmp_path / "log.json", HEADER | {"samples": [SAMPLE, first]})
    for path in (packed, plain):
        one, two = read([path])
        assert (one.sample, one.rollout.status, two.sample, two.rollout.status) == (1, "limit", 2, "finished")
        assert [(s.thought, s.action, s.observation) for s in two.steps] == [
            ("Hm.\n\nLook.", "ls", "x.py"),
            ("The answer is 4.", "", ""),
        ]
        assert (two.rollout.answer, two.rollout.seconds) == ("The answer is 4.", 9.5)
        usage = two.rollout.usage
        assert (usage.calls, usage.input_tokens, usage.cached_input_tokens, usage.usd) == (2, 15, 5, None)
        assert "THE-TRUTH" not in repr(two)
        assert "scores were left out: they are the truth, which no selector sees" in two.lost


def as_zstandard(packed, sizes):
    """Return an archive of stored members as one whose members are packed with Zstandard to `sizes`."""
    body = bytearray(packed)
    with zipfile.ZipFile(io.BytesIO(packed)) as file:
        infos = file.infolist()
    at = 0
    for info, size in zip(infos, sizes, strict=True):
        at = body.index(b"PK\x01\x02", at + 1)
        for place, method, whole in ((info.header_offset, 8, 22), (at, 10, 24)):
            body[place + method : place + method + 2] = (93).to_bytes(2, "little")
            body[place + whole : place + whole + 4] = size.to_bytes(4, "little")
    return bytes(body)


def zstandard_archive(compress):
    texts = {"header.json": json.dumps(HEADER), "samples/t1_epoch_2.json": json.dumps(SAMPLE)}
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        for name, text in texts.items():
            file.writestr(name, compress(text.encode()))
    return as_zstandard(body.getvalue(), [len(text) for text in texts.values()])


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="from 3.14 on Python reads Zstandard itself")
def test_an_archive_packed_with_zstandard_says_which_package_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(UsageError, match="pip install zstandard"):
        list(read([written(tmp_path / "log.eval", zstandard_archive(bytes))]))


def test_an_archive_packed_with_zstandard_is_read_where_the_package_is_there(tmp_path):
    zstandard = pytest.importorskip("zstandard")

    def in_two_frames(text):
        pack = zstandard.ZstdCompressor().compress
        return pack(text[:50]) + pack(text[50:])

    (found,) = read([written(tmp_path / "log.eval", zstandard_archive(in_two_frames))])
    assert (found.task_id, found.sample, len(found.steps)) == ("t1", 2, 2)


def test_a_zip_bomb_a_link_and_a_false_size_are_refused(tmp_path):
    bomb = written(tmp_path / "bomb.eval", archive([], more=[("samples/b_epoch_1.json", "0" * (8 << 20))]))
    with pytest.raises(UsageError, match="grows more than 500-fold"):
        list(read([bomb]))
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as file:
        link = zipfile.ZipInfo("samples/l_epoch_1.json")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(link, "/etc/passwd")
    with pytest.raises(UsageError, match="is a link"):
        list(read([written(tmp_path / "link.eval", body.getvalue())]))


def test_names_in_an_archive_lead_nowhere(tmp_path):
    slip = archive(
        [], more=[("samples/../../../evil_epoch_1.json", json.dumps(SAMPLE | {"id": "../../evil"}))]
    )
    (found,) = read([written(tmp_path / "a" / "slip.eval", slip)])
    assert found.task_id == "../../evil"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["a", "slip.eval"]


def test_too_many_members_or_too_large_ones_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_log, "MAX_MEMBERS", 1)
    with pytest.raises(UsageError, match="2 members; at most 1"):
        list(read([written(tmp_path / "log.eval", archive([SAMPLE]))]))


@pytest.mark.parametrize(
    ("name", "body", "told"),
    [
        ("x.json", b"[" * 5_000 + b"]" * 5_000, "nests deeper"),
        ("x.json", b"[" * 200 + b"]" * 200, "nests deeper"),
        ("x.json", b'{"messages": NaN}', "NaN is no number"),
        ("x.json", b'{"messages": ' + b"9" * 5_000 + b"}", "not JSON"),
        ("x.json", b'{"messages": [', "not JSON"),
        ("x.json", b"\xff\xfe\x00", "not UTF-8"),
        ("x.json", b"", "holds no attempts"),
        ("x.json", b'{"a": 1}', "holds no attempts"),
        ("x.json", b"[1, 2]", "holds no attempts"),
        ("x.eval", b"PK\x03\x04garbage", "no archive"),
    ],
)
def test_broken_files_are_one_clear_line(tmp_path, name, body, told):
    with pytest.raises(UsageError, match=told) as raised:
        list(read([written(tmp_path / name, body)]))
    assert "\n" not in str(raised.value)


JUNK = [None, True, 5, -1, 1e999, "x\x1b[31m", [], [1], {}, {"role": 5}, {"extra": []}, {"extra": {"tts": 5}}]


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_wrong_types_anywhere_are_read_leniently_or_refused_in_one_line(junk):
    path = Path("t.json")
    cases = [
        lambda: mini.read(
            {"messages": [junk, {"role": "assistant", "content": junk, "extra": junk}], "info": junk}, path
        ),
        lambda: mini.read(
            {"messages": junk, "info": {"model_stats": junk, "submission": junk, "config": junk}}, path
        ),
        lambda: list(
            sweagent.read(
                {"trajectory": [junk, {"action": junk, "execution_time": junk}], "info": junk}, path
            )
        ),
        lambda: list(sweagent.read({"attempts": [junk]}, path)),
        lambda: atif.read(
            {"steps": [junk, {"source": "agent", "message": junk, "metrics": junk, "tool_calls": [junk]}]},
            path,
        ),
        lambda: atif.read({"agent": junk, "extra": junk, "final_metrics": junk, "steps": junk}, path),
        lambda: list(
            inspect_log.read({"eval": junk, "samples": [SAMPLE | {"messages": [junk], "output": junk}]}, "t")
        ),
        lambda: list(inspect_log.read({"eval": junk, "samples": [{"id": "t", "epoch": junk}]}, "t")),
    ]
    refused: list[str] = []
    for case in cases:
        try:
            case()
        except UsageError as error:
            refused.append(str(error))
    assert [told for told in refused if len(told.splitlines()) != 1] == []


def test_sizes_have_a_limit(tmp_path, monkeypatch):
    path = written(tmp_path / "x.json", b" " * 2_000)
    with pytest.raises(UsageError, match="larger than"):
        files.read_bytes(path, 1_000)
    monkeypatch.setattr("tts.formats.sniff.MAX_TOTAL_BYTES", 1_000)
    with pytest.raises(UsageError, match="one import reads at most"):
        list(read([path]))


def test_links_and_pipes_are_not_followed(tmp_path):
    secret = written(tmp_path / "outside.json", {"t9": {"model_patch": "secret"}})
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "preds.json").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    told = Told()
    assert list(read([folder], told)) == []
    assert told.notes == {"links passed over": 1}
    os.mkfifo(folder / "pipe.json")
    with pytest.raises(UsageError, match="no regular file"):
        list(read([folder / "pipe.json"]))


def test_lone_surrogates_become_question_marks(tmp_path):
    found = only(written(tmp_path / "p.json", b'{"t": {"model_patch": "a\\ud800b \\ud83d\\ude00"}}'))
    assert found.rollout.patch == "a?b \N{GRINNING FACE}"


def test_a_source_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="there is nothing at"):
        list(read([tmp_path / "none"]))


@pytest.mark.parametrize(
    "name",
    [
        "a__b-1",
        "../../x",
        "/etc/passwd",
        "",
        ".",
        "..",
        ".git",
        "a\x00b",
        "ü%2E",
        "%",
        "a/b\\c",
        "CON",
        "\ud800",
    ],
)
def test_file_names_of_hostile_ids_are_reversible(name):
    safe = escaped(name)
    assert unescaped(safe) == name
    assert "/" not in safe
    assert not safe.startswith(".")
    assert safe


def test_a_very_long_id_has_a_short_name_of_its_own():
    one, two = escaped("é" * 5_000), escaped("é" * 5_001)
    assert one != two
    assert max(len(one), len(two)) <= 180


def test_kinds():
    assert kind_of({"schema_version": "ATIF-v1.4", "steps": []}) == "atif"
    assert kind_of({"x": 1}) == ""

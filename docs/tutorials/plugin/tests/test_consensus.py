from tts_consensus import Consensus

import tts
from tts.testing import ScriptedJudge, StageContract, run_stage


class TestConsensus(StageContract):
    stage = Consensus()


def chosen(*answers, judge):
    pool = tts.Pool(tuple(tts.Rollout(answer=answer) for answer in answers))
    return run_stage(Consensus(), pool, judge=judge).winner.answer


def test_the_judge_chooses_among_large_classes_only():
    prefers_later_letters = ScriptedJudge()
    assert chosen("a", "a", "a", "b", "b", "z", judge=prefers_later_letters) == "b"


def test_where_all_agree_no_vote_is_paid_for():
    judge = ScriptedJudge()
    assert chosen("a", "a", "a", judge=judge) == "a"
    assert judge.asked == []


def guess(task, attempt):
    return "no" if attempt.index == 0 else "yes"


def test_it_runs_by_its_name():
    result = tts.solve_sync("Is it so?", agent=guess, strategy="sample(5) | consensus(share=0.6)")
    assert result.winner.answer == "yes"

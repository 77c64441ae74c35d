"""radiograph evaluate: what its flags ask for."""

from trainer.commands import evaluate
from trainer.judge import evaluation
from trainer.judge.evaluation import Options


def test_flags_reach_the_evaluation(monkeypatch, capsys):
    asked = {}

    def record(runs, data, options, *, against, out):
        asked.update(runs=runs, data=data, options=options, against=against, out=out)
        return "PAGE"

    monkeypatch.setattr(evaluation, "evaluate", record)
    flag_values = evaluate.flags.FlagValues()
    evaluate.define_flags(flag_values)
    monkeypatch.setattr(evaluate.flags, "FLAGS", flag_values)
    checked = []
    monkeypatch.setattr(evaluate, "RunFiles", lambda run, needed: checked.append(run))
    monkeypatch.setattr(evaluate.summary_file, "require", lambda path, flag: None)
    runs = ["a", "b"]
    given = ["--data=DATA", "--out=OUT", "--split=test", "--name=x", "--map_labels=A=B"]
    given += ["--prevalence=0.1", "--tta=flip", "--allow_overlap", "--by=sex,age:18:65"]
    given += ["--against=c", "--against=d", "--strategy=one_device"]

    evaluate.main(flag_values(["evaluate", *runs, *given]))

    assert asked == {
        "runs": runs,
        "data": "DATA",
        "out": "OUT",
        "against": ["c", "d"],
        "options": Options("test", "x", "A=B", 0.1, True, True, ["sex", "age:18:65"], "one_device"),
    }
    assert checked == ["a", "b", "c", "d"]
    assert capsys.readouterr().out == "PAGE\n"

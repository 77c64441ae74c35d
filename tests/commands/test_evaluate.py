"""radiograph evaluate: what its flags ask for, and what it shows."""

import json

from etils import epath

from trainer.commands import evaluate
from trainer.judge import evaluation
from trainer.judge.evaluation import Options

# Of several runs as one network, which have no step in common.
AREA = {"value": 0.7, "low": 0.6, "high": 0.8}
POINT = {"name": "probability 0.5", "threshold": 0.5}
LABEL = {
    "auc": AREA,
    "average_precision": AREA,
    "calibration": {"temperature": 1.5, "before": {"ece": 0.2}, "after": {"ece": 0.1}},
    "operating_points": [POINT | dict.fromkeys(("accuracy", "sensitivity", "specificity"), AREA)],
}
JUDGED = {"split": "x", "images": 9, "patients": 8, "labels": {"mass": LABEL}}


def test_flags_reach_the_evaluation_and_its_figures_the_terminal(tmp_path, monkeypatch, capsys):
    asked, page = {}, epath.Path(tmp_path / "x.html")
    page.with_suffix(".json").write_text(json.dumps(JUDGED))

    def record(runs, data, options, *, against, out):
        asked.update(runs=runs, data=data, options=options, against=against, out=out)
        return page

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
    shown = capsys.readouterr().out
    assert shown.startswith("x: 9 images of 8 patients; 95 % intervals by patient\nAUC  ")
    assert "0.700 (0.600 to 0.800)" in shown and shown.endswith(f"\n\npage: {page}\n")

"""The cost of an order comes from a dated table, or is unknown."""

import json
from pathlib import Path

import pytest

from trainer.cloud import prices
from trainer.cloud.machines import ACCELERATORS, CPU, TPUS, choose

TABLE = json.loads(Path(prices.__file__).with_name("prices.json").read_text())


def cost(accelerator: str, machine_type: str = "", *, workers: int = 1, platform: str = "vertex"):
    machine = choose(accelerator, machine_type, platform)
    return prices.per_hour(machine, workers, platform=platform, region=TABLE["region"], spot=False)


def test_cost_names_its_date_region_and_extras():
    text = str(cost("nvidia-l4:2", workers=2))
    assert text.startswith(
        "$4.00 an hour in all for 2 machines x 2 nvidia-l4 (g2-standard-24), by Google's list "
        "prices of us-central1 as read on"
    )
    assert TABLE["read"] in text and "Vertex AI's fee" in text and "Spot" not in text
    machine = choose("nvidia-l4:2", "", "vertex")
    spot = prices.per_hour(machine, 2, platform="vertex", region=TABLE["region"], spot=True)
    assert str(spot) == f"{text}; Spot costs less, and its price changes monthly"
    elsewhere = prices.per_hour(machine, 2, platform="vertex", region="asia-east1", spot=False)
    assert "us-central1 (not of asia-east1) as read on" in str(elsewhere)


def test_attached_gpus_are_added_to_their_machine():
    bare = cost("cpu", "n1-standard-16").dollars
    attached = cost("nvidia-tesla-t4:2", "n1-standard-16").dollars
    assert attached - bare == pytest.approx(2 * TABLE["accelerators"]["nvidia-tesla-t4"])


def test_tpu_is_paid_by_the_chip():
    four, eight = (cost(f"tpu-v6e:{n}", platform="tpu_vm").dollars for n in (4, 8))
    assert (four, eight) == pytest.approx((4 * 2.7, 8 * 2.7))
    assert "fee" not in str(cost("tpu-v6e:4", platform="tpu_vm"))


def test_cost_is_unknown_without_a_list_price():
    unpriced = {
        name
        for name, counts in ACCELERATORS.items()
        for count in counts
        if cost(
            name if name == CPU else f"{name}:{count}",
            platform="tpu_vm" if name in TPUS else "vertex",
        )
        is None
    }
    assert unpriced == {
        "nvidia-rtx-pro-6000",
        "nvidia-h100-mega-80gb",
        "nvidia-h200-141gb",
        "nvidia-b200",
    }
    assert cost("cpu", "n1-highmem-8") is None
    assert cost("nvidia-l4", platform="kubernetes") is None


def test_more_gpus_cost_more():
    for name, counts in ACCELERATORS.items():
        if name in TPUS or name == CPU:
            continue
        costs = [cost(f"{name}:{n}") for n in sorted(counts)]
        dollars = [each.dollars for each in costs if each]
        assert dollars == sorted(dollars) and all(each > 0 for each in dollars)


def test_table_has_only_machines_that_can_be_ordered_and_its_sources():
    types = {t for counts in ACCELERATORS.values() for types in counts.values() for t in types}
    assert set(TABLE["machines"]) <= types
    assert set(TABLE["per_cpu"]) <= {each.rpartition("-")[0] for each in types}
    assert set(TABLE["accelerators"]) <= set(ACCELERATORS)
    for source in TABLE["sources"]:
        assert source["page"].startswith("https://cloud.google.com/")
        assert source["copy"].startswith("https://") and source["published"]

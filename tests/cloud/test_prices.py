"""What an order costs an hour is told by a dated table, or not at all."""

import json
from pathlib import Path

import pytest

from trainer.cloud import prices
from trainer.cloud.machines import ACCELERATORS, CPU, TPUS, Machine, choose

TABLE = json.loads(Path(prices.__file__).with_name("prices.json").read_text())


def cost(accelerator: str, machine_type: str = "", *, workers: int = 1, platform: str = "vertex"):
    machine = choose(accelerator, machine_type, platform)
    return prices.per_hour(machine, workers, platform=platform, spot=False)


def test_a_cost_tells_its_date_its_region_and_what_comes_on_top():
    said = str(cost("nvidia-l4:2", workers=2))
    assert said.startswith("$4.00 an hour for 2 machines, by Google's list prices for us-central1")
    assert TABLE["read"] in said
    assert "Vertex AI's fee" in said and "disks, storage and network come on top" in said
    assert "Spot" not in said
    assert " for " not in str(cost("tpu-v5e:4", platform="tpu_vm")).split(",")[0]


def test_the_price_of_spot_is_not_known_which_is_told():
    machine = choose("nvidia-l4:2", "", "vertex")
    on_demand, spot = (
        prices.per_hour(machine, 1, platform="vertex", spot=spot) for spot in (False, True)
    )
    assert spot.dollars == on_demand.dollars
    assert str(spot) == f"{on_demand}; Spot costs less, and its price changes monthly"


def test_gpus_that_are_attached_are_added_to_their_machine():
    bare = cost("cpu", "n1-standard-16").dollars
    attached = cost("nvidia-tesla-t4:2", "n1-standard-16").dollars
    assert attached - bare == pytest.approx(2 * TABLE["accelerators"]["nvidia-tesla-t4"])


def test_a_tpu_is_paid_by_the_chip():
    four, eight = (cost(f"tpu-v6e:{n}", platform="tpu_vm").dollars for n in (4, 8))
    assert (four, eight) == pytest.approx((4 * 2.7, 8 * 2.7))
    assert "fee" not in str(cost("tpu-v6e:4", platform="tpu_vm"))


def test_what_a_clusters_nodes_cost_is_not_known():
    assert (
        prices.per_hour(choose("nvidia-l4", "", "kubernetes"), 1, platform="kubernetes", spot=False)
        is None
    )


def test_no_price_is_told_of_machines_that_the_table_does_not_have():
    unpriced = {
        name
        for name, counts in ACCELERATORS.items()
        for count, types in counts.items()
        if prices.per_hour(
            Machine(types[0], "" if name == CPU else name, count, "2x2" if name in TPUS else ""),
            1,
            platform="vertex",
            spot=False,
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


def test_more_accelerators_of_a_kind_cost_more():
    for name, counts in ACCELERATORS.items():
        if name in TPUS:
            continue
        priced = [
            prices.per_hour(Machine(types[0], name, n), 1, platform="vertex", spot=False)
            for n, types in sorted(counts.items())
        ]
        dollars = [each.dollars for each in priced if each]
        assert dollars == sorted(dollars) and all(each > 0 for each in dollars)


def test_the_table_names_only_machines_that_can_be_ordered_and_where_it_has_its_prices_from():
    types = {t for counts in ACCELERATORS.values() for its in counts.values() for t in its}
    assert set(TABLE["machines"]) <= types
    assert set(TABLE["per_cpu"]) <= {each.rpartition("-")[0] for each in types}
    assert set(TABLE["accelerators"]) <= set(ACCELERATORS)
    for source in TABLE["sources"]:
        assert source["page"].startswith("https://cloud.google.com/")
        assert source["copy"].startswith("https://") and source["published"]

"""Public sets are read as they are published, by the flags that docs/data.md gives."""

import gzip
from pathlib import Path

import pytest

from trainer.data import sources
from trainer.data.sources import Options
from trainer.system.errors import UsageError

MIMIC = "files/p10/p100000{0}/s5041426{0}/{1}.jpg"
BIMCV = [
    "sub-S03045/ses-E06049/mod-rx/sub-S03045_ses-E06049_run-1_bp-chest_vp-pa_dx.png",
    "sub-S03045/ses-E06049/mod-rx/sub-S03045_ses-E06049_run-2_bp-chest_vp-lateral_dx.png",
    "sub-S03046/ses-E06050/mod-rx/sub-S03046_ses-E06050_run-1_bp-chest_vp-ap_cr.png",
]
PADCHEST = ",ImageID,PatientID,Projection,Labels,Localizations"
BOXES = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"

# For each set its tables and images; flags; and by image: labels that hold, patient, split, or why
# it is left out.
LAYOUTS = {
    "NIH": (
        {
            "Data_Entry_2017_v2020.csv": [
                "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,View Position",
                "00000001_000.png,Cardiomegaly|Mass,0,1,57,PA",
                "00000013_005.png,No Finding,5,13,60,AP",
            ],
            "train_val_list.txt": ["00000001_000.png"],
            "test_list.txt": ["00000013_005.png"],
        },
        ["images/00000001_000.png", "images/00000013_005.png"],
        {},
        {
            "00000001_000.png": ("Cardiomegaly Mass", "1", "train"),
            "00000013_005.png": ("", "13", "test"),
        },
    ),
    "CheXpert": (
        {
            "train.csv": [
                "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Edema,Pneumonia",
                "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg,F,68,Frontal,AP,,1.0,-1.0",
                "CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg,F,68,Lateral,,,,1.0",
            ]
        },
        [f"train/patient00001/study1/view{v}.jpg" for v in ("1_frontal", "2_lateral")],
        {},
        {
            "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg": (
                "Edema",
                "patient00001",
                "train",
            ),
            "CheXpert-v1.0-small/train/patient00001/study1/view2_lateral.jpg": "lateral view",
        },
    ),
    "CheXpert's test set": (
        {
            "groundtruth.csv": [
                "Path,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema",
                "CheXpert/test/patient64741/study1/view1_frontal.jpg,0,0,1,0,0",
                "CheXpert/test/patient64741/study1/view2_lateral.jpg,0,0,1,0,0",
            ]
        },
        [f"test/patient64741/study1/view{v}.jpg" for v in ("1_frontal", "2_lateral")],
        {},
        {
            "CheXpert/test/patient64741/study1/view1_frontal.jpg": (
                "Lung Opacity",
                "patient64741",
                "test",
            ),
            "CheXpert/test/patient64741/study1/view2_lateral.jpg": "lateral view",
        },
    ),
    "MIMIC-CXR": (
        {
            "mimic-cxr-2.0.0-metadata.csv.gz": [
                "dicom_id,subject_id,study_id,ViewPosition,Rows",
                "a-1,1000001,50414261,PA,9",
                "b-2,1000002,50414262,AP,9",
                "c-3,1000003,50414263,LL,9",
                "d-4,1000004,50414264,,9",
            ],
            "mimic-cxr-2.0.0-split.csv.gz": [
                "dicom_id,study_id,subject_id,split",
                "a-1,50414261,1000001,train",
                "b-2,50414262,1000002,validate",
                "c-3,50414263,1000003,test",
                "d-4,50414264,1000004,test",
            ],
            "mimic-cxr-2.0.0-chexpert.csv.gz": [
                "subject_id,study_id,Edema,No Finding,Pneumonia",
                "1000001,50414261,1.0,,-1.0",
                "1000002,50414262,,1.0,",
                "1000003,50414263,,1.0,",
            ],
        },
        [MIMIC.format(n, key) for n, key in enumerate(("a-1", "b-2", "c-3", "d-4"), 1)],
        {"join": ("mimic-cxr-2.0.0-split.csv.gz", "mimic-cxr-2.0.0-chexpert.csv.gz")},
        {
            "a-1": ("Edema", "1000001", "train"),
            "b-2": ("", "1000002", "val"),
            "c-3": "lateral view",
            "d-4": "chexpert.csv.gz has no row for it",
        },
    ),
    "VinDr-CXR": (
        {
            "image_labels_train.csv": [
                "image_id,rad_id,Aortic enlargement,Mass,No finding",
                *("50a4,R1,1,1,0", "50a4,R2,1,0,0", "50a4,R3,0,0,1", "9a09,R1,0,0,1"),
            ]
        },
        ["train/50a4.dicom", "train/9a09.dicom"],
        {"readers": "majority"},
        {"50a4": ("Aortic enlargement", "", ""), "9a09": ("", "", "")},
    ),
    "VinBigData": (
        {
            "train.csv": [
                BOXES,
                *("50a4,Nodule/Mass,8,R1,1,2,3,4", "50a4,Nodule/Mass,8,R1,5,6,7,8"),
                *("50a4,Calcification,2,R2,1,2,3,4", "50a4,No finding,14,R3,,,,"),
                *("9a09,No finding,14,R1,,,,", "9a09,No finding,14,R2,,,,"),
            ]
        },
        ["train/50a4.png", "train/9a09.png"],
        {"readers": "any"},
        {"50a4": ("Calcification Nodule/Mass", "", ""), "9a09": ("", "", "")},
    ),
    "PadChest": (
        {
            "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz": [
                PADCHEST,
                "0,2168_1.png,84,PA,\"['pneumonia', 'pleural effusion']\",\"['loc right']\"",
                "1,2168_2.png,84,L,\"['pneumonia', 'pleural effusion']\",[]",
                "2,2168_3.png,85,AP_horizontal,\"['normal']\",[]",
                "3,2168_4.png,86,COSTAL,\"['nodule']\",[]",
                "4,2168_5.png,87,PA,\"['exclude']\",[]",
            ]
        },
        [f"images/2168_{n}.png" for n in range(1, 6)],
        {},
        {
            "2168_1.png": ("pleural effusion pneumonia", "84", ""),
            "2168_2.png": "lateral view",
            "2168_3.png": ("", "85", ""),
            "2168_4.png": "costal view",
            "2168_5.png": "is no finding",
        },
    ),
    "RSNA": (
        {
            "stage_2_train_labels.csv": [
                "patientId,x,y,width,height,Target",
                *("0004,,,,,0", "0031,264,152,213,379,1", "0031,562,152,256,453,1"),
            ],
            "stage_2_detailed_class_info.csv": [
                "patientId,class",
                *("0004,No Lung Opacity / Not Normal", "0031,Lung Opacity", "0031,Lung Opacity"),
            ],
        },
        ["stage_2_train_images/0004.dcm", "stage_2_train_images/0031.dcm"],
        {"join": ("stage_2_detailed_class_info.csv",)},
        {"0004": ("", "", ""), "0031": ("Target", "", "")},
    ),
    "OpenI": (
        {
            "indiana_projections.csv": [
                "uid,filename,projection",
                *("1,1_IM-1-4001.dcm.png,Frontal", "1,1_IM-1-3001.dcm.png,Lateral"),
                *("2,2_IM-2-4001.dcm.png,Frontal", "3,3_IM-3-4001.dcm.png,Frontal"),
                "4,4_IM-4-4001.dcm.png,Frontal",
            ],
            "indiana_reports.csv": [
                "uid,MeSH,Problems,image,findings",
                *('1,x,"Hernia, Hiatal;Nodule",PA,clear', "2,normal,normal,PA,clear"),
                *("3,x,Nodule,PA,clear", '4,x,"Cardiomegaly;Fractures, Bone",PA,clear'),
            ],
        },
        [
            f"images/images_normalized/{name}"
            for name in (
                "1_IM-1-4001.dcm.png",
                "1_IM-1-3001.dcm.png",
                "2_IM-2-4001.dcm.png",
                "3_IM-3-4001.dcm.png",
                "4_IM-4-4001.dcm.png",
            )
        ],
        {"join": ("indiana_reports.csv",)},
        {
            "1_IM-1-4001.dcm.png": ("Hernia, Hiatal Nodule", "1", ""),
            "1_IM-1-3001.dcm.png": "lateral view",
            "2_IM-2-4001.dcm.png": ("", "2", ""),
            "3_IM-3-4001.dcm.png": ("Nodule", "3", ""),
            "4_IM-4-4001.dcm.png": ("Cardiomegaly Fractures, Bone", "4", ""),
        },
    ),
    "BIMCV-COVID19": (
        {
            "labels_covid_posi.tsv": [
                "\tPatientID\tReportID\tReport\tLabels",
                "0\tS03045\tE06049\tx\t['COVID 19', 'pneumonia']",
                "1\tS03046\tE06050\tx\t['normal']",
                "2\tS03047\tE06051\tx\t['pneumonia']",
            ]
        },
        [*BIMCV, "sub-S03047/ses-E06051/mod-ct/sub-S03047_ses-E06051_ct.nii.gz"],
        {},
        {
            BIMCV[0]: ("COVID 19 pneumonia", "S03045", ""),
            BIMCV[1]: "lateral view",
            BIMCV[2]: ("", "S03046", ""),
        },
    ),
    "SIIM-ACR Pneumothorax": (
        {
            "train-rle.csv": [
                "ImageId, EncodedPixels",
                *("1.2.276.1, -1", "1.2.276.2,557374 2 1015 8", "1.2.276.2,7 3"),
            ]
        },
        [f"dicom-images-train/{n}/{n}/1.2.276.{n}.dcm" for n in (1, 2)],
        {"map_labels": "EncodedPixels=Pneumothorax"},
        {"1.2.276.1": ("", "", ""), "1.2.276.2": ("Pneumothorax", "", "")},
    ),
    "covid-chestxray-dataset": (
        {
            "metadata.csv": [
                "patientid,offset,finding,view,modality,folder,filename",
                *(
                    "2,0,Pneumonia/Viral/COVID-19,PA,X-ray,images,a.jpg",
                    "2,1,todo,PA,X-ray,images,b.jpg",
                ),
                *(
                    "3,,Tuberculosis,Axial,CT,images,c.jpg",
                    "4,,No Finding,AP Supine,X-ray,images,d.jpg",
                ),
            ]
        },
        [f"images/{name}.jpg" for name in "abcd"],
        {},
        {
            "a.jpg": ("COVID-19 Pneumonia Viral", "2", ""),
            "b.jpg": "'todo' is no finding",
            "c.jpg": "modality CT",
            "d.jpg": ("", "4", ""),
        },
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_public_set_is_read_as_it_is_published(name: str, tmp_path: Path):
    tables, images, flags, expected = LAYOUTS[name]
    for table, lines in tables.items():
        content = "\n".join([*lines, ""]).encode()
        (tmp_path / table).write_bytes(gzip.compress(content) if ".gz" in table else content)
    for image in images:
        (tmp_path / image).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / image).write_bytes(image.encode())
    if "join" in flags:
        flags = {"join": tuple(str(tmp_path / other) for other in flags["join"])}
    source = sources.open_source(str(tmp_path / next(iter(tables))), Options(**flags))
    found: dict[str, tuple[str, str, str] | str] = {}
    for record in source.records():
        holds = [n for n, v in zip(source.labels, record.labels, strict=True) if v == 1]
        found[record.name] = (" ".join(holds), record.patient, record.split)
        if record.refused:
            assert record.left_out and not isinstance(expected[record.name], tuple), record
            assert expected[record.name] in record.refused
            found[record.name] = expected[record.name]
    assert found == expected
    without = any("folders without a radiograph" in note for note in source.notes)
    assert without == (name == "BIMCV-COVID19")


def test_readers_who_disagree_need_a_rule(tmp_path: Path):
    (tmp_path / "t.csv").write_text(f"{BOXES}\na,Mass,1,R1,,,,\na,Edema,2,R2,,,,\n")
    (tmp_path / "a.png").write_bytes(b"a")
    [record] = sources.open_source(str(tmp_path / "t.csv")).records()
    assert "--readers=any or --readers=majority" in record.refused and not record.left_out
    (tmp_path / "u.csv").write_text("image_id,class_name\na,Mass\na,No finding\n")
    with pytest.raises(UsageError, match="--readers=majority needs --reader_column"):
        sources.open_source(str(tmp_path / "u.csv"), Options(readers="majority"))


COVID_QU_EX = "Lung Segmentation Data/Lung Segmentation Data"
TUBERCULOSIS = {"class_from": r"_([01])\.png$", "map_labels": "0=normal,1=tuberculosis"}

# For each set without a table its files, flags, classes, and how many images there are, of them
# with a split and with a patient.
FOLDERS: dict[str, tuple[list[str], dict[str, str], list[str], tuple[int, int, int]]] = {
    "Kermany, its other version": (
        [
            f"CellData/chest_xray/{split}/{name}"
            for split in ("train", "test")
            for name in ("NORMAL/NORMAL-28501-0001.jpeg", "PNEUMONIA/VIRUS-7422-0001.jpeg")
        ],
        {},
        ["NORMAL", "PNEUMONIA"],
        (4, 4, 4),
    ),
    "Shenzhen": (
        [
            *(f"CXR_png/CHNCXR_{n:04d}_{n % 2}.png" for n in range(1, 5)),
            "ClinicalReadings/CHNCXR_0001_1.txt",
        ],
        TUBERCULOSIS,
        ["normal", "tuberculosis"],
        (4, 0, 4),
    ),
    "Montgomery": (
        [
            *(f"CXR_png/MCUCXR_{n:04d}_{n % 2}.png" for n in range(1, 5)),
            *(f"ManualMask/leftMask/MCUCXR_{n:04d}_{n % 2}.png" for n in range(1, 5)),
            "NLM-MontgomeryCXRSet-ReadMe.pdf",
        ],
        TUBERCULOSIS,
        ["normal", "tuberculosis"],
        (4, 0, 4),
    ),
    "COVID-QU-Ex": (
        [
            f"{COVID_QU_EX}/{split}/{name}/{folder}/{name}_{n}.png"
            for split in ("Train", "Val", "Test")
            for name in ("COVID-19", "Non-COVID", "Normal")
            for folder in ("images", "lung masks")
            for n in range(2)
        ],
        {},
        ["COVID-19", "Non-COVID", "Normal"],
        (18, 18, 0),
    ),
    "COVID-19 Radiography": (
        [
            *(
                f"COVID-19_Radiography_Dataset/{name}/{folder}/{name}-{n}.png"
                for name in ("COVID", "Lung_Opacity", "Normal", "Viral Pneumonia")
                for folder in ("images", "masks")
                for n in range(2)
            ),
            "COVID-19_Radiography_Dataset/COVID.metadata.xlsx",
            "COVID-19_Radiography_Dataset/README.md.txt",
        ],
        {},
        ["COVID", "Lung_Opacity", "Normal", "Viral Pneumonia"],
        (8, 0, 0),
    ),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_public_set_in_folders_is_read_as_it_is_published(name: str, tmp_path: Path):
    names, flags, classes, counts = FOLDERS[name]
    for file in names:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_bytes(file.encode())
    source = sources.open_source(str(tmp_path), Options(**flags))
    records = source.records()
    assert sorted(source.classes or source.labels) == classes
    split, known = ([r for r in records if getattr(r, part)] for part in ("split", "patient"))
    assert (len(records), len(split), len(known)) == counts
    assert not any(record.refused for record in records)

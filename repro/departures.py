"""Where the suite departs from papers or from their code, in words: the report and the README."""

DEPARTURES: tuple[str, ...] = (
    "DIST: the authors' correlation adds 1e-8 to the product of the norms, ours does not.",
    "Methods whose paper and released code differ follow the form that the quoted numbers come "
    "from, with the other one as a field where it has a meaning of its own: AT (`distance`), CC "
    "(`formula`), PKT (`with_itself`), RKD (`unit_features`), MLKD (`variant`), SimKD "
    "(`student_maps`); FitNet trains in one stage and without KD; NST's weight is not halved; VID "
    "and RKD take means where the papers have sums.",
    "CRD draws its negatives with replacement, from a counter; OFD's margins are measured on 256 "
    "training images; CAT-KD's student keeps its bias; ReviewKD's warm-up counts from 1; RKKD's "
    "term is 1 - tau.",
    "MLKD and every other method train with the same optimiser and epochs.",
    "RKKD is written after a review that quotes its paper, and the papers of most feature methods "
    "were checked through their released code: their full texts were not at hand.",
    "The reported accuracy is that of the stored weights, which are rounded to half precision.",
    "Images of each split are sorted by their SHA-256, so that batches do not depend on where the "
    "files came from; the order within an epoch is drawn from (stream, trial, epoch).",
    "Claim C1 is judged by one student, fixed before the runs (wrn_16_2 under profile paper), and "
    "not by students averaged per teacher: no two students of its grid have the same teachers.",
    "A run that diverged counts in the claims about accuracy (C1, C4, C5, C6) with the accuracy of "
    "chance, with the verdict without it beside; its network is not measured, so C2, C3 and C7 are "
    "at best inconclusive where KD or CMKD diverged, and tables and figures leave it out.",
    "Images of a folder stand in the order of class and name, not of their bytes, and ImageNet "
    "is known by its numbers of images and classes alone: reading 150 GB through to be sure "
    "would take an hour.",
    "On ImageNet one that cannot be decoded is shown black, and its label counts.",
    "On ImageNet bfloat16 is the default where the literature has float32; `--precision fp32` "
    "is theirs.",
    "Where several processes train one cohort, the BatchNorm statistics that are kept and "
    "evaluated are those of rank 0, a batch of fewer images than processes is seen whole by each, "
    "and losses that compare the images of a batch (CMKD's difficulty, DIST's intra-class term) "
    "compare those of a process's share.",
    "Rows of `published.csv` that are marked as copied are left out; some papers quote others "
    "without saying whether they ran them again: the source beside a value is the one it was read "
    "in.",
)

"""Small data sets of our own making, in the layout of the published ones."""

from __future__ import annotations

from pathlib import Path

QUESTIONS = {"HUM:ind": "Who baked bread number {} ?", "NUM:count": "How many loaves did baker {} bake ?", "LOC:city": "Where is the bakery of street {} ?"}
SENTENCES = {
    "train": "1 a dull film\n0 a very dull film\n3 a fine film\n4 a very fine film\n2 a film\n3 so fine\n1 so dull\n",
    "dev": "4 fine , fine film\n0 so very dull\n",
    "test": "3 fine\n1 dull caf\u00e9\n",
}
TREES = "(3 (2 a) (3 (4 fine) (2 film)))\n(1 (2 a) (1 (1 dull) (2 film)))\n(3 (2 so) (4 fine))\n"
UD = """# sent_id = 1
# text = Don't run.
1-2	Don't	_	_	_	_	_	_	_	_
1	Do	do	AUX	VB	_	3	aux	_	_
2	n't	not	PART	RB	_	3	advmod	_	_
3	run	run	VERB	VB	_	0	root	_	_
3.1	away	away	ADV	RB	_	_	_	_	_
4	.	.	PUNCT	.	_	3	punct	_	_

# sent_id = 2
1	Do	do	AUX	VB	_	2	aux	_	_
2	10 000	10000	NUM	CD	_	0	root	_	_

"""
NAMES = {
    "train": "Anna\tB-person\nLee\tI-person\nsings\tO\n\t\n#\tO\nOslo\tB-location\n\t\nOslo\tB-location\nsings\tO\n",
    "dev": "Anna\tB-person\nsings\tO\n",
    "test": "Oslo\tB-location\nand\tO\nAnna\tB-person\n\t\nLee\tO\n",
}
LINES = {"train": " a bird sang \n a bird <unk> N songs \n", "valid": " a bird sang \n", "test": " N songs \n a bird \n"}


def write_sets(folder: Path) -> Path:
    """trec, sst, ud_ewt, wnut17 and ptb, each in its folder."""
    for name, size in (("train", 30), ("test", 6)):
        asked = [f"{label} {question.format(number)}" for number in range(size // 3) for label, question in QUESTIONS.items()]
        write(folder / "trec" / f"TREC.{name}", "\n".join(asked) + "\n" + ("HUM:ind Who ate the br\u00fbl\u00e9e ?\n" if name == "test" else ""), "latin-1")
    for name, text in SENTENCES.items():
        write(folder / "sst" / f"stsa.fine.{name}", text)
        binary = [f"{int(line[0] > '2')}{line[1:]}\n" for line in text.splitlines() if line[0] != "2"]
        write(folder / "sst" / f"stsa.binary.{name}", "".join(binary))
    write(folder / "sst" / "trees" / "train.txt", TREES)
    for name in ("train", "dev", "test"):
        write(folder / "ud_ewt" / f"en_ewt-ud-{name}.conllu", UD)
    for name, file in (("train", "wnut17train.conll"), ("dev", "emerging.dev.conll"), ("test", "emerging.test.annotated")):
        write(folder / "wnut17" / file, NAMES[name])
    for name, text in LINES.items():
        write(folder / "ptb" / f"ptb.{name}.txt", text)
    return folder


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    """The file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path
